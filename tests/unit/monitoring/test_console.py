"""What a person sees in the terminal."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text
from tests.made_runs import begin, finished_run
from tests.unit.monitoring.playing import play_stage

from dunwu.analysis.labels import format_duration
from dunwu.analysis.next_steps import suggest_next_steps
from dunwu.analysis.run_description import describe_run
from dunwu.monitoring.console import HEADER_EVERY, ConsoleProgress
from dunwu.runs import RunReader
from dunwu.types import Estimate

METRICS = {"reward": 1.25, "accuracy": 0.5, "format": 0.98, "length": 1234.56, "kl": 0.00123, "tokens": 5000.0}


def plain_console(width: int = 100) -> tuple[Console, io.StringIO]:
    stream = io.StringIO()
    return Console(file=stream, width=width, highlight=False), stream


def test_a_row_has_its_numbers_and_the_time_left(tmp_path: Path) -> None:
    console, stream = plain_console(60)  # narrower than a row, which is not broken
    progress = ConsoleProgress(console)
    with begin(tmp_path) as run:
        progress.start_run(RunReader(tmp_path))
        progress.start_stage("zero", "GRPO [red]", step=16)
        run.stage("zero").append(32, METRICS, {"rollout": 2.0})
        progress.log_step(32, 160, METRICS, {"rollout": 2.0})
    progress.log_step(48, 160, {"reward": 1.25}, {})
    heading, header, first, second = stream.getvalue().splitlines()[-4:]
    assert heading == "zero: GRPO [red], resumed at step 16"
    assert header.split() == ["step", "reward", "right", "format", "length", "kl", "tok/s", "left"]
    assert first.split() == ["32/160", "1.250", "50.0%", "98.0%", "1,234.6", "0.0012", "2,500", "8", "s"]
    assert second.split() == ["48/160", "1.250", "-", "-", "-", "-", "-", "8", "s"]
    assert len(header) == len(first) == len(second) <= 80


def test_a_row_without_a_run_has_no_time_left() -> None:
    console, stream = plain_console()
    progress = ConsoleProgress(console)
    progress.start_stage("zero", "")
    progress.log_step(1, 3, {"reward": 1.0}, {"rollout": 1.0})
    assert stream.getvalue().splitlines()[-1].split()[-1] == "-"


def test_a_stage_that_says_nothing_of_itself_is_timed_too() -> None:
    console, stream = plain_console()
    now = 1000.0
    progress = ConsoleProgress(console, clock=lambda: now)
    progress.number_stage(1, 2)
    now = 1002.0
    progress.end_stage("table")
    assert stream.getvalue() == "[1/2] table done in 2 s\n"


def test_a_stage_of_other_metrics_shows_those() -> None:
    console, stream = plain_console()
    progress = ConsoleProgress(console)
    progress.start_stage("base", "pretraining")
    progress.log_step(10, 20, {"loss": 2.123456, "lr": 3e-4, "grad_norm": 0.5}, {})
    header, row = stream.getvalue().splitlines()[2:]
    assert header.split()[:3] == ["step", "loss", "lr"]
    assert row.split()[:3] == ["10/20", "2.1235", "3.0e-04"]


def test_of_many_short_updates_few_are_shown_the_first_and_the_last_among_them() -> None:
    console, stream = plain_console()
    progress = ConsoleProgress(console)
    progress.start_stage("taught", "")
    for step in range(1, 1001):
        progress.log_step(step, 1000, {"loss": 1.0 / step, "accuracy": 0.5}, {"update": 0.1})
    rows = [line.split() for line in stream.getvalue().splitlines()[2:]]
    steps = [int(row[0].split("/")[0]) for row in rows if row[0] != "step"]
    assert steps == [1, *range(25, 1001, 25)]
    assert rows[0] == ["step", "loss", "right", "left"], "nothing is counted in tokens"


def test_the_header_returns() -> None:
    console, stream = plain_console()
    progress = ConsoleProgress(console)
    progress.start_stage("zero", "")
    for step in range(1, HEADER_EVERY + 2):
        progress.log_step(step, 100, {"reward": 1.0}, {})
    assert [number for number, line in enumerate(stream.getvalue().splitlines()) if "reward" in line] == [
        2,
        3 + HEADER_EVERY,
    ]


def test_without_a_terminal_there_is_no_bar_and_no_escape() -> None:
    console, stream = plain_console()
    progress = ConsoleProgress(console)
    progress.start_evaluation("base", "hard", 10)
    progress.count_completions(5, 10)
    assert stream.getvalue() == "evaluating base on hard: 10 answers\n"
    progress.log_message("loading \x1b[31mred [bold]x")
    assert stream.getvalue().splitlines()[1] == "loading \N{REPLACEMENT CHARACTER}[31mred [bold]x"


def test_the_bar_is_drawn_only_so_often_and_always_when_full() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100, highlight=False)
    now = 10.0
    progress = ConsoleProgress(console, clock=lambda: now)
    progress.count_completions(1, 4)
    drawn = len(stream.getvalue())
    assert "1/4" in stream.getvalue()
    progress.count_completions(2, 4)
    assert len(stream.getvalue()) == drawn
    now = 10.2
    progress.count_completions(3, 4)
    assert "3/4" in stream.getvalue()
    progress.count_completions(4, 4)
    assert "4/4" in stream.getvalue()


def test_what_goes_on_is_shown_until_the_next_line() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=80, highlight=False)
    progress = ConsoleProgress(console, clock=lambda: 10.0)
    progress.show_activity("loading [x]")
    assert "loading [x] ..." in stream.getvalue()
    progress.show_activity("learning", 1, 4)
    assert "1/4" in stream.getvalue(), "another thing is shown at once"
    progress.show_activity("learning", 2, 4)
    assert "2/4" not in stream.getvalue(), "the same thing only now and then"
    progress.log_message("a word")
    assert stream.getvalue().rstrip("\n").endswith("a word")
    plain, written = plain_console()
    ConsoleProgress(plain).show_activity("loading")
    assert written.getvalue() == ""


def test_what_is_counted_says_how_long_it_takes_yet() -> None:
    stream, now = io.StringIO(), 10.0
    progress = ConsoleProgress(Console(file=stream, force_terminal=True, width=80, highlight=False), clock=lambda: now)
    progress.show_activity("learning", 4, 16)  # four were done before
    now = 16.0
    progress.show_activity("learning", 8, 16)
    assert "8/16 12 s" in Text.from_ansi(stream.getvalue()).plain


def test_a_run_says_first_what_it_is_and_last_what_to_do_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr("sys.argv", [".venv/bin/dunwu", "run"])
    console, stream = plain_console(200)
    run = RunReader(finished_run(tmp_path, rollouts=1, problems=2, samples=1))
    progress = ConsoleProgress(console)
    progress.start_run(run)
    assert stream.getvalue() == " ".join(describe_run(run.recipe)) + "\n"
    progress.finish_run(run, tmp_path / "report.html", 1.0)
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
    ConsoleProgress(console).log_evaluation("trained", "countdown", results)
    assert stream.getvalue() == (
        "trained on countdown: pass@1 86.7 % (84–89 %), cons@16 95 % (93–97 %), length 143.2\n"
    )


def test_on_a_narrow_terminal_a_result_stays_on_its_line() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=40, highlight=False, color_system=None)
    results = {name: Estimate(value=0.5, low=0.25, high=0.75) for name in ("pass@1", "pass@16", "cons@16")}
    ConsoleProgress(console).log_evaluation("trained", "held-out", results)
    assert Text.from_ansi(stream.getvalue()).plain.splitlines() == [
        "trained on held-out:",
        "  pass@1 50 % (25–75 %),",
        "  pass@16 50 % (25–75 %),",
        "  cons@16 50 % (25–75 %)",
    ]


def test_one_of_many_runs_ends_with_one_line(tmp_path: Path) -> None:
    console, stream = plain_console()
    begin(tmp_path).close()
    ConsoleProgress(console, advises=False).finish_run(RunReader(tmp_path), tmp_path / "report.html", 312.0)
    ConsoleProgress(console, quiet=True).finish_run(RunReader(tmp_path), tmp_path / "report.html", 20.0)
    report = tmp_path / "report.html"
    assert stream.getvalue() == f"\nDone in 5 min. Report: {report}\nDone in 20 s. Report: {report}\n"


def test_durations() -> None:
    assert [format_duration(seconds) for seconds in (0, 89.4, 600, 7200)] == ["0 s", "89 s", "10 min", "2 h"]


def test_quiet_says_stages_and_evaluations_and_no_rows() -> None:
    file = io.StringIO()
    play_stage(ConsoleProgress(Console(file=file, width=200), quiet=True))
    text = file.getvalue()
    assert "[1/2] zero: from base" in text
    assert "trained on held-out: pass@1 50 %" in text
    assert "a word" in text
    assert "4/8" not in text
    assert "reward" not in text
