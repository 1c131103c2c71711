"""IFEval's instructions as its files write them, brought to tests: JSON of an ``id`` and its ``kwargs``.

What each means stands in ``dunwu.verifiers.instructions``, which has a checker for every id of ``ARGUMENTS``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from dunwu.tasks.datasets.rows import MalformedError

MOST = 100_000
"""Of anything that is counted."""
RELATIONS = ("at least", "less than")
LANGUAGES = (
    *("en", "es", "pt", "ar", "hi", "fr", "ru", "de", "ja", "it", "bn", "uk", "th", "ur", "ta", "te", "bg", "ko", "pl"),
    *("he", "fa", "vi", "ne", "sw", "kn", "mr", "gu", "pa", "ml", "fi", "zh"),
)
"""That an answer may be asked to be in: the data set's, and Chinese."""
Check = Callable[[Any], bool]


def _count(value: Any) -> bool:
    whole = isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1
    return bool(whole and 0 <= value <= MOST)


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_text, value))


def _letter(value: Any) -> bool:
    return isinstance(value, str) and len(value.strip()) == 1


def _relation(value: Any) -> bool:
    return value in RELATIONS


def _language(value: Any) -> bool:
    return value in LANGUAGES


ARGUMENTS: Mapping[str, Mapping[str, Check]] = {
    "keywords:existence": {"keywords": _texts},
    "keywords:frequency": {"keyword": _text, "frequency": _count, "relation": _relation},
    "keywords:forbidden_words": {"forbidden_words": _texts},
    "keywords:letter_frequency": {"letter": _letter, "let_frequency": _count, "let_relation": _relation},
    "language:response_language": {"language": _language},
    "length_constraints:number_sentences": {"num_sentences": _count, "relation": _relation},
    "length_constraints:number_paragraphs": {"num_paragraphs": _count},
    "length_constraints:number_words": {"num_words": _count, "relation": _relation},
    "length_constraints:nth_paragraph_first_word": {
        "num_paragraphs": _count,
        "nth_paragraph": _count,
        "first_word": _text,
    },
    "detectable_content:number_placeholders": {"num_placeholders": _count},
    "detectable_content:postscript": {"postscript_marker": _text},
    "detectable_format:number_bullet_lists": {"num_bullets": _count},
    "detectable_format:constrained_response": {},
    "detectable_format:number_highlighted_sections": {"num_highlights": _count},
    "detectable_format:multiple_sections": {"section_spliter": _text, "num_sections": _count},
    "detectable_format:json_format": {},
    "detectable_format:title": {},
    "combination:two_responses": {},
    "combination:repeat_prompt": {"prompt_to_repeat": _text},
    "startend:end_checker": {"end_phrase": _text},
    "startend:quotation": {},
    "change_case:capital_word_frequency": {"capital_frequency": _count, "capital_relation": _relation},
    "change_case:english_capital": {},
    "change_case:english_lowercase": {},
    "punctuation:no_comma": {},
}
"""What each of the 25 instructions needs to know, under the data set's own names, ``section_spliter`` among them."""


def read(name: Any, kwargs: Any) -> str:
    """The test of one instruction. Of ``kwargs`` those that are null, or of another instruction, are left.

    Raises:
        MalformedError: no instruction has this name, or it lacks an argument, or has one that is none.
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
