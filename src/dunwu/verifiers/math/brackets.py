"""Tokens in brackets: where they close, and splitting at signs that stand outside of them."""

from __future__ import annotations

from collections.abc import Sequence

from dunwu.verifiers.math.tokens import CLOSING, OPENING, Token

MOST_BRACKETS = 8
PAIRS = {"{": "}", **dict(zip(OPENING, CLOSING, strict=True))}
"""What each bracket and brace closes with."""
OPENED, CLOSED = frozenset(PAIRS), frozenset(PAIRS.values())


class Unreadable(ValueError):  # noqa: N818  -- a finding, not a failure
    """The tokens are no expression that the grammar knows."""


def find_closing(tokens: Sequence[Token], start: int) -> int:
    """Return the place of what closes the bracket or brace at ``start``, of any kind; -1 where nothing does."""
    depth = 0
    for place in range(start, len(tokens)):
        text = tokens[place].text
        depth += (text in OPENED) - (text in CLOSED)
        if depth == 0:
            return place
    return -1


def measure_depth(tokens: Sequence[Token]) -> int:
    """Return how deep brackets and braces stand inside one another."""
    deepest = level = 0
    for token in tokens:
        level += (token.text in OPENED) - (token.text in CLOSED)
        deepest = max(deepest, level)
    return deepest


def has_many_brackets(tokens: Sequence[Token]) -> bool:
    """Return whether so many parentheses stand here that what is in front of each cannot be read again and again."""
    return sum(token.text == "(" for token in tokens) > MOST_BRACKETS


def join_text(tokens: Sequence[Token]) -> str:
    """Return tokens as text without gaps, for names."""
    return "".join(map(str, tokens)).replace("{", "").replace("}", "")


def split_at(tokens: Sequence[Token], signs: Sequence[str]) -> list[list[Token]]:
    """Return the tokens in pieces, split at signs that stand outside all brackets."""
    pieces: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        kind, text = token.kind, token.text
        if kind == "sign" and depth == 0 and text in signs:
            pieces.append([])
            continue
        if kind != "number":
            depth += (text in OPENED or kind == "begin") - (text in CLOSED or kind == "end")
        pieces[-1].append(token)
    return pieces


def read_rows(tokens: Sequence[Token], start: int) -> tuple[list[list[list[Token]]], int]:
    """Return the cells of the environment that begins at ``start``, row by row, and the place behind it.

    Raises:
        Unreadable: It does not end.
    """
    depth = 0
    for place in range(start, len(tokens)):
        depth += (tokens[place].kind == "begin") - (tokens[place].kind == "end")
        if depth == 0:
            rows = split_at(tokens[start + 1 : place], ("\\\\",))
            rows = rows[:-1] if len(rows) > 1 and not rows[-1] else rows
            return [split_at(row, ("&",)) for row in rows], place + 1
    raise Unreadable("an environment that does not end")
