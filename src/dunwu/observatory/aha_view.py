"""The candidate moments of a stage: what rose, the evidence, the same problem before and after."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from dunwu.analysis.aha import Evidence, Moment
from dunwu.analysis.aha_sentences import describe_reading, describe_search, format_level, tabulate_effect
from dunwu.analysis.labels import describe_checkpoint
from dunwu.analysis.results import group_outcomes
from dunwu.analysis.stage_data import StageData
from dunwu.observatory.views import AnswerPair, Table, make_answer_pair
from dunwu.runs import ABLATION

COLUMNS = ("", "before", "after", "updates", "", "standard deviations", "p")
METHOD = (
    "Every series of rollouts is tested for a change of its level by permutations; a jump is a change that one step "
    "describes as well as a ramp does. Before and after are the levels of the step or ramp that fits best, standard "
    "deviations those of the rollouts around it; p is of one series, and counts where it is below 5 % divided by the "
    "number of series. docs/reference/measures.md says how."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MomentView:
    """A rise of reflection: what changed with it, and a problem that was answered before and after."""

    evidence: Table
    answers: AnswerPair | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AhaView:
    """Whether a stage has a candidate, with what speaks for it.

    Attributes:
        verdict: In a sentence or two.
        is_reading: Whether the rollouts are still being read, so that there is nothing more to show.
        moments: The candidates.
        effect: What ``dunwu ablate`` has found; None where it was not asked.
        command: What would ask it; "" where there is no candidate.
        changes: All changes of all series; None where there are none.
        method: How it was looked for; "" where it was not.
    """

    verdict: str
    is_reading: bool = False
    moments: Sequence[MomentView] = ()
    effect: Table | None = None
    command: str = ""
    changes: Table | None = None
    method: str = ""


def make_aha_view(data: StageData) -> AhaView:
    """Lay out what was found of a stage's rollouts."""
    if data.reading:
        return AhaView(verdict=describe_reading(*data.reading), is_reading=True)
    search = data.moment_search
    effect = data.stage.derived.read_record(ABLATION)
    caption = (
        "Chains of the trained model, cut before their first word of reflection: continued without any, and with it"
    )
    command = f"dunwu ablate {shlex.quote(str(data.run.directory))} --stage {data.name}"
    every = "Every change of every series, in the order of the series"
    return AhaView(
        verdict=describe_search(search),
        moments=[_make_moment_view(data, moment) for moment in search.moments],
        effect=Table(caption=caption, header=["", ""], rows=tabulate_effect(effect)) if effect else None,
        command=command if search.moments else "",
        changes=_tabulate(every, search.changes) if search.changes else None,
        method=METHOD if search.series else "",
    )


def _make_moment_view(data: StageData, moment: Moment) -> MomentView:
    caption = "What changed while reflection rose, the largest change first"
    return MomentView(evidence=_tabulate(caption, (moment.lead, *moment.others)), answers=_choose_answers(data, moment))


def _choose_answers(data: StageData, moment: Moment) -> AnswerPair | None:
    """Choose a held-out problem, answered with the same random seed by the policies before and after."""
    ends = data.find_evaluations_around(*moment.updates)
    kinds = group_outcomes(*ends) if ends else []
    if not ends or not kinds:
        return None
    before, after = (describe_checkpoint(end.checkpoint) for end in ends)
    return make_answer_pair((before, after), kinds[0].examples[0])


def _tabulate(caption: str, evidence: Sequence[Evidence]) -> Table:
    rows = [
        [
            f"{one.measure.label} ({one.measure.unit})",
            format_level(one, one.change.before),
            format_level(one, one.change.after),
            f"{one.updates[0]:,} to {one.updates[1]:,}",
            one.change.kind,
            f"{one.change.size:+.1f}",
            f"{one.change.p:.4f}",
        ]
        for one in evidence
    ]
    return Table(caption=caption, header=COLUMNS, rows=rows)
