"""R1's format rule edge by edge, and where answers are looked for."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dunwu.verifiers.format import (
    RULES,
    TAGS,
    extract_answer,
    extract_reasoning,
    extract_summary,
    follows_format,
    is_summarized,
)
from dunwu.verifiers.math.answers import same_answer
from dunwu.verifiers.texts import same_text

GOOD = "<think>first</think> <answer>42</answer>"


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        "\n <think>\nfirst\n</think>\n\n<answer>\n42\n</answer> \n",
        "<think>a < b > c and <b>bold</b></think><answer>\\boxed{42}</answer>",
        "<think>想一想</think><answer>四十二</answer>",
        "\u3000<think>first</think>\u00a0<answer>42</answer>\x1c",
        "<think>-</think><answer>√</answer>",
        "<think>＜think＞ and <THINK> and </ think> are text</think><answer>42</answer>",
        "<think>```\ncode\n```</think><answer>`42`</answer>",
        "<think>a\0b\ud800</think><answer>42\u200b</answer>",
    ],
)
def test_texts_that_follow_the_format(text: str) -> None:
    assert follows_format(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "42",
        "first</think><answer>42</answer>",
        "<think>first<answer>42</answer>",
        "<think>first</think>42",
        "<think>first</think><answer>42",
        "<think>first</think>42</answer>",
        "<think></think><answer>42</answer>",
        "<think> \n</think><answer>42</answer>",
        "<think>first</think><answer> </answer>",
        "So: " + GOOD,
        GOOD + " Done.",
        "<think>first</think> so <answer>42</answer>",
        "<answer>42</answer><think>first</think>",
        "<think>first<answer>42</answer></think>",
        "<think>first</answer></think><answer>42",
        "<think>a</think><think>b</think><answer>42</answer>",
        "<think>first</think><answer>41</answer><answer>42</answer>",
        "<think>the tag <answer> comes</think><answer>42</answer>",
        "<THINK>first</THINK><ANSWER>42</ANSWER>",
        "< think>first</think><answer>42</answer>",
        GOOD + GOOD,
        "<think>" + GOOD + "</think>",
        "<think>```\n<answer>\n```</think><answer>42</answer>",
        "<think>they want `</think>` here</think><answer>42</answer>",
        "<think>first</think><answer>42</answer> <think>",
        "＜think＞first＜/think＞＜answer＞42＜/answer＞",
        "<think\u200b>first</think><answer>42</answer>",
        "\ufeff" + GOOD,
        GOOD + "\u200b",
        "<think>first</think>\u2060<answer>42</answer>",
    ],
)
def test_texts_that_do_not(text: str) -> None:
    assert not follows_format(text)


INVISIBLE = (
    "\u200b",
    "\u200d\ufeff",
    "\u2060 \n",
    "\0\x07",
    "\u3164",
    "\u2800",
    "\ufe0f",
    "\u0301",
    "\ud800",
    "\u202e",
)


@pytest.mark.parametrize("nothing", INVISIBLE)
def test_what_shows_nothing_is_no_content(nothing: str) -> None:
    assert not follows_format(f"<think>{nothing}</think><answer>42</answer>")
    assert not follows_format(f"<think>first</think><answer>{nothing}</answer>")
    assert follows_format(f"<think>{nothing}a</think><answer>4{nothing}</answer>")
    assert extract_answer(f"<answer>{nothing}</answer>", "answer-tag") is None
    assert extract_answer(f"\\boxed{{{nothing}}}", "boxed") is None
    assert extract_answer(f"42\n{nothing}", "last-line") in (None, "42")


def test_the_prompt_s_tags_are_not_the_completion_s() -> None:
    """The completion alone is judged: what a prompt quotes would break it here."""
    prompt = "Think in <think> </think>, then answer in <answer> </answer>."
    assert follows_format(GOOD)
    assert not follows_format(prompt + GOOD)


@pytest.mark.parametrize(
    ("text", "chain"),
    [
        (GOOD, "first"),
        ("<think>\n a < b \n</think><answer>4</answer>", "\n a < b \n"),
        ("first</think><answer>42</answer>", "first"),
        ("<think>first<answer>42</answer>", "first"),
        ("<think>cut o", "cut o"),
        ("first <answer>42</answer>", "first "),
        ("first, 42", "first, 42"),
        ("before <think>a</think> b <think>c</think><answer>42</answer>", "a  b  c"),
        ("<think>a</think><answer>1</answer>", "a"),
        ("<answer>1</answer>", ""),
        ("</think>a<think>b", "b"),
        ("", ""),
    ],
)
def test_the_chain_of_thought(text: str, chain: str) -> None:
    assert extract_reasoning(text) == chain


ODD = st.text(st.characters(exclude_categories=()) | st.sampled_from("\0\ud800\udfff\u200b"), max_size=60)


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.sampled_from([*TAGS, "\\boxed{", "}"]) | ODD, max_size=8).map("".join))
def test_no_text_breaks_the_format(text: str) -> None:
    chain = extract_reasoning(text)
    assert not any(tag in chain for tag in TAGS)
    assert len(chain) <= len(text)
    for answer in (
        extract_answer(text, "answer-tag"),
        extract_answer(text, "boxed"),
        extract_answer(text, "last-line"),
    ):
        assert answer is None or answer.strip() != ""
    if follows_format(text):
        assert f"<think>{chain}</think>" in text
        assert text.strip().endswith("</answer>")


@pytest.mark.parametrize("text", ["(" * 10_000_000, "<think>" * 1_428_571, "<answer>" * 1_250_000])
def test_ten_megabytes_are_no_matter(text: str) -> None:
    assert not follows_format(text)
    assert extract_reasoning(text).strip(" ") in ("", text)
    assert extract_answer(text, "answer-tag") is None


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.sampled_from([*TAGS, "x", " "]), max_size=12).map("".join))
def test_only_the_one_order_of_tags_passes(text: str) -> None:
    if follows_format(text):
        bare = text.replace(" ", "").replace("x", "")
        assert bare == "".join(TAGS)
        assert text.strip().startswith("<think>")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (GOOD, "42"),
        ("<answer>1</answer> or <answer> 2 </answer>", "2"),
        ("<answer>1</answer> and then <answer>2", "1"),
        ("<answer>The answer is \\boxed{\\frac{1}{2}}.</answer>", "\\frac{1}{2}"),
        ("<answer></answer>", None),
        ("</answer>5<answer>", None),
        ("<answer>5", None),
        ("5</answer>", None),
        ("\\boxed{5}", None),
        ("", None),
    ],
)
def test_answer_tag(text: str, answer: str | None) -> None:
    assert extract_answer(text, "answer-tag") == answer


@pytest.mark.parametrize(
    ("inside", "answer"),
    [
        (" 42 ", "42"),
        ("\n  return 42 \n", "  return 42"),
        (" \n\n    x = 1\n    return x\n", "    x = 1\n    return x"),
        ("def f():\n  return 1", "def f():\n  return 1"),
        ("a\n  b\n\n", "a\n  b"),
    ],
)
def test_what_the_first_line_of_an_answer_is_indented_by_is_kept(inside: str, answer: str) -> None:
    assert extract_answer(f"<answer>{inside}</answer>", "answer-tag") == answer


SUMMED = "<think>first</think> So it is <answer>42</answer>."


@pytest.mark.parametrize(
    "text",
    [
        SUMMED,
        GOOD,
        "<think>first</think>42",
        "\n <think>\nfirst\n</think>\n\nCats eat meat.\n",
        "<think>first</think><answer>1</answer> or <answer>2</answer>",
        "<think>first</think> twice: <answer>1</answer><answer>1</answer> done",
        "<think>a < b and <b>bold</b></think> they said: <THINK>",
        "<think>想一想</think>所以我的答案是<answer>四十二</answer>",
    ],
)
def test_texts_that_are_summarized(text: str) -> None:
    assert is_summarized(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "42",
        "<think>first",
        "<think>first</think>",
        "<think>first</think> \n",
        "<think>first</think>\u200b",
        "<think></think>42",
        "<think>\u2060</think>42",
        "first</think>42",
        "So: " + SUMMED,
        "\ufeff" + SUMMED,
        "</think>first<think>42",
        SUMMED + SUMMED,
        "<think>a</think><think>b</think>42",
        "<think>a<think>b</think>42",
        "<think>a</think>b</think>42",
        "<think>first <answer>41</answer></think>42",
        "<think>first <answer></think>42",
        "<think>first</answer></think>42",
        "<think>first</think>It is <answer>42",
        "<think>first</think>It is 42</answer>",
        "<think>first</think></answer>42<answer>",
        "<think>first</think><answer><answer>42</answer></answer>",
        "<think>first</think>It is <answer></answer>",
        "<think>first</think>It is <answer>42</answer><answer> \u200b</answer>",
    ],
)
def test_texts_that_are_not_summarized(text: str) -> None:
    assert not is_summarized(text)


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.sampled_from([*TAGS]) | ODD, max_size=8).map("".join))
def test_what_follows_the_format_is_summarized_and_a_summary_shows(text: str) -> None:
    assert is_summarized(text) or not follows_format(text)
    if is_summarized(text):
        assert text.lstrip().startswith("<think>")
        assert extract_summary(text)
        assert not any(tag in extract_summary(text) for tag in TAGS)
        assert ("<answer>" in text) == (extract_answer(text, "answer-tag") is not None)


@pytest.mark.parametrize(
    ("rule", "follow"),
    [("think-answer", [GOOD]), ("think-summary", [GOOD, SUMMED]), ("none", [GOOD, SUMMED, "42", ""])],
)
def test_rules_by_name(rule: str, follow: list[str]) -> None:
    assert [text for text in (GOOD, SUMMED, "42", "") if RULES[rule](text)] == follow


@pytest.mark.parametrize("rest", ["x" * 10_000_000, "<answer>x</answer>" * 500_000])
def test_long_summaries_are_no_matter(rest: str) -> None:
    assert is_summarized(f"<think>a</think>{rest}")
    assert not is_summarized(f"<think>a</think>{rest}</answer>")


SAID = {"boxed": "\\boxed{12}", "answer-tag": "<answer>12</answer>", "last-line": "Answer: 12", "summary": "12"}


@pytest.mark.parametrize("where", SAID)
@pytest.mark.parametrize("cut", [False, True])
def test_an_answer_in_the_reasoning_is_none(where: Literal["boxed", "answer-tag", "last-line"], cut: bool) -> None:
    said = SAID[where]
    assert extract_answer(f"<think>{said}</think>", where, cut=cut) is None
    assert extract_answer(f"{said}</think>", where, cut=cut) is None
    assert extract_answer(f"<think>{said}</think>It is thirteen.", where, cut=cut) in (
        None,
        "It is thirteen",
        "It is thirteen.",
    )
    assert extract_answer(f"<think>{said}</think> <think>{said}", where, cut=True) is None
    assert extract_answer(f"<think>a</think> {said}", where, cut=cut) == "12"
    assert extract_answer(f"<think>{said}", where, cut=True) is None
    assert extract_answer(said, where, cut=cut) == "12"


def test_reasoning_that_was_cut_off_is_no_answer() -> None:
    text = "<think>So <answer>12</answer> maybe"
    assert extract_answer(text, "answer-tag", cut=True) is None
    assert extract_answer(text, "answer-tag") == "12"  # a base model that forgets the closing tag


HOSTILE = [
    "！",
    "so ",
    "【",
    " ",
    "\\boxed",
    "\\boxed{",
    "\\boxed[",
    "\\fcolorbox{",
    "\\\\",
    "$$\n",
    "answer ",
    "#### ",
    "*",
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_long_runs_are_read_in_one_pass(piece: str) -> None:
    for text in (piece * 20_000, piece * 20_000 + "x", "x" + piece * 20_000):
        for where in ("boxed", "last-line", "answer-tag"):
            found = extract_answer(text, where)
            assert found is None or found


@pytest.mark.parametrize(
    ("text", "found"),
    [("<answer>5<answer>6</answer></answer>", "6</answer>"), ("<answer>5</answer>6</answer>", "5</answer>6")],
)
def test_tags_within_an_answer_leave_no_answer_that_is_right(text: str, found: str) -> None:
    """They stay in what is extracted, so that no verifier accepts it."""
    assert extract_answer(text, "answer-tag") == found
    assert not any(same_answer(gold, found, lambda *_: False) or same_text(gold, found) for gold in ("5", "6"))
