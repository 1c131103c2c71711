"""Rows of published data sets whose columns alone make no problem: options to shuffle, tests in parts, turns.

Each function brings a row to an ``Asked``. Columns that are missing, empty or of another type are a ``MalformedError``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from string import ascii_uppercase
from typing import Any

from dunwu.tasks.datasets import code_tests, instruction_tests
from dunwu.tasks.datasets.packed import NotPackedError, unpacked
from dunwu.tasks.datasets.rows import MalformedError, Row, column, text_of
from dunwu.tasks.task import fingerprint

NO_SOLUTION = "none is given"
"""The gold of a program that nobody solved: tests decide, and the gold is only shown."""
DIFFICULTIES = {"easy": 1, "medium": 2, "hard": 3}
LONGEST_LINE = 1 << 26
"""Bytes of a row with many tests, as LiveCodeBench's private ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a row asks, and what its answers are graded by: the fields of a ``Problem``."""

    question: str
    kind: str
    gold: str
    level: int = 0
    subject: str = ""
    tests: tuple[str, ...] = ()


def humaneval(row: Row) -> Asked:
    """HumanEval (Chen et al., arXiv 2107.03374) and HumanEval+: ``prompt``, ``canonical_solution``, ``test``,
    ``entry_point``."""
    test = _test(code_tests.humaneval, row.values)
    gold = text_of(row, "canonical_solution").rstrip()
    return Asked(question=text_of(row, "prompt").strip(), kind="code", gold=gold, tests=(test,))


def mbpp(row: Row) -> Asked:
    """MBPP (Austin et al., arXiv 2108.07732), its sanitized form and MBPP+: ``text`` or ``prompt``, ``code``, and the
    tests of ``code.mbpp``. The question shows the first of ``test_list``, which says what the function is called."""
    test = _test(code_tests.mbpp, row.values)
    question = text_of(row, "text" if "text" in row.values else "prompt").strip()
    shown = str(listed(row, "test_list")[0]).strip()
    question += f"\n\nYour code should pass this test:\n```python\n{shown}\n```"
    return Asked(question=question, kind="code", gold=text_of(row, "code").strip(), tests=(test,))


def gpqa(row: Row) -> Asked:
    """GPQA (Rein et al., arXiv 2311.12022): ``Question``, ``Correct Answer``, ``Incorrect Answer 1`` to ``3``; the
    subject is the ``Subdomain``, else the ``High-level domain``.

    The file has the right option first. Here they stand in an order of hashes of question and option: the same on every
    machine, and blind to which is right.
    """
    question, gold = text_of(row, "Question").strip(), text_of(row, "Correct Answer").strip()
    others = [text_of(row, f"Incorrect Answer {number}").strip() for number in (1, 2, 3)]
    options = tuple(sorted((gold, *others), key=lambda option: fingerprint(f"{question}\n{option}")))
    if len(set(options)) < len(options):
        raise MalformedError("two of the options are the same")
    return Asked(
        question=with_options(question, options),
        kind="choice",
        gold=ascii_uppercase[options.index(gold)],
        subject=subject_of(row, "Subdomain") or subject_of(row, "High-level domain"),
        tests=options,
    )


def with_options(question: str, options: Sequence[str]) -> str:
    """A question with its options below it, a letter before each. Raises MalformedError where letters do not do."""
    if not 2 <= len(options) <= len(ascii_uppercase):
        raise MalformedError(f"{len(options)} options; a choice has 2 to {len(ascii_uppercase)}")
    letters = ascii_uppercase[: len(options)]
    listed = "\n".join(f"{letter}) {option.strip()}" for letter, option in zip(letters, options, strict=True))
    named = f"{', '.join(letters[:-1])} or {letters[-1]}"
    return f"{question}\n\n{listed}\n\nAnswer with the letter of the right option: {named}."


def lists_options(question: str, options: Sequence[str]) -> bool:
    """Whether the options stand in a question one behind the other, each behind its own letter (``A)``, ``(A)``,
    ``A.``, ``A：``). That their texts occur in it says nothing: options may be single digits."""
    listed = (
        rf"(?<!\w)[(\[（【*]*{letter}[*]*[)\].:．、。：）】][*]*\s*{re.escape(option.strip())}"
        for letter, option in zip(ascii_uppercase, options, strict=False)
    )
    parts = r"[\s,;.，；。、$*]*(?:(?:and|or|和|或)\s)?".join(listed)
    return re.search(rf"{parts}(?=[,;.，；。*?!？！]*(?:\s|$))", question) is not None


def livecodebench(row: Row) -> Asked:
    """LiveCodeBench (Jain et al., arXiv 2403.07974): ``question_content``, ``public_test_cases`` and, where they are,
    ``private_test_cases`` (see ``packed``; JSON too), ``metadata``, ``starter_code``, ``difficulty``; the subject is
    the ``platform``."""
    question, starter = text_of(row, "question_content").strip(), _optional(row, "starter_code").rstrip()
    if starter:
        question += f"\n\nBegin with this code:\n```python\n{starter}\n```"
    entry = code_tests.function_name(_as_text(row.values.get("metadata") or ""))
    tests = [*_cases(row, "public_test_cases"), *_cases(row, "private_test_cases")]
    if not tests:
        raise MalformedError("has neither public nor private tests")
    difficulty = _optional(row, "difficulty")
    if difficulty and difficulty not in DIFFICULTIES:
        raise MalformedError(f"'difficulty' is {difficulty!r:.40}, none of {', '.join(DIFFICULTIES)}")
    return Asked(
        question=question,
        kind="code",
        gold=NO_SOLUTION,
        level=DIFFICULTIES.get(difficulty, 0),
        subject=subject_of(row, "platform"),
        tests=tuple(_test(code_tests.read_test, case, entry) for case in tests),
    )


