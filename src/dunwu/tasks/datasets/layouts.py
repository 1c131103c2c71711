"""Which columns of a row make a problem, by data set, and what is malformed about those that make none."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

from dunwu.config.schema import TaskSpec
from dunwu.errors import UserError
from dunwu.tasks.datasets import code_tests, published
from dunwu.tasks.datasets.published import NO_SOLUTION, Asked, listed, subject_of
from dunwu.tasks.datasets.readers import LONGEST_LINE
from dunwu.tasks.datasets.rows import MalformedError, MissingColumnError, Row, column, language_of, text_of, written
from dunwu.tasks.task import fingerprint
from dunwu.types import Message, Problem

LEVEL = re.compile(r"(?:level\s*)?(\d{1,4})", re.IGNORECASE)
NUMBER = re.compile(r"-?(?:\d{1,99}(?:\.\d{1,99})?|\.\d{1,99}|\d{1,99}/0*[1-9]\d{0,98})", re.ASCII)
GIVEN = re.compile(r"\d+(?:\.\d+)?|\.\d+", re.ASCII)


def after_hashes(answer: str) -> str:
    """GSM8K's gold: what follows ``####``, without thousands separators ("#### 1,450,000" is 1450000)."""
    _, hashes, gold = answer.rpartition("####")
    gold = gold.strip().replace(",", "")
    if not hashes or not gold:
        raise MalformedError("no gold answer after ####")
    return gold


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Which columns of a row are what. ``tests`` are the facts of an ``expression``, the options of a ``choice``, the
    tests of a program; ``entry`` names the function that they call; a row may lack its ``subject``.

    ``also`` are names under which other copies of the data set have a column, each with the name that it has here.
    Where columns alone do not make a problem, ``published`` reads the row, and only ``problem`` is named here. A line
    of more than ``longest`` bytes is no row.
    """

    problem: str
    answer: str | None = None
    level: str | None = None
    subject: str | None = None
    tests: str | None = None
    entry: str | None = None
    kind: str = "math"
    gold: Callable[[str], str] = str.strip
    published: Callable[[Row], Asked] | None = None
    longest: int = LONGEST_LINE
    also: tuple[tuple[str, str], ...] = ()


COMPETITION = (("question", "problem"), ("Problem", "problem"), ("Answer", "answer"))
LAYOUTS = {
    "gsm8k": Layout(problem="question", answer="answer", gold=after_hashes),
    "math": Layout(
        problem="problem", answer="answer", level="level", subject="subject", also=(*COMPETITION, ("type", "subject"))
    ),
    "aime": Layout(problem="problem", answer="answer", also=COMPETITION),
    "amc": Layout(problem="problem", answer="answer", also=COMPETITION),
    "cmath": Layout(problem="question", answer="golden", level="grade", also=(("answer", "golden"),)),
    "humaneval": Layout(problem="prompt", published=published.humaneval, longest=published.LONGEST_LINE),
    "mbpp": Layout(problem="text", published=published.mbpp, longest=published.LONGEST_LINE),
    "gpqa": Layout(problem="Question", published=published.gpqa),
    "livecodebench": Layout(
        problem="question_content", published=published.livecodebench, longest=published.LONGEST_LINE
    ),
    "codeforces": Layout(problem="question_content", published=published.codeforces, longest=published.LONGEST_LINE),
    "ifeval": Layout(problem="prompt", published=published.ifeval),
    "safety": Layout(problem="prompt", published=published.safety),
    "alpaca": Layout(problem="instruction", published=published.alpaca),
    "arena": Layout(problem="prompt", published=published.arena),
}
"""Published data sets, in their published form."""

COLUMNS = ("problem", "answer", "level", "subject", "tests", "entry")
NEEDED = {
    "math": ("problem", "answer"),
    "choice": ("problem", "answer"),
    "expression": ("problem", "answer", "tests"),
    "code": ("problem", "tests"),
}
"""Columns that a file must have, by the kind of its answers."""


def layout_of(spec: TaskSpec) -> Layout:
    """The layout of a data set; of ``file``, what the recipe's ``fields`` and ``kind`` say.

    Raises:
        UserError: ``fields`` lack a column that the kind needs, or name something unknown.
    """
    if spec.task != "file":
        return LAYOUTS[spec.task]
    needed = NEEDED[spec.kind]
    if not set(needed) <= spec.fields.keys() <= set(COLUMNS):
        text = f"must say which columns are {', '.join(needed)}, and may name no others but {', '.join(COLUMNS)}"
        raise UserError(text, field="fields")
    columns = spec.fields
    return Layout(
        problem=columns["problem"],
        answer=columns.get("answer"),
        level=columns.get("level"),
        subject=columns.get("subject"),
        tests=columns.get("tests"),
        entry=columns.get("entry"),
        kind=spec.kind,
    )


def parse(row: Row, layout: Layout, task: str) -> Problem:
    """The problem in a row.

    Raises:
        MalformedError: a column is missing, empty or of the wrong type; there is no gold answer; an expression's facts
            are no numbers, a choice's answer is none of its options, or a program's tests are none.
    """
    read = row._replace(values=named(row.values, layout))
    try:
        asked = layout.published(read) if layout.published else _by_columns(read, layout)
    except MissingColumnError as error:
        if layout.published:  # perhaps of a table within the row
            raise
        raise MissingColumnError(error.name, row.values) from None  # its columns as the file calls them
    return Problem(
        id=f"{task}-{fingerprint(asked.question):016x}",
        task=task,
        kind=asked.kind,
        level=asked.level,
        language=language_of(asked.question),
        messages=(Message(role="user", content=asked.question),),
        gold=asked.gold,
        tests=asked.tests,
        subject=asked.subject,
    )


def role_of(name: str, layout: Layout) -> str | None:
    """What a recipe's ``fields`` call a column; None where the data set itself says how its columns are called."""
    ours = layout not in LAYOUTS.values()
    return next((role for role in COLUMNS if ours and getattr(layout, role) == name), None)


