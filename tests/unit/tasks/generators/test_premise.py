"""Misleading premises: half are sound, the question says how to refuse, and golds grade as they should."""

from __future__ import annotations

import random

import pytest
from tests.unit.tasks.oracles import ORACLES, claim_is_true

from dunwu import registry
from dunwu.config.schema import TaskSpec
from dunwu.tasks import build_task
from dunwu.tasks.generators.premise import FORMS, PREMISE, REFUSAL, WORDINGS, Premise, draft, draw_premise
from dunwu.verifiers.premise import REFUSALS, check


def test_it_is_registered() -> None:
    assert registry.tasks.load("premise") is PREMISE
    problem = build_task(TaskSpec(task="premise", levels=(2,), languages=("zh",)), 0).get_problem(0)
    assert (problem.kind, problem.level, problem.language) == ("premise", 2, "zh")


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("level", PREMISE.levels)
def test_half_of_the_premises_are_sound(level: int, language: str) -> None:
    drafts = [draft(random.Random(seed), level, language) for seed in range(1000)]
    refused = sum(one.gold == REFUSAL[language] for one in drafts)
    assert 440 < refused < 560
    assert all(REFUSAL[language] in one.question for one in drafts)
    assert all(one.gold == REFUSAL[language] or one.gold.lstrip("-").isdigit() for one in drafts)


@pytest.mark.parametrize("level", PREMISE.levels)
def test_neither_opening_nor_form_tells_the_truth(level: int) -> None:
    """Sound and false draws have the same words: each form, and each opening, comes with both."""
    seen = {True: set[str](), False: set[str]()}
    for seed in range(400):
        one = draft(random.Random(seed), level, "en")
        seen[one.gold != "refuse"].add(
            "".join(char for char in one.question if not char.isdigit() and char not in "-+×")
        )
    share = len(seen[True] & seen[False]) / len(seen[True] | seen[False])
    assert share > (0.9 if level < 4 else 0.3)


@pytest.mark.parametrize("level", [1, 2, 3])
@pytest.mark.parametrize("sound", [True, False])
def test_a_premise_is_as_true_as_it_was_ordered(level: int, sound: bool) -> None:
    rng = random.Random(level)
    drawn = [draw_premise(rng, level, sound) for _ in range(300)]
    assert {premise.form for premise in drawn} == set(FORMS[level])
    assert all(premise.holds() == claim_is_true(premise.write("en")) == sound for premise in drawn)


def test_false_results_are_near_the_right_ones() -> None:
    rng = random.Random(0)
    for _ in range(200):
        premise = draw_premise(rng, 2, sound=False)
        right = premise.a + premise.b if premise.form == "sum" else premise.a - premise.b
        assert 1 <= abs(premise.c - right) <= 10


@pytest.mark.parametrize(
    ("premise", "mirrored"),
    [
        (Premise("less", 3, 5, 0), Premise("greater", 5, 3, 9)),
        (Premise("equal", 1, 2, 0), Premise("equal", 2, 1, 0)),
        (Premise("sum", 2, 3, 6), Premise("sum", 3, 2, 6)),
        (Premise("product", 2, 3, 6), Premise("product", 3, 2, 6)),
    ],
)
def test_mirror_images_are_one_content(premise: Premise, mirrored: Premise) -> None:
    assert premise.canonicalize() == mirrored.canonicalize()
    assert premise.write("en") != mirrored.write("en")


def test_what_differs_is_another_content() -> None:
    assert Premise("less", 3, 5, 0).canonicalize() != Premise("greater", 3, 5, 0).canonicalize()
    assert Premise("difference", 5, 3, 2).canonicalize() != Premise("difference", 3, 5, 2).canonicalize()
    assert Premise("divisible", 6, 3, 0).canonicalize() != Premise("divisible", 3, 6, 0).canonicalize()


def test_the_same_draw_is_the_same_problem_in_both_languages() -> None:
    for seed in range(100):
        english, chinese = (draft(random.Random(seed), 1 + seed % 4, language) for language in ("en", "zh"))
        assert english.key == chinese.key
        assert (english.gold == "refuse") == (chinese.gold == "前提错误")


def test_words_are_there_for_every_form() -> None:
    forms = {form for level in FORMS.values() for form in level}
    assert {form for form, _ in WORDINGS} == forms
    worded = {form for form in forms if any(char.isalpha() for char in WORDINGS[form, "en"].format(a=1, b=2, c=3))}
    assert {form for form, language in WORDINGS if language == "zh"} == worded


@pytest.mark.parametrize("level", PREMISE.levels)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_golds_are_right_and_the_other_answer_is_wrong(level: int, language: str) -> None:
    assert set(REFUSAL.values()) == set(REFUSALS)
    for seed in range(50):
        drawn = draft(random.Random(seed), level, language)
        gold = drawn.gold
        assert gold == ORACLES["premise"](drawn.question)[1]
        assert check(gold, gold)[0]
        assert not check(gold, "17" if gold == REFUSAL[language] else REFUSAL[language])[0]
