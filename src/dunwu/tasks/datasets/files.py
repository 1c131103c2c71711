"""Data sets as tasks: their distinct problems, what is left out of them, and the walk through the rest."""

from __future__ import annotations

import logging
import random
from collections.abc import Collection, Iterator, Mapping, Set
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from dunwu import registry
from dunwu.config.schema import TaskSpec
from dunwu.errors import UserError
from dunwu.tasks.datasets.layouts import Layout, find_role, make_layout, parse_row, rename_columns
from dunwu.tasks.datasets.readers import Hub, find_missing_column, read_rows, report_bad_rows
from dunwu.tasks.datasets.rows import BadRow, MalformedError
from dunwu.tasks.task import is_held_out
from dunwu.types import Problem

log = logging.getLogger(__name__)


class KeyedProblem(NamedTuple):
    """A problem, and the key by whose hash it is held out."""

    key: str
    problem: Problem


def find_source(spec: TaskSpec) -> Path | Hub:
    """Return what a task's problems are read from.

    Raises:
        UserError: The recipe names neither a path nor a hub.
    """
    if spec.path is not None:
        return spec.path
    if spec.hub is not None:
        return Hub(spec.hub, spec.hub_config, spec.split)
    raise UserError(f"{spec.task} is read from a file: say which", field="path")


def read_problems(source: Path | Hub, layout: Layout, task: str, max_bad_rows: float) -> tuple[KeyedProblem, ...]:
    """Read every distinct problem of a file, in its order; what was left out is logged, once for a file.

    Args:
        source: The file, or a data set by name.
        layout: Which columns are what.
        task: The task's name.
        max_bad_rows: Share of the rows, in [0, 1], that may be malformed.

    Raises:
        UserError: The file cannot be read or holds no problem, or more of its rows are malformed.
    """
    try:
        version = 0 if isinstance(source, Hub) else source.stat().st_mtime_ns
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", file=str(source), field="path") from None
    return _read_problems(source, layout, task, max_bad_rows, version)


@lru_cache(maxsize=8)
def _read_problems(
    source: Path | Hub, layout: Layout, task: str, max_bad_rows: float, _version: int
) -> tuple[KeyedProblem, ...]:
    found: dict[str, tuple[int, KeyedProblem]] = {}
    bad: list[BadRow] = []
    rows = duplicates = 0
    for line, _, outcome in _parse(source, layout, task):
        rows += 1
        if isinstance(outcome, BadRow):
            bad.append(outcome)
            continue
        question = " ".join(outcome.problem.messages[0].content.split())
        first, same = found.setdefault(question, (line, outcome))
        if same.problem.gold != outcome.problem.gold:
            bad.append(BadRow(line, f"the problem of line {first} with another answer"))
        elif first != line:
            duplicates += 1
    _check(source, layout, bad, rows, max_bad_rows, found)
    if duplicates:
        log.info("%s: left out %d rows that repeat an earlier problem", source, duplicates)
    return tuple(keyed for _, keyed in found.values())


def _check(
    source: Path | Hub, layout: Layout, bad: list[BadRow], rows: int, max_bad_rows: float, found: Collection[str]
) -> None:
    """Refuse a file of which too many rows were bad, or nothing is left."""
    if name := find_missing_column(bad, rows):
        role, first = find_role(name, layout), bad[0]
        text = f"every row lacks the column: line {first.line}: {first.reason}"
        raise UserError(text, file=str(source), field=f"fields.{role}" if role else "path")
    report_bad_rows(source, bad, rows, max_bad_rows)
    if not found:
        raise UserError("the data set is empty", file=str(source), field="path")


def _parse(
    source: Path | Hub, layout: Layout, task: str
) -> Iterator[tuple[int, Mapping[str, Any], KeyedProblem | BadRow]]:
    """Yield for each row (line, its values, the problem or what is wrong)."""
    for row in read_rows(source, layout.longest):
        if isinstance(row, BadRow):
            yield row.line, {}, row
            continue
        outcome: KeyedProblem | BadRow
        try:
            outcome = KeyedProblem(*parse_row(row, layout, task))
        except MalformedError as error:
            outcome = error.locate(row.line)
        except RecursionError:  # of lists in lists, whoever looks at them first
            outcome = BadRow(row.line, "is nested too deep")
        yield row.line, row.values, outcome


