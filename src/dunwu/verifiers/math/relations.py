"""Equations, inequalities, membership, congruences; what a name is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dunwu.verifiers.math.brackets import Unreadable, find_closing, split_at
from dunwu.verifiers.math.grammar import parse
from dunwu.verifiers.math.lists import MOST_ITEMS
from dunwu.verifiers.math.numerals import read_digits
from dunwu.verifiers.math.quantities import read_quantity
from dunwu.verifiers.math.records import (
    Answer,
    Collection,
    Congruence,
    Equation,
    Inequality,
    Member,
    Quantity,
    Read,
    Words,
)
from dunwu.verifiers.math.sets import to_conditions
from dunwu.verifiers.math.tokens import Token
from dunwu.verifiers.math.tree import CONSTANTS, Call, Number, Product, Sum, Symbol, Tree
from dunwu.verifiers.math.wording import HAN_NAMED_VALUE, LISTING, is_spoilt, read_conjunctions, spell_tokens, to_words

ORDER = {"<", "<=", ">", ">=", "!="}
RELATIONS = ("=", "<", "<=", ">", ">=", "!=", "~=", "in")
FOREIGN = {"~", "===", "=>", "<=>", "->", "cong", "notin", "==", "<>"}
"""Signs of relations that nothing is known of."""


def read_congruence(tokens: Sequence[Token], _: Read) -> Answer | None:
    r"""Read ``x \equiv 3 \pmod 5``, ``x ≡ 3 (mod 5)`` or ``3 \mod 7``; None for anything else."""
    place = next((at for at, token in enumerate(tokens) if token.text in ("pmod", "bmod", "mod", "Mod")), None)
    if not place:
        return None
    start = place - 1 if tokens[place - 1].text in ("(", "[") else place
    modulus = list(tokens[place + 1 :])
    if start < place:
        if find_closing(tokens, start) != len(tokens) - 1:
            return None
        modulus = modulus[:-1]
    sides = split_at(tokens[:start], ("===", "="))
    if len(sides) > 2 or not all(sides):
        return None
    try:
        name = "" if len(sides) == 1 else spell_tokens(sides[0])
        divisor = parse(strip_group(modulus))
        found = [
            Congruence(name, parse(residue), divisor) for residue in split_at(read_conjunctions(sides[-1]), LISTING)
        ]
        return found[0] if len(found) == 1 else Collection("", tuple(found))
    except Unreadable:
        return None


def strip_group(tokens: Sequence[Token]) -> list[Token]:
    """Return tokens without the braces of a group around them."""
    whole = len(tokens) > 2 and tokens[0].text == "{" and find_closing(tokens, 0) == len(tokens) - 1
    return list(tokens[1:-1]) if whole else list(tokens)


def read_named(tokens: Sequence[Token], read: Read) -> Answer | None:
    """Read a value with its name in Chinese, 最大值为3; None for anything else."""
    match = HAN_NAMED_VALUE.fullmatch(tokens[0].text) if len(tokens) > 1 else None
    if match is None or is_spoilt(tokens[0].text):
        return None
    name = Member(match[1], Words(match[1]), simple=True)
    return Equation((name, _read_member(list(tokens[1:]), True, read)))


def read_relation(tokens: Sequence[Token], read: Read) -> Answer | None:
    """Read an equation, an inequality or a membership; None where no sign of relation stands."""
    rest = _read_factorials(tokens)
    sides = split_at(rest, (*RELATIONS, *FOREIGN))
    if len(sides) < 2:
        return None
    signs = _list_signs(rest)
    if set(signs) & FOREIGN or len(sides) > MOST_ITEMS:
        return to_words(tokens)
    if not all(sides):
        return to_words(tokens)
    if set(signs) == {"="}:
        return Equation(tuple(_read_member(side, place == len(sides) - 1, read) for place, side in enumerate(sides)))
    if signs == ["in"]:
        value = read(sides[1])
        known = _is_name(sides[0]) and not isinstance(value, Words)
        return to_conditions(_read_name(sides[0], read), value) if known else to_words(tokens)
    if set(signs) <= ORDER:
        try:
            return Inequality(tuple(map(parse, sides)), tuple(signs))
        except Unreadable:
            return to_words(tokens)
    return to_words(tokens)


def _read_factorials(tokens: Sequence[Token]) -> list[Token]:
    """Read "!=" behind a number or a bracket as a factorial that equals something: 5!=120."""
    found: list[Token] = []
    for token in tokens:
        behind = found and (found[-1].kind == "number" or found[-1].text in (")", "}", "!"))
        if token.text == "!=" and token.kind == "sign" and behind and not token.spacing and token not in found[:1]:
            found += [replace(token, text="!"), replace(token, text="=")]
        else:
            found.append(token)
    return found


def _list_signs(tokens: Sequence[Token]) -> list[str]:
    """List the signs of relation at the top level, in order."""
    found = []
    rest: list[Token] = []
    for token in tokens:
        rest.append(token)
        if token.kind == "sign" and token.text in (*RELATIONS, *FOREIGN) and len(split_at(rest, (token.text,))) > 1:
            found.append(token.text)
            rest = []
    return found


def _read_member(tokens: list[Token], last: bool, read: Read) -> Member:
    answer = read(read_digits(tokens)) if last or not _is_name(tokens) else _read_name(tokens, read)
    eccentricity = not last and len(tokens) == 1 and tokens[0].text == "e"
    text = spell_tokens(tokens).casefold() if _has_words(tokens) else spell_tokens(tokens)
    return Member(text, answer, _is_name(tokens) or eccentricity)


def _has_words(tokens: Sequence[Token]) -> bool:
    return any(len(token.text) > 2 for token in tokens if token.kind == "word")


def _read_name(tokens: list[Token], read: Read) -> Answer:
    """Return what a name says as a member of a relation: its letter, if it is one."""
    try:
        return Quantity(parse(tokens))
    except Unreadable:
        return read(tokens) if tokens[0].text == "(" else to_words(tokens)


def _is_name(tokens: Sequence[Token]) -> bool:
    r"""Return whether tokens are a name.

    Names are x, x_1, f(2), f'(1), AB, ``\angle ABC``, P(A), area, (x,y), ``\frac{dy}{dx}``.
    """
    if not tokens or _is_numeral(tokens) or is_spoilt(" ".join(token.text for token in tokens)):
        return False
    if tokens[0].text == "(" and find_closing(tokens, 0) == len(tokens) - 1:
        return all(_is_name(part) for part in split_at(tokens[1:-1], (",", "，"))) and len(tokens) > 4
    if any(token.kind == "word" and token.roman and len(token.text) > 1 for token in tokens) and len(tokens) < 6:
        return all(token.kind in ("word", "han") for token in tokens)
    if all(token.kind in ("word", "han") for token in tokens):
        return len(tokens) < 6 and not (len(tokens) == 1 and tokens[0].text in ("e", "pi", "i"))
    if len(tokens) == 3 and tokens[1].text in ("cup", "cap", "setminus"):
        return all(token.kind == "word" and len(token.text) == 1 and token.text.isupper() for token in tokens[::2])
    try:
        tree = parse(tokens)
    except Unreadable:
        first = tokens[0]
        return first.kind in ("word", "han") and len(tokens) > 2 and tokens[1].text in ("(", "_", "'")
    known = isinstance(tree, Symbol) and tree not in CONSTANTS
    called = not isinstance(tree, (Symbol, Number, Sum, Product)) and getattr(tree, "name", "") not in CALCULATED
    length = isinstance(tree, Call) and tree.name == "abs" and _is_product_of_capitals(tree.arguments[0])
    return known or length or (called and hasattr(tree, "name")) or _is_product_of_capitals(tree)


def _is_numeral(tokens: Sequence[Token]) -> bool:
    """Return whether words are a number, with its unit or without: six, 六, six cm."""
    digits = read_digits(tokens)
    if digits == list(tokens):
        return False
    said = read_quantity(digits)
    named = any(token.kind == "han" for token in digits) or said is None  # 三角形
    return not named and said is not None and (said.unit is None or said.unit.known)


def _is_product_of_capitals(tree: Tree) -> bool:
    return isinstance(tree, Product) and all(isinstance(one, Symbol) and one.name.isupper() for one in tree.factors)


CALCULATED = frozenset(
    [
        "sin",
        "cos",
        "tan",
        "cot",
        "sec",
        "csc",
        "ln",
        "log",
        "abs",
        "factorial",
        "binom",
        "max",
        "min",
        "gcd",
        "lcm",
        "sum",
        "prod",
        "int",
        "lim",
        "floor",
        "ceil",
        "gamma",
    ]
)
