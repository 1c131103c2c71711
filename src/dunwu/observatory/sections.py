"""What the report tells of one stage: learning curves, measurements, evaluations, answers side by side, time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from dunwu.observatory import beside, page, reflection
from dunwu.observatory.charts import Point, Series, exact, line_chart
from dunwu.observatory.curves import RolloutPoint, can_be_right, curves, is_right
from dunwu.observatory.findings import EvaluationsBySet, Outcome, base_and_trained, evaluations_by_set, outcomes
from dunwu.observatory.wording import interval, number, quantity
from dunwu.runs import BASE, TRAINED, Evaluation, EvaluationRow, RolloutRow, RunReader, StageReader
from dunwu.runs.checkpoints import step_of
from dunwu.types import Estimate

TOP_WORDS = 6
"""Words of reflection that get a curve of their own."""

MEASUREMENTS = (
    # title, unit on the axis, metric: what it is called
    ("How undecided the policy is", "nats a token", {"entropy": "entropy"}),
    ("Distance from the reference policy", "nats a token", {"kl": "KL divergence (k3)"}),
    ("Tokens outside the clipping range", "share of tokens", {"clip_low": "below", "clip_high": "above"}),
    ("Groups without a gradient", "share of groups", {"uniform_groups": "all rewards equal"}),
)
"""Metrics with a chart of their own; all others are folded away."""

COUNTED = ("questions", "answers", "kept", "tokens")
"""Of a stage that keeps answers; every other count is of answers that went."""
SHOWN_CONVERSATIONS = 2
KEPT_CAPTION = (
    "What was kept to learn from, then why other answers went (same: repeats one that is kept; spare: enough of its "
    "question are kept)"
)
FROM_ROLLOUTS = {"reward", "length", "length_right", "length_wrong", "truncated", "reflections", "responses", "tokens"}
"""Metrics that the curves out of the rollouts show with intervals."""


def stage_section(run: RunReader, name: str) -> str:
    """One stage, as far as it has come."""
    stage, by_set = run.stage(name), evaluations_by_set(run, name)
    points, metrics = curves(stage), stage.read_metrics()
    parts = [f"<h2>Stage {page.text(name)}</h2>"]
    known = {"step"}
    if points:
        last_step = metrics[-1]["step"] if metrics else points[-1].updates
        parts.append(_learning(points, by_set, last_step, len(stage.rollout_steps())))
        known |= FROM_ROLLOUTS | {part for point in points for part in point.parts}
    parts.append(_conversations(stage))
    parts.append(_measurements(metrics, known))
    parts.append(page.grid([_evaluation_table(set_name, evaluations) for set_name, evaluations in by_set.items()]))
    parts.append(_examples(by_set) or _rollout_examples(stage))
    parts.append(_timings(stage))
    return "".join(parts)


def _conversations(stage: StageReader) -> str:
    """What a stage kept of the answers that it sampled, and two of the conversations."""
    counts = stage.read_counts()
    if not counts:
        return ""
    gone = list(dict.fromkeys(why for numbers in counts.values() for why in numbers if why not in COUNTED))
    rows = []
    for category, numbers in counts.items():
        kept = numbers.get("kept", 0.0)
        length = f"{numbers.get('tokens', 0.0) / kept:,.1f}" if kept else "–"
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


def models_table(shown: beside.Table) -> str:
    """Models beside each other, a row a benchmark."""
    cells = [[page.text(row.label), *(page.text(row.cell(model)) for model in shown.models)] for row in shown.rows]
    return page.table(f"{shown.title}. {shown.note}", ["", *shown.models], cells)


def _learning(points: Sequence[RolloutPoint], by_set: EvaluationsBySet, last_step: float, rollouts: int) -> str:
    """The curves out of the stored rollouts, held-out measurements among them."""
    part_names = sorted({name for point in points for name in point.parts})
    rewards = [_curve("reward", points, lambda point: point.reward)]
    rewards += [_curve(f"part: {name}", points, _part(name)) for name in part_names]
    lengths = [
        _curve("all", points, lambda point: point.length),
        _curve("right answers", points, lambda point: point.length_right),
        _curve("wrong answers", points, lambda point: point.length_wrong),
    ]
    training = "training problems"
    held_out_right = [_held_out("pass@1", *pair, last_step) for pair in by_set.items()]
    base_words = _base_words(by_set)
    figures = [
        line_chart(
            "Right answers",
            [_curve(training, points, _part("accuracy")), *held_out_right],
            y_label="share of responses",
            share=True,
        ),
        line_chart("Reward and its parts, training problems", rewards, y_label="mean over responses"),
        line_chart("Length of a response, training problems", lengths, y_label="tokens"),
        line_chart(
            "Words of reflection",
            [_curve(training, points, lambda point: point.reflections), *_base_rate(points, by_set)],
            y_label="words a response",
        ),
        line_chart("Which words of reflection, training problems", _words(points), y_label="words a response"),
        line_chart(
            "Cut off at the length limit",
            [_curve(training, points, lambda point: point.truncated)],
            y_label="share of responses",
            share=True,
        ),
    ]
    first = points[0]
    note = (
        f"One seed. A point is one rollout of {first.problems:,} problems and {first.completions:,} responses, at the "
        f"policy that wrote it; {len(points):,} of {rollouts:,} rollouts shown. Bands and bars: 95 % intervals over "
        "problems."
    )
    if failed := sum(point.failed for point in points):
        note += f" {failed:,} responses could not be graded; they count in no reward."
    return page.grid(figures, note + base_words)


def _curve(label: str, points: Sequence[RolloutPoint], chosen: Callable[[RolloutPoint], Estimate | None]) -> Series:
    measured = [(point.updates, chosen(point)) for point in points]
    return Series(label=label, points=[Point(updates, estimate) for updates, estimate in measured if estimate])


def _part(name: str) -> Callable[[RolloutPoint], Estimate | None]:
    return lambda point: point.parts.get(name)


def _held_out(quantity_name: str, set_name: str, evaluations: Sequence[Evaluation], last_step: float) -> Series:
    """A set's evaluations, placed at the updates that they saw."""
    places = {BASE: 0.0, TRAINED: float(last_step)}
    points = [
        Point(
            places[e.checkpoint] if e.checkpoint in places else step_of(e.checkpoint),
            e.results[quantity_name],
        )
        for e in evaluations
        if quantity_name in e.results
    ]
    return Series(label=f"held-out: {set_name}", points=points, kind="dots")


