"""Splitting "864 inches^2" into a value and a unit, and knowing that inch² and square inches are one.

A word after a number may change it (5 hundred, 36 halved, 12左右), and no list of such words is ever complete. So the
table says which words do not: measures, money, and what word problems count. A word outside it is a unit only where the
other side has the same one; ``agree`` is that rule.
"""

from __future__ import annotations

import re

from dunwu.verifiers.latex import literal

MEASURES = {
    "%": "percent|per cent|percentage|pct", "°": "degree|deg|度", "celsius": "°c|摄氏度", "fahrenheit": "°f|华氏度",
    "dollar": "\\$|$|usd|us dollar|buck|美元", "cent": "美分", "yuan": "元|rmb|cny|块钱", "jiao": "角", "euro": "eur",
    "foot": "feet|ft", "inch": "in|英寸", "yard": "yd", "mile": "mi|英里", "mm": "millimeter|millimetre|毫米",
    "cm": "centimeter|centimetre|厘米", "dm": "decimeter|decimetre|分米", "m": "meter|metre|米",
    "km": "kilometer|kilometre|千米|公里", "hectare": "ha|公顷", "acre": "", "mg": "milligram|毫克", "g": "gram|克",
    "kg": "kilogram|千克|公斤", "ton": "tonne|吨", "jin": "斤", "ounce": "oz", "pound": "lb", "gallon": "gal",
    "ml": "milliliter|millilitre|毫升", "l": "liter|litre|升", "quart": "qt", "pint": "pt", "cup": "",
    "tablespoon": "tbsp", "teaspoon": "tsp",
    "second": "sec|s|秒|秒钟", "minute": "min|分钟", "hour": "hr|h|小时|时", "day": "天|日", "week": "周|星期",
    "month": "月|个月", "year": "yr|年", "year old": "years old|岁|周岁", "decade": "", "century": "centuries",
    "calorie": "cal", "watt": "w", "volt": "v", "hz": "hertz", "newton": "n", "joule": "j", "unit": "",
    "square unit": "", "cubic unit": "",
}  # fmt: skip
"""Canonical name to other names; English plurals are added."""
COUNTED = """
    people|person|persons child|children man|men woman|women fish|fishes sheep leaf|leaves loaf|loaves
    animal apple bag ball balloon banana bead bean bird block book bottle box boy bracelet brick brownie bus button cake
    can candle candy car card carrot cat chair cherry chicken chocolate class coin cookie cow crayon cupcake customer
    deer desk digit dog doll donut duck edge egg email employee episode face family flower fly friend frog fruit game
    girl glass goal goat group guest handshake hat home horse house integer item jar jellybean job kid kitten lap leg
    lemon letter line lollipop marble match meal member mango movie muffin nail necklace notebook number orange outcome
    pack package page painting pancake parrot participant passenger path peach pear pen pencil permutation pet photo pie
    piece pill pizza plane plant plate player pizza point potato problem puppy question rabbit room rose sandwich
    scoop seat seed serving sheet shell shirt shoe side slice soldier solution song stamp staff step stick sticker store
    strawberry student subset table task teacher team ticket tile time tire toddler tomato toy train tree triangle trip
    truck turtle value vertex|vertices visitor vote way wheel window word worker
    个 只 本 人 棵 张 辆 盆 页 盒 根 朵 块 次 下 名 条 把 颗 筐 束 套 组 箱 枚 台 袋 件 瓶 副 匹 支 架 盏 排 间 粒 扇 座
    行 包 位 筒 种 楼 层 道 分 节 头 株 艘 份 户 家 句 字 题 幅 队 班 桶 杯 碗 盘 片 滴 步 圈 段 门 枝 面
"""
"""What word problems ask the number of, in one form or as ``|`` alternatives; none of them changes a number."""


def _plural(word: str) -> str:
    if re.search("[^aeiou]y$", word):
        return word[:-1] + "ies"
    return word + ("es" if re.search("(?:[sx]|ch|sh|ato)$", word) else "s")


def _table() -> dict[str, str]:
    rows = [[name, *names.split("|")] for name, names in MEASURES.items()] + [row.split("|") for row in COUNTED.split()]
    table = {"": ""}
    for row in reversed(rows):  # measures win over counted things of the same name
        table |= {_plural(word): row[0] for word in row if re.search("[a-z]{2}$", word)}
        table |= {word: row[0] for word in row if word}
    return table


