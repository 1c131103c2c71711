"""Units: what a word or symbol names, and what products, quotients and other sizes of units are.

A word after a number may change it (5 hundred, 36 halved, 12左右), and no list of such words is ever complete. So the
tables (``unit_tables``) say which words do not: measures, money, and what word problems count; ``counting`` says which
form of phrase counts something, whatever its noun. A word outside of both is a unit only where the other side has the
same one; ``Unit.agrees`` is that rule. Symbols are read as they are written, MHz and mHz are two; in another case only
where that leaves no doubt (KM, Kg). ``unit_phrases`` reads units from the tokens of an answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache

from dunwu.verifiers.math.unit_tables import (
    CAPITALS,
    CHINESE_METRIC,
    CHINESE_PREFIXES,
    CODES,
    COUNTED_THINGS,
    MEASURES,
    METRIC,
    PREFIXES,
    UNIT_SIZES,
)

CONVERTED = frozenset({"dollar", "gbp", "yuan", "angle"})
"""Dimensions whose parts are as good as the whole."""


@dataclass(frozen=True, slots=True)
class Unit:
    """What a unit may mean, and how sure it is one.

    Attributes:
        names: Its canonical names; several where a word has several meanings (pound, ¥, 分).
        known: Whether the tables have it: any other word might say anything of the number.
        weak: Whether it is a letter of a formula as much as a unit.
        noun: What a Chinese classifier counts.
    """

    names: frozenset[str]
    known: bool = True
    weak: bool = False
    noun: str = ""

    def agrees(self, other: Unit) -> bool:
        """Return whether quantities in both units can be equal by value."""
        nouns = self.noun == other.noun or not (self.noun and other.noun)
        return bool(self.names & other.names) and nouns

    @property
    def compound(self) -> bool:
        """Whether it is a product or quotient of several units."""
        return any("·" in name for name in self.names)

    @property
    def converts(self) -> bool:
        """Whether its parts are as good as it: of a currency and of angles."""
        return any(UNIT_SIZES.get(name, ("", 1))[0] in CONVERTED for name in self.names)

    @property
    def counts_per(self) -> bool:
        """Whether it tells how many there are of one thing for each of another: students per class."""
        return any(
            "^-1" in name and any(one in _list_counted() or one[0] == "?" for one in name.split("·"))
            for name in self.names
        )


PERCENT = Unit(frozenset({"%"}))


def pluralize(word: str) -> str:
    """Return the English plural of a word."""
    if re.search("[^aeiou]y$", word):
        return word[:-1] + "ies"
    return word + ("es" if re.search("(?:[sx]|ch|sh|ato)$", word) else "s")


@cache
def _make_symbols() -> dict[str, frozenset[str]]:
    """Make the table of symbols as they are written, with the units that they name."""
    table: dict[str, set[str]] = {}
    for symbol in METRIC:
        for prefix in ("", *PREFIXES):
            table.setdefault(prefix + symbol, set()).add(prefix + symbol)
    for symbol, prefix in (("ohm", ""), ("kohm", "k"), ("Mohm", "M")):
        table[symbol] = {f"{prefix}Ω"}
    table |= {f"u{symbol}": {f"μ{symbol}"} for symbol in ("m", "g", "s", "L", "A", "F", "C", "V", "J")}
    table |= {f"{prefix}l": {f"{prefix}L"} for prefix in ("", *PREFIXES)}
    for code, name in CODES.items():
        table[code] = {name}
    for clash in ("min", "ft", "pt", "cd", "nt", "Pm", "hm", "hh", "mt", "ct", "dt", "ht", "kt", "pT", "hT"):
        table.pop(clash, None)  # other words, or letters of formulas
    table |= {"h": {"hour"}, "d": {"day"}, "in": {"inch"}}
    table |= {"B": {"B"}, "min": {"minute"}, "ft": {"foot"}, "pt": {"pint"}, "kcal": {"kcal"}}
    table |= {f"{prefix}Wh": {_name_watt_hours(prefix)} for prefix in ("", *PREFIXES)}
    return {name: frozenset(units) for name, units in table.items()}


def _name_watt_hours(prefix: str) -> str:
    return "·".join(sorted((f"{prefix}W", "hour")))


@cache
def _make_words() -> dict[str, frozenset[str]]:
    """Make the table of words in lower case, with the units that they name; Chinese ones too."""
    table: dict[str, set[str]] = {}
    for symbol, names in METRIC.items():
        for name in names.split():
            for prefix, word in (("", ""), *PREFIXES.items()):
                for form in (word + name, pluralize(word + name)):
                    table.setdefault(form, set()).add(prefix + symbol if symbol != "Wh" else _name_watt_hours(prefix))
    for name, symbol in CHINESE_METRIC.items():
        for before, prefix in (("", ""), *CHINESE_PREFIXES.items()):
            table.setdefault(before + name, set()).add(prefix + symbol)
    for name, others in MEASURES.items():
        for word in filter(None, (name, *others.split("|"))):
            for form in {word, pluralize(word)} if re.search("[a-z]{2}$", word) else {word}:
                table.setdefault(form.lower(), set()).add(name)
    for row in COUNTED_THINGS.split():
        for word in row.split("|"):
            for form in (word, pluralize(word)):
                table.setdefault(form, {row.split("|")[0]})
    return {name: frozenset(units) for name, units in table.items()}


@cache
def _list_counted() -> frozenset[str]:
    return frozenset(row.split("|")[0] for row in COUNTED_THINGS.split())


def find_units(word: str) -> frozenset[str]:
    """Return the units that a word or symbol names; empty where it is in no table."""
    return (
        _make_symbols().get(word)
        or _make_words().get(word.lower())
        or _make_symbols().get(CAPITALS.get(word.lower(), ""), frozenset())
    )


def find_symbol(symbol: str) -> frozenset[str]:
    """Return the units that a symbol names as it is written; empty where it is in no table."""
    return _make_symbols().get(symbol, frozenset())


# Products, quotients, powers


def multiply_units(left: Unit, right: Unit) -> Unit:
    """Return the product of two units."""
    return _combine(left, right, 1)


def divide_units(above: Unit, below: Unit) -> Unit:
    """Return the quotient of two units."""
    return _combine(above, below, -1)


def raise_unit(unit: Unit, power: int) -> Unit:
    """Return a power of a unit: m^2 of m, and of "unit" itself the square unit."""
    if power == 1:
        return unit
    general = {"unit": {2: "square unit", 3: "cubic unit"}}
    names = frozenset(general.get(name, {}).get(power, _raise_name(name, power)) for name in unit.names)
    if power < 0 and unit.names == {"ms"}:  # metres each second, as physics writes it
        names |= {_multiply_names("m", f"s^{power}", 1)}
    return replace(unit, names=names)


def _combine(left: Unit, right: Unit, sign: int) -> Unit:
    names = frozenset(_multiply_names(one, other, sign) for one in left.names for other in right.names)
    return Unit(names, left.known and right.known, weak=left.weak and right.weak)


def _multiply_names(left: str, right: str, sign: int) -> str:
    """Name a product or, with -1, a quotient of two units: m and s^2 make m·s^-2."""
    powers: dict[str, int] = {}
    for names, factor in ((left, 1), (right, sign)):
        for name in names.split("·"):
            base, _, power = name.partition("^")
            powers[base] = powers.get(base, 0) + factor * int(power or 1)
    return "·".join(sorted(base if power == 1 else f"{base}^{power}" for base, power in powers.items() if power))


def _raise_name(name: str, power: int) -> str:
    bases = (base.partition("^") for base in name.split("·"))
    return "·".join(f"{base}^{int(own or 1) * power}" for base, _, own in bases)


def convert_value(value: Fraction, unit: Unit, other: Unit) -> Fraction | None:
    """Return a value in another unit, where both measure one thing; None where they do not.

    Args:
        value: The number.
        unit: Its unit.
        other: The unit that is wanted.
    """
    for name in unit.names:
        for wanted in other.names:
            if name in UNIT_SIZES and wanted in UNIT_SIZES and UNIT_SIZES[name][0] == UNIT_SIZES[wanted][0]:
                return value * UNIT_SIZES[name][1] / UNIT_SIZES[wanted][1]
    return None
