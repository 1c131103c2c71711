"""Splitting "864 inches^2" into a value and a unit, and knowing that inch² and square inches are one."""

from __future__ import annotations

import re

from dunwu.verifiers.latex import literal

ALIASES = {
    "": "", "%": "%", "percent": "%", "per cent": "%", "percentage": "%", "pct": "%", "°": "°",
    "degree": "°", "deg": "°", "度": "°",
    "\\$": "dollar", "$": "dollar", "usd": "dollar", "dollar": "dollar", "美元": "dollar", "元": "yuan", "yuan": "yuan",
    "feet": "foot", "ft": "foot", "inche": "inch", "in": "inch", "cm": "centimeter", "厘米": "centimeter",
    "centimetre": "centimeter", "km": "kilometer", "kilometre": "kilometer", "千米": "kilometer", "公里": "kilometer",
    "mm": "millimeter", "毫米": "millimeter", "metre": "meter", "m": "meter", "米": "meter", "分米": "decimeter",
    "kg": "kilogram", "千克": "kilogram", "公斤": "kilogram", "g": "gram", "克": "gram", "hr": "hour", "小时": "hour",
    "min": "minute", "分钟": "minute", "sec": "second", "秒": "second", "mile per hour": "mph", "lb": "pound",
}  # fmt: skip
NO_UNITS = re.compile(
    r"\b(?:and|or|not|plus|minus|times|over|by|to|than|less|more|squared|cubed|factorial|mod|modulo|dozens?|score|pair|"
    r"gross|doubled?|twice|thrice|tripled?|quadrupled?|halved|hex|hexadecimal|octal|binary|base|choose|permute|remainder|"
    r"reciprocal|inverse|inverted|negated|negative|root|power|multiplied|divided|added|subtracted|increased|decreased|"
    r"zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|"
    r"(?:twen|thir|for|fif|six|seven|eigh|nine)ty|lakhs?|crores?|mille?|points?|below|above|under|kilo|mega|giga|wrong|"
    r"hal(?:f|ves)|(?:third|quarter|fourth|fifth|sixth|seventh|eighth|ninth|tenth|hundredth|thousandth)s?|"
    r"(?:hundred|thousand|million|billion|trillion)s?|k|sqrt|pi|infinity|is|e|i)\b"
)
"""Words after a number that change its value or make it something else."""
NO_CHINESE_UNITS = re.compile("[十百万亿兆零一二三四五六七八九倍半和或分之负余多不错]|^千(?![克米])|^[打成]$")
WORDS = re.compile(r"[a-z\u4e00-\u9fff%°$\\](?:[a-z\u4e00-\u9fff. -]|/(?=[a-z]))*(?:\^\{?\d\}?)?")
"""Letters, and what stands between them; digits and signs would be part of the number."""
SPOKEN = re.compile("(?=[a-z]*[aeiou])[a-z]{3}", re.I)
TRAILING = re.compile(
    r"(?P<value>.*?[\d})a-zA-Z%])(?P<gap>\s*)(?:\\text\s?\{(?P<text>[^{}]*)\}|(?P<word>(?<![a-zA-Z\\])[a-zA-Z\u4e00-\u9fff]"
    r"[a-zA-Z \u4e00-\u9fff]*))(?P<power>\^\{?\d\}?)?",
    re.DOTALL,
)


def known(unit: str) -> bool:
    """Whether ``unit``, as ``quantity`` gives it, is in the table; any other word might say anything of the number."""
    return unit.partition("^")[0] in ALIASES.values()


def quantity(text: str) -> tuple[str, str]:
    r"""(value, unit) of normal text; the unit is "" where there is none.

    A unit is ``%``, ``°``, a currency sign, a trailing ``\text{...}``, or words after a written number.
    """
    sign = "-" if text.startswith(("-\\$", "-$")) else ""
    currency = re.match(r"-?(\\?\$) ?(?=[\d.\\])", text)
    if currency:
        rest, unit = quantity(sign + text[currency.end() :])
        return rest, unit or "dollar"
    if text[-1:] in ("%", "°") and len(text) > 1:
        return text[:-1].strip(), ALIASES[text[-1]]
    match = TRAILING.fullmatch(text)
    if match is None:
        return text, ""
    value = match["value"].strip()
    canonical = _unit((match["text"] if match["word"] is None else match["word"]) + (match["power"] or ""))
    word = match["word"] or ""
    known = len(word) > 1 and (word.lower() in ALIASES or word.lower().removesuffix("s") in ALIASES)
    looks_like_unit = known or word >= "\u3400" or bool(match["gap"] and SPOKEN.match(word))
    plain = literal(value) is not None and looks_like_unit
    return (value, canonical) if canonical is not None and (plain or not word) else (text, "")


def _unit(words: str) -> str | None:
    """The canonical unit: singular, lower case, powers as ``^2``; None where the words are none."""
    words = words.strip().lower().removesuffix(".")
    if not WORDS.fullmatch(words) or NO_UNITS.search(words) or NO_CHINESE_UNITS.search(words) or len(words.split()) > 4:
        return None
    power = re.search(r"\^\{?(\d)\}?$", words)
    words = words[: power.start()] if power else words
    exponent = power[1] if power else ""
    for prefix, value in (("square ", "2"), ("sq ", "2"), ("cubic ", "3"), ("cu ", "3"), ("平方", "2"), ("立方", "3")):
        if words.startswith(prefix):
            words, exponent = words.removeprefix(prefix), value
    words = words.strip()
    singular = words[:-1] if words.endswith("s") and len(words) > 2 else words
    return ALIASES.get(words, ALIASES.get(singular, singular)) + (f"^{exponent}" if exponent else "")
