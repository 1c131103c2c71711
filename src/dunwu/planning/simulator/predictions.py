"""Every published time beside what the simulator says of it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np

from dunwu.planning.simulator.cluster import simulate_step
from dunwu.planning.simulator.fitted import Fit
from dunwu.planning.simulator.published import (
    R1_ASSUMED,
    R1_CURVE,
    R1_HOURS,
    R1_LAYOUT,
    R1_ROLLOUTS,
    SOURCES,
    Row,
    list_other_rows,
    list_verl_rows,
    make_r1_work,
)
from dunwu.planning.simulator.records import Costs

R1_POINTS: Final = 6
"""Rollouts of each straight part of the length curve that are simulated; the others are taken to lie between."""


class Prediction(NamedTuple):
    """One time, published and predicted.

    Attributes:
        name: Of the row.
        unit: s or h.
        published: By the source.
        early: Of the first 200 steps, by the source; None: not known.
        predicted: The mean of the seeds.
        low: The least of the seeds.
        high: The most of them.
        source: The document.
        assumed: What it does not say.
        remark: Why the prediction may be far off.
    """

    name: str
    unit: str
    published: float
    early: float | None
    predicted: float
    low: float
    high: float
    source: str
    assumed: str
    remark: str

    @property
    def error(self) -> float:
        """By which share of the published time the prediction is off."""
        return self.predicted / self.published - 1

    @property
    def early_error(self) -> float | None:
        """The same beside the first 200 steps."""
        return None if self.early is None else self.predicted / self.early - 1

    def as_json(self) -> dict[str, Any]:
        """Return plain values with both errors, without the name."""
        values = self._asdict() | {"error": self.error, "early_error": self.early_error}
        return {key: value for key, value in values.items() if key != "name"}


def predict_all(fit: Fit) -> Iterator[Prediction]:
    """Predict verl's other rows, other models and systems, and R1-Zero."""
    for row in (*list_verl_rows(fit.mean), *list_other_rows()):
        yield predict_row(row, fit.costs)
    yield predict_r1_zero(fit.costs)


def predict_row(row: Row, costs: Costs) -> Prediction:
    """Predict the seconds of one step."""
    found = simulate_step(row.work, row.layout, costs)
    return Prediction(
        row.name, "s", row.published, row.early, found.step, found.low, found.high, row.source, row.assumed, row.remark
    )


def predict_r1_zero(costs: Costs) -> Prediction:
    """Predict the hours of R1-Zero from its assumed length curve."""
    hours = np.zeros(3)
    for (begin, first), (end, last) in pairwise(R1_CURVE):
        rollouts = R1_ROLLOUTS * (end - begin) / R1_CURVE[-1][0] / R1_POINTS
        for point in range(R1_POINTS):
            mean = first + (last - first) * (point + 0.5) / R1_POINTS
            work = make_r1_work(mean, 65_536 if begin else 32_768)
            found = simulate_step(work, R1_LAYOUT, costs, seeds=(2 * point, 2 * point + 1))
            hours += rollouts / 3600 * np.array([found.step, found.low, found.high])
    predicted, low, high = hours.tolist()
    return Prediction("R1-Zero, 512 H800", "h", R1_HOURS, None, predicted, low, high, SOURCES["R1"], R1_ASSUMED, "")