def codeforces(row: Row) -> Asked:
    """Problems of contests in LiveCodeBench's form; the subject is the ``contest_id``, so that a contest's problems are
    told together."""
    return replace(livecodebench(row), subject=text_of(row, "contest_id").strip())


def ifeval(row: Row) -> Asked:
    """IFEval (Zhou et al., arXiv 2311.07911): ``prompt``, ``instruction_id_list`` and, in its order, ``kwargs``."""
    names, arguments = listed(row, "instruction_id_list"), listed(row, "kwargs")
    if len(names) != len(arguments):
        raise MalformedError(f"{len(names)} instructions with {len(arguments)} kwargs")
    tests = tuple(instruction_tests.read(*pair) for pair in zip(names, arguments, strict=True))
    return Asked(question=text_of(row, "prompt").strip(), kind="instructions", gold="", tests=tests)


def safety(row: Row) -> Asked:
    """Questions of a safety benchmark: ``prompt`` and, where they are, ``category`` (the subject) and one of two
    columns of true and false. With ``refuse``, whether to refuse is right, a rule of thumb grades the answers
    (``dunwu.verifiers.refusal``); with ``safe``, or with neither, they are open, and judges say what they are worth."""
    refuse, safe = _flag(row, "refuse"), _flag(row, "safe")
    should = not safe if refuse is None and safe is not None else refuse
    return Asked(
        question=text_of(row, "prompt").strip(),
        kind="open" if refuse is None else "refusal",
        gold="" if should is None else "refuse" if should else "answer",
        subject=subject_of(row, "category"),
    )


def alpaca(row: Row) -> Asked:
    """AlpacaEval: ``instruction``, the reference's ``output`` as gold; the subject is the ``dataset``."""
    question, gold = text_of(row, "instruction").strip(), text_of(row, "output").strip()
    return Asked(question=question, kind="open", gold=gold, subject=subject_of(row, "dataset"))


def arena(row: Row) -> Asked:
    """ArenaHard (Li et al., arXiv 2406.11939): the first of its ``turns`` (a ``content``, or a text), or ``prompt``;
    the subject is the ``category``; the gold a reference's ``output`` where there is one."""
    if row.values.get("turns") not in (None, ""):  # of CSV, where a row has none
        first = listed(row, "turns")[0]
        values = first if isinstance(first, dict) else {"content": first}
        question = text_of(Row(row.line, values), "content")
    else:
        question = text_of(row, "prompt")
    gold = _optional(row, "output").strip()
    return Asked(question=question.strip(), kind="open", gold=gold, subject=subject_of(row, "category"))


def listed(row: Row, name: str) -> list[Any]:
    """A column that is a list with entries; one written as JSON is one too. Raises MalformedError for anything else."""
    found = column(row, name)
    if isinstance(found, str):
        try:
            found = json.loads(found)
        except (ValueError, RecursionError):
            found = None
    if not isinstance(found, list) or not found:
        raise MalformedError(f"{name!r} is no list with entries")
    return found


def subject_of(row: Row, name: str) -> str:
    """A column that may be missing or empty, as text. Raises MalformedError where it holds no text."""
    return _optional(row, name).strip()


def _optional(row: Row, name: str) -> str:
    return "" if row.values.get(name) in (None, "") else text_of(row, name)


def _cases(row: Row, name: str) -> list[Any]:
    """A list of tests: as it is, as JSON, or packed; nothing where the row has none."""
    found = row.values.get(name)
    if isinstance(found, str) and found.strip():
        try:
            text = found if found.lstrip().startswith("[") else unpacked(found)
            found = json.loads(text)
        except NotPackedError as error:
            raise MalformedError(f"{name!r} {error}") from None
        except (ValueError, RecursionError):
            raise MalformedError(f"{name!r} is no JSON") from None
    if not isinstance(found or [], list):
        raise MalformedError(f"{name!r} is {type(found).__name__}, not a list of tests")
    return found or []


def _test(read: Any, *arguments: Any) -> str:
    try:
        return str(read(*arguments))
    except code_tests.NotATestError as error:
        raise MalformedError(f"a test is none: {error}") from None


def _as_text(value: object) -> str:
    """Metadata may have been read as JSON already."""
    if not isinstance(value, str | Mapping):
        raise MalformedError(f"'metadata' is {type(value).__name__}, not an object")
    return value if isinstance(value, str) else json.dumps(value)


def _flag(row: Row, name: str) -> bool | None:
    found = row.values.get(name)
    if isinstance(found, str):  # of CSV
        found = {"": None, "true": True, "false": False}.get(found.strip().lower(), found)
    if found is not None and not isinstance(found, bool):
        raise MalformedError(f"{name!r} is {found!r:.40}, not true or false")
    return found
