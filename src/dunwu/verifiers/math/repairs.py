"""Habits of plain text, as TeX writes what they mean: 3 x 10^8, 145^o, #### 36."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from dunwu.verifiers.math.numerals import read_numeral
from dunwu.verifiers.math.tokens import Token

NUMERAL = "[零一二两三四五六七八九十百千万]"
STRAY = frozenset({"checkmark", "blacksquare", "square", "Box", "qed"})
CHECK_SIGNS = frozenset({"✓", "✔", "■", "□", "∎"})
"""Signs behind an answer which say that it is done."""


def repair(tokens: Sequence[Token]) -> list[Token]:
    """Return tokens with times signs and degrees for the letters that stand for them, without marks around them."""
    rest = list(tokens)
    heading = next((place for place, token in enumerate(rest) if str(token) != "#"), len(rest))
    rest = rest[heading:] if 1 < heading < len(rest) else rest
    while len(rest) > 1 and (rest[-1].text in CHECK_SIGNS or (rest[-1].kind == "command" and rest[-1].text in STRAY)):
        rest.pop()
    found: list[Token] = []
    rest = [piece for token in rest for piece in _to_digits(token)]
    for place, token in enumerate(rest):
        behind = rest[place + 1] if place + 1 < len(rest) else None
        numbers = bool(found) and found[-1].kind == "number" and behind is not None and behind.kind == "number"
        if token.kind == "word" and token.text in ("x", "X") and numbers:
            found.append(replace(token, kind="sign", text="×"))
        elif numbers and token.text == "万" and behind and len(behind.text) == 4 and found[-1].text.isdigit():
            found[-1] = replace(found[-1], text=str(int(found[-1].text) * 10000))
            rest[place + 1] = replace(behind, text=str(int(found.pop().text) + int(behind.text)))
        elif token.text == "m" and len(found) > 2 and found[-2].text == "h" and found[-1].kind == "number":
            found.append(replace(token, text="min"))  # 2h15m
        elif token.text in ("o", "O") and _is_raised(found, behind):
            found.append(replace(token, kind="sign", text="°"))
        else:
            found.append(token)
    return _strip_empty_groups(found)


def _to_digits(token: Token) -> list[Token]:
    """Write numbers in digits: 第三天 with its number so, 三比四 as 3:4, 一半 as a half, 根号 as the command."""
    if token.kind != "han":
        return [token]
    if token.text == "一半":
        return [replace(token, kind="number", text="0.5")]
    if token.text.endswith("根号"):
        before = [replace(token, text=token.text[:-2])] if len(token.text) > 2 else []
        return [*before, replace(token, kind="command", text="sqrt")]
    match = re.fullmatch(f"第({NUMERAL}+)([^{NUMERAL[1:]}.*)", token.text)
    if match and read_numeral(match[1]) is not None:
        return [replace(token, text="第"), Token("number", str(read_numeral(match[1]))), Token("han", match[2])]
    match = re.fullmatch(f"({NUMERAL}+)比({NUMERAL}+)", token.text)
    if match and read_numeral(match[1]) is not None and read_numeral(match[2]) is not None:
        first, second = (str(read_numeral(part)) for part in match.groups())
        return [replace(token, kind="number", text=first), Token("sign", ":"), Token("number", second)]
    return [token]


def _is_raised(before: Sequence[Token], behind: Token | None) -> bool:
    """Return whether a letter o is all that stands above a number."""
    texts = [token.text for token in before[-2:]]
    braced = texts == ["^", "{"] and behind is not None and behind.text == "}"
    base = before[-3:-2] if braced else before[-2:-1]
    return (braced or texts[-1:] == ["^"]) and bool(base) and base[0].kind == "number"


def _strip_empty_groups(tokens: Sequence[Token]) -> list[Token]:
    """Drop ``{}`` behind a number: nothing stands in it."""
    found: list[Token] = []
    for token in tokens:
        empty = len(found) > 1 and token.text == "}" and found[-1].text == "{" and found[-2].kind == "number"
        if empty and token.kind == found[-1].kind == "sign":
            found.pop()
        else:
            found.append(token)
    return found
