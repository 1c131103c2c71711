"""Countdown: reach a target with given numbers, each exactly once, and + - * /.

The level is the number of numbers. Every problem is solvable without leaving the positive integers, though an answer
that goes through fractions is right too. ``list_moves`` is the one definition of a step, for the generator, the
search traces of the nano corpus, and the tests.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import lru_cache
from itertools import combinations
from typing import NamedTuple

from dunwu.tasks.task import Draft, Generator

SMALLEST, LARGEST = 1, 13
LOWEST_TARGET, HIGHEST_TARGET = 1, 99
LARGEST_INTERMEDIATE = 200
EXHAUSTIVE = 4
"""Up to this many numbers, everything reachable is worked out."""


class Move(NamedTuple):
    """One step of arithmetic: ``left op right = result``, with what is left to use (sorted, the result included)."""

    left: int
    op: str
    right: int
    result: int
    numbers: tuple[int, ...]


@lru_cache(maxsize=200_000)
def list_moves(numbers: tuple[int, ...]) -> tuple[Move, ...]:
    """List every distinct step from ``numbers`` that stays a positive integer up to 200, the larger number first."""
    found: dict[tuple[int, str, int], Move] = {}
    for i, j in combinations(range(len(numbers)), 2):
        right, left = sorted((numbers[i], numbers[j]))
        rest = [n for k, n in enumerate(numbers) if k not in (i, j)]
        for op, result in _results(left, right):
            if 0 < result <= LARGEST_INTERMEDIATE:
                found[left, op, right] = Move(left, op, right, result, tuple(sorted([*rest, result])))
    return tuple(found.values())


def _results(left: int, right: int) -> Iterator[tuple[str, int]]:
    yield "+", left + right
    yield "*", left * right
    yield "-", left - right
    if right > 1 and left % right == 0:
        yield "/", left // right


@lru_cache(maxsize=200_000)
def find_reachable(numbers: tuple[int, ...]) -> frozenset[int]:
    """Find every value that ``list_moves`` can make of all of ``numbers`` (sorted)."""
    if len(numbers) == 1:
        return frozenset(numbers)
    return frozenset[int]().union(*(find_reachable(move.numbers) for move in list_moves(numbers)))


def draw_instance(rng: random.Random, level: int) -> tuple[tuple[int, ...], int]:
    """Draw numbers, in the order in which they are shown, and a target that they reach.

    Up to four numbers the target is uniform over what they reach. Beyond, where that set costs seconds, it is where a
    random chain of moves ends.
    """
    while True:
        numbers = tuple(rng.randint(SMALLEST, LARGEST) for _ in range(level))
        targets = find_reachable(tuple(sorted(numbers))) if level <= EXHAUSTIVE else {walk(rng, numbers)}
        fitting = sorted(t for t in targets if LOWEST_TARGET <= t <= HIGHEST_TARGET)
        if fitting:
            return numbers, rng.choice(fitting)


def walk(rng: random.Random, numbers: tuple[int, ...]) -> int:
    """Return where a random chain of moves ends."""
    state = tuple(sorted(numbers))
    while len(state) > 1:
        state = rng.choice(list_moves(state)).numbers
    return state[0]


def make_key(numbers: tuple[int, ...], target: int) -> str:
    """Make the key of a problem, the same for every order of its numbers: ``3,5,7=36``."""
    return f"{','.join(map(str, sorted(numbers)))}={target}"


def write_question(numbers: tuple[int, ...], target: int, language: str) -> str:
    """Write the question as a sentence.

    Args:
        numbers: To use, in the order in which they are shown.
        target: To reach.
        language: ``en`` or ``zh``.
    """
    if language == "zh":
        listed = "、".join(map(str, numbers[:-1]))
        return f"用{listed}和{numbers[-1]}各一次，加减乘除，得到{target}。"
    listed = ", ".join(map(str, numbers[:-1]))
    return f"Use {listed} and {numbers[-1]} once each with + - * / to make {target}."


def write_expression(steps: list[Move]) -> str:
    """Write the expression that a chain of moves computes, ``(5+3)*7``; every inner step in parentheses."""
    made: dict[int, list[str]] = {}
    text = ""
    for step in steps:
        left, right = (_take(made, n) for n in (step.left, step.right))
        text = f"{left}{step.op}{right}"
        made.setdefault(step.result, []).append(f"({text})")
    return text


def _take(made: dict[int, list[str]], number: int) -> str:
    waiting = made.get(number)
    return waiting.pop() if waiting else str(number)


def solve(numbers: tuple[int, ...], target: int) -> list[Move]:
    """Find the first chain of moves that reaches the target, depth first; [] where there is none."""
    for move in list_moves(tuple(sorted(numbers))):
        if len(move.numbers) == 1:
            if move.result == target:
                return [move]
        elif len(move.numbers) > EXHAUSTIVE or target in find_reachable(move.numbers):
            rest = solve(move.numbers, target)
            if rest:
                return [move, *rest]
    return []


def draft(rng: random.Random, level: int, language: str) -> Draft:
    """Draft a problem with ``level`` numbers; its gold is the first chain of moves that reaches the target."""
    numbers, target = draw_instance(rng, level)
    return Draft(
        question=write_question(numbers, target, language),
        gold=write_expression(solve(numbers, target)),
        kind="expression",
        key=make_key(numbers, target),
        tests=(str(target), *map(str, numbers)),
    )


COUNTDOWN = Generator(draft, levels=(3, 4, 5, 6))
