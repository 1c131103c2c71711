"""Tokens to a quantity: an expression, with the unit behind it or the currency before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dunwu.verifiers.math.brackets import Unreadable
from dunwu.verifiers.math.counting import split_ending
from dunwu.verifiers.math.exact import evaluate_exactly
from dunwu.verifiers.math.grammar import parse
from dunwu.verifiers.math.letters import CONSTANT_NAMES, GREEK, is_family, is_formula, split_functions
from dunwu.verifiers.math.numerals import read_digits
from dunwu.verifiers.math.records import Quantity
from dunwu.verifiers.math.tokens import Token
from dunwu.verifiers.math.tree import PI, Number, Tree, list_children, negate
from dunwu.verifiers.math.unit_phrases import read_currency, read_unit, split_quantity
from dunwu.verifiers.math.units import PERCENT, Unit, convert_value, divide_units
from dunwu.verifiers.math.wording import SHORT_WORDS


def read_quantity(tokens: Sequence[Token]) -> Quantity | None:
    """Read an expression with its unit, if it has one; None for anything else."""
    if len(tokens) == 1 and tokens[0].kind == "word" and is_word(tokens[0].text):
        return None
    return _read_money(tokens) or read_compound(tokens) or _read_ended(tokens) or _read_measured(tokens)


def _read_ended(tokens: Sequence[Token]) -> Quantity | None:
    """Read a written number with its unit, and "in total", "left" or "of the pizza" behind it."""
    rest, noun = split_ending(tokens)
    numeric = any(token.kind == "number" for token in rest[:3])
    found = read_quantity(rest) if numeric and len(rest) < len(tokens) else None
    return replace(found, unit=replace(found.unit, noun=noun)) if found and found.unit and noun else found


def is_word(text: str) -> bool:
    """Return whether a word that stands alone is none of letters that are multiplied: on, IV, east; but xy is."""
    if (
        len(text) < 2
        or is_formula(text)
        or is_family(text)
        or text in CONSTANT_NAMES
        or text in GREEK
        or split_functions(text)
    ):
        return False
    return len(text) > 2 or not text.islower() or text in SHORT_WORDS or text[::-1] in SHORT_WORDS


def _read_money(tokens: Sequence[Token]) -> Quantity | None:
    start = 1 if tokens and tokens[0].text in ("-", "+") else 0
    found = read_currency(tokens[start:])
    if found is None or start + found[1] == len(tokens):
        return None
    currency, taken = found
    amount = _read_rate(tokens[start + taken :], currency) or _read_measured(read_digits(tokens[start + taken :]))
    if amount is None or (amount.unit and not (amount.unit.agrees(currency) or amount.unit.compound)):
        return None
    tree = negate(amount.tree) if start and tokens[0].text == "-" else amount.tree
    return Quantity(tree, amount.unit or currency, decimal=amount.decimal)


def _read_rate(tokens: Sequence[Token], currency: Unit) -> Quantity | None:
    r"""Read what stands behind the currency of ``\$25/hour``."""
    place = next((at for at, token in enumerate(tokens) if token.text.lower() in ("/", "per", "每")), 0)
    tree = _try_parse(tokens[:place])
    unit = read_unit(tokens[place + 1 :]) if place else None
    if tree is None or unit is None or not unit.known:
        return None
    return Quantity(tree, divide_units(currency, unit), decimal=_is_decimal(tokens[:place]))


def read_compound(tokens: Sequence[Token]) -> Quantity | None:
    """Return numbers and units in turn, of one dimension, biggest first: 5元6角, 1 hour 30 minutes, 30° 30'."""
    rest = list(tokens)
    negated = bool(rest) and rest[0].text == "-"
    starts = [place for place, token in enumerate(rest) if token.kind == "number"]
    if len(starts) < 2 or starts[0] != int(negated):
        return None
    parts: list[tuple[Tree, Unit]] = []
    for start, end in zip(starts, [*starts[1:], len(rest)], strict=True):
        named = [token for token in rest[start + 1 : end] if token.text not in ("and", ",")]
        if [token.text for token in named] == ["m"] and parts and "hour" in parts[0][1].names:  # 2h 15m
            named = [replace(named[0], text="min")]
        unit = read_unit([token for token in named if token.text != "^"] or named)
        if unit is None:
            return None
        parts.append((parse(rest[start : start + 1]), unit))
    first = parts[0][1]
    total = parts[0][0].value  # type: ignore[union-attr]
    size = convert_value(total, first, first)
    for tree, unit in parts[1:]:
        assert isinstance(tree, Number)
        share = convert_value(tree.value, unit, first)
        smaller = convert_value(tree.value.__class__(1), unit, first)
        if share is None or size is None or smaller is None or smaller >= 1:
            return None
        total += share
    return Quantity(Number(-total if negated else total), first, compound=True)


