"""When what a program wrote or returned is what a test expects."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dunwu.verifiers.code import same_output, same_value
from dunwu.verifiers.programs import find_program


@pytest.mark.parametrize(
    ("expected", "written", "same"),
    [
        ("1\n2\n", "1\n2", True),
        ("1\n2", "1  \n2\t\n\n\n", True),
        ("1 2", "1  2", False),
        ("1\n2", "1 2", False),
        (" 1", "1", False),
        ("a b", "b a", False),
        ("", "\n \n", True),
        ("0.5", "0.50000000001", True),
        ("0.5", ".5", True),
        ("0.5", "5e-1", True),
        ("0.5", "0.50001", False),
        ("5", "5.0", False),
        ("5", "05", False),
        ("3", "\n3\n", False),
        ("x 1.0 y", "x 1.00 y", True),
        ("1.0", "nan", False),
        ("1.5", "１.５", False),
        ("YES", "yes", False),
        ("1e400", "inf", False),
    ],
)
def test_outputs(expected: str, written: str, same: bool) -> None:
    assert same_output(expected, written) is same


@pytest.mark.parametrize(
    ("expected", "written", "same"),
    [
        ("5", "5.0", True),
        ("5.0", "5", True),
        ("5", "5.", True),
        ("-0", "0", True),
        ("5", "05", True),
        ("0101", "101", True),
        ("101", "0101", True),
        ("1000000", "1e6", True),
        ("5", "5.0000001", False),
        ("3 4\n5", "3.0 +4\n5", True),
        ("3 x", "3.0 x", False),
        ("x 3", "x 3.0", False),
        ("x 3.0", "x 3.00", False),
        ("3", "3_0", False),
        ("3", "1e9999999999", False),
        ("1e400", "10e399", True),
        ("50000000000000000", "50000000000000001", False),
        ("0.1", "0.10000000001", True),
        ("3", "\n\n 3 \n", True),
        ("3\n4", "3\n\n4", False),
        ("nan", "nan", True),
        ("1", "nan", False),
    ],
)
def test_outputs_by_livecodebench_s_rules(expected: str, written: str, same: bool) -> None:
    assert same_output(expected, written, strictly=False) is same


@pytest.mark.parametrize(
    ("expected", "value", "same"),
    [
        (1, True, True),
        (True, 1.0, True),
        (2, 2.0, True),
        (2.0, 2, True),
        ([2, [1]], (2.0, (True,)), True),
        ({"a": 2.0}, {"a": 2}, True),
        (2, 3.0, False),
        (2, 2.0000000001, False),
        (2.0, 2.0000000001, True),
        (2.0, "2.0", False),
        ("2", 2, False),
        (0.5, Fraction(1, 2), True),
        (2, Fraction(2), True),
        (2, Fraction(5, 2), False),
        (2, Decimal("2.00"), True),
        (0.1, Decimal("0.1"), True),
        (0.1, Decimal("1e400"), False),
        (0.5, 10**400, False),
        (0.5, 0.5 + 0j, True),
        (0.5, 1j, False),
        ([], {}, False),
        ({}, [], False),
        ([1], {1}, False),
        ({"1": 2}, {1: 2}, False),
        ({"a": 1}, {"a": 1, "b": 1}, False),
        (None, False, False),
        (0, None, False),
    ],
)
def test_values_by_livecodebench_s_rules(expected: Any, value: Any, same: bool) -> None:
    assert same_value(expected, value, strictly=False) is same


@pytest.mark.parametrize(
    ("expected", "value", "same"),
    [
        (1, 1, True),
        (1, True, False),
        (True, 1, False),
        (1, 1.0, False),
        (1.0, 1, False),
        (2, Fraction(2), False),
        (0.1, 0.1 + 1e-9, True),
        (0.1, 0.1 + 1e-5, False),
        (1e12, 1e12 + 1, True),
        (1.0, float("nan"), False),
        ([1, 2], (1, 2), True),
        ([1, [2.0]], [1, (2.0000000001,)], True),
        ([1, 2], {1, 2}, False),
        ([1, 2], [2, 1], False),
        ({"a": [1]}, {"a": (1,)}, True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ("a", b"a", False),
        (None, None, True),
        (None, False, False),
        ([], None, False),
    ],
)
def test_values(expected: Any, value: Any, same: bool) -> None:
    assert same_value(expected, value) is same


@settings(deadline=None, max_examples=200)
@given(st.text(), st.text())
def test_any_two_texts_can_be_compared(left: str, right: str) -> None:
    assert same_output(left, left)
    assert same_output(left, right) in (True, False)
    assert isinstance(find_program(left), str)


def test_comparing_and_reading_ten_megabytes_is_linear() -> None:
    for char in "(`1.\n ":
        text = char * 10_000_000
        assert same_output(text, text)
        assert find_program(text) == text
        assert find_program(f"```{text}x").endswith("x")


@pytest.mark.parametrize(
    ("expected", "written", "strict", "official"),
    [
        ("  *\n ***", "*\n***", False, True),
        ("*\n ***", "*\n***", False, True),
        ("a  b", "a b", False, False),
        ("a b", "a\tb", False, False),
        ("1  2", "1 2", False, True),
        ("0.5  1.5", "0.50  1.5", True, True),
        ("0.5  1.5", "0.50 1.5", False, True),
        ("x 0.5", "x 0.50", True, False),
        ("3", "03", False, True),
        ("3", "03.0", False, True),
        ("03", "3", False, True),
        ("3", "3.0000001", False, False),
        ("x3", "x03", False, False),
        ("3", "0x3", False, False),
    ],
)
def test_gaps_are_output(expected: str, written: str, strict: bool, official: bool) -> None:
    assert same_output(expected, written) is strict
    assert same_output(expected, written, strictly=False) is official
