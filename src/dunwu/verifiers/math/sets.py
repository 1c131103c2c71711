r"""Unions, intersections and differences, ``\mathbb{R}``, conditions joined by "or", sets that a condition tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dunwu.verifiers.math.brackets import closing, split_at
from dunwu.verifiers.math.lists import MOST_ITEMS
from dunwu.verifiers.math.records import (
    Answer,
    Collection,
    Conditional,
    Equation,
    Inequality,
    Quantity,
    Read,
    Region,
)
from dunwu.verifiers.math.tokens import Token
from dunwu.verifiers.math.tree import INFINITY, negative
from dunwu.verifiers.math.wording import spelled, with_signs


def read_alternatives(tokens: Sequence[Token], read: Read) -> Answer | None:
    """Conditions and intervals joined by "or" and "and": sets of reals."""
    for signs, kind in ((("or", "∨"), "union"), (("and", "∧"), "intersection")):
        parts = split_at(with_signs(tokens), signs)
        if 1 < len(parts) <= MOST_ITEMS and all(parts):
            answers = tuple(map(read, parts))
            conditions = all(isinstance(answer, (Inequality, Region)) for answer in answers)
            if all(map(_is_region, answers)) and (
                conditions if kind == "intersection" else any(map(_is_condition, answers))
            ):
                return Region(kind, answers)  # type: ignore[arg-type]
    return None


def _is_condition(answer: Answer) -> bool:
    """Whether this can be no point: two points may be joined by "and" as well as two intervals."""
    if isinstance(answer, Collection):
        ends = [item.tree for item in answer.items if isinstance(item, Quantity)]
        return answer.brackets != "()" or INFINITY in ends or negative(INFINITY) in ends
    return True


def _is_region(answer: Answer) -> bool:
    interval = isinstance(answer, Collection) and len(answer.items) == 2 and answer.ordered
    return interval or isinstance(answer, (Region, Inequality))


def read_sets(tokens: Sequence[Token], read: Read) -> Answer | None:
    r"""Unions, intersections and differences, ``\mathbb{R}``, and sets that a condition tells."""
    text = spelled(tokens).lower()
    if text in (
        "\\mathbbr",
        "all real numbers",
        "all reals",
        "real numbers",
        "全体实数",
        "一切实数",
        "任意实数",
        "实数集",
    ):
        return Region("reals")
    if text in ("\\emptyset", "empty set", "the empty set", "空集"):
        return Collection("{}", ())
    spaced = [_cup(token, tokens, place) for place, token in enumerate(tokens)]
    for sign, kind in (("cup", "union"), ("cap", "intersection"), ("setminus", "difference")):
        parts = split_at(spaced, (sign,))
        if len(parts) > 1 and all(parts) and len(parts) <= MOST_ITEMS:
            answers = tuple(map(read, parts))
            known = all(_is_region(one) or isinstance(one, Collection) for one in answers)
            return Region(kind, answers) if known else None  # type: ignore[arg-type]
    return None


def _cup(token: Token, tokens: Sequence[Token], place: int) -> Token:
    """The letter U between two intervals is a union."""
    between = 0 < place < len(tokens) - 1
    if token.text == "U" and between and tokens[place - 1].text in (")", "]") and tokens[place + 1].text in ("(", "["):
        return replace(token, kind="sign", text="cup")
    return token


def read_builder(tokens: Sequence[Token], read: Read) -> Answer | None:
    if not tokens or tokens[0].text not in ("{", "\\{") or closing(tokens, 0) != len(tokens) - 1:
        return None
    inside = tokens[1:-1]
    for place, token in enumerate(inside[:6]):
        if token.text in ("|", ":") and place >= 1 and inside[0].kind == "word" and len(inside[0].text) == 1:
            typed = place == 1 or (inside[1].text == "in" and inside[place - 1].text == "mathbbR")
            condition = read(inside[place + 1 :])
            return condition if typed and isinstance(condition, (Inequality, Region, Equation, Conditional)) else None
    return None
