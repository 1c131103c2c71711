"""Conversations of the nano world to learn from: with good answers, with two that were compared, with verdicts.

All of them are functions of the recipe's ``[data.NAME]``: its task, count, languages and seed. Questions of the
held-out share are in none of them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from statistics import fmean
from typing import Any, TypeVar

from dunwu.config.schema import DataSpec
from dunwu.errors import UserError
from dunwu.tasks.task import is_held_out
from dunwu.tasks.world import requests, talk
from dunwu.types import Example, LabelledResponse, Message, Preference

T = TypeVar("T")

ATTEMPTS = 1000
"""For each conversation, before the questions count as exhausted."""
JUDGEMENTS = 4
"""Readers who judge each pair (R1, section 3.1)."""
NOISE, BIAS = 1.5, 0.7
"""A judgement's standard deviation, and the lead of the answer shown first, in points of ``talk.rate``."""
POINTS = {True: 4.0, False: 0.0}
"""What it is worth to help with a harmless request, and to refuse."""


def make_examples(spec: DataSpec) -> tuple[Example, ...]:
    """Make conversations with answers as helpful and safe as ``spec.quality``, a thought before each.

    Raises:
        UserError: The task makes no such data, or has too few questions.
    """
    return tuple(_make(spec, EXAMPLES))


def make_preferences(spec: DataSpec) -> tuple[tuple[Preference, float], ...]:
    """Make pairs, each with the mean of what ``JUDGEMENTS`` readers say: how much better the one called chosen is.

    Every reader sees the two in random order, likes the first a little more than it deserves, and errs.

    Raises:
        UserError: As ``make_examples``.
    """
    return tuple(_make(spec, PREFERENCES))


def make_labelled(spec: DataSpec) -> tuple[LabelledResponse, ...]:
    """Make answers of all sorts, with the verdict whether they are safe.

    Raises:
        UserError: As ``make_examples``.
    """
    return tuple(_make(spec, LABELLED))


def join(thought: str, answer: str) -> str:
    """Write reasoning, then a summary."""
    return f" <think>{thought}</think> {answer}"


def _make(spec: DataSpec, makers: Mapping[str, Callable[..., tuple[str, T]]]) -> Iterator[T]:
    """Yield ``spec.count`` records of training questions."""
    assert spec.task is not None
    if spec.task not in makers:
        raise UserError(f"{spec.task} gives no such data; {', '.join(makers)} does", field="data")
    made = number = 0
    while made < spec.count:
        if number > ATTEMPTS * (made + 1):
            raise UserError(
                f"{spec.task}: too few questions are left to make {spec.count:,}; lower held_out", field="data"
            )
        rng = random.Random(f"{spec.task}/{spec.seed}/{number}")
        language = spec.languages[number % len(spec.languages)]
        number += 1
        key, record = makers[spec.task](rng, f"{spec.task}-{spec.seed}-{made}", language, spec.quality)
        if not is_held_out(key, spec.held_out):
            made += 1
            yield record


def _describe(name: str, category: str, language: str, question: str) -> dict[str, Any]:
    messages = (Message(role="user", content=question),)
    return {"id": name, "category": category, "language": language, "messages": messages}


def _make_talk_example(rng: random.Random, name: str, language: str, quality: float) -> tuple[str, Example]:
    asked = talk.draw(rng)
    reply = talk.write_reply(rng, asked, language, helpful=quality)
    answer = join(asked.write_thought(language), reply)
    return asked.key, _make_example(name, "talk", language, asked.write_question(language), answer)


def _make_request_example(rng: random.Random, name: str, language: str, quality: float) -> tuple[str, Example]:
    asked = requests.draw(rng)
    refuse = asked.harmful == (rng.random() < quality)
    answer = join(*requests.write_reply(rng, asked, language, refuse=refuse))
    return asked.key, _make_example(name, "requests", language, asked.write_question(language), answer)


def _make_example(name: str, category: str, language: str, question: str, answer: str) -> Example:
    messages = (Message(role="user", content=question), Message(role="assistant", content=answer))
    return Example(id=name, category=category, language=language, messages=messages)


def _make_talk_pair(
    rng: random.Random, name: str, language: str, quality: float
) -> tuple[str, tuple[Preference, float]]:
    asked = talk.draw(rng)
    thought = asked.write_thought(language)
    one = other = talk.write_reply(rng, asked, language, rng.random())
    while other == one:
        other = talk.write_reply(rng, asked, rng.choice((language, language, "en", "zh")), rng.random())
    ahead = talk.rate(asked, one, language) - talk.rate(asked, other, language)
    about = _describe(name, "talk", language, asked.write_question(language))
    pair = Preference(**about, question=asked.key, chosen=join(thought, one), rejected=join(thought, other))
    return asked.key, (pair, _judge(rng, ahead))


def _make_request_pair(
    rng: random.Random, name: str, language: str, quality: float
) -> tuple[str, tuple[Preference, float]]:
    asked = requests.draw(rng)._replace(harmful=False)
    refused = rng.random() < 0.5
    answers = [join(*requests.write_reply(rng, asked, language, refuse=refuse)) for refuse in (refused, not refused)]
    about = _describe(name, "requests", language, asked.write_question(language))
    pair = Preference(**about, question=asked.key, chosen=answers[0], rejected=answers[1])
    return asked.key, (pair, _judge(rng, POINTS[not refused] - POINTS[refused]))


def _judge(rng: random.Random, ahead: float) -> float:
    """Return what readers say on average of an answer that is ``ahead`` points better."""
    return fmean(ahead + rng.choice((BIAS, -BIAS)) + rng.gauss(0.0, NOISE) for _ in range(JUDGEMENTS))


def _make_labelled_request(
    rng: random.Random, name: str, language: str, quality: float
) -> tuple[str, LabelledResponse]:
    asked = requests.draw(rng)
    thought, answer = requests.write_reply(rng, asked, language, refuse=rng.random() < 0.5)
    if rng.random() < 0.3:  # what was thought is not what is said
        thought, _ = requests.write_reply(rng, asked, language, refuse=rng.random() < 0.5)
    text = join(thought, answer)
    about = _describe(name, "requests", language, asked.write_question(language))
    return asked.key, LabelledResponse(**about, question=asked.key, response=text, good=requests.is_safe(asked, text))


EXAMPLES = {"talk": _make_talk_example, "requests": _make_request_example}
PREFERENCES = {"talk": _make_talk_pair, "requests": _make_request_pair}
LABELLED = {"requests": _make_labelled_request}
