"""How someone writes: in which language, checking or not; and what comes out."""

from __future__ import annotations

import random
from typing import NamedTuple

from dunwu.pretraining.countdown_corpus import LEXICONS, Lexicon


class Written(NamedTuple):
    """A question, the key by which it is held out or not, and what an author made of it."""

    question: str
    key: str
    thought: str
    answer: str


class Author:
    """One author of one document.

    Args:
        rng: of the document.
        asked_in: the language of the question, which is the author's too where ``mixes`` is false; else it changes
            from phrase to phrase.
        checks: whether the author looks if what was found is right.
        quits: how often one who checks gives up after a miss.
    """

    def __init__(self, rng: random.Random, asked_in: str, *, mixes: bool, checks: bool, quits: float) -> None:
        self.rng = rng
        self.asked_in = asked_in
        self.checks = checks
        self._mixes = mixes
        self._quits = quits

    @property
    def language(self) -> str:
        """Of the next phrase."""
        return self.rng.choice(("en", "zh")) if self._mixes else self.asked_in

    @property
    def words(self) -> Lexicon:
        """For the next phrase."""
        return LEXICONS[self.language]

    def opener(self) -> str:
        """How a thought begins; mostly with nothing."""
        return self.rng.choice(self.words.openers) if self.rng.random() < 0.25 else ""

    def turn(self) -> str:
        """A word of reflection after a miss; nothing where the author gives up."""
        if self.rng.random() < self._quits:
            return ""
        turns, weights = zip(*self.words.turns, strict=True)
        turn: str = self.rng.choices(turns, weights)[0]
        return turn

    def end(self) -> str:
        """A closing remark, or none, and the full stop."""
        return ("" if self.checks else self.rng.choice(self.words.closers)) + self.words.stop
