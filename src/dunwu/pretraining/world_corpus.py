"""The corpus of the nano world: mathematics, logic, small programs, misleading questions, small talk and requests.

Half is asked in English and half in Chinese; a good part of the authors mix the two. On every puzzle most authors are
hasty, as those of the Countdown corpus are careless, and few check what they found and go on where it was wrong.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields

from dunwu.pretraining import countdown_corpus
from dunwu.pretraining.countdown_corpus import LEXICONS, CorpusSpec, Document, Lexicon, tagged
from dunwu.pretraining.writers.conversations import requests, talk
from dunwu.pretraining.writers.functions import functions
from dunwu.pretraining.writers.premises import drill, premises
from dunwu.pretraining.writers.ranking import ranking
from dunwu.pretraining.writers.writer import Author, Written
from dunwu.tasks.generators.countdown import draw_instance, problem_key, wording
from dunwu.tasks.rewriting import FIRST_PERSON
from dunwu.tasks.task import is_held_out

KINDS: dict[str, Callable[[Author], Written]] = {
    "ranking": ranking,
    "functions": functions,
    "premises": premises,
    "talk": talk,
    "requests": requests,
}
"""What authors write about, beside Countdown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldSpec:
    """Shares of the documents; the kinds sum to 1 with the drills."""

    drills: float = 0.22
    """Countdown's: arithmetic and its search."""
    countdown: float = 0.20
    ranking: float = 0.14
    functions: float = 0.15
    premises: float = 0.09
    doubts: float = 0.05
    """Drills of premises and calculations."""
    talk: float = 0.08
    requests: float = 0.07
    checking: float = 0.22
    """Share of the authors of puzzles who check."""
    steadfast: float = 0.3
    """Share of those who never give up."""
    quit: float = 0.55
    """How often the others do, after a miss."""
    mixed: float = 0.3
    """Share of the authors who change the language while they think."""
    spoken: float = 0.04
    """Share of the authors who write in the first person and sum up."""
    untagged: float = 0.2
    """Share of the hasty authors who forget tags."""
    plain: float = 0.4
    """Share of the answers in talk and requests that come without thought or tags."""
    held_out: float = 0.2
    puzzles: CorpusSpec = field(default_factory=lambda: CorpusSpec(levels=((2, 0.02), (3, 0.98)), held_out=0.2))
    """Countdown's own shares."""


def documents(spec: WorldSpec, seed: int | str) -> Iterator[Document]:
    """Endless documents, the same for the same seed."""
    rng = random.Random(seed)
    names = ("drills", "countdown", "doubts", *KINDS)
    weights = [getattr(spec, name) for name in names]
    while True:
        kind, language = rng.choices(names, weights)[0], rng.choice(("en", "zh"))
        if kind == "drills":
            yield countdown_corpus.drill(spec.puzzles, rng, language)
        elif kind == "doubts":
            yield Document("", drill(Author(rng, language, mixes=False, checks=True, quits=0.0)))
        elif kind == "countdown":
            yield countdown(spec, rng, language)
        else:
            yield written(spec, rng, language, kind)


def countdown(spec: WorldSpec, rng: random.Random, language: str) -> Document:
    """A Countdown question with some author's answer."""
    levels, weights = zip(*spec.puzzles.levels, strict=True)
    while True:
        numbers, target = draw_instance(rng, rng.choices(levels, weights)[0])
        if not is_held_out(problem_key(numbers, target), spec.held_out):
            break
    words = blend(rng) if rng.random() < spec.mixed else LEXICONS[language]
    checks, quits = _manner(spec, rng)
    if checks:
        thought, answer = countdown_corpus.search(spec.puzzles, rng, words, numbers, target, quits)
    else:
        thought, answer = countdown_corpus.careless(spec.puzzles, rng, words, numbers, target)
    prompt = f"User: {wording(numbers, target, language)} Assistant:"
    return Document(prompt, _handed_in(spec, rng, language, checks, thought, answer))


def written(spec: WorldSpec, rng: random.Random, language: str, kind: str) -> Document:
    """A question of another kind with some author's answer."""
    mixes = rng.random() < spec.mixed
    while True:
        checks, quits = _manner(spec, rng)
        made = KINDS[kind](Author(rng, language, mixes=mixes, checks=checks, quits=quits))
        if not is_held_out(made.key, spec.held_out):
            break
    prompt = f"User: {made.question} Assistant:"
    if kind in ("talk", "requests") and rng.random() < spec.plain:
        return Document(prompt, f" {made.answer}")
    return Document(prompt, _handed_in(spec, rng, language, checks, made.thought, made.answer))


def blend(rng: random.Random) -> Lexicon:
    """Words of both languages, each phrase of one of them."""
    return Lexicon(**{one.name: getattr(rng.choice(list(LEXICONS.values())), one.name) for one in fields(Lexicon)})


def _handed_in(spec: WorldSpec, rng: random.Random, language: str, checks: bool, thought: str, answer: str) -> str:
    if rng.random() < spec.spoken:
        opening, summing = FIRST_PERSON[language]
        return f" <think>{opening}{thought}</think> {summing}<answer>{answer}</answer>"
    return tagged(0.0 if checks else spec.untagged, rng, thought, answer)


def _manner(spec: WorldSpec, rng: random.Random) -> tuple[bool, float]:
    """Whether an author checks, and how often this one gives up."""
    kind = rng.random()
    return kind < spec.checking, 0.0 if kind < spec.checking * spec.steadfast else spec.quit
