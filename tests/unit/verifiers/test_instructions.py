"""IFEval's instructions: each followed, not followed, and at its edge; all of them or the share; strict and loose."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from tests.instructing import BUILDERS, WRITTEN_IN, following

from dunwu.errors import UserError
from dunwu.tasks.datasets.instruction_tests import ARGUMENTS, LANGUAGES
from dunwu.verifiers.instructions import CHECKS, check, count_sentences, follows, follows_loosely
from dunwu.verifiers.language import is_written_in

MANY = {"frequency": 2, "relation": "at least"}
FEW = {"frequency": 2, "relation": "less than"}
E2 = {"letter": "E", "let_frequency": 2, "let_relation": "at least"}
SECOND = {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "However"}
TWO_CAPITALS = {"capital_frequency": 2, "capital_relation": "at least"}
TEXT = "A river runs. It ends."

CASES: dict[str, list[tuple[dict[str, Any], str, bool]]] = {
    "keywords:existence": [
        ({"keywords": ["River", " mill"]}, "the riverside MILL", True),
        ({"keywords": ["river", "mill"]}, "the river", False),
        ({"keywords": ["a.c"]}, "abc", False),
    ],
    "keywords:frequency": [
        (MANY | {"keyword": "cat"}, "Cat and cat", True),
        (MANY | {"keyword": "cat"}, "one cat", False),
        (FEW | {"keyword": "cat"}, "one cat", True),
        (FEW | {"keyword": "cat"}, "cat, cats", False),
        (FEW | {"keyword": "cat"}, "none", True),
    ],
    "keywords:forbidden_words": [
        ({"forbidden_words": ["cat", "c++"]}, "a dog", True),
        ({"forbidden_words": ["cat", "c++"]}, "a Cat.", False),
        ({"forbidden_words": ["cat", "c++"]}, "a tomcat and cats", True),
        ({"forbidden_words": ["cat", "c++"]}, "written in C", True),
        ({"forbidden_words": ["cat", "c++"]}, "written in C++!", False),
    ],
    "keywords:letter_frequency": [
        (E2, "Even", True),
        (E2, "ten", False),
        (E2 | {"letter": "!"}, "ha! ha!", True),
        (E2 | {"let_relation": "less than"}, "even", False),
    ],
    "language:response_language": [
        ({"language": "de"}, WRITTEN_IN["de"], True),
        ({"language": "de"}, WRITTEN_IN["en"], False),
        ({"language": "hi"}, json.dumps({"answer": WRITTEN_IN["hi"]}, ensure_ascii=False), True),
        ({"language": "en"}, "12345", False),
    ],
    "length_constraints:number_sentences": [
        ({"num_sentences": 2, "relation": "at least"}, TEXT, True),
        ({"num_sentences": 3, "relation": "at least"}, TEXT, False),
        ({"num_sentences": 2, "relation": "less than"}, TEXT, False),
        ({"num_sentences": 3, "relation": "less than"}, TEXT, True),
    ],
    "length_constraints:number_paragraphs": [
        ({"num_paragraphs": 2}, "one\n***\ntwo", True),
        ({"num_paragraphs": 2}, "one\n\ntwo", False),
        ({"num_paragraphs": 2}, "***\none *** two\n***", True),
        ({"num_paragraphs": 2}, "one\n***\n\n***\ntwo", False),
    ],
    "length_constraints:number_words": [
        ({"num_words": 4, "relation": "at least"}, "four words are here", True),
        ({"num_words": 4, "relation": "at least"}, "only three, here", False),
        ({"num_words": 4, "relation": "less than"}, "four words are here", False),
        ({"num_words": 4, "relation": "less than"}, "फल खरीदूंगा है", True),
    ],
    "length_constraints:nth_paragraph_first_word": [
        (SECOND, "One.\n\n“however, two.", True),
        (SECOND, "However.\n\nTwo.", False),
        (SECOND, "One.\n\nHowever, two.\n\nThree.", False),
        (SECOND, "One.\n\n\n\nHowever two.", True),
        (SECOND | {"first_word": "don't"}, "One.\n\nDon't.", True),
        (SECOND | {"nth_paragraph": 3}, "However.\n\nHowever.", False),
        (SECOND | {"nth_paragraph": 0}, "However.\n\nHowever.", False),
    ],
    "detectable_content:number_placeholders": [
        ({"num_placeholders": 2}, "[name], [street 1]", True),
        ({"num_placeholders": 2}, "[name], [], [ ]", False),
        ({"num_placeholders": 2}, "[name [inner]] and [a\nb]", False),
    ],
    "detectable_content:postscript": [
        ({"postscript_marker": "P.S."}, "Bye.\n\np. s. One more.", True),
        ({"postscript_marker": "P.S."}, "Bye, ps.", False),
        ({"postscript_marker": "P.P.S"}, "Bye.\nP.S. One more.", False),
        ({"postscript_marker": "Note:"}, "Bye.\nnote: one more.", True),
    ],
    "detectable_format:number_bullet_lists": [
        ({"num_bullets": 2}, "So:\n* one\n  - two", True),
        ({"num_bullets": 2}, "* one\n* two\n* three", False),
        ({"num_bullets": 2}, "* one\n* two\n---\n-5 degrees\n*in italics*\n**bold**", True),
        ({"num_bullets": 0}, "none", True),
    ],
    "detectable_format:constrained_response": [
        ({}, "So: My answer is no.", True),
        ({}, "My answer is perhaps.", False),
        ({}, "My answer is yes. My answer is no.", False),
    ],
    "detectable_format:number_highlighted_sections": [
        ({"num_highlights": 2}, "*one* and **two**", True),
        ({"num_highlights": 2}, "***one***", False),
        ({"num_highlights": 2}, "* a point\n* another *point*", False),
        ({"num_highlights": 1}, "*cut\nin two*", False),
        ({"num_highlights": 1}, "* a point*", False),
    ],
    "detectable_format:multiple_sections": [
        ({"section_spliter": "Section", "num_sections": 2}, "Section 1\na\nSection 2\nb", True),
        ({"section_spliter": "Section", "num_sections": 2}, "Section 1\na\nSection two\nb", False),
        ({"section_spliter": "Section", "num_sections": 2}, "SECTION 1\nSECTION 2", False),
        ({"section_spliter": "§.", "num_sections": 1}, "§a1", False),
    ],
    "detectable_format:json_format": [
        ({}, ' {"a": [1]} ', True),
        ({}, '```json\n{"a": 1}\n```', True),
        ({}, '```\n{"a": 1}\n```', True),
        ({}, 'Here: {"a": 1}', False),
        ({}, "{'a': 1}", False),
        ({}, "[" * 100_000, False),
    ],
    "detectable_format:title": [
        ({}, "<<a title>>\ntext", True),
        ({}, "<a title>\ntext", False),
        ({}, "<< >> <<\n>>", False),
    ],
    "combination:two_responses": [
        ({}, "one\n******\ntwo", True),
        ({}, "one\n******\none", False),
        ({}, "one\n***\ntwo", False),
        ({}, "one******two******three", False),
        ({}, "******\none******two", True),
        ({}, "one******\n******two", False),
    ],
    "combination:repeat_prompt": [
        ({"prompt_to_repeat": " Where to? "}, "where to? There.", True),
        ({"prompt_to_repeat": "Where to?"}, "There. Where to?", False),
    ],
    "startend:end_checker": [
        ({"end_phrase": "That is all."}, 'So be it. THAT is all."\n', True),
        ({"end_phrase": "That is all."}, "That is all. Bye.", False),
    ],
    "startend:quotation": [
        ({}, ' "so be it"\n', True),
        ({}, '"so" be it', False),
        ({}, '"', False),
    ],
    "change_case:capital_word_frequency": [
        (TWO_CAPITALS, "I like NASA", True),
        (TWO_CAPITALS, "WELL-KNOWN Things", False),
        (TWO_CAPITALS | {"capital_relation": "less than"}, "the U.S. does", True),
        (TWO_CAPITALS | {"capital_relation": "less than"}, "DON'T DO", False),
    ],
    "change_case:english_capital": [
        ({}, WRITTEN_IN["en"].upper() + " 1!", True),
        ({}, WRITTEN_IN["en"].upper() + " Now", False),
        ({}, WRITTEN_IN["de"].upper(), False),
        ({}, "123", False),
    ],
    "change_case:english_lowercase": [
        ({}, WRITTEN_IN["en"], True),
        ({}, WRITTEN_IN["en"] + " Now", False),
        ({}, WRITTEN_IN["fr"], False),
    ],
    "punctuation:no_comma": [
        ({}, "one and two; three", True),
        ({}, "one, two", False),
        ({}, "一，二", False),
    ],
}


def asked(name: str, kwargs: Any) -> str:
    """A test as a problem has it."""
    return json.dumps({"id": name, "kwargs": dict(kwargs)})


@pytest.mark.parametrize(
    ("name", "kwargs", "response", "right"),
    [(name, *case) for name, cases in CASES.items() for case in cases],
)
def test_an_instruction(name: str, kwargs: dict[str, Any], response: str, right: bool) -> None:
    assert follows(asked(name, kwargs), response) is right


def test_every_instruction_is_checked_read_and_tried_both_ways() -> None:
    assert CHECKS.keys() == ARGUMENTS.keys() == CASES.keys() == BUILDERS.keys()
    assert len(CHECKS) == 25
    assert [name for name, cases in CASES.items() if {right for *_, right in cases} != {True, False}] == []


@pytest.mark.parametrize("name", BUILDERS)
def test_what_is_built_follows_and_what_is_blank_does_not(name: str) -> None:
    kwargs = BUILDERS[name][0]
    assert follows(asked(name, kwargs), following(name, kwargs))
    assert not follows(asked(name, kwargs), " \n")
    assert not follows_loosely(asked(name, kwargs), "")


def test_all_must_be_followed_and_the_reason_says_how_many_are() -> None:
    tests = (
        asked("punctuation:no_comma", {}),
        asked("detectable_format:title", {}),
        asked("startend:quotation", {}),
    )
    assert check(tests, '"<<one>>"') == (True, "follows 3 of 3 instructions (1.000)")
    told = "follows 1 of 3 instructions (0.333), not punctuation:no_comma, detectable_format:title"
    assert check(tests, '"one, two"') == (False, told)


QUOTED = asked("startend:quotation", {})
ENDING = asked("startend:end_checker", {"end_phrase": "the end"})


@pytest.mark.parametrize(
    ("test", "response", "loosely"),
    [
        (QUOTED, 'Sure:\n"text"', True),
        (QUOTED, '"text"\nAnything else?', True),
        (QUOTED, 'Sure:\n"text"\nAnything else?', True),
        (QUOTED, '**"text"**', True),
        (QUOTED, 'Sure:\n*"text"*\nAnything else?', True),
        (QUOTED, 'Sure:\nhere\n"text"', False),
        (QUOTED, 'Sure: "text"', False),
        (ENDING, "**the end**", True),
        (ENDING, "the end\n**", True),
        (ENDING, "no", False),
    ],
)
def test_the_loose_measure_forgives_first_and_last_lines_and_stars(test: str, response: str, loosely: bool) -> None:
    assert not follows(test, response)
    assert follows_loosely(test, response) is loosely


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("...", 0),
        ("One", 1),
        ("One. Two! Three?", 3),
        ("One. And", 2),
        ("Dr. Smith met Mr. J. R. Brown at 5 p.m. on Monday.", 1),
        ("We left at 5 p.m. Then it rained.", 2),
        ("It costs 3.50, e.g. at noon.", 1),
        ("My answer is no. He left.", 2),
        ("Really? yes.", 2),
        ("Well... not yet.", 1),
        ('"Stop!" she said. "Why?"', 2),
        ("1. First do this.\n2. Then do that.", 2),
        ("A title\n\nOne sentence.", 1),
        ("他走了。你呢？好！", 3),
        ("I like it, etc.", 1),
    ],
)
def test_sentences(text: str, count: int) -> None:
    assert count_sentences(text) == count


@pytest.mark.parametrize("language", WRITTEN_IN)
def test_each_language_is_told_from_all_others(language: str) -> None:
    assert [other for other, text in WRITTEN_IN.items() if is_written_in(text, language)] == [language]


def test_most_letters_decide() -> None:
    assert is_written_in(f"{WRITTEN_IN['zh']} river", "zh")
    assert not is_written_in(f"{WRITTEN_IN['zh']} 강은", "ko")


@pytest.mark.parametrize("language", ["de", "fr", "pl", "fi", "sw", "uk", "bg"])
def test_capitals_do_not_change_the_language(language: str) -> None:
    assert is_written_in(WRITTEN_IN[language].upper(), language)


def test_every_language_of_the_data_set_can_be_told() -> None:
    assert set(LANGUAGES) == WRITTEN_IN.keys()
    with pytest.raises(UserError, match="no language is called 'xx'"):
        is_written_in("x", "xx")


@pytest.mark.parametrize("piece", ["A e.g. ", "[a", "<<a", "*a ", "a.", '" ', "- ", "P.", "a-", "\n\n", "***", "1. "])
def test_no_response_takes_long(piece: str) -> None:
    response = piece * (200_000 // len(piece))
    start = time.process_time()
    for name, (kwargs, _) in BUILDERS.items():
        if name != "language:response_language" and not name.startswith("change_case:english"):
            follows(asked(name, kwargs), response)
    assert time.process_time() - start < 10
