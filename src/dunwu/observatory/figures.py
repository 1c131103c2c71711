"""The figures of a stage: its learning curves, split by what the rule said and by level, with the base's rates."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

from dunwu.analysis import curves
from dunwu.analysis.curves import Measure, Subset
from dunwu.analysis.labels import describe_metric, label_set
from dunwu.analysis.results import is_model_comparison
from dunwu.analysis.stage_data import StageData, find_base_evaluation
from dunwu.observatory.charts import HELD_OUT as HELD_OUT_COLOURS
from dunwu.observatory.charts import Chart, Point, Series, Span
from dunwu.runs import read_comparison

Verdict = Literal["all", "right", "wrong"]

TOP_WORDS = 6
"""Words of reflection that get a curve of their own."""
TRAINING = "training problems"
VERDICTS: tuple[Verdict, ...] = ("right", "wrong")
HELD_OUT = {
    curves.ACCURACY.name: "pass@1",
    curves.REFLECTIONS.name: "reflections",
    curves.LENGTH.name: "length",
    curves.TRUNCATED.name: "truncated",
}
"""What an evaluation calls a measure, where it has it."""
NOT_OF_TEXT = (curves.REWARD, curves.TRUNCATED, curves.SPREAD)
"""Measures that an answer's text does not give."""
METRIC_FIGURES = (
    # title, unit on the axis, metric: what it is called
    ("How undecided the policy is", "nats a token", {"entropy": "entropy"}),
    ("Distance from the reference policy", "nats a token", {"kl": "KL divergence (k3)"}),
    ("Tokens outside the clipping range", "share of tokens", {"clip_low": "below", "clip_high": "above"}),
    ("Groups without a gradient", "share of groups", {"uniform_groups": "all rewards equal"}),
    ("Engine against trainer", "nats a token", {"logprob_difference_mean": "mean difference"}),
    ("Loss", "nats a token", {"loss": "loss"}),
    ("Learning rate", "", {"lr": "learning rate"}),
    ("Value network", "squared error", {"value_squared_error": "error of the critic"}),
)
"""Metrics with a chart of their own; all others are folded away."""
OVERVIEW = ("Right answers", "Words of reflection", "Length of a response", "Reward and its parts")
"""Titles of the figures that an overview opens on."""
MOST_ON_OVERVIEW = 4
FROM_ROLLOUTS = {"reward", "length", "length_right", "length_wrong", "truncated", "reflections", "responses", "tokens"}
"""Metrics that the curves out of the rollouts show with intervals."""
LEVEL_TITLES: Mapping[str, Verdict] = {
    "Level by level": "all",
    "Level by level, right answers": "right",
    "Level by level, wrong answers": "wrong",
}
"""Groups of figures by level: title, and over which answers."""
COMPUTE_FIGURES = {
    "thinking": ("Accuracy against thinking", "mean tokens of thought, in bins of as many answers"),
    "votes": ("Accuracy against votes", "samples that vote"),
}
"""What test-time compute is spent on: title, and what is on the axis."""


def plot_learning(data: StageData) -> list[Chart]:
    """Plot what the policy does on its training problems, rollout by rollout.

    Args:
        data: The stage.

    Returns:
        The charts with data, first of what comes out, then of how; none where no rollouts are stored.
    """
    if not data.rollouts:
        return []
    plain, split = partial(_plot_all, data), partial(_plot_by_verdict, data)
    parts = sorted({name for rollout in data.rollouts for name in rollout.parts})
    rewards = [
        replace(_plot_measure(data, curves.REWARD, "reward"), colour="training"),
        *(_plot_measure(data, curves.make_part_measure(name), f"part: {name}") for name in parts),
    ]
    words = [curves.make_word_measure(text) for text in curves.find_frequent_words(data.rollouts, TOP_WORDS)]
    behaviours = [
        replace(one, colour=f"c{place}")  # the hue in which pages highlight that behaviour in a text
        for place, measure in enumerate(curves.SHOWN.values())
        for one in _plot_with_base(data, measure, measure.label)
    ]
    turns = [one for measure in (curves.MENDED, curves.SPOILT) for one in _plot_with_base(data, measure, measure.label)]
    charts = [
        Chart(title="Right answers", series=plain(curves.ACCURACY), y_label="share of responses", share=True),
        Chart(title="Reward and its parts", series=rewards, y_label="mean over responses"),
        Chart(title="Words of reflection", series=split(curves.REFLECTIONS), y_label="words a response"),
        Chart(title="Words of reflection per 1,000 tokens", series=split(curves.RATE), y_label="per 1,000 tokens"),
        Chart(title="How problems are gone about", series=behaviours, y_label="share of responses", share=True),
        Chart(title="What reflection does to the answer", series=turns, y_label="share", share=True),
        Chart(title="Length of a response", series=split(curves.LENGTH), y_label="tokens"),
        Chart(title="Steps of reasoning", series=split(curves.STEPS), y_label="steps a response"),
        Chart(
            title="Which words of reflection",
            series=[_drop_intervals(one) for measure in words for one in _plot_with_base(data, measure, measure.label)],
            y_label="words a response",
        ),
        Chart(title="Language", series=split(curves.LANGUAGE), y_label="words in the question's language", share=True),
        Chart(title="Repetition", series=split(curves.REPETITION), y_label="repeated runs of 40 words", share=True),
        Chart(title="Cut off at the length limit", series=plain(curves.TRUNCATED), y_label="responses", share=True),
        Chart(title="Spread of rewards in a group", series=plain(curves.SPREAD), y_label="variance"),
    ]
    spans = [Span(*moment.updates, "reflection rises") for moment in data.moment_search.moments]
    return [replace(chart, spans=spans) for chart in charts if chart.visible_series]


