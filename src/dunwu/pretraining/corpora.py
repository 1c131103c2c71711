"""The corpora by the names that recipes give, each with the words of its tokenizer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from dunwu.pretraining import countdown_corpus, world_corpus
from dunwu.pretraining.countdown_corpus import CountdownSpec, Document
from dunwu.pretraining.tokenizer import WORDS
from dunwu.pretraining.world_corpus import WorldSpec
from dunwu.pretraining.writers import functions as function_writer
from dunwu.pretraining.writers import premises as premise_writer
from dunwu.pretraining.writers import ranking as ranking_writer
from dunwu.tasks.generators import functions, premise, ranking
from dunwu.tasks.rewriting import FIRST_PERSON
from dunwu.tasks.world import requests, talk


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """A generated corpus.

    Attributes:
        words: The words and phrases that are one token each.
        generate: Yields documents without end, a function of the seed.
    """

    words: tuple[str, ...]
    generate: Callable[[str], Iterator[Document]]


def extract_phrases(templates: object) -> Iterator[str]:
    """Yield what stands between the ``{}`` of every text in nested tables."""
    if isinstance(templates, str):
        yield from (phrase for phrase in re.split(r"{[^}]*}", templates) if phrase)
    elif isinstance(templates, dict):
        for key, value in templates.items():
            yield from extract_phrases(value)
            yield from extract_phrases(key) if isinstance(key, tuple) else ()
    elif isinstance(templates, tuple):
        for value in templates:
            yield from extract_phrases(value)


def collect_world_words() -> tuple[str, ...]:
    """Collect Countdown's words and every phrase of the other kinds of questions, each once."""
    tables = (
        (ranking.NAMES, tuple(ranking.WORDINGS.values()), ranking.ASKED, ranking_writer.OVER, ranking_writer.MISSING),
        (ranking_writer.COMPLETE, functions.WORDINGS, functions.write_source("{}", 0)[:-1], function_writer.PATTERN),
        (premise.QUESTION, premise.OPENINGS, premise.JOINT, tuple(premise.WORDINGS.values()), premise.REFUSAL),
        (premise_writer.WRONG, " + ", " - ", " × "),
        (tuple(talk.ANIMALS), tuple(name.capitalize() for name, _ in talk.ANIMALS), talk.VALUES, talk.FACTS),
        (talk.QUESTIONS, talk.ANYTHING, talk.PRONOUN, talk.PRONOUN["en"].lower()),
        (talk.COURTESIES, talk.RUDENESSES, talk.THOUGHT),
        (requests.HARMFUL, requests.HARMLESS, requests.QUESTIONS, requests.PLAN, requests.DOUBT),
        (requests.STEPS, requests.REFUSALS, FIRST_PERSON),
    )
    return tuple(dict.fromkeys((*WORDS, *extract_phrases(tables))))


CORPORA = {
    "countdown-traces": Corpus(words=WORDS, generate=partial(countdown_corpus.generate_documents, CountdownSpec())),
    "world": Corpus(words=collect_world_words(), generate=partial(world_corpus.generate_documents, WorldSpec())),
}
