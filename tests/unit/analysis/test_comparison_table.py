"""Models beside each other: which rows, their means over sets, and their intervals over runs."""

from __future__ import annotations

import math

import pytest

from dunwu.analysis import comparison_table
from dunwu.analysis.comparison_table import (
    ComparisonRow,
    average_over_seeds,
    compare_models_over_seeds,
    compute_changes,
)
from dunwu.runs import Evaluation
from dunwu.types import Estimate


def estimate(value: float, half: float = 0.1) -> Estimate:
    return Estimate(value=value, low=value - half, high=value + half)


def evaluation(model: str, set_name: str, **results: float) -> Evaluation:
    named = {name.replace("__", "@"): estimate(value) for name, value in results.items()}
    return Evaluation(checkpoint=model, set=set_name, results=named, rows=())


BY_SET = {
    "maths": [
        evaluation("base", "maths", pass__1=0.2, cons__4=0.3, format=0.5, length=10.0),
        evaluation("r1", "maths", pass__1=0.9, cons__4=0.95, format=1.0, length=30.0),
    ],
    "talk": [
        evaluation("base", "talk", helpful=-1.0, format=0.7, length=20.0, truncated=0.1),
        evaluation("r1", "talk", helpful=3.0, format=1.0, length=20.0, truncated=0.0),
    ],
}


def test_a_set_is_told_by_right_answers_or_by_its_judges_and_the_rest_once() -> None:
    rows = {
        row.label: {model: value.value for model, value in row.values.items()}
        for row in comparison_table.build_rows(BY_SET)
    }
    assert rows == {
        "maths %": {"base": 0.2, "r1": 0.9},
        "talk, helpful": {"base": -1.0, "r1": 3.0},
        "format %": {"base": pytest.approx(0.6), "r1": 1.0},
        "length": {"base": 15.0, "r1": 25.0},
    }


def test_the_mean_of_two_sets_is_surer_than_one() -> None:
    (row,) = (row for row in comparison_table.build_rows(BY_SET) if row.quantity == "format")
    assert (row.values["base"].high - row.values["base"].low) / 2 == pytest.approx(0.1 / math.sqrt(2))


def table(*rows: tuple[str, str, dict[str, float]]) -> list[ComparisonRow]:
    return [
        ComparisonRow(benchmark=name, quantity=of, values={m: estimate(v) for m, v in values.items()})
        for name, of, values in rows
    ]


def test_changes_are_taken_run_by_run() -> None:
    first = table(("a", "pass@1", {"x": 0.2, "y": 0.4}))
    second = table(("a", "pass@1", {"x": 0.7, "y": 0.8}))
    (row,) = average_over_seeds([compute_changes(first), compute_changes(second)])
    # Of runs that differ a lot, alike differences: 0.2 and 0.1, so s = 0.0707 and t(0.975, 1) = 12.706.
    estimate = row.values["y"]
    assert list(row.values) == ["y"]
    assert (estimate.value, estimate.high - estimate.value) == pytest.approx((0.15, 12.7062 * 0.05), abs=1e-4)
    assert row.format_cell("y") == "+15±64"


def test_seeds_are_told_in_two_tables() -> None:
    values, changed = compare_models_over_seeds([BY_SET, BY_SET])
    assert (values.models, changed.models) == (["base", "r1"], ["r1"])
    assert [row.format_cell("r1") for row in changed.rows] == ["+70", "+4", "+40", "+10"]
    assert "over 2 seeds" in changed.note


def test_only_what_every_run_has_is_joined() -> None:
    first = table(("a", "pass@1", {"x": 0.2, "y": 0.4}), ("b", "pass@1", {"x": 1.0}))
    second = table(("a", "pass@1", {"x": 0.4}))
    (row,) = average_over_seeds([first, second])
    assert (row.benchmark, list(row.values)) == ("a", ["x"])
    assert row.values["x"].value == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("name", "value", "half", "told"),
    [
        ("pass@1", 0.8812, 0.0123, "88.1±1.2"),
        ("pass@1", 0.5, 0.161, "50±16"),
        ("pass@1", 1.0, 0.004, "100 (≥99.6)"),
        ("pass@1", 1.0, 0.161, "100 (≥84)"),
        ("pass@1", 0.97, 0.131, "97 (84–100)"),
        ("pass@1", 0.0, 0.037, "0 (≤3.7)"),
        ("pass@1", 0.9996, 0.0, "100"),
        ("reflections", 0.5, 0.6, "0.50 (0–1.10)"),
        ("helpful", -1.234, 0.056, "-1.23±0.06"),
        ("helpful", -0.001, 0.004, "0"),
        ("length", 1234.56, 7.89, "1,234.6±7.9"),
    ],
)
def test_cells_are_short(name: str, value: float, half: float, told: str) -> None:
    row = ComparisonRow(benchmark="a", quantity=name, values={"x": estimate(value, half)})
    assert (row.format_cell("x"), row.format_cell("y")) == (told, "–")


def test_the_longer_arm_is_shown() -> None:
    sure = {"x": Estimate(value=1.0, low=0.963, high=1.0)}
    assert ComparisonRow(benchmark="a", quantity="pass@1", values=sure).format_cell("x") == "100 (≥96.3)"
