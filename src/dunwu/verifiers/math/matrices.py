r"""Matrices in any environment or as nested lists, with a factor before them, ``(1,2)^\top``."""

from __future__ import annotations

from collections.abc import Sequence

from dunwu.verifiers.math.brackets import Unreadable, find_closing, read_rows, split_at
from dunwu.verifiers.math.grammar import parse
from dunwu.verifiers.math.records import Answer, Collection, Matrix, Quantity, Read
from dunwu.verifiers.math.tokens import Token
from dunwu.verifiers.math.tree import Product, negate

MATRICES = frozenset({"matrix", "pmatrix", "bmatrix", "Bmatrix", "smallmatrix", "array"})


def read_matrix(tokens: Sequence[Token], read: Read) -> Answer | None:
    r"""Read a matrix; None for anything else.

    It may stand in any environment or as nested lists, with a factor before it, or be written ``(1,2)^\top``.
    """
    try:
        return _read_transposed(tokens, read) or _read_nested(tokens) or _read_environment(tokens)
    except Unreadable:
        return None


def _read_transposed(tokens: Sequence[Token], read: Read) -> Matrix | None:
    rest = [token for token in tokens if token.text not in ("{", "}")]
    if len(rest) < 4 or rest[-2].text != "^" or rest[-1].text not in ("top", "T", "intercal"):
        return None
    inner = read(rest[:-2])
    if isinstance(inner, Matrix):
        return Matrix(tuple(zip(*inner.rows, strict=True)))
    if isinstance(inner, Collection) and inner.ordered and all(isinstance(one, Quantity) for one in inner.items):
        return Matrix(tuple((one.tree,) for one in inner.items if isinstance(one, Quantity)))
    return None


def _read_nested(tokens: Sequence[Token]) -> Matrix | None:
    if len(tokens) < 4 or tokens[0].text != "[" or tokens[1].text != "[" or find_closing(tokens, 0) != len(tokens) - 1:
        return None
    rows = [split_at(row[1:-1], (",",)) for row in split_at(tokens[1:-1], (",",)) if row and row[0].text == "["]
    same_length = len({len(row) for row in rows}) == 1 and len(rows) == len(split_at(tokens[1:-1], (",",)))
    return Matrix(tuple(tuple(map(parse, row)) for row in rows)) if same_length else None


def _read_environment(tokens: Sequence[Token]) -> Matrix | None:
    start = next((place for place, token in enumerate(tokens) if token.kind == "begin"), None)
    if start is None or tokens[start].text not in MATRICES:
        return None
    cells, end = read_rows(tokens, start)
    before, behind = list(tokens[:start]), tokens[end:]
    fence = "".join(token.text for token in (*before[-1:], *behind[:1]))
    fenced = fence in ("()", "[]", "\\{\\}") and len(behind) == 1
    before = before[:-1] if fenced else before
    if (behind and not fenced) or (not fenced and tokens[start].text == "array"):
        return None
    rows = [[parse(cell) for cell in row] for row in cells]
    if len({len(row) for row in rows}) != 1:
        return None
    if [token.text for token in before] == ["-"]:
        rows = [[negate(cell) for cell in row] for row in rows]
    elif before:
        factor = parse(before[:-1] if before[-1].text in ("*", "×") else before)
        rows = [[Product((factor, cell)) for cell in row] for row in rows]
    return Matrix(tuple(map(tuple, rows)))
