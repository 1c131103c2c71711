"""The corpora by the names that recipes give, each with the words of its tokenizer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from dunwu.pretraining import countdown_corpus, world_corpus
from dunwu.pretraining.countdown_corpus import CorpusSpec, Document
from dunwu.pretraining.tokenizer import WORDS
from dunwu.pretraining.writers import functions, ranking
from dunwu.pretraining.writers import premises as doubts
from dunwu.tasks.generators import functions as induction
from dunwu.tasks.generators import premise
from dunwu.tasks.generators import ranking as heights
from dunwu.tasks.rewriting import FIRST_PERSON
from dunwu.tasks.world import requests, talk


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Documents without end, a function of their seed, and the words and phrases that are one token."""

    words: tuple[str, ...]
    documents: Callable[[str], Iterator[Document]]


def phrases(templates: object) -> Iterator[str]:
    """What stands between the ``{}`` of every text in nested tables."""
    if isinstance(templates, str):
        yield from (phrase for phrase in re.split(r"{[^}]*}", templates) if phrase)
    elif isinstance(templates, dict):
        for key, value in templates.items():
            yield from phrases(value)
            yield from phrases(key) if isinstance(key, tuple) else ()
    elif isinstance(templates, tuple):
        for value in templates:
            yield from phrases(value)


def world_words() -> tuple[str, ...]:
    """Countdown's words and every phrase of the other kinds, each once."""
    tables = (
        (heights.NAMES, tuple(heights.WORDINGS.values()), heights.ASKED, ranking.OVER, ranking.MISSING),
        (ranking.COMPLETE, induction.WORDINGS, induction.source("{}", 0)[:-1], functions.PATTERN),
        (premise.QUESTION, premise.OPENINGS, premise.JOINT, tuple(premise.WORDINGS.values()), premise.REFUSAL),
        (doubts.WRONG, " + ", " - ", " × "),
        (tuple(talk.ANIMALS), tuple(name.capitalize() for name, _ in talk.ANIMALS), talk.VALUES, talk.FACTS),
        (talk.QUESTIONS, talk.ANYTHING, talk.PRONOUN, talk.PRONOUN["en"].lower()),
        (talk.COURTESIES, talk.RUDENESSES, talk.THOUGHT),
        (requests.HARMFUL, requests.HARMLESS, requests.QUESTIONS, requests.PLAN, requests.DOUBT),
        (requests.STEPS, requests.REFUSALS, FIRST_PERSON),
    )
    return tuple(dict.fromkeys((*WORDS, *phrases(tables))))


CORPORA = {
    "countdown-traces": Corpus(words=WORDS, documents=partial(countdown_corpus.documents, CorpusSpec())),
    "world": Corpus(words=world_words(), documents=partial(world_corpus.documents, world_corpus.WorldSpec())),
}
