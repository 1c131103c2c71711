"""Data sets as tasks: which columns make a problem, which rows are malformed, and the walk through the rest."""

from __future__ import annotations

import json
import logging
import random
import re
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from dunwu.config.schema import TaskSpec
from dunwu.errors import UserError
from dunwu.tasks import code, names
from dunwu.tasks.readers import BadRow, MalformedError, Row, column, language_of, leave_out, read_rows, text_of, written
from dunwu.tasks.task import fingerprint, is_held_out, side
from dunwu.types import Message, Problem

LEVEL = re.compile(r"(?:level\s*)?(\d{1,4})", re.IGNORECASE)
NUMBER = re.compile(r"-?(?:\d{1,99}(?:\.\d{1,99})?|\.\d{1,99}|\d{1,99}/0*[1-9]\d{0,98})", re.ASCII)
GIVEN = re.compile(r"\d+(?:\.\d+)?|\.\d+", re.ASCII)

log = logging.getLogger(__name__)


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
    tests of a program; ``entry`` names the function that they call. ``row_tests`` makes them of a whole row."""

    problem: str
    answer: str | None
    level: str | None = None
    tests: str | None = None
    entry: str | None = None
    row_tests: Callable[[Mapping[str, Any]], str] | None = None
    kind: str = "math"
    gold: Callable[[str], str] = str.strip


LAYOUTS = {
    "gsm8k": Layout(problem="question", answer="answer", gold=after_hashes),
    "math": Layout(problem="problem", answer="answer", level="level"),
    "aime": Layout(problem="problem", answer="answer"),
    "amc": Layout(problem="problem", answer="answer"),
    "cmath": Layout(problem="question", answer="answer", level="grade"),
    "humaneval": Layout(
        problem="prompt", answer="canonical_solution", row_tests=code.humaneval, kind="code", gold=str.rstrip
    ),
}
"""Published data sets, in their published form."""

COLUMNS = ("problem", "answer", "level", "tests", "entry")
NEEDED = {
    "math": ("problem", "answer"),
    "choice": ("problem", "answer"),
    "expression": ("problem", "answer", "tests"),
    "code": ("problem", "tests"),
}
"""Columns that a file must have, by the kind of its answers."""
NO_SOLUTION = "none is given"
"""The gold of a program that nobody solved: tests decide, and the gold is only shown."""


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
    question = text_of(row, layout.problem).strip()
    gold = _gold(row, layout)
    tests = _programs(row, layout) if layout.kind == "code" else _facts(row, layout)
    return Problem(
        id=f"{task}-{fingerprint(question):016x}",
        task=task,
        kind=layout.kind,
        level=0 if layout.level is None else _level(column(row, layout.level), layout.level),
        language=language_of(question),
        messages=(Message(role="user", content=question),),
        gold=_letter(gold, tests) if layout.kind == "choice" else gold,
        tests=tests,
    )


def _gold(row: Row, layout: Layout) -> str:
    solved = layout.answer is not None and not (layout.kind == "code" and _is_empty(row, layout.answer))
    return layout.gold(text_of(row, str(layout.answer))) if solved else NO_SOLUTION


def _facts(row: Row, layout: Layout) -> tuple[str, ...]:
    facts = [] if layout.tests is None else _listed(row, layout.tests)
    tests = tuple(written(fact, str(layout.tests)) for fact in facts)
    if layout.kind == "expression":
        _check_facts(tests, str(layout.tests))
    return tests


def _programs(row: Row, layout: Layout) -> tuple[str, ...]:
    try:
        if layout.row_tests:
            return (layout.row_tests(row.values),)
        named = layout.entry is not None and not _is_empty(row, layout.entry)
        entry = code.function_name(text_of(row, str(layout.entry))) if named else None
        return tuple(code.read_test(value, entry) for value in _listed(row, str(layout.tests)))
    except code.NotATestError as error:
        raise MalformedError(f"a test is none: {error}") from None


def _listed(row: Row, name: str) -> list[Any]:
    """A list with entries; one written as JSON is one too."""
    found = column(row, name)
    if isinstance(found, str):
        with suppress(ValueError):
            found = json.loads(found)
    if not isinstance(found, list) or not found:
        raise MalformedError(f"{name!r} is no list with entries")
    return found


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
    letters = ascii_uppercase[: len(options)] if options else ascii_uppercase
    texts = [option.strip().casefold() for option in options]
    found = {letter for letter in letters if letter == gold.upper()}
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


def read_problems(path: Path, layout: Layout, task: str, max_bad_rows: float) -> tuple[Problem, ...]:
    """Every distinct problem of a file, in its order. What was left out is logged, once for a file.

    Raises:
        UserError: the file cannot be read or holds no problem; more than a share ``max_bad_rows`` of its rows is bad.
    """
    try:
        version = path.stat().st_mtime_ns
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", file=path, field="path") from None
    return _read_problems(path, layout, task, max_bad_rows, version)


@lru_cache(maxsize=8)
def _read_problems(path: Path, layout: Layout, task: str, max_bad_rows: float, _version: int) -> tuple[Problem, ...]:
    found: dict[str, tuple[int, Problem]] = {}
    bad: list[tuple[int, str]] = []
    rows = duplicates = 0
    for line, outcome in _parsed(path, layout, task):
        rows += 1
        if isinstance(outcome, str):
            bad.append((line, outcome))
            continue
        first, same = found.setdefault(" ".join(outcome.messages[0].content.split()), (line, outcome))
        if same.gold != outcome.gold:
            bad.append((line, f"the problem of line {first} with another answer"))
        elif first != line:
            duplicates += 1
    leave_out(path, bad, rows, max_bad_rows)
    if not found:
        raise UserError("the data set is empty", file=path, field="path")
    if duplicates:
        log.info("%s: left out %d rows that repeat an earlier problem", path, duplicates)
    return tuple(problem for _, problem in found.values())


def _parsed(path: Path, layout: Layout, task: str) -> Iterator[tuple[int, Problem | str]]:
    """(line, problem, or what is wrong with the row)."""
    for row in read_rows(path):
        if isinstance(row, BadRow):
            yield row.line, row.reason
            continue
        try:
            yield row.line, parse(row, layout, task)
        except MalformedError as error:
            yield row.line, str(error)


def texts_of(spec: TaskSpec) -> dict[str, list[str]]:
    """Of every problem of a file, by its name, its question and then all other text of its row: solutions are there,
    also where only what they come to is graded. Raises as ``read_problems``."""
    assert spec.path is not None
    layout, found = layout_of(spec), dict[str, list[str]]()
    for row in read_rows(spec.path):
        with suppress(MalformedError):
            if isinstance(row, Row):
                problem = parse(row, layout, spec.name)
                others = [value for name, value in row.values.items() if name != layout.problem]
                found[problem.id] = [problem.messages[0].content, *(text for text in others if isinstance(text, str))]
    return found


class FileTask:
    """The problems of a file: an endless walk, in a new order each epoch.

    A problem's side is decided by the hash of its text, so it does not change with the seed, the levels, or the file.
    At a share of 1 everything is held out.

    Args:
        spec: the recipe's entry.
        seed: gives the orders.
        left_out: names of problems that training never draws.

    Raises:
        UserError: no path; the name is that of another task; the file cannot be used; no problem has one of the levels.
    """

    def __init__(self, spec: TaskSpec, seed: int, left_out: Set[str] = frozenset()) -> None:
        if spec.path is None:
            raise UserError(f"{spec.task} is read from a file: say which", field="path")
        if spec.called in names():
            raise UserError(f"{spec.called!r} is the name of another task", field="called")
        problems = read_problems(spec.path, layout_of(spec), spec.name, spec.max_bad_rows)
        chosen = [problem for problem in problems if not spec.levels or problem.level in spec.levels]
        if not chosen:
            levels = ", ".join(map(str, sorted({problem.level for problem in problems})))
            raise UserError(f"no problem of these levels; the file has {levels}", file=spec.path, field="levels")
        self.name = spec.name
        self._path, self._all_held_out = spec.path, spec.held_out == 1
        self._seed = seed
        held_out = {p.id for p in chosen if is_held_out(side(p.messages[0].content), spec.held_out)}
        self._train = tuple(problem for problem in chosen if problem.id not in held_out | left_out)
        self._held_out = tuple(sorted((p for p in chosen if p.id in held_out), key=lambda problem: problem.id))
        self._order: tuple[int, list[int]] = (-1, [])

    @property
    def size(self) -> int:
        """Training problems in one epoch."""
        return len(self._train)

    def training(self) -> tuple[Problem, ...]:
        """Every training problem, in the order of the file."""
        return self._train

    def problem(self, index: int) -> Problem:
        """Training problem number ``index``; see ``Task.problem``. Each epoch has every problem once."""
        if not self._train:
            raise UserError(
                "every problem is held out or left out: nothing to train on", file=self._path, field="held_out"
            )
        epoch, place = divmod(index, self.size)
        ready, order = self._order
        if ready != epoch:
            order = random.Random(f"{self.name}/{self._seed}/{epoch}").sample(range(self.size), self.size)
            self._order = (epoch, order)
        return self._train[order[place]]

    def held_out(self, count: int) -> tuple[Problem, ...]:
        """The first ``count`` held-out problems, in an order of their hashes; see ``Task.held_out``."""
        if count > len(self._held_out):
            more = "" if self._all_held_out else "raise held_out, or "
            text = f"{count} held-out problems wanted, the file has {len(self._held_out)}; {more}lower problems"
            raise UserError(text, file=self._path, field="held_out")
        return self._held_out[:count]
