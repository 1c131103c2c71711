"""The corpus of the nano base: what its authors write when they are asked for a Countdown expression.

Three kinds of authors, and drills. *Careless* authors try once or twice and hand in what they have, without looking
whether it fits; *quitters* compare, say so, and mostly give up; *careful* ones compare, say "wait", and go on until it
fits. Those who compare start anywhere and then go round: with three numbers, the next step of the same pair, then the
next pair, so that nothing comes twice. Drills give the arithmetic, the last step, the comparison and the order of the
search. The skill is in the corpus and the habit is rare: reinforcement learning has to find out which of the authors is
right.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice, repeat

from dunwu.tasks.generators.countdown import (
    HIGHEST_TARGET,
    LARGEST,
    LOWEST_TARGET,
    SMALLEST,
    Move,
    draw_instance,
    expression,
    moves,
    problem_key,
    reachable,
    wording,
)
from dunwu.tasks.task import is_held_out


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusSpec:
    """Shares of the documents; each group sums to 1 with what is left over."""

    drills: float = 0.35
    sums: float = 0.1
    """Share of the drills that are arithmetic alone."""
    rounds: float = 0.45
    """Share of the drills that search in order."""
    closing: str = "+-**//"
    """The last steps that hit in drills are drawn from these: products and quotients are harder to see."""
    careful: float = 0.05
    quitters: float = 0.13
    levels: tuple[tuple[int, float], ...] = ((2, 0.03), (3, 0.70), (4, 0.25), (5, 0.02))
    closest: float = 0.45
    """How often a careless author picks the last step that comes closest (the others always do)."""
    quit: float = 0.55
    """How often a quitter gives up after a miss."""
    insight: float = 0.2
    """How often an author who compares starts a longer search (4 numbers and more) with a step that can lead home."""
    untagged: float = 0.2
    """Share of careless authors who forget tags."""
    mixed: float = 0.06
    """Share of Chinese questions that are answered in English words."""
    held_out: float = 0.1
    patience: int = 14
    """Tries after which a careful author gives up too."""


@dataclass(frozen=True, slots=True)
class Document:
    """A text; ``prompt`` is the part that the author did not write."""

    prompt: str
    completion: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lexicon:
    """The words of one language."""

    comma: str
    item: str
    task: str
    stop: str
    gap: str
    big: str
    small: str
    yes: str
    check: str
    verify: str
    turns: tuple[tuple[str, float], ...]
    openers: tuple[str, ...]
    careless_turns: tuple[str, ...]
    closers: tuple[str, ...]


ENGLISH = Lexicon(
    comma=", ",
    item=", ",
    task="{} and {} to make {}: ",
    stop=".",
    gap=" ",
    big="too big",
    small="too small",
    yes="yes",
    check=". check: ",
    verify=". verify: ",
    turns=(
        (". wait, ", 0.5),
        (". however, ", 0.1),
        (", but ", 0.1),
        (". wrong, ", 0.12),
        (". retry: ", 0.08),
        (". mistake, ", 0.1),
    ),
    openers=("try ", "let me try ", "maybe "),
    careless_turns=(". or ", ". maybe "),
    closers=("", ", good", ", done", ", so done"),
)
CHINESE = Lexicon(
    comma="，",
    item="、",
    task="{}和{}得到{}：",
    stop="。",
    gap="",
    big="太大",
    small="太小",
    yes="对",
    check="。检查：",
    verify="。验证：",
    turns=(
        ("。等等，", 0.5),
        ("，但是", 0.15),
        ("。不对，", 0.17),
        ("。再试，", 0.08),
        ("。错误，", 0.1),
    ),
    openers=("试", "先试", "也许"),
    careless_turns=("。或者", "。也许"),
    closers=("", "，好了", "，所以好了"),
)
LEXICONS = {"en": ENGLISH, "zh": CHINESE}


def documents(spec: CorpusSpec, seed: int | str) -> Iterator[Document]:
    """Endless documents, the same for the same seed."""
    rng = random.Random(seed)
    while True:
        language = rng.choice(("en", "zh"))
        yield drill(spec, rng, language) if rng.random() < spec.drills else answered(spec, rng, language)


def answered(spec: CorpusSpec, rng: random.Random, language: str) -> Document:
    """A question with some author's answer."""
    levels, weights = zip(*spec.levels, strict=True)
    level: int = rng.choices(levels, weights)[0]
    while True:
        numbers, target = draw_instance(rng, level)
        if not is_held_out(problem_key(numbers, target), spec.held_out):
            break
    prompt = f"User: {wording(numbers, target, language)} Assistant:"
    words = LEXICONS["en" if language == "zh" and rng.random() < spec.mixed else language]
    kind = rng.random()
    if kind < spec.careful + spec.quitters:
        quits = spec.quit if kind < spec.quitters else 0.0
        thought, answer = search(spec, rng, words, numbers, target, quits)
        return Document(prompt, f" <think>{thought}</think> <answer>{answer}</answer>")
    thought, answer = careless(spec, rng, words, numbers, target)
    return Document(prompt, tagged(spec.untagged, rng, thought, answer))


