"""Where a parser stands in its tokens, and how deep."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from dunwu.verifiers.math.brackets import Unreadable, closing
from dunwu.verifiers.math.tokens import Token

DEEPEST = 40
"""Brackets, fractions, roots and functions inside one another."""
PAIRS = {"(": ")", "[": "]", "{": "}", "\\{": "\\}", "⟨": "⟩"}


class Cursor:
    """``at`` is the next token; ``angular`` says whether ° is a unit here, ``bars`` how many | are open."""

    def __init__(self, tokens: Sequence[Token], depth: int = 0, bars: int = 0) -> None:
        self.tokens = list(tokens)
        self.at = 0
        self.depth = depth
        self.bars = bars
        self.angular = False

    def peek(self, ahead: int = 0) -> Token | None:
        """The token here, or so many further."""
        place = self.at + ahead
        return self.tokens[place] if 0 <= place < len(self.tokens) else None

    def sign(self, ahead: int = 0) -> str:
        """The sign here; "" where there is none."""
        token = self.peek(ahead)
        return token.text if token and token.kind == "sign" else ""

    def take(self, *signs: str) -> str:
        """The sign here, taken, if it is one of these."""
        sign = self.sign()
        if sign and sign in signs:
            self.at += 1
            return sign
        return ""

    def next(self) -> Token:
        """The token here, taken."""
        token = self.peek()
        if token is None:
            raise Unreadable("it ends too early")
        self.at += 1
        return token

    @contextmanager
    def deeper(self, angular: bool | None = None) -> Iterator[None]:
        """One level further in; ``angular`` says whether ° is the unit of what is read there."""
        if self.depth >= DEEPEST:
            raise Unreadable(f"deeper than {DEEPEST} levels")
        before, self.depth = self.angular, self.depth + 1
        self.angular = before if angular is None else angular
        try:
            yield
        finally:
            self.depth, self.angular = self.depth - 1, before

    def enclosed(self) -> list[Token]:
        """The tokens of the bracket that opens here, which is taken whole."""
        end = closing(self.tokens, self.at)
        if end < 0 or PAIRS[self.tokens[self.at].text] != self.tokens[end].text:
            raise Unreadable("a bracket is not closed")
        tokens = self.tokens[self.at + 1 : end]
        self.at = end + 1
        return tokens
