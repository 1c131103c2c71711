"""Expressions: the parser's values, and what counts as using each number once."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dunwu.verifiers.arithmetic import NotArithmetic, evaluate
from dunwu.verifiers.expression import check, make_key

TESTS = ("24", "3", "3", "8", "8")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1+2*3", Fraction(7)),
        ("(1+2)*3", Fraction(9)),
        ("8/(3-8/3)", Fraction(24)),
        ("10-4-3", Fraction(3)),
        ("100/10/5", Fraction(2)),
        ("-3--4", Fraction(1)),
        ("2*-(1-4)", Fraction(6)),
        ("0.1+0.2", Fraction(3, 10)),
        (".5*4.", Fraction(2)),
        (" 7 ", Fraction(7)),
    ],
)
def test_values_are_exact(text: str, value: Fraction) -> None:
    assert evaluate(text).value == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("2^10", Fraction(1024)), ("-2^2", Fraction(-4)), ("2^3^2", Fraction(512)), ("2^-2", Fraction(1, 4))],
)
def test_powers_where_they_are_allowed(text: str, value: Fraction) -> None:
    assert evaluate(text, powers=True).value == value
    with pytest.raises(NotArithmetic):
        evaluate(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "ends too early"),
        ("1+", "ends too early"),
        ("1 2", "unexpected '2'"),
        ("(1+2", "not closed"),
        ("1+2)", "unexpected ')'"),
        ("2(3)", "unexpected '('"),
        ("1/0", "division by zero"),
        ("1/(2-2)", "division by zero"),
        ("2**3", "unexpected '*'"),
        ("__import__('os')", "unexpected '_'"),
        ("+3", "unexpected '+'"),
        ("٣+1", "unexpected '٣'"),
        ("(" * 3000 + "1" + ")" * 3000, "longer than"),
        ("(" * 400 + "1" + ")" * 400, "deeper than"),
        ("-" * 400 + "1", "deeper than"),
    ],
)
def test_what_is_no_arithmetic_says_why(text: str, why: str) -> None:
    with pytest.raises(NotArithmetic, match=re.escape(why)):
        evaluate(text)


@pytest.mark.parametrize("text", ["9^9^9", "0^-1", "2^(1/2)", "2^99999"])
def test_powers_without_an_exact_value_are_refused(text: str) -> None:
    with pytest.raises(NotArithmetic):
        evaluate(text, powers=True)


@pytest.mark.parametrize(
    "answer",
    [
        "8/(3-8/3)",
        "8 ÷ (3 − 8 ÷ 3)",
        "８／（３－８／３）",
        "8/(3-8/3) = 24",
        "$8 \\div \\left(3 - 8 \\div 3\\right) = 24.0$",
        "-8/(8/3-3)",
    ],
)
def test_right_expressions(answer: str) -> None:
    assert check(TESTS, answer) == (True, "reaches 24")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("3*8", "uses 3, 8, not each of 3, 3, 8, 8 once"),
        ("3*8+3-3+8-8", "uses 3, 8, 3, 3, 8, 8, not each of 3, 3, 8, 8 once"),
        ("24", "uses 24, not each"),
        ("33-8-8", "uses 33, 8, 8"),
        ("3+3+8+8", "gives 22, not 24"),
        ("8/(3-8/3) = 25", "gives 24 but says 25"),
        ("8/(3-8/3) = 24 = 24", "not an expression"),
        ("8/(3-8/3) =", "not an expression"),
        ("= 24", "not an expression"),
        ("8/(3-8/3) yes", "not an expression"),
        ("8/(3-3)*8", "not an expression: division by zero"),
        ("", "not an expression"),
        ("x", "not an expression"),
    ],
)
def test_wrong_expressions_say_why(answer: str, why: str) -> None:
    right, reason = check(TESTS, answer)
    assert not right
    assert reason.startswith(why)


@pytest.mark.parametrize("answer", ["1²*3", "1₂*3", "①②*3", "⒈2*3", "1$2*3", r"1\left2*3", r"1\right2*3", "1²·3"])
def test_digits_are_never_glued_together(answer: str) -> None:
    right, reason = check(("36", "12", "3"), answer)
    assert not right
    assert reason.startswith("not an expression: unexpected")


@pytest.mark.parametrize("answer", ["$12$ * $3$", "𝟏𝟐*３", "12\u2009*\u00a03", r"\left(12\right)*3"])
def test_signs_that_mean_nothing_are_passed_over(answer: str) -> None:
    assert check(("36", "12", "3"), answer)[0]


def test_a_fraction_may_be_the_target() -> None:
    assert check(("1/2", "1", "2"), "1/2")[0]


def test_keys_join_what_is_algebraically_one_and_part_what_is_not() -> None:
    assert make_key("3*(5+7)") == make_key("(7 + 5) × 3 = 36")
    assert make_key("2+2") != make_key("2*2")
    assert make_key("(1+2)*3") != make_key("1+2*3")
    assert make_key("5+3-3") != make_key("5")
    assert make_key("3+4=8") == "3+4=8"
    assert make_key(" nonsense ") == "nonsense"


@settings(deadline=None)  # the machine may be busy
@given(
    st.recursive(
        st.integers(0, 99).map(str), lambda inner: st.builds("({}{}{})".format, inner, st.sampled_from("+-*"), inner)
    )
)
def test_the_parser_agrees_with_python(text: str) -> None:
    if text.count("(") < 50 and len(text) < 900:
        assert evaluate(text).value == eval(text)  # the text is ours


@settings(deadline=None)  # the machine may be busy
@given(st.text(max_size=80))
def test_no_text_breaks_the_check(answer: str) -> None:
    right, reason = check(TESTS, answer)
    assert isinstance(right, bool)
    assert reason
