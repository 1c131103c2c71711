"""The corpus of the nano base: Countdown questions, and what writers of three kinds answer.

*Careless* writers try once or twice and hand in what they have, without looking whether it fits. *Quitters* compare,
say so, and mostly give up. *Careful* ones compare, say "wait", and go on until it fits. Those who compare start
anywhere and then go round: with three numbers, the next step of the same pair, then the next pair, so that nothing
comes twice. Drills give the arithmetic, the last step, the comparison and the order of the search. The skill is in the
corpus and the habit is rare: reinforcement learning has to find out which of the writers is right.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice, repeat

from dunwu.config.check_tasks import CORPORA
from dunwu.pretraining.lexicon import LEXICONS, Lexicon
from dunwu.tasks.generators.countdown import (
    HIGHEST_TARGET,
    LARGEST,
    LOWEST_TARGET,
    SMALLEST,
    Move,
    draw_instance,
    find_reachable,
    list_moves,
    make_key,
    write_expression,
    write_question,
)
from dunwu.tasks.task import is_held_out


@dataclass(frozen=True, slots=True, kw_only=True)
class CountdownSpec:
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
    """How many numbers a question has, with weights."""
    closest: float = 0.45
    """How often a careless writer picks the last step that comes closest (the others always do)."""
    quit: float = 0.55
    """How often a quitter gives up after a miss."""
    insight: float = 0.2
    """How often a writer who compares starts a longer search (4 numbers and more) with a step that can lead home."""
    untagged: float = 0.2
    """Share of careless writers who forget tags."""
    mixed: float = 0.06
    """Share of Chinese questions that are answered in English words."""
    held_out: float = CORPORA["countdown-traces"].left_out
    patience: int = 14
    """Tries after which a careful writer gives up too."""


@dataclass(frozen=True, slots=True)
class Document:
    """A text; ``prompt`` is the part that carries no loss."""

    prompt: str
    completion: str


def generate_documents(spec: CountdownSpec, seed: int | str) -> Iterator[Document]:
    """Yield documents without end, the same for the same seed."""
    rng = random.Random(seed)
    while True:
        language = rng.choice(("en", "zh"))
        yield make_drill(spec, rng, language) if rng.random() < spec.drills else make_answered(spec, rng, language)


def make_answered(spec: CountdownSpec, rng: random.Random, language: str) -> Document:
    """Make a question with some writer's answer."""
    levels, weights = zip(*spec.levels, strict=True)
    level: int = rng.choices(levels, weights)[0]
    while True:
        numbers, target = draw_instance(rng, level)
        if not is_held_out(make_key(numbers, target), spec.held_out):
            break
    prompt = f"User: {write_question(numbers, target, language)} Assistant:"
    words = LEXICONS["en" if language == "zh" and rng.random() < spec.mixed else language]
    kind = rng.random()
    if kind < spec.careful + spec.quitters:
        quits = spec.quit if kind < spec.quitters else 0.0
        thought, answer = write_search(spec, rng, words, numbers, target, quits)
        return Document(prompt, f" <think>{thought}</think> <answer>{answer}</answer>")
    thought, answer = write_careless(spec, rng, words, numbers, target)
    return Document(prompt, add_tags(spec.untagged, rng, thought, answer))


def write_search(
    spec: CountdownSpec, rng: random.Random, words: Lexicon, numbers: tuple[int, ...], target: int, quits: float
) -> tuple[str, str]:
    """Write the thought of someone who compares and goes on.

    Args:
        spec: How often what happens.
        rng: The document's.
        words: The language of the thought.
        numbers: To use once each.
        target: To reach.
        quits: How often the writer gives up after a miss, in [0, 1].

    Returns:
        The thought, and the answer handed in at its end.
    """
    thought = rng.choice(words.openers) if rng.random() < 0.2 else ""
    checks = rng.random() < 0.35
    attempts = iterate_attempts(spec, rng, numbers, target)
    tried = 0
    while True:
        steps = next(attempts)
        tried += 1
        value = steps[-1].result
        thought += format_steps(steps, words)
        thought += words.check if checks else words.comma
        thought += format_verdict(steps, target, words)
        if value == target:
            if rng.random() < 0.3:
                thought += f"{words.verify}{write_expression(steps)}={target}"
            return thought + words.stop, write_expression(steps)
        if tried == spec.patience or rng.random() < quits:
            return thought + words.stop, write_expression(steps)
        turns, weights = zip(*words.turns, strict=True)
        thought += rng.choices(turns, weights)[0]


