"""How numbers and a model's text are written for a reader."""

from __future__ import annotations

import pytest

from dunwu.observatory import page
from dunwu.observatory.wording import checkpoint, interval, plain, probability
from dunwu.types import Estimate


@pytest.mark.parametrize(
    ("name", "low", "high", "written"),
    [
        ("pass@1", 0.841, 0.89, "84.1–89.0 %"),
        ("pass@1", -0.02, 0.06, "0.0–6.0 %"),
        ("reflections", -0.79, 1.2, "0.00–1.20"),
        ("length", 140.2, 145.9, "140.2–145.9"),
        ("something_else", -0.79, 0.2, "-0.79 to 0.20"),
    ],
)
def test_an_interval_has_no_sign_that_cannot_be(name: str, low: float, high: float, written: str) -> None:
    assert interval(name, Estimate(value=(low + high) / 2, low=low, high=high)) == written


def test_a_long_text_is_cut_where_a_page_would_be_too_large() -> None:
    shown = page.highlighted("a" * page.LONGEST_SHOWN + "bcdef")
    assert shown == "a" * page.LONGEST_SHOWN + "\n… 5 characters more"
    assert "more" not in page.highlighted("a" * page.LONGEST_SHOWN)


def test_probabilities_and_checkpoints_in_words() -> None:
    assert [probability(p) for p in (0.0312, 0.0001, 0.00001)] == ["= 0.031", "= 0.0001", "< 0.0001"]
    assert [checkpoint(name) for name in ("base", "step-001024", "my-model")] == [
        "base",
        "after 1,024 updates",
        "my-model",
    ]


@pytest.mark.parametrize("mark", ["\u061c", "\u200f", "\u202e", "\u2066", "\x1b", "\x9b"])
def test_characters_that_steer_or_reverse_are_made_visible(mark: str) -> None:
    assert plain(f"a{mark}b\n不") == "a\N{REPLACEMENT CHARACTER}b\n不"
