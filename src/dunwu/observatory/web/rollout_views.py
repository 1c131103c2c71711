"""The browser of rollouts: the filter, the list, and one rollout with its group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote

import numpy as np

from dunwu.analysis.reasoning.behaviours import BEHAVIOURS
from dunwu.analysis.reasoning.facts import Verdict, hash_problem_id, to_verdict
from dunwu.analysis.reasoning.highlights import HIGHLIGHTS, HighlightedText, highlight
from dunwu.errors import UserError
from dunwu.observatory.views import (
    NOTHING,
    AnswerBox,
    Cell,
    Question,
    Table,
    make_answer_box,
    make_question,
)
from dunwu.observatory.web.rollout_filter import (
    ORDERS,
    TURNS,
    VERDICTS,
    FoundRows,
    RolloutFilter,
    find_page,
    select_rows,
)
from dunwu.observatory.web.rollout_index import Columns, RolloutIndex
from dunwu.observatory.web.watched_runs import WatchedRun
from dunwu.runs import AnswerRow

PAGE = 50
"""Rollouts on a page."""
SEARCH_SECONDS = 0.3
"""For which a text is looked for before what has been found is shown."""
TURN_LABELS = {
    "mended": "wrong before reflecting, right after",
    "spoilt": "right before reflecting, wrong after",
    "kept_right": "right before and after",
    "kept_wrong": "wrong before and after",
}
ANY = {"": "any"}
VERDICT_CELLS: Mapping[Verdict, Cell | str] = {
    Verdict.RIGHT: Cell(text="right", tone="right"),
    Verdict.WRONG: Cell(text="wrong", tone="wrong"),
    Verdict.OPEN: "open",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A field of which one of several values is chosen; ``options``: the values, and what they are called."""

    label: str
    name: str
    options: Mapping[str, str]
    chosen: str
    is_disabled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Two numbers between which a quantity must lie; "" where an end is open."""

    label: str
    name: str
    step: str
    low: str
    high: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterForm:
    """The form of a filter.

    Attributes:
        stage: The stage, which the form keeps.
        text: What is searched for.
        choices: The fields before the ranges.
        ranges: The ranges.
        behaviours: The behaviours, what they are called, and whether they are asked for.
        cut: Whether answers must be cut off.
        order: The field of the order.
        problem: The problem's number, which the form keeps; "" for any.
        clear_href: Where everything is asked for.
    """

    stage: str
    text: str
    choices: Sequence[Choice]
    ranges: Sequence[Range]
    behaviours: Sequence[tuple[str, str, bool]]
    cut: bool
    order: Choice
    problem: str
    clear_href: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutLine:
    """A completion in the list."""

    name: str
    href: str
    question: str
    step: str
    level: str
    verdict: Cell | str
    reward: str
    tokens: str
    reflections: str
    behaviours: Sequence[str]
    opening: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutList:
    """The filter and a page of what it lets through.

    Attributes:
        form: The filter.
        count: How many there are.
        summary: What they are, in words behind the count.
        lines: The page.
        first_href: The first page; "" where it is this one.
        next_href: The next page; "" where there is none.
    """

    form: FilterForm
    count: str
    summary: str
    lines: Sequence[RolloutLine]
    first_href: str
    next_href: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sibling:
    """Another completion of the same prompt."""

    name: str
    verdict: Cell | str
    note: str
    href: str
    shown: HighlightedText


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutView:
    """One completion with all that is known of it, and where to go on from it."""

    title: str
    question: Question
    gold: str
    origin: str
    answer: AnswerBox
    score: Table
    siblings: Sequence[Sibling]
    history_href: str
    list_href: str
    previous_href: str
    next_href: str
    back_href: str


def make_rollout_list(watched: WatchedRun, base: str, stage: str, chosen: RolloutFilter, start: int) -> RolloutList:
    """Lay out the filter and a page of what it lets through.

    A search goes step by step, from the newest: in any other order it would read every rollout again and again.

    Args:
        watched: The run.
        base: The address of the list without fields.
        stage: The stage.
        chosen: The filter.
        start: Where the page begins in the selection.

    Returns:
        The record.
    """
    if chosen.q:
        chosen = replace(chosen, order="newest")
    index = watched.open_index(stage)
    columns = index.join_columns()
    rows = select_rows(index, columns, chosen)
    place = min(max(start, 0), len(rows))
    reader = watched.read().stage(stage)
    found = find_page(reader, columns, rows, chosen.q, start=place, count=PAGE, seconds=SEARCH_SECONDS)
    address = f"{base}?stage={quote(stage)}&{chosen.to_query()}"
    count, summary = _describe_count(found, len(rows), len(columns["step"]), chosen)
    return RolloutList(
        form=_make_form(index, columns, stage, chosen),
        count=count,
        summary=summary,
        lines=[_make_line(index, columns, int(row), base, stage) for row in found.rows],
        first_href=address if place else "",
        next_href="" if found.go_on is None else f"{address}&start={found.go_on}",
    )


def _make_form(index: RolloutIndex, columns: Columns, stage: str, chosen: RolloutFilter) -> FilterForm:
    levels = [str(level) for level in np.unique(columns["level"])]
    level = "" if chosen.level is None else str(chosen.level)
    languages, tasks = index.list_names("language"), index.list_names("task")
    turns = {name: TURN_LABELS[name] for name in TURNS}
    return FilterForm(
        stage=stage,
        text=chosen.q,
        choices=[
            Choice(label="Answer", name="verdict", options=ANY | _same(VERDICTS), chosen=chosen.verdict),
            Choice(label="Level", name="level", options=ANY | _same(levels), chosen=level),
            Choice(label="Language", name="language", options=ANY | _same(languages), chosen=chosen.language),
            Choice(label="Task", name="task", options=ANY | _same(tasks), chosen=chosen.task),
            Choice(label="Reflection", name="turn", options=ANY | turns, chosen=chosen.turn),
        ],
        ranges=[
            _make_range("Step", "step", chosen.step_from, chosen.step_to, "1"),
            _make_range("Reward", "reward", chosen.reward_from, chosen.reward_to, "any"),
        ],
        behaviours=[(name, HIGHLIGHTS[name], name in chosen.shows) for name in BEHAVIOURS],
        cut=chosen.cut,
        order=Choice(
            label="Order", name="order", options=_same(ORDERS), chosen=chosen.order, is_disabled=bool(chosen.q)
        ),
        problem="" if chosen.problem is None else str(chosen.problem),
        clear_href=f"?stage={quote(stage)}",
    )


def _same(names: Sequence[str] | Mapping[str, object]) -> dict[str, str]:
    """Make options that are called by their values."""
    return {name: name for name in names}


def _make_range(label: str, name: str, low: float | None, high: float | None, step: str) -> Range:
    ends = ["" if value is None else f"{value:g}" for value in (low, high)]
    return Range(label=label, name=name, step=step, low=ends[0], high=ends[1])


def _describe_count(found: FoundRows, selected: int, stored: int, chosen: RolloutFilter) -> tuple[str, str]:
    """Say how many there are, and of what."""
    if not chosen.q:
        return f"{selected:,}", f"of {stored:,} answers"
    share = f"{found.searched:,} of {selected:,} looked through, the newest first"
    return f"{found.total:,}", f"found on this page; {share}; {stored:,} answers in all"


def _make_line(index: RolloutIndex, columns: Columns, row: int, base: str, stage: str) -> RolloutLine:
    step, place = int(columns["step"][row]), int(columns["place"][row])
    shown = int(columns["shown"][row])
    return RolloutLine(
        name=f"{int(columns['group'][row])}.{int(columns['index'][row])}",
        href=f"{base}/{quote(stage)}/{step}/{place}",
        question=index.get_text("question", step, place),
        step=f"{step:,}",
        level=str(int(columns["level"][row])),
        verdict=make_verdict_cell(int(columns["verdict"][row]), bool(columns["graded"][row])),
        reward=f"{float(columns['value'][row]):.3g}",
        tokens=f"{int(columns['tokens'][row]):,}" + (" ✂" if columns["truncated"][row] else ""),
        reflections=f"{int(columns['reflections'][row]):,}",
        behaviours=[name for bit, name in enumerate(BEHAVIOURS) if shown >> bit & 1],
        opening=index.get_text("opening", step, place),
    )


def make_verdict_cell(verdict: int, graded: bool) -> Cell | str:
    """Say what the rule said, as a word."""
    return VERDICT_CELLS[Verdict(verdict)] if graded else "not graded"


def make_rollout_view(watched: WatchedRun, base: str, stage: str, step: int, place: int) -> RolloutView:
    """Lay out one completion.

    Args:
        watched: The run.
        base: The address of the run.
        stage: The stage.
        step: The rollout.
        place: The completion's row in it.

    Returns:
        The record.

    Raises:
        UserError: There is no such stage, rollout or row.
    """
    watched.open_index(stage)  # says if there is no such stage
    rows = watched.read().stage(stage).read_rollouts(step)
    if not 0 <= place < len(rows):
        raise UserError(f"step {step} of {stage} has {len(rows)} rollouts; there is no number {place}")
    row = rows[place]
    group = [(number, other) for number, other in enumerate(rows) if other.group == row.group]
    here = f"{base}/rollouts/{quote(stage)}/{step}"
    at = [number for number, _ in group].index(place)
    before, after = (group[(at + by) % len(group)][0] for by in (-1, 1))
    of_problem = f"stage={quote(stage)}&problem={hash_problem_id(row.problem_id)}"
    cut = ", cut off at the length limit" if row.finish == "length" else ""
    note = f"{row.tokens:,} tokens{cut}, by the policy after {row.policy_version:,} updates"
    return RolloutView(
        title=f"Answer {row.index} to question {row.group} of step {step:,}, {stage}",
        question=make_question(row.prompt),
        gold=row.gold,
        origin=f"Task {row.task}, level {row.level}, {row.language}.",
        answer=make_answer_box("The answer", row.completion, right=row.right, note=note),
        score=_tabulate_score(row),
        siblings=_list_siblings(group, place, here),
        history_href=f"{base}/paths?{of_problem}",
        list_href=f"{base}/rollouts?{of_problem}",
        previous_href=f"{here}/{before}",
        next_href=f"{here}/{after}",
        back_href=f"{base}/rollouts?stage={quote(stage)}",
    )


def _tabulate_score(row: AnswerRow) -> Table:
    """Tabulate the score, its parts, and the verifier's reason."""
    parts = {name: f"{part:.4g}" for name, part in row.parts.items()}
    status = {} if row.status == "graded" else {"status": row.status.replace("_", " ")}
    others = {
        "answer that was graded": "none found" if row.extracted is None else row.extracted,
        "the verifier's reason": row.reason or NOTHING,
        "mean log-probability of a token": f"{row.logprob:.3f}",
    }
    rows: list[Sequence[Cell | str]] = [[Cell(text="reward", bold=True), Cell(text=f"{row.value:.4g}", bold=True)]]
    rows += [*parts.items(), *status.items(), *others.items()]
    return Table(caption="The score and its parts, not yet weighted", header=["", ""], rows=rows)


def _list_siblings(group: Sequence[tuple[int, AnswerRow]], place: int, here: str) -> list[Sibling]:
    """List the other completions of the same prompt, from the best to the worst."""
    return [
        Sibling(
            name=f"{row.group}.{row.index}",
            verdict=make_verdict_cell(to_verdict(row.right), row.status != "verifier_failed"),
            note=f", reward {row.value:.3g}, {row.tokens:,} tokens",
            href=f"{here}/{number}",
            shown=highlight(row.completion.strip()),
        )
        for number, row in sorted(group, key=lambda pair: -(pair[1].value or 0.0))
        if number != place
    ]
