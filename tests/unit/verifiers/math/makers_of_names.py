r"""Makers of neighbours, as in ``makers``: roundings, names and what they may name, sets in sets, tuples, fonts."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

from tests.unit.verifiers.math.makers import Case


def roundings(rng: random.Random) -> Iterator[Case]:
    """Exact values with a rounding behind them: a right one changes nothing, a wrong one is another answer."""
    above, below = rng.choice([(14, 3), (22, 7), (5, 6), (11, 36), (17, 12)])
    places = rng.randint(2, 4)
    gold, value = rf"\frac{{{above}}}{{{below}}}", above / below
    shown, other = f"{value:.{places}f}", f"{value + 0.7:.{places}f}"
    for behind in (r"\approx {}", r" \approx {}", "≈{}", r" (\approx {})", " (approximately {})", " or about {}"):
        yield gold, gold + behind.format(shown), True
        yield gold, gold + behind.format(other), False
    yield gold, rf"x = {gold} \approx {shown}", True
    yield gold, rf"\approx {shown}", False
    factor = rng.randint(2, 30)
    yield rf"{factor}\pi", rf"{factor}\pi \approx {factor * math.pi:.2f}", True
    yield rf"{factor}\pi", rf"{factor}\pi \approx {factor * math.pi + 1:.2f}", False
    yield rf"{factor}\pi", rf"{factor + 1}\pi \approx {(factor + 1) * math.pi:.2f}", False
    yield rf"\sqrt{{{factor}}}", rf"{factor}\approx {math.sqrt(factor) + 0.3:.2f}", False
    percent = rng.choice([13, 37, 61])
    yield rf"\frac{{{percent}}}{{99}}", rf"\frac{{{percent}}}{{99}} \approx {100 * percent / 99:.1f}\%", True


def names(rng: random.Random) -> Iterator[Case]:
    """A name may stand for what it can name, and for nothing that speaks of something else."""
    a, b = rng.sample(range(2, 12), 2)
    letter, other = rng.sample("xyzt", 2)
    formula = f"{a}{letter}+{b}"
    yield formula, f"f({letter})={formula}", True
    yield formula, f"{other}={formula}", True
    yield formula, f"f({other})={formula}", False
    yield formula, f"f({letter}+1)={formula}", False
    yield formula, f"{letter}={formula}", False
    yield str(a), f"f({b})={a}", True
    yield str(a), f"(x-{b})^2+y^2={a}", False
    yield str(a), f"|x-{b}|={a}", False
    yield str(a), f"(x,y)={a}", False
    yield str(a), "m+n=" + str(a), True
    yield f"({a},-{b})", f"(x,y)=({a},-{b})", True
    yield f"({a},-{b})", f"(y,x)=({a},-{b})", False
    yield str(a), rf"\sum_{{k=1}}^{{{a}}} 1={a}", True
    yield str(a), rf"\sum_{{k=1}}^{{{b}}} 1={a}", False
    yield str(2 * a), rf"\int_0^{{{a}}} 2\,dx={2 * a}", True
    yield str(2 * a), rf"\int_0^{{{b}}} 2\,dx={2 * a}", False
    yield f"AB={a}", f"BA={a}", True
    yield f"AB={a}", f"|AB|={a}", True
    yield f"AB={a}", rf"\overline{{AB}}={a}", True
    yield f"AB={a}", f"AC={a}", False
    yield rf"\angle ABC={a}0^\circ", rf"\angle CBA={a}0^\circ", True
    yield rf"\angle ABC={a}0^\circ", rf"\angle BAC={a}0^\circ", False
    yield rf"\frac{{dy}}{{dx}}={a}x", f"y'={a}x", True
    yield rf"\frac{{dy}}{{dx}}={a}x", rf"\frac{{dy}}{{dt}}={a}x", False
    yield f"xy={a}", f"yx={a}", True
    yield f"xy={a}", f"xz={a}", False
    matrix = rf"\begin{{pmatrix}}{a}&0\\0&{b}\end{{pmatrix}}"
    yield matrix, f"A^{{-1}}={matrix}", True
    yield matrix, f"x={a}", False
    choice, rest = rng.sample("ABCD", 2)
    yield choice, "A=B=C=D", False
    yield choice, f"{choice}={rest}", False
    yield choice, f"{rest}={choice}", False


def members(rng: random.Random) -> Iterator[Case]:
    """Sets in sets, tuples whose brackets are gone, values that "or" parts."""
    a, b, c = rng.sample(range(1, 20), 3)
    high, low = max(a, b), min(a, b)
    yield rf"\{{{a},\{{{b}\}}\}}", rf"\{{\{{{b}\}},{a}\}}", True
    yield rf"\{{{a},\{{{b}\}}\}}", rf"\{{{a},{b}\}}", False
    yield rf"\{{\{{{a}\}},\{{{b},{c}\}}\}}", rf"\{{{a},\{{{b},{c}\}}\}}", False
    yield rf"\{{{a}\}}", str(a), True
    yield rf"\{{{a}\}}", rf"\{{\{{{a}\}}\}}", False
    yield f"({a},{b},{c})", f"{a}, {b}, {c}", False
    yield f"({a},{b},{c})", f"{a}, {c}, {b}", False
    yield f"({a},{b},{c})", f"{a} or {b} or {c}", False
    yield f"({high},{low})", f"{high}, {low}", False
    yield f"({high},{low})", f"{high} or {low}", False
    yield f"({low},{high})", f"{low}, {high}", False
    yield f"x={a}, y={b}", f"x={a} and y={b}", True
    yield f"x={a}, y={b}", f"x={a} or y={b}", False
    yield f"x={a} or x={b}", f"x={b} or x={a}", True
    yield f"({a},{a},{a})", f"x=y=z={a}", True
    yield f"({a},{a},{b})", f"x=y=z={a}", False
    curve = rf"\frac{{x^2}}{{{c + 20}}}+\frac{{y^2}}{{{c + 1}}}=1"
    yield rf"{curve} (x\ne\pm {a})", rf"{curve}, x\neq \pm {a}", True
    yield rf"{curve} (x\ne\pm {a})", rf"{curve}, x\neq \pm {b}", False
    yield rf"{curve} (x\ne\pm {a})", curve, False
    yield f"2x-y+{a}=0或x={b}", f"x={b}或2x-y+{a}=0", True
    yield f"2x-y+{a}=0或x={b}", f"x={b}或2x-y+{c + 20}=0", False


def memberships(rng: random.Random) -> Iterator[Case]:
    """Intervals of one letter are none of another; commas between conditions mean "and"."""
    low, high = sorted(rng.sample(range(-9, 10), 2))
    letter, other = rng.sample("xyt", 2)
    gold = rf"{letter} \in [{low},{high})"
    yield gold, f"[{low},{high})", True
    yield gold, rf"{low} \le {letter} < {high}", True
    yield gold, rf"{other} \in [{low},{high})", False
    yield gold, rf"{letter} \in ({low},{high})", False
    yield rf"({low},{high})", f"{letter}>{low}, {letter}<{high}", True
    yield rf"({low},{high})", f"{letter}>{low}, {other}<{high}", False
    union = rf"({low},{high})\cup({high},\infty)"
    yield union, rf"{letter}>{low}, {letter}\ne {high}", True
    yield union, rf"{letter}>{low}, {letter}\ne {high + 1}", False
    yield union, rf"\{{{letter}: {letter}>{low}, {letter}\ne {high}\}}", True
    within = rf"({low - 1},{low})\cup({low},{high})"
    yield within, rf"{low - 1}<{letter}<{high}, {letter}\neq {low}", True
    yield within, rf"{letter}\in({low - 1},{high}), {letter}\ne {low}", True
    yield within, f"{low - 1}<{letter}<{high}", False
    yield rf"\{{{low}\}}\cup[{high},\infty)", rf"{letter}={low} or {letter}\ge {high}", True
    yield rf"\{{{low}\}}\cup[{high},\infty)", rf"{letter}={low} and {letter}\ge {high}", False


def fonts(rng: random.Random) -> Iterator[Case]:
    """One letter in other fonts and signs, and functions without brackets in front of a stroke."""
    a = rng.randint(2, 9)
    letter, other = rng.sample(["x", "t", "n"], 2)
    yield r"\mathbb{R}", r"\R", True
    yield r"\mathbb{Z}", "Z", True
    yield r"\mathbb{Z}", "N", False
    yield r"\mathbb{N}^*", r"\mathbb{Z}^+", True
    yield r"\mathbb{N}^*", r"\mathbb{N}", False
    yield f"f'({letter})", rf"f^{{\prime}}({letter})", True
    yield f"f'({letter})", rf"f^{{\prime\prime}}({letter})", False
    yield f"{a}A^T", rf"{a}A^{{\top}}", True
    yield f"{a}A^T", f"{a}A", False
    yield rf"\bar{{{letter}}}", rf"\overline{{{letter}}}", True
    yield rf"{a}\hbar", f"{a}ℏ", True
    yield rf"{letter}\ne {a}", rf"{letter}\not={a}", True
    yield rf"{letter}\ne {a}", f"{letter}={a}", False
    yield rf"\tan {letter}", rf"\sin {letter}/\cos {letter}", True
    yield rf"\tan {letter}", rf"\sin {letter}/\cos {other}", False
    yield rf"\frac{{\sin {letter}}}{{{letter}}}", rf"\sin {letter}/{letter}", True
    yield rf"\frac{{\ln {a}}}{{\ln {a + 1}}}", f"ln {a}/ln {a + 1}", True
    yield rf"\frac{{\ln {a}}}{{\ln {a + 1}}}", f"ln {a + 1}/ln {a}", False
    yield rf"\binom{{n}}{{{a}}}", f"C_n^{a}", True
    yield rf"\binom{{n}}{{{a}}}", f"C_n^{a + 1}", False
    yield f"P_{a}^2", str(a * (a - 1)), True
    yield f"P_{a}^2", f"C_{a}^2", False
    yield "CO", "Co", False
    yield "Yes", "YES", True


def hedges(rng: random.Random) -> Iterator[Case]:
    """One answer for two golds, a name that denies or changes, a numeral for a name."""
    a, b = rng.sample(range(4, 9), 2)
    words = {4: ("four", "四"), 5: ("five", "五"), 6: ("six", "六"), 7: ("seven", "七"), 8: ("eight", "八")}
    yield f"{a}0", f"{a}4 ≈ {a}0", False
    yield f"{a}", f"{a}.4 ≈ {a}", False
    yield "4.67", r"\frac{14}{3} ≈ 4.67", True
    yield r"\frac{14}{3}", r"\frac{14}{3} ≈ 4.68", False
    subjects = (
        "The wrong answer is {}", "Twice the answer is {}", "Half of it is {}", "x squared is {}", "nobody has {}",
        "Rejected: {}", "reciprocal: {}", "错误答案是{}", "错误：{}", "舍去：{}", "未必是{}", "平方是{}", "相反数是{}",
        "它的一半是{}", "not x = {}", "not = {}", "wrong={}", "6 cm when x={}",
    )  # fmt: skip
    for subject in subjects:
        yield str(a), subject.format(a), False
    for subject in ("the area is {}", "The number of ways is {}", "三角形面积={}", "面积是{}", "number of ways = {}"):
        yield str(a), subject.format(a), True
    for word in words[b]:
        yield str(a), f"{a}={word}", False
        yield str(a), f"x={a}={word}", False
    for word in words[a]:
        yield str(a), f"x={a}={word}", True
    tails = (
        "lakhs", "elevens", "perhaps", "always", "fails", "inverses", "invalid solutions", "rejected values",
        "six packs", "of nothing",
    )  # fmt: skip
    for tail in tails:
        yield str(a), f"{a} {tail}", False
    yield rf"\sqrt{a}", rf"\sqrt{b} where x = \sqrt{a}", False
    yield "A", "A, B, C in Z", False
    yield f"({a},{b})", f"(1) {a}; (2) {b}", True
    yield f"({a},{b})", f"(2) {a}; (1) {b}", False
    yield str(a), f"x={a} or {a}", False
    yield f"{a}1_9", f"({a}1)_9", True
    yield f"{a}9_9", f"({a}9)_9", False  # no digit of that base
