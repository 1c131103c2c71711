"""Which mathematical answers are equal: by hand where arithmetic or words decide, through a real worker where not."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dunwu.types import Completion, Problem
from dunwu.verifiers import Grader
from dunwu.verifiers.answers import key, literal_value, same, same_literal
from dunwu.verifiers.math.exact import rational
from dunwu.verifiers.math.numerals import number, read_digits, written
from dunwu.verifiers.math.reading import read
from dunwu.verifiers.math.records import Quantity, Words
from dunwu.verifiers.math.tokens import tokenize

EQUAL = [
    (r"\text{(C)}", r"C"),
    (r"\text{(C)}", r"(C)"),
    (r"\text{Evelyn}", r"Evelyn"),
    (r"\text{Evelyn}", r"evelyn."),
    (r"\text{east}", r"East"),
    (r"90^\circ", r"90"),
    (r"90^\circ", r"90°"),
    (r"90^\circ", r"90 degrees"),
    (r"\frac{270}7\text{ degrees}", r"\frac{270}{7}"),
    (r"10,\!080", r"10080"),
    (r"11,\! 111,\! 111,\! 100", r"11,111,111,100"),
    (r"1000 m", r"\text{1{,}000} m"),
    (r"\$32,\!348", r"32348"),
    (r"\$32,\!348", r"\$32348"),
    (r"\$36", r"36 dollars"),
    (r"864 \mbox{ inches}^2", r"864"),
    (r"864 \mbox{ inches}^2", r"864 square inches"),
    (r"15\mbox{ cm}^2", r"15 cm²"),
    (r"5.4 \text{ cents}", r"5.4"),
    (r"1\frac{4}{5}", r"9/5"),
    (r"1\frac{4}{5}", r"1.8"),
    (r"137 \frac{1}{2}", r"137.5"),
    (r"1 \pm \sqrt{19}", r"1+\sqrt{19}, 1-\sqrt{19}"),
    (r"1 \pm \sqrt{19}", r"1-√19 and 1+√19"),
    (r"\{1\pm\sqrt{5},-2\}", r"\{-2, 1+\sqrt{5}, 1-\sqrt{5}\}"),
    (r"x \in [-2,7]", r"[-2,7]"),
    (r"x \in [-2,7]", r"-2 \le x \le 7"),
    (r"y = 2x + 3", r"2x+3"),
    (r"y = 2x + 3", r"y=3+2x"),
    (r"x=5", r"5"),
    (r"5", r"x=5"),
    (r"(3,4]", r"\left(3, 4\right]"),
    (r"52_8", r"52_{8}"),
    (r"4210_{5}", r"4210_5"),
    (r".0000672", r"6.72 \times 10^{-5}"),
    (r".35625", r"0.35625"),
    (r"\frac43", r"\dfrac{4}{3}"),
    (r"\frac 59", r"5/9"),
    (
        r"\begin{pmatrix} -1/3 \\ 2/3 \\ 5/3 \end{pmatrix}",
        r"\begin{bmatrix} -\frac13 \\ \frac23 \\ \frac53 \end{bmatrix}",
    ),
    (r"3, 5, 7", r"7,5,3"),
    (r"1,-2", r"-2, 1"),
    (r"3, 5, 7", r"3, 5, and 7"),
    (r"(0,9) \cup (9,36)", r"(9,36)\cup(0,9)"),
    (r"i", r"\sqrt{-1}"),
    (r"50\%", r"0.5"),
    (r"50\%", r"50 percent"),
    (r"12%", r"12%"),
    (r"1/8", r"0.125"),
    (r"½", r"1/2"),
    (r"5", r"５"),
    (r"-5", r"−5"),
    (r"\frac{3\sqrt{3}}{4}", r"0.75\sqrt3"),
    (r"70 \sqrt{2}", r"70√2"),
    (r"2k+2", r"2(k+1)"),
    (r"\cot x", r"1/\tan x"),
    (r"5x - 7y + 11z + 4 = 0", r"-5x+7y-11z-4=0"),
    (r"45", r"\sum_{n=1}^{9}n"),
    (r"x^2+1=0", r"2x^2+2=0"),
    (r"x>2", r"2x>4"),
    (r"x+y<1", r"2x+2y<2"),
    (r"5%", r"5 per cent"),
    (r"18", r"$18"),
    (r"18", r"\$18.00"),
    (r"18", r"18个"),
    (r"9", r"9元"),
    (r"6 - 5i", r"-5i+6"),
    (r"\frac{9}{256}", r"9 / 256"),
    (r"\left( 3, \frac{\pi}{2} \right)", r"(3, \frac{1}{2}\pi)"),
    (r"(6,31,-1)", r"( 6, 31, -1 )"),
    (r"(-\sqrt{3}, \sqrt{3})", r"(-√3,√3)"),
    (r"3", r"3."),
    (r"3", r"$3$"),
    (r"3", r"\(3\)"),
    (r"x^5 - x^4 + x^3 - x^2 + x - 1", r"(x-1)(x^4+x^2+1)"),
    (r"1,450,000", r"1450000"),
    (r"x=1 \text{ or } x=2", r"x=2, x=1"),
    (r"y = -2x", r"-2x"),
    (r"\text{even}", r"even"),
    (r"-\frac{35}{9}", r"\frac{-35}{9}"),
    (r"\frac12", r"\frac1{2}"),
    (r"\sin^2 x+\cos^2 x", r"1"),
    (r"\frac{1}{\sqrt{2}}", r"\frac{\sqrt{2}}{2}"),
    (r"(-\infty,0)\cup(0,\infty)", r"\mathbb{R}\setminus\{0\}"),
    (r"x\ge 3", r"[3,\infty)"),
    *((r"\frac25", text) for text in ("五分之二", "0.4", "百分之四十", "答案是五分之二。", "5分之2")),
    *(
        (r"12", text)
        for text in ("答案是12元", "答案：12", "共12只。", "十二", "１２", "12岁", "所以答案是12。", "一十二")
    ),
    *(
        (r"12", text)
        for text in ("the answer is 12", "Answer: $12$.", "= 12", "{12}", r"\boxed{12}", r"x = \boxed{12}")
    ),
    *((r"50\%", text) for text in ("百分之五十", "50％", "0.5", r"\frac12", "50 per cent")),
    *((r"3\frac12", text) for text in ("3又1/2", "三又二分之一", "3.5", "3½", "7/2", r"3又\frac{1}{2}")),
    *((r"120", text) for text in ("一百二十", "一百二十个", "１２０", "120.0", "120 degrees")),
    *((r"35000", text) for text in ("3.5万", "三万五千", "35 thousand", r"3.5 \times 10^4", "3.5e4", "35,000")),
    (r"3{,}000{,}000\text{ dollars}", r"\$3 million"),
    (r"-5", r"负五"),
    (r"5", r"5 apples"),
    (r"5", r"5 people"),
    (r"5", r"5本"),
    (r"5 zorks", r"5 zorks"),
    (r"5\text{ zorks}", r"5 Zorks."),
    (r"60\text{ km/h}", r"60 kilometers per hour"),
    (r"60\text{ mph}", r"60 miles per hour"),
    (r"60", r"60 km/h"),
    (r"25^\circ\text{C}", r"25°C"),
    (r"12\pi\text{ cm}^2", r"12π square centimeters"),
    (r"\text{(C)}", r"Option C"),
    (r"\text{(C)}", r"(c)"),
    (r"(x,y)=(1,2)", r"(1,2)"),
    (r"y=2x+3", r"2x-y+3=0"),
    (r"(-\infty,2)\cup(3,\infty)", r"x<2 \text{ or } x>3"),
    (r"(-\infty,2)\cup(3,\infty)", r"x<2 或 x>3"),
    (r"(2,\infty)", r"\{x \mid x>2\}"),
    (r"(2,\infty)", r"\{x\in\mathbb{R} : x>2\}"),
    (r"[0,1)\cup(1,2]", r"[0,2]\setminus\{1\}"),
    (r"\{1,2\}", r"{2, 1}"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\left[\begin{array}{cc}1&2\\3&4\end{array}\right]"),
    (r"\emptyset", r"\varnothing"),
    (r"0.\overline{3}", r"\frac13"),
    (r"0.1\overline{6}", r"\frac16"),
    (r"3:4", r"\frac34"),
    (r"3:4", r"3 : 4"),
    (r"x^2", r"x**2"),
    (r"10^{12}", r"10¹²"),
    (r"\frac{\sqrt6+\sqrt2}{4}", r"\cos 15^\circ"),
    (r"3.14", r"\approx 3.14"),
    (r"3.14", r"x ≈ 3.14"),
    (r"\log_2 3", r"\frac{\ln 3}{\ln 2}"),
    (r"2^x", r"e^{x\ln 2}"),
    (r"n!", r"n(n-1)!"),
    (r"\text{no solution}", r"No solution."),
    (r"$3$ and $4$", r"4, 3"),
    (r"x \ge 3", r"x >= 3"),
    (r"(-\infty, 3]", r"x<=3"),
    *((r"5\text{ m}", text) for text in ("5 m", "5m", "5 meters", "5米")),
    (r"10\text{ L}", r"10 L"),
    (r"5\text{ hours}", r"5 h"),
    (r"6\sqrt{2}\text{ m}", r"6\sqrt{2} m"),
    (r"12\pi\text{ m}^2", r"12\pi m^2"),
    (r"x\neq 1", r"x\ne1"),
    (r"x\neq 1", r"2x≠2"),
    (r"x\ne 1", r"1 \ne x"),
    (r"2:3", r"4:6"),
    (r"4:5", r"12:15"),
    *((r"-2", text) for text in ("negative 2", "minus 2", "Negative 2.", "负2", "the answer is negative 2")),
    (r"(-2,-\frac12)", r"(negative 2, negative \frac12)"),
    *((r"\frac13", text) for text in (r"0.\dot{3}", r"0.\dot3")),
    (r"\frac17", r"0.\dot{1}4285\dot{7}"),
    (r"\frac16", r"0.1\dot{6}"),
]
DIFFERENT = [
    (r"1/2004!", r"1/2006!"),
    (r"\frac{1}{2^{99}}", r"\frac{1}{2^{98}}"),
    (r"4", r"4√2"),
    (r"4", r"4 \sqrt 2"),
    (r"1-1/e", r"1+1/e"),
    (r"1-\frac1e", r"1+\frac1e"),
    (r"y=2x+3", r"y=3x+3"),
    (r"2x+3y=1", r"3x+2y=1"),
    (r"y = 2x+3", r"y = 3x+2"),
    (r"1,2,\ldots,n", r"1,3,\ldots,2n-1"),
    (r"1,2,...,n", r"1,3,...,2n-1"),
    (r"1,2,…,n", r"1,3,…,2n−1"),
    (r"5\text{ meters}", r"5\text{ cm}"),
    (r"5 meters", r"5 cm"),
    (r"5 m", r"5 cm"),
    (r"50\%", r"50"),
    (r"50", r"50%"),
    (r"[1,2)", r"(1,2]"),
    (r"(1,2)", r"[1,2]"),
    (r"(1,2)", r"\{1,2\}"),
    (r"(3,4)", r"(4,3)"),
    (r"(3,4)", r"3,4"),
    (r"57", r"5 7"),
    (r"12", r"5 7"),
    (r"35", r"5 7"),
    (r"52_8", r"52"),
    (r"52_8", r"52_9"),
    (r"1/3", r"0.333"),
    (r"1/3", r"0.333333"),
    (r"3", r"3 hundred"),
    (r"36", r"36 doubled"),
    (r"36", r"36 halved"),
    (r"36", r"36 gross"),
    (r"36", r"36 hex"),
    (r"36", r"36 choose two"),
    (r"36", r"36 reciprocal"),
    (r"36", r"36打"),
    (r"3", r"3 dozen"),
    (r"3", r"3 or 4"),
    (r"5", r"5k"),
    (r"2k+2", r"2k"),
    (r"2", r"2 less than 5"),
    (r"\text{east}", r"west"),
    (r"x=5", r"y=5"),
    (r"x=1,y=2", r"x=2,y=1"),
    (r"x=1,y=2", r"2,1"),
    (r"5", r"2+2=5"),
    (r"5", r"5=6"),
    (r"5", r"6=5"),
    (r"3, 5, 7", r"3,5"),
    (r"3, 5, 7", r"3,5,7,7"),
    (r"864 \mbox{ inches}^2", r"864 inches^3"),
    (r"90^\circ", r"90 radians"),
    (r"\$36", r"36 cents"),
    (r"6+9i", r"6-9i"),
    (r"\infty", r"-\infty"),
    (r"-5", r"5"),
    (r"18", r"18.01"),
    (r"\text{(C)}", r"D"),
    (r"5", r"1.2.3"),
    (r"9/25", r"1.2.3"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}2\\1\end{pmatrix}"),
    (r"\begin{pmatrix}1&2\end{pmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}"),
    (r"1 \pm \sqrt{19}", r"1+\sqrt{19}"),
    (r"x>3", r"x\ge 3"),
    (r"x>3", r"x<3"),
    (r"9", r"9千"),
    (r"9", r"9万"),
    (r"\frac{1}{2}", r"\frac{2}{1}"),
    (r"3\sqrt{13}", r"\sqrt{13}"),
    (r"3\sqrt{13}", r"13\sqrt{3}"),
    (r"\pi", r"3.14159265358979"),
    (r"e", r"2.718281828"),
    (r"p - q", r"q - p"),
    (r"5", r""),
    (r"5", r"?"),
    (r"5", r"(5"),
    (r"2", r"2,"),
    (r"10", r"1,0"),
    (r"1000", r"1,00,0"),
    (r"3", r"|3"),
    (r"1.5", r"1,5"),
    (r"2", r"2ab"),
    (r"3", r"3x"),
    (r"2", r"2 x y"),
    (r"\sqrt{x^2}", r"x"),
    (r"\sqrt{2}\sqrt{3}-\sqrt{6}", r"10^{-60}"),
    (r"12102", r"(12,102)"),
    (r"5", r"5 \pmod{7}"),
    (r"x^2+y^2=1", r"x^2+y^2=2"),
    (r"3!!", r"720"),
    (r"\overline{AB}", r"AB"),
    (r"0.3", r"0.30000001"),
    *((r"5", rf"5\text{{{text}}}") for text in ("6", "00", "!", ",000", "e3", ".5", "/6", "+1", "^2", " x 10", " 6")),
    (r"5", r"5\mathrm{x10}"),
    *((r"5", f"5 {word}") for word in ("lakh", "per mille", "basis points", "below zero", "zero", "eleven", "twenty")),
    *((r"5", f"5 {word}") for word in ("kilo", "wrong", "负", "有余")),
    *((r"56", f"5{char}6") for char in "\x00\r\x0b"),
    (r"56", r"5⑥"),
    (r"56", r"⑤6"),
    (r"56", r"5⒍"),
    (r"45", r"\sum_{n=1}^{8}n"),
    (r"x>2", r"-2x>-4"),
    (r"(1,2)", r"1.2"),
    *((r"5", f"5 {word}") for word in ("zorks", "fives", "backwards", "roughly", "nope", "septillion", "squaredd")),
    *((r"5", f"5 {word}") for word in ("左右", "多", "打", "折", "倍", "不对", "个半")),
    *((r"12", text) for text in ("一二", "十三", "一百二", "不是12", "约12", "12元或13元", "12.1元", "负十二")),
    *((r"120", text) for text in ("一百二", "一百零二", "一百二十一", "120万", "百二十")),
    *((r"\frac25", text) for text in ("二分之五", "五分之三", "五又二", "五二分之")),
    *((r"50\%", text) for text in ("百分之五", "五十", "百分之五十一", "百分之零点五")),
    (r"5 zorks", r"5"),
    (r"5 zorks", r"5 blorks"),
    (r"5 m", r"500 cm"),
    (r"60\text{ km/h}", r"60\text{ km}"),
    (r"60\text{ km/h}", r"60\text{ km/s}"),
    (r"60 miles per hour", r"60 km/h"),
    (r"5°C", r"5°F"),
    (r"3千米", r"3000"),
    (r"A", r"a"),
    (r"A", r"B"),
    (r"x", r"y"),
    (r"x_1", r"x_2"),
    (r"R^2-r^2", r"0"),
    (r"f'(x)", r"f(x)"),
    (r"0.5x", r"0.5000000000000000000001x"),
    (r"x'", r"x"),
    (r"[5]", r"5"),
    (r"x=5", r"2x=10"),
    (r"y=2x+3", r"2x+y+3=0"),
    (r"2", r"\approx 2"),
    (r"2", r"~2"),
    (r"2", r"x \approx 2"),
    (r"3.14", r"\approx 3.1"),
    (r"3.14", r"\pi \approx 3.14"),
    (r"3:4", r"4:3"),
    (r"3:30", r"1:10"),
    (r"2:3", r"4:9"),
    (r"2:3:4", r"4:6:9"),
    *((r"5\text{ m}", text) for text in ("5 s", "5k", "5 m^2", "6 m", "5mm", "5M", "5n")),
    *((r"5m", text) for text in ("5", "5n", r"5\text{ cm}", r"5\text{ minutes}")),
    *((r"5\text{ hours}", text) for text in ("5 m", "5H")),
    *((r"x\ne 1", text) for text in ("x=1", "x>1", r"x\ne 2", r"y\ne 1")),
    *((r"2", text) for text in ("negative 2", "minus 2", "负2")),
    (r"3", r"5 negative 2"),
    (r"3", r"5 minus 2"),
    (r"0.3", r"0.\dot{3}"),
    (r"\frac{4}{33}", r"0.\dot{1}2"),
    (r"3", r"\dot{3}"),
    (r"1024", r"2^{1}0"),
    (r"1161!", r"1161!+1"),
    (r"e^{1000}", r"e^{1000}+1"),
    (r"\pi", r"\pi+10^{-80}"),
    (r"\frac{1}{0}", r"\frac{2}{0}"),
    (r"\sin 30", r"\sin 30^\circ"),
    (r"\sin x", r"\sin x^\circ"),
    (r"\overline{AB}", r"\overline{ab}"),
    (r"(x,y)=(1,2)", r"(y,x)=(1,2)"),
    (r"x<2 \text{ or } x>3", r"2<x<3"),
    (r"x<2 \text{ and } x>1", r"(-\infty,2)\cup(1,\infty)"),
    (r"10^{12}", r"10¹³"),
    (r"5C2", r"10C"),
    (r"(1,2)", r"x=1,y=2"),
]
"""Each of them in both directions; the first dozen are what math-verify accepts by itself."""


def exact(text: str) -> Fraction | None:
    """The value of what is plain arithmetic."""
    answer = read(text)
    return rational(answer.tree) if isinstance(answer, Quantity) and answer.unit is None else None


def never(gold: str, answer: str) -> bool:
    """An ``ask`` that must not be needed."""
    raise AssertionError(f"asked a worker about {gold!r} and {answer!r}")


@pytest.fixture
def grade(
    grader: Grader, problem: Callable[..., Problem], completion: Callable[..., Completion]
) -> Callable[[str, str], bool]:
    """Grades through the real grader and its workers."""

    def graded(gold: str, answer: str) -> bool:
        score = grader.score(problem("math", gold), completion(f"<answer>{answer}</answer>"))
        assert score.status == "graded"
        return score.parts["accuracy"] == 1.0

    return graded


@pytest.mark.parametrize(("gold", "answer"), EQUAL)
def test_equal_answers_are_accepted_both_ways(grade: Callable[[str, str], bool], gold: str, answer: str) -> None:
    assert grade(gold, answer)
    assert grade(answer, gold)


@pytest.mark.parametrize(("gold", "answer"), DIFFERENT)
def test_different_answers_are_rejected_both_ways(grade: Callable[[str, str], bool], gold: str, answer: str) -> None:
    assert not grade(gold, answer)
    assert not answer or not grade(answer, gold)


def test_a_chain_of_equalities_counts_where_every_member_is_right() -> None:
    assert same("5", "2+3=5", never)
    assert same("5", "x = 2+3 = 5", never)
    assert not same("5", "2+2=5", never)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,234,567", Fraction(1234567)),
        ("1{,}234", Fraction(1234)),
        (r"1\,234", Fraction(1234)),
        (r"-\dfrac{3}{4}", Fraction(-3, 4)),
        (r"\frac12", Fraction(1, 2)),
        (r"2\tfrac13", Fraction(7, 3)),
        (r"-2\frac{1}{3}", Fraction(-7, 3)),
        ("2 1/3", Fraction(7, 3)),
        ("3½", Fraction(7, 2)),
        (r"6.02 \times 10^{23}", Fraction(602 * 10**21)),
        ("2^{-3}", Fraction(1, 8)),
        ("１２．５", Fraction(25, 2)),
        ("(3)", Fraction(3)),
        ("+7", Fraction(7)),
    ],
)
def test_rationals_are_read_exactly(text: str, value: Fraction) -> None:
    assert exact(text) == value


@pytest.mark.parametrize(
    "text", ["", "x", "1 2", "1,2", "12,34", "1.2.3", "2x", r"\sqrt{5}", "9^{9^9}", "x!", "--5 5", "5 7", "3 5/2"]
)
def test_what_is_no_rational_is_none(text: str) -> None:
    assert exact(text) is None


def test_a_written_number_has_no_operations_left() -> None:
    assert literal_value("1,024") == 1024
    assert literal_value(r"-\frac{6}{4}") == Fraction(-3, 2)
    for text in ("2^{10}", "1000+24", "2*3", "--5", "1/2/3", "2.5/5", r"\sqrt{4}", "3!"):
        assert literal_value(text) is None, text


@pytest.mark.parametrize(
    ("gold", "answer", "equal"),
    [
        ("18", "$18.00", True),
        ("18", "18 dollars", True),
        ("18", "18 kilometers", True),
        ("18", "18 cm²", True),
        ("18", "18 halved", False),
        ("18", "18 apples", True),
        ("18", "18 zorks", False),
        ("18 zorks", "18 Zorks", True),
        ("18 zorks", "18", False),
        ("1600", "1,600", True),
        ("18", "x = 18", True),
        ("5%", "5%", True),
        ("5%", "0.05", True),
        ("5%", "5", False),
        ("2/6", "1/3", True),
        ("1/3", "2/6", True),
        ("3/2", "1.5", True),
        ("3/2", r"1\frac{1}{2}", True),
        ("12", "24/2", False),
        ("-10", "-50/5", False),
        ("12", r"\frac{24}{2}", False),
        ("12", "12/1", False),
        ("12", "11 2/2", False),
        ("24/2", "24/2", True),
        ("24/2", "12", True),
        ("1/2", "2.5/5", False),
        ("50%", "1/4+1/4", False),
        ("-2", "negative 2", True),
        ("18", "9*2", False),
        ("18", "9+9=18", False),
        ("18", "81", False),
        ("18", "18 or 19", False),
        ("18", "1 8", False),
        ("18", "", False),
        ("9", "9" * 5000, False),
    ],
)
def test_literals(gold: str, answer: str, equal: bool) -> None:
    assert same_literal(gold, answer) == equal


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("864 square inches", "864", "inch^2"),
        (r"864 \mbox{ inches}^2", "864", "inch^2"),
        ("15 cm²", "15", "cm^2"),
        ("25平方米", "25", "m^2"),
        (r"\$36", "36", "dollar"),
        (r"-\$36", "-36", "dollar"),
        ("9元", "9", "yuan"),
        ("12 percent", "12", "%"),
        (r"90^\circ", "90", "°"),
        (r"\frac{270}7\text{ degrees}", "270/7", "°"),
        ("60 km/h", "60", "hour^-1·km"),
        ("60公里/小时", "60", "hour^-1·km"),
        ("60 miles per hour", "60", "hour^-1·mile"),
        (r"8 \text{ g/cm}^3", "8", "cm^-3·g"),
        ("25°C", "25", "celsius"),
        ("12 boxes", "12", "box"),
        ("12 people", "12", "people"),
        ("3 zorks", "3", "zork"),
        ("3左右", "3", "左右"),
    ],
)
def test_units_are_split_off(text: str, value: str, unit: str) -> None:
    quantity = read(text)
    assert isinstance(quantity, Quantity)
    assert quantity.unit is not None
    assert rational(quantity.tree) == Fraction(value)
    assert unit in quantity.unit.names


@pytest.mark.parametrize("text", ["52_8", "5 7", r"1,2,\ldots,n", "1.2.3", "apples", r"30° + 1", "3!!", "2,"])
def test_what_the_grammar_does_not_know_is_words(text: str) -> None:
    assert isinstance(read(text), Words)
    assert not isinstance(read(r"\frac{\sqrt{2}}{2} + \sin x"), Words)


def test_arithmetic_words_and_deep_nesting_never_reach_a_worker() -> None:
    pairs = [
        ("5", "6"),
        (r"\frac{1}{3}", "0.333"),
        (r"\text{east}", "west"),
        ("(1,2)", "(2,1)"),
        ("x", "(" * 300 + "x" + ")" * 300),
    ]
    assert not any(same(gold, answer, never) for gold, answer in pairs)


def test_answers_beyond_the_length_limit_equal_only_themselves() -> None:
    long = "x+" * 600 + "1"
    assert same(long, long, never)
    assert not same(long, long + "+0", never)
    assert not same("1", long, never)


@settings(deadline=None)  # the machine may be busy
@given(st.integers(0, 10**15))
def test_chinese_numerals_are_read_as_they_are_written(value: int) -> None:
    assert number(written(value)) == value
    assert in_digits(written(value) + "元") == f"{value}元"


def in_digits(text: str) -> str:
    """The text with the numeral at its head in digits."""
    return "".join(str(token) if token.kind != "word" else f" {token}" for token in read_digits(tokenize(text)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("三千米", "3千米"),
        ("三千", "3000"),
        ("3.5万元", "35000元"),
        ("百分之三点五", r"\frac{7}{2}%"),
        ("负五分之二", r"-\frac{2}{5}"),
        ("3 million dollars", "3000000 dollars"),
        ("1.2万亿", "1200000000000"),
        ("一百二", "一百二"),
        ("二〇二四", "二〇二四"),
        ("十多", "十多"),
        ("12多", "12多"),
        ("3 millions", "3 millions"),
        ("五分之零", "0"),
        ("零分之五", "零分之五"),
        ("千", "千"),
    ],
)
def test_numerals_at_the_head_become_digits(text: str, said: str) -> None:
    assert in_digits(text) == said


def test_keys_join_spellings_of_one_answer() -> None:
    assert key("0.5") == key(r"\frac12") == key("x = 1/2") == "1/2"
    assert key("18 dollars") == key("$18$") == "18"
    assert key("50%") == "50%"
    assert key("18 zorks", written=True) != key("18 apples", written=True) == key("18", written=True)
    assert key("9+9", written=True) != key("9+9") == "18"
    assert key("18 zorks") == "18 zorks"
    assert key(r"\sqrt2") == key(r"√2") != key("2")
    assert key(r"\sum_{n=1}^{9}n") != key(r"\prod_{n=1}^{9}n")
    assert key(r"5\text{ 6}") != key("5")


def test_values_that_would_be_too_long_to_write_are_texts() -> None:
    for text in ("255^{2500}", "2^{10000}*2^{10000}", "+".join(f"1/{n}^{{2857}}" for n in range(101, 150, 2))):
        assert exact(text) is None
        assert key(text)


@settings(deadline=None)  # the machine may be busy
@given(st.fractions(max_denominator=10**6), st.integers(1, 10**6))
def test_every_spelling_of_a_fraction_equals_it_and_no_neighbour(value: Fraction, shift: int) -> None:
    sign, n, d = "-" * (value < 0), abs(value.numerator), value.denominator
    for text in (
        f"{sign}{n}/{d}",
        rf"{sign}\frac{{{n}}}{{{d}}}",
        rf"$\dfrac{{{sign}{n}}}{{{d}}}$",
        f"x = {sign}{n * 3}/{d * 3}",
    ):
        assert same(str(value), text, never)
        assert not same(str(value + Fraction(1, shift)), text, never)
    assert same(f"{value.numerator}", f"{value.numerator:,}", never)


@settings(deadline=None)  # the machine may be busy
@given(st.text(st.sampled_from(r"\{}()[],;=+-*/^_%$°±√½ 0123456789.xyabcπ和或元frac sqrt pm cup text le"), max_size=60))
def test_no_text_breaks_the_comparison_and_each_equals_itself(text: str) -> None:
    assert same("5", text, lambda gold, answer: False) in (True, False)
    assert same(text, text, never)
    assert same_literal("5", text) in (True, False)
