r"""Fixed phrases, of one spelling: no solution, weekdays, ``(1101)_2``, 12 remainder 3, 北偏东30°."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dunwu.verifiers.math.dates import MONTHS
from dunwu.verifiers.math.numerals import read_numeral
from dunwu.verifiers.math.records import Answer, Collection, Read, Words
from dunwu.verifiers.math.tokens import Token
from dunwu.verifiers.math.wording import spell_tokens

LONGEST_PHRASE = 60
"""Characters of a phrase."""
NOTHING = frozenset(
    [
        "nosolution", "nosolutions", "thereisnosolution", "therearenosolutions", "无解", "方程无解", "原方程无解",
        "不等式无解", "空集", "\\emptyset", "emptyset", "theemptyset",
    ]
)  # fmt: skip
WEEKDAYS = (
    "monday mon 一", "tuesday tue tues 二", "wednesday wed 三", "thursday thu thur thurs 四", "friday fri 五",
    "saturday sat 六", "sunday sun 日 天",
)  # fmt: skip
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
SYNONYMS = (
    r"\mathbbn^* \mathbbn_+ \mathbbn^+ \mathbbz^+ \mathbbz_+ positiveintegers allpositiveintegers 正整数集",
    "norealsolution norealsolutions norealroot norealroots therearenorealsolutions 无实数解 无实数根 无实根 没有实数根",
    "infinitelymanysolutions infinitesolutions infinitelymany 无数解 无穷多解 有无穷多解 有无数个解",
    "doesnotexist dne thelimitdoesnotexist 不存在 极限不存在", "true 对 正确 √ ✓", "false 错 错误 × ✗ 不正确",
    "yes 是", "no 否", "充要条件 充分必要条件 充要 充分必要", "充分不必要条件 充分不必要 充分而不必要条件",
    "必要不充分条件 必要不充分 必要而不充分条件", "既不充分也不必要条件 既不充分也不必要 既不充分又不必要条件",
    *(f"{place}{'st' if place == 1 else 'nd' if place == 2 else 'rd' if place == 3 else 'th'} {name}"
      for place, name in enumerate(ORDINALS, start=1)),
    *(f"{month} {month[:3]}" for month in MONTHS if month != "may"),
)  # fmt: skip
PLACED = re.compile(r"第([零〇一二两三四五六七八九十百]+|\d+)(?=$|[名个次天位层排象])")
NUMBERS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}
BASE = rf"(?P<base>\d{{1,2}}|{'|'.join(NUMBERS)})"
BASED = (
    re.compile(rf"(?P<open>\()?(?P<digits>[0-9A-Z]+)\)?_\(?{BASE}\)?"),
    re.compile(rf"(?P<open>)(?P<digits>[0-9A-Z]+)\(?(?:in)?base-?{BASE}\)?"),
)
REMAINDER = re.compile(
    r"商?(?P<whole>\d+)(?:,|，)?(?:r|remainder|witharemainderof|余数?(?:是|为)?|(?:\\ldots)+)(?P<rest>\d+)"
)
BEARING = re.compile(
    r"(?P<pole>[NS北南]偏?)(?P<angle>\d+(?:\.\d+)?)°(?P<side>[EW东西])|(?P<han>[北南]偏[东西])(?P<turn>\d+(?:\.\d+)?)°?"
)
COMPASS = {"北": "N", "南": "S", "东": "E", "西": "W"}


def _make_table() -> dict[str, str]:
    table = {word: group.split()[0] for group in SYNONYMS for word in group.split()}
    for group in WEEKDAYS:
        name = group.split()[0]
        for word in group.split():
            table |= dict.fromkeys((f"星期{word}", f"周{word}", f"礼拜{word}") if word > "z" else (word,), name)
    return table


CANONICAL = _make_table()


def read_phrase(tokens: Sequence[Token], _: Read) -> Answer | None:
    """Read a phrase of this page; None where it is none."""
    if len(tokens) > 12 or not any(token.kind in ("word", "han") or token.text in PHRASE_SIGNS for token in tokens):
        return None
    text = re.sub(r"[\s{}]", "", spell_tokens(tokens))
    if len(text) > LONGEST_PHRASE:
        return None
    if text.lower() in NOTHING:
        return Collection("{}", ())
    if text.lower() in CANONICAL:
        return Words(CANONICAL[text.lower()])
    place = PLACED.match(text)
    if place and (value := read_numeral(place[1])) is not None:
        return Words(f"第{value}{text[place.end() :]}")
    return _read_based(text) or _read_remainder(text) or _read_bearing(text)


PHRASE_SIGNS = frozenset({"_", "ldots", "√", "×", "✓", "✗", "emptyset", "mathbbN", "mathbbZ"})


def _read_based(text: str) -> Words | None:
    """Read digits below their base, ``(1101)_2``, or in front of it, 1101 base 2."""
    for pattern in BASED:
        match = pattern.fullmatch(text)
        if match:
            base = NUMBERS.get(match["base"]) or int(match["base"])
            digits = match["digits"]
            plain = digits.isdigit() or (digits[0].isdigit() or match["open"] or (base == 16 and len(digits) > 1))
            if plain and 2 <= base <= 36 and all(int(digit, 36) < base for digit in digits):
                return Words(f"{digits}_{base}")
    return None


def _read_remainder(text: str) -> Words | None:
    match = REMAINDER.fullmatch(text.lower())
    return Words(f"{match['whole']} remainder {match['rest']}") if match else None


def _read_bearing(text: str) -> Words | None:
    match = BEARING.fullmatch(text)
    if match is None:
        return None
    pole, side = (match["pole"][0], match["side"]) if match["pole"] else (match["han"][0], match["han"][2])
    return Words(f"{COMPASS.get(pole, pole)} {match['angle'] or match['turn']}° {COMPASS.get(side, side)}")