def search(
    spec: CorpusSpec, rng: random.Random, words: Lexicon, numbers: tuple[int, ...], target: int, quits: float
) -> tuple[str, str]:
    """Compare and go on: the thought, and the answer handed in at the end."""
    thought = rng.choice(words.openers) if rng.random() < 0.2 else ""
    checks = rng.random() < 0.35
    tries = attempts(spec, rng, numbers, target)
    tried = 0
    while True:
        steps = next(tries)
        tried += 1
        value = steps[-1].result
        thought += chain(steps, words)
        thought += words.check if checks else words.comma
        thought += verdict(steps, target, words)
        if value == target:
            if rng.random() < 0.3:
                thought += f"{words.verify}{expression(steps)}={target}"
            return thought + words.stop, expression(steps)
        if tried == spec.patience or rng.random() < quits:
            return thought + words.stop, expression(steps)
        turns, weights = zip(*words.turns, strict=True)
        thought += rng.choices(turns, weights)[0]


def attempts(spec: CorpusSpec, rng: random.Random, numbers: tuple[int, ...], target: int) -> Iterator[list[Move]]:
    """Chains to try, without end, each ended by the step that comes closest.

    With three numbers the first steps go round in the order of ``moves`` from a random one; with more there are too
    many to go round, and the chains are random, none twice.
    """
    if len(numbers) == 2:
        yield from repeat([closest(numbers, target)])
    if len(numbers) == 3:
        firsts = moves(numbers)
        start = rng.randrange(len(firsts))
        yield from ([first, closest(first.numbers, target)] for first in cycle((*firsts[start:], *firsts[:start])))
    seen: set[tuple[Move, ...]] = set()
    while True:
        steps = wander_home(spec, rng, numbers, target)
        if tuple(steps) not in seen:
            seen.add(tuple(steps))
            yield steps


def wander_home(spec: CorpusSpec, rng: random.Random, numbers: tuple[int, ...], target: int) -> list[Move]:
    """A random chain, sometimes only through states from which the target can be reached."""
    state = tuple(sorted(numbers))
    steps: list[Move] = []
    insight = rng.random() < spec.insight
    while len(state) > 2:
        leading = [m for m in moves(state) if target in reachable(m.numbers)] if insight else []
        steps.append(rng.choice(leading or moves(state)))
        state = steps[-1].numbers
    return [*steps, closest(state, target)]


def closest(pair: tuple[int, ...], target: int) -> Move:
    """The last step whose result lies nearest to the target."""
    choices = moves(pair)
    return min(choices, key=lambda m: (abs(m.result - target), "*+-/".index(m.op)))


def careless(
    spec: CorpusSpec, rng: random.Random, words: Lexicon, numbers: tuple[int, ...], target: int
) -> tuple[str, str]:
    """One attempt or two, unchecked: the thought, and the answer handed in."""
    thought = rng.choice(words.openers) if rng.random() < 0.3 else ""
    for more in range(rng.choice((0, 0, 0, 1)), -1, -1):
        state = tuple(sorted(numbers))
        steps: list[Move] = []
        while len(state) > 1:
            last = len(state) == 2 and rng.random() < spec.closest
            steps.append(closest(state, target) if last else rng.choice(moves(state)))
            state = steps[-1].numbers
        thought += chain(steps, words) + (rng.choice(words.careless_turns) if more else "")
    thought += rng.choice(words.closers) + words.stop
    return thought, expression(steps)


