"""Thoughts on which function has these values: a line or a square through two; whoever checks tries the third."""

from __future__ import annotations

from typing import NamedTuple

from dunwu.pretraining.writers.writer import Author, Written
from dunwu.tasks.generators.functions import Induction, draw, source

PATTERN = "{}*x+{}"
"""A function, as it stands in a thought."""


class Guess(NamedTuple):
    """The factor of x (a number or x itself), what is added, and the sums that led there."""

    factor: str
    b: int
    sums: tuple[str, ...]

    @property
    def answer(self) -> str:
        """The function in Python."""
        return source(self.factor, self.b)

    def value(self, x: int) -> int:
        """f(x)."""
        return self._times(x) * x + self.b

    def tried(self, x: int) -> tuple[str, ...]:
        """The sums for f(x)."""
        product = self._times(x) * x
        return f"{self._times(x)}*{x}={product}", f"{product}+{self.b}={self.value(x)}"

    def _times(self, x: int) -> int:
        return x if self.factor == "x" else int(self.factor)


def functions(author: Author) -> Written:
    """Examples of a function, and the function as the author sees it."""
    rng = author.rng
    asked = draw(rng, 2)
    last = asked.inputs[-1]
    guesses = [line(asked), square(asked)]
    rng.shuffle(guesses)
    thought = author.opener()
    if not author.checks:
        guess = guesses[0] if guesses[0].b >= 0 and rng.random() < 0.6 else steep(author, asked)
        thought += author.words.comma.join((*guess.sums, PATTERN.format(guess.factor, guess.b)))
    for turn_of, guess in enumerate(guesses if author.checks else ()):
        thought += author.words.comma.join(guess.sums) + author.words.comma
        if guess.b >= 0:
            tried = (PATTERN.format(guess.factor, guess.b), *guess.tried(last))
            thought += author.words.comma.join(tried) + author.words.comma
            if guess.value(last) == asked.value(last):
                thought += author.words.yes
                break
        thought += author.words.big if guess.b >= 0 and guess.value(last) > asked.value(last) else author.words.small
        turn = "" if turn_of else author.turn()
        thought += turn
        if not turn:
            break
    answer = guess.answer if guess.b >= 0 else source(guess.factor, 0)
    return Written(asked.question(author.asked_in), asked.key, thought + author.end(), answer)


def line(asked: Induction) -> Guess:
    """Through the first two examples; its slope is whole for the squares too."""
    first, second, _ = asked.inputs
    rise, run = asked.value(second) - asked.value(first), second - first
    slope = rise // run
    b = asked.value(first) - slope * first
    sums = (f"{asked.value(second)}-{asked.value(first)}={rise}", f"{second}-{first}={run}", f"{rise}/{run}={slope}")
    return Guess(str(slope), b, (*sums, f"{slope}*{first}={slope * first}", rest(asked.value(first), slope * first)))


def square(asked: Induction) -> Guess:
    """x*x and what is left of the first example."""
    first = asked.inputs[0]
    value = asked.value(first)
    return Guess("x", value - first * first, (f"{first}*{first}={first * first}", rest(value, first * first)))


def steep(author: Author, asked: Induction) -> Guess:
    """Any slope that the first example allows."""
    first = asked.inputs[0]
    value = asked.value(first)
    slope = author.rng.randint(1, max(1, min(9, value // first)))
    return Guess(str(slope), value - slope * first, (f"{slope}*{first}={slope * first}", rest(value, slope * first)))


def rest(whole: int, part: int) -> str:
    """``14-12=2``."""
    return f"{whole}-{part}={whole - part}"