def plot_overview(data: StageData) -> list[Chart]:
    """Choose the few figures that say most of a stage.

    Args:
        data: The stage.

    Returns:
        At most four: right answers, reflection, length and reward; of a stage that writes nothing, its own metrics.
    """
    charts = {chart.title: chart for chart in plot_learning(data)}
    chosen = [charts[title] for title in OVERVIEW if title in charts]
    return (chosen or plot_metrics(data)[0])[:MOST_ON_OVERVIEW]


def plot_run_series(name: str, data: StageData, measure: Measure) -> list[Series]:
    """Plot one run's part of a figure of several runs.

    Args:
        name: What the run is called.
        data: Its stage.
        measure: What is plotted.

    Returns:
        The curve first; then in its colour the base's level and the evaluations of its first set, the base's as a ring.
    """
    held_out = [point for one in list(_plot_held_out(data, measure))[:1] for point in one.points]
    rings, dots = ([point for point in held_out if (point.x == 0) == at_base] for at_base in (True, False))
    base = _plot_base(data, measure) if data.base else []
    return [
        _plot_measure(data, measure, name),
        *(replace(one, label=f"{name}, base", colour="", companion_of=name) for one in base),
        Series(label=f"{name}, base", points=rings, kind="rings", companion_of=name),
        Series(label=f"{name}, held-out", points=dots, kind="dots", companion_of=name),
    ]


def plot_levels(data: StageData, verdict: Verdict = "all") -> list[Chart]:
    """Plot what matters most, level by level.

    Args:
        data: The stage.
        verdict: Over which answers.

    Returns:
        The charts; none where all problems have one level.
    """
    if len(data.levels) < 2:
        return []
    measures = (curves.ACCURACY, curves.REFLECTIONS, curves.RATE, curves.LENGTH, curves.STEPS, *curves.SHOWN.values())
    subsets = {f"level {level}": Subset(verdict, level) for level in data.levels}
    return [
        Chart(
            title=f"{measure.label.capitalize()}, by level" + ("" if verdict == "all" else f", {verdict} answers"),
            series=[one for label, subset in subsets.items() for one in _plot_with_base(data, measure, label, subset)],
            y_label=measure.unit,
            share=measure.share,
        )
        for measure in measures
        if verdict == "all" or measure is not curves.ACCURACY
    ]


def plot_metrics(data: StageData) -> tuple[list[Chart], list[Chart]]:
    """Plot the metrics that no rollout holds.

    Args:
        data: The stage.

    Returns:
        The charts of ``METRIC_FIGURES`` with data, and one chart for each other metric, by its name.
    """
    chosen = [_plot_metric(title, unit, labels, data.metrics) for title, unit, labels in METRIC_FIGURES]
    parts = {part for rollout in data.rollouts for part in rollout.parts}
    known = {"step"} | (FROM_ROLLOUTS | parts if data.rollouts else set())
    known |= {name for _, _, labels in METRIC_FIGURES for name in labels}
    others = sorted({name for row in data.metrics for name in row} - known)
    rest = [
        _plot_metric(describe_metric(name).capitalize(), "", {name: describe_metric(name)}, data.metrics)
        for name in others
    ]
    return [chart for chart in chosen if chart.visible_series], rest


