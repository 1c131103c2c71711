"""The list of the runs that are watched: how each stands, what it has reached, when; ordered by any of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dunwu.analysis.labels import format_duration, format_number
from dunwu.analysis.results import LastEvaluations, find_base_and_trained, is_model_comparison
from dunwu.analysis.run_status import describe_progress, format_date
from dunwu.errors import UserError
from dunwu.observatory.views import NOTHING
from dunwu.observatory.web.watched_runs import WatchedRun, WatchedRuns
from dunwu.runs import RunReader

Key = float | str

NEWEST = "-began"
"""The order where none is asked for."""
COLUMNS = {
    "run": "run",
    "score": "right at the first try",
    "state": "state",
    "began": "began",
    "worked": "worked",
    "recipe": "recipe",
    "seed": "seed",
}
DESCENDING = ("score", "began", "worked")
"""Columns that are ordered from the largest down at first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A column's head: where it leads, and how the list is ordered by it; "" where it is not."""

    label: str
    href: str
    order: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListCell:
    """A cell of the list.

    Attributes:
        text: What it says.
        key: What its column is ordered by; None stands last in any order.
        href: Where it leads; "" for nowhere.
        state: The state of the run, which has a colour; None in other columns.
        detail: What stands below, small.
    """

    text: str
    key: Key | None
    href: str = ""
    state: str | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunList:
    """The list: its heads, and for each run its cells."""

    heads: Sequence[Head]
    rows: Sequence[Sequence[ListCell]]


def make_run_list(runs: WatchedRuns, order: str) -> RunList:
    """List the runs.

    Args:
        runs: The runs.
        order: A column's name, with "-" before it from the largest down; "" or anything else: the newest first.

    Returns:
        The list.
    """
    by, down = order.removeprefix("-"), order.startswith("-")
    if by not in COLUMNS:
        by, down = NEWEST.removeprefix("-"), True
    rows = [_make_row(place, run) for place, run in enumerate(runs.runs)]
    known = sorted((row for row in rows if row[by].key is not None), key=lambda row: _sort_key(row[by]), reverse=down)
    rows = [*known, *(row for row in rows if row[by].key is None)]
    return RunList(
        heads=[_make_head(name, label, by, down) for name, label in COLUMNS.items()],
        rows=[[row[name] for name in COLUMNS] for row in rows],
    )


def _sort_key(cell: ListCell) -> Key:
    return cell.key.casefold() if isinstance(cell.key, str) else cell.key or 0.0


def _make_head(name: str, label: str, by: str, down: bool) -> Head:
    """Make a head that leads to the order by its column, or the other way round."""
    here = name == by
    to = name if here and down else f"-{name}" if here or name in DESCENDING else name
    order = ("descending" if down else "ascending") if here else ""
    return Head(label=label, href=f"/?order={to}", order=order)


def _make_row(place: int, watched: WatchedRun) -> Mapping[str, ListCell]:
    name = ListCell(text=watched.name, key=watched.name, href=f"/runs/{place}")
    try:
        run, last = watched.read(), watched.find_last_results()
    except UserError as error:
        state = ListCell(text=str(error), key="unreadable", state="")
        return {column: ListCell(text=NOTHING, key=None) for column in COLUMNS} | {"run": name, "state": state}
    kind, why = run.state
    began, _ = run.dates
    worked = run.seconds
    recipe = str(run.recipe["name"])
    return {
        "run": name,
        "recipe": ListCell(text=recipe, key=recipe),
        "seed": ListCell(text=str(run.seed), key=float(run.seed)),
        "state": ListCell(text=describe_progress(run, reason=False), key=kind, state=kind, detail=why),
        "score": _make_score(run, last),
        "began": ListCell(text=format_date(began), key=began),
        "worked": ListCell(text=format_duration(worked) if worked else NOTHING, key=worked),
    }


def _make_score(run: RunReader, last: LastEvaluations | None) -> ListCell:
    """Show right answers from the base to the trained model on the first set, or of the newest evaluation."""
    nothing = ListCell(text=NOTHING, key=None)
    if last is None:
        return nothing
    stage, by_set = last
    evaluations = next(iter(by_set.values()))
    found = [evaluation for evaluation in evaluations if "pass@1" in evaluation.results]
    if not found:
        return nothing
    chosen = find_base_and_trained(found) or (found[-1],)
    results = [one.results["pass@1"] for one in chosen]
    shown = " → ".join(format_number("pass@1", one.value, one) for one in results)
    whose = f" ({found[-1].checkpoint})" if is_model_comparison(run, stage) else ""
    return ListCell(text=shown + whose, key=results[-1].value)
