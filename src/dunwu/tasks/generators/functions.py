"""Small Python functions from examples, as in "f(1)=5, f(4)=14, f(7)=23. Write f.".

Levels: 1 a*x+b; 2 that or x*x+b, which the first two examples cannot tell apart. The answer is a program; it is run on
the examples and on inputs that the question does not show.
"""

from __future__ import annotations

import json
import random
from typing import NamedTuple

from dunwu.tasks.task import Draft, Generator

WORDINGS = {"en": ("f({})={}", ", ", ". Write f."), "zh": ("f({})={}", "、", "。写出f。")}
INPUTS = tuple(range(1, 10))
SHOWN, HIDDEN = 3, 2


class Induction(NamedTuple):
    """A function a*x+b, or x*x+b where ``a`` is 0, and the inputs that are shown, ascending."""

    a: int
    b: int
    inputs: tuple[int, ...]

    def evaluate(self, x: int) -> int:
        """Return f(x)."""
        return (self.a or x) * x + self.b

    def write_question(self, language: str) -> str:
        """Write the question in words."""
        example, joint, end = WORDINGS[language]
        return joint.join(example.format(x, self.evaluate(x)) for x in self.inputs) + end

    @property
    def source(self) -> str:
        """The function in Python."""
        return write_source(str(self.a or "x"), self.b)

    @property
    def key(self) -> str:
        """The content, the same in every language."""
        return f"{self.source} at {self.inputs}"


def write_source(factor: str, b: int) -> str:
    """Write ``def f(x): return 3*x+2``; ``factor`` is a number or x."""
    return f"def f(x): return {factor}*x+{b}"


def draw(rng: random.Random, level: int) -> Induction:
    """Draw a function and three inputs."""
    squared = level > 1 and rng.random() < 0.5
    a, b = (0, rng.randint(0, 20)) if squared else (rng.randint(2, 9), rng.randint(0, 20))
    return Induction(a, b, tuple(sorted(rng.sample(INPUTS, SHOWN))))


def draft(rng: random.Random, level: int, language: str) -> Draft:
    """Draft examples of a function; the tests call it with these and with inputs that are not shown."""
    induction = draw(rng, level)
    others = [x for x in (*INPUTS, 20) if x not in induction.inputs]
    tried = (*induction.inputs, *rng.sample(others, HIDDEN))
    tests = (json.dumps({"call": "f", "args": [x], "result": induction.evaluate(x)}) for x in tried)
    return Draft(
        question=induction.write_question(language),
        gold=induction.source,
        kind="code",
        key=induction.key,
        tests=tuple(tests),
    )


FUNCTIONS = Generator(draft, levels=(1, 2))
