"""``dunwu.grade``: what a rule says of one answer."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Literal, get_args

import numpy as np

from dunwu.config.schema import RewardSpec
from dunwu.errors import UserError
from dunwu.sandbox import Unavailable, choose
from dunwu.tasks.datasets.code_tests import NotATestError, read_test
from dunwu.types import Completion, Message, Problem, Score
from dunwu.verifiers import RewardGrader
from dunwu.verifiers.code import make_limits
from dunwu.verifiers.format import extract_answer

AnswerIn = Literal["answer-tag", "boxed", "last-line", "summary"]


def grade(
    completion: str,
    gold: str = "",
    *,
    kind: str = "math",
    tests: Sequence[str] = (),
    language: str = "en",
    answer_in: AnswerIn | None = None,
) -> Score:
    r"""Grade one answer by rule, as a reward or an evaluation would.

    Args:
        completion: What was written, reasoning and all: ``<think>...</think> \boxed{5}``.
        gold: A right answer; programs have none.
        kind: How answers are compared: ``math``, ``number``, ``choice``, ``text``, ``sequence``, ``set``,
            ``expression``, ``code``, ``premise``, ``instructions``, ``refusal``, or a registered verifier's.
        tests: What the kind checks against beside the gold; see ``Problem.tests``.
        language: Of the question, for the kinds that read words.
        answer_in: Where the answer stands; None: in answer tags, else in a box, else all that follows the reasoning.

    Returns:
        The score. ``parts["accuracy"]`` is 1 for a right answer, ``extracted`` is what was read, ``reason`` says why.

    Raises:
        UserError: An argument is of another type; no verifier is called that; a program, where this machine has no
            safe sandbox.
    """
    for name, text in {"completion": completion, "gold": gold}.items():
        if not isinstance(text, str):
            raise UserError(f"is {type(text).__name__}, not a text", field=name)
    if answer_in not in (None, *get_args(AnswerIn)):
        raise UserError(f"{answer_in!r:.60} is none of {', '.join(get_args(AnswerIn))}", field="answer_in")
    checks = _read_tests(kind, tests)
    where = answer_in or _find_answer(completion)
    spec = RewardSpec(format_rule="none", answer_in=where)
    problem = Problem(
        id="graded",
        task="graded",
        kind=kind,
        level=1,
        language=language,
        messages=(Message(role="user", content=""),),
        gold=gold,
        tests=checks,
    )
    with ExitStack() as opened:
        sandbox = None
        if kind in ("code", "gym"):
            try:
                sandbox, _ = choose(1, make_limits(spec.code))
            except Unavailable as error:
                raise UserError(f"programs would not be safe on this machine: {error}", field="kind") from error
            opened.enter_context(sandbox)
        grader = opened.enter_context(RewardGrader(spec, sandbox))
        written = Completion(
            token_ids=np.empty(0, np.int32),
            logprobs=np.empty(0, np.float32),
            text=completion,
            finish="stop",
            version_spans=(),
        )
        return grader.score(problem, written)


def _read_tests(kind: str, tests: Sequence[str]) -> tuple[str, ...]:
    """Return what an answer is checked against; raise UserError where it is not what the kind takes."""
    if kind == "expression" and len(tests) < 2:
        raise UserError("an expression is checked against its target and at least one number", field="tests")
    if kind != "code":
        return tuple(tests)
    try:
        return tuple(read_test(test) for test in tests)
    except NotATestError as error:
        raise UserError(f"a test is none: {error}", field="tests") from None


def _find_answer(completion: str) -> AnswerIn:
    for where in ("answer-tag", "boxed"):
        if extract_answer(completion, where, cut=False) is not None:
            return where
    return "summary"
