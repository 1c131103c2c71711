"""Words and patterns in texts, also where a writer hides them: case, width, invisible characters, s p a c e d letters.

What is not seen: letters of other scripts that look alike, digits for letters (b0mb), other spellings and other words.
Safety models are for those.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

import regex

from dunwu.verifiers.words import RANGES

LONGEST_TEXT = 200_000
"""Characters of a text that patterns are tried on; a longer one counts as not checked."""
PATTERN_SECONDS = 0.25
"""Processor time that one pattern may take on one text."""

_INVISIBLE = regex.compile(r"[\p{Cf}\p{Default_Ignorable_Code_Point}]")
_ACCENT = re.compile("[\u0300-\u036f]")
_SEPARATOR = r"[\s\-_.·•・*|/~+'’`]"
"""What may be put between letters to hide a word; full stops of Chinese and commas part sentences."""
_UNSPACED = RANGES["han"] + RANGES["kana"]
"""Scripts that have no spaces between words."""
_LETTER = rf"[^\W\d_{_UNSPACED}]"
_RUN = re.compile(rf"{_LETTER}+|\d+|[{_UNSPACED}]|[^\w\s]")


def normalize(text: str) -> str:
    """Bring a text into one form: small letters of one width, without accents and what is invisible.

    Args:
        text: As somebody wrote it.

    Returns:
        The text in which rules look.
    """
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return unicodedata.normalize("NFC", _ACCENT.sub("", _INVISIBLE.sub("", plain)))


def find_keyword(keywords: Iterable[str], text: str) -> str | None:
    """Find the first of some keywords that stands in a text.

    A word of letters is found between word borders, as it is or with something between all its letters. Chinese is
    found anywhere. Between the words of a keyword anything may stand that parts words, or nothing.

    Args:
        keywords: As the policy writes them.
        text: A normalized text.

    Returns:
        The keyword as the policy writes it; None where there is none.
    """
    return next((keyword for keyword in keywords if compile_keyword(keyword).search(text)), None)


def find_pattern(patterns: Iterable[str], text: str) -> str | None:
    """Find the first of some patterns that matches somewhere in a text.

    Args:
        patterns: Regular expressions.
        text: A normalized text.

    Returns:
        The pattern; None where none matches.

    Raises:
        TimeoutError: One takes longer than ``PATTERN_SECONDS``, or the text is too long to be tried.
    """
    if len(text) > LONGEST_TEXT:
        raise TimeoutError
    for pattern in patterns:
        if compile_pattern(pattern).search(text, timeout=PATTERN_SECONDS, concurrent=True):
            return pattern
    return None


@lru_cache(maxsize=4096)
def compile_keyword(keyword: str) -> re.Pattern[str]:
    """Make the expression that finds a keyword in normalized texts.

    Args:
        keyword: Words, as the policy has them.

    Returns:
        The expression.

    Raises:
        ValueError: The keyword shows nothing.
    """
    runs = _RUN.findall(normalize(keyword))
    if not runs:
        raise ValueError("a keyword shows nothing")
    before, after = (_border(runs[0][0], behind=True), _border(runs[-1][-1], behind=False))
    return re.compile(before + f"{_SEPARATOR}*".join(map(_spread, runs)) + after)


@lru_cache(maxsize=4096)
def compile_pattern(pattern: str) -> regex.Pattern[str]:
    """Compile a pattern, whatever the case of its letters: normalized texts have small ones.

    Args:
        pattern: A regular expression, as the policy has it.

    Returns:
        The expression.

    Raises:
        ValueError: It is no regular expression.
    """
    try:
        return regex.compile(pattern, regex.IGNORECASE)
    except (regex.error, RecursionError, OverflowError) as error:
        raise ValueError(f"is no regular expression: {error}") from None


def _spread(run: str) -> str:
    """Let letters stand apart, all of them or none: "hero in" is no heroin."""
    if len(run) == 1:
        return re.escape(run)
    return f"(?:{run}|{f'{_SEPARATOR}+'.join(run)})"


def _border(char: str, *, behind: bool) -> str:
    """No letter goes on with a word, and no digit with a number: 5mg names mg."""
    kind = r"\d" if char.isdigit() else _LETTER if re.match(_LETTER, char) else ""
    if not kind:
        return ""
    return f"(?<!{kind})" if behind else f"(?!{kind})"