def named(values: Mapping[str, Any], layout: Layout) -> dict[str, Any]:
    """The columns of a row, those of other copies of the data set under the names that the layout gives them."""
    found = dict(values)
    for name, own in layout.also:
        if name in found and own not in found:
            found[own] = found.pop(name)
    return found


def _by_columns(row: Row, layout: Layout) -> Asked:
    question = text_of(row, layout.problem).strip()
    gold = _gold(row, layout)
    tests = _programs(row, layout) if layout.kind == "code" else _facts(row, layout)
    if layout.kind == "choice" and tests and not published.lists_options(question, tests):
        question = published.with_options(question, tests)
    return Asked(
        question=question,
        kind=layout.kind,
        gold=_letter(gold, tests) if layout.kind == "choice" else gold,
        level=0 if layout.level is None else _level(column(row, layout.level), layout.level),
        subject="" if layout.subject is None else subject_of(row, layout.subject),
        tests=tests,
    )


def _gold(row: Row, layout: Layout) -> str:
    solved = layout.answer is not None and not (layout.kind == "code" and _is_empty(row, layout.answer))
    return layout.gold(text_of(row, str(layout.answer))) if solved else NO_SOLUTION


def _facts(row: Row, layout: Layout) -> tuple[str, ...]:
    facts = [] if layout.tests is None else listed(row, layout.tests)
    tests = tuple(written(fact, str(layout.tests)) for fact in facts)
    if layout.kind == "expression":
        _check_facts(tests, str(layout.tests))
    return tests


def _programs(row: Row, layout: Layout) -> tuple[str, ...]:
    try:
        named = layout.entry is not None and not _is_empty(row, layout.entry)
        entry = code_tests.function_name(text_of(row, str(layout.entry))) if named else None
        return tuple(code_tests.read_test(value, entry) for value in listed(row, str(layout.tests)))
    except code_tests.NotATestError as error:
        raise MalformedError(f"a test is none: {error}") from None


def _check_facts(tests: tuple[str, ...], name: str) -> None:
    """An expression's facts are a target and at least one number."""
    for fact in tests:
        if not NUMBER.fullmatch(fact.strip()):
            raise MalformedError(f"{name!r} holds {fact!r:.40}, not a number")
    if len(tests) < 2:
        raise MalformedError(f"{name!r} holds a target and no numbers")
    for number in tests[1:]:
        if not GIVEN.fullmatch(number.strip()):
            raise MalformedError(f"{name!r} gives {number!r:.40}; an expression is made of numbers without a sign")


def _letter(gold: str, options: tuple[str, ...]) -> str:
    """The upper-case letter of the right option, which ``gold`` names by letter or by its whole text."""
    named = gold.strip("(). ").upper()
    if not options and named not in tuple(ascii_uppercase):
        raise MalformedError(f"the answer {gold!r:.40} is no letter; fields.tests names a column of options by text")
    letters = ascii_uppercase[: len(options)] if options else ascii_uppercase
    texts = [option.strip().casefold() for option in options]
    found = {letter for letter in letters if letter == named}
    found |= {letter for letter, text in zip(letters, texts, strict=False) if text == gold.casefold()}
    if len(found) != 1:
        raise MalformedError(f"the answer {gold!r:.40} names {len(found) or 'none'} of the {len(options)} options")
    return found.pop()


def _is_empty(row: Row, name: str) -> bool:
    found = column(row, name)
    return found is None or (isinstance(found, str) and not found.strip())


def _level(value: Any, name: str) -> int:
    match = LEVEL.fullmatch(written(value, name).strip())
    if not match:
        raise MalformedError(f"{name!r} is {value!r:.40}, not a level")
    return int(match[1])
