"""Verifier throughput: our grader, whole, beside math-verify's ``parse`` and ``verify`` alone, on the same answers.

The answers are made here, fresh for every round, so that neither side can remember: the mix of MATH-500's answers
(seven integers in ten, then fractions, surds, tuples, intervals, polynomials), half of them respelled and right, half
near misses; and Countdown expressions, for which math-verify checks the value only. Threads and processes: ours one
worker process beside the caller, math-verify in the caller. Ours does more for it: extraction, format rule, guards
against false accepts, a process that can be killed.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dunwu.bench.agreement import measure_agreement
from dunwu.config.schema import RewardSpec
from dunwu.errors import UserError
from dunwu.tasks.generators import countdown
from dunwu.types import Completion, Message, Problem
from dunwu.verifiers import RewardGrader

PAIRS = 400
ROUNDS = 5
PEER = "math-verify"

Pair = tuple[Problem, Completion]


def measure(against: Sequence[str] = (PEER,), data: Sequence[Path] = ()) -> dict[str, dict[str, Any]]:
    """Measure the answers graded a second.

    Args:
        against: ``math-verify`` or nothing.
        data: Files of golds; where there are some, their agreement is measured instead (``agreement``).

    Returns:
        By workload the medians of ``ROUNDS`` rounds in turns, ours and the peer's, and their ratio.

    Raises:
        UserError: A peer other than ``math-verify``; a file cannot be read.
    """
    for peer in against:
        if peer != PEER:
            raise UserError(f"no such peer: {peer}; verifiers are measured against {PEER}", field="--against")
    if data:
        return measure_agreement(data, against)
    makers = {"math": make_math_pair, "expression": make_expression_pair}
    return {name: _measure(make, bool(against)) for name, make in makers.items()}


def _measure(make: Callable[[random.Random], Pair], with_peer: bool) -> dict[str, Any]:
    ours, theirs = [], []
    for number in range(ROUNDS):
        rng = random.Random(number)
        pairs = [make(rng) for _ in range(PAIRS)]
        with RewardGrader(RewardSpec(timeout_seconds=5.0)) as grader:
            grader.score(_problem("math", "2"), _completion(r"\sqrt{4}"))  # the worker is up
            ours.append(_rate(partial(_grade_all, grader, pairs)))
        if with_peer:
            theirs.append(_rate(partial(_verify_all, pairs)))
    rate = statistics.median(ours)
    peers = {PEER: statistics.median(theirs)} if with_peer else {}
    ratio = rate / peers[PEER] if peers else None
    return {"ours": rate, "unit": "answers/s", "peers": peers, "ratio": ratio, "floor_share": None}


def _rate(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return PAIRS / (time.perf_counter() - start)


def _grade_all(grader: RewardGrader, pairs: Sequence[Pair]) -> None:
    for problem, completion in pairs:
        grader.score(problem, completion)


def _verify_all(pairs: Sequence[Pair]) -> None:
    from math_verify import parse, verify

    for problem, completion in pairs:
        gold = problem.tests[0] if problem.kind == "expression" else problem.gold
        verify(parse(f"${gold}$"), parse(completion.text))


def make_math_pair(rng: random.Random) -> Pair:
    """Make a gold and an answer, which is right half the time."""
    a, b, c = rng.randint(2, 999), rng.randint(2, 99), rng.choice((2, 3, 5, 7, 11, 13))
    d = a + rng.randint(1, 9)
    right = rng.random() < 0.5
    forms = (
        (str(a), f"{a}.0" if right else str(d)),
        (rf"\frac{{{a}}}{{{b}}}", rf"\dfrac{{{2 * a}}}{{{2 * b}}}" if right else rf"\frac{{{d}}}{{{b}}}"),
        (rf"{b}\sqrt{{{c}}}", rf"\sqrt{{{b * b * c}}}" if right else rf"{b}\sqrt{{{c + 1}}}"),
        (rf"\left({a}, {b}\right)", f"({a},{b})" if right else f"({b},{a + 1})"),
        (rf"({-a}, {b}]", f"({-a},{b}]" if right else f"[{-a},{b})"),
        (f"{b}x^2 - {c}x", f"x({b}x - {c})" if right else f"{b}x^2 + {c}x"),
    )
    gold, answer = rng.choices(forms, weights=(70, 12, 6, 4, 4, 4))[0]
    return _problem("math", gold), _completion(answer)


def make_expression_pair(rng: random.Random) -> Pair:
    """Make a Countdown problem with four numbers; its answer is the gold, or the gold with one operator changed."""
    draft = countdown.draft(rng, 4, "en")
    answer = draft.gold if rng.random() < 0.5 else draft.gold.replace("+", "-", 1)
    return _problem("expression", draft.gold, draft.tests), _completion(answer)


def _problem(kind: str, gold: str, tests: tuple[str, ...] = ()) -> Problem:
    question = (Message(role="user", content=""),)
    return Problem(id="", task="bench", kind=kind, level=0, language="en", messages=question, gold=gold, tests=tests)


def _completion(answer: str) -> Completion:
    text = rf"<think>Let me see.</think> <answer>The answer is $\boxed{{{answer}}}$</answer>"
    nothing = np.zeros(0, np.int32), np.zeros(0, np.float32)
    return Completion(token_ids=nothing[0], logprobs=nothing[1], text=text, finish="stop")
