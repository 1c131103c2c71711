"""Which answers are worth learning from: right, and readable (R1, arXiv 2501.12948v2, section 3.2.3)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dunwu.config.schema import AnswerFilterSpec, GradingSpec
from dunwu.types import Completion, Problem, Score
from dunwu.verifiers import penalties
from dunwu.verifiers.format import RULES, extract_reasoning
from dunwu.verifiers.language import measure_share

PARAGRAPH = re.compile(r"\n\s*\n")


def find_fault(
    grading: GradingSpec, answer_filter: AnswerFilterSpec, problem: Problem, completion: Completion, score: Score
) -> str | None:
    """Return the first reason not to keep an answer; None where it is kept.

    Args:
        grading: how answers are read.
        answer_filter: the recipe's demands on an answer's form.
        problem: what was asked.
        completion: the answer.
        score: what the rules said of it.
    """
    return next(_find_faults(grading, answer_filter, problem, completion, score), None)


def _find_faults(
    grading: GradingSpec, answer_filter: AnswerFilterSpec, problem: Problem, completion: Completion, score: Score
) -> Iterator[str]:
    text, chain = completion.text, extract_reasoning(completion.text)
    if score.status == "verifier_failed":
        yield "ungraded"
    elif score.parts.get("accuracy", 1.0) != 1.0:
        yield "wrong"
    if completion.finish == "length":
        yield "cut off"
    if "\0" in text:
        yield "no text"
    if answer_filter.format and not RULES[grading.format_rule](text):
        yield "format"
    if not answer_filter.code_blocks and "```" in chain:
        yield "code block"
    if max(map(len, PARAGRAPH.split(chain))) > answer_filter.paragraph:
        yield "long paragraph"
    if -penalties.penalize_repetition(text) > answer_filter.repetition:
        yield "repetitive"
    share = measure_share(chain, problem.language)
    if share is not None and share < answer_filter.language:  # without words it is of no language, and mixes none
        yield "mixed language"
