"""Write about which function has some values: a line or a square through two; who checks tries the third."""

from __future__ import annotations

from typing import NamedTuple

from dunwu.pretraining.writers.writer import Trace, Writer
from dunwu.tasks.generators.functions import Induction, draw, write_source

PATTERN = "{}*x+{}"
"""A function, as it stands in a thought."""


class Guess(NamedTuple):
    """A function ``factor * x + b``.

    Attributes:
        factor: A number, or x itself.
        b: What is added.
        sums: The arithmetic that led there.
    """

    factor: str
    b: int
    sums: tuple[str, ...]

    @property
    def answer(self) -> str:
        """The function in Python."""
        return write_source(self.factor, self.b)

    def value(self, x: int) -> int:
        """Return f(x)."""
        return self._factor_at(x) * x + self.b

    def steps(self, x: int) -> tuple[str, ...]:
        """Return the arithmetic of f(x)."""
        product = self._factor_at(x) * x
        return f"{self._factor_at(x)}*{x}={product}", f"{product}+{self.b}={self.value(x)}"

    def _factor_at(self, x: int) -> int:
        return x if self.factor == "x" else int(self.factor)


def write_function(writer: Writer) -> Trace:
    """Write about examples of a function, and the function as the writer sees it."""
    rng = writer.rng
    asked = draw(rng, 2)
    last = asked.inputs[-1]
    guesses = [guess_line(asked), guess_square(asked)]
    rng.shuffle(guesses)
    thought = writer.begin()
    if not writer.checks:
        guess = guesses[0] if guesses[0].b >= 0 and rng.random() < 0.6 else guess_any_slope(writer, asked)
        thought += writer.next_words().comma.join((*guess.sums, PATTERN.format(guess.factor, guess.b)))
    for number, guess in enumerate(guesses if writer.checks else ()):
        thought += writer.next_words().comma.join(guess.sums) + writer.next_words().comma
        if guess.b >= 0:
            steps = (PATTERN.format(guess.factor, guess.b), *guess.steps(last))
            thought += writer.next_words().comma.join(steps) + writer.next_words().comma
            if guess.value(last) == asked.evaluate(last):
                thought += writer.next_words().yes
                break
        too_big = guess.b >= 0 and guess.value(last) > asked.evaluate(last)
        thought += writer.next_words().big if too_big else writer.next_words().small
        turn = "" if number else writer.reflect()
        thought += turn
        if not turn:
            break
    answer = guess.answer if guess.b >= 0 else write_source(guess.factor, 0)
    return Trace(asked.write_question(writer.question_language), asked.key, thought + writer.end(), answer)


def guess_line(asked: Induction) -> Guess:
    """Guess the line through the first two examples; its slope is whole for squares too."""
    first, second, _ = asked.inputs
    rise, run = asked.evaluate(second) - asked.evaluate(first), second - first
    slope = rise // run
    b = asked.evaluate(first) - slope * first
    sums = (
        f"{asked.evaluate(second)}-{asked.evaluate(first)}={rise}",
        f"{second}-{first}={run}",
        f"{rise}/{run}={slope}",
    )
    return Guess(
        str(slope), b, (*sums, f"{slope}*{first}={slope * first}", _subtract(asked.evaluate(first), slope * first))
    )


def guess_square(asked: Induction) -> Guess:
    """Guess x*x and what is left of the first example."""
    first = asked.inputs[0]
    value = asked.evaluate(first)
    return Guess("x", value - first * first, (f"{first}*{first}={first * first}", _subtract(value, first * first)))


def guess_any_slope(writer: Writer, asked: Induction) -> Guess:
    """Guess any slope that the first example allows."""
    first = asked.inputs[0]
    value = asked.evaluate(first)
    slope = writer.rng.randint(1, max(1, min(9, value // first)))
    return Guess(
        str(slope), value - slope * first, (f"{slope}*{first}={slope * first}", _subtract(value, slope * first))
    )


def _subtract(whole: int, part: int) -> str:
    """Write ``14-12=2``."""
    return f"{whole}-{part}={whole - part}"
