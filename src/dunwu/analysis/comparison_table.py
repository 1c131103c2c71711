"""Models side by side, a row a benchmark: the paper's table of its stages (R1, arXiv 2501.12948v2, table 3)."""

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
"""What has one row, as a mean over the sets."""
RESULT_OF = {"accuracy": "pass@1"}
"""What an evaluation calls a part of the reward, where it has another name."""
SUPPORTING = (
    *(*OVERALL, "truncated", "reflection_rate"),
    *("loose", "instructions", "instructions_loose", "inconsistent", "percentile"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonRow:
    """A quantity for each model.

    Attributes:
        benchmark: Where it was measured; "" for a mean over all sets.
        quantity: What was measured, by its name in the results.
        values: The estimate of each model.
        change: Whether the values are differences.
    """

    benchmark: str
    quantity: str
    values: Mapping[str, Estimate]
    change: bool = False

    def format_cell(self, model: str) -> str:
        """Write a model's value and its interval, short (shares in per cent); "–" where it has none."""
        if model not in self.values:
            return "–"
        return format_cell(self.quantity, self.values[model], change=self.change)

    @property
    def label(self) -> str:
        """What the row is called: the benchmark alone where right answers count."""
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
        """The models, which are the columns."""
        return list(dict.fromkeys(model for row in self.rows for model in row.values))


def choose_first_measure(stage: Mapping[str, Any], results: Collection[str]) -> str | None:
    """Choose what a stage is measured by above all.

    Args:
        stage: The stage as recipe.json has it.
        results: The names of what was measured, in their order.

    Returns:
        The first of the recipe's ``evaluation.measures``, else right answers, else what judges say; None where nothing
        but what supports these was measured.
    """
    named = [RESULT_OF.get(name, name) for name in stage.get("evaluation", {}).get("measures", [])]
    by_judges = [name for name in results if "@" not in name and name not in SUPPORTING]
    return next((name for name in (*named[:1], "pass@1", *by_judges) if name in results), None)


def compare_models(by_set: EvaluationsBySet) -> ComparisonTable:
    """Compare the models of one run."""
    note = _describe_cells("over problems")
    return ComparisonTable(title="The models beside each other", note=note, rows=build_rows(by_set))


def compare_models_over_seeds(runs: Sequence[EvaluationsBySet]) -> list[ComparisonTable]:
    """Compare the models of several runs of one recipe.

    Args:
        runs: The evaluations of each run.

    Returns:
        The models side by side, and what each has more than the one before it; no tables where the runs have nothing
        in common.
    """
    tables = [build_rows(by_set) for by_set in runs]
    note = _describe_cells(f"over {len(runs)} seeds")
    found = [
        ComparisonTable(title="The models beside each other", note=note, rows=average_over_seeds(tables)),
        ComparisonTable(
            title="What changed from each model to the next, seed by seed",
            note=note,
            rows=average_over_seeds([compute_changes(table) for table in tables]),
        ),
    ]
    return [table for table in found if table.rows]


def _describe_cells(over: str) -> str:
    return f"{describe_interval(over)} Of a benchmark: answers right at the first try."


def describe_interval(over: str) -> str:
    """Say how a cell's interval is read, and over what it was taken."""
    return f"±: the longer arm of the 95 % interval {over}; in brackets its ends."


def build_rows(by_set: EvaluationsBySet) -> list[ComparisonRow]:
    """Tabulate the evaluations of a run.

    Args:
        by_set: The evaluations of each set.

    Returns:
        What each set measures above all: right answers, or what judges say; then the means of ``OVERALL``.
    """
    return [*_list_headlines(by_set), *_average_over_sets(by_set)]


def _list_headlines(by_set: EvaluationsBySet) -> Iterator[ComparisonRow]:
    for name, evaluations in by_set.items():
        found = dict.fromkeys(quantity for evaluation in evaluations for quantity in evaluation.results)
        by_judges = [quantity for quantity in found if "@" not in quantity and quantity not in SUPPORTING]
        for chosen in (["pass@1"] if "pass@1" in found else []) + by_judges:
            values = {e.checkpoint: e.results[chosen] for e in evaluations if chosen in e.results}
            yield ComparisonRow(benchmark=name, quantity=chosen, values=values)


def _average_over_sets(by_set: EvaluationsBySet) -> Iterator[ComparisonRow]:
    """Average over the sets, whose intervals are taken for independent."""
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
    """Average the rows of several runs.

    Args:
        tables: The rows of each run.

    Returns:
        Means over the runs, with Student's 95 % interval of a mean. Rows and models that not every run has are left
        out.
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
            bounds = find_bounds(row)
            values = {
                model: estimate_mean([other.values[model].value for other in found], **bounds) for model in models
            }
            joined.append(replace(row, values=values))
    return joined


class Bounds(TypedDict):
    """The smallest and the largest value that a mean may have."""

    lowest: float
    highest: float


def find_bounds(row: ComparisonRow) -> Bounds:
    """Return between which values a mean of what a row shows must lie."""
    known = describe_quantity(row.quantity)
    highest = 1.0 if known.share else math.inf
    return {"lowest": -highest if row.change or known.signed else 0.0, "highest": highest}


def compute_changes(table: Sequence[ComparisonRow]) -> list[ComparisonRow]:
    """Compute what each model has more than the one before it in the table.

    Args:
        table: The rows of one run.

    Returns:
        The differences, without intervals, where both models have a value.
    """
    models = dict.fromkeys(model for row in table for model in row.values)
    changed = []
    for row in table:
        pairs = [pair for pair in pairwise(models) if row.values.keys() >= set(pair)]
        values = {model: _make_exact(row.values[model].value - row.values[before].value) for before, model in pairs}
        changed.append(replace(row, values=values, change=True))
    return [row for row in changed if row.values]


def _make_exact(value: float) -> Estimate:
    return Estimate(value=value, low=value, high=value)
