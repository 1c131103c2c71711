"""The candidate moments of a stage as a part of a page: what rose, the evidence, the same problem before and after."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from dunwu.analysis import aha_sentences
from dunwu.analysis.aha import Evidence, Moment
from dunwu.analysis.labels import describe_checkpoint
from dunwu.analysis.results import group_outcomes
from dunwu.observatory.figures import Told, place_of
from dunwu.observatory.report import page
from dunwu.runs import ABLATION, Evaluation

HEADS = ("", "before", "after", "updates", "", "standard deviations", "p")
CAUSAL = "Chains of the trained model, cut before their first word of reflection: continued without any, and with it"
METHOD = (
    "Every series of rollouts is tested for a change of its level by permutations; a jump is a change that one step "
    "describes as well as a ramp does. Before and after are the levels of the step or ramp that fits best, standard "
    "deviations those of the rollouts around it; p is of one series, and counts where it is below 5 % divided by the "
    "number of series. docs/reference/measures.md says how."
)


def aha_section(told: Told) -> str:
    """Whether there is a candidate, with what speaks for it; the changes of all series, folded away."""
    if told.reading:
        sentence = page.text(aha_sentences.describe_reading(*told.reading))
        return f'<section class="aha"><h3>Is it an aha?</h3><p>{sentence}</p></section>'
    parts = [
        "<h3>Is it an aha?</h3>",
        f'<p class="verdict">{page.text(aha_sentences.describe_search(told.search))}</p>',
    ]
    parts += [_moment(told, moment) for moment in told.search.moments]
    if effect := told.stage.derived.record(ABLATION):
        rows = [[page.text(label), page.text(value)] for label, value in aha_sentences.tabulate_effect(effect)]
        parts.append(page.table(CAUSAL, ["", ""], rows))
    elif told.search.moments:
        command = f"dunwu ablate {shlex.quote(str(told.run.directory))} --stage {told.name}"
        parts.append(f'<p class="note">Whether reflection is what helps, {page.text(command)} can tell.</p>')
    if told.search.changes:
        every = _table("Every change of every series, in the order of the series", told.search.changes)
        parts.append(f"<details><summary>All changes ({len(told.search.changes)})</summary>{every}</details>")
    parts.append(f'<p class="note">{page.text(METHOD)}</p>' if told.search.series else "")
    return f'<section class="aha">{"".join(parts)}</section>'


def _moment(told: Told, moment: Moment) -> str:
    table = _table("What changed while reflection rose, the largest change first", (moment.lead, *moment.others))
    return table + _examples(told, moment)


def _table(caption: str, evidence: Sequence[Evidence]) -> str:
    rows = []
    for one in evidence:
        cells = (
            f"{one.measure.label} ({one.measure.unit})",
            aha_sentences.format_level(one, one.change.before),
            aha_sentences.format_level(one, one.change.after),
            f"{one.updates[0]:,} to {one.updates[1]:,}",
            one.change.kind,
            f"{one.change.size:+.1f}",
            f"{one.change.p:.4f}",
        )
        rows.append([page.text(cell) for cell in cells])
    return page.table(caption, HEADS, rows)


def _examples(told: Told, moment: Moment) -> str:
    """The same held-out problem with the same random seed, by the policies before and after."""
    ends = _around(told, moment)
    kinds = group_outcomes(*ends) if ends else []
    if not kinds:
        return ""
    first, second = (describe_checkpoint(end.checkpoint) for end in ends or ())
    shown = page.pair((first, second), kinds[0].examples[0])
    return f"<h4>The same problem before and after</h4>{shown}{page.key()}"


def _around(told: Told, moment: Moment) -> tuple[Evaluation, Evaluation] | None:
    """Of the first set the last evaluation before reflection rose, and the first one after."""
    evaluations = next(iter(told.by_set.values()), [])
    start, end = moment.updates
    before = [found for found in evaluations if place_of(found, told.last_step) <= start]
    after = [found for found in evaluations if place_of(found, told.last_step) >= end]
    return (before[-1], after[0]) if before and after else None
