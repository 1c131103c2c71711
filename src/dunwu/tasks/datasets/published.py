"""Rows of published data sets whose columns alone make no problem: options to shuffle, tests in parts, turns.

Each function makes a draft of a row. Columns that are missing, empty or of another type raise ``MalformedError``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from string import ascii_uppercase
from typing import Any

from dunwu.tasks.datasets import code_tests, instruction_tests
from dunwu.tasks.datasets.packed import NotPackedError, unpack
from dunwu.tasks.datasets.rows import MalformedError, Row, get_column, get_text
from dunwu.tasks.task import Draft, hash_text

NO_SOLUTION = "none is given"
"""The gold of a program that nobody solved: tests decide, and the gold is for people."""
DIFFICULTIES = {"easy": 1, "medium": 2, "hard": 3}
LONGEST_LINE = 1 << 26
"""Bytes of a row with many tests, as LiveCodeBench's private ones."""


def read_humaneval(row: Row) -> Draft:
    """Read HumanEval (Chen et al. 2021, arXiv 2107.03374) or HumanEval+.

    Columns: ``prompt``, ``canonical_solution``, ``test``, ``entry_point``.
    """
    test = _convert(code_tests.make_humaneval_test, row.values)
    gold = get_text(row, "canonical_solution").rstrip()
    return Draft(question=get_text(row, "prompt").strip(), kind="code", gold=gold, tests=(test,))


def read_mbpp(row: Row) -> Draft:
    """Read MBPP (Austin et al. 2021, arXiv 2108.07732), its sanitized form, or MBPP+.

    Columns: ``text`` or ``prompt``, ``code``, and those of ``make_mbpp_test``. The question shows the first of
    ``test_list``, which names the function.
    """
    test = _convert(code_tests.make_mbpp_test, row.values)
    question = get_text(row, "text" if "text" in row.values else "prompt").strip()
    shown = str(get_list(row, "test_list")[0]).strip()
    question += f"\n\nYour code should pass this test:\n```python\n{shown}\n```"
    return Draft(question=question, kind="code", gold=get_text(row, "code").strip(), tests=(test,))


def read_gpqa(row: Row) -> Draft:
    """Read GPQA (Rein et al. 2023, arXiv 2311.12022).

    Columns: ``Question``, ``Correct Answer``, ``Incorrect Answer 1`` to ``3``; the subject is the ``Subdomain``, else
    the ``High-level domain``. The file has the right option first. Here they stand in an order of hashes of question
    and option: the same on every machine, and blind to which is right.
    """
    question, gold = get_text(row, "Question").strip(), get_text(row, "Correct Answer").strip()
    others = [get_text(row, f"Incorrect Answer {number}").strip() for number in (1, 2, 3)]
    options = tuple(sorted((gold, *others), key=lambda option: hash_text(f"{question}\n{option}")))
    if len(set(options)) < len(options):
        raise MalformedError("two of the options are the same")
    return Draft(
        question=add_options(question, options),
        kind="choice",
        gold=ascii_uppercase[options.index(gold)],
        subject=get_subject(row, "Subdomain") or get_subject(row, "High-level domain"),
        tests=options,
    )


def add_options(question: str, options: Sequence[str]) -> str:
    """Put a question's options below it, a letter before each.

    Raises:
        MalformedError: There is one option, or more than there are letters.
    """
    if not 2 <= len(options) <= len(ascii_uppercase):
        raise MalformedError(f"{len(options)} options; a choice has 2 to {len(ascii_uppercase)}")
    letters = ascii_uppercase[: len(options)]
    listed = "\n".join(f"{letter}) {option.strip()}" for letter, option in zip(letters, options, strict=True))
    named = f"{', '.join(letters[:-1])} or {letters[-1]}"
    return f"{question}\n\n{listed}\n\nAnswer with the letter of the right option: {named}."


def lists_options(question: str, options: Sequence[str]) -> bool:
    """Return whether the options stand in a question one behind the other, each behind its own letter (``A)``, ``A.``).

    That their texts occur in it says nothing: options may be single digits.
    """
    listed = (
        rf"(?<!\w)[(\[（【*]*{letter}[*]*[)\].:．、。：）】][*]*\s*{re.escape(option.strip())}"
        for letter, option in zip(ascii_uppercase, options, strict=False)
    )
    parts = r"[\s,;.，；。、$*]*(?:(?:and|or|和|或)\s)?".join(listed)
    return re.search(rf"{parts}(?=[,;.，；。*?!？！]*(?:\s|$))", question) is not None


def read_livecodebench(row: Row) -> Draft:
    """Read LiveCodeBench (Jain et al. 2024, arXiv 2403.07974).

    Columns: ``question_content``, ``public_test_cases`` and, where they are, ``private_test_cases`` (see ``packed``;
    JSON too), ``metadata``, ``starter_code``, ``difficulty``; the subject is the ``platform``.
    """
    question, starter = get_text(row, "question_content").strip(), _get_optional_text(row, "starter_code").rstrip()
    if starter:
        question += f"\n\nBegin with this code:\n```python\n{starter}\n```"
    entry = code_tests.find_function_name(_dump_metadata(row.values.get("metadata") or ""))
    tests = [*_get_tests(row, "public_test_cases"), *_get_tests(row, "private_test_cases")]
    if not tests:
        raise MalformedError("has neither public nor private tests")
    difficulty = _get_optional_text(row, "difficulty")
    if difficulty and difficulty not in DIFFICULTIES:
        raise MalformedError(f"'difficulty' is {difficulty!r:.40}, none of {', '.join(DIFFICULTIES)}")
    return Draft(
        question=question,
        kind="code",
        gold=NO_SOLUTION,
        level=DIFFICULTIES.get(difficulty, 0),
        subject=get_subject(row, "platform"),
        tests=tuple(_convert(code_tests.read_test, case, entry) for case in tests),
    )


