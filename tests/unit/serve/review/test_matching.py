"""Words are found where a writer hides them, and not where they only seem to stand."""

from __future__ import annotations

import pytest

from dunwu.serve.review.matching import LONGEST_TEXT, find_keyword, find_pattern, normalize


@pytest.mark.parametrize(
    ("keyword", "text"),
    [
        ("bomb", "A BOMB."),
        ("bomb", "ｂｏｍｂ"),
        ("bomb", "bo\u200bm\u00adb"),
        ("bomb", "b\u2060o\ufe0fm\u034fb"),
        ("bomb", "b o m b"),
        ("bomb", "b-o.m_b"),
        ("bomb", "b  o\nm\tb"),
        ("bomb", "bömb́"),
        ("bomb", "𝐛𝐨𝐦𝐛"),
        ("bomb", "这是bomb吗"),
        ("Pipe  Bomb", "pipe-bomb"),
        ("pipe bomb", "pipe\nbomb"),
        ("pipe bomb", "pipebomb"),
        ("mg", "5mg"),
        ("straße", "STRASSE"),
        ("炸弹", "造炸弹的"),
        ("炸弹", "炸 弹"),
        ("炸弹", "炸\u200b·弹"),
        ("毒品abc", "毒 品 a b c"),
        ("c++", "in C++ now"),
    ],
)
def test_a_keyword_is_found(keyword: str, text: str) -> None:
    assert find_keyword(["nothing", keyword], normalize(text)) == keyword


@pytest.mark.parametrize(
    ("keyword", "text"),
    [
        ("heroin", "the hero in the story"),
        ("heroin", "heroine"),
        ("therapist", "the rapist"),
        ("mg", "omg"),
        ("bomb", "bombastic"),
        ("5", "15"),
        ("炸弹", "爆炸，弹起"),
        ("炸弹", "炸了弹"),
        ("bomb", "b, o, m, b"),
    ],
)
def test_what_is_another_word_is_not_found(keyword: str, text: str) -> None:
    assert find_keyword([keyword], normalize(text)) is None


def test_patterns_see_normalized_text_in_any_case() -> None:
    assert find_pattern([r"\d MG"], normalize("take ５ mg")) == r"\d MG"
    assert find_pattern([r"\d MG"], normalize("take five")) is None


def test_a_pattern_that_would_never_end_is_cut() -> None:
    with pytest.raises(TimeoutError):
        find_pattern(["(a|aa)+$"], "a" * 80 + "b")


def test_a_text_too_long_for_patterns_is_not_tried_and_keywords_are_found_in_it() -> None:
    text = "x " * LONGEST_TEXT + "bomb"
    with pytest.raises(TimeoutError):
        find_pattern(["bomb"], text)
    assert find_keyword(["bomb"], text) == "bomb"
