"""Numbers in words, as digits: 五分之二, 百分之五十, 3又1/2, 1.2万, 3 million, twenty-five, two thirds, negative 2.

Only standard spellings count: 一百二十 is 120, but 一百二 (120 in speech), 一二 and 百 are no numbers here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

from dunwu.verifiers.math.tokens import Token, tokenize

ZERO_TO_NINE = "零一二三四五六七八九"
TENS = {"十": 10, "百": 100, "千": 1000}
MULTIPLIERS = {
    "hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12,
    "千": 10**3, "万": 10**4, "亿": 10**8,
}  # fmt: skip
LONGEST_NUMERAL = 40
"""Characters of a number written in Chinese."""
THOUSAND = "千(?![米克瓦卡帕伏焦])"
"""A thousand; in 3千米 it belongs to the unit."""
HAN = rf"(?:[零〇一二两三四五六七八九十百万亿]|{THOUSAND})++"
HAN_OR_DIGITS = rf"(?:{HAN}(?:点[零〇一二三四五六七八九]+)?|\d+(?:\.\d+)?)"
HEAD = r"(?P<head>(?:-?(?:\\?\$ ?)?)?)(?P<minus>负?)"
HAN_PERCENT = re.compile(rf"{HEAD}百分之(?P<value>{HAN_OR_DIGITS})")
HAN_PERMILLE = re.compile(rf"{HEAD}千分之(?P<value>{HAN_OR_DIGITS})")
HAN_FRACTION = re.compile(
    rf"{HEAD}(?:(?P<whole>{HAN_OR_DIGITS})又)?"
    rf"(?:(?P<below>{HAN_OR_DIGITS})分之(?P<above>{HAN_OR_DIGITS})|(?P<up>\d+)/(?P<down>\d+)|\\frac\{{(?P<num>\d+)\}}\{{(?P<den>\d+)\}})"
)
SCALED_NUMBER = re.compile(
    rf"{HEAD}(?P<value>\d+(?:\.\d+)?)"
    rf"(?: ?(?P<han>{THOUSAND}|万亿|[万亿])| ?(?P<word>hundred|thousand|million|billion|trillion|dozen))"
    r"(?![a-zA-Z零〇一二两三四五六七八九十百千万亿多余几半])"
)
MIXED_SCALES = re.compile(
    rf"{HEAD}(?P<value>(?:\d+(?:{THOUSAND}|[百万亿])+)+(?:\d+(?:{THOUSAND}|[百万亿])+))(?![\d多余几半])"
)
"""3万5千."""
HAN_TENTHS = re.compile(rf"{HEAD}(?P<value>[一二三四五六七八九]|[1-9])成(?![\u3400-\u9fff])")
"""三成 is 30 %."""
HAN_HALF = re.compile(rf"{HEAD}(?P<value>一半)(?![\u3400-\u9fff])")
THING = "角形|角函|边形|棱[锥柱台]|面体|次函|次方程|元[一二]次"
"""What makes a name of the numeral in front of it: 三角形."""
HAN_NUMBER = re.compile(rf"{HEAD}(?P<value>{HAN}(?:点[零〇一二三四五六七八九]+)?)(?!分之|[又多余几半点]|{THING})")

SMALL = {
    word: number
    for number, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
        ]
    )
}
ENGLISH_TENS = {
    word: 10 * number
    for number, word in enumerate(
        ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], start=2
    )
}
UNITS_AND_TENS = SMALL.keys() | ENGLISH_TENS.keys()
GREAT = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
PARTS = {
    "half": 2, "halves": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8,
    "ninth": 9, "tenth": 10, "hundredth": 100, "thousandth": 1000,
}  # fmt: skip
BEFORE_SIGN = frozenset({"(", "[", "{", "\\{", ",", "，", ";", "="})
"""Signs behind which "negative" is a sign, as at the beginning."""


def read_digits(tokens: Sequence[Token]) -> list[Token]:
    """Return ``tokens`` with the number that they begin with in digits; unchanged where they begin with none."""
    if not any(token.kind in ("word", "han") for token in tokens):
        return list(tokens)
    tokens = _read_english(_read_signs(list(tokens)))
    joined, ends = _join_tokens(tokens)
    for pattern, value_of in READINGS:
        match = pattern.match(joined)
        value = value_of(match) if match else None
        if match and value is not None:
            sign = "-" if match["minus"] else ""
            percent = "%" if pattern in (HAN_PERCENT, HAN_TENTHS) else ""
            head = [*tokenize(match["head"] + sign + _spell_fraction(value) + percent)]
            return [*head, *_skip_characters(tokens, ends, match.end())]
    return tokens


def _join_tokens(tokens: Sequence[Token]) -> tuple[str, list[int]]:
    """Join tokens to one text, with spaces between words alone; return where each of them ends in it too."""
    text, ends = "", []
    before = None
    for token in tokens[:LONGEST_NUMERAL]:
        words = before is not None and before.kind == token.kind == "word"
        numbers = before is not None and before.kind == token.kind == "number"
        text += (" " if words or numbers else "") + str(token)
        ends.append(len(text))
        before = token
    return text, ends


def _skip_characters(tokens: Sequence[Token], ends: Sequence[int], taken: int) -> list[Token]:
    """Return the tokens behind the first ``taken`` characters; the one that is cut in two keeps its rest."""
    for place, end in enumerate(ends):
        if end > taken:
            text = tokens[place].text
            rest = text[max(0, len(text) - (end - taken)) :]
            return [replace(tokens[place], text=rest), *tokens[place + 1 :]]
    return list(tokens[len(ends) :])


def _spell_fraction(value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else rf"\frac{{{value.numerator}}}{{{value.denominator}}}"


def _read_signs(tokens: list[Token]) -> list[Token]:
    """Read "negative", "minus" and 负 in front of a number as its sign."""
    signed: list[Token] = []
    for place, token in enumerate(tokens):
        first = not signed or signed[-1].text in BEFORE_SIGN
        behind = tokens[place + 1] if place + 1 < len(tokens) else None
        numeric = behind is not None and (behind.kind in ("number", "command") or behind.text.lower() in UNITS_AND_TENS)
        word = token.kind == "word" and token.text.lower() in ("negative", "minus")
        if first and numeric and (word or token.text in ("负", "零下")):
            signed.append(Token("sign", "-", token.spacing))
        else:
            signed.append(token)
    return signed


# English


def _read_english(tokens: list[Token]) -> list[Token]:
    """Read the English numeral that stands first, behind a sign, as a number."""
    start = 1 if tokens and tokens[0].text == "-" else 0
    words: list[str] = []
    for token in tokens[start : start + LONGEST_NUMERAL]:
        word = (
            "-" if token.kind == "sign" and token.text == "-" else token.text.lower() if token.kind == "word" else None
        )
        if word is None:
            break
        words.append(word)
    value, taken = _read_english_number(words)
    if value is None:
        return tokens
    digits = [
        replace(token, spacing=tokens[start].spacing if not number else token.spacing)
        for number, token in enumerate(tokenize(_spell_fraction(value)))
    ]
    return [*tokens[:start], *digits, *tokens[start + taken :]]


def _read_english_number(words: list[str]) -> tuple[Fraction | None, int]:
    """Return the value of the numeral that ``words`` begin with, and how many of them it takes."""
    if words[:1] in (["a"], ["an"], ["half"]) and len(words) <= 3:
        article = words[0] != "half"
        part = words[1] if article and len(words) > 1 else words[0]
        if part in PARTS and (article or len(words) == 1):
            return Fraction(1, PARTS[part]), 2 if article else 1
        return (Fraction(12), 2) if words[:2] == ["a", "dozen"] else (None, 0)
    whole, taken = _read_cardinal(words)
    if whole is None:
        return None, 0
    rest = words[taken:]
    if rest[:3] == ["and", "a", "half"]:
        return whole + Fraction(1, 2), taken + 3
    if rest[:1] == ["-"] and len(rest) > 1 and _find_part(rest[1]):
        return whole / _find_part(rest[1]), taken + 2
    if rest[:1] == ["and"]:  # two and two thirds
        above, more = _read_cardinal(rest[1:])
        below = _find_part(rest[1 + more]) if above and len(rest) > 1 + more else 0
        if above and below:
            return whole + above / below, taken + more + 2
    if rest and whole and _find_part(rest[0]):
        return whole / _find_part(rest[0]), taken + 1
    return whole, taken


def _find_part(word: str) -> int:
    return PARTS.get(word) or PARTS.get(word.removesuffix("s"), 0)


def _read_cardinal(words: list[str]) -> tuple[Fraction | None, int]:
    """Read "twenty-five", "one hundred and five", "three thousand two hundred"; None for words that are none."""
    total = section = 0
    place = taken = 0
    tens = False
    while place < len(words):
        word = words[place]
        if word in ("and", "-"):
            joins = taken and (tens if word == "-" else words[taken - 1] in ("hundred", *GREAT))
            if not joins or place + 1 == len(words) or words[place + 1] not in UNITS_AND_TENS:
                break
            place += 1
            continue
        if word in SMALL and (section % 100 == 0 or (tens and 0 < SMALL[word] < 10 and section % 10 == 0)):
            section, tens = section + SMALL[word], False
        elif word in ENGLISH_TENS and section % 100 == 0:
            section, tens = section + ENGLISH_TENS[word], True
        elif word == "hundred" and 0 < section < 20:
            section, tens = section * 100, False
        elif word in GREAT and section:
            total, section, tens = total + section * GREAT[word], 0, False
        else:
            break
        place += 1
        taken = place
    return (Fraction(total + section), taken) if taken else (None, 0)


# Chinese


def read_numeral(text: str) -> Fraction | None:
    """Return the value of a non-negative number in Chinese characters, or in digits; None for any other text."""
    whole, _, places = text.partition("点")
    if re.fullmatch(r"\d+(?:\.\d+)?", text, re.ASCII):
        return Fraction(text)
    value = _read_whole(whole)
    if value is None or len(places) > LONGEST_NUMERAL:
        return None
    decimals = "".join(str(ZERO_TO_NINE.index(char)) for char in places.replace("〇", "零"))
    return Fraction(f"{value}.{decimals or 0}")


def _read_whole(text: str) -> int | None:
    text = text.replace("〇", "零").replace("两", "二")
    total = section = digit = 0
    for char in text if len(text) <= LONGEST_NUMERAL else "":
        if char in ZERO_TO_NINE:
            digit = ZERO_TO_NINE.index(char)
        elif char in TENS:
            section, digit = section + (digit or 1) * TENS[char], 0
        else:
            total = (
                (total + section + digit) * MULTIPLIERS[char]
                if char == "亿"
                else total + (section + digit) * MULTIPLIERS[char]
            )
            section = digit = 0
    total += section + digit
    spellings = (spell_number(total), _spell_inner(total))  # 一十二 is as good as 十二
    return total if text in spellings else None


def spell_number(number: int) -> str:
    """Return the standard Chinese spelling of a whole number: 105 is 一百零五, 10,500 is 一万零五百."""
    for name, scale in (("亿", 10**8), ("万", 10**4), ("千", 1000), ("百", 100), ("十", 10)):
        above, below = divmod(number, scale)
        if above:
            head = spell_number(above) + name
            zero = "零" if 0 < below < scale // 10 else ""
            text = head + zero + (_spell_inner(below) if below else "")
            return text.removeprefix("一") if 10 <= number < 20 else text
    return ZERO_TO_NINE[number]


def _spell_inner(number: int) -> str:
    """Spell a part of a longer number, in which a ten is 一十."""
    return "一" + spell_number(number) if 10 <= number < 20 else spell_number(number)


def _read_matched(match: re.Match[str]) -> Fraction | None:
    return read_numeral(match["value"])


def _read_mixed(match: re.Match[str]) -> Fraction | None:
    return read_numeral(
        re.sub(r"\d+", lambda digits: spell_number(int(digits[0])) if len(digits[0]) < 5 else "?", match["value"])
    )


def _read_permille(match: re.Match[str]) -> Fraction | None:
    value = read_numeral(match["value"])
    return None if value is None else value / 1000


def _read_fraction(match: re.Match[str]) -> Fraction | None:
    whole = read_numeral(match["whole"]) if match["whole"] else Fraction(0)
    above = read_numeral(match["above"] or match["up"] or match["num"])
    below = read_numeral(match["below"] or match["down"] or match["den"])
    written_in_chinese = match["whole"] or match["below"]
    return whole + above / below if written_in_chinese and whole is not None and above is not None and below else None


def _read_scaled(match: re.Match[str]) -> Fraction:
    value = Fraction(match["value"])
    for name in match["han"] or [match["word"]]:
        value *= MULTIPLIERS[name]
    return value


READINGS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Fraction | None]], ...] = (
    (HAN_PERCENT, _read_matched),
    (HAN_PERMILLE, _read_permille),
    (MIXED_SCALES, _read_mixed),
    (HAN_TENTHS, lambda match: 10 * (read_numeral(match["value"]) or Fraction(0))),
    (HAN_HALF, lambda _: Fraction(1, 2)),
    (HAN_FRACTION, _read_fraction),
    (SCALED_NUMBER, _read_scaled),
    (HAN_NUMBER, _read_matched),
)