def _read_measured(tokens: Sequence[Token]) -> Quantity | None:
    """Read an expression, with the unit behind it."""
    whole = _try_parse(tokens)
    decimal = _is_decimal(tokens)
    weak = None
    for place, unit in split_quantity(tokens):
        value = tokens[:place]
        tree = _try_parse(value)
        if tree is None or (whole is not None and unit.names == {"°"}):
            continue
        if unit.weak and not (unit.compound and tokens[place].spacing and read_literal(value)):
            weak = weak or (tree, unit)
        elif _stands_apart(value, tokens[place], unit):
            return Quantity(tree, unit, decimal=_is_decimal(value))
    return None if whole is None and weak is None else _make_quantity(whole, weak, decimal)


def _make_quantity(whole: Tree | None, weak: tuple[Tree, Unit] | None, decimal: bool) -> Quantity:
    if whole is None:
        assert weak is not None
        return Quantity(weak[0], weak[1], decimal=decimal)
    return Quantity(whole, weak=weak, decimal=decimal)


def _try_parse(tokens: Sequence[Token]) -> Tree | None:
    try:
        return parse(tokens) if tokens else None
    except Unreadable:
        return None


def _stands_apart(value: Sequence[Token], first: Token, unit: Unit) -> bool:
    """Return whether what follows can be no factor of the value: of "2 x y" it is one, of "3 cm" and "3个" not."""
    if all(token.kind == "word" and is_word(token.text) for token in value):
        return False
    if first.roman or first.kind in ("han", "sign", "command") or unit == PERCENT:
        return unit.known or _is_written_number(value)
    if _is_written_number(value):
        return unit.known or bool(first.spacing)
    return unit.known and bool(first.spacing)


def _is_written_number(tokens: Sequence[Token]) -> bool:
    return read_literal(tokens) is not None


def _is_decimal(tokens: Sequence[Token]) -> bool:
    rest = [token for token in tokens if token.text != "-"]
    return len(rest) == 1 and rest[0].kind == "number" and "." in rest[0].text


def read_literal(tokens: Sequence[Token]) -> Number | None:
    r"""Return the number that tokens are written as: an integer, decimal, fraction or mixed number; else None."""
    rest = list(tokens)
    if rest and rest[0].text in ("-", "+"):
        rest = rest[1:]
    plain = [token for token in rest if token.text not in ("{", "}") or token.kind != "sign"]
    kinds = "".join(_KINDS.get(token.kind if token.kind == "number" else str(token), "?") for token in plain)
    if kinds == "fn":  # \\frac12
        return _parse_number(tokens) if len(plain[1].text) == 2 else None
    if kinds not in ("n", "n/n", "fnn", "nfnn", "nn/n", "f-nn"):
        return None
    if "/" in kinds or "f" in kinds:
        parts = plain[-3:] if "/" in kinds else plain[-2:]
        if not all(token.text.isdigit() for token in parts if token.kind == "number"):
            return None
    return _parse_number(tokens)


def _parse_number(tokens: Sequence[Token]) -> Number | None:
    tree = _try_parse(tokens)
    return tree if isinstance(tree, Number) else None


_KINDS = {"number": "n", "/": "/", "\\frac": "f", "-": "-"}


# Comparing


def align_units(gold: Quantity, answer: Quantity) -> tuple[tuple[Tree, Unit | None], tuple[Tree, Unit | None]]:
    """Return values and units of both; beside "5 meters" the last letter of "5 m" is that unit, and never another."""
    pairs = []
    for one, other in ((gold, answer), (answer, gold)):
        lacking = other.unit is not None and one.unit is None and one.weak is not None
        if lacking and one.weak is not None and other.unit is not None and one.weak[1].agrees(other.unit):
            pairs.append(one.weak)
        else:
            pairs.append((one.tree, one.unit))  # type: ignore[arg-type]
    return pairs[0], pairs[1]


def same_measure(left: Tree, left_unit: Unit, right: Tree, right_unit: Unit) -> bool:
    """Return whether two measures are one in different units: 5元6角 and 5.6元.

    Args:
        left: The one value.
        left_unit: Its unit.
        right: The other value.
        right_unit: Its unit.
    """
    values = evaluate_exactly(left), evaluate_exactly(right)
    if values[0] is None or values[1] is None:
        return False
    return convert_value(values[0], left_unit, right_unit) == values[1]


def is_written(quantity: Quantity) -> bool:
    """Return whether a quantity is written as a rounded one may be: as a decimal, or a whole number."""
    value = evaluate_exactly(quantity.tree)
    return quantity.decimal or (value is not None and value.denominator == 1)


def may_be_missing(unit: Unit, value: Tree, added: bool) -> bool:
    """Return whether a unit that one side alone has says nothing more.

    Args:
        unit: The unit.
        value: The number in front of it: one with pi is no number of degrees.
        added: Whether the gold lacks it: a bare number asks for how many there are, not how many for each.
    """
    if not unit.known or unit.names & {"'", "''"}:
        return False
    return not (unit.names == {"°"} and _has_pi(value)) and not (added and unit.counts_per)


def _has_pi(tree: Tree) -> bool:
    return tree == PI or any(map(_has_pi, list_children(tree)))
