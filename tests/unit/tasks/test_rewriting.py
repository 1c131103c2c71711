"""Answers in R1's format by rule: the chain and the answer stay, a first person and a summary come."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dunwu.pretraining.world_corpus import WorldSpec, make_answered
from dunwu.tasks.rewriting import FIRST_PERSON, rewrite_by_rule, strip_thought
from dunwu.verifiers.format import extract_answer, extract_reasoning, follows_format, is_summarized

R1 = "<think>I think: 2+3=5</think> So my answer is <answer>5</answer>"


@pytest.mark.parametrize(
    ("text", "language", "rewritten"),
    [
        ("<think>2+3=5</think><answer>5</answer>", "en", R1),
        ("<think>2+3=5</think> <answer>5</answer>", "fr", R1),
        (" <think>\n2+3=5 </think>\n\n<answer>5</answer>\n", "en", f" {R1}\n"),
        (
            "<think>二加三</think> <answer>5</answer>",
            "zh",
            "<think>我想：二加三</think> 所以我的答案是<answer>5</answer>",
        ),
        (
            "<think>a\n\nb \\1 \\g<0></think><answer>\\frac{1}{2}</answer>",
            "en",
            "<think>I think: a\n\nb \\1 \\g<0></think> So my answer is <answer>\\frac{1}{2}</answer>",
        ),
    ],
)
def test_what_rules_make_of_an_answer(text: str, language: str, rewritten: str) -> None:
    assert rewrite_by_rule(text, language) == rewritten


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "<think>2+3=5",
        "<think>2+3=5<answer>5</answer>",
        "2+3=5</think><answer>5</answer>",
        "<think>2+3=5</think>5",
        "<think>2+3=5</think> so <answer>5</answer>",
        R1,
        "<think>a</think> b <think>c</think><answer>5</answer>",
        "Well: <think>2+3=5</think><answer>5</answer>",
    ],
)
def test_texts_of_another_shape_stay(text: str) -> None:
    assert rewrite_by_rule(text, "en") == text


SHOWN = st.text(st.characters(exclude_categories=["C"], exclude_characters="<"), max_size=40).map(lambda t: f"a{t}b")


@settings(deadline=None)  # the machine may be busy
@given(SHOWN, SHOWN, st.sampled_from(["en", "zh"]), st.sampled_from(["", " ", "\n\n"]))
def test_chain_and_answer_stay_and_the_format_is_r1_s(chain: str, answer: str, language: str, gap: str) -> None:
    text = f"{gap}<think>{gap}{chain}{gap}</think>{gap}<answer>{answer}</answer>"
    rewritten = rewrite_by_rule(text, language)
    assert follows_format(text)
    assert is_summarized(rewritten)
    assert not follows_format(rewritten)
    assert extract_reasoning(rewritten) == FIRST_PERSON[language][0] + chain
    assert extract_answer(rewritten, "answer-tag") == extract_answer(text, "answer-tag")
    assert rewrite_by_rule(rewritten, language) == rewritten


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("kind", ["ranking", "functions", "premises"])
def test_the_corpus_speaks_as_rules_rewrite(kind: str, language: str) -> None:
    """Of the same draws, what one who sums up writes is what the rules make of one who does not."""
    silent, spoken = WorldSpec(spoken=0.0, untagged=0.0), WorldSpec(spoken=1.0, untagged=0.0)
    for seed in range(100):
        plain, summed = (make_answered(spec, random.Random(seed), language, kind) for spec in (silent, spoken))
        assert plain.prompt == summed.prompt
        assert rewrite_by_rule(plain.completion, language) == summed.completion


REWRITTEN = "<think>I think: two and three make five</think> So my answer is <answer>5</answer>"
THOUGHTS = ["Hm.", "The form is <think>reasoning</think> summary. So: <answer>5</answer>.", "a </think> b"]


@pytest.mark.parametrize("thought", THOUGHTS)
@pytest.mark.parametrize(
    ("opening", "rewriting"),
    [("", REWRITTEN), ("<think>", REWRITTEN), ("", "Two and three make <answer>5</answer>")],
    ids=["opened by the template", "opened by the model", "without tags of its own"],
)
def test_what_a_rewriter_thinks_is_no_part_of_what_it_writes(opening: str, thought: str, rewriting: str) -> None:
    assert strip_thought(f"{opening}\n{thought}\n</think>\n\n{rewriting}").strip() == rewriting
    assert strip_thought(rewriting) == rewriting


@pytest.mark.parametrize("cut", ["<think>Hm.", "Hm.</think><think>I", "<think>The form <think>x</think> y"])
def test_a_rewriter_that_does_not_end_its_thought_has_written_nothing(cut: str) -> None:
    assert strip_thought(cut) == ""
