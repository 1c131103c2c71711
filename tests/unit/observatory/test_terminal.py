"""What a person sees in the terminal."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text
from tests.unit.observatory.making import begin, finished_run

from dunwu.analysis import comparison_table
from dunwu.analysis.labels import format_duration
from dunwu.analysis.next_steps import suggest_next_steps
from dunwu.analysis.run_description import describe_run
from dunwu.monitoring.console import HEADER_EVERY, Progress
from dunwu.observatory.terminal_tables import models_table
from dunwu.runs import Pair, RunReader
from dunwu.types import Estimate

METRICS = {"reward": 1.25, "accuracy": 0.5, "format": 0.98, "length": 1234.56, "kl": 0.00123, "tokens": 5000.0}


def plain_console(width: int = 100) -> tuple[Console, io.StringIO]:
    stream = io.StringIO()
    return Console(file=stream, width=width, highlight=False), stream


def test_a_row_has_its_numbers_and_the_time_left(tmp_path: Path) -> None:
    console, stream = plain_console(60)  # narrower than a row, which is not broken
    progress = Progress(console)
    with begin(tmp_path) as run:
        progress.run_started(RunReader(tmp_path))
        progress.stage_started("zero", "GRPO [red]", step=16)
        run.stage("zero").append(32, METRICS, {"rollout": 2.0})
        progress.row(32, 160, METRICS, {"rollout": 2.0})
    progress.row(48, 160, {"reward": 1.25}, {})
    heading, header, first, second = stream.getvalue().splitlines()[-4:]
    assert heading == "zero: GRPO [red], resumed at step 16"
    assert header.split() == ["step", "reward", "right", "format", "length", "kl", "tok/s", "left"]
    assert first.split() == ["32/160", "1.250", "50.0%", "98.0%", "1,234.6", "0.0012", "2,500", "8", "s"]
    assert second.split() == ["48/160", "1.250", "-", "-", "-", "-", "-", "8", "s"]
    assert len(header) == len(first) == len(second) <= 80


def test_a_row_without_a_run_has_no_time_left() -> None:
    console, stream = plain_console()
    progress = Progress(console)
    progress.stage_started("zero", "")
    progress.row(1, 3, {"reward": 1.0}, {"rollout": 1.0})
    assert stream.getvalue().splitlines()[-1].split()[-1] == "-"


def test_a_stage_of_other_metrics_shows_those() -> None:
    console, stream = plain_console()
    progress = Progress(console)
    progress.stage_started("base", "pretraining")
    progress.row(10, 20, {"loss": 2.123456, "lr": 3e-4, "grad_norm": 0.5}, {})
    header, row = stream.getvalue().splitlines()[2:]
    assert header.split()[:3] == ["step", "loss", "lr"]
    assert row.split()[:3] == ["10/20", "2.1235", "3.0e-04"]


def test_of_many_short_updates_few_are_shown_the_first_and_the_last_among_them() -> None:
    console, stream = plain_console()
    progress = Progress(console)
    progress.stage_started("taught", "")
    for step in range(1, 1001):
        progress.row(step, 1000, {"loss": 1.0 / step, "accuracy": 0.5}, {"update": 0.1})
    rows = [line.split() for line in stream.getvalue().splitlines()[2:]]
    steps = [int(row[0].split("/")[0]) for row in rows if row[0] != "step"]
    assert steps == [1, *range(25, 1001, 25)]
    assert rows[0] == ["step", "loss", "right", "left"], "nothing is counted in tokens"


def test_the_header_returns() -> None:
    console, stream = plain_console()
    progress = Progress(console)
    progress.stage_started("zero", "")
    for step in range(1, HEADER_EVERY + 2):
        progress.row(step, 100, {"reward": 1.0}, {})
    assert [number for number, line in enumerate(stream.getvalue().splitlines()) if "reward" in line] == [
        2,
        3 + HEADER_EVERY,
    ]


def test_without_a_terminal_there_is_no_bar_and_no_escape() -> None:
    console, stream = plain_console()
    progress = Progress(console)
    progress.evaluation_started("base", "hard", 10)
    progress.rollout_progress(5, 10)
    assert stream.getvalue() == "evaluating base on hard: 10 answers\n"
    progress.message("loading \x1b[31mred [bold]x")
    assert stream.getvalue().splitlines()[1] == "loading \N{REPLACEMENT CHARACTER}[31mred [bold]x"


def test_the_bar_is_drawn_only_so_often_and_always_when_full() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100, highlight=False)
    now = 10.0
    progress = Progress(console, clock=lambda: now)
    progress.rollout_progress(1, 4)
    drawn = len(stream.getvalue())
    assert "1/4" in stream.getvalue()
    progress.rollout_progress(2, 4)
    assert len(stream.getvalue()) == drawn
    now = 10.2
    progress.rollout_progress(3, 4)
    assert "3/4" in stream.getvalue()
    progress.rollout_progress(4, 4)
    assert "4/4" in stream.getvalue()


def test_what_goes_on_is_shown_until_the_next_line() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=80, highlight=False)
    progress = Progress(console, clock=lambda: 10.0)
    progress.doing("loading [x]")
    assert "loading [x] ..." in stream.getvalue()
    progress.doing("learning", 1, 4)
    assert "1/4" in stream.getvalue(), "another thing is shown at once"
    progress.doing("learning", 2, 4)
    assert "2/4" not in stream.getvalue(), "the same thing only now and then"
    progress.message("a word")
    assert stream.getvalue().rstrip("\n").endswith("a word")
    plain, written = plain_console()
    Progress(plain).doing("loading")
    assert written.getvalue() == ""


def test_what_is_counted_says_how_long_it_takes_yet() -> None:
    stream, now = io.StringIO(), 10.0
    progress = Progress(Console(file=stream, force_terminal=True, width=80, highlight=False), clock=lambda: now)
    progress.doing("learning", 4, 16)  # four were done before
    now = 16.0
    progress.doing("learning", 8, 16)
    assert "8/16 12 s" in Text.from_ansi(stream.getvalue()).plain


def test_a_run_says_first_what_it_is_and_last_what_to_do_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr("sys.argv", [".venv/bin/dunwu", "run"])
    console, stream = plain_console(200)
    run = RunReader(finished_run(tmp_path, rollouts=1, problems=2, samples=1))
    progress = Progress(console)
    progress.run_started(run)
    assert stream.getvalue() == " ".join(describe_run(run.recipe)) + "\n"
    progress.finished(run, tmp_path / "report.html", 1.0)
    *steps, model = stream.getvalue().partition("Done in 1 s. ")[2].splitlines()
    assert "  .venv/bin/dunwu watch " in stream.getvalue()
    assert steps == [
        f"Report: {tmp_path / 'report.html'}",
        "Next:",
        *(
            line
            for command, purpose in suggest_next_steps(run, ".venv/bin/dunwu")
            for line in (f"  # {purpose}", f"  {command}")
        ),
    ]
    assert model == f"The model, an ordinary transformers folder: {run.stage('zero').model}"


def test_an_evaluation_is_one_line_with_intervals() -> None:
    console, stream = plain_console()
    results = {
        "pass@1": Estimate(value=0.867, low=0.8404, high=0.89),
        "format": Estimate(value=1, low=1, high=1),
        "cons@16": Estimate(value=0.95, low=0.93, high=0.97),
        "length": Estimate(value=143.21, low=140, high=146),
    }
    Progress(console).evaluation("trained", "countdown", results)
    assert stream.getvalue() == (
        "trained on countdown: pass@1 86.7 % (84–89 %), cons@16 95 % (93–97 %), length 143.2\n"
    )


def test_on_a_narrow_terminal_a_result_stays_on_its_line() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=40, highlight=False, color_system=None)
    results = {name: Estimate(value=0.5, low=0.25, high=0.75) for name in ("pass@1", "pass@16", "cons@16")}
    Progress(console).evaluation("trained", "held-out", results)
    assert Text.from_ansi(stream.getvalue()).plain.splitlines() == [
        "trained on held-out:",
        "  pass@1 50 % (25–75 %),",
        "  pass@16 50 % (25–75 %),",
        "  cons@16 50 % (25–75 %)",
    ]


def test_the_end_shows_both_ends_of_every_set_and_a_mended_problem(tmp_path: Path) -> None:
    console, stream = plain_console()
    run = RunReader(finished_run(tmp_path, rollouts=1, problems=10, samples=2))
    results = {e.checkpoint: e.results for e in run.stage("zero").read_evaluations() if e.set == "countdown"}
    Progress(console).finished(run, tmp_path / "report.html", 312.0)
    text = stream.getvalue()
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
    assert "Done in 5 min." in text


def test_the_end_of_a_run_without_evaluations(tmp_path: Path) -> None:
    console, stream = plain_console()
    begin(tmp_path).close()
    Progress(console).finished(RunReader(tmp_path), tmp_path / "report.html", 20.0)
    assert stream.getvalue().startswith("\nDone in 20 s. Report: ")


def test_durations() -> None:
    assert [format_duration(seconds) for seconds in (0, 89.4, 600, 7200)] == ["0 s", "89 s", "10 min", "2 h"]


@pytest.mark.parametrize("width", [44, 80])
def test_no_number_of_a_table_is_cut(width: int) -> None:
    models = [f"a-model-of-a-long-name-{number}" for number in range(6)]
    values = {model: Estimate(value=0.9, low=0.801, high=0.95) for model in models}
    rows = [comparison_table.ComparisonRow(benchmark="mathematics", quantity="pass@1", values=values)]
    console, stream = plain_console(width)
    console.print(models_table(comparison_table.ComparisonTable(title="Models", note="a note", rows=rows), width))
    text = stream.getvalue()
    assert text.count("90±9.9") == 6
    assert "".join(text.split()).count("mathematics%") == {44: 2, 80: 1}[width]


def test_of_two_models_the_better_one_stands_first(tmp_path: Path) -> None:
    def told(value: float, low: float, high: float) -> str:
        console, stream = plain_console(200)
        difference = Estimate(value=value, low=low, high=high)
        pair = Pair(set="sums", model="nano-base", against="demo-zero", problems=100, difference=difference, p=0.012)
        Progress(console)._pairs([pair])
        return stream.getvalue()

    end = "p = 0.012; the same 100 problems\n"
    assert told(-0.73, -0.8, -0.66) == f"demo-zero against nano-base on sums: +73.0 points (+66.0 to +80.0), {end}"
    assert told(0.02, -0.01, 0.05) == f"nano-base against demo-zero on sums: +2.0 points (-1.0 to +5.0), {end}"
