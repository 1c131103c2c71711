"""How someone writes: in which language, checking or not; and the trace that comes out."""

from __future__ import annotations

import random
from typing import NamedTuple

from dunwu.pretraining.lexicon import LEXICONS, Lexicon


class Trace(NamedTuple):
    """A question, the key that decides whether it is held out, and what a writer made of it."""

    question: str
    key: str
    thought: str
    answer: str


class Writer:
    """The writer of one document.

    Args:
        rng: The document's.
        question_language: The language of the question (``en`` or ``zh``), which is the writer's too unless ``mixes``.
        mixes: Whether the writer's language changes from phrase to phrase.
        checks: Whether the writer looks if what was found is right.
        quits: How often one who checks gives up after a miss, in [0, 1].
    """

    def __init__(self, rng: random.Random, question_language: str, *, mixes: bool, checks: bool, quits: float) -> None:
        self.rng = rng
        self.question_language = question_language
        self.checks = checks
        self._mixes = mixes
        self._quits = quits

    def next_language(self) -> str:
        """Choose the language of the next phrase."""
        return self.rng.choice(("en", "zh")) if self._mixes else self.question_language

    def next_words(self) -> Lexicon:
        """Choose the words of the next phrase."""
        return LEXICONS[self.next_language()]

    def begin(self) -> str:
        """Write how a thought begins; mostly nothing."""
        return self.rng.choice(self.next_words().openers) if self.rng.random() < 0.25 else ""

    def reflect(self) -> str:
        """Write a word of reflection after a miss; nothing where the writer gives up."""
        if self.rng.random() < self._quits:
            return ""
        turns, weights = zip(*self.next_words().turns, strict=True)
        turn: str = self.rng.choices(turns, weights)[0]
        return turn

    def end(self) -> str:
        """Write a closing remark, or none, and the full stop."""
        return ("" if self.checks else self.rng.choice(self.next_words().closers)) + self.next_words().stop
