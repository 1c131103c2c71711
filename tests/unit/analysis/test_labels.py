"""How numbers and a model's text are written for a reader."""

from __future__ import annotations

import pytest

from dunwu.analysis.labels import (
    METRIC_LABELS,
    describe_checkpoint,
    format_interval,
    format_number,
    format_p_value,
    sanitize,
)
from dunwu.analysis.reasoning.highlights import LONGEST_SHOWN, highlight
from dunwu.config.check_rewards import METRICS
from dunwu.observatory.figures import METRIC_FIGURES
from dunwu.types import Estimate


@pytest.mark.parametrize(
    ("name", "low", "high", "written"),
    [
        ("pass@1", 0.841, 0.89, "84.1–89 %"),
        ("pass@1", -0.02, 0.06, "0–6 %"),
        ("pass@1", 0.839, 1.161, "84–100 %"),
        ("reflections", -0.79, 1.2, "0–1.20"),
        ("length", 140.2, 145.9, "140.2–145.9"),
        ("something_else", -0.79, 0.2, "-0.79 to 0.20"),
    ],
)
def test_an_interval_has_no_sign_that_cannot_be(name: str, low: float, high: float, written: str) -> None:
    assert format_interval(name, Estimate(value=(low + high) / 2, low=low, high=high)) == written


@pytest.mark.parametrize(
    ("name", "value", "half", "written"),
    [
        ("pass@1", 1.0, 0.0, "100 %"),
        ("pass@1", 0.867, 0.01, "86.7 %"),
        ("pass@1", 0.867, 0.2, "87 %"),
        ("length", 143.0, 0.5, "143"),
        ("length", 1234.56, 20.0, "1,235"),
        ("reflections", 4.25, 0.1, "4.25"),
        ("reflections", 4.0, 0.1, "4"),
        ("something_else", -0.001, 0.0, "0"),
    ],
)
def test_a_number_has_no_digit_that_says_nothing(name: str, value: float, half: float, written: str) -> None:
    assert format_number(name, value, Estimate(value=value, low=value - half, high=value + half)) == written


def test_metrics_are_shown_under_the_names_that_a_run_writes() -> None:
    figures = {name for _, _, labels in METRIC_FIGURES for name in labels}
    assert METRIC_LABELS.keys() | figures <= METRICS | {"loss"}, "supervised stages have a loss"


def test_a_long_text_is_cut_where_a_page_would_be_too_large() -> None:
    shown = highlight("a" * LONGEST_SHOWN + "bcdef")
    assert "".join(segment.text for segment in shown.segments) == "a" * LONGEST_SHOWN
    assert shown.ending == "\n… 5 characters more"
    assert highlight("a" * LONGEST_SHOWN).ending == ""


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("4-2=2, 2*3=6, too small. wait, 4*2=8, 8+3=11.", ["too small. ", "wait, ", "4*2=8, ", "8+3=11"]),
        ("4-2=2，检查：2+2=4。也许", ["检查"]),
        ("7-3=4, 5*5=25. 也许7-5=2，检查：5*5=25", ["7-5=2", "检查：", "5*5=25"]),
        ("", []),
    ],
)
def test_punctuation_has_the_colour_of_what_it_ends(text: str, pieces: list[str]) -> None:
    segments = highlight(text).segments
    assert "".join(segment.text for segment in segments) == text
    assert [segment.text for segment in segments if segment.kinds] == pieces


def test_probabilities_and_checkpoints_in_words() -> None:
    assert [format_p_value(p) for p in (0.0312, 0.0001, 0.00001)] == ["= 0.031", "= 0.0001", "< 0.0001"]
    assert [describe_checkpoint(name) for name in ("base", "step-001024", "my-model")] == [
        "base",
        "after 1,024 updates",
        "my-model",
    ]


@pytest.mark.parametrize("mark", ["\u061c", "\u200f", "\u202e", "\u2066", "\x1b", "\x9b"])
def test_characters_that_steer_or_reverse_are_made_visible(mark: str) -> None:
    assert sanitize(f"a{mark}b\n不") == "a\N{REPLACEMENT CHARACTER}b\n不"
