"""The list of the runs that are watched: how each stands, what it has reached, when; ordered by any of these."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from dunwu.analysis.labels import format_duration, format_number
from dunwu.analysis.results import LastEvaluations, find_base_and_trained, is_model_comparison
from dunwu.analysis.run_status import describe_progress, format_date
from dunwu.errors import UserError
from dunwu.observatory.report import page
from dunwu.observatory.web.library import Library, Watched
from dunwu.runs import RunReader

Key = float | str

NEWEST = "-began"
"""The order where none is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A cell: HTML, and what its column is ordered by; None stands last in any order."""

    html: str
    key: Key | None


COLUMNS = {
    "run": "run",
    "score": "right at the first try",
    "state": "state",
    "began": "began",
    "worked": "worked",
    "recipe": "recipe",
    "seed": "seed",
}


def listing(library: Library, order: str) -> str:
    """Draw the runs as a table whose heads order it.

    Args:
        library: the runs.
        order: a column's name, with "-" before it from the largest down; "" or anything else: the newest first.

    Returns:
        The table.
    """
    by, down = order.removeprefix("-"), order.startswith("-")
    if by not in COLUMNS:
        by, down = NEWEST.removeprefix("-"), True
    rows = [_row(place, watched) for place, watched in enumerate(library.runs)]
    there = sorted((row for row in rows if row[by].key is not None), key=lambda row: _comparable(row[by]), reverse=down)
    rows = [*there, *(row for row in rows if row[by].key is None)]
    heads = "".join(_head(name, label, by, down) for name, label in COLUMNS.items())
    body = "".join(f"<tr>{''.join(f'<td>{row[name].html}</td>' for name in COLUMNS)}</tr>" for row in rows)
    table = f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody>"
    return f'<div class="scroll" tabindex="0"><table class="shelf">{table}</table></div>'


def _comparable(cell: Cell) -> Key:
    return cell.key.casefold() if isinstance(cell.key, str) else cell.key or 0.0


def _head(name: str, label: str, by: str, down: bool) -> str:
    """A column's head: a link that orders by it, or the other way round."""
    here = name == by
    to = name if here and down else f"-{name}" if here or name in ("score", "began", "worked") else name
    sort = f' aria-sort="{"descending" if down else "ascending"}"' if here else ""
    arrow = f'<span aria-hidden="true"> {"↓" if down else "↑"}</span>' if here else ""
    return f'<th scope="col"{sort}><a href="/?order={to}">{escape(label)}{arrow}</a></th>'


def _row(place: int, watched: Watched) -> dict[str, Cell]:
    name = Cell(html=f'<a href="/runs/{place}">{page.text(watched.name)}</a>', key=watched.name)
    try:
        run, last = watched.read(), watched.last_results()
    except UserError as error:
        state = Cell(html=f'<span class="state">{page.text(error)}</span>', key="unreadable")
        return {column: Cell(html="–", key=None) for column in COLUMNS} | {"run": name, "state": state}
    kind, why = run.state
    told = f'<span class="state {kind}">{page.text(describe_progress(run, reason=False))}</span>'
    told += f'<small title="{page.text(why)}">{page.text(why)}</small>' if why else ""
    began, _ = run.dates
    worked = run.seconds
    return {
        "run": name,
        "recipe": Cell(html=page.text(run.recipe["name"]), key=str(run.recipe["name"])),
        "seed": Cell(html=str(run.seed), key=float(run.seed)),
        "state": Cell(html=told, key=kind),
        "score": _score(run, last),
        "began": Cell(html=format_date(began), key=began),
        "worked": Cell(html=format_duration(worked) if worked else "–", key=worked),
    }


def _score(run: RunReader, last: LastEvaluations | None) -> Cell:
    """From the base to the trained model on the first set, or what the newest evaluation says."""
    if last is None:
        return Cell(html="–", key=None)
    stage, by_set = last
    evaluations = next(iter(by_set.values()))
    found = [evaluation for evaluation in evaluations if "pass@1" in evaluation.results]
    if not found:
        return Cell(html="–", key=None)
    chosen = find_base_and_trained(found) or (found[-1],)
    results = [one.results["pass@1"] for one in chosen]
    shown = " → ".join(format_number("pass@1", one.value, one) for one in results)
    whose = f" ({found[-1].checkpoint})" if is_model_comparison(run, stage) else ""
    return Cell(html=page.text(shown + whose), key=results[-1].value)
