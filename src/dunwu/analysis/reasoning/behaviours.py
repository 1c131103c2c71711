"""Four behaviours of a chain of thought, found by its structure.

R1 (arXiv 2501.12948v2) speaks of reflection and alternative approaches; the four are those of "Cognitive Behaviors that
Enable Self-Improving Reasoners" (arXiv 2503.01307).

- ``verification``: a result or claim is held against what is asked or given, or derived a second time.
- ``backtracking``: a line of work is given up, in words, and the chain begins again from an earlier state.
- ``alternatives``: at least two different attempts at the same goal.
- ``subgoals``: parts are solved apart and then joined, or a part is announced as one.

An attempt is a line of equations (or of names in an order) of which each goes on from the ones before. A line ends
where it is rejected; within it, an equation that takes none of the line's results, but the same given numbers again,
is another attempt. How often this is right stands in docs/reference/measures.md, measured on labelled chains.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from dunwu.analysis.reasoning import phrases
from dunwu.analysis.reasoning.chain import Chain, Event, Kind

Behaviour = Literal["verification", "backtracking", "alternatives", "subgoals"]
BEHAVIOURS: tuple[Behaviour, ...] = get_args(Behaviour)

MOST_LINES = 12
"""Parts of an attempt that may still be joined: what stands farther back is forgotten."""
NEAR = 40
"""Characters between a result and a plain verdict on it: "right" farther away may be a right angle."""
_CHECKABLE = {Kind.EQUATION, Kind.ORDER, Kind.CLAIM}
_PLAIN_VERDICT = re.compile(r"(?i)yes|right|correct|wrong|mistakes?|works|holds|fits|exactly|match|对|错误?|not \S+")
"""Verdicts that may speak of anything; the others ("too small", "satisfies") are verdicts wherever they stand."""
_HYPOTHESIS = re.compile(f"(?i:{phrases.HYPOTHESIS})")


@dataclass(frozen=True, slots=True)
class BehaviourSpan:
    """A behaviour that shows at ``text[start:end]`` of the completion."""

    behaviour: Behaviour
    start: int
    end: int


def find_behaviours(chain: Chain) -> list[BehaviourSpan]:
    """Find every behaviour where it shows.

    Args:
        chain: The chain of thought.

    Returns:
        The spans in the order of the text; those of different behaviours may overlap.
    """
    found = [*_find_verifications(chain.events), *_Attempts().read(chain)]
    return sorted(found, key=lambda span: (span.start, span.end, span.behaviour))


def _find_verifications(events: Sequence[Event]) -> Iterator[BehaviourSpan]:
    """Find verdicts on what has just been derived, and announced checks."""
    unjudged: Event | None = None
    for event in events:
        if event.kind in _CHECKABLE:
            unjudged = event
        elif event.kind is Kind.RECHECK:
            yield BehaviourSpan("verification", event.start, event.end)
        elif event.kind in (Kind.FITS, Kind.FAILS, Kind.LACKS):
            near = unjudged is not None and event.start - unjudged.end <= NEAR
            if near or not _PLAIN_VERDICT.fullmatch(event.text):
                yield BehaviourSpan("verification", event.start, event.end)
            unjudged = None


@dataclass(slots=True)
class _Line:
    """Equations that go on from each other, or an order that grows."""

    results: set[str] = field(default_factory=set)
    given: set[str] = field(default_factory=set)
    names: frozenset[str] = frozenset()
    steps: list[Event] = field(default_factory=list)

    def add(self, event: Event) -> None:
        """Go on with a step."""
        self.steps.append(event)
        if event.kind is Kind.ORDER:
            self.names = frozenset(event.names)
        else:
            self.given |= set(event.operands) - self.results
            self.results.add(event.result)

    def join(self, other: _Line) -> None:
        """Take another line in."""
        self.results |= other.results
        self.given |= other.given
        self.steps += other.steps


class _Attempts:
    """Follows the lines of a chain from event to event."""

    def __init__(self) -> None:
        self._lines: list[_Line] = []
        """Those of this attempt that may still be joined; the last is gone on with."""
        self._tried: list[tuple[str, ...]] = []
        """What the attempts before this one were, step by step."""
        self._turn: Event | None = None
        """What was said against the line, or turned away from it, since its last step."""
        self._rejected = False
        self._elsewhere = False
        """Another attempt has been announced."""
        self._checking = False
        self._spoken = 0

    def read(self, chain: Chain) -> Iterator[BehaviourSpan]:
        """Find backtracking, alternatives and sub-goals."""
        for event in chain.events:
            match event.kind:
                case Kind.EQUATION:
                    yield from self._read_equation(event)
                case Kind.ORDER:
                    yield from self._read_order(event)
                case Kind.PLAN:
                    yield BehaviourSpan("subgoals", event.start, event.end)
                case Kind.FAILS | Kind.GIVE_UP | Kind.LACKS | Kind.MARK:
                    yield from self._read_turn(event, chain)
                case Kind.ANOTHER:
                    yield from self._read_another(event, chain)
                case Kind.RECHECK:
                    self._checking = True
        yield from self._end()

    def _read_equation(self, event: Event) -> Iterator[BehaviourSpan]:
        operands = set(event.operands)
        sources = [line for line in self._lines if operands & line.results]
        if self._checking:  # what is derived a second time is no other attempt
            sources = sources or self._lines[-1:]
        elif self._elsewhere or self._rejected or (self._turn and not sources):
            yield from self._begin(event)
            return
        used = {result for line in sources for result in operands & line.results}
        if len(used) > 1 and not self._checking:
            yield BehaviourSpan("subgoals", event.start, event.end)
        if not sources:
            again = any(operands & line.given for line in self._lines)
            if again:  # the same numbers once more: another way, not another part
                yield from self._begin(event)
                return
            self._lines = [*self._lines[-MOST_LINES:], _Line()]
            sources = self._lines[-1:]
        first, *others = sources
        for line in others:
            first.join(line)
        self._lines = [line for line in self._lines if line not in others]
        first.add(event)
        self._turn = None

    def _read_order(self, event: Event) -> Iterator[BehaviourSpan]:
        last = self._lines[-1] if self._lines else None
        if last is None or not last.names <= frozenset(event.names):
            yield from self._begin(event)
        else:
            last.add(event)
            self._turn, self._rejected = None, False

    def _begin(self, event: Event) -> Iterator[BehaviourSpan]:
        """Begin a line from the start, after whatever stood before."""
        if self._lines and self._turn:
            yield BehaviourSpan("backtracking", self._turn.start, event.end)
        yield from self._end()
        line = _Line()
        line.add(event)
        self._lines, self._turn, self._rejected, self._elsewhere = [line], None, False, False

    def _end(self) -> Iterator[BehaviourSpan]:
        """End an attempt; it is an alternative where it was not made before."""
        steps = sorted((step for line in self._lines for step in line.steps), key=lambda step: step.start)
        content = tuple(step.text.replace(" ", "") for step in steps)
        if not content or any(tried[: len(content)] == content for tried in self._tried):
            return
        if self._tried:
            yield BehaviourSpan("alternatives", steps[0].start, steps[-1].end)
        self._tried.append(content)

    def _read_turn(self, event: Event, chain: Chain) -> Iterator[BehaviourSpan]:
        self._checking = False
        if event.kind is Kind.GIVE_UP and chain.end - event.end > NEAR:
            yield BehaviourSpan("backtracking", event.start, event.end)
        if event.kind in (Kind.FAILS, Kind.GIVE_UP):
            self._rejected = self._rejected or bool(self._lines)
        self._turn = self._turn or event

    def _read_another(self, event: Event, chain: Chain) -> Iterator[BehaviourSpan]:
        self._checking, self._elsewhere = False, bool(self._lines)
        within = event.start - chain.start > NEAR and chain.end - event.end > NEAR // 2
        if within and not self._lines and (self._spoken or not _HYPOTHESIS.fullmatch(event.text)):
            yield BehaviourSpan("alternatives", event.start, event.end)
            if self._turn:
                yield BehaviourSpan("backtracking", self._turn.start, event.end)
        self._spoken += 1
