"""Numbers in Chinese, and with a word for their scale, as digits: 五分之二, 百分之五十, 3又1/2, 1.2万, 3 million.

Only standard spellings count: 一百二十 is 120, but 一百二 (120 in speech), 一二 and 百 are no numbers here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction

ZERO_TO_NINE = "零一二三四五六七八九"
TENS = {"十": 10, "百": 100, "千": 1000}
SCALES = {
    "hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12,
    "千": 10**3, "万": 10**4, "亿": 10**8,
}  # fmt: skip
LONGEST = 40
"""Characters of a number written in Chinese."""
THOUSAND = "千(?![米克瓦])"
"""In 3千米 it belongs to the unit."""
HAN = rf"(?:[零〇一二两三四五六七八九十百万亿]|{THOUSAND})++"
WRITTEN = rf"(?:{HAN}(?:点[零〇一二三四五六七八九]+)?|\d+(?:\.\d+)?)"
HEAD = r"(?P<head>-?(?:\\?\$ ?)?)(?P<minus>负?)"
PERCENT = re.compile(rf"{HEAD}百分之(?P<value>{WRITTEN})")
FRACTION = re.compile(
    rf"{HEAD}(?:(?P<whole>{WRITTEN})又)?"
    rf"(?:(?P<below>{WRITTEN})分之(?P<above>{WRITTEN})|(?P<up>\d+)/(?P<down>\d+)|\\frac\{{(?P<num>\d+)\}}\{{(?P<den>\d+)\}})"
)
SCALED = re.compile(
    rf"{HEAD}(?P<value>\d+(?:\.\d+)?)"
    rf"(?: ?(?P<han>{THOUSAND}|万亿|[万亿])| (?P<word>hundred|thousand|million|billion|trillion|dozen))"
    r"(?![a-zA-Z零〇一二两三四五六七八九十百千万亿多余几半])"
)
PLAIN = re.compile(rf"{HEAD}(?P<value>{HAN}(?:点[零〇一二三四五六七八九]+)?)(?!分之|[又多余几半点])")


def digits(text: str) -> str:
    """``text``, in normal form, with the number that it begins with in digits; unchanged where it begins with none."""
    for pattern, value_of in READINGS:
        match = pattern.match(text)
        value = value_of(match) if match else None
        if match and value is not None:
            sign = "-" if match["minus"] else ""
            percent = "%" if pattern is PERCENT else ""
            return match["head"] + sign + str(value) + percent + text[match.end() :]
    return text


def number(text: str) -> Fraction | None:
    """The value of a non-negative number in Chinese characters, or in digits; None for any other text."""
    whole, _, places = text.partition("点")
    if re.fullmatch(r"\d+(?:\.\d+)?", text, re.ASCII):
        return Fraction(text)
    value = _whole(whole)
    if value is None or len(places) > LONGEST:
        return None
    decimals = "".join(str(ZERO_TO_NINE.index(char)) for char in places.replace("〇", "零"))
    return Fraction(f"{value}.{decimals or 0}")


def _whole(text: str) -> int | None:
    text = text.replace("〇", "零").replace("两", "二")
    total = section = digit = 0
    for char in text if len(text) <= LONGEST else "":
        if char in ZERO_TO_NINE:
            digit = ZERO_TO_NINE.index(char)
        elif char in TENS:
            section, digit = section + (digit or 1) * TENS[char], 0
        else:
            total = (
                (total + section + digit) * SCALES[char] if char == "亿" else total + (section + digit) * SCALES[char]
            )
            section = digit = 0
    total += section + digit
    spellings = (written(total), _inner(total))  # 一十二 is as good as 十二
    return total if text in spellings else None


def written(number: int) -> str:
    """The standard Chinese spelling of a whole number: 105 is 一百零五, 10,500 is 一万零五百."""
    for name, scale in (("亿", 10**8), ("万", 10**4), ("千", 1000), ("百", 100), ("十", 10)):
        above, below = divmod(number, scale)
        if above:
            head = written(above) + name
            gap = "零" if 0 < below < scale // 10 else ""
            text = head + gap + (_inner(below) if below else "")
            return text.removeprefix("一") if 10 <= number < 20 else text
    return ZERO_TO_NINE[number]


def _inner(number: int) -> str:
    """Inside a longer number a ten is 一十."""
    return "一" + written(number) if 10 <= number < 20 else written(number)


def _percent(match: re.Match[str]) -> Fraction | None:
    return number(match["value"])


def _fraction(match: re.Match[str]) -> Fraction | None:
    whole = number(match["whole"]) if match["whole"] else Fraction(0)
    above = number(match["above"] or match["up"] or match["num"])
    below = number(match["below"] or match["down"] or match["den"])
    written_in_chinese = match["whole"] or match["below"]
    return whole + above / below if written_in_chinese and whole is not None and above is not None and below else None


def _scaled(match: re.Match[str]) -> Fraction:
    value = Fraction(match["value"])
    for name in match["han"] or [match["word"]]:
        value *= SCALES[name]
    return value


READINGS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Fraction | None]], ...] = (
    (PERCENT, _percent),
    (FRACTION, _fraction),
    (SCALED, _scaled),
    (PLAIN, _percent),
)
