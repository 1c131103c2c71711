"""Which completions are shown, and in which order: a filter out of a page's address, applied to an index."""

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
from dunwu.observatory.web.rollout_index import Columns, RolloutIndex
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
class RolloutFilter:
    """What a completion must be to be shown; a field at its default asks for nothing.

    Attributes:
        step_from: The first step.
        step_to: The last step.
        reward_from: The smallest reward.
        reward_to: The largest reward.
        verdict: One of ``VERDICTS``.
        level: The level of the problem.
        language: The language of the problem.
        task: The task of the problem.
        shows: Behaviours, all of which it must show.
        turn: One of ``TURNS``.
        cut: Whether it must be cut off at the length limit.
        problem: The number of the problem.
        q: A text that stands in the question or the completion, in whatever case.
        order: One of ``ORDERS``.
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
    def parse(cls, query: Mapping[str, Sequence[str]]) -> RolloutFilter:
        """Parse the fields of an address.

        Args:
            query: The values of each field; unknown fields are ignored.

        Returns:
            The filter.

        Raises:
            UserError: A value is wrong (its field is named).
        """
        values = dict[str, Any]()
        for field in fields(cls):
            given = [text.strip() for text in query.get(field.name, ()) if text.strip()]
            if given:
                values[field.name] = _parse_values(field.name, str(field.type), given)
        return cls(**values)

    def to_query(self) -> str:
        """Write the fields of an address that give this filter."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        kept = {name: value for name, value in given.items() if value is not False and value not in (None, "", ())}
        return urlencode({name: 1 if value is True else value for name, value in kept.items()}, doseq=True)


def _parse_values(name: str, kind: str, given: Sequence[str]) -> Any:
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


def select_rows(index: RolloutIndex, columns: Columns, chosen: RolloutFilter) -> Rows:
    """Select what a filter lets through; ``q`` is not looked at.

    Args:
        index: The completions.
        columns: The index's columns, arrays of N.
        chosen: The filter.

    Returns:
        Places in the columns, in the filter's order.
    """
    mask = np.ones(len(columns["step"]), dtype=bool)
    for name, test in _list_tests(index, chosen):
        mask &= test(columns[name])
    rows = np.flatnonzero(mask)
    column, ascending = ORDERS[chosen.order]
    if column:  # equal ones: the newest first
        rows = rows[::-1]
        keys = columns[column][rows]
        return rows[np.argsort(keys if ascending else -keys.astype(np.float64), kind="stable")]
    return rows if ascending else rows[::-1]


def _list_tests(index: RolloutIndex, chosen: RolloutFilter) -> Iterator[tuple[str, Callable[[Any], Any]]]:
    """List a column and a test for each field that asks for something."""
    for name, low, high in (
        ("step", chosen.step_from, chosen.step_to),
        ("value", chosen.reward_from, chosen.reward_to),
        ("level", chosen.level, chosen.level),
        ("problem", chosen.problem, chosen.problem),
    ):
        if low is not None:
            yield name, partial(operator.le, low)
        if high is not None:
            yield name, partial(operator.ge, high)
    if chosen.verdict:
        yield "verdict", partial(operator.eq, VERDICTS[chosen.verdict])
        yield "graded", partial(operator.eq, True)
    if chosen.turn:
        yield "turn", partial(operator.eq, TURNS[chosen.turn])
    if chosen.cut:
        yield "truncated", partial(operator.eq, True)
    for name, text in (("language", chosen.language), ("task", chosen.task)):
        if text:
            names = index.list_names(name)
            yield name, partial(operator.eq, names.index(text) if text in names else -1)
    for bit, name in enumerate(BEHAVIOURS):
        if name in chosen.shows:
            yield "shown", partial(_has_bit, bit)


def _has_bit(bit: int, values: Any) -> Any:
    return (values >> bit) & 1 == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRows:
    """A page of what a filter lets through.

    Attributes:
        rows: Places in the index's columns.
        total: How many there are; of a search that goes on, how many of them are on this page.
        searched: How much of the selection has been looked through.
        go_on: Where to go on in the selection; None at its end.
    """

    rows: Rows
    total: int
    searched: int
    go_on: int | None


def find_page(
    stage: StageReader, columns: Columns, rows: Rows, text: str, *, start: int, count: int, seconds: float
) -> FoundRows:
    """Find a page of rows, with a text those that hold it.

    Args:
        stage: Where the texts of the completions are read.
        columns: The index's columns.
        rows: The selection.
        text: What is searched for; "" for nothing.
        start: Where to begin in the selection.
        count: Rows on a page.
        seconds: How long a search may take before what has been found is shown.

    Returns:
        The page.
    """
    if not text:
        end = start + count
        go_on = end if end < len(rows) else None
        return FoundRows(rows=rows[start:end], total=len(rows), searched=len(rows), go_on=go_on)
    until, hits, place = time.monotonic() + seconds, list[int](), start
    for piece in _split_by_step(columns, rows, start):
        if len(hits) >= count or (time.monotonic() > until and place > start):
            break
        hits += [int(row) for row in piece[_search(stage, columns, piece, text)]]
        place += len(piece)
    if len(hits) > count:  # of the last step some remain for the next page
        place = start + int(np.flatnonzero(rows[start:] == hits[count - 1])[0]) + 1
        hits = hits[:count]
    go_on = place if place < len(rows) else None
    return FoundRows(rows=np.array(hits, dtype=np.int64), total=len(hits), searched=place, go_on=go_on)


def _split_by_step(columns: Columns, rows: Rows, start: int) -> Iterator[Rows]:
    """Split the rows from ``start`` on into pieces of one step each."""
    remaining = rows[start:]
    edges = np.flatnonzero(np.diff(columns["step"][remaining])) + 1
    yield from np.split(remaining, edges)


def _search(stage: StageReader, columns: Columns, rows: Rows, text: str) -> Any:
    """Tell which of one step's rows hold the text; none where the step has left, or is being written again."""
    nothing = np.zeros(len(rows), dtype=bool)
    if not len(rows):
        return nothing
    try:
        table = stage.read_rollout_table(int(columns["step"][rows[0]]), ("prompt", "completion"))
    except UserError:
        return nothing
    places = columns["place"][rows]
    if int(places.max()) >= len(table):
        return nothing
    chosen = table.take(pa.array(places))
    held = [pc.match_substring(chosen[name], text, ignore_case=True).to_numpy() for name in ("prompt", "completion")]
    return held[0] | held[1]