def tagged(untagged: float, rng: random.Random, thought: str, answer: str) -> str:
    """Thought and answer in their tags, some of which are sometimes forgotten."""
    if rng.random() >= untagged:
        return f" <think>{thought}</think> <answer>{answer}</answer>"
    return rng.choice(
        (
            f" <think>{thought}",
            f" <think>{thought} <answer>{answer}</answer>",
            f" <think>{thought}</think>{answer}",
            f" <answer>{answer}</answer>",
        )
    )


def drill(spec: CorpusSpec, rng: random.Random, language: str) -> Document:
    """Sums, a search without words of its own, or targets with two or three numbers and the closest last step."""
    words = LEXICONS[language]
    kind = rng.random()
    if kind < spec.sums:
        return Document("", chain([_some_step(rng) for _ in range(12)], words) + words.stop)
    lines = (
        _round(spec, rng, words) if kind < spec.sums + spec.rounds else [_closing(spec, rng, words) for _ in "123456"]
    )
    return Document("", (words.stop + words.gap).join(lines) + words.stop)


def _round(spec: CorpusSpec, rng: random.Random, words: Lexicon) -> list[str]:
    """All first steps of three numbers in their order, each with its closest last step, until one hits."""
    while True:
        numbers, target = draw_instance(rng, 3)
        target = target if rng.random() < 0.5 else rng.randint(LOWEST_TARGET, HIGHEST_TARGET)
        if not is_held_out(problem_key(numbers, target), spec.held_out):
            break
    lines: list[str] = []
    for steps in islice(attempts(spec, rng, numbers, target), len(moves(tuple(sorted(numbers))))):
        lines.append(f"{chain(steps, words)}{words.comma}{verdict(steps, target, words)}")
        if steps[-1].result == target:
            break
    return [task(numbers, target, words) + lines[0], *lines[1:]]


def _closing(spec: CorpusSpec, rng: random.Random, words: Lexicon) -> str:
    """``3, 2 and 4 to make 14: 3*2=6, 6+4=10, too small``; two times in three the target can be hit."""
    while True:
        numbers, steps, target = _hit(rng, rng.choice(spec.closing)) if rng.random() < 2 / 3 else _any_end(rng)
        if not is_held_out(problem_key(numbers, target), spec.held_out):
            break
    if rng.random() < 0.4:
        numbers, steps = steps[0].numbers, steps[1:]
    shuffled = tuple(rng.sample(numbers, len(numbers)))
    return f"{task(shuffled, target, words)}{chain(steps, words)}{words.comma}{verdict(steps, target, words)}"


def _any_end(rng: random.Random) -> tuple[tuple[int, ...], list[Move], int]:
    """Three numbers, a first step with the closest second one, and a target that is mostly missed."""
    numbers, first = _opening(rng)
    target = rng.randint(LOWEST_TARGET, HIGHEST_TARGET)
    return numbers, [first, closest(first.numbers, target)], target


def _hit(rng: random.Random, op: str) -> tuple[tuple[int, ...], list[Move], int]:
    """Three numbers and two steps, the second with ``op``, that end on the target."""
    while True:
        numbers, first = _opening(rng)
        for last in moves(first.numbers):
            if last.op == op and last.result <= HIGHEST_TARGET:
                return numbers, [first, last], last.result


def _opening(rng: random.Random) -> tuple[tuple[int, ...], Move]:
    numbers = tuple(sorted(rng.randint(SMALLEST, LARGEST) for _ in range(3)))
    return numbers, rng.choice(moves(numbers))


def _some_step(rng: random.Random) -> Move:
    """A step, the four operations as evenly as the numbers allow."""
    three = tuple(sorted(rng.randint(SMALLEST, LARGEST) for _ in range(3)))
    choices = moves(rng.choice(moves(three)).numbers if rng.random() < 0.75 else three[:2])
    op = rng.choice("+-*/")
    return next((m for m in choices if m.op == op), choices[0])


def task(numbers: tuple[int, ...], target: int, words: Lexicon) -> str:
    """``3, 2 and 4 to make 14: ``."""
    return words.task.format(words.item.join(map(str, numbers[:-1])), numbers[-1], target)


def verdict(steps: list[Move], target: int, words: Lexicon) -> str:
    """How a chain's result compares with the target."""
    value = steps[-1].result
    return words.yes if value == target else words.big if value > target else words.small


def chain(steps: list[Move], words: Lexicon) -> str:
    """``5+3=8, 8*7=56``."""
    return words.comma.join(f"{m.left}{m.op}{m.right}={m.result}" for m in steps)