def _base_rate(points: Sequence[RolloutPoint], by_set: EvaluationsBySet) -> list[Series]:
    """What the base does on held-out problems (of the first set); without evaluations, what the first rollout did."""
    for name, evaluations in by_set.items():
        for evaluation in evaluations:
            if evaluation.checkpoint == BASE and "reflections" in evaluation.results:
                rate = evaluation.results["reflections"]
                return [Series(label=f"base, held-out: {name}", points=[Point(0, rate)], kind="level")]
    first = points[0].reflections
    return [Series(label="first rollout", points=[exact(0, first.value)], kind="level")] if first else []


def _base_words(by_set: EvaluationsBySet) -> str:
    """The base's words on held-out problems, as a sentence."""
    evaluations = next(iter(by_set.values()), [])
    base = next((evaluation for evaluation in evaluations if evaluation.checkpoint == BASE), None)
    if base is None or not base.rows:
        return ""
    counts: dict[str, int] = {}
    for row in base.rows:
        for word, times in reflection.count(row.text).items():
            counts[word] = counts.get(word, 0) + times
    most = sorted(counts, key=lambda word: (-counts[word], word))[:TOP_WORDS]
    told = ", ".join(f"{word} {counts[word] / len(base.rows):.2f}" for word in most) or "none"
    return f" Words a response of the base on held-out problems: {told}."


def _words(points: Sequence[RolloutPoint]) -> list[Series]:
    """The most frequent words, each where it was counted (0 where absent)."""
    totals: dict[str, float] = {}
    for point in points:
        for word, rate in point.words.items():
            totals[word] = totals.get(word, 0.0) + rate
    most = sorted(totals, key=lambda word: (-totals[word], word))[:TOP_WORDS]
    return [
        Series(label=word, points=[exact(point.updates, point.words.get(word, 0.0)) for point in points])
        for word in most
    ]


def _measurements(metrics: Sequence[Mapping[str, float]], known: set[str]) -> str:
    """The metrics that no other chart shows: the telling ones, and the rest, folded away beside those."""
    telling = [_metric_chart(title, unit, labels, metrics) for title, unit, labels in MEASUREMENTS]
    named = {name for _, _, labels in MEASUREMENTS for name in labels}
    others = sorted({name for row in metrics for name in row} - known - named)
    rest = page.grid([_metric_chart(name, name, {name: name}, metrics) for name in others])
    if rest and any(telling):
        rest = f"<details><summary>Further measurements ({len(others)})</summary>{rest}</details>"
    return page.grid(telling) + rest


