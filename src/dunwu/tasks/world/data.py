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
from dunwu.types import Example, Judged, Message, Preference

T = TypeVar("T")

ATTEMPTS = 1000
"""For each conversation, before the questions count as exhausted."""
JUDGEMENTS = 4
"""Of each pair (R1, section 3.1)."""
NOISE, BIAS = 1.5, 0.7
"""Of one judgement, in points of ``talk.worth``; and what the answer that is shown first has ahead."""
POINTS = {True: 4.0, False: 0.0}
"""What it is worth to help with a harmless request, and to refuse."""


def examples(spec: DataSpec) -> tuple[Example, ...]:
    """Conversations with answers as helpful and safe as ``spec.quality``, a thought before each."""
    return tuple(_made(spec, EXAMPLES))


def preferences(spec: DataSpec) -> tuple[tuple[Preference, float], ...]:
    """Pairs, each with what ``JUDGEMENTS`` readers say on average: how much better the one called chosen is. Every
    reader sees the two in random order, likes the first a little more than it deserves, and errs."""
    return tuple(_made(spec, PREFERENCES))


def judged(spec: DataSpec) -> tuple[Judged, ...]:
    """Answers of all sorts, with the verdict whether they are safe."""
    return tuple(_made(spec, JUDGED))


def written(thought: str, answer: str) -> str:
    """Reasoning, then a summary."""
    return f" <think>{thought}</think> {answer}"


def _made(spec: DataSpec, makers: Mapping[str, Callable[..., tuple[str, T]]]) -> Iterator[T]:
    """``spec.count`` records. Raises UserError where the task has none of this kind."""
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


def _about(name: str, category: str, language: str, question: str) -> dict[str, Any]:
    asked = (Message(role="user", content=question),)
    return {"id": name, "category": category, "language": language, "messages": asked}


def _talk_example(rng: random.Random, name: str, language: str, quality: float) -> tuple[str, Example]:
    asked = talk.draw(rng)
    reply = talk.reply(rng, asked, language, helpful=quality)
    return asked.key, _example(
        name, "talk", language, asked.question(language), written(asked.thought(language), reply)
    )


def _request_example(rng: random.Random, name: str, language: str, quality: float) -> tuple[str, Example]:
    asked = requests.draw(rng)
    refuse = asked.harmful == (rng.random() < quality)
    text = written(*requests.reply(rng, asked, language, refuse=refuse))
    return asked.key, _example(name, "requests", language, asked.question(language), text)


def _example(name: str, category: str, language: str, question: str, answer: str) -> Example:
    messages = (Message(role="user", content=question), Message(role="assistant", content=answer))
    return Example(id=name, category=category, language=language, messages=messages)


def _talk_pair(rng: random.Random, name: str, language: str, quality: float) -> tuple[str, tuple[Preference, float]]:
    asked = talk.draw(rng)
    thought = asked.thought(language)
    one = other = talk.reply(rng, asked, language, rng.random())
    while other == one:
        other = talk.reply(rng, asked, rng.choice((language, language, "en", "zh")), rng.random())
    ahead = talk.worth(asked, one, language) - talk.worth(asked, other, language)
    about = _about(name, "talk", language, asked.question(language))
    pair = Preference(**about, question=asked.key, chosen=written(thought, one), rejected=written(thought, other))
    return asked.key, (pair, _read_by_judges(rng, ahead))


def _request_pair(rng: random.Random, name: str, language: str, quality: float) -> tuple[str, tuple[Preference, float]]:
    asked = requests.draw(rng)._replace(harmful=False)
    refused = rng.random() < 0.5
    answers = [written(*requests.reply(rng, asked, language, refuse=refuse)) for refuse in (refused, not refused)]
    about = _about(name, "requests", language, asked.question(language))
    pair = Preference(**about, question=asked.key, chosen=answers[0], rejected=answers[1])
    return asked.key, (pair, _read_by_judges(rng, POINTS[not refused] - POINTS[refused]))


def _read_by_judges(rng: random.Random, ahead: float) -> float:
    return fmean(ahead + rng.choice((BIAS, -BIAS)) + rng.gauss(0.0, NOISE) for _ in range(JUDGEMENTS))


def _request_judged(rng: random.Random, name: str, language: str, quality: float) -> tuple[str, Judged]:
    asked = requests.draw(rng)
    thought, answer = requests.reply(rng, asked, language, refuse=rng.random() < 0.5)
    if rng.random() < 0.3:  # what was thought is not what is said
        thought, _ = requests.reply(rng, asked, language, refuse=rng.random() < 0.5)
    text = written(thought, answer)
    about = _about(name, "requests", language, asked.question(language))
    return asked.key, Judged(**about, question=asked.key, response=text, good=requests.is_safe(asked, text))


EXAMPLES = {"talk": _talk_example, "requests": _request_example}
PREFERENCES = {"talk": _talk_pair, "requests": _request_pair}
JUDGED = {"requests": _request_judged}
