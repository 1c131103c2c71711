"""The numbers of a completion that curves, filters and tests are made of: a table a rollout, a row a completion."""

from __future__ import annotations

import ast
import hashlib
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dunwu.analysis.reasoning import behaviours, chain, reflection
from dunwu.analysis.reasoning.chain import Chain, Event, Kind
from dunwu.runs import AnswerRow
from dunwu.verifiers.format import extract_reasoning
from dunwu.verifiers.language import LANGUAGES, measure_share
from dunwu.verifiers.penalties import penalize_repetitions

FACTS_VERSION = "facts 3"
"""The version of a table of facts; another number where the same rollouts would give other facts."""
MOST = 255
"""A count that is kept in a byte ends here."""
OPENING = 120
"""Characters of question and reasoning that are kept for lists."""
PART = "part."
"""Prefix of the columns that hold the parts of a score."""
WORD = "word."
"""Prefix of the columns that count one word of reflection."""
WORD_COLUMNS = tuple(WORD + word for word in reflection.WORDS)
BATCH = 256
"""Completions whose texts are compared within themselves at a time."""


class Verdict(IntEnum):
    """What the rule said of an answer."""

    OPEN = -1
    """Nothing is right or wrong."""
    WRONG = 0
    RIGHT = 1


class Turn(IntEnum):
    """The result before the first word of reflection, and the answer in the end.

    There is none where the result cannot be read off, or the question has no numeric answer.
    """

    NONE = 0
    MENDED = 1
    """Wrong before, right in the end."""
    SPOILT = 2
    KEPT_RIGHT = 3
    KEPT_WRONG = 4


SCHEMA = pa.schema(
    [
        ("step", pa.int32()),
        ("version", pa.int32()),
        ("place", pa.int32()),
        ("group", pa.int32()),
        ("index", pa.int32()),
        ("problem", pa.int64()),
        ("task", pa.dictionary(pa.int32(), pa.string())),
        ("level", pa.int16()),
        ("language", pa.dictionary(pa.int32(), pa.string())),
        ("graded", pa.bool_()),
        ("verdict", pa.int8()),
        ("value", pa.float32()),
        ("tokens", pa.int32()),
        ("truncated", pa.bool_()),
        ("steps", pa.int32()),
        ("reflections", pa.int32()),
        *((name, pa.uint8()) for name in behaviours.BEHAVIOURS),
        ("own_language", pa.float32()),
        ("repetition", pa.float32()),
        ("turn", pa.uint8()),
        ("opening", pa.string()),
        ("question", pa.dictionary(pa.int32(), pa.string())),
        *((name, pa.uint8()) for name in WORD_COLUMNS),
    ]
)
"""``version``: updates of the policy that wrote it. ``place``: its row in the stored rollout. ``problem``: the 64-bit
fingerprint of its id. ``steps``: of reasoning. A behaviour: how often it shows. ``own_language``: share of the
reasoning's words that are of the question's language; null without words. ``repetition``: share of its runs of 40 words
that stood there before, in [0, 1]. ``opening``, ``question``: how reasoning and prompt begin."""


def extract_facts(rows: Sequence[AnswerRow]) -> pa.Table:
    """Extract the facts of a rollout.

    Args:
        rows: Its N completions.

    Returns:
        A table of N rows in their order: ``SCHEMA``, and a column for each part of their scores.
    """
    columns = _describe_rows(rows) | _read_texts(rows)
    table = pa.table([pa.array(columns[field.name], field.type) for field in SCHEMA], schema=SCHEMA)
    for name in sorted({name for row in rows for name in row.parts}):
        table = table.append_column(PART + name, pa.array([row.parts.get(name) for row in rows], pa.float32()))
    return table


def _describe_rows(rows: Sequence[AnswerRow]) -> dict[str, Sequence[Any]]:
    """Return the columns that need no text but how the question begins."""
    problems = {name: hash_problem_id(name) for name in {row.problem_id for row in rows}}
    questions = {prompt: _cut(prompt) for prompt in {row.prompt for row in rows}}
    return {
        "step": [row.step for row in rows],
        "version": [row.policy_version for row in rows],
        "place": range(len(rows)),
        "group": [row.group for row in rows],
        "index": [row.index for row in rows],
        "problem": [problems[row.problem_id] for row in rows],
        "task": [row.task for row in rows],
        "level": [max(-(2**15), min(row.level, 2**15 - 1)) for row in rows],
        "language": [row.language for row in rows],
        "graded": [row.status != "verifier_failed" for row in rows],
        "verdict": [to_verdict(row.right) for row in rows],
        "value": [row.value for row in rows],
        "tokens": [row.tokens for row in rows],
        "truncated": [None if row.finish is None else row.finish == "length" for row in rows],
        "question": [questions[row.prompt] for row in rows],
    }


