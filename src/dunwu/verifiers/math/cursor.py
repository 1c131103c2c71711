"""What the readers of an expression share: where a parser stands in its tokens, how deep, and what it can read.

``Cursor`` moves over tokens. ``Parser`` adds what readers of numbers, letters and constructs need read for them;
``grammar`` implements it, so that no reader imports the grammar that calls it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from dunwu.verifiers.math.brackets import PAIRS, Unreadable, find_closing
from dunwu.verifiers.math.tokens import Token
from dunwu.verifiers.math.tree import Tree

DEEPEST = 40
"""Brackets, fractions, roots and functions inside one another."""


class Cursor:
    """A place in tokens.

    Attributes:
        tokens: The tokens of one expression; readers may replace those in front of them.
        at: The place of the next one.
        depth: How many brackets, fractions, roots and functions stand around it.
        bars: How many | are open.
        angular: Whether ° is a unit here.
    """

    def __init__(self, tokens: Sequence[Token], depth: int = 0, bars: int = 0) -> None:
        self.tokens = list(tokens)
        self.at = 0
        self.depth = depth
        self.bars = bars
        self.angular = False

    def peek(self, ahead: int = 0) -> Token | None:
        """Return the token here, or so many further on."""
        place = self.at + ahead
        return self.tokens[place] if 0 <= place < len(self.tokens) else None

    def peek_sign(self, ahead: int = 0) -> str:
        """Return the sign here; "" where there is none."""
        token = self.peek(ahead)
        return token.text if token and token.kind == "sign" else ""

    def take(self, *signs: str) -> str:
        """Take the sign here if it is one of these, and return it; "" otherwise."""
        sign = self.peek_sign()
        if sign and sign in signs:
            self.at += 1
            return sign
        return ""

    def take_token(self) -> Token:
        """Take the token here.

        Raises:
            Unreadable: There is none.
        """
        token = self.peek()
        if token is None:
            raise Unreadable("it ends too early")
        self.at += 1
        return token

    @contextmanager
    def descend(self, angular: bool | None = None) -> Iterator[None]:
        """Read one level further in.

        Args:
            angular: Whether ° is the unit of what is read there; None: as here.

        Raises:
            Unreadable: That is deeper than ``DEEPEST``.
        """
        if self.depth >= DEEPEST:
            raise Unreadable(f"deeper than {DEEPEST} levels")
        before, self.depth = self.angular, self.depth + 1
        self.angular = before if angular is None else angular
        try:
            yield
        finally:
            self.depth, self.angular = self.depth - 1, before

    def take_bracket(self) -> list[Token]:
        """Take the bracket that opens here, and return what stands in it.

        Raises:
            Unreadable: It does not close.
        """
        end = find_closing(self.tokens, self.at)
        if end < 0 or PAIRS[self.tokens[self.at].text] != self.tokens[end].text:
            raise Unreadable("a bracket is not closed")
        tokens = self.tokens[self.at + 1 : end]
        self.at = end + 1
        return tokens


class Parser(Cursor, ABC):
    """A cursor that reads expressions. Every method takes what it reads, and raises Unreadable."""

    @abstractmethod
    def read_inside(self, tokens: Sequence[Token]) -> Tree:
        """Read tokens that stand in brackets of this expression."""

    @abstractmethod
    def read_product(self, functions: bool = True, division: bool = True) -> Tree:
        """Read factors, with signs between them or without.

        Args:
            functions: Whether a function or ``*`` may follow; an argument without brackets ends before them.
            division: Whether a stroke may follow: it belongs to the argument of an angle only.
        """

    @abstractmethod
    def read_power(self) -> Tree:
        """Read an atom with what stands above and behind it."""

    @abstractmethod
    def read_exponent(self) -> Tree:
        """Read what stands above: a group, a number, or one letter; ``x^12`` is read as it is meant."""

    @abstractmethod
    def read_argument(self) -> Tree:
        """Read the argument of a command."""

    @abstractmethod
    def take_piece(self) -> list[Token] | Tree:
        r"""Take the tokens of an argument, or read a command without braces: ``\frac\pi6``, ``\sqrt\frac12``."""

    @abstractmethod
    def take_argument(self, short: bool = False) -> list[Token]:
        r"""Take the tokens of an argument: a group, a bracket, one digit of ``\frac12``, a letter, a command.

        Args:
            short: Of an index or a bound, where several digits or letters without braces belong together.
        """