def iterate_attempts(
    spec: CountdownSpec, rng: random.Random, numbers: tuple[int, ...], target: int
) -> Iterator[list[Move]]:
    """Yield chains of steps to try, without end, each ended by the step that comes closest.

    With three numbers the first steps go round in the order of ``moves`` from a random one. With more there are too
    many to go round, and the chains are random, none twice.

    Args:
        spec: How often what happens.
        rng: The document's.
        numbers: To use once each.
        target: To reach.

    Yields:
        The steps of one attempt.
    """
    if len(numbers) == 2:
        yield from repeat([find_closest(numbers, target)])
    if len(numbers) == 3:
        firsts = list_moves(numbers)
        start = rng.randrange(len(firsts))
        yield from ([first, find_closest(first.numbers, target)] for first in cycle((*firsts[start:], *firsts[:start])))
    seen: set[tuple[Move, ...]] = set()
    while True:
        steps = walk(spec, rng, numbers, target)
        if tuple(steps) not in seen:
            seen.add(tuple(steps))
            yield steps


def walk(spec: CountdownSpec, rng: random.Random, numbers: tuple[int, ...], target: int) -> list[Move]:
    """Draw a random chain of steps, sometimes only through states from which the target can be reached.

    Args:
        spec: How often what happens.
        rng: The document's.
        numbers: To use once each.
        target: To reach.
    """
    state = tuple(sorted(numbers))
    steps: list[Move] = []
    insight = rng.random() < spec.insight
    while len(state) > 2:
        leading = [move for move in list_moves(state) if target in find_reachable(move.numbers)] if insight else []
        steps.append(rng.choice(leading or list_moves(state)))
        state = steps[-1].numbers
    return [*steps, find_closest(state, target)]


def find_closest(pair: tuple[int, ...], target: int) -> Move:
    """Find the last step whose result lies nearest to the target."""
    choices = list_moves(pair)
    return min(choices, key=lambda move: (abs(move.result - target), "*+-/".index(move.op)))


def write_careless(
    spec: CountdownSpec, rng: random.Random, words: Lexicon, numbers: tuple[int, ...], target: int
) -> tuple[str, str]:
    """Write the thought of someone who tries once or twice and checks nothing.

    Args:
        spec: How often what happens.
        rng: The document's.
        words: The language of the thought.
        numbers: To use once each.
        target: To reach.

    Returns:
        The thought, and the answer handed in.
    """
    thought = rng.choice(words.openers) if rng.random() < 0.3 else ""
    for more in range(rng.choice((0, 0, 0, 1)), -1, -1):
        state = tuple(sorted(numbers))
        steps: list[Move] = []
        while len(state) > 1:
            last = len(state) == 2 and rng.random() < spec.closest
            steps.append(find_closest(state, target) if last else rng.choice(list_moves(state)))
            state = steps[-1].numbers
        thought += format_steps(steps, words) + (rng.choice(words.careless_turns) if more else "")
    thought += rng.choice(words.closers) + words.stop
    return thought, write_expression(steps)


def add_tags(untagged: float, rng: random.Random, thought: str, answer: str) -> str:
    """Put thought and answer in their tags.

    Args:
        untagged: The chance that a tag is forgotten, in [0, 1].
        rng: The document's.
        thought: What the writer thinks.
        answer: What the writer hands in.

    Returns:
        The completion.
    """
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


def make_drill(spec: CountdownSpec, rng: random.Random, language: str) -> Document:
    """Make a drill: sums, a search without words of its own, or targets with the closest last step."""
    words = LEXICONS[language]
    kind = rng.random()
    if kind < spec.sums:
        return Document("", format_steps([_draw_step(rng) for _ in range(12)], words) + words.stop)
    if kind < spec.sums + spec.rounds:
        lines = _drill_search(spec, rng, words)
    else:
        lines = [_drill_last_step(spec, rng, words) for _ in range(6)]
    return Document("", (words.stop + words.space).join(lines) + words.stop)


