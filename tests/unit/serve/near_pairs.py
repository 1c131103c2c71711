"""Pairs of questions that look alike, made from templates: by class, those that differ and those that are the same."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Final

Pair = tuple[str, str]

SHOP: Final = (
    "Tom has {n} {unit} of rice and sells {m} {unit}. How many {unit} of rice are left?",
    "A box holds {n} {unit} of sand. Ann takes out {m} {unit} every day. How many {unit} are left after one day?",
    "粮店有{n}{unit}大米，卖出{m}{unit}，还剩多少{unit}？",
    "仓库里有{n}{unit}水泥，每天用去{m}{unit}，一天后还剩多少{unit}？",
)
NUMBERS: Final = (
    ("320", "230"), ("12", "12.0001"), ("1.5", "15"), ("1,200", "1,2000"), ("1,200", "1, 200"), ("1200", "12 00"),
    ("3/4", "4/3"), ("1 1/2", "11/2"), ("0.5", "5"), ("20", "2O"), ("7", "70"), ("18", "81"),
)  # fmt: skip
HAN_NUMBERS: Final = (
    ("三百二十", "三百零二"), ("二十", "十二"), ("一百", "一千"), ("三万", "三亿"), ("三分之二", "二分之三"),
    ("五十", "十五"), ("1，200", "1,200"), ("1．5", "1.5"), ("两百", "三百"), ("3万", "3千"),
)  # fmt: skip
UNITS: Final = (
    ("kg", "g"), ("km", "m"), ("pounds", "ounces"), ("liters", "milliliters"), ("hours", "minutes"), ("Mb", "MB"),
    ("tons", "tonnes"), ("miles", "kilometers"),
)  # fmt: skip
HAN_UNITS: Final = (
    ("公里", "里"), ("千克", "克"), ("公斤", "斤"), ("千米", "米"), ("小时", "分钟"), ("升", "毫升"),
    ("平方米", "平方厘米"),
)  # fmt: skip
CURRENCIES: Final = (
    ("$", "€"), ("$", "£"), ("¥", "$"), ("元", "角"), ("元", "美元"), ("块", "毛"), ("dollars", "cents"),
    ("yuan", "yen"),
)  # fmt: skip
PRICED: Final = (
    "A pen costs {a}3 and a book costs {a}12. What is the total price?",
    "一支笔3{a}，一本书12元，一共多少元？",
    "A ticket is worth {a} 40 and Ann buys 3. How many yuan does she pay at today's rate?",
)
SWAPS: Final = {
    "negation": (
        ("Which of these numbers is prime: 4, 7, 9?", "Which of these numbers is not prime: 4, 7, 9?"),
        ("How many of the {n} pupils like milk?", "How many of the {n} pupils never like milk?"),
        ("Tom ate {n} of his 40 plums. How many did he eat?", "Tom ate {n} of his 40 plums. How many didn't he eat?"),
        ("Is {n} divisible by 3?", "Isn't {n} divisible by 3?"),
        ("If {n} is even, add 1. What is it?", "Unless {n} is even, add 1. What is it?"),
        ("{n}个学生中有8个会游泳，会游泳的有多少个？", "{n}个学生中有8个会游泳，不会游泳的有多少个？"),
        ("小明有{n}本书，看过9本，看过多少本？", "小明有{n}本书，看过9本，没有看过多少本？"),
        ("求小于{n}的偶数有多少个？", "求小于{n}的非偶数有多少个？"),
        ("小明吃了{n}个，可以再吃几个？", "小明吃了{n}个，不可以再吃几个？"),
    ),
    "comparison": (
        ("Ann has {n} more stamps than Bob, who has 50. How many has Ann?",
         "Ann has {n} fewer stamps than Bob, who has 50. How many has Ann?"),
        ("Which is larger, {n} or 30?", "Which is smaller, {n} or 30?"),
        ("What is the most that {n} coins weigh?", "What is the least that {n} coins weigh?"),
        ("A rope is {n} m longer than 9 m. How long is it?", "A rope is {n} m shorter than 9 m. How long is it?"),
        ("甲比乙多{n}元，乙有60元，甲有多少元？", "甲比乙少{n}元，乙有60元，甲有多少元？"),
        ("桃树有{n}棵，比梨树多5棵，梨树有多少棵？", "桃树有{n}棵，比梨树少5棵，梨树有多少棵？"),
        ("{n}与40相比，大的数是多少？", "{n}与40相比，小的数是多少？"),
    ),
    "bounds": (
        ("At least {n} of 40 must pass. How many may fail?", "At most {n} of 40 must pass. How many may fail?"),
        ("How many integers x satisfy x < {n} and x > 1?", "How many integers x satisfy x <= {n} and x > 1?"),
        ("How many integers are under {n}?", "How many integers are over {n}?"),
        ("至少{n}人及格，最多有多少人不及格？一共40人。", "至多{n}人及格，最多有多少人不及格？一共40人。"),
        ("大于{n}的整数中最小的是多少？", "不小于{n}的整数中最小的是多少？"),
        ("How many x with x ≤ {n} are there?", "How many x with x ≥ {n} are there?"),
    ),
    "order": (
        ("What is {n} - 7?", "What is 7 - {n}?"),
        ("Divide {n} by 4. What is the result?", "Divide 4 by {n}. What is the result?"),
        ("What is {n} to the power 2?", "What is 2 to the power {n}?"),
        ("First add {n}, then double 5. What is it?", "First double 5, then add {n}. What is it?"),
        ("{n}减7等于多少？", "7减{n}等于多少？"),
        ("{n}除以4等于多少？", "{n}除4等于多少？"),
        ("先加{n}再乘2，5变成多少？", "先乘2再加{n}，5变成多少？"),
    ),
    "name": (
        ("Ann has {n} and Bob has 9. How many has Ann?", "Ann has {n} and Bob has 9. How many has Bob?"),
        ("Tim is {n} years older than Jim, who is 9. How old is Tim?",
         "Jim is {n} years older than Tim, who is 9. How old is Tim?"),
        ("小红有{n}个，小明有9个，小红有多少个？", "小红有{n}个，小明有9个，小明有多少个？"),
        ("张三有{n}元，李四有9元，张三有多少元？", "张三有{n}元，李四有9元，李四有多少元？"),
    ),
    "asked": (
        ("Ann had {n} pens and gave away 4. How many are left?",
         "Ann had {n} pens and gave away 4. How many did she give?"),
        ("A square has a side of {n}. What is its area?", "A square has a side of {n}. What is its perimeter?"),
        ("What is the mean of {n}, 2 and 3?", "What is the median of {n}, 2 and 3?"),
        ("正方形的边长是{n}，面积是多少？", "正方形的边长是{n}，周长是多少？"),
        ("妈妈有{n}元，用去5元，还剩多少元？", "妈妈有{n}元，用去5元，用了多少元？"),
        ("Tom is {n}.", "Is Tom {n}?"),
        ("小明买了几个苹果，每个{n}元，他买了几个。", "小明买了几个苹果，每个{n}元，他买了几个？"),
    ),
    "dates and zones": (
        ("A train leaves at {n}:05 am and rides 3 h. When does it arrive?",
         "A train leaves at {n}:05 pm and rides 3 h. When does it arrive?"),
        ("It is {n}:00 UTC. What time is it in Paris?", "It is {n}:00 EST. What time is it in Paris?"),
        ("Which weekday is March {n}, 2024?", "Which weekday is March {n}, 2023?"),
        ("Which weekday is 2024-03-{n}?", "Which weekday is 2024-05-{n}?"),
        ("How many days are left in the year after 03/{n}/2024?",
         "How many days are left in the year after {n}/03/2024?"),
        ("上午{n}点出发，3小时后是几点？", "下午{n}点出发，3小时后是几点？"),
        ("2024年3月{n}日是星期几？", "2024年5月{n}日是星期几？"),
        ("北京时间{n}点是伦敦几点？", "东京时间{n}点是伦敦几点？"),
    ),
    "fraction and decimal": (
        ("What is 3/{n} written as it stands?", "What is 3.{n} written as it stands?"),
        ("What is the numerator of 1/{n}?", "What is the numerator of 2/{n}?"),
        ("What is 1 {n}/20 of 40?", "What is 1{n}/20 of 40?"),
        ("求{n}分之三的十倍。", "求三分之{n}的十倍。"),
        ("求{n}又二分之一的两倍。", "求{n}又三分之一的两倍。"),
    ),
    "sign": (
        ("What is the square of {n} plus -3?", "What is the square of {n} plus 3?"),
        ("Solve x + {n} = 0.", "Solve x - {n} = 0."),
        ("What is |{n} - 20|?", "What is {n} - 20?"),
        ("气温是零下{n}度，上升5度后是多少度？", "气温是{n}度，上升5度后是多少度？"),
        ("求负{n}与9的和。", "求{n}与9的和。"),
        ("Compute 5 − {n}.", "Compute 5 + {n}."),
        ("What is {n}!", "What is {n}"),
        ("What is {n}！?", "What is {n}!?"),
        ("What comes next: 1, 2, {n}...", "What comes next: 1, 2, {n}"),
    ),
    "percent": (
        ("Add {n}% to 50. What is it?", "Add {n} to 50. What is it?"),
        ("Add {n}% to 50. What is it?", "Add {n}‰ to 50. What is it?"),
        ("A price rises by {n} percent from 40. What is it?", "A price rises by {n} from 40. What is it?"),
        ("打{n}折后，100元的衣服多少元？", "打{n}%折后，100元的衣服多少元？"),
        ("50的百分之{n}是多少？", "50的千分之{n}是多少？"),
    ),
    "classifier": (
        ("有{n}双筷子，一共多少根？", "有{n}根筷子，一共多少根？"),
        ("有{n}盒铅笔，每盒8支，一共多少支？", "有{n}支铅笔，每盒8支，一共多少支？"),
        ("买{n}打鸡蛋，一共多少个？", "买{n}个鸡蛋，一共多少个？"),
        ("走了{n}圈，每圈400米，走了多少米？", "走了{n}步，每圈400米，走了多少米？"),
        ("She buys {n} pairs of socks. How many socks?", "She buys {n} socks. How many socks?"),
        ("She buys {n} dozen eggs. How many eggs?", "She buys {n} eggs. How many eggs?"),
    ),
    "case": (
        ("If A = {n} and a = 2, what is A?", "If A = {n} and a = 2, what is a?"),
        ("Let N be {n} and n be 5. What is N + 1?", "Let N be {n} and n be 5. What is n + 1?"),
        ("What is {n} mB in bytes of storage?", "What is {n} MB in bytes of storage?"),
        ("设X={n}，x=3，求X。", "设X={n}，x=3，求x。"),
        ("Is {n} K a temperature?", "Is {n} k a temperature?"),
    ),
    "characters": (
        ("How many characters has a  b{n}?", "How many characters has a b{n}?"),
        ("Reverse the string A{n}?", "Reverse the string Ａ{n}?"),
        ('Is print（"{n}"） valid?', 'Is print("{n}") valid?'),
        ("Sum the rows:\n1 {n}\n3 4", "Sum the rows:\n1 {n} 3\n4"),
        ("Sum the rows:\n1 {n}\n\n3 4", "Sum the rows:\n1 {n}\n3 4"),
        ("Fill this in:\na  c\n1 {n}", "Fill this in:\na c\n1 {n}"),
        ("Find the number behind 1  {n}.", "Find the number behind 1 {n}."),
        ("Find the number behind 1\u3000{n}.", "Find the number behind 1 {n}."),
        ("What does it print?\nif x:\n  y = {n}\nz = 1", "What does it print?\nif x:\n  y = {n}\n  z = 1"),
        ("“你好{n}”有几个字符？", "“你好{n} ”有几个字符？"),
        ("Translate: he has {n}?", "Translate: he has {n}."),
        ("What is the md5 hash of x{n}?", "What is the md5 hash of x{n}"),
    ),
}  # fmt: skip
"""By class: two questions whose answers differ, for each number in the place of {n}."""
VALUES: Final = ("12", "20")

SENTENCES: Final = (
    "Tom has {n} plums and eats 3. How many are left",
    "What is the area of a square with a side of {n} m",
    "If a train rides {n} km in 2 hours, how far does it ride in 5 hours",
    "小明有{n}个苹果，吃了3个，还剩多少个",
    "一本书{n}页，每天看6页，几天看完",
    "甲数是{n}，乙数比甲数多5，求乙数是多少",
)
"""Without the final mark."""


def differing_pairs() -> Iterator[tuple[str, Pair]]:
    """Yield the class and the two questions of each pair whose answers differ."""
    for template in SHOP:
        chinese = "多少" in template
        for one, other in HAN_NUMBERS if chinese else NUMBERS:
            unit = "千克" if chinese else "kg"
            yield "number", tuple(template.format(n=n, m=2, unit=unit) for n in (one, other))  # type: ignore[misc]
        for one, other in HAN_UNITS if chinese else UNITS:
            yield "unit", tuple(template.format(n=9, m=2, unit=unit) for unit in (one, other))  # type: ignore[misc]
    for template, (one, other) in product(PRICED, CURRENCIES):
        yield "currency", (template.format(a=one), template.format(a=other))
    for name, pairs in SWAPS.items():
        yield from ((name, (a.replace("{n}", n), b.replace("{n}", n))) for (a, b), n in product(pairs, VALUES))


def same_pairs() -> Iterator[tuple[str, Pair]]:
    """Yield the class and the two questions of each pair that no answer tells apart."""
    for sentence, n in product(SENTENCES, ("12", "345")):
        text = sentence.format(n=n)
        chinese = "多少" in text or "几天" in text
        asked = text + ("？" if chinese else "?")
        yield "final mark", (asked, text)
        yield "final mark, the other width", (asked, text + ("?" if chinese else "？"))
        yield "spaces around", (asked, f" \n{asked}  ")
        yield "line ends", (f"{asked}\nThink.", f"{asked} \r\nThink.")
        yield "spaces inside", (asked, asked.replace(" ", "  ") if not chinese else asked.replace(n, f" {n} "))
        yield (
            "no-break spaces",
            (asked, asked.replace(" ", "\u00a0") if not chinese else asked.replace(n, f"\u3000{n}")),
        )
        yield "full-width digits", (asked, asked.translate({ord(d): ord(d) + 0xFEE0 for d in "0123456789"}))
        yield "punctuation's width", (asked, asked.replace("，", ",").replace("？", "?") if chinese else f"{text} ?")
        yield "space behind a comma", (asked, asked.replace("，", ", ") if chinese else asked)
    for text in ("What is the price of a café's tea for 12 people?", "Zoë has 5 plums. How many are left after 2?"):
        yield "composed letters", (text, text.replace("é", "e\u0301").replace("ë", "e\u0308"))
    for text in SENTENCES[1:3]:
        yield "capital", (text.format(n=9), text.format(n=9)[0].lower() + text.format(n=9)[1:])


def spelled_pairs() -> Iterator[tuple[str, Pair]]:
    """Yield pairs that people take for the same and the cache does not: a miss costs time, and no answer."""
    yield "words and digits", ("Tom has three plums. How many?", "Tom has 3 plums. How many?")
    yield "Chinese numerals", ("小明有三个，还剩多少个？", "小明有3个，还剩多少个？")
    yield "simplified and traditional", ("还剩多少个苹果？", "還剩多少個蘋果？")
    yield "separators", ("What is 1,200 + 1?", "What is 1200 + 1?")
    yield "full-width decimals", ("３．５加１等于多少？", "3.5加1等于多少？")
    yield "minus signs", ("What is 5 − 3?", "What is 5 - 3?")
    yield "apostrophes", ("What is Ann’s age in 5 years?", "What is Ann's age in 5 years?")
    yield "case", ("how many plums has tom", "How many plums has Tom")
    yield "contraction", ("What's 5 + 3?", "What is 5 + 3?")
    yield "polite words", ("Please, what is 5 + 3?", "What is 5 + 3?")
