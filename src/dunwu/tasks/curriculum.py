"""More problems like those at the frontier of what the policy can do, where a group teaches most.

A frontier problem is one that the policy solves about half of the time. A variation comes from the problem's own
generator, at its level and in its language, from the training side of the split. Of several such draws the nearest are
taken: those worded alike, then those with numbers of like size. A problem of a file has no variations: with other
numbers it has another answer, which nobody knows.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Set
from dataclasses import asdict, dataclass, field, replace
from math import log
from typing import Any

from dunwu.errors import UserError
from dunwu.tasks.task import GeneratedTask, Generator, hash_text
from dunwu.types import Message, Problem

CANDIDATES = 8
"""New problems looked at for each that is taken."""
DRAWS = 100
"""For each that is wanted, before the generator counts as exhausted."""
NUMBER = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
MEMBER = re.compile(rf"{NUMBER.pattern}(?:/\d+)?", re.ASCII)
LIST = re.compile(rf"{MEMBER.pattern}(?:(?:[\s,，、+×]|and|和)+{MEMBER.pattern})*", re.ASCII)
"""Numbers whose order says nothing: 3, 1 and 2; 3 + 4; 1/2, 2/3."""
WORD = re.compile(r"[A-Za-z]+|\S")


def hash_content(problem: Problem) -> int:
    """Hash what distinguishes problems: the question's words in whatever order, and its lists of numbers in order.

    So a list shown in another order is no new problem, and numbers that change places between lists make one; so does
    the same content in another language. Conservative: other problems of the same words ("Ann says that Bob lies", "Bob
    says that Ann lies") count as one.
    """
    question = problem.messages[-1].content
    lists = [" ".join(sorted(MEMBER.findall(numbers))) for numbers in LIST.findall(question)]
    return hash_text(" ".join([*lists, *sorted(_split_words(question))]))


def make_variations(
    problem: Problem,
    generator: Generator,
    count: int,
    seed: int,
    *,
    held_out_share: float,
    seen: Set[int] = frozenset(),
) -> tuple[Problem, ...]:
    """Make up to ``count`` problems like ``problem``: a pure function of the arguments.

    Args:
        problem: Sets level and language.
        generator: The one that ``problem`` came from.
        count: How many are wanted.
        seed: The run's.
        held_out_share: None of them is held out at this share.
        seen: The hashes of problems that are not to come again.

    Returns:
        Distinct problems, the nearest first; fewer than ``count`` where the generator has nothing new any more.

    Raises:
        UserError: Everything of the problem's level is held out.
    """
    task = GeneratedTask(
        problem.task,
        generator,
        hash_text(f"similar/{seed}/{problem.id}"),
        levels=(problem.level,),
        languages=(problem.language,),
        held_out_share=held_out_share,
        kind=problem.kind,
    )
    found: dict[int, Problem] = {}
    known = {hash_content(problem), *seen}
    for index in range(DRAWS * count):
        if len(found) == CANDIDATES * count:
            break
        candidate = task.get_problem(index)
        if hash_content(candidate) not in known:
            found.setdefault(hash_content(candidate), candidate)
    return tuple(sorted(found.values(), key=lambda other: measure_distance(problem, other))[:count])


def measure_distance(problem: Problem, other: Problem) -> tuple[int, float]:
    """Measure how far apart two questions are.

    Returns:
        How many words and signs stand in one question only; how far the numbers, by size, are apart in logarithms.
    """
    first, second = problem.messages[-1].content, other.messages[-1].content
    left, right = Counter(_split_words(first)), Counter(_split_words(second))
    numbers = [sorted(map(float, NUMBER.findall(question))) for question in (first, second)]
    distance = sum(abs(log((1 + a) / (1 + b))) for a, b in zip(*numbers, strict=False))
    return (left - right).total() + (right - left).total(), distance


def _split_words(question: str) -> list[str]:
    """Return everything but the numbers, for each of which # stands; Han characters one by one."""
    return WORD.findall(NUMBER.sub(" # ", question))


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontierProblems:
    """The frontier problems of a stage's last rollout, and what it has ever drawn.

    Immutable: a rollout that is broken off and made again is offered the same::

        offered = frontier.offer(count)          before a rollout: these, and the rest from the mixture
        frontier = frontier.update(accuracies)   after it

    Attributes:
        seed: The run's.
        generators: Of each task of the stage that has one, by its name.
        held_out: The share held out of each task of the stage, by its name.
        bounds: A problem is at the frontier where the accuracy of its group lies strictly between these.
        sources: The frontier problems of the last rollout, the most evenly solved first.
        seen: The hash of every problem drawn so far.

    Raises:
        UserError: There are no generators, or the bounds are none.
    """

    seed: int
    generators: Mapping[str, Generator] = field(repr=False)
    held_out: Mapping[str, float]
    bounds: tuple[float, float] = (0.25, 0.75)
    sources: tuple[Problem, ...] = ()
    seen: frozenset[int] = field(default=frozenset(), repr=False)

    def __post_init__(self) -> None:
        low, high = self.bounds
        if not 0 <= low < high <= 1:
            raise UserError(f"accuracies between {low:g} and {high:g} are none", field="bounds")
        if not self.generators:
            raise UserError(f"variations are made by generators, of which {', '.join(self.held_out)} has none")

    def offer(self, count: int) -> tuple[Problem, ...]:
        """Make up to ``count`` variations, shared out evenly among the sources; fewer where there are no more.

        Raises:
            UserError: Everything of a problem's level is held out.
        """
        offered: dict[int, Problem] = {}
        for place, source in enumerate(self.sources[:count]):
            fair = len(range(place, count, len(self.sources)))
            new = make_variations(
                source,
                self.generators[source.task],
                fair,
                self.seed,
                held_out_share=self.held_out[source.task],
                seen=self.seen | offered.keys(),
            )
            offered |= {hash_content(problem): problem for problem in new}
        return tuple(offered.values())

    def update(self, accuracies: Iterable[tuple[Problem, float]]) -> FrontierProblems:
        """Return the state after a rollout.

        Args:
            accuracies: Each of its problems, whoever drew it, with the share of completions that were right. Problems
                of tasks without a generator are seen, and no sources.
        """
        solved = list(accuracies)
        low, high = self.bounds
        frontier = [pair for pair in solved if low < pair[1] < high and pair[0].task in self.generators]
        frontier.sort(key=lambda pair: abs(pair[1] - (low + high) / 2))
        seen = self.seen | {hash_content(problem) for problem, _ in solved}
        return replace(self, sources=tuple(problem for problem, _ in frontier), seen=seen)

    def to_state(self) -> dict[str, Any]:
        """Return what a checkpoint must keep, for JSON: the sources, and an integer for each problem drawn."""
        return {"sources": [asdict(problem) for problem in self.sources], "seen": sorted(self.seen)}

    def load_state(self, state: Mapping[str, Any]) -> FrontierProblems:
        """Return this with what ``to_state`` gave, or what JSON made of it."""
        return replace(self, sources=tuple(map(_read_problem, state["sources"])), seen=frozenset(state["seen"]))


def _read_problem(written: Mapping[str, Any]) -> Problem:
    messages = tuple(Message(**message) for message in written["messages"])
    return Problem(**{**written, "messages": messages, "tests": tuple(written["tests"])})