def read_problem_texts(spec: TaskSpec) -> dict[str, list[str]]:
    """Read all texts of a file's rows: solutions are there, also where only what they come to is graded.

    Args:
        spec: The recipe's entry.

    Returns:
        By the name of each problem its question, then all other texts of its row.

    Raises:
        UserError: As for ``read_problems``.
    """
    source, layout, found = find_source(spec), make_layout(spec), dict[str, list[str]]()
    rows, bad = 0, list[BadRow]()
    for _, values, outcome in _parse(source, layout, spec.name):
        rows += 1
        if isinstance(outcome, BadRow):
            bad.append(outcome)
            continue
        others = [value for name, value in rename_columns(values, layout).items() if name != layout.problem]
        question = outcome.problem.messages[0].content
        found[outcome.problem.id] = [question, *(text for text in others if isinstance(text, str))]
    _check(source, layout, bad, rows, spec.max_bad_rows, found)
    return found


class FileTask:
    """The problems of a file: an endless walk, in a new order each epoch.

    The hash of a problem's key decides its side, so it does not change with the seed, the levels, or the file. At a
    share of 1 everything is held out.

    Args:
        spec: The recipe's entry.
        seed: Gives the orders.
        left_out: Names of problems that training never draws.

    Raises:
        UserError: No path and no hub; the name is that of another task; the file cannot be used; no problem has one of
            the levels, or any subject where the recipe names its column.
    """

    def __init__(self, spec: TaskSpec, seed: int, left_out: Set[str] = frozenset()) -> None:
        source = find_source(spec)
        if spec.display_name in registry.tasks.builtin:
            raise UserError(f"{spec.display_name!r} is the name of another task", field="display_name")
        known = read_problems(source, make_layout(spec), spec.name, spec.max_bad_rows)
        if "subject" in spec.fields and not any(problem.subject for _, problem in known):
            raise UserError(f"no row has a {spec.fields['subject']!r}", file=str(source), field="fields.subject")
        chosen = [one for one in known if not spec.levels or one.problem.level in spec.levels]
        if not chosen:
            levels = ", ".join(map(str, sorted({problem.level for _, problem in known})))
            raise UserError(f"no problem of these levels; the file has {levels}", file=str(source), field="levels")
        self.name = spec.name
        self._source, self._all_held_out = str(source), spec.held_out == 1
        self._seed = seed
        held_out = {problem.id for key, problem in chosen if is_held_out(key, spec.held_out)}
        self._train = tuple(problem for _, problem in chosen if problem.id not in held_out | left_out)
        self._held_out = tuple(sorted((p for _, p in chosen if p.id in held_out), key=lambda problem: problem.id))
        self._order: tuple[int, list[int]] = (-1, [])

    @property
    def size(self) -> int:
        """Training problems in one epoch."""
        return len(self._train)

    @property
    def held_out_size(self) -> int:
        """Held-out problems that there are."""
        return len(self._held_out)

    @property
    def training_problems(self) -> tuple[Problem, ...]:
        """Every training problem, in the order of the file."""
        return self._train

    def get_problem(self, index: int) -> Problem:
        """Return training problem number ``index``; see ``Task.get_problem``. Each epoch has every problem once."""
        if not self._train:
            raise UserError(
                "every problem is held out or left out: nothing to train on", file=self._source, field="held_out"
            )
        epoch, place = divmod(index, self.size)
        ready, order = self._order
        if ready != epoch:
            order = random.Random(f"{self.name}/{self._seed}/{epoch}").sample(range(self.size), self.size)
            self._order = (epoch, order)
        return self._train[order[place]]

    def get_held_out(self, count: int) -> tuple[Problem, ...]:
        """Return the first ``count`` held-out problems, in an order of their hashes; see ``Task.get_held_out``."""
        if count > len(self._held_out):
            more = "" if self._all_held_out else "raise held_out, or "
            text = f"{count} held-out problems wanted, the file has {len(self._held_out)}; {more}lower problems"
            raise UserError(text, file=self._source, field="held_out")
        return self._held_out[:count]
