"""Which completions are asked for, and in which order: filters out of a page's address, applied to columns."""

from __future__ import annotations

import operator
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int

from dunwu.analysis.reasoning.behaviours import BEHAVIOURS
from dunwu.analysis.reasoning.facts import Turn, Verdict
from dunwu.errors import UserError
from dunwu.observatory.web.catalogue import Catalogue, Columns
from dunwu.runs import StageReader

ORDERS: Mapping[str, tuple[str, bool]] = {
    "newest": ("", False),
    "oldest": ("", True),
    "reward": ("value", False),
    "longest": ("tokens", False),
    "shortest": ("tokens", True),
    "reflection": ("reflections", False),
}
"""By name, the column and whether it ascends; "": the order in which they were written."""
VERDICTS = {"right": Verdict.RIGHT, "wrong": Verdict.WRONG, "open": Verdict.OPEN}
TURNS = {turn.name.lower(): turn for turn in Turn if turn is not Turn.NONE}
LONGEST_SEARCH = 200
"""Characters that are searched for at most."""

Rows = Int[np.ndarray, " N"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What a completion must be to be shown; a field at its default asks for nothing.

    ``step_from`` .. ``step_to``, ``reward_from`` .. ``reward_to``: both ends included. ``shows``: behaviours, all of
    them. ``q``: a text that stands in the question or the completion, in whatever case.
    """

    step_from: int | None = None
    step_to: int | None = None
    reward_from: float | None = None
    reward_to: float | None = None
    verdict: str = ""
    level: int | None = None
    language: str = ""
    task: str = ""
    shows: tuple[str, ...] = ()
    turn: str = ""
    cut: bool = False
    problem: int | None = None
    q: str = ""
    order: str = "newest"

    @classmethod
    def of(cls, asked: Mapping[str, Sequence[str]]) -> Filter:
        """Out of the fields of an address; unknown ones are left. Raises UserError naming a field that is wrong."""
        values = dict[str, Any]()
        for field in fields(cls):
            given = [text.strip() for text in asked.get(field.name, ()) if text.strip()]
            if given:
                values[field.name] = _parsed(field.name, str(field.type), given)
        return cls(**values)

    def address(self) -> str:
        """The fields of an address that give this filter."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        kept = {name: value for name, value in given.items() if value not in (None, "", (), False)}
        return urlencode({name: 1 if value is True else value for name, value in kept.items()}, doseq=True)


def _parsed(name: str, kind: str, given: Sequence[str]) -> Any:
    text = given[-1]
    allowed: Mapping[str, Sequence[str]] = {
        "verdict": tuple(VERDICTS),
        "turn": tuple(TURNS),
        "order": tuple(ORDERS),
        "shows": BEHAVIOURS,
    }
    for value in given if name in allowed else ():
        if value not in allowed[name]:
            raise UserError(f"{value!r:.40} is none of {', '.join(allowed[name])}", field=name)
    if name == "shows":
        return tuple(dict.fromkeys(given))
    if kind == "bool":
        return text in ("1", "true", "on")
    if kind == "str":
        return text[:LONGEST_SEARCH]
    try:
        number = float(text) if kind.startswith("float") else int(text)
    except ValueError:
        raise UserError(f"{text!r:.40} is no number", field=name) from None
    if number != number or abs(number) > 2**63:
        raise UserError(f"{text!r:.40} is no number that anything could have", field=name)
    return number


def select(catalogue: Catalogue, columns: Columns, asked: Filter) -> Rows:
    """The places in the catalogue's columns of what the filter lets through, ordered; ``q`` is not looked at."""
    chosen = np.ones(len(columns["step"]), dtype=bool)
    for name, test in _tests(catalogue, asked):
        chosen &= test(columns[name])
    rows = np.flatnonzero(chosen)
    column, ascending = ORDERS[asked.order]
    if column:  # equal ones: the newest first
        rows = rows[::-1]
        keys = columns[column][rows]
        return rows[np.argsort(keys if ascending else -keys.astype(np.float64), kind="stable")]
    return rows if ascending else rows[::-1]


def _tests(catalogue: Catalogue, asked: Filter) -> Iterator[tuple[str, Callable[[Any], Any]]]:
    """Column and test for each thing that is asked."""
    for name, low, high in (
        ("step", asked.step_from, asked.step_to),
        ("value", asked.reward_from, asked.reward_to),
        ("level", asked.level, asked.level),
        ("problem", asked.problem, asked.problem),
    ):
        if low is not None:
            yield name, partial(operator.le, low)
        if high is not None:
            yield name, partial(operator.ge, high)
    if asked.verdict:
        yield "verdict", partial(operator.eq, VERDICTS[asked.verdict])
        yield "graded", partial(operator.eq, True)
    if asked.turn:
        yield "turn", partial(operator.eq, TURNS[asked.turn])
    if asked.cut:
        yield "truncated", partial(operator.eq, True)
    for name, text in (("language", asked.language), ("task", asked.task)):
        if text:
            names = catalogue.names(name)
            yield name, partial(operator.eq, names.index(text) if text in names else -1)
    for bit, name in enumerate(BEHAVIOURS):
        if name in asked.shows:
            yield "shown", partial(_has_bit, bit)


def _has_bit(bit: int, values: Any) -> Any:
    return (values >> bit) & 1 == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A page of what was asked for: rows; how many there are, or, of a search that goes on, at least; where to go on in
    the selection, None at its end; how much of it was looked through."""

    rows: Rows
    total: int
    searched: int
    go_on: int | None


def page_of(
    stage: StageReader, columns: Columns, rows: Rows, text: str, *, start: int, count: int, seconds: float
) -> Found:
    """``count`` of the rows from ``start`` on; with a text those that hold it, as many as are found in the time."""
    if not text:
        end = start + count
        return Found(rows=rows[start:end], total=len(rows), searched=len(rows), go_on=end if end < len(rows) else None)
    until, hits, place = time.monotonic() + seconds, list[int](), start
    for steps in _runs_of_one_step(columns, rows, start):
        if len(hits) >= count or (time.monotonic() > until and place > start):
            break
        hits += [int(row) for row in steps[_holding(stage, columns, steps, text)]]
        place += len(steps)
    if len(hits) > count:  # of the last step some remain for the next page
        place = start + int(np.flatnonzero(rows[start:] == hits[count - 1])[0]) + 1
        hits = hits[:count]
    return Found(
        rows=np.array(hits, dtype=np.int64), total=len(hits), searched=place, go_on=place if place < len(rows) else None
    )


def _runs_of_one_step(columns: Columns, rows: Rows, start: int) -> Iterator[Rows]:
    """The rows from ``start`` on in pieces that are of one step each."""
    remaining = rows[start:]
    edges = np.flatnonzero(np.diff(columns["step"][remaining])) + 1
    yield from np.split(remaining, edges)


def _holding(stage: StageReader, columns: Columns, rows: Rows, text: str) -> Any:
    """Which of one step's rows hold the text; none where the step has left, or is being written again."""
    nothing = np.zeros(len(rows), dtype=bool)
    if not len(rows):
        return nothing
    try:
        table = stage.read_texts(int(columns["step"][rows[0]]))
    except UserError:
        return nothing
    places = columns["place"][rows]
    if int(places.max()) >= len(table):
        return nothing
    taken = table.take(pa.array(places))
    held = [pc.match_substring(taken[name], text, ignore_case=True).to_numpy() for name in ("prompt", "completion")]
    return held[0] | held[1]
