"""What a terminal gets: a chain that is not folded stays where it is printed."""

import io
import os
import re
import termios
from collections.abc import Iterator
from contextlib import nullcontext

import pytest
from rich.console import Console

from dunwu.serve.records import Piece
from dunwu.serve.terminal.screen import Screen, hide_control_keys

ERASE = "\x1b[2K"
PIECES = [Piece(index=0, reasoning="15 + "), Piece(index=0, reasoning="7"), Piece(index=0, content="22", finish="stop")]


def stop_after(count: int) -> Iterator[Piece]:
    """Yield so many pieces, until the user presses Ctrl-C."""
    yield from PIECES[:count]
    raise KeyboardInterrupt


@pytest.mark.parametrize(("folds", "count", "left"), [(True, 2, ""), (True, 3, "22\n"), (False, 2, "15 + 7\n")])
def test_what_follows_a_stopped_answer_begins_a_line(folds: bool, count: int, left: str) -> None:
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=80, no_color=True)
    with pytest.raises(KeyboardInterrupt):
        Screen(console, console).show_reply(stop_after(count), folds=folds)
    plain = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", shown.getvalue().rpartition(ERASE)[2])
    assert plain.rpartition("shows it\n")[2] == left


@pytest.mark.parametrize("hidden", [False, True])
def test_a_terminal_does_not_show_control_keys_while_an_answer_is_written(hidden: bool) -> None:
    keyboard, terminal = os.openpty()
    with open(terminal) as keys:  # closed, it frees the terminal
        before = termios.tcgetattr(keys)
        with hide_control_keys(keys) if hidden else nullcontext():
            os.write(keyboard, b"\x07x")
            echo = os.read(keyboard, 64)
            while not echo.endswith(b"x"):
                echo += os.read(keyboard, 64)
        assert echo == (b"\x07x" if hidden else b"^Gx")
        assert termios.tcgetattr(keys) == before
    os.close(keyboard)


@pytest.mark.parametrize("folds", [False, True])
def test_a_chain_that_is_not_folded_stays(folds: bool) -> None:
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=80, no_color=True)
    Screen(console, console).show_reply(iter(PIECES), folds=folds)
    text = shown.getvalue()
    assert "22" in text
    assert (ERASE in text) == folds
    assert ("6 characters" in text) == folds
