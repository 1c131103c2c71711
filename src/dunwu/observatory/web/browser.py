"""The browser of rollouts: the filter, the list, and one rollout with its group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from html import escape
from urllib.parse import quote

import numpy as np

from dunwu.analysis.reasoning.behaviours import BEHAVIOURS
from dunwu.analysis.reasoning.facts import Verdict, hash_problem_id, to_verdict
from dunwu.errors import UserError
from dunwu.observatory.report import page
from dunwu.observatory.web.catalogue import Catalogue, Columns
from dunwu.observatory.web.library import Watched
from dunwu.observatory.web.query import ORDERS, TURNS, VERDICTS, Filter, Found, Rows, page_of, select
from dunwu.runs import RolloutRow

PAGE = 50
"""Rollouts on a page."""
SEARCH_SECONDS = 0.3
"""For which a text is looked for before what has been found is shown."""
TURN_WORDS = {
    "mended": "wrong before reflecting, right after",
    "spoilt": "right before reflecting, wrong after",
    "kept_right": "right before and after",
    "kept_wrong": "wrong before and after",
}
HEADS = ("answer", "question", "step", "level", "verdict", "reward", "tokens", "reflects", "shows", "begins")


def listing(watched: Watched, base: str, stage: str, asked: Filter, start: int) -> str:
    """The filter and a page of what it lets through; ``base``: the address of the list without fields.

    A search goes step by step, from the newest: in any other order it would read every rollout again and again.
    """
    if asked.q:
        asked = replace(asked, order="newest")
    catalogue = watched.catalogue(stage)
    columns = catalogue.columns()
    chosen = select(catalogue, columns, asked)
    place = min(max(start, 0), len(chosen))
    reader = watched.read().stage(stage)
    found = page_of(reader, columns, chosen, asked.q, start=place, count=PAGE, seconds=SEARCH_SECONDS)
    address = f"{base}?stage={quote(stage)}&{asked.address()}"
    return (
        f"{_form(catalogue, columns, stage, asked)}"
        '<section id="results" aria-label="Results" aria-live="polite">'
        f"{_told(found, len(chosen), len(columns['step']), asked)}"
        f"{_table(catalogue, columns, found.rows, base, stage)}{_further(found, place, address)}</section>"
    )


def _form(catalogue: Catalogue, columns: Columns, stage: str, asked: Filter) -> str:
    """Works without a script, by its button; with one at every change."""
    levels = [str(level) for level in np.unique(columns["level"])]
    behaviours = "".join(
        f'<label><input type="checkbox" name="shows" value="{name}"{" checked" if name in asked.shows else ""}> '
        f'<mark class="{name}">{page.MARKS[name]}</mark></label>'
        for name in BEHAVIOURS
    )
    return (
        '<form class="filters" data-live role="search" aria-label="Filter rollouts">'
        f'<input type="hidden" name="stage" value="{escape(stage, quote=True)}">'
        f'<label class="wide">Text <input type="search" name="q" value="{escape(asked.q, quote=True)}" maxlength="200" '
        'placeholder="in question or answer"></label>'
        f"{_choice('Answer', 'verdict', asked.verdict, dict.fromkeys(VERDICTS))}"
        f"{_choice('Level', 'level', '' if asked.level is None else str(asked.level), dict.fromkeys(levels))}"
        f"{_choice('Language', 'language', asked.language, dict.fromkeys(catalogue.names('language')))}"
        f"{_choice('Task', 'task', asked.task, dict.fromkeys(catalogue.names('task')))}"
        f"{_choice('Reflection', 'turn', asked.turn, {name: TURN_WORDS[name] for name in TURNS})}"
        f"{_range('Step', 'step', asked.step_from, asked.step_to, '1')}"
        f"{_range('Reward', 'reward', asked.reward_from, asked.reward_to, 'any')}"
        f"<fieldset><legend>Shows</legend>{behaviours}"
        f'<label><input type="checkbox" name="cut" value="1"{" checked" if asked.cut else ""}> cut off</label>'
        "</fieldset>"
        f"{_choice('Order', 'order', asked.order, dict.fromkeys(ORDERS), any_too=False, off=bool(asked.q))}"
        + (f'<input type="hidden" name="problem" value="{asked.problem}">' if asked.problem is not None else "")
        + f'<button>Show</button> <a href="?stage={quote(stage)}">Clear</a></form>'
    )


def _choice(
    label: str, name: str, chosen: str, options: dict[str, str | None], *, any_too: bool = True, off: bool = False
) -> str:
    offered = ({"": "any"} if any_too else {}) | {value: told or value for value, told in options.items()}
    items = "".join(
        f'<option value="{escape(value, quote=True)}"{" selected" if value == chosen else ""}>'
        f"{page.text(told)}</option>"
        for value, told in offered.items()
    )
    disabled = ' disabled title="A search goes from the newest on"' if off else ""
    return f'<label>{label} <select name="{name}"{disabled}>{items}</select></label>'


def _range(label: str, name: str, low: float | None, high: float | None, step: str) -> str:
    ends = (("from", low), ("to", high))
    fields = "".join(
        f'<input type="number" step="{step}" name="{name}_{end}" aria-label="{label} {end}" placeholder="{end}" '
        f'value="{"" if value is None else f"{value:g}"}">'
        for end, value in ends
    )
    return f'<span class="range"><span>{label}</span> {fields}</span>'


def _told(found: Found, chosen: int, stored: int, asked: Filter) -> str:
    """How many there are."""
    if not asked.q:
        return f'<p class="note"><b>{chosen:,}</b> of {stored:,} answers</p>'
    share = f"{found.searched:,} of {chosen:,} looked through, the newest first"
    return f'<p class="note"><b>{found.total:,}</b> found on this page; {share}; {stored:,} answers in all</p>'


def _table(catalogue: Catalogue, columns: Columns, rows: Rows, base: str, stage: str) -> str:
    lines = "".join(_line(catalogue, columns, int(row), base, stage) for row in rows)
    heads = "".join(f'<th scope="col">{head}</th>' for head in HEADS)
    if not lines:
        return '<p class="nothing">No answer is like that.</p>'
    table = f"<thead><tr>{heads}</tr></thead><tbody>{lines}</tbody>"
    return f'<div class="scroll" tabindex="0"><table class="rollouts">{table}</table></div>'


def _line(catalogue: Catalogue, columns: Columns, row: int, base: str, stage: str) -> str:
    step, place = int(columns["step"][row]), int(columns["place"][row])
    shown = int(columns["shown"][row])
    marks = "".join(
        f'<mark class="{name}" title="{page.MARKS[name]}">{page.MARKS[name][0]}</mark>'
        for bit, name in enumerate(BEHAVIOURS)
        if shown >> bit & 1
    )
    name = f"{int(columns['group'][row])}.{int(columns['index'][row])}"
    cells = (
        f'<a href="{base}/{quote(stage)}/{step}/{place}">{name}</a>',
        f'<span class="opening">{page.text(catalogue.text("question", step, place))}</span>',
        f"{step:,}",
        str(int(columns["level"][row])),
        verdict(int(columns["verdict"][row]), bool(columns["graded"][row])),
        f"{float(columns['value'][row]):.3g}",
        f"{int(columns['tokens'][row]):,}" + (" ✂" if columns["truncated"][row] else ""),
        f"{int(columns['reflections'][row]):,}",
        marks,
        f'<span class="opening">{page.text(catalogue.text("opening", step, place))}</span>',
    )
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def verdict(value: int, graded: bool) -> str:
    """What the rule said, as a word."""
    if not graded:
        return "not graded"
    return {
        Verdict.RIGHT: '<span class="right">right</span>',
        Verdict.WRONG: '<span class="wrong">wrong</span>',
        Verdict.OPEN: "open",
    }[Verdict(value)]


def _further(found: Found, start: int, address: str) -> str:
    links = []
    if start:
        links.append(f'<a href="{escape(address, quote=True)}">First page</a>')
    if found.go_on is not None:
        links.append(f'<a rel="next" href="{escape(address, quote=True)}&amp;start={found.go_on}">Further</a>')
    return f'<p class="further">{" ".join(links)}</p>' if links else ""


def rollout(watched: Watched, base: str, stage: str, step: int, place: int) -> str:
    """One completion with all that is known of it. Raises UserError where there is none."""
    watched.catalogue(stage)  # says if there is no such stage
    rows = watched.read().stage(stage).read_rollouts(step)
    if not 0 <= place < len(rows):
        raise UserError(f"step {step} of {stage} has {len(rows)} rollouts; there is no number {place}")
    row = rows[place]
    group = [(number, other) for number, other in enumerate(rows) if other.group == row.group]
    here = f"{base}/rollouts/{quote(stage)}/{step}"
    at = [number for number, _ in group].index(place)
    before, after = (group[(at + by) % len(group)][0] for by in (-1, 1))
    path = f"{base}/paths?stage={quote(stage)}&amp;problem={hash_problem_id(row.problem_id)}"
    listed = f"{base}/rollouts?stage={quote(stage)}&amp;problem={hash_problem_id(row.problem_id)}"
    return (
        f"<h1>Answer {row.index} to question {row.group} of step {step:,}, {page.text(stage)}</h1>"
        f'<p class="question">{page.text(row.prompt)}{page.in_english(row.prompt)}</p>'
        f'<p class="note">A right answer: {page.text(row.gold)}. Task {page.text(row.task)}, level {row.level}, '
        f"{page.text(row.language)}. "
        f'<a href="{path}">This problem through training</a> · <a href="{listed}">All its rollouts</a></p>'
        f'<p class="further"><a rel="prev" href="{here}/{before}">Previous of the group</a> '
        f'<a rel="next" href="{here}/{after}">Next of the group</a> '
        f'<a rel="up" href="{base}/rollouts?stage={quote(stage)}">Back to the list</a></p>'
        f"{_answer(row)}{page.key()}{_score(row)}{_siblings(group, place, here)}"
    )


def _answer(row: RolloutRow) -> str:
    cut = ", cut off at the length limit" if row.finish == "length" else ""
    told = f"{row.tokens:,} tokens{cut}, by the policy after {row.policy_version:,} updates"
    return page.answer("The answer", row.completion, right=row.right, told=told)


def _score(row: RolloutRow) -> str:
    """The score, its parts, and the verifier's reason."""
    parts = [[page.text(name), f"{part:.4g}"] for name, part in row.parts.items()]
    facts = [
        ["<b>reward</b>", f"<b>{row.value:.4g}</b>"],
        *parts,
        *([] if row.status == "graded" else [["status", page.text(row.status.replace("_", " "))]]),
        ["answer that was graded", page.text("none found" if row.extracted is None else row.extracted)],
        ["the verifier's reason", page.text(row.reason or "–")],
        ["mean log-probability of a token", f"{row.logprob:.3f}"],
    ]
    return page.table("The score and its parts, not yet weighted", ["", ""], facts)


def _siblings(group: Sequence[tuple[int, RolloutRow]], place: int, here: str) -> str:
    """The other completions of the same prompt, from the best to the worst."""
    boxes = []
    for number, row in sorted(group, key=lambda pair: -pair[1].value):
        if number == place:
            continue
        told = f"{verdict(to_verdict(row.right), row.status != 'verifier_failed')}, reward {row.value:.3g}"
        opened = f'<p><a href="{here}/{number}">Open it</a></p><pre>{page.highlighted(row.completion.strip())}</pre>'
        summary = f"{row.group}.{row.index} {told}, {row.tokens:,} tokens"
        boxes.append(f"<details><summary>{summary}</summary>{opened}</details>")
    return f"<h2>The other {len(boxes)} answers of its group</h2>{''.join(boxes)}" if boxes else ""
