"""What the report tells of one stage: learning curves, measurements, evaluations, answers side by side, time."""

from __future__ import annotations

from collections.abc import Sequence

from dunwu.analysis import comparison_table
from dunwu.analysis.labels import describe_quantity, format_interval, format_number, format_p_value, format_rounded
from dunwu.analysis.reasoning import reflection
from dunwu.analysis.results import EvaluationsBySet, Outcome, find_base_and_trained, group_outcomes
from dunwu.observatory import figures
from dunwu.observatory.charts import Chart, Series, exact
from dunwu.observatory.figures import LEVEL_BY_LEVEL, Told
from dunwu.observatory.report import page
from dunwu.observatory.report.aha_section import aha_section
from dunwu.observatory.report.diagnosis_section import diagnosis_section
from dunwu.observatory.report.servers import servers_table
from dunwu.runs import BASE, TRAINED, Evaluation, Pair, RolloutRow, StageReader
from dunwu.types import Estimate

COUNTED = ("questions", "answers", "kept", "tokens")
"""Of a stage that keeps answers; every other count is of answers that went."""
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


def stage_section(told: Told) -> str:
    """One stage, as far as it has come; what is damaged is named, and costs no other part."""
    parts = [told.part(lambda: diagnosis_section(told))]
    if told.rollouts:
        parts += [aha_section(told), page.grid([chart.html() for chart in figures.learning(told)], _note(told))]
        parts += [folded(title, figures.by_level(told, verdict)) for title, verdict in LEVEL_BY_LEVEL.items()]
    parts.append(told.part(lambda: _conversations(told.stage)))
    parts.append(_measurements(told))
    tables = [evaluation_table(set_name, evaluations) for set_name, evaluations in told.by_set.items()]
    parts.append(page.grid(tables))
    parts.append(told.part(lambda: servers_table(told.stage)))
    parts.append(told.part(lambda: pairs_table(told.stage.read_compared().pairs)))
    parts.append(told.part(lambda: page.grid([c.html() for c in figures.test_time_compute(told)], COMPUTE_NOTE)))
    parts.append(_examples(told.by_set) or told.part(lambda: _rollout_examples(told)))
    parts.append(told.part(lambda: _timings(told.stage)))
    heading = f"<h2>Stage {page.text(told.name)}</h2>"
    return "".join([heading, _damaged(told.damaged), page.damage_notes(told.lost), *parts])


def _damaged(found: Sequence[str]) -> str:
    """Which rollouts are left out because they cannot be read."""
    if not found:
        return ""
    lines = "".join(f"<li>{page.text(line)}</li>" for line in found)
    what = "1 rollout is" if len(found) == 1 else f"{len(found):,} rollouts are"
    return f'<p class="note">{what} left out, as no figure can be made of them:</p><ul class="note">{lines}</ul>'


def _note(told: Told) -> str:
    first, made = told.rollouts[0], max(len(told.stage.rollout_steps()), len(told.metrics))
    note = (
        f"One seed. A point is one rollout of {first.problems:,} problems and {first.completions:,} responses, at the "
        f"policy that wrote it; {len(told.rollouts):,} of {made:,} rollouts shown. Bands and bars: 95 % intervals "
        "over problems. Dashed: what the base does on held-out problems, or, not measured, the first rollout."
    )
    if told.search.moments:
        note += " Shaded: where reflection rose."
    if failed := sum(rollout.failed for rollout in told.rollouts):
        note += f" {failed:,} responses could not be graded; they count in no reward."
    return note + _base_words(told.by_set)


def _conversations(stage: StageReader) -> str:
    """What a stage kept of the answers that it sampled, and two of the conversations."""
    counts = stage.read_counts()
    if not counts:
        return ""
    gone = list(dict.fromkeys(why for numbers in counts.values() for why in numbers if why not in COUNTED))
    rows = []
    for category, numbers in counts.items():
        kept = numbers.get("kept", 0.0)
        length = format_rounded(numbers.get("tokens", 0.0) / kept, 1) if kept else "–"
        asked, went = (numbers["questions"], numbers["answers"], kept), (numbers.get(why, 0.0) for why in gone)
        rows.append(
            [page.text(category), *(f"{n:,.0f}" for n in asked), length, *(f"{n:,.0f}" for n in went)],
        )
    heads = ["", "questions", "answers", "kept", "mean tokens", *gone]
    shown = "".join(
        page.answer(row["category"], row["messages"][-1]["content"], right=True, told=row["messages"][-2]["content"])
        for row in stage.read_conversations(SHOWN_CONVERSATIONS)
    )
    return page.table(KEPT_CAPTION, heads, rows) + f'<div class="pair">{shown}</div>'


def models_table(shown: comparison_table.ComparisonTable) -> str:
    """Models beside each other, a row a benchmark."""
    cells = [[page.text(row.label), *(page.text(row.cell(model)) for model in shown.models)] for row in shown.rows]
    return page.table(f"{shown.title}. {shown.note}", ["", *shown.models], cells)


def _base_words(by_set: EvaluationsBySet) -> str:
    """The base's words on held-out problems, as a sentence."""
    evaluations = next(iter(by_set.values()), [])
    base = next((evaluation for evaluation in evaluations if evaluation.checkpoint == BASE), None)
    if base is None or not base.rows:
        return ""
    counts: dict[str, int] = {}
    for row in base.rows:
        for word, times in reflection.count_words(row.text).items():
            counts[word] = counts.get(word, 0) + times
    most = sorted(counts, key=lambda word: (-counts[word], word))[: figures.TOP_WORDS]
    told = ", ".join(f"{word} {counts[word] / len(base.rows):.2f}" for word in most) or "none"
    return f" Words a response of the base on held-out problems: {told}."


