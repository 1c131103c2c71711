"""Answers to several questions at once, and one with its name: (1) 3; (2) 5, maximum 3."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dunwu.verifiers.math.numerals import read_digits
from dunwu.verifiers.math.records import Answer, Collection, Equation, Member, Read
from dunwu.verifiers.math.tokens import Token
from dunwu.verifiers.math.wording import strip_stops, to_words

LABEL_ORDERS = ("123456789", "abcdefgh")
EXTREME = re.compile(r"(?:the )?(?P<name>max|min)(?:imum)?(?: value)?")
"""What a number may be called; the number itself must stand behind it."""


def read_parts(tokens: Sequence[Token], read: Read) -> Answer | None:
    """Read parts under their labels, (1) 3 (2) 5 and a) 3, b) 5, as a tuple; None where no two have labels."""
    places = _find_labels(tokens)
    if len(places) < 2 or places[0][1] != 0:
        return None
    ends = [start for _, start, _ in places[1:]] + [len(tokens)]
    parts = [(label, strip_stops(tokens[start + n : end])) for (label, start, n), end in zip(places, ends, strict=True)]
    if not all(part for _, part in parts):
        return None
    return Collection("()", tuple(read(read_digits(part)) for _, part in sorted(parts, key=lambda part: part[0])))


def _find_labels(tokens: Sequence[Token]) -> list[tuple[str, int, int]]:
    """Find the labels, each once and none left out, with their places and how many tokens each has."""
    for order in LABEL_ORDERS:
        found: list[tuple[str, int, int]] = []
        for place, token in enumerate(tokens):
            texts = [one.text for one in tokens[place : place + 3]]
            if token.text == "(" and len(texts) == 3 and texts[1] in order and texts[2] == ")":
                found.append((texts[1], place, 3))
            elif token.text in order and texts[1:2] == [")"] and (not place or tokens[place - 1].text != "("):
                found.append((token.text, place, 2))
        if len(found) > 1 and "".join(sorted(label for label, _, _ in found)) == order[: len(found)]:
            return found
    return []


def read_extreme(tokens: Sequence[Token], read: Read) -> Answer | None:
    """Read a number behind "maximum value", with that name; None for anything else."""
    taken = next((at for at, token in enumerate(tokens) if token.kind != "word"), 0)
    match = EXTREME.fullmatch(" ".join(token.text.lower() for token in tokens[:taken]))
    if match is None or not (tokens[taken].kind in ("number", "command") or tokens[taken].text == "-"):
        return None
    name = Member(match["name"], to_words(tokens[:taken]), simple=True)
    return Equation((name, Member("", read(read_digits(tokens[taken:])), simple=False)))
