"""Published seconds of RL steps on clusters, beside what the simulator says of them.

Nothing is measured: three constants are fitted to one row of verl's, and all others are predicted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from dunwu.errors import UserError
from dunwu.planning.simulator.fitted import FITTED, simulate_fitted_row
from dunwu.planning.simulator.predictions import predict_all
from dunwu.planning.simulator.published import FITTED_ROW, SIGMA


def measure(against: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """Predict every published row.

    Args:
        against: nothing; published rows are all there is.

    Returns:
        ``constants``, ``fitted`` with published and simulated seconds of each part, and each row by its name.

    Raises:
        UserError: There is a peer.
    """
    for peer in against:
        raise UserError(f"no such peer: {peer}; published steps are predicted beside nothing", field="--against")
    found, growth = simulate_fitted_row(FITTED), FITTED_ROW.growth
    parts = {
        part: {"published": getattr(FITTED_ROW, part) / growth, "simulated": getattr(found, part)}
        for part in ("generation", "forward", "update")
    }
    rows = {one.name: one.as_json() for one in predict_all(FITTED)}
    return {"constants": {**asdict(FITTED.costs), "mean_tokens": FITTED.mean, "sigma": SIGMA}, "fitted": parts, **rows}
