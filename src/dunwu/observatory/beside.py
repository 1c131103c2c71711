"""Models beside each other, a row a benchmark: the paper's table of its stages (R1, arXiv 2501.12948v2, table 3)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from dunwu.observatory.findings import EvaluationsBySet
from dunwu.observatory.wording import quantity
from dunwu.types import Estimate

OVERALL = ("format", "language", "length", "reflections")
"""What is told once, as a mean over the sets."""
SUPPORTING = (*OVERALL, "truncated", "reflection_rate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A quantity on a benchmark (none: over all of them), for each model."""

    benchmark: str
    quantity: str
    values: Mapping[str, Estimate]

    @property
    def label(self) -> str:
        """What the row is called: the benchmark alone where right answers count; shares are in per cent."""
        unit = " %" if quantity(self.quantity).share else ""
        if self.quantity == "pass@1":
            return self.benchmark + unit
        return (f"{self.benchmark}, {self.quantity}" if self.benchmark else self.quantity) + unit


def rows(by_set: EvaluationsBySet) -> list[Row]:
    """What each set measures above all: right answers, or what judges say; then the means of ``OVERALL``."""
    return [*_headlines(by_set), *_overall(by_set)]


def _headlines(by_set: EvaluationsBySet) -> Iterator[Row]:
    for name, evaluations in by_set.items():
        found = dict.fromkeys(quantity for evaluation in evaluations for quantity in evaluation.results)
        judged = [quantity for quantity in found if "@" not in quantity and quantity not in SUPPORTING]
        for chosen in (["pass@1"] if "pass@1" in found else []) + judged:
            values = {e.checkpoint: e.results[chosen] for e in evaluations if chosen in e.results}
            yield Row(benchmark=name, quantity=chosen, values=values)


def _overall(by_set: EvaluationsBySet) -> Iterator[Row]:
    """Means over the sets, the sets' intervals taken for independent."""
    models = dict.fromkeys(e.checkpoint for evaluations in by_set.values() for e in evaluations)
    for name in OVERALL:
        values = {}
        for model in models:
            found = [
                e.results[name]
                for evaluations in by_set.values()
                for e in evaluations
                if e.checkpoint == model and name in e.results
            ]
            if found:
                centre = sum(e.value for e in found) / len(found)
                below = math.sqrt(sum((e.value - e.low) ** 2 for e in found)) / len(found)
                above = math.sqrt(sum((e.high - e.value) ** 2 for e in found)) / len(found)
                values[model] = Estimate(value=centre, low=centre - below, high=centre + above)
        if values:
            yield Row(benchmark="", quantity=name, values=values)


def over_seeds(tables: Sequence[Sequence[Row]]) -> list[Row]:
    """The same rows of several runs as one: means over the runs, with Student's 95 % interval of a mean.

    Rows and models that not every run has are left out.
    """
    joined = []
    for row in tables[0]:
        alike = [
            other
            for table in tables
            for other in table
            if (other.benchmark, other.quantity) == (row.benchmark, row.quantity)
        ]
        models = [model for model in row.values if all(model in other.values for other in alike)]
        if len(alike) == len(tables) and models:
            values = {model: over_runs([other.values[model].value for other in alike]) for model in models}
            joined.append(Row(benchmark=row.benchmark, quantity=row.quantity, values=values))
    return joined


def over_runs(values: Sequence[float]) -> Estimate:
    """Mean of one number of several runs, with Student's 95 % interval; of a single run without one."""
    centre, n = float(np.mean(values)), len(values)
    half = float(stdtrit(n - 1, 0.975)) * float(np.std(values, ddof=1)) / math.sqrt(n) if n > 1 else 0.0
    return Estimate(value=centre, low=centre - half, high=centre + half)


def cell(name: str, estimate: Estimate | None) -> str:
    """A value and the longer arm of its interval, short: ``88.1±1.2`` (of shares in per cent)."""
    if estimate is None:
        return "–"
    scale = 100.0 if quantity(name).share else 1.0
    arm = max(estimate.high - estimate.value, estimate.value - estimate.low)
    value, half = scale * estimate.value, scale * arm
    digits = 1 if scale == 100.0 or abs(value) >= 10 else 2
    return f"{value:,.{digits}f}±{half:.{digits}f}".replace("±0.", "±.").replace("100.0±", "100±")
