"""Models beside each other, a row a benchmark: the paper's table of its stages (R1, arXiv 2501.12948v2, table 3)."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, TypedDict

from dunwu.analysis.labels import describe_quantity, format_cell
from dunwu.analysis.results import EvaluationsBySet
from dunwu.metrics import estimate_mean
from dunwu.types import Estimate

OVERALL = ("format", "language", "length", "reflections")
"""What is told once, as a mean over the sets."""
RESULT_OF = {"accuracy": "pass@1"}
"""What an evaluation calls a part of the reward, where it has another name."""
SUPPORTING = (
    *(*OVERALL, "truncated", "reflection_rate"),
    *("loose", "instructions", "instructions_loose", "inconsistent", "percentile"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonRow:
    """A quantity on a benchmark (none: over all of them), for each model."""

    benchmark: str
    quantity: str
    values: Mapping[str, Estimate]
    change: bool = False
    """Whether the values are differences."""

    def cell(self, model: str) -> str:
        """A model's value and its interval, short (shares in per cent); "–" where it has none."""
        if model not in self.values:
            return "–"
        return format_cell(self.quantity, self.values[model], change=self.change)

    @property
    def label(self) -> str:
        """What the row is called: the benchmark alone where right answers count; shares are in per cent."""
        unit = " %" if describe_quantity(self.quantity).share else ""
        if self.quantity == "pass@1":
            return self.benchmark + unit
        return (f"{self.benchmark}, {self.quantity}" if self.benchmark else self.quantity) + unit


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonTable:
    """Rows with what to call them and how to read them."""

    title: str
    note: str
    rows: Sequence[ComparisonRow]

    @property
    def models(self) -> list[str]:
        """The columns."""
        return list(dict.fromkeys(model for row in self.rows for model in row.values))


def choose_first_measure(stage: Mapping[str, Any], results: Collection[str]) -> str | None:
    """Choose what a stage is judged by.

    Args:
        stage: the stage as recipe.json has it.
        results: the names of what was measured, in their order.

    Returns:
        The first of the recipe's ``evaluation.measures``, else right answers, else what judges say; None where nothing
        but what supports these was measured.
    """
    named = [RESULT_OF.get(name, name) for name in stage.get("evaluation", {}).get("measures", [])]
    judged = [name for name in results if "@" not in name and name not in SUPPORTING]
    return next((name for name in (*named[:1], "pass@1", *judged) if name in results), None)


def compare_models(by_set: EvaluationsBySet) -> ComparisonTable:
    """The models of one run beside each other."""
    return ComparisonTable(title="The models beside each other", note=_note("over problems"), rows=build_rows(by_set))


def compare_models_over_seeds(runs: Sequence[EvaluationsBySet]) -> list[ComparisonTable]:
    """The models of several runs of one recipe beside each other, and what each has more than the one before it. No
    tables where the runs have nothing in common."""
    tables = [build_rows(by_set) for by_set in runs]
    note = _note(f"over {len(runs)} seeds")
    found = [
        ComparisonTable(title="The models beside each other", note=note, rows=average_over_seeds(tables)),
        ComparisonTable(
            title="What changed from each model to the next, seed by seed",
            note=note,
            rows=average_over_seeds([compute_changes(table) for table in tables]),
        ),
    ]
    return [table for table in found if table.rows]


def _note(over: str) -> str:
    return f"{describe_interval(over)} Of a benchmark: answers right at the first try."


def describe_interval(over: str) -> str:
    """Say how a cell's interval is read, and over what it was taken."""
    return f"±: the longer arm of the 95 % interval {over}; in brackets its ends."


def build_rows(by_set: EvaluationsBySet) -> list[ComparisonRow]:
    """What each set measures above all: right answers, or what judges say; then the means of ``OVERALL``."""
    return [*_headlines(by_set), *_overall(by_set)]


def _headlines(by_set: EvaluationsBySet) -> Iterator[ComparisonRow]:
    for name, evaluations in by_set.items():
        found = dict.fromkeys(quantity for evaluation in evaluations for quantity in evaluation.results)
        judged = [quantity for quantity in found if "@" not in quantity and quantity not in SUPPORTING]
        for chosen in (["pass@1"] if "pass@1" in found else []) + judged:
            values = {e.checkpoint: e.results[chosen] for e in evaluations if chosen in e.results}
            yield ComparisonRow(benchmark=name, quantity=chosen, values=values)


def _overall(by_set: EvaluationsBySet) -> Iterator[ComparisonRow]:
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
            yield ComparisonRow(benchmark="", quantity=name, values=values)


def average_over_seeds(tables: Sequence[Sequence[ComparisonRow]]) -> list[ComparisonRow]:
    """The same rows of several runs as one: means over the runs, with Student's 95 % interval of a mean.

    Rows and models that not every run has are left out.
    """
    joined = []
    for row in tables[0]:
        found = [
            other
            for table in tables
            for other in table
            if (other.benchmark, other.quantity) == (row.benchmark, row.quantity)
        ]
        models = [model for model in row.values if all(model in other.values for other in found)]
        if len(found) == len(tables) and models:
            ends = _ends(row)
            values = {model: estimate_mean([other.values[model].value for other in found], **ends) for model in models}
            joined.append(replace(row, values=values))
    return joined


class Bounds(TypedDict):
    """Of what a mean may be."""

    lowest: float
    highest: float


def _ends(row: ComparisonRow) -> Bounds:
    known = describe_quantity(row.quantity)
    highest = 1.0 if known.share else math.inf
    return {"lowest": -highest if row.change or known.signed else 0.0, "highest": highest}


def compute_changes(table: Sequence[ComparisonRow]) -> list[ComparisonRow]:
    """What each model has more than the one before it in the table; of one run, so without intervals. Nothing where one
    of the two has no value."""
    models = dict.fromkeys(model for row in table for model in row.values)
    changed = []
    for row in table:
        pairs = [pair for pair in pairwise(models) if row.values.keys() >= set(pair)]
        values = {model: _exactly(row.values[model].value - row.values[before].value) for before, model in pairs}
        changed.append(replace(row, values=values, change=True))
    return [row for row in changed if row.values]


def _exactly(value: float) -> Estimate:
    return Estimate(value=value, low=value, high=value)
