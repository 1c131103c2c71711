"""Chained arithmetic with parentheses over the integers. The level is the number of operations."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

from dunwu.tasks.task import Draft, Family

LARGEST = 10_000
RANK = {"+": 1, "-": 1, "*": 2, "/": 2}
SIGN = {"+": "+", "-": "-", "*": "×", "/": "÷"}


class Term(NamedTuple):
    """A number, or an operation on two terms, with its value."""

    value: int
    op: str = ""
    sides: tuple[Term, ...] = ()


def random_term(rng: random.Random, operations: int) -> Term:
    """A term with so many operations; divisions come out even, and no value is beyond 10,000 either way."""
    if not operations:
        return Term(rng.randint(2, 60))
    while True:
        before = rng.randrange(operations)
        left, right = random_term(rng, before), random_term(rng, operations - 1 - before)
        op = rng.choice("++--**/")
        if op == "/" and (right.value in (0, 1) or left.value % right.value):
            continue
        value = apply(left.value, op, right.value)
        if abs(value) <= LARGEST:
            return Term(value, op, (left, right))


def apply(left: int, op: str, right: int) -> int:
    """One operation; / must come out even."""
    if op == "/":
        return left // right
    return left + right if op == "+" else left - right if op == "-" else left * right


def written(term: Term) -> str:
    """With parentheses only where they are needed."""
    if not term.sides:
        return str(term.value)
    left, right = term.sides
    sides = [written(left), written(right)]
    if left.sides and RANK[left.op] < RANK[term.op]:
        sides[0] = f"({sides[0]})"
    if right.sides and (RANK[right.op] < RANK[term.op] or (RANK[right.op] == RANK[term.op] and term.op in "-/*")):
        sides[1] = f"({sides[1]})"
    return f"{sides[0]} {SIGN[term.op]} {sides[1]}"


def canonical(term: Term) -> str:
    """The same for every order and bracketing of one sum or product: a + (b - c), (a + b) - c and b + a - c."""
    if not term.sides:
        return str(term.value)
    pair = ("+", "-") if RANK[term.op] == 1 else ("*", "/")
    return f"({' '.join(sorted(_chained(term, pair, False)))})"


def _chained(term: Term, pair: tuple[str, str], inverse: bool) -> Iterator[str]:
    """The members of a sum (or product), each with its sign; ``inverse`` where the whole is subtracted (divided by)."""
    if term.op not in pair:
        yield pair[inverse] + canonical(term)
        return
    left, right = term.sides
    yield from _chained(left, pair, inverse)
    yield from _chained(right, pair, inverse != (term.op == pair[1]))


def draft(rng: random.Random, level: int, language: str) -> Draft:
    """A calculation and its value."""
    term = random_term(rng, level)
    question = f"计算：{written(term)}。" if language == "zh" else f"Compute {written(term)}."
    return Draft(question=question, gold=str(term.value), kind="number", key=canonical(term))


ARITHMETIC = Family(name="arithmetic", levels=(1, 2, 3, 4, 5), draft=draft)
