"""Which columns of a row make a problem, by data set, and what is malformed about those that make none."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

from dunwu import registry
from dunwu.config.schema import COLUMNS, TaskSpec
from dunwu.errors import UserError
from dunwu.tasks.custom import CustomReader
from dunwu.tasks.datasets import code_tests, published
from dunwu.tasks.datasets.published import NO_SOLUTION, get_list, get_subject
from dunwu.tasks.datasets.readers import LONGEST_LINE
from dunwu.tasks.datasets.rows import (
    MalformedError,
    MissingColumnError,
    Row,
    detect_language,
    get_column,
    get_text,
    to_text,
)
from dunwu.tasks.task import Draft, hash_text, normalize_question
from dunwu.types import Message, Problem

LEVEL = re.compile(r"(?:level\s*)?(\d{1,4})", re.IGNORECASE)
NUMBER = re.compile(r"-?(?:\d{1,99}(?:\.\d{1,99})?|\.\d{1,99}|\d{1,99}/0*[1-9]\d{0,98})", re.ASCII)
GIVEN = re.compile(r"\d+(?:\.\d+)?|\.\d+", re.ASCII)


def extract_after_hashes(answer: str) -> str:
    """Extract GSM8K's gold: what follows ``####``, without thousands separators ("#### 1,450,000" is 1450000).

    Raises:
        MalformedError: Nothing does.
    """
    _, hashes, gold = answer.rpartition("####")
    gold = gold.strip().replace(",", "")
    if not hashes or not gold:
        raise MalformedError("no gold answer after ####")
    return gold


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Which columns of a row are what.

    Attributes:
        problem: The question's.
        answer: The gold's.
        level: The difficulty's: a number, or ``Level 3``.
        subject: The subject's, which a row may lack.
        tests: An expression's facts, a choice's options, or a program's tests.
        entry: The name of the function that tests call.
        kind: The verifier that decides.
        extract_gold: Takes the gold from the answer's text.
        read: Reads a row whose columns alone make no problem; then ``problem`` alone is named here, if anything.
        longest: Bytes of a line beyond which it is no row.
        also: Names under which other copies of the data set have a column, each with the name that it has here.
        from_recipe: Whether the recipe's ``fields`` name the columns.
    """

    problem: str = ""
    answer: str | None = None
    level: str | None = None
    subject: str | None = None
    tests: str | None = None
    entry: str | None = None
    kind: str = "math"
    extract_gold: Callable[[str], str] = str.strip
    read: Callable[[Row], Draft] | None = None
    longest: int = LONGEST_LINE
    also: tuple[tuple[str, str], ...] = ()
    from_recipe: bool = False


COMPETITION = (("question", "problem"), ("Problem", "problem"), ("Answer", "answer"))
GSM8K = Layout(problem="question", answer="answer", extract_gold=extract_after_hashes)
MATH = Layout(
    problem="problem", answer="answer", level="level", subject="subject", also=(*COMPETITION, ("type", "subject"))
)
AIME = Layout(problem="problem", answer="answer", also=COMPETITION)
AMC = AIME
CMATH = Layout(problem="question", answer="golden", level="grade", also=(("answer", "golden"),))
HUMANEVAL = Layout(problem="prompt", read=published.read_humaneval, longest=published.LONGEST_LINE)
MBPP = Layout(problem="text", read=published.read_mbpp, longest=published.LONGEST_LINE)
GPQA = Layout(problem="Question", read=published.read_gpqa)
LIVECODEBENCH = Layout(problem="question_content", read=published.read_livecodebench, longest=published.LONGEST_LINE)
CODEFORCES = Layout(problem="question_content", read=published.read_codeforces, longest=published.LONGEST_LINE)
IFEVAL = Layout(problem="prompt", read=published.read_ifeval)
SAFETY = Layout(problem="prompt", read=published.read_safety)
ALPACA = Layout(problem="instruction", read=published.read_alpaca)
ARENA = Layout(problem="prompt", read=published.read_arena)


def make_layout(spec: TaskSpec) -> Layout:
    """Make the layout of a data set: a published one, the one that the recipe's ``fields`` give, or the user's.

    Raises:
        UserError: ``fields`` lack a column that the kind needs, or name something unknown; or what the recipe names is
            neither a function nor a layout.
    """
    if spec.task == "file":
        return _make_from_fields(spec)
    found = registry.tasks.load(spec.task)
    if isinstance(found, Layout):
        return found
    if not callable(found):
        raise UserError(f"{spec.task} is {type(found).__name__}, not a function of a row", field="task")
    return Layout(read=CustomReader(found, spec.kind), kind=spec.kind)


