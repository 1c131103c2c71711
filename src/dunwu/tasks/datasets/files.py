"""Data sets as tasks: their distinct problems, what is left out of them, and the walk through the rest."""

from __future__ import annotations

import logging
import random
from collections.abc import Collection, Iterator, Mapping, Set
from functools import lru_cache
from pathlib import Path
from typing import Any

from dunwu.config.schema import TaskSpec
from dunwu.errors import UserError
from dunwu.tasks import names
from dunwu.tasks.datasets.layouts import Layout, layout_of, named, parse, role_of
from dunwu.tasks.datasets.readers import Hub, lacking, leave_out, read_rows
from dunwu.tasks.datasets.rows import BadRow, MalformedError
from dunwu.tasks.task import is_held_out, side
from dunwu.types import Problem

log = logging.getLogger(__name__)


def source_of(spec: TaskSpec) -> Path | Hub:
    """What a task's problems are read from. Raises UserError where neither a path nor a hub is said."""
    if spec.path is not None:
        return spec.path
    if spec.hub is not None:
        return Hub(spec.hub, spec.hub_config, spec.split)
    raise UserError(f"{spec.task} is read from a file: say which", field="path")


def read_problems(source: Path | Hub, layout: Layout, task: str, max_bad_rows: float) -> tuple[Problem, ...]:
    """Every distinct problem of a file, in its order. What was left out is logged, once for a file.

    Raises:
        UserError: the file cannot be read or holds no problem; more than a share ``max_bad_rows`` of its rows is bad.
    """
    try:
        version = 0 if isinstance(source, Hub) else source.stat().st_mtime_ns
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", file=str(source), field="path") from None
    return _read_problems(source, layout, task, max_bad_rows, version)


@lru_cache(maxsize=8)
def _read_problems(
    source: Path | Hub, layout: Layout, task: str, max_bad_rows: float, _version: int
) -> tuple[Problem, ...]:
    found: dict[str, tuple[int, Problem]] = {}
    bad: list[BadRow] = []
    rows = duplicates = 0
    for line, _, outcome in _parsed(source, layout, task):
        rows += 1
        if isinstance(outcome, BadRow):
            bad.append(outcome)
            continue
        first, same = found.setdefault(" ".join(outcome.messages[0].content.split()), (line, outcome))
        if same.gold != outcome.gold:
            bad.append(BadRow(line, f"the problem of line {first} with another answer"))
        elif first != line:
            duplicates += 1
    _check(source, layout, bad, rows, max_bad_rows, found)
    if duplicates:
        log.info("%s: left out %d rows that repeat an earlier problem", source, duplicates)
    return tuple(problem for _, problem in found.values())


def _check(
    source: Path | Hub, layout: Layout, bad: list[BadRow], rows: int, max_bad_rows: float, found: Collection[str]
) -> None:
    """Whether a file can be used, of whose rows some were bad."""
    if name := lacking(bad, rows):
        role, first = role_of(name, layout), bad[0]
        text = f"every row lacks the column: line {first.line}: {first.reason}"
        raise UserError(text, file=str(source), field=f"fields.{role}" if role else "path")
    leave_out(source, bad, rows, max_bad_rows)
    if not found:
        raise UserError("the data set is empty", file=str(source), field="path")


def _parsed(source: Path | Hub, layout: Layout, task: str) -> Iterator[tuple[int, Mapping[str, Any], Problem | BadRow]]:
    """(line, its values, problem, or what is wrong with the row)."""
    for row in read_rows(source, layout.longest):
        if isinstance(row, BadRow):
            yield row.line, {}, row
            continue
        outcome: Problem | BadRow
        try:
            outcome = parse(row, layout, task)
        except MalformedError as error:
            outcome = error.at(row.line)
        except RecursionError:  # of lists in lists, whoever looks at them first
            outcome = BadRow(row.line, "is nested too deep")
        yield row.line, row.values, outcome


def texts_of(spec: TaskSpec) -> dict[str, list[str]]:
    """Of every problem of a file, by its name, its question and then all other text of its row: solutions are there,
    also where only what they come to is graded. Raises as ``read_problems``."""
    source, layout, found = source_of(spec), layout_of(spec), dict[str, list[str]]()
    rows, bad = 0, list[BadRow]()
    for _, values, outcome in _parsed(source, layout, spec.name):
        rows += 1
        if isinstance(outcome, BadRow):
            bad.append(outcome)
            continue
        others = [value for name, value in named(values, layout).items() if name != layout.problem]
        found[outcome.id] = [outcome.messages[0].content, *(text for text in others if isinstance(text, str))]
    _check(source, layout, bad, rows, spec.max_bad_rows, found)
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
        UserError: no path and no hub; the name is that of another task; the file cannot be used; no problem has one of
            the levels, or any subject where the recipe names its column.
    """

    def __init__(self, spec: TaskSpec, seed: int, left_out: Set[str] = frozenset()) -> None:
        source = source_of(spec)
        if spec.display_name in names():
            raise UserError(f"{spec.display_name!r} is the name of another task", field="display_name")
        problems = read_problems(source, layout_of(spec), spec.name, spec.max_bad_rows)
        if "subject" in spec.fields and not any(problem.subject for problem in problems):
            raise UserError(f"no row has a {spec.fields['subject']!r}", file=str(source), field="fields.subject")
        chosen = [problem for problem in problems if not spec.levels or problem.level in spec.levels]
        if not chosen:
            levels = ", ".join(map(str, sorted({problem.level for problem in problems})))
            raise UserError(f"no problem of these levels; the file has {levels}", file=str(source), field="levels")
        self.name = spec.name
        self._source, self._all_held_out = str(source), spec.held_out == 1
        self._seed = seed
        held_out = {p.id for p in chosen if is_held_out(side(p.messages[0].content), spec.held_out)}
        self._train = tuple(problem for problem in chosen if problem.id not in held_out | left_out)
        self._held_out = tuple(sorted((p for p in chosen if p.id in held_out), key=lambda problem: problem.id))
        self._order: tuple[int, list[int]] = (-1, [])

    @property
    def size(self) -> int:
        """Training problems in one epoch."""
        return len(self._train)

    @property
    def held_out_size(self) -> int:
        """How many problems ``held_out`` has at most."""
        return len(self._held_out)

    def training(self) -> tuple[Problem, ...]:
        """Every training problem, in the order of the file."""
        return self._train

    def problem(self, index: int) -> Problem:
        """Training problem number ``index``; see ``Task.problem``. Each epoch has every problem once."""
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

    def held_out(self, count: int) -> tuple[Problem, ...]:
        """The first ``count`` held-out problems, in an order of their hashes; see ``Task.held_out``."""
        if count > len(self._held_out):
            more = "" if self._all_held_out else "raise held_out, or "
            text = f"{count} held-out problems wanted, the file has {len(self._held_out)}; {more}lower problems"
            raise UserError(text, file=self._source, field="held_out")
        return self._held_out[:count]
