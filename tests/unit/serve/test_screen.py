"""What a terminal gets: a chain that is not folded stays where it is printed."""

import io

import pytest
from rich.console import Console

from dunwu.serve.records import Piece
from dunwu.serve.terminal.screen import Screen

ERASE = "\x1b[2K"
PIECES = [Piece(index=0, reasoning="15 + "), Piece(index=0, reasoning="7"), Piece(index=0, content="22", finish="stop")]


@pytest.mark.parametrize("folds", [False, True])
def test_a_chain_that_is_not_folded_stays(folds: bool) -> None:
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=80, no_color=True)
    Screen(console, console).show_reply(iter(PIECES), folds=folds)
    text = shown.getvalue()
    assert "22" in text
    assert (ERASE in text) == folds
    assert ("6 characters" in text) == folds
