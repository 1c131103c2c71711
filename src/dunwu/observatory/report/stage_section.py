"""What the report says of one stage: curves, measurements, evaluations, answers side by side, time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dunwu.analysis.labels import format_p_value, format_rounded
from dunwu.analysis.results import Outcome, count_frequent_words, find_base_and_trained, group_outcomes
from dunwu.analysis.stage_data import StageData
from dunwu.observatory import figures
from dunwu.observatory.aha_view import AhaView, make_aha_view
from dunwu.observatory.diagnosis_view import DiagnosisView, make_diagnosis_view
from dunwu.observatory.views import (
    NOTHING,
    AnswerBox,
    AnswerPair,
    Cell,
    FigureGroup,
    Table,
    make_answer_box,
    make_answer_pair,
    make_evaluation_table,
    make_figure_group,
    make_level_groups,
)
from dunwu.runs import BASE, TRAINED, PairedTest, StageReader, read_comparison, read_server_records

COUNTED = ("questions", "answers", "kept", "tokens")
"""Of a stage that keeps answers; every other count is of answers that were dropped."""
SHOWN_CONVERSATIONS = 2
SIGNIFICANT = 0.01
"""The paper's (R1, arXiv 2501.12948v2)."""
COMPUTE_NOTE = (
    "Bands: 95 % intervals over problems. Harder problems are thought about longer, so a curve that falls with "
    "thinking does not say that thinking harms. A vote is the majority of so many samples, averaged over all choices."
)
KEPT_CAPTION = (
    "What was kept to learn from, then why other answers went (same: repeats one that is kept; spare: enough of its "
    "question are kept)"
)
SERVERS_NOTE = (
    "Sampling is by temperature and top-p; everything else is sent as switched off. What a server takes and does not "
    "heed cannot be seen from here."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAnswers:
    """What a stage kept of the answers that it sampled, and some of the conversations."""

    counts: Table
    answers: Sequence[AnswerBox]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeView:
    """Answers before and after of one kind, such as wrong before and right after."""

    title: str
    examples: Sequence[AnswerPair]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomesView:
    """Answers before and after on one set, kind by kind."""

    set_name: str
    kinds: Sequence[OutcomeView]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSection:
    """One stage of the report; what is None has nothing to show, or its files are damaged.

    Attributes:
        name: The stage.
        unreadable: For each rollout that is left out, why.
        damage: What else cannot be read.
        diagnosis: Whether it is healthy.
        aha: Whether there is a candidate for an aha moment.
        learning: The curves.
        levels: The curves level by level, folded away.
        kept: What a stage kept that samples answers.
        metrics: The metrics of the trainer that say most.
        further_metrics: The others, folded away where there are ``metrics``.
        evaluations: A table for each set.
        comparisons: How servers were asked, and models tested pair by pair.
        test_time_compute: What thinking and votes are worth.
        outcomes: The same problems before and after.
        examples: Answers of the first and the last rollout, where there are no ``outcomes``.
        timings: Where the time went.
    """

    name: str
    unreadable: Sequence[str]
    damage: Sequence[str]
    diagnosis: DiagnosisView | None
    aha: AhaView | None
    learning: FigureGroup
    levels: Sequence[FigureGroup]
    kept: KeptAnswers | None
    metrics: FigureGroup
    further_metrics: FigureGroup
    evaluations: Sequence[Table]
    comparisons: Sequence[Table]
    test_time_compute: FigureGroup | None
    outcomes: OutcomesView | None
    examples: Sequence[AnswerBox]
    timings: FigureGroup | None


def make_stage_section(data: StageData) -> StageSection:
    """Lay out a stage as far as it has come; what is damaged is named, and costs no other part."""
    diagnosis = data.try_make(lambda: make_diagnosis_view(data))
    chosen, others = figures.plot_metrics(data)
    kept = data.try_make(lambda: _make_kept_answers(data.stage))
    servers = data.try_make(lambda: _tabulate_servers(data.stage))
    pairs = data.try_make(lambda: _tabulate_pairs(read_comparison(data.stage.path).pairs))
    compute = data.try_make(lambda: make_figure_group(figures.plot_test_time_compute(data), note=COMPUTE_NOTE))
    outcomes = _make_outcomes(data)
    examples = None if outcomes else data.try_make(lambda: _choose_examples(data))
    timings = data.try_make(lambda: _plot_timings(data.stage))
    return StageSection(
        name=data.name,
        unreadable=data.unreadable,
        diagnosis=diagnosis,
        aha=make_aha_view(data) if data.rollouts else None,
        learning=make_figure_group(figures.plot_learning(data), note=_describe_learning(data)),
        levels=make_level_groups(data),
        kept=kept,
        metrics=make_figure_group(chosen),
        further_metrics=make_figure_group(others, title="Further measurements"),
        evaluations=[make_evaluation_table(name, evaluations) for name, evaluations in data.by_set.items()],
        comparisons=[table for table in (servers, pairs) if table],
        test_time_compute=compute,
        outcomes=outcomes,
        examples=examples or (),
        timings=timings,
        damage=tuple(data.damage),  # after all that may add to it
    )


def _describe_learning(data: StageData) -> str:
    """Say how the curves are read."""
    if not data.rollouts:
        return ""
    first, made = data.rollouts[0], max(len(data.stage.list_rollout_steps()), len(data.metrics))
    note = (
        f"One seed. A point is one rollout of {first.problems:,} problems and {first.completions:,} responses, at the "
        f"policy that wrote it; {len(data.rollouts):,} of {made:,} rollouts shown. Bands and bars: 95 % intervals "
        "over problems. Dashed: what the base does on held-out problems, or, not measured, the first rollout."
    )
    if data.moment_search.moments:
        note += " Shaded: where reflection rose."
    if failed := sum(rollout.failed for rollout in data.rollouts):
        note += f" {failed:,} responses could not be graded; they count in no reward."
    base = next((evaluation for evaluation in data.first_set if evaluation.checkpoint == BASE), None)
    if base is None or not base.rows:
        return note
    words = [f"{word} {times:.2f}" for word, times in count_frequent_words(base, figures.TOP_WORDS)]
    return f"{note} Words a response of the base on held-out problems: {', '.join(words) or 'none'}."


def _make_kept_answers(stage: StageReader) -> KeptAnswers | None:
    counts = stage.generated.read_counts()
    if not counts:
        return None
    reasons = list(dict.fromkeys(why for numbers in counts.values() for why in numbers if why not in COUNTED))
    rows = []
    for category, numbers in counts.items():
        kept = numbers.get("kept", 0.0)
        length = format_rounded(numbers.get("tokens", 0.0) / kept, 1) if kept else NOTHING
        asked = (numbers.get("questions", 0.0), numbers.get("answers", 0.0), kept)
        dropped = [numbers.get(why, 0.0) for why in reasons]
        rows.append([category, *(f"{n:,.0f}" for n in asked), length, *(f"{n:,.0f}" for n in dropped)])
    header = ["", "questions", "answers", "kept", "mean tokens", *reasons]
    answers = [
        make_answer_box(
            row["category"], row["messages"][-1]["content"], right=True, note=row["messages"][-2]["content"]
        )
        for row in stage.generated.read_first(SHOWN_CONVERSATIONS)
    ]
    return KeptAnswers(counts=Table(caption=KEPT_CAPTION, header=header, rows=rows), answers=answers)


def _tabulate_servers(stage: StageReader) -> Table | None:
    """Tabulate how models behind servers were asked: what was sent, what was refused, what each calls itself."""
    rows = [
        [
            model,
            ", ".join(f"{name} {value}" for name, value in record.sent.items()),
            "; ".join(f"{name} ({words})" if words else name for name, words in record.refused.items()) or NOTHING,
            ", ".join(record.says.values()) or NOTHING,
        ]
        for model, record in read_server_records(stage.path).items()
    ]
    caption, header = f"How the servers were asked. {SERVERS_NOTE}", ["model", "sent", "refused", "calls itself"]
    return Table(caption=caption, header=header, rows=rows, words=(1, 2, 3)) if rows else None


def _tabulate_pairs(pairs: Sequence[PairedTest]) -> Table | None:
    """Tabulate every model of an evaluation stage against its first one, on the same problems."""
    rows = [
        [
            pair.set,
            pair.model,
            Cell(text=format_rounded(100 * pair.difference.value, 1, "+"), bold=True),
            " to ".join(format_rounded(100 * end, 1, "+") for end in (pair.difference.low, pair.difference.high)),
            format_p_value(pair.p).removeprefix("= "),
            "yes" if pair.p < SIGNIFICANT else "no",
            f"{pair.problems:,}",
        ]
        for pair in pairs
    ]
    if not rows:
        return None
    caption = (
        f"Right at the first try, in points of per cent, compared with {pairs[0].against} on the same problems and "
        "random numbers; 95 % intervals over problems, p of a two-sided sign-flip test"
    )
    header = ["", "", "difference", "interval", "p", f"p < {SIGNIFICANT}", "problems"]
    return Table(caption=caption, header=header, rows=rows)


def _make_outcomes(data: StageData) -> OutcomesView | None:
    """Show answers before and after on the first set that has both, each kind of outcome with its share."""
    for set_name, evaluations in data.by_set.items():
        pair = find_base_and_trained(evaluations)
        if pair and (kinds := group_outcomes(*pair)):
            total = sum(kind.count for kind in kinds)
            return OutcomesView(set_name=set_name, kinds=[_make_outcome(kind, total) for kind in kinds])
    return None


def _make_outcome(kind: Outcome, total: int) -> OutcomeView:
    before, after = ("right" if right else "wrong" for right in (kind.before_right, kind.after_right))
    share = format_rounded(100 * kind.count / total, 1)
    title = f"{before} before, {after} after: {kind.count:,} of {total:,} ({share} %)"
    return OutcomeView(
        title=title.capitalize(), examples=[make_answer_pair((BASE, TRAINED), rows) for rows in kind.examples]
    )


def _choose_examples(data: StageData) -> list[AnswerBox]:
    """Choose a response of the first and of the last rollout, in English where there is one."""
    if not data.rollouts:
        return []
    steps = dict.fromkeys((data.rollouts[0].step, data.rollouts[-1].step))
    by_step = [data.stage.read_rollouts(step) for step in steps]
    chosen = [next((row for row in rows if row.language == "en"), rows[0]) for rows in by_step]
    return [
        make_answer_box(
            f"after {row.policy_version:,} updates",
            row.completion,
            right=row.right,
            note=f"{row.tokens:,} tokens, reward {row.value:.3g}. {row.prompt}",
        )
        for row in chosen
    ]


def _plot_timings(stage: StageReader) -> FigureGroup:
    """Plot the seconds of each rollout by what took them."""
    timings = stage.read_timings()
    total = sum(seconds for row in timings for name, seconds in row.items() if name != "step")
    note = f"In all {format_rounded(total / 60, 1)} minutes of rollouts and updates, evaluations not counted."
    if total and any("rewards" in row for row in timings):
        waited = sum(row.get("rewards", 0.0) for row in timings) / total
        note += f" The rewards, graded while the policy still writes, were waited for in {100 * waited:.2f} % of it."
    return make_figure_group([figures.plot_timings(timings)], note=note)
