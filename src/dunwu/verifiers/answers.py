r"""Mathematical answers: the exact part, by hand, and what is left to ask a worker.

``same(gold, answer, ask)`` takes both apart together: units, lists, tuples, intervals, matrices, ``x =``, ``\pm``. What
is plain arithmetic is compared as exact fractions, what is words as words; ``ask(gold, answer) -> bool`` decides the
rest, piece by piece. Strict on purpose, because a model learns whatever a lenient grader lets through:

- a decimal equals a fraction only exactly (0.333 is not 1/3);
- 50% is 1/2, not 50; 5 meters is not 5 cm; a unit on one side only is fine;
- sets and bare lists have no order, tuples and intervals do, and brackets count: (1,2] is not [1,2);
- dots (1,2,...,n), words, number bases and remainders are compared as text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from dunwu.verifiers.latex import LONGEST, enclosed, literal, normal, rational, split
from dunwu.verifiers.units import known, quantity

Ask = Callable[[str, str], bool]

DEEPEST = 40
MOST_ITEMS = 32
LIST = re.compile(r",|;|\\text ?\{ *(?:,? *and|,? *or) *\}|(?<![a-zA-Z\\])(?:and|or)(?![a-zA-Z])|[和或]")
CUP = re.compile(r"\\cup(?![a-zA-Z])")
EQUALS = re.compile(r"(?<![<>!:\\])=")
RELATION = re.compile(r"[<>]|\\(?:le|ge|ne|in|approx|equiv|sim)(?![a-zA-Z])")
NAME = re.compile(r"(?:[a-zA-Z]|\\(?!sum|prod|int|lim)[a-zA-Z]+)(?:_\{\w+\}|_\w+)?(?:\([a-zA-Z]\))?")
MATRIX = re.compile(r"\\begin\{([bpv]matrix)\}(.*)\\end\{\1\}", re.DOTALL)
CHOICE = re.compile(r"(?:\\text ?\{ *)?\(? *([A-Z]) *\)?\.?(?: *\})?")
FUNCTIONS = re.compile(
    r"sin|cos|tan|cot|sec|csc|arcsin|arccos|arctan|sinh|cosh|tanh|log|exp|sqrt|infty|det|max|min|gcd|lcm"
)
ONLY_TEXT = re.compile(
    r"\\[lc]?dots|\\p?mod|\\bmod|\\overline|\\angle|\\text|\d_\{?\d|[\d.)}]\s+[\d.(]|\d\.\d+\.|!!|[\u3040-\u9fff]|[=<>]{2}"
)
"""What a computer algebra system drops, or reads as something else: 52_8 as 52, "5 7" as a mixed number."""


def same(gold: str, answer: str, ask: Ask) -> bool:
    """Whether ``answer`` means ``gold``. Raises whatever ``ask`` raises."""
    if gold.strip() == answer.strip():
        return True
    if max(len(gold), len(answer)) > LONGEST or not answer.strip():
        return False
    return _same(normal(gold), normal(answer), ask)


def same_literal(gold: str, answer: str) -> bool:
    """Whether ``answer`` is a written number with the value of ``gold``, no operation left to do.

    Units as in same, but only those of the table, or the gold's own.
    """

    def written(left: str, right: str) -> bool:
        value = literal(left)
        return value is not None and value == literal(right)

    if max(len(gold), len(answer)) > LONGEST:
        return False
    gold_text, answer_text = normal(gold), normal(answer)
    named = _named(answer_text)
    answer_text = named[1] if named else answer_text
    unit = quantity(answer_text)[1]
    return (known(unit) or unit == quantity(gold_text)[1]) and _same_quantity(gold_text, answer_text, written)


def key(answer: str, value_of: Callable[[str], Fraction | None] = rational) -> str:
    """The same for two answers that are equal as text or, as ``value_of`` reads it, numbers; units and names aside."""
    if len(answer) > LONGEST:
        return answer.strip()
    text = normal(answer)
    named = _named(text)
    value, unit = quantity(named[1] if named else text)
    if value_of is literal and not known(unit):  # as same_literal has it
        return text
    number = value_of(value)
    return (value if number is None else str(number)) + ("%" if unit == "%" else "")


def _same(gold: str, answer: str, ask: Ask, *, peel: bool = True) -> bool:
    if gold == answer:
        return bool(gold)
    gold_shape, answer_shape = shape(gold), shape(answer)
    if gold_shape and answer_shape and gold_shape.kind == answer_shape.kind:
        return _same_items(gold_shape, answer_shape, ask)
    if peel:
        named = _peeled(gold, answer)
        if named is not None:
            return named[0] and all(_same(named[1], member, ask, peel=False) for member in named[2])
    return _same_quantity(gold, answer, lambda left, right: _same_value(left, right, ask))


def _same_quantity(gold: str, answer: str, same_value: Ask) -> bool:
    (gold_value, gold_unit), (answer_value, answer_unit) = quantity(gold), quantity(answer)
    if "%" in (gold_unit, answer_unit) and gold_unit != answer_unit:
        left, right = rational(gold_value), rational(answer_value)
        scale = 100 if answer_unit == "%" else 1
        return left is not None and right is not None and left * scale == right * (100 // scale)
    if gold_unit and answer_unit and gold_unit != answer_unit:
        return False
    return same_value(gold_value, answer_value)


def _same_value(gold: str, answer: str, ask: Ask) -> bool:
    if gold == answer:
        return bool(gold)
    left, right = rational(gold), rational(answer)
    if left is not None and right is not None:
        return left == right
    if (gold_letter := CHOICE.fullmatch(gold)) and "(" in gold + answer:
        letter = CHOICE.fullmatch(answer)
        return letter is not None and letter[1] == gold_letter[1]
    if only_text(gold) or only_text(answer):
        return wording(gold) == wording(answer)
    if depth(gold) > DEEPEST or depth(answer) > DEEPEST:
        return False
    return ask(gold, answer)


@dataclass(frozen=True, slots=True)
class Shape:
    """A collection: its kind (brackets, or rows and columns), whether order counts, and its items."""

    kind: str
    ordered: bool
    items: tuple[str, ...]


def shape(text: str) -> Shape | None:
    r"""What ``text`` collects at its top level; None for a single thing. ``a \pm b`` is the set of both."""
    if matrix := MATRIX.fullmatch(text):
        rows = [row.split("&") for row in matrix[2].strip().removesuffix("\\\\").split("\\\\")]
        name = "vmatrix" if matrix[1] == "vmatrix" else "matrix"
        items = tuple(item.strip() for row in rows for item in row)
        return Shape(f"{name} {[len(row) for row in rows]}", True, items)
    whole = enclosed(text)
    items = tuple(split(whole[1] if whole else text, LIST))
    if whole and whole[0] == "\\{":
        return Shape("set", False, tuple(one for item in items for one in _both_signs(item)))
    if whole:
        return Shape(whole[0] + whole[2], True, items) if len(items) > 1 else None
    unions = split(text, CUP)
    if len(unions) > 1:
        return Shape("union", False, tuple(unions))
    members = [one for item in items for one in _both_signs(item) if item]
    return Shape("set", False, tuple(members)) if len(members) > 1 else None


def _both_signs(text: str) -> list[str]:
    if "\\pm" not in text or "," in text:
        return [text]
    upper = re.sub(r"\\pm ?", "+", re.sub(r"\\mp ?", "-", text))
    lower = re.sub(r"\\pm ?", "-", re.sub(r"\\mp ?", "+", text))
    return [upper.removeprefix("+"), lower]


def _same_items(gold: Shape, answer: Shape, ask: Ask) -> bool:
    if len(gold.items) != len(answer.items) or len(gold.items) > MOST_ITEMS:
        return False
    peel = all(len({named[0] for item in items if (named := _named(item))}) < 2 for items in (gold.items, answer.items))
    if gold.ordered:
        return all(_same(g, a, ask, peel=peel) for g, a in zip(gold.items, answer.items, strict=True))
    left = list(answer.items)
    for item in gold.items:
        found = next((other for other in left if _same(item, other, ask, peel=peel)), None)
        if found is None:
            return False
        left.remove(found)
    return True


def _peeled(gold: str, answer: str) -> tuple[bool, str, list[str]] | None:
    r"""Without ``x =`` or ``x \in``: (names agree, gold value, members of the answer's chain); None without a name.

    ``6 = 2+4`` style chains count only if every member equals the gold.
    """
    gold_named, answer_named = _named(gold), _named(answer)
    gold_value = gold_named[1] if gold_named else gold
    answer_value = answer_named[1] if answer_named else answer
    members = split(answer_value, EQUALS)
    if not gold_named and not answer_named and (len(members) == 1 or EQUALS.search(gold)):
        return None
    if any(EQUALS.search(member) or not member for member in members) or EQUALS.search(gold_value):
        return None
    agree = not (gold_named and answer_named) or gold_named[0] == answer_named[0]
    return agree, gold_value, members


def _named(text: str) -> tuple[str, str] | None:
    match = re.match(rf"({NAME.pattern})(?:=|\\in ?(?![a-zA-Z]))(?!=)", text)
    rest = text[match.end() :] if match else ""
    if match is None or not rest or RELATION.search(rest) or RELATION.search(match[1]):
        return None
    own_name = re.search(rf"(?<![a-zA-Z\\]){re.escape(match[1])}(?![a-zA-Z])", rest)
    return None if own_name else (match[1], rest)


def only_text(text: str) -> bool:
    r"""Whether ``text`` must not be given to a computer algebra system: it would drop or misread part of it."""
    words = re.findall(r"(?<!\\)(?<![a-zA-Z])[a-zA-Z]{3,}", text)
    return bool(ONLY_TEXT.search(text)) or "°" in text or "%" in text or not all(map(FUNCTIONS.fullmatch, words))


def wording(text: str) -> str:
    r"""Words and symbols alone: no ``\text``, no case, no outer punctuation, spaces only between words."""
    text = re.sub(r"\\text ?\{([^{}]*)\}", r"\1", text).casefold()
    return re.sub(r" (?=\W)|(?<=\W) |[.,;: ]+$", "", re.sub(r"\s+", " ", text).strip()).replace("\\", "")


def depth(text: str) -> int:
    """How deep brackets stand inside one another."""
    deepest = level = 0
    for char in text:
        level += (char in "([{") - (char in ")]}")
        deepest = max(deepest, level)
    return deepest