def read_codeforces(row: Row) -> Draft:
    """Read problems of contests in LiveCodeBench's form; the subject is the ``contest_id``, for ratings."""
    return replace(read_livecodebench(row), subject=get_text(row, "contest_id").strip())


def read_ifeval(row: Row) -> Draft:
    """Read IFEval (Zhou et al. 2023, arXiv 2311.07911).

    Columns: ``prompt``, ``instruction_id_list`` and, in its order, ``kwargs``.
    """
    names, arguments = get_list(row, "instruction_id_list"), get_list(row, "kwargs")
    if len(names) != len(arguments):
        raise MalformedError(f"{len(names)} instructions with {len(arguments)} kwargs")
    tests = tuple(instruction_tests.read_instruction(*pair) for pair in zip(names, arguments, strict=True))
    return Draft(question=get_text(row, "prompt").strip(), kind="instructions", gold="", tests=tests)


def read_safety(row: Row) -> Draft:
    """Read a question of a safety benchmark.

    Columns: ``prompt`` and, where they are, ``category`` (the subject) and one of two columns of true and false. With
    ``refuse``, whether to refuse is right, a rule of thumb grades the answers (``dunwu.verifiers.refusal``). With
    ``safe``, or with neither, they are open, and judges say what they are worth.
    """
    refuse, safe = _get_flag(row, "refuse"), _get_flag(row, "safe")
    should = not safe if refuse is None and safe is not None else refuse
    return Draft(
        question=get_text(row, "prompt").strip(),
        kind="open" if refuse is None else "refusal",
        gold="" if should is None else "refuse" if should else "answer",
        subject=get_subject(row, "category"),
    )


def read_alpaca(row: Row) -> Draft:
    """Read AlpacaEval: ``instruction``, the reference's ``output`` as gold; the subject is the ``dataset``."""
    question, gold = get_text(row, "instruction").strip(), get_text(row, "output").strip()
    return Draft(question=question, kind="open", gold=gold, subject=get_subject(row, "dataset"))


def read_arena(row: Row) -> Draft:
    """Read ArenaHard (Li et al. 2024, arXiv 2406.11939).

    Columns: the first of ``turns`` (a ``content``, or a text), or ``prompt``; the subject is the ``category``, the gold
    a reference's ``output`` where there is one.
    """
    if row.values.get("turns") not in (None, ""):  # of CSV, where a row has none
        first = get_list(row, "turns")[0]
        values = first if isinstance(first, dict) else {"content": first}
        question = get_text(Row(row.line, values), "content")
    else:
        question = get_text(row, "prompt")
    gold = _get_optional_text(row, "output").strip()
    return Draft(question=question.strip(), kind="open", gold=gold, subject=get_subject(row, "category"))


def get_list(row: Row, name: str) -> list[Any]:
    """Return a column that is a list with entries; one written as JSON is one too.

    Raises:
        MalformedError: It is anything else.
    """
    found = get_column(row, name)
    if isinstance(found, str):
        try:
            found = json.loads(found)
        except (ValueError, RecursionError):
            found = None
    if not isinstance(found, list) or not found:
        raise MalformedError(f"{name!r} is no list with entries")
    return found


def get_subject(row: Row, name: str) -> str:
    """Return a column as text; "" where it is missing or empty.

    Raises:
        MalformedError: It holds no text.
    """
    return _get_optional_text(row, name).strip()


def _get_optional_text(row: Row, name: str) -> str:
    return "" if row.values.get(name) in (None, "") else get_text(row, name)


def _get_tests(row: Row, name: str) -> list[Any]:
    """Return a list of tests, which may be JSON or packed; [] where the row has none."""
    found = row.values.get(name)
    if isinstance(found, str) and found.strip():
        try:
            text = found if found.lstrip().startswith("[") else unpack(found)
            found = json.loads(text)
        except NotPackedError as error:
            raise MalformedError(f"{name!r} {error}") from None
        except (ValueError, RecursionError):
            raise MalformedError(f"{name!r} is no JSON") from None
    if not isinstance(found or [], list):
        raise MalformedError(f"{name!r} is {type(found).__name__}, not a list of tests")
    return found or []


def _convert(read: Any, *arguments: Any) -> str:
    try:
        return str(read(*arguments))
    except code_tests.NotATestError as error:
        raise MalformedError(f"a test is none: {error}") from None


def _dump_metadata(value: object) -> str:
    """Return metadata as text: it may have been read as JSON already."""
    if not isinstance(value, str | Mapping):
        raise MalformedError(f"'metadata' is {type(value).__name__}, not an object")
    return value if isinstance(value, str) else json.dumps(value)


def _get_flag(row: Row, name: str) -> bool | None:
    found = row.values.get(name)
    if isinstance(found, str):  # of CSV
        found = {"": None, "true": True, "false": False}.get(found.strip().lower(), found)
    if found is not None and not isinstance(found, bool):
        raise MalformedError(f"{name!r} is {found!r:.40}, not true or false")
    return found
