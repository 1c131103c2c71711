"""Questions to which no answer is right: rules grade the format alone, reward models say the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dunwu.config.schema import RewardSpec
from dunwu.evaluation.evaluate import summarize, to_rows
from dunwu.pipeline.stages.measurement import add_judgements
from dunwu.pipeline.stages.rl_metrics import summarize_rollout
from dunwu.types import Completion, Problem, Prompt, RolloutGroup, ScoredGroup
from dunwu.verifiers import RewardGrader
from dunwu.verifiers.language import LANGUAGES, measure_consistency, measure_share

TOLD = "<think>they ask about cats.</think> Gladly. Cats eat meat."
MODEL = {"name": "helpful", "from": "talk", "input": "summary", "weight": 0.5}

Make = Callable[..., Problem]
Complete = Callable[..., Completion]


@pytest.fixture(scope="module")
def r1() -> Iterator[RewardGrader]:
    spec = {"format_rule": "think-summary", "format": 0.25, "language": 2.0, "quality": 1.0, "truncation": 1.0}
    with RewardGrader(RewardSpec.model_validate(spec)) as shared:
        yield shared


@pytest.fixture
def scored(r1: RewardGrader, problem: Make, completion: Complete) -> Callable[..., ScoredGroup]:
    """A group of answers to a question of some kind, graded as evaluations grade."""

    def made(kind: str, *texts: str) -> ScoredGroup:
        asked = replace(problem(kind, "" if kind == "open" else "5"), id=kind)
        completions = tuple(completion(text) for text in texts)
        group = RolloutGroup(prompt=Prompt(problem=asked, token_ids=np.zeros(1, np.int32)), completions=completions)
        return ScoredGroup(group=group, scores=tuple(r1.plain.score(asked, one) for one in completions))

    return made


@pytest.mark.parametrize(
    ("text", "form", "extracted"),
    [
        (TOLD, 1.0, "Gladly. Cats eat meat."),
        ("<think>first</think> It is <answer>5</answer>.", 1.0, "It is  5 ."),
        ("Cats eat meat.", 0.0, "Cats eat meat."),
        ("<think>they ask about cats.</think>", 0.0, None),
        ("", 0.0, None),
    ],
)
def test_format_alone_is_graded(
    r1: RewardGrader, problem: Make, completion: Complete, text: str, form: float, extracted: str | None
) -> None:
    score = r1.plain.score(problem("open", ""), completion(text))
    assert score.parts == {"format": form}
    assert (score.status, score.extracted, score.reason) == ("graded", extracted, "open: no answer is right")
    assert r1.plain.score(problem("open", ""), completion(text, "length")).status == "truncated"


def test_what_rules_weigh_of_an_open_answer_has_no_accuracy(
    r1: RewardGrader, problem: Make, completion: Complete
) -> None:
    score = r1.score(problem("open", ""), completion(TOLD, "length"))
    assert score.parts == {"format": 1.0, "language": 1.0, "logic": 0.0, "steps": 0.0, "truncation": -1.0}
    assert score.value == pytest.approx(0.25 + 2.0 - 1.0)
    assert r1.score(problem("number", "5"), completion("<answer>5</answer>")).parts["accuracy"] == 1.0


def test_a_reward_model_s_part_is_the_reward_of_an_open_answer(problem: Make, completion: Complete) -> None:
    spec = RewardSpec.model_validate({"format_rule": "think-summary", "format": 0.25, "models": [MODEL]})
    asked, answers = problem("open", ""), (completion(TOLD), completion("No."))
    group = RolloutGroup(prompt=Prompt(problem=asked, token_ids=np.zeros(1, np.int32)), completions=answers)
    with RewardGrader(spec, judges={"helpful": lambda group: [4.0, -2.0]}) as grader:
        scores = grader.score_group(group, [grader.score(asked, answer) for answer in answers], 0)
    assert [score.value for score in scores] == [0.25 + 0.5 * 4.0, 0.5 * -2.0]
    assert [score.parts for score in scores] == [{"format": 1.0, "helpful": 4.0}, {"format": 0.0, "helpful": -2.0}]


def test_an_evaluation_of_open_questions_has_what_judges_say_and_no_pass(scored: Callable[..., ScoredGroup]) -> None:
    groups = [scored("open", TOLD, "No."), scored("open", TOLD, TOLD)]
    heard: list[RolloutGroup] = []

    def helpful(group: RolloutGroup) -> list[float]:
        heard.append(group)
        return [3.0, -1.0]

    results = summarize(
        [add_judgements(group, {"helpful": helpful, "safe": lambda group: [0.5, 0.5]}) for group in groups], 2
    )
    assert heard == [group.group for group in groups]
    assert not {"pass@1", "pass@2", "cons@2", "accuracy"} & results.keys()
    assert (results["helpful"].value, results["safe"].value, results["format"].value) == (1.0, 0.5, 0.75)
    assert not {"helpful", "safe"} & summarize(groups, 2).keys()
    assert [row.right for row in to_rows(groups)] == [None] * 4
    assert add_judgements(groups[0], {}) == groups[0]


def test_open_questions_do_not_count_where_answers_are_right(scored: Callable[..., ScoredGroup]) -> None:
    closed = scored("number", "<think>two and three</think><answer>5</answer>", "<answer>6</answer>")
    opened = scored("open", TOLD, TOLD)
    results = summarize([opened, closed], 2)
    assert (results["pass@1"].value, results["pass@2"].value) == (0.5, 1.0)
    assert results["format"].value == 0.75
    metrics = summarize_rollout([opened, closed], [], draws=2)
    assert (metrics["accuracy"], metrics["length_right"], metrics["length_wrong"]) == (0.5, 1.0, 1.0)
    assert not {"accuracy", "length_right", "length_wrong"} & summarize_rollout([opened], [], draws=1).keys()


def test_language_is_measured_where_there_are_words(scored: Callable[..., ScoredGroup]) -> None:
    mixed = scored("open", "<think>they ask 猫</think> x", "<think>2+3=5</think> x")
    assert summarize([mixed], 2)["language"].value == pytest.approx(2 / 3)
    assert "language" not in summarize([scored("open", "<think>2+3=5</think> x")], 1)


@pytest.mark.parametrize("text", ["so", "对", "猫", "да", "한", "λόγος", "x is y", "let_me_compute", "\\wait"])
def test_texts_with_words(text: str) -> None:
    assert measure_share(text, "en") is not None


@pytest.mark.parametrize(
    "text", ["", "3+4=7", "x = a_max + x1", "sin x", "DNA", "$two words$", "`code`", "\\frac{1}{2}", "😀"]
)
def test_texts_without(text: str) -> None:
    assert measure_share(text, "en") is None
    assert measure_consistency(text, "en") == 0.0


@settings(deadline=None)  # the machine may be busy
@given(st.text(st.sampled_from("ab 猫ねねда1+$`\\.") | st.characters(), max_size=30))
def test_a_text_has_words_whatever_language_is_asked_for(text: str) -> None:
    shares = [measure_share(text, language) for language in LANGUAGES]
    assert all(share is None for share in shares) or None not in shares
