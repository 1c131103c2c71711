"""A chain of thought as a sequence of events: what it derives, what it says about that, where it turns.

It is read by patterns, in English and Chinese, in one pass. Every pattern is of bounded length, so no text makes it
slow. What derives is structure (equations, orders, claims), and what is said about it are words. ``behaviours`` makes
sense of the two together.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from dunwu.analysis.reasoning import phrases, reflection
from dunwu.verifiers.format import find_reasoning

_NUMBER = r"-?\d{1,18}(?:\.\d{1,18})?"
_OPERAND = rf"\({{0,4}}{_NUMBER}\){{0,4}}"
_OPERATOR = r"(?:[-+*/×÷·−]|\\times|\\cdot|\\div)"
_NAME = r"(?:[A-Z][a-z]{0,11}|[甲乙丙丁戊己庚辛壬癸])"


class Kind(Enum):
    """What stands at a place of a chain."""

    EQUATION = "equation"
    """An expression of numbers and what it comes to: 3*4=12."""
    ORDER = "order"
    """Names in an order, or one name to which others are to be added: Dan > Bob."""
    CLAIM = "claim"
    """A statement that is true or false: 20 > 13, 8 is even."""
    FITS = "fits"
    """A verdict for what was derived: yes, matches, 对."""
    FAILS = "fails"
    """A verdict against it: too small, wrong, 不对."""
    LACKS = "lacks"
    """What an order does not have yet: Dan is missing."""
    RECHECK = "recheck"
    """Words that announce a check: let me verify, 代入."""
    GIVE_UP = "give up"
    """Words that abandon a line of work: that leads nowhere, start over, 行不通."""
    ANOTHER = "another"
    """Words that bring in another attempt: alternatively, what if, 另一种方法."""
    PLAN = "plan"
    """Words that set a part to be solved for later use: first find, step 1, 先求."""
    MARK = "mark"
    """A word of reflection that is none of the above: wait, however, 等等."""


_MISSING = rf"缺{_NAME}|{_NAME} is missing"
_PATTERNS = {
    Kind.EQUATION: (
        rf"{_OPERAND}(?:\s?{_OPERATOR}\s?{_OPERAND}){{1,16}}\s?(?:=|≈|等于|得|equals\b|is\b)\s?{_NUMBER}(?![\d*+/])"
    ),
    Kind.ORDER: (rf"(?<![A-Za-z]){_NAME}(?:\s?[>＞]\s?{_NAME}){{1,16}}|(?<![A-Za-z]){_NAME}(?=[,，]\s?(?:{_MISSING}))"),
    Kind.CLAIM: (
        rf"{_NUMBER}\s?[<>=≠＜＞]\s?{_NUMBER}(?![\d*+/])"
        rf"|{_NUMBER}\s?(?:is (?:not )?(?:even|odd|prime)\b|不?是[奇偶质]数)"
    ),
    Kind.LACKS: _MISSING,
    Kind.RECHECK: phrases.RECHECK,
    Kind.GIVE_UP: phrases.GIVE_UP,
    Kind.ANOTHER: phrases.ANOTHER,
    Kind.PLAN: phrases.PLAN,
    Kind.FAILS: phrases.FAILS,
    Kind.FITS: phrases.FITS,
    Kind.MARK: reflection.PATTERN,
}
_CASED = (Kind.EQUATION, Kind.ORDER, Kind.CLAIM, Kind.LACKS)
"""Read in the case in which they stand: a name has a capital."""
_DERIVING = (Kind.EQUATION, Kind.ORDER, Kind.CLAIM)
_EVENT = re.compile(
    "|".join(
        f"(?P<{kind.name}>{pattern if kind in _CASED else f'(?i:{pattern})'})" for kind, pattern in _PATTERNS.items()
    )
)
_SENTENCE = re.compile(r"[^.!?。！？;；\n]+(?:[.!?](?=\d)[^.!?。！？;；\n]*)*")
_PARTS = re.compile(rf"{_NUMBER}")
_NAMES = re.compile(_NAME)
_TIMES = str.maketrans({"×": "*", "·": "*", "÷": "/", "−": "-"})


@dataclass(frozen=True, slots=True)
class Event:
    """What stands at ``text[start:end]`` of the whole completion."""

    kind: Kind
    start: int
    end: int
    text: str

    @property
    def operands(self) -> tuple[str, ...]:
        """The numbers that an equation takes, as they are written (a minus that is an operator left out)."""
        left = re.split("[=≈]|等于|得|equals|is", self.text)[0].translate(_TIMES)
        return tuple(number.lstrip("-") for number in _PARTS.findall(left))

    @property
    def result(self) -> str:
        """What an equation comes to."""
        return str(_PARTS.findall(self.text)[-1])

    @property
    def names(self) -> tuple[str, ...]:
        """The names of an order, in it."""
        return tuple(_NAMES.findall(self.text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """The reasoning of a completion.

    Attributes:
        start: Where it begins in the text.
        end: Where it ends.
        events: Its events in order, disjoint.
        steps: Equations, orders and claims, and sentences without any: what a reader would count as steps.
    """

    start: int
    end: int
    events: tuple[Event, ...]
    steps: int


def read_chain(completion: str) -> Chain:
    """Read the chain of thought of a completion.

    Args:
        completion: The completion. Without think tags all of it is reasoning (``verifiers.format.find_reasoning``).

    Returns:
        The chain.
    """
    span = find_reasoning(completion)
    found = (
        Event(Kind[str(match.lastgroup)], match.start(), match.end(), match[0])
        for match in _EVENT.finditer(completion, span.start, span.stop)
    )
    events = tuple(found)
    derived = [event.start for event in events if event.kind in _DERIVING]
    return Chain(
        start=span.start, end=span.stop, events=events, steps=_count_steps(completion, span.start, span.stop, derived)
    )


def _count_steps(text: str, start: int, end: int, derived: list[int]) -> int:
    steps, place = 0, 0
    for sentence in _SENTENCE.finditer(text, start, end):
        before = place
        while place < len(derived) and derived[place] < sentence.end():
            place += 1
        steps += max(place - before, 1 if any(char.isalnum() for char in sentence[0]) else 0)
    return steps
