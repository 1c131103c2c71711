"""More problems like those that the policy half solves: they are where a group teaches most.

A variation comes from the problem's own generator, at its level and in its language, from the training side of the
split. Of several such draws the nearest are taken: those worded alike, then those with numbers of like size. A problem
of a file has no variations: with other numbers it has another answer, which nobody knows.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Set
from dataclasses import asdict, dataclass, field, replace
from math import log
from typing import Any

from dunwu.errors import UserError
from dunwu.tasks import FAMILIES
from dunwu.tasks.task import GeneratedTask, fingerprint
from dunwu.types import Message, Problem

CANDIDATES = 8
"""New problems looked at for each that is taken."""
DRAWS = 100
"""For each that is wanted, before the generator counts as exhausted."""
NUMBER = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
MEMBER = re.compile(rf"{NUMBER.pattern}(?:/\d+)?", re.ASCII)
LIST = re.compile(rf"{MEMBER.pattern}(?:(?:[\s,，、+×]|and|和)+{MEMBER.pattern})*", re.ASCII)
"""Numbers of which the order says nothing: 3, 1 and 2; 3 + 4; 1/2, 2/3."""
WORD = re.compile(r"[A-Za-z]+|\S")


def mark(problem: Problem) -> int:
    """What problems are told apart by: the words of the question in whatever order, and its lists of numbers in order.

    So a list shown in another order is no new problem, and numbers that change places between lists make one; so does
    the same content in another language. Conservative: other problems of the same words ("Ann says that Bob lies", "Bob
    says that Ann lies") are taken for one.
    """
    question = problem.messages[-1].content
    lists = [" ".join(sorted(MEMBER.findall(numbers))) for numbers in LIST.findall(question)]
    return fingerprint(" ".join([*lists, *sorted(_words(question))]))


def variations(
    problem: Problem, count: int, seed: int, *, held_out_share: float, seen: Set[int] = frozenset()
) -> tuple[Problem, ...]:
    """Up to ``count`` problems like ``problem``, nearest first: a pure function of the arguments.

    None of them is held out at ``held_out_share``, is ``problem``, has its ``mark`` in ``seen``, or is there twice.
    They are fewer where the generator has nothing new any more.

    Raises:
        UserError: the problem comes from no generator, or everything of its level is held out.
    """
    if problem.task not in FAMILIES:
        known = ", ".join(FAMILIES)
        raise UserError(f"{problem.task} has no generator, so no similar problems can be made; these have: {known}")
    task = GeneratedTask(
        FAMILIES[problem.task],
        fingerprint(f"similar/{seed}/{problem.id}"),
        levels=(problem.level,),
        languages=(problem.language,),
        held_out_share=held_out_share,
    )
    found: dict[int, Problem] = {}
    known_marks = {mark(problem), *seen}
    for index in range(DRAWS * count):
        if len(found) == CANDIDATES * count:
            break
        drawn = task.problem(index)
        if mark(drawn) not in known_marks:
            found.setdefault(mark(drawn), drawn)
    return tuple(sorted(found.values(), key=lambda other: distance(problem, other))[:count])


def distance(problem: Problem, other: Problem) -> tuple[int, float]:
    """How many words and signs stand in one question only; how far the numbers, by size, are apart in logarithms."""
    first, second = problem.messages[-1].content, other.messages[-1].content
    left, right = Counter(_words(first)), Counter(_words(second))
    numbers = [sorted(map(float, NUMBER.findall(question))) for question in (first, second)]
    gap = sum(abs(log((1 + a) / (1 + b))) for a, b in zip(*numbers, strict=False))
    return (left - right).total() + (right - left).total(), gap


def _words(question: str) -> list[str]:
    """Everything but the numbers, for each of which # stands; Han characters one by one."""
    return WORD.findall(NUMBER.sub(" # ", question))


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfSolved:
    """What a stage has half solved in its last rollout, and what it has ever drawn. Immutable: a rollout that is broken
    off and made again is offered the same.

        offered = similar.offer(count)          before a rollout: these, and the rest from the mixture
        similar = similar.told(accuracies)      after it

    Args:
        seed: the run's.
        held_out: the share held out of each task of the stage, by its name.
        bounds: a problem is half solved where the accuracy of its group lies strictly between these.

    Raises:
        UserError: none of the tasks has a generator, or the bounds are none.
    """

    seed: int
    held_out: Mapping[str, float]
    bounds: tuple[float, float] = (0.25, 0.75)
    sources: tuple[Problem, ...] = ()
    """Half solved in the last rollout, the most evenly solved first."""
    seen: frozenset[int] = field(default=frozenset(), repr=False)
    """The mark of every problem drawn so far."""

    def __post_init__(self) -> None:
        low, high = self.bounds
        if not 0 <= low < high <= 1:
            raise UserError(f"accuracies between {low:g} and {high:g} are none", field="bounds")
        if not FAMILIES.keys() & self.held_out.keys():
            given, known = ", ".join(self.held_out), ", ".join(FAMILIES)
            raise UserError(f"similar problems are made by generators, of which {given} has none; these have: {known}")

    def offer(self, count: int) -> tuple[Problem, ...]:
        """Up to ``count`` variations, shared out evenly among what was half solved; fewer where there are no more.

        Raises:
            UserError: everything of a problem's level is held out.
        """
        offered: dict[int, Problem] = {}
        for place, source in enumerate(self.sources[:count]):
            fair = len(range(place, count, len(self.sources)))
            share = self.held_out[source.task]
            new = variations(source, fair, self.seed, held_out_share=share, seen=self.seen | offered.keys())
            offered |= {mark(problem): problem for problem in new}
        return tuple(offered.values())

    def told(self, accuracies: Iterable[tuple[Problem, float]]) -> HalfSolved:
        """This, after a rollout: each of its problems, whoever drew it, and the share of completions that were right.

        Problems of tasks without a generator are passed over.
        """
        drawn = list(accuracies)
        low, high = self.bounds
        half = [pair for pair in drawn if low < pair[1] < high and pair[0].task in FAMILIES]
        sources = tuple(problem for problem, accuracy in sorted(half, key=lambda pair: abs(pair[1] - (low + high) / 2)))
        return replace(self, sources=sources, seen=self.seen | {mark(problem) for problem, _ in drawn})

    def state(self) -> dict[str, Any]:
        """What a checkpoint must keep, for JSON: the sources as they are, and an integer for each problem drawn."""
        return {"sources": [asdict(problem) for problem in self.sources], "seen": sorted(self.seen)}

    def load(self, state: Mapping[str, Any]) -> HalfSolved:
        """This, with what ``state`` gave, or what JSON made of it."""
        return replace(self, sources=tuple(map(_problem, state["sources"])), seen=frozenset(state["seen"]))


def _problem(written: Mapping[str, Any]) -> Problem:
    messages = tuple(Message(**message) for message in written["messages"])
    return Problem(**{**written, "messages": messages, "tests": tuple(written["tests"])})
