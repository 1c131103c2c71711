"""Where in a step a number was infinite or none: the step is refused then, and the weights are as they were."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class PartReport:
    """What a rank knows of one part of its step.

    Attributes:
        place: which part it is, for errors.
        loss: of the part.
        grad_norm: of the gradient so far, as much of it as lies in this rank.
    """

    place: str
    loss: float
    grad_norm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputedPart:
    """The same where it was computed: nobody waits for the device before it is asked for."""

    place: str
    loss: Tensor
    grad_norm: Tensor

    def to_report(self) -> PartReport:
        """Return the numbers."""
        return PartReport(place=self.place, loss=float(self.loss), grad_norm=float(self.grad_norm))


def find_problem(by_rank: Sequence[Sequence[PartReport]]) -> tuple[str, str] | None:
    """Find the first part whose loss or gradient is not finite.

    Args:
        by_rank: the parts of each rank in their order; all have as many.

    Returns:
        What is wrong, such as ``loss is nan``, and in which part; None where nothing is. Ranks add up their gradients,
        so one that is not finite may come from the part of any.
    """
    for reports in zip(*by_rank, strict=True):
        places = [f"rank {rank}, {report.place}" for rank, report in enumerate(reports)]
        places = places if len(places) > 1 else [reports[0].place]
        for report, place in zip(reports, places, strict=True):
            if not math.isfinite(report.loss):
                return f"loss is {report.loss}", place
        for report in reports:
            if not math.isfinite(report.grad_norm):
                return f"gradient is {report.grad_norm}", ", or ".join(places)
    return None
