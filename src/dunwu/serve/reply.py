"""What whoever asked the service holds: the answers to one request, while they are written."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from threading import Event
from typing import Protocol

from dunwu.errors import Fault
from dunwu.rollout.builtin.scheduler import SequenceState
from dunwu.serve.records import Choice, Piece
from dunwu.serve.writer import Writer


class Owner(Protocol):
    """What writes a reply: the service."""

    def wait_until(self, is_met: Callable[[], bool]) -> None:
        """Wait in the caller's thread until a condition is met that replies change."""

    def cancel(self, reply: Reply) -> None:
        """Give up what of a reply is unfinished."""


class Reply:
    """The answers to one request, while they are written.

    Attributes:
        prompt_tokens: how many tokens the model was asked with.
        streams: whoever asked wants pieces as they come, and not the whole alone.
        error: what went wrong on the way.
        is_cancelled: nobody wants it any more; there is nothing to collect.
        rows: the sequences that a batch has; a cancelled reply loses them before the next step.
    """

    def __init__(self, owner: Owner, writers: Sequence[Writer], prompt_tokens: int, streams: bool) -> None:
        self.prompt_tokens, self.streams = prompt_tokens, streams
        self.error: Fault | None = None
        self._owner = owner
        self.writers = tuple(writers)
        self.states: set[SequenceState] = set()
        self.rows: set[SequenceState] = set()
        self.unfinished = len(self.writers)
        self.is_cancelled = False

    def count_down(self) -> None:
        """Count an answer that has ended; a reply that was given up meanwhile has none to count."""
        self.unfinished = max(0, self.unfinished - 1)

    @property
    def is_finished(self) -> bool:
        """Whether all answers have ended, or the reply was cancelled."""
        return self.unfinished == 0

    def take(self) -> list[Piece]:
        """Return what the answers have gained since the last call.

        Raises:
            Fault: the service failed on the way.
        """
        if self.error is not None:
            raise self.error
        return [piece for writer in self.writers if (piece := writer.take())]

    def wait(self) -> Generator[Piece]:
        """Yield pieces as they come, until all answers have ended. Who stops listening cancels the rest."""
        try:
            while True:
                finished = self.is_finished
                yield from self.take()
                if finished:
                    return
                self._owner.wait_until(lambda: self.is_finished or any(one.has_news for one in self.writers))
        finally:
            self.cancel()

    def join(self, left: Event | None = None) -> None:
        """Wait until all answers have ended.

        Args:
            left: set when nobody waits any more: the reply is cancelled.

        Raises:
            Fault: whoever waited has left.
        """
        try:
            self._owner.wait_until(lambda: self.is_finished or (left is not None and left.is_set()))
            if not self.is_finished:
                raise Fault("whoever asked has left")
        finally:
            self.cancel()

    def settle(self) -> None:
        """Cancel, and wait until no batch writes for it: what was written is then all that will be."""
        self.cancel()
        self._owner.wait_until(lambda: not self.rows)

    def count_tokens(self) -> tuple[int, int]:
        """Count the tokens that have been written so far, and those of them that are reasoning."""
        return sum(writer.tokens for writer in self.writers), sum(writer.thinking_tokens for writer in self.writers)

    def collect(self) -> list[Choice]:
        """Return the finished answers.

        Raises:
            Fault: the service failed on the way.
        """
        if self.error is not None:
            raise self.error
        return [writer.collect() for writer in self.writers]

    def cancel(self) -> None:
        """Give up what is unfinished; its rows are free with the next step."""
        if not self.is_finished:
            self._owner.cancel(self)
