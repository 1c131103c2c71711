"""Words: what is one, in each script; see ``language``, which counts them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Set
from functools import lru_cache

from dunwu.verifiers.notation import ALIKE, FORMULA, LATIN, find_formulas, has_form, is_product

RANGES = {
    "han": "々〇\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff",
    "kana": "\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f",
    "hangul": "\u1100-\u11ff\u3131-\u318e\ua960-\ua97f\uac00-\ud7ff",
    "cyrillic": "\u0400-\u0482\u0487-\u052f\u1c80-\u1c8f\u2de0-\u2dff\ua640-\ua69f",
    "arabic": "\u0610-\u061a\u0620-\u065f\u066e-\u06d3\u06d5-\u06dc\u06e1-\u06e8\u06ea-\u06ef\u06fa-\u06ff\u0750-\u077f"
    "\u08a0-\u08ff\ufb50-\ufdff\ufe70-\ufefc",
    "latin": LATIN,
}
"""The letters of each script, with the marks that stand on them."""
MATHEMATICAL = "\u1d2c-\u1d6a\u2070-\u209c\u2100-\u214f\U0001d400-\U0001d7ff"
"""Letters of mathematics: raised and lowered ones, fonts."""
GREEK_PRODUCT = re.compile("[Α-Ωα-ωϑϕϖϱϵ]{2,3}")
"""A product of Greek letters."""
TOKENS = {
    "han": re.compile(f"[{RANGES['han']}]"),
    "latin": re.compile(rf"[{RANGES['latin']}0-9_]+(?:['’][{RANGES['latin']}]+)*"),
    **{script: re.compile(f"[{RANGES[script]}]+") for script in ("kana", "hangul", "cyrillic", "arabic")},
    "": re.compile(rf"[^\W\d_{MATHEMATICAL}{''.join(RANGES.values())}]+"),
}
"""Words by script; of the Latin ones some are symbols, and "" is every other script."""
LONGEST_KNOWN = 32
"""Letters of a token whose parts are remembered: texts repeat their words."""
NAMES = 12
"""Different runs of capitals that are names whatever their letters; in a text with over four times as many words, a
quarter of those."""
POINTS, WORDS, VOWELS = frozenset("BCDFGPQ"), frozenset("TSRILUWYKV"), frozenset("AEIOUY")
"""Letters that are oftener in names of points than in English words, and those with which it is the reverse: of both
together, a quarter are of the first kind in running English, and nearly all in a figure with the points A to H."""


def count_scripts(text: str) -> tuple[dict[str, int], Set[str]]:
    """Count the words of each script in a text without mathematics and code.

    Returns:
        The number of words by script, and the runs of Latin letters that are none: the text's notation, and its runs of
        capitals unless they are too many to be names.
    """
    parts = [part for token in TOKENS["latin"].findall(text) for part in split_token(token)]
    counts = {script: 0 if text.isascii() else count_words(text, script) for script in TOKENS if script != "latin"}
    if not parts:
        return {**counts, "latin": 0}, ALIKE
    symbols = ALIKE | {part for part in set(parts) if has_form(part)} | find_formulas(text)
    capitals = {part for part in set(parts) if len(part) <= 4 and part.isupper()}
    names = symbols | capitals
    words = sum(part not in names for part in parts)
    if len(capitals) > NAMES and not _are_points(capitals) and len(capitals) > (words + sum(counts.values())) / 4:
        names, words = symbols, sum(part not in symbols for part in parts)
    return {**counts, "latin": words}, names


def _are_points(names: Set[str]) -> bool:
    """Return whether runs of capitals have the letters of points, or no vowels, which words have."""
    letters = Counter("".join(names))
    points, words = (sum(letters[letter] for letter in kind) for kind in (POINTS, WORDS))
    return 3 * points >= 2 * words or 4 * sum(VOWELS.isdisjoint(name) for name in names) >= len(names)


def count_words(text: str, script: str) -> int:
    """Count the words of a script of ``TOKENS`` that is not Latin."""
    found = TOKENS[script].findall(text)
    if script:
        return len(found)
    return sum(len(token) > 1 and token.isalpha() and not GREEK_PRODUCT.fullmatch(token) for token in found)


def find_latin_words(token: str, symbols: Set[str]) -> list[str]:
    """Return the words in a token: one or none, and in a name with digits or underscores any number."""
    return [part for part in split_token(token) if part not in symbols]


def split_token(token: str) -> tuple[str, ...]:
    """Return what may be words in a token by its letters: of a name with digits or underscores the longer parts."""
    if token.isdecimal():
        return ()
    return _split_known(token) if len(token) <= LONGEST_KNOWN else _split(token)


def _split(token: str) -> tuple[str, ...]:
    if FORMULA.fullmatch(token):
        return ()
    parts = re.split("[0-9_]+", token)
    if len(parts) == 1:
        return (token,) if len(token) > 1 else ()
    return tuple(part for part in parts if len(part) > 3 and not is_product(part))


_split_known = lru_cache(maxsize=2**15)(_split)
