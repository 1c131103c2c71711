"""Progress in a notebook: one output a cell that is updated, with a bar while something goes on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import IPython
import pytest
from tests.unit.monitoring.playing import play_stage

from dunwu.monitoring.console import ConsoleProgress
from dunwu.monitoring.json_lines import JsonProgress
from dunwu.monitoring.monitors import open_monitor
from dunwu.monitoring.notebook import NotebookProgress, find_shell


class Cells:
    """What a kernel shows: the outputs that were begun, each with every content that it had."""

    def __init__(self) -> None:
        self.shell = SimpleNamespace(kernel=object(), execution_count=1)
        self.outputs: list[list[dict[str, str]]] = []

    def display(self, data: dict[str, str], *, raw: bool, display_id: bool) -> Any:
        assert raw
        assert display_id
        history = [data]
        self.outputs.append(history)
        return SimpleNamespace(update=lambda data, raw: history.append(data))


@pytest.fixture
def cells(monkeypatch: pytest.MonkeyPatch) -> Cells:
    found = Cells()
    monkeypatch.setattr(IPython, "get_ipython", lambda: found.shell)
    monkeypatch.setattr("IPython.display.display", found.display)
    return found


def test_a_stage_is_one_output_that_ends_without_a_bar(cells: Cells) -> None:
    play_stage(NotebookProgress(lambda: 10.0))
    (output,) = cells.outputs
    assert any('<progress value="8" max="8">' in shown["text/html"] for shown in output)
    assert "<progress" not in output[-1]["text/html"]
    lines = output[-1]["text/plain"].splitlines()
    assert any(line.split()[:3] == ["4/8", "1.000", "50.0%"] for line in lines)
    assert "base on held-out: pass@1 50 % (40–60 %)" in lines
    assert "\x1b" not in output[-1]["text/plain"]


def test_what_cannot_be_counted_has_a_bar_without_an_end_and_markup_stays_text(cells: Cells) -> None:
    progress = NotebookProgress(lambda: 10.0)
    progress.show_activity("loading <b>")
    progress.log_message("a <script> of a model's")
    (output,) = cells.outputs
    assert output[0]["text/html"] == "<div><progress></progress> loading &lt;b&gt; ...</div>"
    assert "a &lt;script&gt; of a model&#39;s" in output[-1]["text/html"]


def test_each_cell_has_an_output_of_its_own(cells: Cells) -> None:
    progress = NotebookProgress(lambda: 10.0)
    progress.count_completions(1, 4)
    progress.close()
    progress.log_message("of the first")
    cells.shell.execution_count = 2
    progress.count_completions(2, 4)
    progress.close()
    first, second = cells.outputs
    assert first[-1]["text/plain"] == "of the first\n"
    assert 'value="2"' in second[0]["text/html"]
    assert second[-1] == {"text/html": "", "text/plain": ""}


def test_quiet_shows_no_bar(cells: Cells) -> None:
    progress = NotebookProgress(lambda: 10.0, quiet=True)
    progress.count_completions(1, 4)
    progress.close()
    assert cells.outputs == []


def test_where_there_is_no_notebook_a_terminal_is_written_to(cells: Cells, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(open_monitor("rich"), NotebookProgress)
    assert isinstance(open_monitor("json"), JsonProgress)
    monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace())  # IPython in a terminal
    assert find_shell() is None
    assert type(open_monitor("quiet")) is ConsoleProgress
