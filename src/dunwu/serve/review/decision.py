"""What a policy says of an answer: the strictest action of all topics that match.

A rule that cannot be followed, because a pattern takes too long or no model answers, holds the answer for a person.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import NamedTuple

from dunwu.serve.review.matching import find_keyword, find_pattern, normalize
from dunwu.serve.review.policy import ACTIONS, Action, ModelRule, Place, Policy, Topic

Score = Callable[[str, str], float]
"""``score(question, text)``: how dangerous a reply to a question is, from 0 to 1; an empty text asks about the question
alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is done with an answer, and why.

    Attributes:
        action: What is done.
        topics: The topics that match, in the policy's order.
        reasons: What was found, one line each.
        refusal: For ``refuse``: what is answered instead; for ``hold`` what a topic says meanwhile, if it does.
        derived_by: The checks of a second verification that derived the answer again, where all checks agreed.
    """

    action: Action
    topics: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    refusal: str = ""
    derived_by: tuple[str, ...] = ()


class Match(NamedTuple):
    """A rule of a topic that matches, or that could not be followed."""

    topic: str
    action: Action
    reason: str


def decide(
    policy: Policy, question: str, reasoning: str = "", answer: str = "", *, score: Score | None = None
) -> Decision:
    """Decide what is done with an answer; without one, with a question before it is answered.

    Args:
        policy: The rules.
        question: What was asked: all that the client sent.
        reasoning: The model's chain.
        answer: What follows the chain.
        score: The safety model. Topics that ask it hold the answer where there is none.

    Returns:
        The decision.
    """
    texts: dict[Place, str] = {"question": question, "reasoning": reasoning, "answer": answer}
    normalized = {place: normalize(text) for place, text in texts.items()}
    matches = [
        match
        for name, topic in policy.topics.items()
        for match in (*_match_texts(name, topic, normalized), *_match_model(name, topic, texts, score))
    ]
    action = max((match.action for match in matches), key=ACTIONS.index, default=policy.default)
    texts_of_topics = (policy.topics[match.topic].refusal for match in matches if match.action == action)
    own = next(filter(None, texts_of_topics), "") if action in ("refuse", "hold") else ""
    return Decision(
        action=action,
        topics=tuple(dict.fromkeys(match.topic for match in matches)),
        reasons=tuple(match.reason for match in matches),
        refusal=own or (policy.refusal if action == "refuse" else ""),
    )


def _match_texts(name: str, topic: Topic, texts: Mapping[Place, str]) -> Iterator[Match]:
    """Look for keywords and patterns; the first of each that is found in a text stands for all."""
    for place in topic.applies_to:
        if keyword := find_keyword(topic.keywords, texts[place]):
            yield Match(name, topic.action, f"{name}: {keyword!r} stands in the {place}")
        try:
            pattern = find_pattern(topic.patterns, texts[place]) if topic.patterns else None
        except TimeoutError:
            yield Match(name, "hold", f"{name}: the patterns take too long on the {place}")
        else:
            if pattern:
                yield Match(name, topic.action, f"{name}: {pattern!r} matches the {place}")


def _match_model(name: str, topic: Topic, texts: Mapping[Place, str], score: Score | None) -> Iterator[Match]:
    if topic.model is None:
        return
    if score is None:
        yield Match(name, "hold", f"{name}: there is no safety model to ask")
        return
    for place in topic.applies_to:
        if texts[place]:
            yield from _ask_model(name, topic, topic.model, place, texts, score)


def _ask_model(
    name: str, topic: Topic, rule: ModelRule, place: Place, texts: Mapping[Place, str], score: Score
) -> Iterator[Match]:
    try:
        value = float(score(texts["question"], "" if place == "question" else texts[place]))
    except Exception as error:  # whatever a model raises, its silence is no consent
        yield Match(name, "hold", f"{name}: the safety model failed on the {place}: {type(error).__name__}")
        return
    if not isfinite(value):
        yield Match(name, "hold", f"{name}: the safety model gave {value} for the {place}")
    elif value >= rule.threshold:
        yield Match(name, topic.action, f"{name}: the safety model gives the {place} {value:.2f}")