def _measurements(told: Told) -> str:
    """The metrics that no other chart shows: the telling ones, and the rest, folded away beside those."""
    telling, others = figures.measured(told)
    shown = page.grid([chart.html() for chart in telling])
    return shown + (folded("Further measurements", others) if telling else page.grid([c.html() for c in others]))


def folded(title: str, charts: Sequence[Chart]) -> str:
    """Figures behind a line that opens; nothing where there are none."""
    shown = page.grid([chart.html() for chart in charts])
    return f"<details><summary>{title} ({len(charts)})</summary>{shown}</details>" if shown else ""


def evaluation_table(set_name: str, evaluations: Sequence[Evaluation]) -> str:
    """Base against trained, models beside each other, or what there is."""
    shown = find_base_and_trained(evaluations) or evaluations
    names = dict.fromkeys(name for evaluation in shown for name in evaluation.results)
    rows = [
        [
            page.text(describe_quantity(name).label),
            *(result_cell(name, evaluation.results.get(name)) for evaluation in shown),
        ]
        for name in names
    ]
    sizes = [f"{evaluation.problems:,} problems, {evaluation.samples} samples each" for evaluation in shown]
    alike = len(set(sizes)) == 1
    unseen = any(e.checkpoint in (BASE, TRAINED) for e in shown)  # of other people's models nobody knows
    caption = sizes[0] if alike else "In brackets the number of problems x samples of each"
    caption += f"{',' if alike else '; problems'} that training never drew" if unseen else ""
    heads = [e.checkpoint if alike else f"{e.checkpoint} ({e.problems:,} x {e.samples})" for e in shown]
    table = page.table(f"{caption}; 95 % intervals over problems", ["", *heads], rows)
    return f"<section><h3>{page.text(figures.set_label(set_name).capitalize())}</h3>{table}</section>"


def pairs_table(pairs: Sequence[Pair]) -> str:
    """Every model of an evaluation stage against its first one, on the same problems."""
    rows = [
        [
            page.text(pair.set),
            page.text(pair.model),
            f"<b>{format_rounded(100 * pair.difference.value, 1, '+')}</b>",
            " to ".join(format_rounded(100 * end, 1, "+") for end in (pair.difference.low, pair.difference.high)),
            page.text(format_p_value(pair.p).removeprefix("= ")),
            "yes" if pair.p < SIGNIFICANT else "no",
            f"{pair.problems:,}",
        ]
        for pair in pairs
    ]
    if not rows:
        return ""
    caption = (
        f"Right at the first try, in points of per cent, compared with {pairs[0].against} on the same problems and "
        "random numbers; 95 % intervals over problems, p of a two-sided sign-flip test"
    )
    return page.table(caption, ["", "", "difference", "interval", "p", f"p < {SIGNIFICANT}", "problems"], rows)


def result_cell(name: str, estimate: Estimate | None) -> str:
    """A result with its interval, as HTML."""
    if estimate is None:
        return "–"
    return f"<b>{format_number(name, estimate.value, estimate)}</b><br><small>{format_interval(name, estimate)}</small>"


def _examples(by_set: EvaluationsBySet) -> str:
    """Answers before and after on the first set that has both, each kind of outcome with its share."""
    for set_name, evaluations in by_set.items():
        if pair := find_base_and_trained(evaluations):
            kinds = group_outcomes(*pair)
            total = sum(kind.count for kind in kinds)
            heading = (
                f"<h3>Before and after: {page.text(set_name)}</h3>"
                '<p class="note">The same held-out problem and the same random seed, answered by the base and by the '
                "trained model; of each kind the answers of the most typical length. Words of reflection marked.</p>"
            )
            return heading + "".join(_outcome(kind, total) for kind in kinds)
    return ""


def _outcome(kind: Outcome, total: int) -> str:
    before, after = ("right" if right else "wrong" for right in (kind.before_right, kind.after_right))
    told = (
        f"{before} before, {after} after: {kind.count:,} of {total:,} ({format_rounded(100 * kind.count / total, 1)} %)"
    )
    return f"<h4>{told.capitalize()}</h4>" + "".join(page.pair((BASE, TRAINED), rows) for rows in kind.examples)


def _rollout_examples(told: Told) -> str:
    """Without evaluations at both ends: a response of the first and of the last rollout, in English where there is."""
    if not told.rollouts:
        return ""
    steps = dict.fromkeys((told.rollouts[0].step, told.rollouts[-1].step))
    of_steps = [told.stage.read_rollouts(step) for step in steps]
    chosen = [next((row for row in rows if row.language == "en"), rows[0]) for rows in of_steps]
    answers = "".join(map(_rollout_answer, chosen))
    return f'<h3>From the first and the last rollout</h3><div class="pair">{answers}</div>'


def _rollout_answer(row: RolloutRow) -> str:
    told = f"{row.tokens:,} tokens, reward {row.value:.3g}. {row.prompt}"
    return page.answer(
        f"after {row.policy_version:,} updates",
        row.completion,
        right=row.right,
        told=told,
    )


def _timings(stage: StageReader) -> str:
    """Seconds of each rollout by what they were spent on."""
    timings = stage.read_timings()
    names = sorted({name for row in timings for name in row} - {"step"})
    series = [Series(label=n, points=[exact(row["step"], row[n]) for row in timings if n in row]) for n in names]
    chart = Chart(title="Where the time went", series=series, y_label="seconds a rollout").html()
    total = sum(row[name] for row in timings for name in names if name in row)
    told = f"In all {format_rounded(total / 60, 1)} minutes of rollouts and updates, evaluations not counted."
    if total and "rewards" in names:
        waited = sum(row.get("rewards", 0.0) for row in timings) / total
        told += f" The rewards, graded while the policy still writes, were waited for in {100 * waited:.2f} % of it."
    return page.grid([chart], told)