def _make_from_fields(spec: TaskSpec) -> Layout:
    columns, needed = spec.columns, spec.needed_columns
    if not set(needed) <= columns.keys() <= set(COLUMNS):
        text = f"must say which columns are {', '.join(needed)}, and may name no others but {', '.join(COLUMNS)}"
        raise UserError(text, field="fields")
    return Layout(
        problem=columns["problem"],
        answer=columns.get("answer"),
        level=columns.get("level"),
        subject=columns.get("subject"),
        tests=columns.get("tests"),
        entry=columns.get("entry"),
        kind=spec.kind,
        from_recipe=True,
    )


def parse_row(row: Row, layout: Layout, task: str) -> tuple[str, Problem]:
    """Make a problem of a row.

    Args:
        row: As it stands in the file.
        layout: Which columns are what.
        task: The task's name.

    Returns:
        The key by whose hash the problem is held out, and the problem.

    Raises:
        MalformedError: A column is missing, empty or of the wrong type; there is no gold answer; an expression's facts
            are no numbers, a choice's answer is none of its options, or a program's tests are none.
    """
    renamed = row._replace(values=rename_columns(row.values, layout))
    try:
        draft = layout.read(renamed) if layout.read else _read_columns(renamed, layout)
    except MissingColumnError as error:
        if layout.read:  # perhaps of a table within the row
            raise
        raise MissingColumnError(error.name, row.values) from None  # its columns as the file calls them
    problem = Problem(
        id=f"{task}-{hash_text(draft.question):016x}",
        task=task,
        kind=draft.kind or layout.kind,
        level=draft.level,
        language=detect_language(draft.question),
        messages=(Message(role="user", content=draft.question),),
        gold=draft.gold,
        tests=draft.tests,
        subject=draft.subject,
    )
    return draft.key or normalize_question(draft.question), problem


def find_role(name: str, layout: Layout) -> str | None:
    """Return what a recipe's ``fields`` call a column; None where the data set itself names its columns."""
    return next((role for role in COLUMNS if layout.from_recipe and getattr(layout, role) == name), None)


def rename_columns(values: Mapping[str, Any], layout: Layout) -> dict[str, Any]:
    """Return the columns of a row, those of other copies of the data set under the names that the layout gives them."""
    found = dict(values)
    for name, own in layout.also:
        if name in found and own not in found:
            found[own] = found.pop(name)
    return found


def _read_columns(row: Row, layout: Layout) -> Draft:
    question = get_text(row, layout.problem).strip()
    gold = _read_gold(row, layout)
    tests = _read_programs(row, layout) if layout.kind == "code" else _read_facts(row, layout)
    if layout.kind == "choice" and tests and not published.lists_options(question, tests):
        question = published.add_options(question, tests)
    return Draft(
        question=question,
        kind=layout.kind,
        gold=_find_letter(gold, tests) if layout.kind == "choice" else gold,
        level=0 if layout.level is None else _parse_level(get_column(row, layout.level), layout.level),
        subject="" if layout.subject is None else get_subject(row, layout.subject),
        tests=tests,
    )


def _read_gold(row: Row, layout: Layout) -> str:
    solved = layout.answer is not None and not (layout.kind == "code" and _is_empty(row, layout.answer))
    return layout.extract_gold(get_text(row, str(layout.answer))) if solved else NO_SOLUTION


def _read_facts(row: Row, layout: Layout) -> tuple[str, ...]:
    facts = [] if layout.tests is None else get_list(row, layout.tests)
    tests = tuple(to_text(fact, str(layout.tests)) for fact in facts)
    if layout.kind == "expression":
        _check_facts(tests, str(layout.tests))
    return tests


def _read_programs(row: Row, layout: Layout) -> tuple[str, ...]:
    try:
        has_entry = layout.entry is not None and not _is_empty(row, layout.entry)
        entry = code_tests.find_function_name(get_text(row, str(layout.entry))) if has_entry else None
        return tuple(code_tests.read_test(value, entry) for value in get_list(row, str(layout.tests)))
    except code_tests.NotATestError as error:
        raise MalformedError(f"a test is none: {error}") from None


def _check_facts(tests: tuple[str, ...], name: str) -> None:
    """Refuse an expression's facts that are no target and at least one number."""
    for fact in tests:
        if not NUMBER.fullmatch(fact.strip()):
            raise MalformedError(f"{name!r} holds {fact!r:.40}, not a number")
    if len(tests) < 2:
        raise MalformedError(f"{name!r} holds a target and no numbers")
    for number in tests[1:]:
        if not GIVEN.fullmatch(number.strip()):
            raise MalformedError(f"{name!r} gives {number!r:.40}; an expression is made of numbers without a sign")


def _find_letter(gold: str, options: tuple[str, ...]) -> str:
    """Return the upper-case letter of the right option, which ``gold`` names by letter or by its whole text."""
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
    found = get_column(row, name)
    return found is None or (isinstance(found, str) and not found.strip())


def _parse_level(value: Any, name: str) -> int:
    match = LEVEL.fullmatch(to_text(value, name).strip())
    if not match:
        raise MalformedError(f"{name!r} is {value!r:.40}, not a level")
    return int(match[1])
