"""Makers of answers in other forms: conditions, constants, vectors, branches, phrases.

Each maker writes one kind of answer with numbers of its own: ``(gold, answer, whether it is right)``. What it calls
right is right by its own arithmetic, not by the reader's.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from tests.unit.verifiers.math.makers import Case


def conditions(rng: random.Random) -> Iterator[Case]:
    """What must hold for an answer: written otherwise, of another letter, counted from elsewhere, or another one."""
    a, b = rng.randint(2, 9), rng.randint(2, 9)
    gold = rf"x=k\pi+\frac{{\pi}}{{{a}}},k\in\mathbb{{Z}}"
    for answer in (
        rf"x = \frac{{\pi}}{{{a}}} + n\pi, n \in \mathbb{{Z}}",
        rf"\frac{{\pi}}{{{a}}}+k\pi (k\in Z)",
        rf"\frac{{\pi}}{{{a}}}+m\pi \text{{ where }} m \text{{ is any integer}}",
        rf"x=\frac{{\pi}}{{{a}}}-\pi+k\pi（k为整数）",
        rf"\{{x|x=k\pi+\frac{{\pi}}{{{a}}},k\in\mathbb{{Z}}\}}",
    ):
        yield gold, answer, True
        yield gold, answer.replace(f"{{{a}}}", f"{{{a + 1}}}"), False
    yield gold, rf"x=\frac{{\pi}}{{{a}}}", False
    yield gold, rf"x=2k\pi+\frac{{\pi}}{{{a}}},k\in\mathbb{{Z}}", False
    yield gold, rf"x=k\pi+\frac{{\pi}}{{{a}}},k\in\mathbb{{N}}", False
    for answer in (rf"{a}n+{b}", rf"a_n={a}n+{b} (n\in N^*)", rf"a_n={a}n+{b}, n\ge 1", rf"{b}+{a}n, n \geq 1"):
        yield f"a_n={a}n+{b}", answer, True
        yield rf"a_n={a}n+{b}, n\in\mathbb{{N}}^*", answer, True
    yield f"a_n={a}n+{b}", rf"a_n={a}n+{b}, n\ge 2", False
    yield f"x^2+y^2={a}", rf"x^2+y^2={a} (y\ne 0)", False
    yield rf"x^2+y^2={a}, y\neq 0", rf"x^2+y^2={a} (y\ne 0)", True
    yield f"y={a}x+C", rf"y={a}x+C \text{{ where }} C \text{{ is a constant}}", True


def constants(rng: random.Random) -> Iterator[Case]:
    """Constants of integration have any name, and all else has its own."""
    a = rng.randint(2, 9)
    for name in ("c", "C_1", "K"):
        yield f"{a}x^2+C", f"{name}+{a}x^2", True
        yield f"{a}x^2+C", f"{name}+{a + 1}x^2", False
    yield f"{a}x^2+C", f"{a}x^2", False
    yield f"{a}x^2", f"{a}x^2+C", False
    yield f"C_1e^x+C_2e^{{{a}x}}", f"Ae^{{{a}x}}+Be^x", True
    yield f"C_1e^x+C_2e^{{{a}x}}", f"C_1e^x+C_2e^{{{a + 1}x}}", False
    yield rf"A\cos {a}x+B\sin {a}x", rf"B\cos {a}x+A\sin {a}x", False
    yield f"{a}C/V", f"{a}c/V", False


def vectors(rng: random.Random) -> Iterator[Case]:
    """Tuples, columns and values of letters; the order of matrices and cross products."""
    a, b, c = rng.sample(range(-9, 10), 3)
    for answer in (
        f"x={a}, y={b}, z={c}", f"z={c}, x={a}, y={b}", rf"\begin{{cases}}x={a}\\y={b}\\z={c}\end{{cases}}",
        rf"\begin{{pmatrix}}{a}\\{b}\\{c}\end{{pmatrix}}", rf"\langle {a}, {b}, {c} \rangle",
        f"the point ({a},{b},{c})",
    ):  # fmt: skip
        yield f"({a},{b},{c})", answer, True
        yield f"({b},{a},{c})", answer, False
    yield f"({a},{b})", f"v={a}, x={b}", False
    yield f"({a},{b}),({b},{c})", f"x={a},y={b} or x={b},y={c}", True
    yield f"({a},{b}),({b},{c})", f"x={a},y={c} or x={b},y={b}", False
    yield rf"(0,\pm {abs(a) + 1})", f"(0,{abs(a) + 1}),(0,-{abs(a) + 1})", True
    yield rf"(0,\pm {abs(a) + 1})", f"(0,{abs(a) + 1})", False
    yield rf"\begin{{pmatrix}}{a}\\{b}\end{{pmatrix}}", rf"\begin{{pmatrix}}{a}&{b}\end{{pmatrix}}", False
    yield f"[{abs(a)},{abs(a) + 3}]", rf"\begin{{pmatrix}}{abs(a)}\\{abs(a) + 3}\end{{pmatrix}}", False
    left, right = rng.sample("ABMPQ", 2)
    yield f"{left}^{{-1}}{right}", f"{right}{left}^{{-1}}", False
    yield f"{left}{right}{left}^{{-1}}", right, False
    yield f"2{left}^T{right}", f"{left}^T{right}\\cdot 2", True
    yield r"\mathbf{a}\times\mathbf{b}", r"\mathbf{b}\times\mathbf{a}", False
    yield f"N({abs(a)},4)", f"({abs(a)},4)", False


def rows_of_conditions(rng: random.Random) -> Iterator[Case]:
    """Conditions with commas between, reals less points, branches of functions, repeated members of sets."""
    a = rng.randint(-9, 9)
    b = a + rng.randint(1, 9)
    yield f"({a},{b})", f"x>{a}, x<{b}", True
    yield f"({a},{b})", f"x<{a}, x>{b}", False
    yield rf"(-\infty,{a})\cup({b},\infty)", f"x<{a}, x>{b}", True
    yield rf"(-\infty,{a})\cup({b},\infty)", f"x<{a} and x>{b}", False
    yield rf"\begin{{cases}}x>{a}\\x<{b}\end{{cases}}", f"{a}<x<{b}", True
    yield rf"\mathbb{{R}}\setminus\{{{a},{b}\}}", rf"x\ne {a}, x \ne {b}", True
    yield rf"\mathbb{{R}}\setminus\{{{a},{b}\}}", rf"R - \{{{b},{a}\}}", True
    yield rf"\mathbb{{R}}\setminus\{{{a},{b}\}}", f"all real numbers except {a} and {b}", True
    yield rf"\mathbb{{R}}\setminus\{{{a},{b}\}}", rf"x\ne {a}", False
    yield rf"\{{x|x\ge{a}\}}", rf"\{{t \mid t \ge {a}\}}", True
    yield f"x>{a} and y>{b}", f"y>{b}, x>{a}", True
    yield f"x>{a} and y>{b}", f"y>{a}, x>{b}", False
    yield f"|x{-b:+}|<{b - a}", f"{a}<x<{2 * b - a}", True
    yield f"{a}<x<{2 * b - a}", f"|x{-b:+}|<{b - a}", False
    yield rf"\{{{a},{b}\}}", rf"\{{{a},{b},{a}\}}", True
    yield f"{a}, {b}", f"{a}, {b}, {b}", False
    gold = rf"f(x)=\begin{{cases}}x^2,&x\ge {a}\\{b}x,&x<{a}\end{{cases}}"
    yield gold, rf"\begin{{cases}}{b}x & \text{{if }} x<{a}\\x^2 & \text{{if }} x\ge {a}\end{{cases}}", True
    yield gold, rf"\begin{{cases}}{b}x & \text{{if }} x\ge {a}\\x^2 & \text{{if }} x<{a}\end{{cases}}", False
    yield rf"y=\pm {b + 10}x", f"y={b + 10}x, y=-{b + 10}x", True
    yield rf"y=\pm {b + 10}x", rf"{b + 10}x \pm y = 0", True
    yield rf"y=\pm {b + 10}x", rf"{b + 11}x \pm y = 0", False


def phrases(rng: random.Random) -> Iterator[Case]:
    """What says one thing in other words: no solution, weekdays, bases, remainders, bearings, shares, ordinals."""
    a, b = rng.randint(2, 99), rng.randint(2, 9)
    digits = f"{rng.randint(16, 63):b}"
    for answer in (f"({digits})_2", rf"{digits}_{{\text{{two}}}}", f"{digits} (base 2)", f"{digits}_{{(2)}}"):
        yield f"{digits}_2", answer, True
        yield f"{digits}_3", answer, False
        yield digits, answer, False
    yield f"{a} R {b}", f"{a}……{b}", True
    yield f"{a} R {b}", f"{a}余{b}", True
    yield f"{a} R {b}", f"{a}余{b + 1}", False
    yield f"北偏东{a % 90}°", f"N {a % 90}° E", True
    yield f"北偏东{a % 90}°", f"N {a % 90}° W", False
    day, other = rng.sample(["Monday 一", "Tuesday 二", "Wednesday 三", "Thursday 四", "Friday 五", "Sunday 日"], 2)
    yield day.split()[0], f"星期{day.split()[1]}", True
    yield day.split()[0], day[:3], True
    yield day.split()[0], f"周{other.split()[1]}", False
    yield "无解", rng.choice(["no solution", r"\emptyset", "方程无解", r"\text{No solutions.}"]), True
    yield "0", "no solution", False
    yield rf"\frac{{1}}{{{a}}}", f"1 out of {a}", True
    yield f"{b}0\\%", f"{b}成", True
    yield str(a * 10**4 + b * 1000), f"{a}万{b}千", True
    yield str(b * 1000), f"{b}千{a}", False
    yield rf"\frac{{{b}}}{{9}}", f"0.{str(b) * 4}...", True
    yield rf"\frac{{{b}}}{{9}}", f"0.{str(b) * 4}", False
    yield str(a * (a - 1) // 2), f"{a}C2", True
    yield str(a * (a - 1)), f"{a}P2", True
    yield str(a * (a - 1)), f"{a}C2", False
    yield f"{a}{b}0\\text{{ cents}}", f"\\${a}.{b}", True
    yield rf"\${a} per hour", f"{a} dollars/hour", True
    yield rf"\${a} per hour", f"{a} dollars/day", False
    yield f"{a} decades", str(a), False
    yield str(a), f"{a} decades", False
    yield str(a), f"{a},", True
    yield f"{a}cm^2", f"{a}cm2", True
    yield f"f(x)={a}x+{b}", f"y={a}x+{b}", True
    yield f"f(x)={a}x+{b}", f"f(t)={a}t+{b}", True
    yield f"f(x)={a}x+{b}", f"g(x)={a}x+{b}", False
    yield r"\frac{1}{2}mgh", "mhg/2", True
    yield r"\frac{1}{2}mgh", "mgh/3", False
    yield rf"\sin x\cos {a}x", f"sinxcos{a}x", True
    yield rf"\log_{{2}}{a}", rf"\log_2{a}", True
    yield f"e^{{{b}x}}\\sin x", rf"\sin x\,e^{{{b}x}}", True


def school(rng: random.Random) -> Iterator[Case]:
    """What school problems end with: a name in Chinese, an eccentricity, set operations, alternatives, leftovers."""
    a, b = rng.randint(2, 9), rng.randint(10, 19)
    for name in ("最大值", "最小值为", "面积", "周长是", "e=", "Total: ", "She has ", "答：一共有"):
        yield rf"\frac{{{a}}}{{{b}}}", rf"{name}\frac{{{a}}}{{{b}}}", True
        yield rf"\frac{{{a}}}{{{b}}}", rf"{name}\frac{{{a}}}{{{b + 1}}}", False
    yield rf"A\cap B=\{{{a},{b}\}}", rf"\{{{b},{a}\}}", True
    yield rf"A\cap B=\{{{a},{b}\}}", rf"A\cup B=\{{{a},{b}\}}", False
    yield rf"\frac{{{a}}}{{4}}", rf"\frac{{{a}}}{{4}} \text{{ or }} {a / 4}", True
    yield rf"\frac{{{a}}}{{4}}", rf"\frac{{{a}}}{{4}} \text{{ or }} {a / 4 + 1}", False
    yield f"(n-{a})2^{{n+1}}+{b}", f"(2n-{2 * a})2^n+{b}", True
    yield f"(n-{a})2^{{n+1}}+{b}", f"(n-{a})2^n+{b}", False
    yield str(b), f"{b} apples left", True
    yield str(b), f"{b} more apples", False
    yield str(a * b), f"{a}\\times{b}={a * b}(个)", True
    yield str(a * b), f"{a}\\times{b}={a * b + 1}(个)", False
    yield str(a), rf"\sum_{{i=1}}^{{{b}}} i = {a}", False
    yield f"y={b}-{a}x(0<x<{a})", f"y=-{a}x+{b}, 0<x<{a}", True
    yield f"y={b}-{a}x(0<x<{a})", f"y=-{a}x+{b}", False
    one, other = rng.sample(["Alice", "Bob", "Tom"], 2)
    for said in ("taller", str(a)):
        yield f"{one} is {said}", f"{other} is {said}", False
        yield said, f"{one} is {said}", True
    yield f"甲是{a}", f"乙是{a}", False
    yield f"最大值为{a}", f"最小值为{a}", False
    yield f"最大值为{a}", f"最大值是{a}", True
    yield f"The answer is {a}", f"答案是{a}", True
