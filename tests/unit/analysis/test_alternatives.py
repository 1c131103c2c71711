"""Alternatives that are grouped find what they find one by one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dunwu.analysis.reasoning import chain, phrases, reflection
from dunwu.analysis.reasoning.alternatives import group_by_first_letter, unfold
from dunwu.analysis.reasoning.chain import Kind

DATA = Path(__file__).parents[2] / "data"
TEXTS = [json.loads(line)["chain"] for name in ("chains", "prose") for line in (DATA / f"{name}.jsonl").open()]
SAID: dict[Kind, phrases.Phrases] = {
    Kind.LACKS: phrases.Phrases((), ()),
    Kind.RECHECK: phrases.RECHECK,
    Kind.GIVE_UP: phrases.GIVE_UP,
    Kind.ANOTHER: phrases.ANOTHER,
    Kind.PLAN: phrases.PLAN,
    Kind.FAILS: phrases.FAILS,
    Kind.FITS: phrases.FITS,
}
REFLECTION = (
    rf"(?<![A-Za-z0-9_])(?:{'|'.join(reflection.ENGLISH)})(?![A-Za-z0-9_])"
    rf"|(?<![不没])错|{'|'.join(word for word in reflection.CHINESE if word != '错')}"
)


def join(said: phrases.Phrases) -> str:
    return "|".join([rf"(?<![A-Za-z])(?:{'|'.join(said.english)})(?![A-Za-z])", *said.chinese])


NAME = r"(?:[A-Z][a-z]{0,11}|[甲乙丙丁戊己庚辛壬癸])"
MISSING = rf"缺{NAME}|{NAME} is missing"
NUMBER = r"-?\d{1,18}(?:\.\d{1,18})?"
OPERAND = rf"\({{0,4}}{NUMBER}\){{0,4}}"
OPERATOR = r"(?:[-+*/×÷·−]|\\times|\\cdot|\\div)"
PLAIN: dict[Kind, str] = {
    Kind.EQUATION: rf"{OPERAND}(?:\s?{OPERATOR}\s?{OPERAND}){{1,16}}"
    rf"\s?(?:=|≈|等于|得|equals\b|is\b)\s?{NUMBER}(?![\d*+/])",
    Kind.ORDER: rf"(?<![A-Za-z]){NAME}(?:\s?[>＞]\s?{NAME}){{1,16}}|(?<![A-Za-z]){NAME}(?=[,，]\s?(?:{MISSING}))",
    Kind.CLAIM: rf"{NUMBER}\s?[<>=≠＜＞]\s?{NUMBER}(?![\d*+/])"
    rf"|{NUMBER}\s?(?:is (?:not )?(?:even|odd|prime)\b|不?是[奇偶质]数)",
    Kind.LACKS: MISSING,
    **{kind: f"(?i:{join(said)})" for kind, said in SAID.items() if kind is not Kind.LACKS},
    Kind.MARK: f"(?i:{REFLECTION})",
}
EVENT = re.compile("|".join(f"(?P<{kind.name}>{pattern})" for kind, pattern in PLAIN.items()))
"""All events, alternative after alternative."""
SIGNS = re.compile(r"\(\?[:=!<][^)]*\)|[\\?:\[\]()|*{}^$]")
ODD = (
    "miſtake",
    "checK",
    "ſtart",
    "3*4=12",
    "-5+3=-2",
    "20>13",
    "8 is even",
    "甲>乙，缺丙",
    "Dan is missing",
    "不错",
    "\n",
)
WORDS = [
    *(SIGNS.sub(" ", line) for said in SAID.values() for part in said for line in part),
    *reflection.WORDS,
    *ODD,
    *" ".join(TEXTS).split(),
]


def find_events(text: str) -> list[tuple[str, int, int]]:
    return [(str(match.lastgroup), *match.span()) for match in EVENT.finditer(text)]


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_events_of_chains_are_those_of_the_plain_pattern(text: str) -> None:
    read = chain.read_chain(text)
    found = [(match.lastgroup, *match.span()) for match in EVENT.finditer(text, read.start, read.end)]
    assert [(event.kind.name, event.start, event.end) for event in read.events] == found


@given(st.lists(st.one_of(st.sampled_from(WORDS), st.text(max_size=2)), max_size=30), st.sampled_from(["", " "]))
@settings(max_examples=300, deadline=None)
def test_events_of_any_text_are_those_of_the_plain_pattern(parts: list[str], between: str) -> None:
    for text in (between.join(parts), between.join(parts).upper()):
        read = chain.read_chain(f"<think>{text}</think>")
        assert [(event.kind.name, event.start - 7, event.end - 7) for event in read.events] == find_events(text)
        assert reflection.find_reflections(text) == [
            match.span() for match in re.finditer(REFLECTION, text, re.IGNORECASE)
        ]


def test_a_group_at_the_beginning_is_unfolded() -> None:
    assert unfold("(?:a|(?:b|c)d(?:e|f))g?h", "i") == ["ag?h", "bd(?:e|f)g?h", "cd(?:e|f)g?h", "i"]
    assert unfold("(?:way )?(?:too|more) big") == ["way (?:too|more) big", "too big", "more big"]
    assert unfold("(?<![不没])错误?") == ["错(?<![不没]错)误?"]


def test_of_alternatives_with_one_first_letter_the_first_counts() -> None:
    pattern = re.compile(group_by_first_letter(["sat", "b(?=x)", "sa", "satin"]))
    assert [match[0] for match in pattern.finditer("satin SA ſat bx by")] == ["sat", "SA", "ſat", "b"]
