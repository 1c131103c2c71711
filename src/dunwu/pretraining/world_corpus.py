"""The corpus of the nano world: mathematics, logic, small programs, misleading questions, small talk and requests.

Half is asked in English and half in Chinese; a good part of the writers mix the two. On every puzzle most writers are
hasty, as those of the Countdown corpus are careless. Few check what they found and go on where it was wrong.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields

from dunwu.config.check_tasks import CORPORA
from dunwu.pretraining import countdown_corpus
from dunwu.pretraining.countdown_corpus import CountdownSpec, Document, add_tags
from dunwu.pretraining.lexicon import LEXICONS, Lexicon
from dunwu.pretraining.writers.conversations import write_request, write_talk
from dunwu.pretraining.writers.functions import write_function
from dunwu.pretraining.writers.premises import write_drill, write_premise
from dunwu.pretraining.writers.ranking import write_ranking
from dunwu.pretraining.writers.writer import Trace, Writer
from dunwu.tasks.generators.countdown import draw_instance, make_key, write_question
from dunwu.tasks.rewriting import FIRST_PERSON
from dunwu.tasks.task import is_held_out

HELD_OUT = CORPORA["world"].left_out
WRITE: dict[str, Callable[[Writer], Trace]] = {
    "ranking": write_ranking,
    "functions": write_function,
    "premises": write_premise,
    "talk": write_talk,
    "requests": write_request,
}
"""How writers answer each kind of question, other than Countdown's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldSpec:
    """Shares of the documents; the kinds sum to 1 with the drills."""

    drills: float = 0.22
    """Countdown's: arithmetic and its search."""
    countdown: float = 0.20
    ranking: float = 0.14
    functions: float = 0.15
    premises: float = 0.09
    premise_drills: float = 0.05
    """Drills of premises and calculations."""
    talk: float = 0.08
    requests: float = 0.07
    checking: float = 0.22
    """Share of the writers of puzzles who check."""
    steadfast: float = 0.3
    """Share of those who never give up."""
    quit: float = 0.55
    """How often the others give up after a miss."""
    mixed: float = 0.3
    """Share of the writers who change the language while they think."""
    spoken: float = 0.04
    """Share of the writers who write in the first person and sum up."""
    untagged: float = 0.2
    """Share of the hasty writers who forget tags."""
    plain: float = 0.4
    """Share of the answers in talk and requests that come without thought or tags."""
    held_out: float = HELD_OUT
    puzzles: CountdownSpec = field(
        default_factory=lambda: CountdownSpec(levels=((2, 0.02), (3, 0.98)), held_out=HELD_OUT)
    )
    """Countdown's own shares."""


def generate_documents(spec: WorldSpec, seed: int | str) -> Iterator[Document]:
    """Yield documents without end, the same for the same seed."""
    rng = random.Random(seed)
    names = ("drills", "countdown", "premise_drills", *WRITE)
    weights = [getattr(spec, name) for name in names]
    while True:
        kind, language = rng.choices(names, weights)[0], rng.choice(("en", "zh"))
        if kind == "drills":
            yield countdown_corpus.make_drill(spec.puzzles, rng, language)
        elif kind == "premise_drills":
            yield Document("", write_drill(Writer(rng, language, mixes=False, checks=True, quits=0.0)))
        elif kind == "countdown":
            yield make_countdown(spec, rng, language)
        else:
            yield make_answered(spec, rng, language, kind)


def make_countdown(spec: WorldSpec, rng: random.Random, language: str) -> Document:
    """Make a Countdown question with some writer's answer."""
    levels, weights = zip(*spec.puzzles.levels, strict=True)
    while True:
        numbers, target = draw_instance(rng, rng.choices(levels, weights)[0])
        if not is_held_out(make_key(numbers, target), spec.held_out):
            break
    words = blend_lexicons(rng) if rng.random() < spec.mixed else LEXICONS[language]
    checks, quits = _draw_manner(spec, rng)
    if checks:
        thought, answer = countdown_corpus.write_search(spec.puzzles, rng, words, numbers, target, quits)
    else:
        thought, answer = countdown_corpus.write_careless(spec.puzzles, rng, words, numbers, target)
    prompt = f"User: {write_question(numbers, target, language)} Assistant:"
    return Document(prompt, _hand_in(spec, rng, language, checks, thought, answer))


def make_answered(spec: WorldSpec, rng: random.Random, language: str, kind: str) -> Document:
    """Make a question of a kind in ``WRITE`` with some writer's answer."""
    mixes = rng.random() < spec.mixed
    while True:
        checks, quits = _draw_manner(spec, rng)
        trace = WRITE[kind](Writer(rng, language, mixes=mixes, checks=checks, quits=quits))
        if not is_held_out(trace.key, spec.held_out):
            break
    prompt = f"User: {trace.question} Assistant:"
    if kind in ("talk", "requests") and rng.random() < spec.plain:
        return Document(prompt, f" {trace.answer}")
    return Document(prompt, _hand_in(spec, rng, language, checks, trace.thought, trace.answer))


def blend_lexicons(rng: random.Random) -> Lexicon:
    """Return words of both languages, each phrase of one of them."""
    return Lexicon(**{one.name: getattr(rng.choice(list(LEXICONS.values())), one.name) for one in fields(Lexicon)})


def _hand_in(spec: WorldSpec, rng: random.Random, language: str, checks: bool, thought: str, answer: str) -> str:
    """Write thought and answer in the first person, or in tags that hasty writers may forget."""
    if rng.random() < spec.spoken:
        opening, summing = FIRST_PERSON[language]
        return f" <think>{opening}{thought}</think> {summing}<answer>{answer}</answer>"
    return add_tags(0.0 if checks else spec.untagged, rng, thought, answer)


def _draw_manner(spec: WorldSpec, rng: random.Random) -> tuple[bool, float]:
    """Draw whether a writer checks, and how often this one gives up."""
    kind = rng.random()
    return kind < spec.checking, 0.0 if kind < spec.checking * spec.steadfast else spec.quit