def plot_test_time_compute(data: StageData) -> list[Chart]:
    """Plot what more thinking and more votes are worth in an evaluation stage.

    Args:
        data: The stage.

    Returns:
        For each set a chart of either, with a curve for each model.

    Raises:
        UserError: The stage's comparison is damaged.
    """
    found = read_comparison(data.stage.path).curves
    return [
        Chart(
            title=f"{title}: {name}",
            series=[
                Series(label=curve.model, points=[Point(*point) for point in curve.points])
                for curve in found
                if (curve.set, curve.of) == (name, of)
            ],
            y_label="right answers",
            x_label=x_label,
            share=True,
        )
        for name in dict.fromkeys(curve.set for curve in found)
        for of, (title, x_label) in COMPUTE_FIGURES.items()
        if any((curve.set, curve.of) == (name, of) for curve in found)
    ]


def plot_timings(timings: Sequence[Mapping[str, float]]) -> Chart:
    """Plot what took the seconds of each rollout."""
    names = sorted({name for row in timings for name in row} - {"step"})
    series = [Series(label=n, points=[Point.exact(row["step"], row[n]) for row in timings if n in row]) for n in names]
    return Chart(title="Where the time went", series=series, y_label="seconds a rollout")


def make_slug(title: str) -> str:
    """Turn a title into the name of a file."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def _plot_all(data: StageData, measure: Measure) -> list[Series]:
    """Plot a measure on training problems, in held-out evaluations, and the base's level."""
    return [_plot_training(data, measure), *_plot_held_out(data, measure), *_plot_base(data, measure)]


def _plot_by_verdict(data: StageData, measure: Measure) -> list[Series]:
    """Plot as ``_plot_all`` does, with right and wrong answers apart where there are such."""
    apart = [
        replace(_plot_measure(data, measure, f"{verdict} answers", Subset(verdict)), colour=verdict)
        for verdict in VERDICTS
    ]
    return [_plot_training(data, measure), *apart, *_plot_held_out(data, measure), *_plot_base(data, measure)]


def _plot_training(data: StageData, measure: Measure) -> Series:
    return replace(_plot_measure(data, measure, TRAINING), colour="training")


def _plot_measure(data: StageData, measure: Measure, label: str, subset: Subset = Subset()) -> Series:  # noqa: B008 -- a constant
    estimates = [(rollout.updates, rollout.estimate(measure, subset)) for rollout in data.rollouts]
    return Series(label=label, points=[Point(updates, estimate) for updates, estimate in estimates if estimate])


def _drop_intervals(series: Series) -> Series:
    """Leave out intervals that would hide each other."""
    return replace(series, points=[Point.exact(point.x, point.estimate.value) for point in series.points])


def _plot_held_out(data: StageData, measure: Measure) -> Iterator[Series]:
    """Plot every set's evaluations at the updates that they saw; models side by side have no such place."""
    quantity = HELD_OUT.get(measure.name)
    if quantity is None or is_model_comparison(data.run, data.name):
        return
    for place, (name, evaluations) in enumerate(data.by_set.items()):
        found = [evaluation for evaluation in evaluations if quantity in evaluation.results]
        points = [Point(data.count_updates_before(evaluation), evaluation.results[quantity]) for evaluation in found]
        yield Series(label=label_set(name), points=points, kind="dots", colour=HELD_OUT_COLOURS[place % 3])


def _plot_with_base(data: StageData, measure: Measure, label: str, subset: Subset = Subset()) -> list[Series]:  # noqa: B008
    """Plot a curve, and in its colour what the base does; without evaluations of it the curve alone."""
    base = data.base.estimate(measure, subset) if data.base else None
    points = [Point.exact(0, base.value)] if base else []
    level = Series(label=f"base, {label}", points=points, kind="level", companion_of=label)
    return [_plot_measure(data, measure, label, subset), *([level] if base else [])]


def _plot_base(data: StageData, measure: Measure) -> list[Series]:
    """Plot what the base does on held-out problems; without evaluations, what the first rollout did."""
    if data.base is None:
        label, estimate = "first rollout", data.rollouts[0].estimate(measure)
    else:
        evaluation = find_base_evaluation(data.by_set)
        results = evaluation.results if evaluation else {}
        label, estimate = "base", results.get(HELD_OUT.get(measure.name, ""))
        if estimate is None and measure not in NOT_OF_TEXT:
            estimate = data.base.estimate(measure)
    points = [Point.exact(0, estimate.value)] if estimate else []
    return [Series(label=label, points=points, kind="level", colour="base")] if points else []


def _plot_metric(title: str, unit: str, labels: Mapping[str, str], metrics: Sequence[Mapping[str, float]]) -> Chart:
    colour = "training" if len(labels) == 1 else ""  # all of them are measured where the policy is trained
    series = [
        Series(
            label=label, points=[Point.exact(row["step"], row[name]) for row in metrics if name in row], colour=colour
        )
        for name, label in labels.items()
    ]
    return Chart(title=title, series=series, y_label=unit)
