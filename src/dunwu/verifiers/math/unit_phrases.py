"""Units as answers write them: m/s, square inches, 千米每小时, 个苹果, US$.

A single letter that stands as a letter of a formula may be a factor as well: it is a unit only beside the same unit.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile

from dunwu.verifiers.math.brackets import find_closing
from dunwu.verifiers.math.constructs import FUNCTION_NAMES
from dunwu.verifiers.math.counting import counts
from dunwu.verifiers.math.letters import CONSTANT_NAMES, GREEK
from dunwu.verifiers.math.tokens import Token
from dunwu.verifiers.math.unit_tables import (
    CLASSIFIERS,
    CODES,
    COUNT_CHANGERS,
    CURRENCIES,
    HAN_POWERS,
    POWER_WORDS,
    REGIONS,
)
from dunwu.verifiers.math.units import PERCENT, Unit, divide_units, find_symbol, find_units, multiply_units, raise_unit

MOST_TOKENS = 14
PRONOUNCEABLE = re.compile("(?=.*[aeiouy])[a-z]{3,}")
RAISED_WORDS = {"squared": 2, "cubed": 3}


def read_unit(tokens: Sequence[Token]) -> Unit | None:
    """Return the unit that these tokens are: m/s, square inches, 千米每小时, 个苹果; None where they are none."""
    if not tokens or len(tokens) > MOST_TOKENS:
        return None
    if tokens[0].text == "(" and find_closing(tokens, 0) == len(tokens) - 1:
        inner = read_unit(tokens[1:-1])
        return replace(inner, weak=False) if inner and inner.known else None
    bare = _join_degrees([token for token in tokens if token.text not in ("{", "}") or token.kind != "sign"])
    if tokens[0].kind == "command" and tokens[0].text == "frac":
        return _read_fraction(tokens)
    counted = _read_classifier(bare)
    if counted is not None:
        return counted
    upper: Unit | None = None
    for number, part in enumerate(_split_per(bare)):
        unit = _read_product(
            part[1:-1] if part and part[0].text == "(" and find_closing(part, 0) == len(part) - 1 else part
        )
        if unit is None or (number and not unit.known):
            return None
        upper = unit if upper is None else divide_units(upper, unit)
    return upper


def _join_degrees(tokens: list[Token]) -> list[Token]:
    r"""Join °C and ``^\circ C`` to one word."""
    tokens = [token for place, token in enumerate(tokens) if not _raises(token, tokens[place + 1 : place + 2])]
    found: list[Token] = []
    for token in tokens:
        if token.text in ("C", "F") and found and found[-1].text == "°":
            found[-1] = replace(found[-1], kind="word", text="°" + token.text)
        else:
            found.append(token)
    return found


def _raises(token: Token, behind: list[Token]) -> bool:
    return token.text == "^" and bool(behind) and behind[0].text in ("°", "'")


def _read_fraction(tokens: Sequence[Token]) -> Unit | None:
    r"""Read ``\frac{\text{m}}{\text{s}^2}``."""
    end = find_closing(tokens, 1) if len(tokens) > 1 else -1
    if end < 0 or find_closing(tokens, end + 1 if end + 1 < len(tokens) else 0) != len(tokens) - 1:
        return None
    above, below = read_unit(tokens[2:end]), read_unit(tokens[end + 2 : -1])
    return divide_units(above, below) if above and below and above.known and below.known else None


def _split_per(tokens: Sequence[Token]) -> list[list[Token]]:
    """Split tokens at strokes, "per" and 每."""
    pieces: list[list[Token]] = [[]]
    for place, token in enumerate(tokens):
        cent = place + 1 < len(tokens) and tokens[place + 1].text.lower() == "cent"
        if token.text == "/" or (token.text.lower() == "per" and not cent):
            pieces.append([])
        elif token.kind == "han" and "每" in token.text:
            before, _, after = token.text.partition("每")
            if before:
                pieces[-1].append(replace(token, text=before))
            pieces.append([replace(token, text=after)] if after else [])
        else:
            pieces[-1].append(token)
    return pieces


def _read_product(tokens: Sequence[Token]) -> Unit | None:
    """Read factors side by side or with dots between them, each with its power: N·m, kg m^2."""
    unit, place = None, 0
    while place < len(tokens):
        if tokens[place].text in ("*", "×"):
            place += 1
            continue
        found = _read_factor(tokens, place)
        if found is None or (unit is not None and (unit == PERCENT or not (unit.known and found[0].known))):
            return None
        unit, place = (found[0] if unit is None else multiply_units(unit, found[0])), found[1]
    return unit


def _read_factor(tokens: Sequence[Token], start: int) -> tuple[Unit, int] | None:
    power, place = 1, start
    first = tokens[place]
    if first.kind == "word" and first.text.lower() in POWER_WORDS and place + 1 < len(tokens):
        power, place = POWER_WORDS[first.text.lower()], place + 1
        place += tokens[place].text == "."
    for prefix, exponent in HAN_POWERS:
        if place < len(tokens) and tokens[place].kind == "han" and tokens[place].text.startswith(prefix):
            power = exponent
            tokens = [
                *tokens[:place],
                replace(tokens[place], text=tokens[place].text.removeprefix(prefix)),
                *tokens[place + 1 :],
            ]
    found = _read_name(tokens, place)
    if found is None:
        return None
    unit, place = found
    if place + 1 < len(tokens) and tokens[place].text == "^":
        sign = -1 if tokens[place + 1].text == "-" else 1
        place += 1 + (sign < 0)
        if place == len(tokens) or tokens[place].kind != "number" or len(tokens[place].text) > 1:
            return None
        power, place = sign * int(tokens[place].text), place + 1
    elif power == 1 and place < len(tokens) and tokens[place].text.lower() in RAISED_WORDS:
        power, place = RAISED_WORDS[tokens[place].text.lower()], place + 1
    elif power == 1 and place < len(tokens) and tokens[place].text in ("2", "3") and not tokens[place].spacing:  # cm2
        power, place = int(tokens[place].text), place + 1
    return raise_unit(unit, power), place


def _read_name(tokens: Sequence[Token], start: int) -> tuple[Unit, int] | None:
    """Read a name of a unit, of up to three words; the longest that is known, else one that is not."""
    token = tokens[start]
    if (token.kind == "command" and token.text in ("mu", "Omega")) or token.text in ("Ω", "μ"):
        return _read_greek(tokens, start)
    words = [one.text for one in takewhile(_spells, tokens[start : start + 4])]
    for length in range(min(3, len(words)), 0, -1):
        names = find_units(" ".join(words[:length]))
        if names:
            weak = length == 1 and len(words[0]) == 1 and words[0].isalpha() and not token.roman
            return Unit(names, weak=weak and words[0].isascii()), start + length
    if token.kind == "han":
        return (
            Unit(find_units(token.text)) if find_units(token.text) else Unit(frozenset({token.text}), known=False)
        ), start + 1
    if token.text in CURRENCIES:
        return Unit(_list_meanings(CURRENCIES[token.text])), start + 1
    if words and words[0] in (*FUNCTION_NAMES, *GREEK, *CONSTANT_NAMES):
        return None
    spoken = [word.lower() for word in words]
    if (
        token.kind == "word"
        and len(words) == len(tokens) - start
        and (PRONOUNCEABLE.fullmatch(spoken[0]) or token.roman)
    ):
        if len(spoken) > 4 or not all(word.isalpha() for word in spoken):
            return None
        short = len(words) == 1 and len(words[0]) < 4
        text = words[0] if short else " ".join(word.removesuffix("s") if len(word) > 3 else word for word in spoken)
        return Unit(frozenset({f"?{text}"}), known=counts(spoken)), len(tokens)
    return None


def _spells(token: Token) -> bool:
    return token.kind in ("word", "sign") and token.text not in ("/", "^", "*", "×")


def _read_greek(tokens: Sequence[Token], start: int) -> tuple[Unit, int] | None:
    if tokens[start].text in ("Omega", "Ω"):
        return Unit(frozenset({"Ω"})), start + 1
    following = tokens[start + 1] if start + 1 < len(tokens) else None
    if following is None or following.kind != "word" or not find_symbol("μ" + following.text):
        return None
    return Unit(find_symbol("μ" + following.text)), start + 2


def _read_classifier(tokens: Sequence[Token]) -> Unit | None:
    """Read a Chinese classifier, with the noun that it counts or without: 个, 个苹果, 名学生."""
    if len(tokens) != 1 or tokens[0].kind != "han":
        return None
    text = tokens[0].text
    if find_units(text):
        return Unit(find_units(text))
    if (
        text[0] not in CLASSIFIERS
        or COUNT_CHANGERS.search(text[1:])
        or text[:2] in ("位数", "次方", "次幂")
        or len(text) > 7
    ):
        return None
    names = {text[0], "people"} if text[0] in "名位" else {text[0]}
    return Unit(frozenset(names), noun=text[1:])


def _list_meanings(name: str) -> frozenset[str]:
    return frozenset({"yuan", "yen"}) if name == "¥" else frozenset({name})


def read_currency(tokens: Sequence[Token]) -> tuple[Unit, int] | None:
    r"""Return the currency in front of a number, and how many tokens it takes: $, US$, £, USD."""
    words = [token.text for token in tokens[:2]]
    if not words:
        return None
    if words[0] in CURRENCIES:
        return Unit(_list_meanings(CURRENCIES[words[0]])), 1
    if len(words) == 2 and words[0] in REGIONS and words[1] == "$":
        return Unit(frozenset({REGIONS[words[0]]})), 2
    if words[0] in CODES and len(tokens) > 1:
        return Unit(frozenset({CODES[words[0]]})), 1 + (words[1] == ".")
    return None


def split_quantity(tokens: Sequence[Token]) -> list[tuple[int, Unit]]:
    """Return the places from which the tokens are a unit, leftmost first: what stands before may be its number."""
    start = max(1, len(tokens) - MOST_TOKENS)
    found = []
    for place in range(start, len(tokens)):
        token = tokens[place]
        starts = token.kind in ("word", "han", "command") or token.text in (*CURRENCIES, "%", "°", "^", "{", "(")
        starts = starts or (token.text in ("'", "''") and place == 1 and tokens[0].kind == "number")
        unit = read_unit(tokens[place:]) if starts else None
        if unit is not None:
            found.append((place, unit))
    return found
