"""A chain of thought as a sequence of events: what it derives, what it says about that, where it turns.

It is read by patterns, in English and Chinese, in one pass. Every pattern is of bounded length, so no text makes it
slow. What derives is structure (equations, orders, claims), and what is said about it are words. ``behaviours`` makes
sense of the two together.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import NamedTuple

from dunwu.analysis.reasoning import phrases, reflection
from dunwu.analysis.reasoning.alternatives import LETTERS, group_by_first_letter, unfold
from dunwu.analysis.reasoning.phrases import HAN
from dunwu.verifiers.format import find_reasoning

_UNSIGNED = re.compile(r"\d{1,18}(?:\.\d{1,18})?")
_NUMBER = f"-?{_UNSIGNED.pattern}"
_OPERAND = rf"\({{0,4}}{_NUMBER}\){{0,4}}"
_OPERATOR = r"(?:[-+*/×÷·−]|\\times|\\cdot|\\div)"


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


_LATIN_NAME, _CHINESE_NAME = r"[A-Z][a-z]{0,11}", r"[甲乙丙丁戊己庚辛壬癸]"
_NAME = rf"(?:{_LATIN_NAME}|{_CHINESE_NAME})"
_MISSING = rf"缺{_NAME}|{_NAME} is missing"
_EQUATION = rf"{_OPERAND}(?:\s?{_OPERATOR}\s?{_OPERAND}){{1,16}}\s?(?:=|≈|等于|得|equals\b|is\b)\s?{_NUMBER}(?![\d*+/])"
_CLAIM = rf"{_NUMBER}\s?(?:[<>=≠＜＞]\s?{_NUMBER}(?![\d*+/])|(?:is (?:not )?(?:even|odd|prime)\b|不?是[奇偶质]数))"
_ORDER = rf"(?<![A-Za-z]){_NAME}(?:(?:\s?[>＞]\s?{_NAME}){{1,16}}|(?=[,，]\s?(?:{_MISSING})))"
_DERIVING = (Kind.EQUATION, Kind.ORDER, Kind.CLAIM)
_SAID = {
    Kind.RECHECK: phrases.RECHECK,
    Kind.GIVE_UP: phrases.GIVE_UP,
    Kind.ANOTHER: phrases.ANOTHER,
    Kind.PLAN: phrases.PLAN,
    Kind.FAILS: phrases.FAILS,
    Kind.FITS: phrases.FITS,
}


def _compile_events() -> tuple[re.Pattern[str], list[Kind]]:
    """Compile the pattern of all events.

    What is derived stands in the case in which it is written: a name has a capital. Of several events that begin at a
    place the first in the order of ``Kind`` counts, MARK last. A place is tried for those alone that can begin with its
    character.

    Returns:
        The pattern, and the kind of each of its groups: an empty one ends every alternative.
    """
    numbers = Counter[Kind]()

    def mark(kind: Kind, pattern: str) -> str:
        numbers[kind] += 1
        return f"{pattern}(?P<{kind.name}_{numbers[kind]}>)"

    english = [mark(kind, f"{one}(?![A-Za-z])") for kind, said in _SAID.items() for one in unfold(*said.english)]
    english += [mark(Kind.MARK, rf"{word}(?<![0-9_].{{{len(word)}}})(?![A-Za-z0-9_])") for word in reflection.ENGLISH]
    chinese = [mark(kind, one) for kind, said in _SAID.items() for one in unfold(*said.chinese)]
    chinese += [mark(Kind.MARK, f"{word}(?<![不没]错)" if word == "错" else word) for word in reflection.CHINESE]
    order, missing = partial(mark, Kind.ORDER, _ORDER), partial(mark, Kind.LACKS)
    pattern = re.compile(
        rf"(?=[\d(-])(?:{mark(Kind.EQUATION, _EQUATION)}|{mark(Kind.CLAIM, _CLAIM)})"
        rf"|(?=[{LETTERS}])(?:{order()}|{missing(f'{_LATIN_NAME} is missing')}"
        rf"|(?<![{LETTERS}]){group_by_first_letter(english)})"
        rf"|(?=[{HAN}])(?:{order()}|{missing(f'缺{_NAME}')}|{missing(f'{_CHINESE_NAME} is missing')}"
        rf"|{group_by_first_letter(chinese)})"
    )
    names = sorted(pattern.groupindex, key=lambda name: pattern.groupindex[name])
    return pattern, [Kind[name.rpartition("_")[0]] for name in names]


_EVENT, _KINDS = _compile_events()
_SENTENCE = re.compile(r"[^.!?。！？;；\n]+(?:[.!?](?=\d)[^.!?。！？;；\n]*)*")
_VISIBLE = re.compile(r"[^\W_]")
_NAMES = re.compile(_NAME)


class Event(NamedTuple):
    """What stands at ``text[start:end]`` of the whole completion."""

    kind: Kind
    start: int
    end: int
    text: str

    @property
    def equation(self) -> tuple[list[str], str]:
        """The numbers that an equation takes, as they are written, and what it comes to.

        A minus before a number that it takes is an operator, and is left out.
        """
        *operands, result = _UNSIGNED.findall(self.text)
        return operands, f"-{result}" if self.text.endswith(f"-{result}") else result

    @property
    def names(self) -> list[str]:
        """The names of an order, in it."""
        found: list[str] = _NAMES.findall(self.text)
        return found


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
    found = _EVENT.finditer(completion, span.start, span.stop)
    events = tuple(Event(_KINDS[match.lastindex - 1], *match.span(), match[0]) for match in found if match.lastindex)
    derived = [event.start for event in events if event.kind in _DERIVING]
    return Chain(
        start=span.start, end=span.stop, events=events, steps=_count_steps(completion, span.start, span.stop, derived)
    )


def _count_steps(text: str, start: int, end: int, derived: Sequence[int]) -> int:
    steps, place, count = 0, 0, len(derived)
    for sentence in _SENTENCE.finditer(text, start, end):
        before, stop = place, sentence.end()
        while place < count and derived[place] < stop:
            place += 1
        steps += place - before or _VISIBLE.search(text, sentence.start(), stop) is not None
    return steps
