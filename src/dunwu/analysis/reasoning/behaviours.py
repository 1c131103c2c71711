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
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

from dunwu.analysis.reasoning import phrases
from dunwu.analysis.reasoning.chain import Chain, Event, Kind

Behaviour = Literal["verification", "backtracking", "alternatives", "subgoals"]
BEHAVIOURS: tuple[Behaviour, ...] = get_args(Behaviour)

MOST_LINES = 12
"""Parts of an attempt that may still be joined: what stands farther back is forgotten."""
NEAR = 40
"""Characters between a result and a plain verdict on it: "right" farther away may be a right angle."""
_CHECKABLE = (Kind.EQUATION, Kind.ORDER, Kind.CLAIM)
_VERDICTS = (Kind.FITS, Kind.FAILS, Kind.LACKS)
_PLAIN_VERDICT = re.compile(r"(?i)yes|right|correct|wrong|mistakes?|works|holds|fits|exactly|match|对|错误?|not \S+")
"""Verdicts that may speak of anything; the others ("too small", "satisfies") are verdicts wherever they stand."""
_HYPOTHESIS = re.compile(f"(?i:{'|'.join([*phrases.HYPOTHESIS.english, *phrases.HYPOTHESIS.chinese])})")


class BehaviourSpan(NamedTuple):
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
    found = _find_verifications(chain.events) + _Attempts(chain).read()
    return sorted(found, key=lambda span: (span.start, span.end, span.behaviour))


def _find_verifications(events: Sequence[Event]) -> list[BehaviourSpan]:
    """Find verdicts on what has just been derived, and announced checks."""
    found, unjudged = list[BehaviourSpan](), -NEAR - 1
    for kind, start, end, text in events:
        if kind in _CHECKABLE:
            unjudged = end
        elif kind is Kind.RECHECK:
            found.append(BehaviourSpan("verification", start, end))
        elif kind in _VERDICTS:
            if start - unjudged <= NEAR or not _PLAIN_VERDICT.fullmatch(text):
                found.append(BehaviourSpan("verification", start, end))
            unjudged = -NEAR - 1
    return found


@dataclass(slots=True)
class _Line:
    """Equations that go on from each other, or an order that grows."""

    results: set[str] = field(default_factory=set)
    given: set[str] = field(default_factory=set)
    names: frozenset[str] = frozenset()
    steps: list[Event] = field(default_factory=list)

    def join(self, other: _Line) -> None:
        """Take another line in."""
        self.results |= other.results
        self.given |= other.given
        self.steps += other.steps


class _Attempts:
    """Follows the lines of a chain from event to event."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._found: list[BehaviourSpan] = []
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

    def read(self) -> list[BehaviourSpan]:
        """Find backtracking, alternatives and sub-goals."""
        for event in self._chain.events:
            if read := _READERS.get(event.kind):
                read(self, event)
        self._end()
        return self._found

    def _show(self, behaviour: Behaviour, start: int, end: int) -> None:
        self._found.append(BehaviourSpan(behaviour, start, end))

    def _read_equation(self, event: Event) -> None:
        taken, result = event.equation
        operands = set(taken)
        sources = [line for line in self._lines if not operands.isdisjoint(line.results)]
        if self._checking:  # what is derived a second time is no other attempt
            sources = sources or self._lines[-1:]
        elif self._elsewhere or self._rejected or (self._turn and not sources):
            self._begin(_Line({result}, operands, steps=[event]))
            return
        elif len(operands) - len(operands.difference(*[line.results for line in sources])) > 1:
            self._show("subgoals", event.start, event.end)
        if not sources:
            again = any(not operands.isdisjoint(line.given) for line in self._lines)
            if again:  # the same numbers once more: another way, not another part
                self._begin(_Line({result}, operands, steps=[event]))
                return
            self._lines = [*self._lines[-MOST_LINES:], _Line()]
            sources = self._lines[-1:]
        line, *others = sources
        for other in others:
            line.join(other)
        if others:
            self._lines = [kept for kept in self._lines if kept not in others]
        line.steps.append(event)
        line.given |= operands - line.results
        line.results.add(result)
        self._turn = None

    def _read_order(self, event: Event) -> None:
        names, last = frozenset(event.names), self._lines[-1] if self._lines else None
        if last is None or not last.names <= names:
            self._begin(_Line(names=names, steps=[event]))
        else:
            last.names = names
            last.steps.append(event)
            self._turn, self._rejected = None, False

    def _begin(self, line: _Line) -> None:
        """Begin a line from the start, after whatever stood before."""
        if self._lines and self._turn:
            self._show("backtracking", self._turn.start, line.steps[0].end)
        self._end()
        self._lines, self._turn, self._rejected, self._elsewhere = [line], None, False, False

    def _end(self) -> None:
        """End an attempt; it is an alternative where it was not made before."""
        steps = [step for line in self._lines for step in line.steps]
        steps.sort(key=lambda step: step.start)
        content = tuple([step.text.replace(" ", "") for step in steps])
        if not content or any(tried[: len(content)] == content for tried in self._tried):
            return
        if self._tried:
            self._show("alternatives", steps[0].start, steps[-1].end)
        self._tried.append(content)

    def _read_plan(self, event: Event) -> None:
        self._show("subgoals", event.start, event.end)

    def _read_check(self, _: Event) -> None:
        self._checking = True

    def _read_turn(self, event: Event) -> None:
        self._checking = False
        if event.kind is Kind.GIVE_UP and self._chain.end - event.end > NEAR:
            self._show("backtracking", event.start, event.end)
        if event.kind in (Kind.FAILS, Kind.GIVE_UP):
            self._rejected = self._rejected or bool(self._lines)
        self._turn = self._turn or event

    def _read_another(self, event: Event) -> None:
        self._checking, self._elsewhere = False, bool(self._lines)
        within = event.start - self._chain.start > NEAR and self._chain.end - event.end > NEAR // 2
        if within and not self._lines and (self._spoken or not _HYPOTHESIS.fullmatch(event.text)):
            self._show("alternatives", event.start, event.end)
            if self._turn:
                self._show("backtracking", self._turn.start, event.end)
        self._spoken += 1


_READERS = {
    Kind.EQUATION: _Attempts._read_equation,
    Kind.ORDER: _Attempts._read_order,
    Kind.PLAN: _Attempts._read_plan,
    **dict.fromkeys((Kind.FAILS, Kind.GIVE_UP, Kind.LACKS, Kind.MARK), _Attempts._read_turn),
    Kind.ANOTHER: _Attempts._read_another,
    Kind.RECHECK: _Attempts._read_check,
}
