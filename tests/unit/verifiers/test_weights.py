"""What parts weigh: schedules, tasks, quality's shares, groups, and parts that users wrote."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dunwu.config.schema import RewardSpec, Weight
from dunwu.errors import UserError
from dunwu.types import Completion, Problem, Prompt, RolloutGroup, Score
from dunwu.verifiers import RewardGrader
from dunwu.verifiers.weights import RewardWeights, sum_components

MakeProblem = Callable[..., Problem]
MakeCompletion = Callable[..., Completion]

GOOD = "<think>{}</think><answer>7</answer>"


def spec(**fields: Any) -> RewardSpec:
    """A reward table as a recipe would write it."""
    return RewardSpec.model_validate(fields)


@pytest.mark.parametrize(
    ("fields", "weights"),
    [
        ({"weight": 2.0}, {0: 2.0, 10**6: 2.0}),
        ({"weight": 2.0, "from": 4}, {0: 0.0, 3: 0.0, 4: 2.0, 99: 2.0}),
        ({"weight": 2.0, "until": 4}, {0: 2.0, 3: 2.0, 4: 0.0}),
        ({"weight": 2.0, "from": 4, "ramp": 3}, {3: 0.0, 4: 0.5, 5: 1.0, 6: 1.5, 7: 2.0, 8: 2.0}),
        ({"weight": 1.0, "from": 2, "until": 4, "ramp": 1}, {1: 0.0, 2: 0.5, 3: 1.0, 4: 0.0}),
    ],
)
def test_a_weight_has_a_beginning_an_end_and_a_ramp(fields: dict[str, Any], weights: dict[int, float]) -> None:
    weight = Weight.model_validate(fields)
    assert {update: weight.at(update) for update in weights} == weights


def test_the_weights_of_a_task_at_an_update() -> None:
    weights = RewardWeights(
        spec(
            language={"weight": 0.5, "from": 10},
            quality=2.0,
            tasks={"creative": {"logic": 0.2, "novelty": 0.5}, "medicine": {"accuracy": 3.0, "quality": 0.0}},
        )
    )
    plain = weights.at("countdown", 0)
    assert {name: weight for name, weight in plain.items() if weight} == pytest.approx(
        {"accuracy": 1.0, "format": 1.0, "logic": 1.2, "steps": 0.6, "novelty": 0.2}
    )
    assert weights.at("countdown", 10)["language"] == 0.5
    creative = weights.at("creative", 0)
    assert (creative["logic"], creative["steps"], creative["novelty"]) == pytest.approx((0.4, 0.6, 1.0))
    assert weights.at("medicine", 0)["accuracy"] == 3.0
    assert weights.find_used("countdown") == {"accuracy", "format", "language", "logic", "steps", "novelty"}
    assert weights.find_used("medicine") == {"accuracy", "format", "language"}


def test_the_total_is_the_weighted_sum() -> None:
    assert sum_components({"a": 1.0, "b": -0.5}, {"a": 2.0, "b": 0.5, "c": 9.0}) == 1.75
    assert sum_components({"a": float("nan"), "b": 1.0}, {"a": 0.0, "b": 1.0}) == 1.0


def group(problem: Problem, *completions: Completion) -> RolloutGroup:
    """One prompt's."""
    return RolloutGroup(prompt=Prompt(problem=problem, token_ids=np.zeros(1, np.int32)), completions=completions)


def graded(grader: RewardGrader, whole: RolloutGroup, update: int) -> tuple[Score, ...]:
    """As a rollout grades a group."""
    scores = [grader.score(whole.prompt.problem, completion) for completion in whole.completions]
    return grader.score_group(whole, scores, update)


def test_language_counts_from_the_update_that_the_recipe_names(
    problem: MakeProblem, completion: MakeCompletion
) -> None:
    mixed = group(problem("math", "7"), completion(GOOD.format("we add 加 起 来 then")))
    with RewardGrader(spec(language={"weight": 1.0, "from": 5})) as grader:
        (before,), (after,) = graded(grader, mixed, 4), graded(grader, mixed, 5)
    assert before.parts == after.parts
    assert before.parts["language"] == pytest.approx(3 / 6)
    assert (before.value, after.value) == pytest.approx((2.0, 2.5))


def test_quality_pays_for_right_answers_and_looks_at_siblings(problem: MakeProblem, completion: MakeCompletion) -> None:
    right, other = "3 + 4 = 7", "14 / 2 = 7"
    texts = [GOOD.format(right), GOOD.format(right), GOOD.format(other), GOOD.format(right).replace("7</a", "8</a")]
    with RewardGrader(spec(quality=1.0)) as grader:
        scores = graded(grader, group(problem("math", "7"), *map(completion, texts)), 0)
    assert [score.parts["logic"] for score in scores] == [1.0, 1.0, 1.0, 0.0]
    assert [score.parts["novelty"] for score in scores] == pytest.approx([1 / 3, 1 / 3, 1.0, 0.0])
    assert [score.parts["steps"] for score in scores] == [1.0, 1.0, 1.0, 0.0]
    assert scores[0].value == pytest.approx(2.0 + 0.6 + 0.3 + 0.1 / 3)
    assert scores[3].value == 1.0


def test_penalties_take_away(problem: MakeProblem, completion: MakeCompletion) -> None:
    with RewardGrader(spec(truncation=0.5, repetition=1.0)) as grader:
        cut = grader.score(problem("math", "7"), completion(GOOD.format("so"), "length"))
        loop = grader.score(problem("math", "7"), completion(GOOD.format("again and again " * 200)))
    assert (cut.parts["truncation"], cut.value) == (-1.0, 1.5)
    assert loop.parts["repetition"] < -0.9
    assert loop.value == pytest.approx(2.0 + loop.parts["repetition"])


def test_languages_that_cannot_be_told_apart_are_refused_before_anything_runs() -> None:
    with pytest.raises(UserError, match="no language is called 'xx'"):
        RewardGrader(spec(language=1.0, languages=["en", "xx"]))
    with RewardGrader(spec(language=1.0, languages=["en", "zh", "ru"])) as grader:
        assert grader.workers == 1
