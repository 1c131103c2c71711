"""What a person sees in the terminal when a run has ended."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console
from tests.made_runs import begin, finished_run

from dunwu.analysis import comparison_table
from dunwu.observatory.terminal_tables import MOST_PAIRS, describe_pairs, summarize_run, tabulate_models
from dunwu.runs import PairedTest, RunReader
from dunwu.types import Estimate


def end_of(directory: Path) -> str:
    """The end of a run as a pipe shows it."""
    console, stream = plain_console()
    for table in summarize_run(RunReader(directory), 100):
        console.print(table)
    return stream.getvalue()


def plain_console(width: int = 100) -> tuple[Console, io.StringIO]:
    stream = io.StringIO()
    return Console(file=stream, width=width, highlight=False), stream


def test_the_end_shows_both_ends_of_every_set_and_a_mended_problem(tmp_path: Path) -> None:
    run = RunReader(finished_run(tmp_path, rollouts=1, problems=10, samples=2))
    results = {e.checkpoint: e.results for e in run.stage("zero").read_evaluations() if e.set == "countdown"}
    text = end_of(run.directory)
    assert "countdown: 10 held-out problems" in text
    assert "harder: 10 held-out problems" in text
    base, trained = (f"{100 * results[name]['pass@1'].value:.1f}".removesuffix(".0") for name in ("base", "trained"))
    line = next(line for line in text.splitlines() if "pass@1" in line)
    assert f"{base} %" in line
    assert f"{trained} %" in line
    assert line.index(f"{base} %") < line.index(f"{trained} %")
    assert "base: wrong" in text
    assert "trained: right" in text
    assert "<script>" in text
    assert "\x1b" not in text


def test_a_run_without_evaluations_ends_without_tables(tmp_path: Path) -> None:
    begin(tmp_path).close()
    assert end_of(tmp_path) == ""


@pytest.mark.parametrize("width", [44, 80])
def test_no_number_of_a_table_is_cut(width: int) -> None:
    models = [f"a-model-of-a-long-name-{number}" for number in range(6)]
    values = {model: Estimate(value=0.9, low=0.801, high=0.95) for model in models}
    rows = [comparison_table.ComparisonRow(benchmark="mathematics", quantity="pass@1", values=values)]
    console, stream = plain_console(width)
    console.print(tabulate_models(comparison_table.ComparisonTable(title="Models", note="a note", rows=rows), width))
    text = stream.getvalue()
    assert text.count("90±9.9") == 6
    assert "".join(text.split()).count("mathematics%") == {44: 2, 80: 1}[width]


def compare(value: float, low: float, high: float) -> PairedTest:
    """A paired test of nano-base against demo-zero."""
    difference = Estimate(value=value, low=low, high=high)
    return PairedTest(set="sums", model="nano-base", against="demo-zero", problems=100, difference=difference, p=0.012)


def test_of_two_models_the_better_one_stands_first() -> None:
    end = "p = 0.012; the same 100 problems"
    (worse,) = describe_pairs([compare(-0.73, -0.8, -0.66)])
    assert worse.plain == f"demo-zero against nano-base on sums: +73.0 points (+66.0 to +80.0), {end}"
    (better,) = describe_pairs([compare(0.02, -0.01, 0.05)])
    assert better.plain == f"nano-base against demo-zero on sums: +2.0 points (-1.0 to +5.0), {end}"


def test_many_paired_tests_are_left_to_the_report() -> None:
    pairs = [compare(0.02, -0.01, 0.05)] * (MOST_PAIRS + 1)
    assert [line.plain for line in describe_pairs(pairs)] == ["13 paired tests of these models stand in the report."]
    assert len(list(describe_pairs(pairs[1:]))) == MOST_PAIRS
