"""The numbers of a completion that curves, filters and tests are made of: a table a rollout, a row a completion."""

from __future__ import annotations

import ast
import hashlib
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from fractions import Fraction
from typing import Any

import pyarrow as pa

from dunwu.analysis.reasoning import behaviours, chain, reflection
from dunwu.analysis.reasoning.chain import Chain, Kind
from dunwu.runs import AnswerRow
from dunwu.verifiers.format import extract_reasoning
from dunwu.verifiers.language import LANGUAGES, has_words, measure_consistency
from dunwu.verifiers.penalties import penalize_repetition

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
        *((WORD + word, pa.uint8()) for word in reflection.WORDS),
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
    table = pa.Table.from_pylist([_extract_row(place, row) for place, row in enumerate(rows)], schema=SCHEMA)
    for name in sorted({name for row in rows for name in row.parts}):
        table = table.append_column(PART + name, pa.array([row.parts.get(name) for row in rows], pa.float32()))
    return table


def _extract_row(place: int, row: AnswerRow) -> dict[str, Any]:
    read = chain.read_chain(row.completion)
    shown = [sighting.behaviour for sighting in behaviours.find_behaviours(read)]
    words, thought = reflection.count_words(row.completion), extract_reasoning(row.completion)
    verdict = to_verdict(row.right)
    return {
        "step": row.step,
        "version": row.policy_version,
        "place": place,
        "group": row.group,
        "index": row.index,
        "problem": hash_problem_id(row.problem_id),
        "task": row.task,
        "level": max(-(2**15), min(row.level, 2**15 - 1)),
        "language": row.language,
        "graded": row.status != "verifier_failed",
        "verdict": verdict,
        "value": row.value,
        "tokens": row.tokens,
        "truncated": None if row.finish is None else row.finish == "length",
        "steps": read.steps,
        "reflections": sum(words.values()),
        **{name: min(shown.count(name), MOST) for name in behaviours.BEHAVIOURS},
        "own_language": _share_of_own_language(thought, row.language),
        "repetition": -penalize_repetition(thought),
        "turn": classify_turn(read, row.gold, verdict),
        "opening": _cut(thought),
        "question": _cut(row.prompt),
        **{WORD + word: min(words.get(word, 0), MOST) for word in reflection.WORDS},
    }


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
    return measure_consistency(thought, language) if known and has_words(thought) else None


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
    before: str | None = None
    for event in read.events:
        if event.kind is Kind.EQUATION:
            before = event.result
        elif before is not None and reflection.count_reflections(event.text):
            break
    else:
        return Turn.NONE
    wanted = parse_number(gold)
    if wanted is None or verdict is Verdict.OPEN:
        return Turn.NONE
    was_right = Fraction(before) == wanted
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
    if len(gold) > LONGEST_GOLD:
        return None
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
