"""Makers of what words say beside a value: choices, units, what is counted, restatements, labels, clocks.

Each maker writes one kind of answer with numbers of its own: ``(gold, answer, whether it is right)``. What it calls
right is right by its own arithmetic, not by the reader's.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from tests.unit.verifiers.math.makers import Case

NOUNS = ("bolts", "downloads", "primes", "zeros", "gadgets", "sequences", "tourists", "kilobots", "brackets", "wolves")
DESCRIBING = ("different", "distinct", "possible", "ordered", "positive", "blue", "whole", "remaining", "such")
CHANGING = (
    "dozen", "dozens", "hundred", "thousand widgets", "million", "hundreds of bolts", "dozen eggs", "score", "gross",
    "halves", "thirds", "tenths", "hundredths", "millionths", "percent", "percentage points", "basis points", "fold",
    "times as many", "doubled", "squared", "cubed", "more bolts", "fewer bolts", "less", "or so", "or more", "plus",
    "minus two", "at least", "at most", "not", "not bolts", "twins", "couples", "pairs", "decades", "or fewer bolts",
    "bolts or more", "bolts per box", "bolts more than primes", "to eleven bolts", "and a half", "and a half bolts",
    "is wrong", "squared bolts", "backwards", "upwards", "factorial", "degrees below", "short", "halved", "th bolt",
    "mod bolts", "divided by bolts", "half bolts", "almost bolts", "without bolts", "pairs of socks", "bolts less",
    "of twenty", "out of twenty bolts", "times bolts", "double bolts", "thousandths of bolts", "per bolt",
)  # fmt: skip
CHANGING_HAN = ("楼", "班", "世纪", "倍", "左右", "对半", "万", "以上", "多个", "个半", "成", "折", "打", "号楼")
CASES_OF_UNITS = ("h H", "mM mm", "G g", "Cal cal", "C °C", "F °F", "mW MW", "MHz mHz", "S s", "T t", "K k", "mL ML")
RATES = (
    "students per class", "apples per box", "pages per day", "words per minute", "books/shelf", "per day", "per dozen",
)  # fmt: skip
MEASURED_RATES = ("miles per hour", "km/h", "g/cm^3", "L/min", "dollars per hour", "euros per day", "J/mol/K", "mpg")
LABELS = ("Total", "Total cost", "Number of ways", "Area", "Answer", "The number of apples", "面积", "总数", "总价")
DENYING = ("Not", "Wrong", "Less than", "More than", "At least", "Not equal to", "Incorrect answer", "不是", "不等于")
SUBJECTS = ("She has", "He needs", "It takes", "Each of them costs", "Tom pays", "小明有", "她还剩", "一共有")
NO_SUBJECTS = ("Nobody has less than", "She has not", "It takes more than", "He has at least", "它不是", "没有")


def chosen(rng: random.Random) -> Iterator[Case]:
    """Letters with all that may stand around them; alternatives and denials choose nothing."""
    one, other = rng.sample("ABCD", 2)
    several = sorted(rng.sample("ABCDE", 3))
    joined = "".join(several)
    a, b, c = several
    for answer in (
        f"{one})", f"{one}）", f"{one}:", f"{one}、", f"【{one}】", f"[{one}]", f"{one} is correct", f"{one}（正确）",
        f"本题选{one}。", f"{one}项正确", f"{one} is the answer", rf"\{{{one}\}}", f"({one})", f"选项{one}",
    ):  # fmt: skip
        yield one, answer, True
        yield other, answer, False
    for answer in (
        f"{a} {b} {c}", f"({a}, {b}, {c})", rf"\{{{a}, {b}, {c}\}}", f"{a}，{b}，{c}正确", f"{joined}正确",
        f"{a}, {b} and {c} are correct", f"{a}、{b}、{c}均正确", f"[{a},{b},{c}]",
    ):  # fmt: skip
        yield joined, answer, True
        yield f"{a}{b}", answer, False
        yield f"{a}{c}", answer, False
    for sign in (" or ", "或", ", or ", " or maybe "):
        yield a + c, f"{a}{sign}{c}", False
        yield joined, f"{a}, {b}{sign}{c}", False
        yield one, f"{one}{sign}{other}", False
    for answer in (
        f"{one}项错误", f"错误的选项是{one}", f"{one}是错的", f"{one}不对", f"不选{one}", f"{one} is wrong",
        f"not {one}", f"{one} is incorrect", f"{other} is {one}",
        f"The worst answer is {one}", f"未必是{one}", f"排除{one}", f"{one}^\\circ", f"{one}°", f"{one}={other}",
    ):  # fmt: skip
        yield one, answer, False
    marks = rng.sample("①②③④⑤", 2)
    digits = ["①②③④⑤".index(mark) + 1 for mark in marks]
    yield "".join(marks), f"({digits[0]})({digits[1]})", True
    yield "".join(marks), f"{marks[0]}{marks[1]}正确", True
    yield "".join(marks), f"{marks[0]}或{marks[1]}", False
    yield "".join(marks), f"错误的是{''.join(marks)}", False
    yield "".join(marks), f"({digits[0]})({digits[1] % 5 + 1})", False


def counted(rng: random.Random) -> Iterator[Case]:
    """What is counted leaves a number what it is; what multiplies, compares or denies does not."""
    n = rng.randint(2, 99)
    for noun in rng.sample(NOUNS, 4):
        word = rng.choice(DESCRIBING)
        for answer in (
            f"{n} {noun}", f"{n} {word} {noun}", rf"{n}\text{{ {noun}}}", f"{n} {noun} in total", f"{n} {noun} left",
            f"{n} {noun} each", f"{n} {word} {noun} of the box",
        ):  # fmt: skip
            yield str(n), answer, True
            yield str(n + 1), answer, False
            yield f"{n} apples", answer, False
    for answer in (f"{n} in total", f"{n} total", f"{n} left", f"a total of {n}", f"{n} of them", f"{n} ordered pairs"):
        yield str(n), answer, True
        yield str(n + 1), answer, False
    for word in CHANGING:
        yield str(n), f"{n} {word}", False
    for word in CHANGING_HAN:
        yield str(n), f"{n}{word}", False
    yield f"1/{n}", f"1/{n} of the pizza", True
    yield f"1/{n}", f"1/{n} of twenty", False
    yield f"{n} cups", f"{n} cups of flour", True
    yield f"{n} cups of flour", f"{n} cups of sugar", False
    yield rf"\${n}", rf"\${n} each", True


def measured(rng: random.Random) -> Iterator[Case]:
    """Symbols by their exact case, rates, powers and quotients of units; an angle with pi is in radians."""
    n, m = rng.randint(2, 99), rng.randint(2, 12)
    left, right = rng.choice(CASES_OF_UNITS).split()
    yield rf"{n}\text{{ {left}}}", rf"{n}\text{{ {right}}}", False
    yield rf"{n}\text{{ {right}}}", rf"{n}\text{{ {left}}}", False
    yield str(n), f"{n} {rng.choice(RATES)}", False
    yield str(n), f"{n} {rng.choice(MEASURED_RATES)}", True
    yield f"{n} words per minute", str(n), True
    for degrees in (r"^\circ", r"^{\circ}", r"\text{ degrees}", "°"):
        yield rf"\frac{{\pi}}{{{m}}}", rf"\left(\frac{{\pi}}{{{m}}}\right){degrees}", False
        yield str(n), f"{n}{degrees}", True
    for gold, answer in (
        ("m^2", "metres squared"), ("m^3", "meters cubed"), ("m/s", "ms^{-1}"), ("kW h", "kWh"),
        ("mpg", "miles per gallon"), ("J/(mol·K)", "J/mol/K"), ("J/(mol·K)", "J mol^{-1} K^{-1}"),
        ("rpm", "revolutions per minute"),
        ("ft", "feet"),
    ):  # fmt: skip
        yield rf"{n}\text{{ {gold}}}", f"{n} {answer}", True
        yield rf"{n}\text{{ {gold}}}", f"{n + 1} {answer}", False
    yield rf"{n}\text{{ m}}^2", f"{n} metres cubed", False
    yield rf"{n}\text{{ mpg}}", f"{n} gallons per mile", False
    yield f"{n} years", f"{n} years old", True
    yield f"{n}人", f"{n}名学生", True
    yield rf"{n}^\circ", f"{n}^o", True
    yield rf"{n}^\circ", f"{60 * n}'", True
    yield str(n), f"{n}^{{'}}", False


def restated(rng: random.Random) -> Iterator[Case]:
    """The same value in several forms is one value; any other beside it is wrong."""
    k = rng.choice([1, 3, 7, 9])
    half, percent = f"0.{k}", f"{k}0\\%"
    gold = rf"\frac{{{k}}}{{10}}"
    for form in (
        "{} or {}",
        "{} ({})",
        "{}, or {}",
        "{}, i.e. {}",
        "{} (or {})",
        "{} (that is {})",
        r"{} \text{{ or }} {}",
    ):
        yield gold, form.format(f"{k}/10", half), True
        yield gold, form.format(gold, percent), True
        yield gold, form.format(half, gold), True
        yield gold, form.format(gold, f"0.{k}1"), False
        yield gold, form.format(f"0.{k}1", gold), False
        yield gold, form.format(percent, f"{k}0"), False
    yield f"{30 * k} minutes", f"{30 * k} minutes ({k / 2} hours)", True
    yield f"{30 * k} minutes", f"{30 * k} minutes ({k / 2 + 1} hours)", False
    yield str(k + 1), f"{k + 1} (x={k + 1})", True
    yield str(k + 1), f"{k + 1} or {k + 2}", False
    yield str(k), rf"\approx {k}", True
    yield str(k), f"about {k + 1}", False


def labelled(rng: random.Random) -> Iterator[Case]:
    """Labels, subjects and verbs in front of a value; several parts under numbers."""
    n, m = rng.randint(2, 99), rng.randint(2, 99)
    for label in LABELS:
        yield str(n), f"{label}: {n}", True
        yield str(n + 1), f"{label}: {n}", False
        yield str(n), f"{label}: {n}, {m}", False
    for label in DENYING:
        yield str(n), f"{label}: {n}", False
    for subject in SUBJECTS:
        yield str(n), f"{subject} {n}", True
        yield str(n + 1), f"{subject} {n}", False
    for subject in NO_SUBJECTS:
        yield str(n), f"{subject} {n}", False
    yield f"{n}:{m}", f"apples to pears: {n}:{m}", True
    yield f"y={n}x+{m}", f"the line y={n}x+{m}", True
    yield f"y={n}x+{m}", f"Line: y={n}x+{m}", True
    yield str(n), f"maximum value {n}", True
    yield f"maximum {n}", f"minimum {n}", False
    yield f"最大值{n}，最小值{m}", f"最大值为{n}，最小值为{m}", True
    yield f"最大值{n}，最小值{m + 100}", f"最大值为{m + 100}，最小值为{n}", False
    for answer in (f"(1) {n} (2) {m}", f"1) {n}, 2) {m}", f"(1) {n}, (2) {m}", f"(2) {m}; (1) {n}"):
        yield f"(1) {n}; (2) {m}", answer, True
        yield f"(1) {n}; (2) {m + 1}", answer, False
        yield f"(1) {m}; (2) {n}", answer, n == m


def habits(rng: random.Random) -> Iterator[Case]:
    """Plain text's times sign, clocks, remainders, residues and marks around an answer."""
    n, hour, minute = rng.randint(2, 9), rng.randint(1, 9), rng.randint(10, 59)
    for sign in (" x ", "x", " X "):
        yield rf"{n}\times 10^{{8}}", f"{n}{sign}10^8", True
        yield rf"{n}\times 10^{{8}}", f"{n}{sign}10^9", False
        yield str(n * hour), f"{n}{sign}{hour}", True
    yield f"{n}x", f"{n} x", True
    yield f"{hour}:{minute} p.m.", f"0{hour}:{minute}", False
    yield f"{hour}:{minute} a.m.", f"0{hour}:{minute}", True
    yield f"{hour}:{minute}", f"0{hour}:{minute}", True
    yield f"{hour}:{minute}", f"{hour}:{minute}:00", True
    yield f"{hour}:{minute}", f"{hour}:{minute}:01", False
    yield f"{hour}:30", f"half past {hour}", True
    yield f"{hour}:15", f"quarter past {hour}", True
    yield f"{hour}:45", f"quarter to {hour}", False
    yield f"下午{hour}点", f"0{hour}:00", False
    yield str(n), rf"x \equiv {n} \pmod {{11}}", True
    yield str(n), rf"{n + 11} \equiv {n} \pmod {{11}}", True
    yield str(n), rf"{n + 10} \equiv {n} \pmod {{11}}", False
    yield rf"n\equiv 1,{n} \pmod{{11}}", rf"n\equiv {n},1 \pmod{{11}}", True
    yield rf"n\equiv 1,{n} \pmod{{11}}", rf"n\equiv {n} \pmod{{11}}", False
    for answer in (rf"{n} \checkmark", f"#### {n}", f"{n}{{}}", f"{n} ✓"):
        yield str(n), answer, True
        yield str(n + 1), answer, False
    yield rf"{n}\sqrt{{7}}", f"{n}根号7", True
    yield f"0.00{n}", f"千分之{'零一二三四五六七八九'[n]}", True
    yield f"{n}8000", f"{n}万8000", True
    yield f"{n}:{hour}", f"{'零一二三四五六七八九'[n]}比{'零一二三四五六七八九'[hour]}", True
