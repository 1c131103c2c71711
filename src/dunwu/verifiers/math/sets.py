r"""Unions, intersections and differences, ``\mathbb{R}``, conditions joined by "or", sets that a condition tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dunwu.verifiers.math.brackets import find_closing, split_at
from dunwu.verifiers.math.equations import read_solution
from dunwu.verifiers.math.lists import MOST_ITEMS
from dunwu.verifiers.math.real_sets import BOUND, NoSet, Piece, to_real_set
from dunwu.verifiers.math.records import (
    Answer,
    Collection,
    Conditional,
    Equation,
    Inequality,
    Quantity,
    Read,
    Region,
    substitute_letter,
)
from dunwu.verifiers.math.tokens import Token
from dunwu.verifiers.math.tree import INFINITY, Symbol, Tree, negate
from dunwu.verifiers.math.wording import read_conjunctions, spell_tokens

EXCEPTED = ("all real numbers except", "all reals except", "all real numbers but", "all real numbers excluding")


def read_alternatives(tokens: Sequence[Token], read: Read) -> Answer | None:
    """Read conditions and intervals joined by "or" and "and" as sets of reals; None for anything else."""
    for signs, kind in ((("or", "∨"), "union"), (("and", "∧"), "intersection")):
        parts = split_at(read_conjunctions(tokens), signs)
        if 1 < len(parts) <= MOST_ITEMS and all(parts):
            answers = tuple(map(read, parts))
            conditions = all(isinstance(answer, (Inequality, Region)) for answer in answers)
            if kind == "union" and any(isinstance(answer, (Inequality, Region)) for answer in answers):
                answers = tuple(map(_to_point, answers))
            if all(map(_is_region, answers)) and (
                conditions if kind == "intersection" else any(map(_is_condition, answers))
            ):
                return Region(kind, answers)  # type: ignore[arg-type]
    return None


def _to_point(answer: Answer) -> Answer:
    """Read x = 0 beside conditions as a set: x = 0 or x > 2."""
    solved = read_solution(answer) if isinstance(answer, Equation) else None
    number = solved is not None and len(solved[1]) == 1 and isinstance(solved[1][0], Quantity)
    return Collection("{}", tuple(solved[1])) if solved and number else answer


def _is_condition(answer: Answer) -> bool:
    """Return whether this can be no point: two points may be joined by "and" as well as two intervals."""
    if isinstance(answer, Collection):
        ends = [item.tree for item in answer.items if isinstance(item, Quantity)]
        return answer.brackets != "()" or INFINITY in ends or negate(INFINITY) in ends
    return True


def read_excepted(tokens: Sequence[Token], read: Read) -> Answer | None:
    """Read "all real numbers except 0 and 1"."""
    if not tokens or tokens[0].text.lower() != "all" or not spell_tokens(tokens).lower().startswith(EXCEPTED):
        return None
    place = next((at for at, token in enumerate(tokens) if token.text.lower() in ("except", "but", "excluding")), -1)
    rest = [token for token in tokens[place + 1 :] if token.text.lower() != "for"] if place > 0 else []
    points = read(rest) if rest else None
    if isinstance(points, Quantity):
        points = Collection("{}", (points,))
    if not isinstance(points, Collection) or points.ordered:
        return None
    return Region("difference", (Region("reals"), Collection("{}", points.items)))


def to_conditions(name: Answer, value: Answer) -> Answer:
    r"""Return the intervals of ``value`` as conditions on a letter: x \in [1, 2] says nothing about y."""
    if not isinstance(name, Quantity) or not isinstance(name.tree, Symbol):
        return value
    if isinstance(value, Region) and value.kind in ("union", "intersection"):
        return Region(value.kind, tuple(to_conditions(name, part) for part in value.parts))
    try:
        piece = to_real_set(value)
    except NoSet:
        return value
    if not isinstance(piece, Piece) or (piece.low is None and piece.high is None):
        return value
    sides: list[Tree] = [name.tree]
    signs: list[str] = []
    if piece.low is not None:
        sides, signs = [piece.low, *sides], ["<=" if piece.low_closed else "<"]
    if piece.high is not None:
        sides, signs = [*sides, piece.high], [*signs, "<=" if piece.high_closed else "<"]
    return Inequality(tuple(sides), tuple(signs))


def list_conditions(answer: Answer) -> tuple[Answer, ...]:
    """Return the conditions of which each must hold; none where the answer is something else."""
    parts = answer.parts if isinstance(answer, Region) and answer.kind == "intersection" else ()
    parts = answer.items if isinstance(answer, Collection) and answer.brackets == "" else parts
    return parts if all(isinstance(part, Inequality) for part in parts) else ()


def _is_region(answer: Answer) -> bool:
    interval = isinstance(answer, Collection) and len(answer.items) == 2 and answer.ordered
    interval = interval or (isinstance(answer, Collection) and answer.brackets == "{}" and len(answer.items) == 1)
    return interval or isinstance(answer, (Region, Inequality))


def read_sets(tokens: Sequence[Token], read: Read) -> Answer | None:
    r"""Read unions, intersections and differences, and ``\mathbb{R}``; None for anything else."""
    text = spell_tokens(tokens).lower()
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
    spaced = [_read_union(token, tokens, place) for place, token in enumerate(tokens)]
    for sign, kind in (("cup", "union"), ("cap", "intersection"), ("setminus", "difference"), ("-", "difference")):
        parts = split_at(spaced, (sign,))
        if sign == "-" and not (len(parts) == 2 and parts[0] and _is_reals(parts[0])):
            continue
        if len(parts) > 1 and all(parts) and len(parts) <= MOST_ITEMS:
            answers = tuple(Region("reals") if _is_reals(part) else read(part) for part in parts)
            known = all(_is_region(one) or isinstance(one, Collection) for one in answers)
            return Region(kind, answers) if known else None  # type: ignore[arg-type]
    return None


def _is_reals(tokens: Sequence[Token]) -> bool:
    """Return whether this is the set of reals where sets are combined: there R alone is it too."""
    return spell_tokens(tokens) in ("\\mathbbR", "R")


def _read_union(token: Token, tokens: Sequence[Token], place: int) -> Token:
    """Read the letter U between two intervals as a union."""
    between = 0 < place < len(tokens) - 1
    if token.text == "U" and between and tokens[place - 1].text in (")", "]") and tokens[place + 1].text in ("(", "["):
        return replace(token, kind="sign", text="cup")
    return token


def read_builder(tokens: Sequence[Token], read: Read) -> Answer | None:
    r"""Read a set that a condition describes, ``\{x | x > 2\}``, as that condition; None for anything else."""
    if not tokens or tokens[0].text not in ("{", "\\{") or find_closing(tokens, 0) != len(tokens) - 1:
        return None
    inside = tokens[1:-1]
    for place, token in enumerate(inside[:6]):
        if token.text in ("|", ":") and place >= 1 and inside[0].kind == "word" and len(inside[0].text) == 1:
            typed = place == 1 or (inside[1].text == "in" and inside[place - 1].text in ("mathbbR", "R"))
            condition = substitute_letter(read(inside[place + 1 :]), inside[0].text, Symbol(BOUND))
            tells = isinstance(condition, (Inequality, Region, Equation, Conditional)) or list_conditions(condition)
            return condition if typed and tells else None
    return None
