"""Counting words of reflection."""

from __future__ import annotations

import pytest

from dunwu.analysis.reasoning import reflection


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Wait, wait. WAIT!", {"wait": 3}),
        ("waiting awaits waited unchecked errors buttons", {}),
        ("(check) error: wrong; but-verify", {"but": 1, "error": 1, "verify": 1, "wrong": 1, "check": 1}),
        ("however mistake retry evaluate", {"mistake": 1, "however": 1, "retry": 1, "evaluate": 1}),
        ("wait2 wait_ 2wait", {}),
        ("等等，不对，我算错了。重新检查", {"等等": 1, "不对": 1, "错": 1, "重新": 1, "检查": 1}),
        ("不错，没错。错误", {"错": 1}),
        ("等等等等", {"等等": 2}),
        ("好wait好", {"wait": 1}),
        ("", {}),
    ],
)
def test_count(text: str, expected: dict[str, int]) -> None:
    assert reflection.count_words(text) == expected
    assert reflection.count_reflections(text) == sum(expected.values())


def test_spans_are_the_words() -> None:
    text = "3+4=8. Wait, 不对: check"
    assert [text[start:end] for start, end in reflection.find_reflections(text)] == ["Wait", "不对", "check"]