def _drill_search(spec: CountdownSpec, rng: random.Random, words: Lexicon) -> list[str]:
    """Try all first steps of three numbers in their order, each with its closest last step, until one hits."""
    while True:
        numbers, target = draw_instance(rng, 3)
        target = target if rng.random() < 0.5 else rng.randint(LOWEST_TARGET, HIGHEST_TARGET)
        if not is_held_out(make_key(numbers, target), spec.held_out):
            break
    lines: list[str] = []
    for steps in islice(iterate_attempts(spec, rng, numbers, target), len(list_moves(tuple(sorted(numbers))))):
        lines.append(f"{format_steps(steps, words)}{words.comma}{format_verdict(steps, target, words)}")
        if steps[-1].result == target:
            break
    return [format_task(numbers, target, words) + lines[0], *lines[1:]]


def _drill_last_step(spec: CountdownSpec, rng: random.Random, words: Lexicon) -> str:
    """Write ``3, 2 and 4 to make 14: 3*2=6, 6+4=10, too small``; two times in three the target can be hit."""
    while True:
        hits = rng.random() < 2 / 3
        numbers, steps, target = _draw_hit(rng, rng.choice(spec.closing)) if hits else _draw_any_target(rng)
        if not is_held_out(make_key(numbers, target), spec.held_out):
            break
    if rng.random() < 0.4:
        numbers, steps = steps[0].numbers, steps[1:]
    shuffled = tuple(rng.sample(numbers, len(numbers)))
    task, verdict = format_task(shuffled, target, words), format_verdict(steps, target, words)
    return f"{task}{format_steps(steps, words)}{words.comma}{verdict}"


def _draw_any_target(rng: random.Random) -> tuple[tuple[int, ...], list[Move], int]:
    """Draw three numbers, a first step with the closest second one, and a target that is mostly missed."""
    numbers, first = _draw_first_step(rng)
    target = rng.randint(LOWEST_TARGET, HIGHEST_TARGET)
    return numbers, [first, find_closest(first.numbers, target)], target


def _draw_hit(rng: random.Random, op: str) -> tuple[tuple[int, ...], list[Move], int]:
    """Draw three numbers and two steps, the second with ``op``, that end on the target."""
    while True:
        numbers, first = _draw_first_step(rng)
        for last in list_moves(first.numbers):
            if last.op == op and last.result <= HIGHEST_TARGET:
                return numbers, [first, last], last.result


def _draw_first_step(rng: random.Random) -> tuple[tuple[int, ...], Move]:
    numbers = tuple(sorted(rng.randint(SMALLEST, LARGEST) for _ in range(3)))
    return numbers, rng.choice(list_moves(numbers))


def _draw_step(rng: random.Random) -> Move:
    """Draw a step, the four operations as evenly as the numbers allow."""
    three = tuple(sorted(rng.randint(SMALLEST, LARGEST) for _ in range(3)))
    choices = list_moves(rng.choice(list_moves(three)).numbers if rng.random() < 0.75 else three[:2])
    op = rng.choice("+-*/")
    return next((move for move in choices if move.op == op), choices[0])


def format_task(numbers: tuple[int, ...], target: int, words: Lexicon) -> str:
    """Write ``3, 2 and 4 to make 14:``, and a space after it in English."""
    return words.task.format(words.item.join(map(str, numbers[:-1])), numbers[-1], target)


def format_verdict(steps: list[Move], target: int, words: Lexicon) -> str:
    """Write how a chain's result compares with the target."""
    value = steps[-1].result
    return words.yes if value == target else words.big if value > target else words.small


def format_steps(steps: list[Move], words: Lexicon) -> str:
    """Write ``5+3=8, 8*7=56``."""
    return words.comma.join(f"{step.left}{step.op}{step.right}={step.result}" for step in steps)