def _read_texts(rows: Sequence[AnswerRow]) -> dict[str, Sequence[Any] | NDArray[Any]]:
    """Return the columns that are read from the completions, a batch of which is held at a time."""
    counts = {name: [0] * len(rows) for name in (*behaviours.BEHAVIOURS, *WORD_COLUMNS)}
    found: dict[str, list[Any]] = {name: [] for name in ("steps", "own_language", "turn", "opening", "repetition")}
    for start in range(0, len(rows), BATCH):
        thoughts = []
        for place, row in enumerate(rows[start : start + BATCH], start):
            read, thought = chain.read_chain(row.completion), extract_reasoning(row.completion)
            for span in behaviours.find_behaviours(read):
                counts[span.behaviour][place] += 1
            for word, times in reflection.count_words(row.completion).items():
                counts[WORD + word][place] = times
            found["steps"].append(read.steps)
            found["own_language"].append(_share_of_own_language(thought, row.language))
            found["turn"].append(classify_turn(read, row.gold, to_verdict(row.right)))
            found["opening"].append(_cut(thought))
            thoughts.append(thought)
        found["repetition"] += (-penalize_repetitions(thoughts)).tolist()
    reflections = np.sum([counts[name] for name in WORD_COLUMNS], axis=0)
    return {**found, "reflections": reflections, **{name: np.minimum(values, MOST) for name, values in counts.items()}}


def _cut(text: str) -> str:
    """Cut a text to how it begins, on one line; a lone surrogate, which a file cannot hold, is replaced."""
    return " ".join(text[:OPENING].split()).encode(errors="replace").decode()


def to_verdict(right: bool | None) -> Verdict:
    """Turn a row's ``right`` into a verdict."""
    return Verdict.OPEN if right is None else Verdict(right)


def hash_problem_id(problem_id: str) -> int:
    """Hash a problem's id into 64 bits, signed."""
    digest = hashlib.blake2b(problem_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def _share_of_own_language(thought: str, language: str) -> float | None:
    known = language in LANGUAGES  # else somebody else's file, of which the rest can be read
    return measure_share(thought, language) if known else None


def classify_turn(read: Chain, gold: str, verdict: Verdict) -> Turn:
    """Classify a chain by whether its result was right before the first word of reflection, and in the end.

    The result before is the last one derived before a word of reflection that says something: not a "but" before any
    result. It is right where it equals the value of ``gold``.

    Args:
        read: The chain.
        gold: The right answer, a number or an expression of numbers.
        verdict: What the rule said of the answer in the end.

    Returns:
        The turn; ``NONE`` where there is no such result, or nothing can be right.
    """
    before: Event | None = None
    for event in read.events:
        if event.kind is Kind.EQUATION:
            before = event
        elif before is not None and reflection.count_reflections(event.text):
            break
    else:
        return Turn.NONE
    wanted = parse_number(gold)
    if wanted is None or verdict is Verdict.OPEN:
        return Turn.NONE
    was_right = Fraction(before.equation[1]) == wanted
    if verdict is Verdict.RIGHT:
        return Turn.KEPT_RIGHT if was_right else Turn.MENDED
    return Turn.SPOILT if was_right else Turn.KEPT_WRONG


_OPERATORS: Mapping[type, Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
LONGEST_GOLD = 100
"""Characters of a gold answer that is read as a number."""


def parse_number(gold: str) -> Fraction | None:
    """Parse a right answer as a number.

    Args:
        gold: A number, or an expression of numbers with + - * / and brackets.

    Returns:
        Its value; None for anything else.
    """
    return _parse_number(gold) if len(gold) <= LONGEST_GOLD else None


@lru_cache(maxsize=1024)
def _parse_number(gold: str) -> Fraction | None:
    """Parse a right answer; all answers to a question have the same."""
    try:
        return _evaluate(ast.parse(gold.strip(), mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError, MemoryError):
        return None


def _evaluate(node: ast.expr) -> Fraction:
    match node:
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_evaluate(left), _evaluate(right))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_evaluate(operand)
        case ast.Constant(value=int() | float() as value) if math.isfinite(value) and not isinstance(value, bool):
            return Fraction(str(value))
    raise ValueError("no number")