UNITS = _table()
WORDS = re.compile(r"[a-z\u4e00-\u9fff%°$\\](?:[a-z\u4e00-\u9fff°. -]|/(?=[a-z\u4e00-\u9fff]))*(?:\^\{?\d\}?)?")
"""Letters, and what stands between them; digits and signs would be part of the number."""
SPOKEN = re.compile("(?=[a-z]*[aeiou])[a-z]{3}", re.I)
POWERS = (("square ", "2"), ("sq ", "2"), ("sq. ", "2"), ("cubic ", "3"), ("cu ", "3"), ("平方", "2"), ("立方", "3"))
TEXT = re.compile(r"(?P<value>.*[\d})a-zA-Z%])\s*\\text\s?\{(?P<text>[^{}]*)\}(?P<power>\^\{?\d\}?)?", re.DOTALL)
WORD = re.compile(
    r"(?P<value>.*?[\d})a-zA-Z%])(?P<gap>\s*)(?P<word>(?<![a-zA-Z\\])[a-zA-Z\u4e00-\u9fff][a-zA-Z /\u4e00-\u9fff]*)"
    r"(?P<power>\^\{?\d\}?)?",
    re.DOTALL,
)
LETTER = re.compile(r"(?P<value>.*(?:[\d})]|\\pi(?= )))\s*(?P<letter>[mghslLWVNJ])(?P<power>\^\{?\d\}?)?", re.DOTALL)
"""A last letter, as units are written, that may as well be a factor."""
DEGREES = re.compile(r"(?P<value>.+)°\s*(?:\\text\s?\{\s*)?(?P<scale>[CF])\}?", re.DOTALL)

ANGLE_OF = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![a-zA-Z])")


def known(unit: str) -> bool:
    """Whether ``unit``, as ``quantity`` gives it, is in the table; any other word might say anything of the number."""
    return all(part.partition("^")[0] in UNITS.values() for part in unit.split("/"))


def agree(left: str, right: str) -> bool:
    """Whether quantities in these units can be equal by value: one unit, or a known one on one side alone."""
    return left == right or (not (left and right) and known(left + right))


def quantities(left: str, right: str) -> tuple[tuple[str, str], tuple[str, str]]:
    """Both as ``quantity`` has them; beside "5 meters" the last letter of "5 m" is that unit, and never another."""
    (left_value, left_unit), (right_value, right_unit) = quantity(left), quantity(right)
    if left_unit and not right_unit:
        return (left_value, left_unit), _lettered(right, left_unit)
    if right_unit and not left_unit:
        return _lettered(left, right_unit), (right_value, right_unit)
    return (left_value, left_unit), (right_value, right_unit)


def _lettered(text: str, unit: str) -> tuple[str, str]:
    match = LETTER.fullmatch(text)
    if match is None or _unit(match["letter"] + (match["power"] or "")) != unit:
        return text, ""
    return match["value"].strip(), unit


def quantity(text: str) -> tuple[str, str]:
    r"""(value, unit) of normal text; the unit is "" where there is none.

    A unit is ``%``, ``°``, a currency sign, a trailing ``\text{...}``, or words after a written number (known ones
    after any value, if a space stands between).
    """
    sign = "-" if text.startswith(("-\\$", "-$")) else ""
    currency = re.match(r"-?(\\?\$) ?(?=[\d.\\])", text)
    if currency:
        rest, unit = quantity(sign + text[currency.end() :])
        return rest, unit or "dollar"
    if len(text) > 1 and (text[-1] == "%" or (text[-1] == "°" and not ANGLE_OF.search(text))):
        return text[:-1].strip(), text[-1]
    if degrees := DEGREES.fullmatch(text):
        return degrees["value"].strip(), UNITS["°" + degrees["scale"].lower()]
    if match := TEXT.fullmatch(text):
        named = _unit(match["text"] + (match["power"] or ""))
        return (text, "") if named is None else (match["value"].strip(), named)
    match = WORD.fullmatch(text)
    named = _unit(match["word"] + (match["power"] or "")) if match else None
    if match is None or named is None or not _stands_alone(match, named):
        return text, ""
    return match["value"].strip(), named


def _stands_alone(match: re.Match[str], unit: str) -> bool:
    """Whether the word can be no factor of the value: of "3m" and "2 x y" it is one, of "3 cm" and "3个" not."""
    word, familiar = match["word"], len(match["word"]) > 1 and known(unit)
    if literal(match["value"].strip()) is None:
        return familiar and bool(match["gap"] and re.search(r"[\d\\]", match["value"]))
    return familiar or word >= "\u3400" or bool(match["gap"] and SPOKEN.match(word))


def _unit(words: str) -> str | None:
    """The canonical unit: singular, lower case, powers as ``^2``, ``/`` for per; None where the words are none."""
    words = words.strip().lower().removesuffix(".")
    if not WORDS.fullmatch(words) or len(words.split()) > 6:
        return None
    if words in ("mph", "kph", "kmh"):
        return {"m": "mile", "k": "km"}[words[0]] + "/hour"
    return "/".join(_factor(part.strip()) for part in re.split(r"/| per (?!cent)", words))


def _factor(words: str) -> str:
    power = re.search(r"\^\{?(\d)\}?$", words)
    words = words[: power.start()] if power else words
    exponent = power[1] if power else ""
    if words not in UNITS:
        for prefix, value in POWERS:
            if words.startswith(prefix):
                words, exponent = words.removeprefix(prefix), value
    words = words.strip()
    return UNITS.get(words, words.removesuffix("s")) + (f"^{exponent}" if exponent else "")
