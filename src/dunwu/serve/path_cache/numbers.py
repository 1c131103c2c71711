"""Where numbers stand in a text: in digits and in words, English and Chinese, with dates and times.

It is generous: what is taken for a number is replaced in templates and hints, and a text keeps its own key anyway.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Final, NamedTuple

from dunwu.verifiers.math.numerals import (
    ENGLISH_TENS,
    GREAT,
    HAN,
    HAN_OR_DIGITS,
    LONGEST_NUMERAL,
    PARTS,
    SMALL,
    THING,
    THOUSAND,
    read_digits,
)
from dunwu.verifiers.math.tokens import tokenize


class WrittenNumber(NamedTuple):
    """A number in a text.

    Attributes:
        start: Its first character.
        end: Behind its last character.
        text: As it is written, with sign, scale and percent sign.
        kind: ``number``, ``percent``, ``date`` or ``time``.
    """

    start: int
    end: int
    text: str
    kind: str


def _any_of(*words: str) -> str:
    return "(?:" + "|".join(sorted(words, key=len, reverse=True)) + ")"


MONTH: Final = (
    r"(?:January|February|March|April|May|June|July|August|September|October|November|December"
    r"|(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\b\.?)"
)
DAY: Final = r"\d{1,2}(?:st|nd|rd|th)?\b"
DATE: Final = (
    r"\d{4}-\d{1,2}-\d{1,2}(?!\d)|\d{1,4}/\d{1,2}/\d{1,4}(?!\d)"
    rf"|{MONTH} {DAY}(?:,? \d{{4}}\b)?|\b{DAY}(?: of)? {MONTH}(?:,? \d{{4}}\b)?"
    rf"|(?:{HAN_OR_DIGITS} ?年 ?)?{HAN_OR_DIGITS} ?月 ?{HAN_OR_DIGITS} ?[日号]"
)
TIME: Final = (
    r"\d{1,2}:\d{2}(?::\d{2})?(?!\d)(?: ?[AaPp]\.?[Mm]\b\.?)?|\d{1,2} ?[AaPp]\.?[Mm]\b\.?"
    r"|\d{1,2} ?点(?: ?(?:\d{1,2} ?分|半|整))?"
)
SIGN: Final = r"(?:(?<![\w)\]}])[-−+±])?"
PLAIN: Final = r"(?:\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|(?<![\d.])\.\d+)"
SCALE: Final = rf"(?: ?(?:{THOUSAND}|万亿|[百万亿])| {_any_of('hundred', 'dozen', *GREAT)}\b)"
FRACTION: Final = r"\\[dt]?frac ?\{ ?\d+ ?\} ?\{ ?\d+ ?\}|(?:\d+ )?\d+ ?/ ?\d+"
SMALL_WORDS: Final = (
    rf"(?:{_any_of(*ENGLISH_TENS)}(?:[- ]{_any_of(*list(SMALL)[1:10])})?|{_any_of(*SMALL)})(?![A-Za-z])"
)
GREAT_WORD: Final = _any_of("hundred", "dozen", *GREAT)
PART_WORD: Final = rf"(?:{_any_of(*PARTS)}s?)(?![A-Za-z])"
WORDS: Final = (
    rf"(?<![A-Za-z])(?i:(?:negative |minus )?{SMALL_WORDS}(?:[- ]{GREAT_WORD}\b(?:,? (?:and )?{SMALL_WORDS})?)*"
    rf"(?:[- ]{PART_WORD})?|{GREAT_WORD}s?\b|{PART_WORD})"
)
NO_NUMBER: Final = "一[共起样些定下般直边旦致切同]|千万|万一|十分(?![钟之])"
"""Words that begin with a numeral and say no number."""
HAN_NUMBER: Final = (
    rf"负?(?:{HAN_OR_DIGITS}又)?{HAN_OR_DIGITS}分之{HAN_OR_DIGITS}"
    rf"|(?<![统唯之同逐])(?!{NO_NUMBER})(?![百千万亿](?![零〇一二两三四五六七八九十百千万亿]))"
    rf"(?:负|零下)?{HAN}(?:点[零〇一二三四五六七八九]+)?(?!{THING})|一半|[壹贰叁肆伍陆柒捌玖拾佰仟]+"
)
OTHER_SIGNS: Final = "[²³¹⁰-⁹₀-₉¼-¾⅐-⅞①-⑳Ⅰ-ⅿ]"
NUMBER: Final = re.compile(
    rf"(?P<date>{DATE})|(?P<time>{TIME})"
    rf"|(?P<percent>{SIGN}{PLAIN} ?(?:\\?%|per ?cent\b)|负?百分之{HAN_OR_DIGITS}|{WORDS} per ?cent\b)"
    rf"|(?P<number>{SIGN}(?:{FRACTION})|{SIGN}{PLAIN}(?:{SCALE}(?:\d+{SCALE})*)?|{WORDS}|{HAN_NUMBER}|{OTHER_SIGNS})"
)

VALUE: Final = re.compile(
    r"(?P<sign>-?)\+?(?:\\frac\{(?P<above>\d+)\}\{(?P<below>\d+)\}|(?:(?P<whole>\d+) )?(?P<up>\d+)/(?P<down>\d+)"
    r"|(?P<plain>\d*\.?\d+))"
)
"""A number as ``read_digits`` leaves it."""


def find_numbers(text: str) -> Iterator[WrittenNumber]:
    """Yield the numbers of a text in order."""
    for found in NUMBER.finditer(text):
        yield WrittenNumber(found.start(), found.end(), found[0], str(found.lastgroup))


def replace_numbers(text: str, replace: Callable[[WrittenNumber], str]) -> str:
    """Return a text with each of its numbers replaced by what ``replace`` makes of it."""
    return NUMBER.sub(
        lambda found: replace(WrittenNumber(found.start(), found.end(), found[0], str(found.lastgroup))), text
    )


def read_value(text: str) -> Fraction | None:
    """Return the value of a written number, of 50% that of 50; None for dates, times, and what nobody reads."""
    bare = re.sub(r" ?(?:\\?%|per ?cent)$|(?<=\d),(?=\d{3})", "", text).removeprefix("百分之").strip()
    if len(bare) > LONGEST_NUMERAL:
        return None
    if not VALUE.fullmatch(bare):
        bare = "".join(map(str, read_digits(tokenize(bare.lower()))))
    found = VALUE.fullmatch(bare)
    below = int(found["below"] or found["down"] or 1) if found else 0
    if not found or not below:
        return None
    size = int(found["whole"] or 0) + Fraction(found["above"] or found["up"] or found["plain"]) / below
    return -size if found["sign"] else size
