"""IFEval: whether a response follows instructions that a rule can check (Zhou et al. 2023, arXiv 2311.07911, table 1).

A test of ``Problem.tests`` is JSON: ``{"id": "keywords:existence", "kwargs": {"keywords": [...]}}`` (see
``tasks.datasets.instruction_tests``). ``check`` is the paper's strict accuracy of a prompt, all of its instructions as
they stand; ``follows_loosely`` forgives an opening line, a closing one and markup. What is checked is the response
alone, never the reasoning before it. A blank response follows nothing.

Where the words of an instruction leave something open, the rules are the authors' as far as the paper and its data show
them: keywords count within longer words, forbidden words do not; paragraphs are parted by ``***`` where
they are counted and by blank lines where one is looked for. Stricter: a bullet has a space after its mark, a pair of
stars is one highlight, brackets must hold something, and of the three constrained answers one alone is an answer.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

from dunwu.verifiers.language import is_written_in
from dunwu.verifiers.verdict import Verdict

InstructionCheck = Callable[[str, Mapping[str, Any]], bool]

CONSTRAINED = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
COMMAS = ",，،"
HIGHLIGHT = re.compile(r"\*\*(?=\S)[^*\n]+(?<=\S)\*\*|\*(?=\S)[^*\n]+(?<=\S)\*")
LIST_BULLET = re.compile(r"^[ \t]*[*-][ \t]+\S", re.M)
PLACEHOLDER = re.compile(r"\[([^\[\]\n]+)\]")
ANGLE_TITLE = re.compile(r"<<([^\n<>]+)>>")
JSON_FENCE = re.compile(r"```(?:json)?[ \t]*\n?(.*?)\n?```", re.I | re.DOTALL)
WORD = re.compile(r"\w+(?:[-'’.]\w+)*")
POSTSCRIPTS = {"P.S.": r"p\.\s?s\.", "P.P.S": r"p\.\s?p\.\s?s"}
"""Markers that are written with spaces too."""
SENTENCE_END = re.compile(r"[.!?]+[\"'”’)\]*_]*(?=\s|\Z)|[。！？]+[”’」』）]*")
NO_END = re.compile(
    r"(?:(?<![\w.])(?:mr|mrs|ms|dr|prof|st|mt|vs|e\.g|i\.e|cf|fig|vol|approx)|(?<!\w)(?-i:[A-Z])"
    r"|^[ \t>*-]*\d{1,3})\.\Z",
    re.I | re.M,
)
"""What stands before a full stop that ends no sentence: an abbreviation, an initial, the number of a line."""
LONGEST_MARK = 40
"""Characters that ``NO_END`` looks back."""


def _count_filled(pattern: re.Pattern[str], text: str) -> int:
    """Count how often something stands in the brackets of a pattern."""
    return sum(bool(inside.strip()) for inside in pattern.findall(text))


def _compare_count(number: int, kwargs: Mapping[str, Any], bound: str, relation: str = "relation") -> bool:
    return bool(number < kwargs[bound] if kwargs[relation] == "less than" else number >= kwargs[bound])


def count_sentences(text: str) -> int:
    """Count the sentences of a text. A line break ends none; what follows the last end is one, if it has words."""
    found, start = 0, 0
    for end in SENTENCE_END.finditer(text):
        goes_on = re.match(r"\s+[a-z]", text[end.end() : end.end() + 20]) and not end[0].endswith(("!", "?"))
        before = text[max(start, end.end() - LONGEST_MARK) : end.end()]
        if goes_on or NO_END.search(before):
            continue
        found += bool(WORD.search(text, start, end.end()))
        start = end.end()
    return found + bool(WORD.search(text, start))


def _has_keywords(text: str, kwargs: Mapping[str, Any]) -> bool:
    return all(keyword.strip().lower() in text.lower() for keyword in kwargs["keywords"])


def _repeats_keyword(text: str, kwargs: Mapping[str, Any]) -> bool:
    return _compare_count(text.lower().count(kwargs["keyword"].strip().lower()), kwargs, "frequency")


def _avoids_words(text: str, kwargs: Mapping[str, Any]) -> bool:
    words = (re.escape(word.strip()) for word in kwargs["forbidden_words"])
    return not re.search(rf"(?<!\w)(?:{'|'.join(words)})(?!\w)", text, re.I)


def _repeats_letter(text: str, kwargs: Mapping[str, Any]) -> bool:
    return _compare_count(text.lower().count(kwargs["letter"].strip().lower()), kwargs, "let_frequency", "let_relation")


def _has_paragraphs(text: str, kwargs: Mapping[str, Any]) -> bool:
    parts = [part.strip() for part in text.split("***")]
    return all(parts[1:-1]) and sum(map(bool, parts)) == kwargs["num_paragraphs"]


def _has_words(text: str, kwargs: Mapping[str, Any]) -> bool:
    bare = "".join(char for char in text if not unicodedata.category(char).startswith("M"))  # else hi and bn fall apart
    return _compare_count(len(re.findall(r"\w+", bare)), kwargs, "num_words")


def _begins_paragraph(text: str, kwargs: Mapping[str, Any]) -> bool:
    parts = [part for part in text.split("\n\n") if part.strip()]
    if len(parts) != kwargs["num_paragraphs"] or not 1 <= kwargs["nth_paragraph"] <= len(parts):
        return False
    word = parts[int(kwargs["nth_paragraph"]) - 1].split()[0]
    return bool(word.strip(".,?!'\"“”‘’:;").lower() == kwargs["first_word"].strip().lower())


def _has_postscript(text: str, kwargs: Mapping[str, Any]) -> bool:
    marker = kwargs["postscript_marker"].strip()
    return bool(re.search(POSTSCRIPTS.get(marker, re.escape(marker)), text, re.I))


def _has_sections(text: str, kwargs: Mapping[str, Any]) -> bool:
    heading = re.escape(kwargs["section_spliter"].strip())
    return bool(len(re.findall(rf"{heading}\s?\d+", text)) >= kwargs["num_sections"])


def _is_json(text: str, kwargs: Mapping[str, Any]) -> bool:
    fenced = JSON_FENCE.fullmatch(text.strip())
    try:
        json.loads(fenced[1] if fenced else text)
    except (ValueError, RecursionError):
        return False
    return True


def _has_two_responses(text: str, kwargs: Mapping[str, Any]) -> bool:
    parts = [part.strip() for part in text.split("******")]
    answers = [part for part in parts if part]
    return all(parts[1:-1]) and len(answers) == 2 and answers[0] != answers[1]


def _ends_with_phrase(text: str, kwargs: Mapping[str, Any]) -> bool:
    return text.strip().strip('"').lower().endswith(kwargs["end_phrase"].strip().lower())


def _has_capital_words(text: str, kwargs: Mapping[str, Any]) -> bool:
    capital = sum(word.isupper() for word in WORD.findall(text))
    return _compare_count(capital, kwargs, "capital_frequency", "capital_relation")


CHECKS: Mapping[str, InstructionCheck] = {
    "keywords:existence": _has_keywords,
    "keywords:frequency": _repeats_keyword,
    "keywords:forbidden_words": _avoids_words,
    "keywords:letter_frequency": _repeats_letter,
    "language:response_language": lambda text, kwargs: is_written_in(text, kwargs["language"]),
    "length_constraints:number_sentences": lambda text, kwargs: _compare_count(
        count_sentences(text), kwargs, "num_sentences"
    ),
    "length_constraints:number_paragraphs": _has_paragraphs,
    "length_constraints:number_words": _has_words,
    "length_constraints:nth_paragraph_first_word": _begins_paragraph,
    "detectable_content:number_placeholders": lambda text, kwargs: (
        _count_filled(PLACEHOLDER, text) >= kwargs["num_placeholders"]
    ),
    "detectable_content:postscript": _has_postscript,
    "detectable_format:number_bullet_lists": lambda text, kwargs: (
        len(LIST_BULLET.findall(text)) == kwargs["num_bullets"]
    ),
    "detectable_format:constrained_response": lambda text, _: sum(answer in text for answer in CONSTRAINED) == 1,
    "detectable_format:number_highlighted_sections": lambda text, kwargs: (
        len(HIGHLIGHT.findall(text)) >= kwargs["num_highlights"]
    ),
    "detectable_format:multiple_sections": _has_sections,
    "detectable_format:json_format": _is_json,
    "detectable_format:title": lambda text, _: _count_filled(ANGLE_TITLE, text) > 0,
    "combination:two_responses": _has_two_responses,
    "combination:repeat_prompt": lambda text, kwargs: (
        text.strip().lower().startswith(kwargs["prompt_to_repeat"].strip().lower())
    ),
    "startend:end_checker": _ends_with_phrase,
    "startend:quotation": lambda text, _: len(text.strip()) > 1 and text.strip()[0] == text.strip()[-1] == '"',
    "change_case:capital_word_frequency": _has_capital_words,
    "change_case:english_capital": lambda text, _: text.isupper() and is_written_in(text, "en"),
    "change_case:english_lowercase": lambda text, _: text.islower() and is_written_in(text, "en"),
    "punctuation:no_comma": lambda text, _: not any(comma in text for comma in COMMAS),
}
"""By an instruction's id: whether a response that is not blank follows it, given its arguments."""


def follows(test: str, response: str) -> bool:
    """Return whether ``response``, as it stands, follows the instruction of a test."""
    asked = json.loads(test)
    return bool(response.strip()) and CHECKS[asked["id"]](response, asked["kwargs"])


def follows_loosely(test: str, response: str) -> bool:
    """Return whether a response follows an instruction in the paper's loose sense.

    It does where the response or one of its seven variations follows it: without the first line, the last, or both, and
    each of the four without stars.

    Args:
        test: The instruction, as JSON.
        response: What was answered.
    """
    lines = response.split("\n")
    cut = [response, *("\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1]))]
    return any(follows(test, text) for text in (*cut, *(text.replace("*", "") for text in cut)))


def check(tests: tuple[str, ...], response: str) -> Verdict:
    """Check that a response follows every instruction.

    Args:
        tests: The instructions, as JSON.
        response: What was answered.
    """
    broken = [json.loads(test)["id"] for test in tests if not follows(test, response)]
    kept = len(tests) - len(broken)
    reason = f"follows {kept} of {len(tests)} instructions ({kept / len(tests):.3f})"
    return Verdict(not broken, reason + (f", not {', '.join(broken)}" if broken else ""))
