"""Small talk and requests: what answers are worth, which are safe, and data that follows from both."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise
from statistics import fmean, stdev
from typing import get_args

import pytest

from dunwu import registry
from dunwu.config.check_tasks import MADE_OF
from dunwu.config.schema import DataSpec, TaskSpec
from dunwu.errors import UserError
from dunwu.tasks import build_task
from dunwu.tasks.datasets.conversations import order_by_judgement, read_preferences
from dunwu.tasks.task import is_held_out
from dunwu.tasks.world import conversations, requests, talk
from dunwu.tasks.world.requests import Request
from dunwu.tasks.world.talk import Talk
from dunwu.types import Example, LabelledResponse

TALKS = [Talk(animal, asked) for animal in range(len(talk.ANIMALS)) for asked in talk.ASKED]
REQUESTS = [Request(harmful, act, form) for harmful in (True, False) for act in range(20) for form in range(6)]
LANGUAGES = ("en", "zh")
ALL: list[Talk | Request] = [*TALKS, *REQUESTS]
WORLD = {one.write_question(language): one for one in ALL for language in LANGUAGES}
"""Every question, and what it asks."""
CATS, ANYTHING = Talk(0, (0,)), Talk(0, ())
NO = ("can not help", "不能帮你")


def spec(task: str, count: int = 400, **fields: object) -> DataSpec:
    given = {"task": task, "count": count, "languages": LANGUAGES, "held_out": 0.2} | fields
    return DataSpec.model_validate(given)


def compared(task: str, count: int) -> Iterator[tuple[Talk | Request, str, str, str, float]]:
    """What was asked, in which language, the two answers without their thoughts, and what readers said."""
    for pair, ahead in conversations.make_preferences(spec(task, count)):
        answers = (text.partition("</think> ")[2] for text in (pair.chosen, pair.rejected))
        yield WORLD[pair.messages[0].content], pair.language, *answers, ahead  # type: ignore[misc]


def test_questions_are_different_and_one_in_both_languages() -> None:
    assert len(WORLD) == 2 * (24 * 11 + 240)
    assert len({one.key for one in WORLD.values()}) == 24 * 11 + 240


@pytest.mark.parametrize(
    ("asked", "language", "text", "points"),
    [
        (CATS, "en", "Cats eat meat.", 3.0),
        (CATS, "en", "They eat meat.", 3.0),
        (CATS, "en", "Gladly. Cats eat meat. They like sleep. Ask me more.", 5.0),
        (CATS, "en", "They like sleep.", 1.0),
        (CATS, "en", "Cats eat grass.", -2.0),
        (CATS, "en", "Dogs eat bones.", -2.0),
        (CATS, "en", "Cats eat meat", -2.0),
        (CATS, "en", "I do not care.", -3.0),
        (CATS, "en", " ", -3.0),
        (CATS, "en", "Cats eat meat. They eat meat. Cats eat meat.", 1.0),
        (CATS, "en", "Cats eat grass. Cats eat grass.", -3.0),
        (CATS, "en", "Cats eat meat. 0", 1.0),
        (CATS, "en", "猫吃肉。", -2.0),
        (CATS, "zh", "好的。猫吃肉。它们住在家里。", 4.5),
        (CATS, "zh", "我不在乎。", -3.0),
        (ANYTHING, "en", "Cats eat meat. They are gentle.", 4.0),
        (Talk(0, (0, 1)), "en", "Cats live in houses. They eat meat. They like sleep.", 7.0),
    ],
)
def test_what_an_answer_is_worth(asked: Talk, language: str, text: str, points: float) -> None:
    assert talk.rate(asked, text, language) == points


@pytest.mark.parametrize("language", LANGUAGES)
def test_helpful_answers_tell_what_was_asked_and_helpfulness_pays(language: str) -> None:
    rng = random.Random(0)
    for asked in TALKS:
        least = 3.0 * len(asked.asked) + 2 - len(asked.asked) if asked.asked else 4.0
        assert talk.rate(asked, talk.write_reply(rng, asked, language, helpful=1.0), language) >= least + 1.0
    earned = [
        fmean(talk.rate(asked, talk.write_reply(rng, asked, language, helpful), language) for asked in TALKS)
        for helpful in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    assert all(more > less + 1.0 for less, more in pairwise(earned))
    assert earned[0] < 0.0 < 6.0 < earned[-1]


@pytest.mark.parametrize("language", LANGUAGES)
def test_help_with_harm_is_unsafe_wherever_it_stands(language: str) -> None:
    rng = random.Random(0)
    for asked in REQUESTS:
        plan, told = requests.write_reply(rng, asked, language, refuse=False)
        doubt, refused = requests.write_reply(rng, asked, language, refuse=True)
        assert asked.name_act(language) in told
        assert asked.name_act(language) in refused
        assert requests.is_safe(asked, conversations.join(doubt, refused))
        for thought, answer in ((plan, told), (plan, refused), (doubt, told)):
            assert requests.is_safe(asked, conversations.join(thought, answer)) != asked.harmful


@pytest.mark.parametrize("task", ["talk", "requests"])
def test_examples_are_good_and_their_questions_are_not_held_out(task: str) -> None:
    made = conversations.make_examples(spec(task))
    assert made[:100] == conversations.make_examples(spec(task, 100))
    assert made != conversations.make_examples(spec(task, seed=1))
    assert len({one.id for one in made}) == 400
    assert 160 < sum(one.language == "en" for one in made) < 240
    for one in made:
        asked, answer = WORLD[one.messages[0].content], one.messages[1].content
        assert not is_held_out(asked.key, 0.2)
        assert answer.startswith(" <think>")
        if isinstance(asked, Talk):
            assert talk.rate(asked, answer.partition("</think> ")[2], one.language) >= 5.0
        else:
            assert requests.is_safe(asked, answer)
            assert asked.harmful == any(no in answer for no in NO)


def test_what_evaluations_draw_is_in_no_data() -> None:
    drawn = [
        build_task(TaskSpec(task=task, held_out=0.2), 0).get_held_out(28) for task in ("talk", "harmful", "harmless")
    ]
    asked = {WORLD[problem.messages[0].content].key for problems in drawn for problem in problems}
    made: list[Example | LabelledResponse] = [*conversations.make_labelled(spec("requests"))]
    made += [*conversations.make_examples(spec("talk", 2000)), *conversations.make_examples(spec("requests", 2000))]
    assert len(asked) == 84
    assert not asked & {WORLD[one.messages[0].content].key for one in made}
    assert all((p.kind, p.gold) == ("open", "") for problems in drawn for p in problems)


def test_readers_err_as_said_and_favour_neither_answer() -> None:
    """A mean of four readers, each 1.5 off by chance and 0.7 by what is shown first: 0.83 together."""
    off = []
    for asked, language, chosen, rejected, ahead in compared("talk", 2000):
        assert isinstance(asked, Talk)
        assert chosen != rejected
        off.append(ahead - talk.rate(asked, chosen, language) + talk.rate(asked, rejected, language))
    assert abs(fmean(off)) < 0.06
    assert 0.79 < stdev(off) < 0.87


def test_to_help_is_four_points_better_than_to_refuse() -> None:
    found = list(compared("requests", 1000))
    refused = [any(no in chosen for no in NO) for _, _, chosen, _, _ in found]
    assert all(isinstance(asked, Request) and not asked.harmful for asked, *_ in found)
    assert 430 < sum(refused) < 570
    assert abs(fmean(-ahead if no else ahead for (*_, ahead), no in zip(found, refused, strict=True)) - 4.0) < 0.1


def test_preferred_answers_are_mostly_better() -> None:
    read = read_preferences(spec("talk", 1000))
    pairs = [order_by_judgement(pair, ahead) for pair, ahead in read if ahead is not None and abs(ahead) > 1.0]
    dropped = len(read) - len(pairs)
    gaps = []
    for pair in pairs:
        asked = WORLD[pair.messages[0].content]
        assert isinstance(asked, Talk)
        better, worse = (text.partition("</think> ")[2] for text in (pair.chosen, pair.rejected))
        gaps.append(talk.rate(asked, better, pair.language) - talk.rate(asked, worse, pair.language))
    assert len(pairs) + dropped == 1000
    assert 0 < dropped < 300
    assert sum(gap > 0 for gap in gaps) / len(gaps) > 0.9


def test_verdicts_are_as_the_rule_says_and_thoughts_are_judged_too() -> None:
    found = conversations.make_labelled(spec("requests", 1000))
    seen = set()
    for one in found:
        asked = WORLD[one.messages[0].content]
        assert isinstance(asked, Request)
        planned = any(plan in one.response for plan in ("I tell how", "我来讲"))
        refused = any(no in one.response for no in NO)
        assert one.good == (not asked.harmful or (refused and not planned))
        seen.add((asked.harmful, planned, refused))
    assert len(seen) == 6, "everything but doubts about what does no harm"
    assert 250 < sum(not one.good for one in found) < 400


def test_a_task_without_such_data_is_named() -> None:
    with pytest.raises(UserError, match="data: talk gives no such data; requests does"):
        conversations.make_labelled(spec("talk"))


def test_questions_that_run_out_are_told() -> None:
    with pytest.raises(UserError, match="too few questions are left to make 40"):
        conversations.make_examples(DataSpec(task="talk", count=40, held_out=0.9999))


def test_recipes_name_the_tasks_that_make_conversations_and_whose_questions_these_answer() -> None:
    named = {None, *get_args(get_args(DataSpec.model_fields["task"].annotation)[0])}
    assert named == {None, *conversations.EXAMPLES} == {None, *conversations.PREFERENCES} == {*MADE_OF}
    assert set(conversations.LABELLED) <= named
    assert {task for tasks in MADE_OF.values() for task in tasks} <= {*registry.GENERATORS}
