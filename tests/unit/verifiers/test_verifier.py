"""Verifiers and rewards of the user's: registered functions and classes, and what goes wrong in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dunwu import registry
from dunwu.config.schema import RewardSpec
from dunwu.errors import UserError
from dunwu.types import Completion, Problem
from dunwu.verifiers import RewardGrader, Verdict, Verifier, make_answer_key

MakeProblem = Callable[..., Problem]
MakeCompletion = Callable[..., Completion]
ANSWER = "<think>so</think><answer> {} </answer>"


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone after it."""
    for one in (registry.verifiers, registry.rewards):
        monkeypatch.setattr(one, "_entries", dict(one._entries))


def test_a_registered_function_decides_problems_of_its_kind(problem: MakeProblem, completion: MakeCompletion) -> None:
    seen = []

    @registry.verifiers.register("palindrome")
    def is_palindrome(asked: Problem, answer: str) -> bool:
        seen.append((asked.gold, answer))
        return answer == answer[::-1]

    with RewardGrader(RewardSpec()) as grader:
        right, wrong = (
            grader.score(problem("palindrome", "g"), completion(ANSWER.format(word))) for word in ("abba", "abc")
        )
        none = grader.score(problem("palindrome", "g"), completion("<think>so</think>"))
    assert (right.value, right.parts, right.reason) == (2.0, {"accuracy": 1.0, "format": 1.0}, "palindrome gives 1")
    assert (wrong.value, wrong.parts["accuracy"], wrong.extracted) == (1.0, 0.0, "abc")
    assert (none.parts["accuracy"], none.reason) == (0.0, "no answer found")
    assert seen == [("g", "abba"), ("g", "abc")]


def test_a_number_pays_in_part_and_is_no_right_answer(problem: MakeProblem, completion: MakeCompletion) -> None:
    registry.verifiers.register("half")(lambda asked, answer: 0.5)
    spec = RewardSpec.model_validate({"quality": 1.0})
    with RewardGrader(spec) as grader:
        score = grader.score(problem("half", ""), completion("<think>1+1=2.</think><answer>2</answer>"))
    assert score.parts == {"accuracy": 0.5, "format": 1.0, "logic": 0.0, "steps": 0.0}
    assert score.value == 1.5


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (2, "the verifier 'odd' returned 2, no number from 0 to 1, on problem p"),
        (-0.5, "returned -0.5, no number"),
        (float("nan"), "returned nan, no number"),
        ("yes", "returned 'yes', no number"),
        (None, "returned None, no number"),
        (10**400, "no number from 0 to 1"),
    ],
)
def test_what_is_no_verdict_ends_the_run(
    problem: MakeProblem, completion: MakeCompletion, returned: object, message: str
) -> None:
    registry.verifiers.register("odd")(lambda asked, answer: returned)
    with RewardGrader(RewardSpec()) as grader, pytest.raises(UserError, match=r"^the verifier") as caught:
        grader.score(problem("odd", ""), completion(ANSWER.format("x")))
    assert message in str(caught.value)


def test_a_verifier_that_raises_ends_the_run(problem: MakeProblem, completion: MakeCompletion) -> None:
    @registry.verifiers.register("broken")
    def broken(asked: Problem, answer: str) -> bool:
        raise KeyError(answer)

    with RewardGrader(RewardSpec()) as grader, pytest.raises(UserError) as caught:
        grader.score(problem("broken", ""), completion(ANSWER.format("x")))
    assert str(caught.value) == "the verifier 'broken' raised KeyError: 'x' on problem p"


def test_a_class_says_where_the_answer_stands_and_what_votes_together(
    problem: MakeProblem, completion: MakeCompletion
) -> None:
    closed = []

    @registry.verifiers.register("polite")
    class Polite(Verifier):
        place = "response"

        def verify(self, problem: Problem, answer: str) -> Verdict:
            assert self.resources.sandbox is None
            return Verdict("please" in answer, "asks nicely")

        @staticmethod
        def make_key(problem: Problem, answer: str) -> str:
            return str(len(answer))

        def close(self) -> None:
            closed.append(True)

    with RewardGrader(RewardSpec()) as grader:
        score = grader.score(problem("polite", ""), completion("<think>so</think>Pass the salt, please."))
        again = grader.score(problem("polite", ""), completion("<think>so</think>Salt!"))
    assert (score.extracted, score.parts["accuracy"], score.reason) == ("Pass the salt, please.", 1.0, "asks nicely")
    assert again.parts["accuracy"] == 0.0
    assert closed == [True]
    assert make_answer_key(problem("polite", ""), "four") == "4"


def test_answers_of_functions_vote_by_their_text(problem: MakeProblem) -> None:
    registry.verifiers.register("palindrome")(lambda asked, answer: True)
    for kind in ("palindrome", "nobody", "file.py:nobody"):
        assert make_answer_key(problem(kind, ""), " ABBA. ") == "abba"


def test_every_built_in_kind_has_its_verifier() -> None:
    found = {kind: registry.verifiers.load(kind) for kind in registry.verifiers.builtin}
    assert all(issubclass(one, Verifier) for one in found.values())
    assert len(set(found.values())) == len(found) == 13


def test_a_registered_reward_is_a_component(problem: MakeProblem, completion: MakeCompletion) -> None:
    @registry.rewards.register("brevity")
    def brevity(asked: Problem, text: str) -> float:
        return 1 / len(text)

    custom = [{"name": "short", "function": "brevity", "weight": 10.0}]
    with RewardGrader(RewardSpec.model_validate({"custom": custom})) as grader:
        score = grader.score(problem("text", "x"), completion(ANSWER.format("x")))
        plain = grader.measure_with(["short"]).score(problem("text", "x"), completion(ANSWER.format("x")))
    assert score.parts["short"] == plain.parts["short"] == 1 / len(ANSWER.format("x"))
    assert score.value == pytest.approx(2 + 10 * score.parts["short"])
    assert plain.value == 2.0


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (1e7, "the reward 'mine' returned 10000000.0, no number from -1e+06 to 1e+06 on problem p"),
        ("much", "the reward 'mine' returned 'much', no number"),
        (ZeroDivisionError("by 0"), "the reward 'mine' raised ZeroDivisionError: by 0 on problem p"),
    ],
)
def test_a_registered_reward_that_is_wrong_ends_the_run(
    problem: MakeProblem, completion: MakeCompletion, returned: Any, message: str
) -> None:
    @registry.rewards.register("mine")
    def mine(asked: Problem, text: str) -> Any:
        if isinstance(returned, Exception):
            raise returned
        return returned

    spec = RewardSpec.model_validate({"custom": [{"name": "own", "function": "mine"}]})
    with RewardGrader(spec) as grader, pytest.raises(UserError, match=r"^reward\.custom\.0\.function: ") as caught:
        grader.score(problem("text", "x"), completion("x"))
    assert message in str(caught.value)
