"""Chained arithmetic with parentheses over the integers. The level is the number of operations."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

from dunwu.tasks.task import Draft, Generator

LARGEST = 10_000
RANK = {"+": 1, "-": 1, "*": 2, "/": 2}
SIGN = {"+": "+", "-": "-", "*": "×", "/": "÷"}


class Term(NamedTuple):
    """A number, or an operation on two terms, with its value."""

    value: int
    op: str = ""
    sides: tuple[Term, ...] = ()


def draw_term(rng: random.Random, operations: int) -> Term:
    """Draw a term of this many operations; divisions come out even, and no value is beyond 10,000 either way."""
    if not operations:
        return Term(rng.randint(2, 60))
    while True:
        before = rng.randrange(operations)
        left, right = draw_term(rng, before), draw_term(rng, operations - 1 - before)
        op = rng.choice("++--**/")
        if op == "/" and (right.value in (0, 1) or left.value % right.value):
            continue
        value = apply_operation(left.value, op, right.value)
        if abs(value) <= LARGEST:
            return Term(value, op, (left, right))


def apply_operation(left: int, op: str, right: int) -> int:
    """Apply ``op`` (one of ``+-*/``) to two integers; / must come out even."""
    if op == "/":
        return left // right
    return left + right if op == "+" else left - right if op == "-" else left * right


def format_term(term: Term) -> str:
    """Write a term, with parentheses only where they are needed."""
    if not term.sides:
        return str(term.value)
    left, right = term.sides
    sides = [format_term(left), format_term(right)]
    if left.sides and RANK[left.op] < RANK[term.op]:
        sides[0] = f"({sides[0]})"
    if right.sides and (RANK[right.op] < RANK[term.op] or (RANK[right.op] == RANK[term.op] and term.op in "-/*")):
        sides[1] = f"({sides[1]})"
    return f"{sides[0]} {SIGN[term.op]} {sides[1]}"


def canonicalize(term: Term) -> str:
    """Return a text that is the same for every order and bracketing of one sum or product, a+b-c and b-c+a."""
    if not term.sides:
        return str(term.value)
    pair = ("+", "-") if RANK[term.op] == 1 else ("*", "/")
    return f"({' '.join(sorted(_iterate_members(term, pair, False)))})"


def _iterate_members(term: Term, pair: tuple[str, str], inverse: bool) -> Iterator[str]:
    """Yield the members of a sum or product, each with its sign; ``inverse``: the whole is subtracted or divided by."""
    if term.op not in pair:
        yield pair[inverse] + canonicalize(term)
        return
    left, right = term.sides
    yield from _iterate_members(left, pair, inverse)
    yield from _iterate_members(right, pair, inverse != (term.op == pair[1]))


def pose(term: Term, language: str) -> Draft:
    """Ask for the value of a term."""
    question = f"计算：{format_term(term)}。" if language == "zh" else f"Compute {format_term(term)}."
    return Draft(question=question, gold=str(term.value), kind="number", key=canonicalize(term))


def draft(rng: random.Random, level: int, language: str) -> Draft:
    """Draft a calculation and its value."""
    return pose(draw_term(rng, level), language)


ARITHMETIC = Generator(draft, levels=(1, 2, 3, 4, 5))
