"""Makers of answers of the kinds that real use brought: notations, names, units, lists, sets.

Each maker writes one kind of answer with numbers of its own: ``(gold, answer, whether it is right)``. What it calls
right is right by its own arithmetic, not by the reader's.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from fractions import Fraction

Case = tuple[str, str, bool]
WORDS = (
    "on",
    "no",
    "up",
    "to",
    "so",
    "it",
    "as",
    "is",
    "us",
    "we",
    "he",
    "me",
    "my",
    "be",
    "by",
    "do",
    "go",
    "if",
    "in",
    "of",
    "or",
    "at",
    "an",
    "am",
)
ROMAN = ("IV", "VI", "IX", "XI", "XL", "LX", "XC", "CX", "CM", "MC")
GREEK = ("alpha:α", "beta:β", "gamma:γ", "delta:δ", "theta:θ", "lambda:λ", "mu:μ", "omega:ω", "sigma:σ", "rho:ρ")
FUNCTIONS = ("sin", "cos", "tan", "ln", "arctan", "sinh")
UNITS = (
    r"kJ:kJ", r"kPa:kPa", r"m/s:m/s", r"m/s^2:m/s²", r"kg:kilograms", r"cm:centimeters", r"km/h:km/h", r"g/cm^3:g/cm³",
    r"L/min:L/min", r"N:newtons", r"mol:moles", r"Hz:hertz", r"mL:milliliters", r"rad:radians",
)  # fmt: skip
CASES_OF_UNITS = ("MHz mHz", "Mm mm", "MW mW", "MPa mPa", "Gm gm", "kN kn")
CLASSIFIED = (
    "个苹果",
    "名学生",
    "只鸡",
    "种方法",
    "道题",
    "块糖",
    "本书",
    "辆车",
    "棵树",
    "场",
    "双",
    "列",
    "(个)",
    "（平方厘米）",
)
CHANGED = ("万", "倍", "个半", "多个", "左右", "以上", "成", "折")


def two_letter_words(rng: random.Random) -> Iterator[Case]:
    """A word is no product of its letters: their order counts, their case does not."""
    for word in (rng.choice(WORDS), rng.choice(ROMAN)):
        yield word, word.upper() if word.islower() else word, True
        yield word, word[::-1], word == word[::-1]
    a, b = rng.sample("xzqw", 2)
    yield f"{rng.randint(2, 9)}{a}{b}", f"{b}{a}", False
    yield f"3{a}{b}", f"3{b}{a}", True


def times(rng: random.Random) -> Iterator[Case]:
    """A time of the day is no quotient."""
    hour, minute = rng.randint(1, 12), rng.randint(10, 59)
    gold = f"{hour}:{minute}"
    yield gold, f"{hour:02}:{minute}", True
    yield gold, f"{gold} a.m.", True
    yield gold, f"{hour}/{minute}", False
    yield gold, str(Fraction(hour, minute)), False
    yield gold, f"{hour}:{minute - 1}", False
    yield f"{gold} a.m.", f"{gold} p.m.", False
    yield f"{hour}:00", f"{hour} o'clock", True


def ratios(rng: random.Random) -> Iterator[Case]:
    """Parts that are in one proportion, with whatever colon."""
    a, b, c, k = rng.randint(1, 9), rng.randint(1, 9), rng.randint(1, 9), rng.randint(2, 5)
    sign = rng.choice([":", " : ", "∶", r"\colon ", r"\mathbin{:}", "："])
    yield f"{a}:{b}:{c}", f"{a * k}{sign}{b * k}{sign}{c * k}", True
    yield f"{a}:{b}:{c}", f"{a * k}{sign}{b * k}{sign}{c * k + 1}", False
    yield f"{a}:{b}", f"{b}{sign}{a}", a == b
    yield f"{a}:{b}", rf"\frac{{{a * k}}}{{{b * k}}}", True


def money(rng: random.Random) -> Iterator[Case]:
    """Currencies before and behind, by sign, code and word; one is not another."""
    n = rng.randint(2, 999)
    signs = {r"\$": ("dollars", "USD"), "€": ("euros", "EUR"), "£": ("pounds", "GBP"), "₹": ("rupees", "INR")}
    sign = rng.choice(list(signs))
    word, code = signs[sign]
    gold = f"{sign}{n}"
    for answer in (f"{n} {word}", f"{code} {n}", f"{n} {code}", f"{n}{sign}", f"{sign}{n}.00", rf"\text{{{sign}}}{n}"):
        yield gold, answer, True
        yield str(n), answer, True
    other = rng.choice([one for one in signs if one != sign])
    yield gold, f"{other}{n}", False
    yield gold, f"{sign}{n + 1}", False
    yield f"¥{n}", f"{n}元", True
    yield f"¥{n}", rf"\${n}", False


def groups(rng: random.Random) -> Iterator[Case]:
    """Thousands parted in any way are one number; members of a list are not."""
    a, b, c = rng.randint(1, 99), rng.randint(100, 999), rng.randint(100, 999)
    whole = f"{a}{b}{c}"
    for parting in (",", "{,}", r",\!", r"\,", r"\ ", "~", " ", "\u2009", "'", r"\text{,}", r"\:", r"\, "):
        yield whole, f"{a}{parting}{b}{parting}{c}", True
        yield whole, f"{a}{parting}{b}{parting}{c + 1 if c < 999 else c - 1}", False
    yield f"{a}, {b}", f"{a}{b}", False
    yield f"{a}、{b}", f"{b}、{a}", True
    yield f"{a}，{b}", f"{a}{b}", False
    yield f"{a}, {b}", f"{b} and {a}", True
    yield f"{a}, {b}", rf"\{{{b}, {a}\}}", True
    yield f"({a},{b})", f"{a}{b}", False


def names(rng: random.Random) -> Iterator[Case]:
    """What stands before "=" says what has the value; it is not the value."""
    n = rng.randint(2, 99)
    p, q = rng.randint(1, 9), rng.randint(1, 9)
    for name in (
        "AB", "m+n", r"\angle ABC", "f(2)", "f'(1)", "f(g(2))", "|z|", r"S_{\triangle ABC}", r"\text{area}",
        "p+q", "x_1",
        r"\frac{x}{y}", r"\log_2 x", r"x_{\min}", "P(A)", r"\sin\alpha", "x^2+y^2", "n", "the number of ways",
        r"\lambda",
    ):  # fmt: skip
        yield str(n), f"{name} = {n}", True
        yield str(n), f"{name}={n + 1}", False
    yield str(n), f"{n}=x", True
    yield f"x={n}", f"y={n}", False
    yield f"x={n}", f"{p + 1}x={n * (p + 1)}", False
    yield str(p + q), f"{p}+{q}={p + q}", True
    yield str(p + q), f"{p}+{q + 1}={p + q}", False
    yield "120", "5!=120", True


def solutions(rng: random.Random) -> Iterator[Case]:
    """Roots of one letter have no order; values of several letters belong to their letters."""
    a, b = rng.sample(range(-20, 20), 2)
    yield f"{a}, {b}", f"x_1={a}, x_2={b}", True
    yield f"{a}, {b}", f"x={b} or x={a}", True
    yield f"{a}, {b}", f"x_1={b}或x_2={a}", True
    yield f"{a}, {b}", f"x_1={a}, x_2={b + 100}", False
    yield f"x={a},y={b}", f"y={b}, x={a}", True
    yield f"x={a},y={b}", f"x={b}, y={a}", False
    yield f"(x,y)=({a},{b})", rf"\begin{{cases}}y={b}\\x={a}\end{{cases}}", True
    yield f"(x,y)=({a},{b})", rf"\left\{{\begin{{aligned}}x&={b}\\y&={a}\end{{aligned}}\right.", False
    yield f"(x,y)=({a},{b})", f"({a},{b})", True
    yield f"({a},{b})", f"P({a},{b})", True


def intervals(rng: random.Random) -> Iterator[Case]:
    """Intervals in other notations, as conditions and as sets."""
    a = rng.randint(-20, 20)
    b = a + rng.randint(1, 20)
    gold = f"({a},{b})"
    for answer in (f"]{a},{b}[", f"{a}<x<{b}", f"x>{a} and x<{b}", rf"\{{x|{a}<x<{b}\}}", f"{{x : {a} < x < {b}}}"):
        yield gold, answer, True
        yield f"[{a},{b})", answer, False
    union = rf"(-\infty,{a})\cup({b},\infty)"
    for answer in (f"x<{a} or x>{b}", rf"(-oo, {a}) U ({b}, oo)", rf"(-\infty,{a})\text{{ or }}({b},+\infty)"):
        yield union, answer, True
        yield union, answer.replace(str(b), str(b + 1), 1), False
    yield rf"(-\infty,{a})\cup({a},\infty)", rf"x\neq{a}", True
    yield rf"[{a},\infty)", rf"x\geqslant {a}", True
    yield rf"[{a},\infty)", f"x>{a}", False


def matrices(rng: random.Random) -> Iterator[Case]:
    """Matrices in any environment, with a factor, transposed, as lists."""
    a, b, c, d = rng.sample(range(-9, 10), 4)
    k = rng.randint(2, 5)
    gold = rf"\begin{{pmatrix}}{a}&{b}\\{c}&{d}\end{{pmatrix}}"
    for answer in (
        rf"\begin{{bmatrix}}{a}&{b}\\[2pt]{c}&{d}\end{{bmatrix}}",
        rf"\begin{{matrix}}{a}&{b}\cr{c}&{d}\end{{matrix}}",
        f"[[{a}, {b}], [{c}, {d}]]",
        rf"M=\left(\begin{{array}}{{c|c}}{a}&{b}\\{c}&{d}\end{{array}}\right)",
    ):
        yield gold, answer, True
    scaled = rf"\begin{{pmatrix}}{a * k}&{b * k}\\{c * k}&{d * k}\end{{pmatrix}}"
    yield scaled, f"{k}{gold}", True
    yield scaled, rf"{k}\cdot {gold}", True
    yield rf"\begin{{pmatrix}}{-a}&{-b}\\{-c}&{-d}\end{{pmatrix}}", f"-{gold}", True
    yield scaled, gold, (a, b, c, d) == (0, 0, 0, 0)
    yield str(a * d - b * c), rf"\begin{{vmatrix}}{a}&{b}\\{c}&{d}\end{{vmatrix}}", True
    yield rf"\begin{{pmatrix}}{a}\\{b}\end{{pmatrix}}", rf"({a},{b})^{{\top}}", True
    yield gold, rf"\begin{{pmatrix}}{a}&{c}\\{b}&{d}\end{{pmatrix}}", b == c


def notations(rng: random.Random) -> Iterator[Case]:
    """Powers in brackets, functions without a backslash, fractions and roots in all their forms."""
    n, m = rng.randint(2, 9), rng.choice([2, 3, 5, 6, 7])
    for gold, answer in (
        (f"x^{{n+{n}}}", f"x^(n+{n})"), (f"x^{{-{n}}}", f"x^(-{n})"), (f"(x+{n})^{{1/2}}", f"(x+{n})^(1/2)"),
        (f"x^{{n+{n}}}", f"x**(n+{n})"), (rf"\frac{{\pi}}{{{n}}}", rf"\frac\pi{n}"),
        (rf"\frac{{{n}}}{{\pi}}", rf"\frac {n}\pi"),
        (rf"\frac{{\sqrt{{{m}}}}}{{{n}}}", rf"\frac{{\sqrt{{{m}}}}}{n}"), (rf"\sqrt[3]{{{m}}}", f"∛{m}"),
        (rf"\sqrt[3]{{{m}}}", rf"\sqrt[3]{m}"), (rf"\sqrt{{{m}}}", rf"\surd {m}"),
        (rf"\frac{{{n}}}{{7}}", rf"{{{n} \over 7}}"),
        (rf"\binom{{{n + 2}}}{{2}}", rf"C_{{{n + 2}}}^2"), (rf"\binom{{{n + 2}}}{{2}}", rf"{{{n + 2} \choose 2}}"),
        (str((n + 2) * (n + 1)), f"A_{{{n + 2}}}^2"), (rf"2^{n}\cdot5^2", f"2^{n} 5^2"), (str(2 * n), f"2({n})"),
        (rf"\ln {n}", f"ln({n})"), (rf"\log_2 {n}", f"log_2 {n}"), (rf"|x-{n}|", f"abs(x-{n})"),
        (f"e^{n}", f"exp({n})"),
        (str(n), rf"\textcolor{{red}}{{{n}}}"), (str(n), rf"{{\color{{blue}}{n}}}"),
        (str(n), rf"\boldsymbol{{{n}}}"),
        (str(n), rf"{n}\hspace{{2pt}}"), (rf"{n}\text{{ cm}}", rf"{n}\,{{\rm cm}}"),
        (str(n), rf"\text{{The answer is }}{n}"),
        (f"x\\equiv {n}\\pmod{{11}}", f"x ≡ {n} (mod 11)"), (str(n * n), rf"\int_0^{n} 2x dx"),
        (f"-{n}+e^2", f"exp(2)-{n}"),
        (rf"{n}.5", rf"{n}^\circ 30'"), (str(n), f"log_{m}({m}^{n})"),
    ):  # fmt: skip
        yield gold, answer, True
    name, char = rng.choice(GREEK).split(":")
    yield rf"{n}\{name}+1", f"1+{n}{char}", True
    yield rf"\{name}", rng.choice([one for one in GREEK if not one.startswith(name)]).split(":")[1], False
    function = rng.choice(FUNCTIONS)
    yield rf"\{function} {n}x", f"{function}({n}x)", True
    yield rf"\{function} {n}x", f"{function}({n + 1}x)", False


def letters(rng: random.Random) -> Iterator[Case]:
    """Of letters nothing is known: no gcd, no gamma function, no inverse, no transpose, no derivative at a point."""
    n = rng.randint(2, 9)
    yield rf"{n}^{{\gcd(m,n)}}-1", str(n - 1), False
    yield "1", r"\gcd(a,b)", False
    yield rf"\gamma^{{{n}}}-1", rf"\gamma^{{{n + 1}}}-1", False
    yield rf"\frac{{dy}}{{dx}}={n}x", rf"\frac{{dx}}{{dy}}={n}x", False
    yield rf"\frac{{dy}}{{dx}}={n}x", f"{n}x=0", False
    yield "A^{T}", "A", False
    yield "f^{-1}(x)", "1/f(x)", False
    yield f"y({n})", str(n), False
    yield f"{n}x", f"0x+{n}", False
    yield "0", f"{n}x-{n}x", True
    yield rf"\sqrt{{{n}gh}}", rf"\sqrt{{{n}g}}\sqrt{{h}}", True
    yield rf"\ln({n}xy)", rf"\ln {n}+\ln x+\ln y", True
    yield r"\sqrt{x^2}", "x", False


def units(rng: random.Random) -> Iterator[Case]:
    """Units by symbol and by word, in Chinese with nouns, several together; in another case they are others."""
    n = rng.randint(2, 99)
    symbol, other = rng.choice(UNITS).split(":")
    yield str(n), rf"{n}\text{{ {symbol}}}", True
    yield rf"{n}\text{{ {symbol}}}", f"{n} {other}", True
    yield rf"{n}\text{{ {symbol}}}", f"{n + 1} {other}", False
    left, right = rng.choice(CASES_OF_UNITS).split()
    yield rf"{n}\text{{ {left}}}", rf"{n}\text{{ {right}}}", False
    yield str(n), f"{n}{rng.choice(CLASSIFIED)}", True
    yield str(n + 1), f"{n}{rng.choice(CLASSIFIED)}", False
    yield str(n), f"{n}{rng.choice(CHANGED)}", False
    yield str(n), rf"{n}\,\frac{{\mathrm{{m}}}}{{\mathrm{{s}}^2}}", True
    tenths = rng.randint(1, 9)
    yield f"{n}元{tenths}角", f"{n}.{tenths}元", True
    yield f"{n}米{tenths}分米", f"{n}.{tenths}米", True
    yield f"{n}米{tenths}分米", f"{n}.{tenths % 9 + 1}米" if tenths < 9 else f"{n}米", False


def choices(rng: random.Random) -> Iterator[Case]:
    """Letters of options, one or several, with whatever stands around them."""
    several = "".join(sorted(rng.sample("ABCDE", 3)))
    for parting in (", ", "、", ",", " and "):
        yield several, parting.join(several), True
    yield several, several[:2], False
    one = rng.choice("ABCD")
    for answer in (
        f"({one})",
        rf"\textbf{{({one})}} 12",
        f"{one}: 12",
        f"答案选{one}",
        f"故选：{one}",
        f"Option {one}",
        f"{one}.",
    ):
        yield one, answer, True
    yield one, f"{one} or {'E'}", False
    marks = rng.sample("①②③④⑤", 2)
    yield "".join(marks), "、".join(marks), True
    yield "".join(marks), marks[0], False


def lines(rng: random.Random) -> Iterator[Case]:
    """Lines, circles and sums in another order or form."""
    a, b, c = rng.randint(2, 9), rng.randint(2, 9), rng.randint(1, 9)
    slope, height = Fraction(-a, b), Fraction(c, b)
    yield f"{a}x+{b}y-{c}=0", rf"y=-\frac{{{a}}}{{{b}}}x+\frac{{{c}}}{{{b}}}", True
    yield f"{a}x+{b}y-{c}=0", f"y={slope}x+{height + 1}", False
    yield f"{a}a+{b}b", f"{b}b+{a}a", True
    yield f"{a}a+{b}b", f"{a}b+{b}a", a == b
    yield f"x^2+y^2={c}", f"{a}x^2+{a}y^2={a * c}", True
    yield f"x^2+y^2={c}", f"{a}x^2+{a}y^2={c}", a == 1
    yield f"x>{c}", f"{a}x>{a * c}", True
    yield f"x>{c}", f"-{a}x>-{a * c}", False


def traps(rng: random.Random) -> Iterator[Case]:
    """What looks right to a reader that looks at a part only."""
    a, b, c = rng.sample(range(2, 40), 3)
    x = rng.choice("xyzt")
    yield f"x={a},y={b};x={b},y={c}", f"x={c},y={a};x={b},y={c}", False
    yield f"x={a},y={b};x={b},y={c}", f"x={b},y={c};x={a},y={b}", True
    yield f"x={a}, y={b}, {c}", f"x={a}, y={b + 50}, {c}", False
    yield f"a_1={a}, a_2={b}", f"a_1={b}, a_2={a}", False
    yield rf"y_{{\max}}={a}, y_{{\min}}={b}", rf"y_{{\max}}={b}, y_{{\min}}={a}", False
    letter = rng.choice("nmkpqrs")
    yield f"(-{a})^{letter}", f"{a}^{letter}", False
    yield f"(-1)^{letter}", rng.choice(["1", "-1"]), False
    yield rf"\frac{{1-(-{a})^{letter}}}{{3}}", rf"\frac{{1+{a}^{letter}}}{{3}}", False
    yield f"(-1)^{{{letter}+1}}", f"-(-1)^{letter}", True
    yield f"|{x}-{a}|", f"{a}-{x}", False
    yield rf"\sqrt{{({x}+{a})^2}}", f"{x}+{a}", False
    yield rf"\frac{{|{x}-{a}|}}{{{x}-{a}}}", "-1", False
    yield r"\sqrt{-a^3}", r"-a\sqrt{-a}", True
    yield r"\sqrt{-a^3}", r"a\sqrt{-a}", False
    yield r"\ln|x|", r"\ln x", False
    yield f"x={a}", f"{b}x={a * b}", False
    yield "0", f"x^2-{a}x+{b}=0", False
    yield str(a), f"{b}x+{c}y={a}", False
    yield "A", "(A)(B)(C)", False
    yield "A", f"(A) is wrong, (B) {a}", False
    yield "B", f"B. {a} or C. {b}", False
    yield rf"(-\infty,-{a})和({b},+\infty)", rf"(-\infty,0)和({c + 50},+\infty)", False
    yield rf"(-\infty,-{a})和({b},+\infty)", rf"(-\infty,-{a})\cup({b},\infty)", True
    yield f"({a},{b})", f"({b + 50},{a})\\cup({c},1)", False
    yield rf"p\land q_{a}", rf"p\lor q_{a}", False
    yield r"\vec{a}\times\vec{b}", r"\vec{b}\times\vec{a}", False
    yield f"{a % 12 + 1}/2/2022", f"{2 * (a % 12 + 1)}/4/2022", False
    yield rf"x \equiv {a} \pmod 5", rf"x \equiv {a}/0 \pmod 5", False
    yield str(a), f"{a}位数", False
    yield f"{a}", f"约{a + 1}", False


def sentences(rng: random.Random) -> Iterator[Case]:
    """Answers in sentences and in Markdown."""
    n = rng.randint(2, 999)
    for sentence in (
        "x is {}", "x equals {}", "The area of the circle is ${}$.", "最小值为{}", "面积是{}", "**{}**", "`{}`",
        "*{}*", "__{}__",
        "The value of $x$ is {}.", "So the final answer is {}.", "答案是{}。",
    ):  # fmt: skip
        yield str(n), sentence.format(n), True
        yield str(n), sentence.format(n + 1), False
    yield str(n), f"It is not {n}", False
    yield str(n), f"最小值不是{n}", False
    yield f"{n}.5", f"约{n}.5", True
    yield f"100, {n + 100}", f"100,{n + 100}", True
