"""Penalties: what is cut off, what repeats."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dunwu.verifiers.penalties import APART, GRAM, UNIT, penalize_repetition, penalize_repetitions, penalize_truncation


def test_only_what_is_cut_off_pays() -> None:
    assert penalize_truncation("length") == -1.0
    assert penalize_truncation("stop") == 0.0


def words(count: int, seed: int = 0) -> str:
    """Words of which no pair stands twice in a row."""
    rng = random.Random(seed)
    return " ".join(f"w{rng.randrange(10**9)}" for _ in range(count))


@pytest.mark.parametrize(
    ("text", "units"), [("3 + 41 = x1, 我们", 8), ("ひと don't", 5), (" \n", 0), ("\ud800((", 3), ("a" * 41, 3)]
)
def test_units(text: str, units: int) -> None:
    assert len(UNIT.findall(text)) == units


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("", 0.0),
        ("wait " * GRAM, 0.0),
        ("wait " * (GRAM + 1), -1 / 2),
        ("wait " * (GRAM + 99), -99 / 100),
        ("等" * (GRAM + 99), -99 / 100),
        ("再想，" * 100, -(300 - GRAM + 1 - 3) / (300 - GRAM + 1)),
        (words(500), 0.0),
        (f"{words(100)} {words(100)}", -61 / 161),
        (words(500) + " " + words(GRAM - 1), 0.0),
        (words(500) + " " + words(GRAM), -1 / 501),
    ],
)
def test_share_of_runs_that_stood_before(text: str, share: float) -> None:
    assert penalize_repetition(text) == pytest.approx(share)


@pytest.mark.parametrize(
    "text",
    [
        " ".join(f"wait let me try again number {turn}" for turn in range(300)),
        "，".join(f"等等，让我再试第{turn}次" for turn in range(300)),
        "wait" * 5000,
        "waitagain" * 5000,
    ],
)
def test_a_loop_that_counts_or_has_no_spaces_is_one(text: str) -> None:
    assert -1 <= penalize_repetition(text) < -0.97


@pytest.mark.parametrize(
    "text",
    [
        ", ".join(f"{a}*{b}={a * b}" for a in range(2, 30) for b in range(2, 9)),
        " ".join(f"Is 221 divisible by {number}? No." for number in range(3, 99)),
        " ".join(f"try {a}*{a + 1}={a * a + a}, {a}+7={a + 7}. check: too small. wait," for a in range(99)),
        ", ".join(map(str, range(500))),
    ],
)
def test_arithmetic_and_lists_are_no_loop(text: str) -> None:
    assert penalize_repetition(text) == 0.0


def test_order_within_a_run_counts() -> None:
    rng, names = random.Random(1), [f"w{n}" for n in range(GRAM)]
    shuffled = [" ".join(rng.sample(names, GRAM)) for _ in range(5)]
    assert penalize_repetition(" ".join(shuffled)) == 0.0


def naive(text: str) -> float:
    """The definition, run by run."""
    units = UNIT.findall(text)
    numbers = [place for place, unit in enumerate(units) if unit.isdecimal()]
    for place in numbers:
        if not any(0 < abs(place - other) < APART for other in numbers):
            units[place] = "number"
    grams = [tuple(units[i : i + GRAM]) for i in range(len(units) - GRAM + 1)]
    return len(set(grams)) / len(grams) - 1 if grams else 0.0


@settings(deadline=None)  # the machine may be busy
@given(
    st.lists(st.sampled_from(["a", "b ", "想", "12", " 7 ", "+"]), min_size=1, max_size=9),
    st.integers(1, 60),
    st.text(),
)
def test_hashes_count_what_the_definition_counts(loop: list[str], turns: int, end: str) -> None:
    text = "".join(loop) * turns + end
    assert penalize_repetition(text) == pytest.approx(naive(text))
    assert -1 <= penalize_repetition(text) <= 0


@settings(deadline=None)  # the machine may be busy
@given(st.text(st.characters(exclude_categories=()) | st.sampled_from("\0\ud800\u200b")))
def test_any_text_has_a_share(text: str) -> None:
    assert -1 <= penalize_repetition(text * 5) <= 0


@pytest.mark.parametrize("text", ["(" * 10_000_000, "<think>" * 1_428_571, "中" * 3_333_333])
def test_ten_megabytes_are_no_matter(text: str) -> None:
    assert penalize_repetition(text) == pytest.approx(-1, abs=1e-5)


def count_plainly(text: str) -> float:
    """The share of runs that stood before, run by run."""
    units = UNIT.findall(text)
    places = [place for place, unit in enumerate(units) if unit.isdecimal()]
    lone = {place for place in places if all(abs(place - other) >= APART for other in places if other != place)}
    named = ["" if place in lone else unit for place, unit in enumerate(units)]
    runs = [tuple(named[start : start + GRAM]) for start in range(len(named) - GRAM + 1)]
    return len(set(runs)) / len(runs) - 1 if len(runs) > 1 else 0.0


@given(st.lists(st.lists(st.sampled_from(["a", "bb", "7", "12", "等", ",", " "]), max_size=140), max_size=5))
@settings(deadline=None)
def test_texts_together_are_as_one_by_one(texts: list[list[str]]) -> None:
    joined = ["".join(f"{word} " for word in words) * 2 for words in texts] + [words(60), "a " * 41, ""]
    assert list(penalize_repetitions(joined)) == [count_plainly(text) for text in joined]
    assert [penalize_repetition(text) for text in joined] == [count_plainly(text) for text in joined]
