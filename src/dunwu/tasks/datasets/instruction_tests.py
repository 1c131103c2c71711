"""IFEval's instructions as its files write them, made tests: JSON of an ``id`` and its ``kwargs``.

What each means stands in ``dunwu.verifiers.instructions``, which has a checker for every id of ``ARGUMENTS``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from dunwu.tasks.datasets.rows import MalformedError

MOST = 100_000
"""The largest count."""
RELATIONS = ("at least", "less than")
LANGUAGES = (
    *("en", "es", "pt", "ar", "hi", "fr", "ru", "de", "ja", "it", "bn", "uk", "th", "ur", "ta", "te", "bg", "ko", "pl"),
    *("he", "fa", "vi", "ne", "sw", "kn", "mr", "gu", "pa", "ml", "fi", "zh"),
)
"""Languages that an answer may be asked to be in: the data set's, and Chinese."""
Check = Callable[[Any], bool]


def _is_count(value: Any) -> bool:
    whole = isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1
    return bool(whole and 0 <= value <= MOST)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_text, value))


def _is_letter(value: Any) -> bool:
    return isinstance(value, str) and len(value.strip()) == 1


def _is_relation(value: Any) -> bool:
    return value in RELATIONS


def _is_language(value: Any) -> bool:
    return value in LANGUAGES


ARGUMENTS: Mapping[str, Mapping[str, Check]] = {
    "keywords:existence": {"keywords": _are_texts},
    "keywords:frequency": {"keyword": _is_text, "frequency": _is_count, "relation": _is_relation},
    "keywords:forbidden_words": {"forbidden_words": _are_texts},
    "keywords:letter_frequency": {"letter": _is_letter, "let_frequency": _is_count, "let_relation": _is_relation},
    "language:response_language": {"language": _is_language},
    "length_constraints:number_sentences": {"num_sentences": _is_count, "relation": _is_relation},
    "length_constraints:number_paragraphs": {"num_paragraphs": _is_count},
    "length_constraints:number_words": {"num_words": _is_count, "relation": _is_relation},
    "length_constraints:nth_paragraph_first_word": {
        "num_paragraphs": _is_count,
        "nth_paragraph": _is_count,
        "first_word": _is_text,
    },
    "detectable_content:number_placeholders": {"num_placeholders": _is_count},
    "detectable_content:postscript": {"postscript_marker": _is_text},
    "detectable_format:number_bullet_lists": {"num_bullets": _is_count},
    "detectable_format:constrained_response": {},
    "detectable_format:number_highlighted_sections": {"num_highlights": _is_count},
    "detectable_format:multiple_sections": {"section_spliter": _is_text, "num_sections": _is_count},
    "detectable_format:json_format": {},
    "detectable_format:title": {},
    "combination:two_responses": {},
    "combination:repeat_prompt": {"prompt_to_repeat": _is_text},
    "startend:end_checker": {"end_phrase": _is_text},
    "startend:quotation": {},
    "change_case:capital_word_frequency": {"capital_frequency": _is_count, "capital_relation": _is_relation},
    "change_case:english_capital": {},
    "change_case:english_lowercase": {},
    "punctuation:no_comma": {},
}
"""What each of the 25 instructions needs to know, under the data set's own names, ``section_spliter`` among them."""


def read_instruction(name: Any, kwargs: Any) -> str:
    """Read one instruction as a test.

    Args:
        name: The instruction's id.
        kwargs: Its arguments; what is null, or another instruction's, is left out.

    Returns:
        JSON of the ``id`` and its ``kwargs``.

    Raises:
        MalformedError: No instruction has this name, or it lacks an argument, or has one that is none.
    """
    if not isinstance(name, str) or name not in ARGUMENTS:
        raise MalformedError(f"no instruction is called {name!r:.60}")
    if not isinstance(kwargs, dict | None):
        raise MalformedError(f"the kwargs of {name} are {type(kwargs).__name__}, not an object")
    given = kwargs or {}
    for argument, is_one in ARGUMENTS[name].items():
        if not is_one(given.get(argument)):
            raise MalformedError(f"{name} has {argument} = {given.get(argument)!r:.40}")
    return json.dumps({"id": name, "kwargs": {argument: given[argument] for argument in ARGUMENTS[name]}})