def _metric_chart(title: str, unit: str, labels: Mapping[str, str], metrics: Sequence[Mapping[str, float]]) -> str:
    curves_of = [
        Series(label=label, points=[exact(row["step"], row[name]) for row in metrics if name in row])
        for name, label in labels.items()
    ]
    return line_chart(title, curves_of, y_label=unit)


def _evaluation_table(set_name: str, evaluations: Sequence[Evaluation]) -> str:
    """Base against trained, models beside each other, or what there is."""
    shown = base_and_trained(evaluations) or evaluations
    names = dict.fromkeys(name for evaluation in shown for name in evaluation.results)
    rows = [
        [page.text(quantity(name).label), *(_cell(name, evaluation.results.get(name)) for evaluation in shown)]
        for name in names
    ]
    sizes = [f"{evaluation.problems:,} problems, {evaluation.samples} samples each" for evaluation in shown]
    alike = len(set(sizes)) == 1
    caption = f"{sizes[0]}, that training never drew" if alike else "Problems that training never drew"
    heads = [e.checkpoint if alike else f"{e.checkpoint} ({size})" for e, size in zip(shown, sizes, strict=True)]
    table = page.table(f"{caption}; 95 % intervals over problems", ["", *heads], rows)
    return f"<section><h3>Held-out: {page.text(set_name)}</h3>{table}</section>"


def _cell(name: str, estimate: Estimate | None) -> str:
    if estimate is None:
        return "–"
    return f"<b>{number(name, estimate.value)}</b><br><small>{interval(name, estimate)}</small>"


def _examples(by_set: EvaluationsBySet) -> str:
    """Answers before and after on the first set that has both, each kind of outcome with its share."""
    for set_name, evaluations in by_set.items():
        if pair := base_and_trained(evaluations):
            kinds = outcomes(*pair)
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
    told = f"{before} before, {after} after: {kind.count:,} of {total:,} ({100 * kind.count / total:.1f} %)"
    return f"<h4>{told.capitalize()}</h4>" + "".join(_pair(base, trained) for base, trained in kind.examples)


def _pair(base: EvaluationRow, trained: EvaluationRow) -> str:
    answers = "".join(
        page.answer(
            label,
            row.text,
            right=None if row.correct is None else bool(row.correct),
            told=f"{row.tokens:,} tokens, {row.reflections} words of reflection",
        )
        for label, row in ((BASE, base), (TRAINED, trained))
    )
    problem = f"<p><b>{page.text(base.prompt)}</b> A right answer: {page.text(base.gold)}</p>"
    return f'{problem}<div class="pair">{answers}</div>'


def _rollout_examples(stage: StageReader) -> str:
    """Without evaluations at both ends: the first response of the first and of the last rollout."""
    steps = stage.rollout_steps()
    if not steps:
        return ""
    chosen = [stage.read_rollouts(step)[0] for step in dict.fromkeys((steps[0], steps[-1]))]
    answers = "".join(map(_rollout_answer, chosen))
    return f'<h3>From the first and the last rollout</h3><div class="pair">{answers}</div>'


def _rollout_answer(row: RolloutRow) -> str:
    told = f"{row.tokens:,} tokens, reward {row.value:.3g}. {row.prompt}"
    return page.answer(
        f"after {row.policy_version:,} updates",
        row.completion,
        right=is_right(row) if can_be_right(row) else None,
        told=told,
    )


def _timings(stage: StageReader) -> str:
    """Seconds of each rollout by what they were spent on."""
    timings = stage.read_timings()
    names = sorted({name for row in timings for name in row} - {"step"})
    series = [Series(label=n, points=[exact(row["step"], row[n]) for row in timings if n in row]) for n in names]
    chart = line_chart("Where the time went", series, y_label="seconds a rollout")
    total = sum(row[name] for row in timings for name in names if name in row)
    told = f"In all {total / 60:,.1f} minutes of rollouts and updates, evaluations not counted."
    if total and "rewards" in names:
        waited = sum(row.get("rewards", 0.0) for row in timings) / total
        told += f" The rewards, graded while the policy still writes, were waited for in {100 * waited:.2f} % of it."
    return page.grid([chart], told)
