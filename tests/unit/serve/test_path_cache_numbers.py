"""Where numbers stand in a text, and what they are worth."""

from __future__ import annotations

from fractions import Fraction

import pytest

from dunwu.serve.path_cache.numbers import find_numbers, read_value


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("16 eggs, -3 and 5-3, 1,234.5 or .5", ["16", "-3", "5", "3", "1,234.5", ".5"]),
        ("3/4, 1 1/2 and \\frac{3}{4} of 50%", ["3/4", "1 1/2", "\\frac{3}{4}", "50%"]),
        ("twenty-five, one hundred and five, two thirds", ["twenty-five", "one hundred and five", "two thirds"]),
        ("ninety percent of 3 million", ["ninety percent", "3 million"]),
        ("on March 5, 2024 at 3:45 pm", ["March 5, 2024", "3:45 pm"]),
        ("2024-03-05, 3/5/2024, 2024年3月5日下午3点半", ["2024-03-05", "3/5/2024", "2024年3月5日", "3点半"]),
        ("三百二十个，一共三分之二，百分之五十，1.2万", ["三百二十", "三分之二", "百分之五十", "1.2万"]),
        ("三角形的一边是两米，5千克", ["两", "5"]),
        ("x², ½, ③, Ⅳ", ["²", "½", "③", "Ⅳ"]),
        ("someone often weighs tons", []),
    ],
)
def test_numbers_are_found_as_they_are_written(text: str, numbers: list[str]) -> None:
    assert [number.text for number in find_numbers(text)] == numbers
    assert [text[number.start : number.end] for number in find_numbers(text)] == numbers


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,234.5", Fraction(2469, 2)), ("-3", Fraction(-3)), ("50%", Fraction(50)), ("1 1/2", Fraction(3, 2)),
        ("\\frac{3}{4}", Fraction(3, 4)), ("twenty-five", Fraction(25)), ("three hundred", Fraction(300)),
        ("三百二十", Fraction(320)), ("百分之五十", Fraction(50)), ("三分之二", Fraction(2, 3)),
        ("1.2万", Fraction(12000)), ("3/0", None), ("3:45", None), ("1" * 5000, None), ("plum", None),
    ],
)  # fmt: skip
def test_a_number_has_its_value(text: str, value: Fraction | None) -> None:
    assert read_value(text) == value
