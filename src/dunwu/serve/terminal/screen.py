"""What a conversation looks like in a terminal: the chain dimmed, and folded when the answer begins."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Final, TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from dunwu.errors import CONTROL, counted
from dunwu.serve.ballot import Group, Vote
from dunwu.serve.records import Choice, Piece

try:
    import termios
except ImportError:  # there is none on Windows
    termios = None  # type: ignore[assignment]

TAIL: Final = 8
"""Lines of a chain that are shown while it is written."""
CONTROLS: Final = re.compile(f"(?![\n\t]){CONTROL.pattern}")
LOCAL_MODES: Final = 3
"""Where a terminal's attributes say what it does with keys."""
REFRESHES: Final = 12
"""Of the chain's last lines, a second."""


class Screen:
    """Writes to a terminal, or to a pipe: there answers alone go to stdout.

    Args:
        console: where answers go.
        notes: where everything else does.
    """

    def __init__(self, console: Console, notes: Console) -> None:
        self._console, self._notes = console, notes

    def say(self, text: str) -> None:
        """Say something about the conversation."""
        if text:
            self._notes.print(Text(clean(text), style="dim"))

    def complain(self, text: str) -> None:
        """Say what is wrong."""
        self._notes.print(Text(f"error: {clean(text)}", style="red"))

    def show_reply(self, pieces: Iterable[Piece], *, folds: bool) -> None:
        """Write a reply as it comes: the chain dimmed, then the answer.

        Args:
            pieces: of one choice.
            folds: of the chain only the last lines are shown, and when the answer begins nothing but its length.
        """
        start, chain = time.monotonic(), list[str]()
        tail = Live(console=self._notes, transient=True, refresh_per_second=REFRESHES)
        begun = False
        try:
            with tail if folds else nullcontext():  # it would wipe what is printed plainly
                for piece in pieces:
                    if piece.reasoning and folds:
                        chain.append(piece.reasoning)
                        tail.update(_dim_tail("".join(chain), self._notes.width))
                    elif piece.reasoning:
                        chain.append(piece.reasoning)
                        self._write(self._notes, piece.reasoning, "dim")
                    if piece.content:
                        if not begun:
                            if folds:
                                tail.update(Text())
                                tail.stop()
                            self._end_chain("".join(chain), time.monotonic() - start, folds)
                            begun = True
                        self._write(self._console, piece.content, "")
        except KeyboardInterrupt:
            if begun or (chain and not folds):
                self._console.print()  # a part of a line stands there
            raise
        if not begun:
            self._end_chain("".join(chain), time.monotonic() - start, folds)
        self._console.print()

    def show_whole(self, choice: Choice) -> None:
        """Write a reply that is there already."""
        self._write(self._console, choice.content, "")
        self._console.print()

    def show_vote(self, vote: Vote) -> None:
        """Say how a vote ended.

        Args:
            vote: As it stands at its end.
        """
        asked = f"{vote.samples} of {vote.wanted}" if vote.samples < vote.wanted else f"{vote.samples}"
        groups = ", ".join(f"{clean(one.answer):.40}: {_write_votes(one, vote.weighted)}" for one in vote.groups[:5])
        tied = "; tied, the first counts" if vote.tied else ""
        self.say(f"{asked} samples voted: {groups or 'none has an answer'}{tied}")

    def show_guidance(self, *, method: str, score: float, share: float, choices: int, tokens: int) -> None:
        """Say what the guide did; see ``Guided.describe``.

        Args:
            method: ``best_of``, or a search.
            score: What the guide gives the answer.
            share: Of the tokens, how many were dropped.
            choices: How often the guide chose.
            tokens: Written in all.
        """
        did = "took the best" if method == "best_of" else f"chose {counted(choices, 'time')}"
        self.say(f"the guide {did}: score {score:.3g}, {share:.0%} of {counted(tokens, 'token')} dropped")

    def _end_chain(self, chain: str, seconds: float, folds: bool) -> None:
        if chain and folds:
            self.say(f"thought for {seconds:.1f} s, {len(chain):,} characters; /think shows it")
        elif chain:
            self._notes.print()

    @staticmethod
    def _write(console: Console, text: str, style: str) -> None:
        console.print(Text(clean(text), style=style), end="", soft_wrap=True)


@contextmanager
def hide_control_keys(file: TextIO) -> Iterator[None]:
    """Keep a terminal from showing ^C: it would push what is written there into lines that nobody wipes.

    Args:
        file: Where keys are read; anything but a terminal is left as it is.

    Yields:
        Nothing, while it is so.
    """
    if termios is None or not file.isatty():
        yield
        return
    modes = termios.tcgetattr(file)
    hidden = [*modes[:LOCAL_MODES], modes[LOCAL_MODES] & ~termios.ECHOCTL, *modes[LOCAL_MODES + 1 :]]
    termios.tcsetattr(file, termios.TCSANOW, hidden)
    try:
        yield
    finally:
        termios.tcsetattr(file, termios.TCSANOW, modes)


def clean(text: str) -> str:
    """Return a text that a terminal shows and does not obey."""
    return CONTROLS.sub("", text)


def _write_votes(group: Group, weighted: bool) -> str:
    return f"{group.votes}, weight {group.weight:.3g}" if weighted else str(group.votes)


def _dim_tail(chain: str, width: int) -> Text:
    """Return the last lines of a chain, as wide as the terminal."""
    lines = clean(chain)[-TAIL * width :].splitlines()
    return Text("\n".join(lines[-TAIL:]), style="dim", overflow="fold")
