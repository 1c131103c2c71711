"""Collections in an answer: sets and bare lists, tuples, intervals, unions, matrices, times."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dunwu.verifiers.latex import enclosed, split

OR = re.compile(r"\\text ?\{ *,? *or *\}|(?<![a-zA-Z\\])or(?![a-zA-Z])|或者?")
AND = re.compile(r"\\text ?\{ *(?:,? *and) *\}|(?<![a-zA-Z\\])and(?![a-zA-Z])|[和与]")
LIST = re.compile(rf",|;|{AND.pattern}|{OR.pattern}")
CUP = re.compile(r"\\cup(?![a-zA-Z])")
RELATION = re.compile(r"[<>]|\\(?:le|ge|ne|in|approx|equiv|sim)(?![a-zA-Z])")
CLOCK = re.compile(r"\d{1,2}:[0-5]\d", re.ASCII)
"""A ratio that may be a time of the day; any other has a value, by which it is compared."""
MATRIX = re.compile(r"\\begin\{([bpv]matrix)\}(.*)\\end\{\1\}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Shape:
    """A collection: its kind (brackets, or rows and columns), whether order counts, and its items."""

    kind: str
    ordered: bool
    items: tuple[str, ...]


def shape(text: str) -> Shape | None:
    r"""What ``text`` collects at its top level; None for a single thing.

    ``a \pm b`` is the set of both; ``x<2 or x>3`` is a union.
    """
    if matrix := MATRIX.fullmatch(text):
        rows = [row.split("&") for row in matrix[2].strip().removesuffix("\\\\").split("\\\\")]
        name = "vmatrix" if matrix[1] == "vmatrix" else "matrix"
        items = tuple(item.strip() for row in rows for item in row)
        return Shape(f"{name} {[len(row) for row in rows]}", True, items)
    if CLOCK.fullmatch(text):
        return Shape(":", True, tuple(text.split(":")))
    whole = enclosed(text)
    for separator in (CUP, OR):
        unions = split(text, separator) if not whole else []
        if len(unions) > 1 and (separator is CUP or all(map(RELATION.search, unions))):
            return Shape("union", False, tuple(unions))
    items = tuple(split(whole[1] if whole else text, LIST))
    if whole and whole[0] == "\\{":
        return Shape("set", False, tuple(one for item in items for one in _both_signs(item)))
    if whole:
        return Shape(whole[0] + whole[2], True, items) if len(items) > 1 else None
    members = [one for item in items for one in _both_signs(item) if item]
    return Shape("set", False, tuple(members)) if len(members) > 1 else None


def _both_signs(text: str) -> list[str]:
    if "\\pm" not in text or "," in text:
        return [text]
    upper = re.sub(r"\\pm ?", "+", re.sub(r"\\mp ?", "-", text))
    lower = re.sub(r"\\pm ?", "-", re.sub(r"\\mp ?", "+", text))
    return [upper.removeprefix("+"), lower]
