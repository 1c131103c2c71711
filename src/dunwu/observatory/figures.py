"""The figures of a stage: its learning curves, split by what the rule said and by level, with the base's rates."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Literal

from dunwu.analysis import curves
from dunwu.analysis.aha import MomentSearch, find_moments
from dunwu.analysis.curves import Measure, Rollout, Subset
from dunwu.analysis.damaged_files import read_or_default
from dunwu.analysis.labels import describe_metric
from dunwu.analysis.missing_files import find_missing_evaluations, find_missing_rollouts
from dunwu.analysis.reasoning.facts import extract_facts
from dunwu.analysis.results import EvaluationsBySet, read_evaluations_by_set
from dunwu.observatory.charts import HELD_OUT as HELD_OUT_COLOURS
from dunwu.observatory.charts import Chart, Point, Series, Span, exact
from dunwu.runs import BASE, TRAINED, Evaluation, EvaluationRow, RolloutRow, RunReader, StageReader
from dunwu.runs.checkpoints import step_of

TOP_WORDS = 6
"""Words of reflection that get a curve of their own."""
BASE_ROWS = 2000
"""Answers of the base that its rates are read off, the first samples of every problem."""
TRAINING = "training problems"
VERDICTS: tuple[Literal["right", "wrong"], ...] = ("right", "wrong")
HELD_OUT = {
    curves.ACCURACY.name: "pass@1",
    curves.REFLECTIONS.name: "reflections",
    curves.LENGTH.name: "length",
    curves.TRUNCATED.name: "truncated",
}
"""What an evaluation calls a measure, where it has it."""
NOT_OF_TEXT = (curves.REWARD, curves.TRUNCATED, curves.SPREAD)
"""Measures that an answer's text does not give."""
MEASUREMENTS = (
    # title, unit on the axis, metric: what it is called
    ("How undecided the policy is", "nats a token", {"entropy": "entropy"}),
    ("Distance from the reference policy", "nats a token", {"kl": "KL divergence (k3)"}),
    ("Tokens outside the clipping range", "share of tokens", {"clip_low": "below", "clip_high": "above"}),
    ("Groups without a gradient", "share of groups", {"uniform_groups": "all rewards equal"}),
    ("Engine against trainer", "nats a token", {"sampler_gap_mean": "mean difference"}),
    ("Loss", "nats a token", {"loss": "loss"}),
    ("Learning rate", "", {"lr": "learning rate"}),
    ("Value network", "squared error", {"value_error": "error of the critic"}),
)
"""Metrics with a chart of their own; all others are folded away."""
OPENING = ("Right answers", "Words of reflection", "Length of a response", "Reward and its parts")
"""Titles of the figures that an overview opens on."""
MOST_AT_FIRST = 4
FROM_ROLLOUTS = {"reward", "length", "length_right", "length_wrong", "truncated", "reflections", "responses", "tokens"}
"""Metrics that the curves out of the rollouts show with intervals."""


@dataclass(frozen=True)
class Told:
    """A stage with all that its figures are made of, read once.

    ``base``: see ``base_of``. ``reading``: of how many stored rollouts how many have been read, while those are too few
    to draw a conclusion from. ``damaged``: why other rollouts could not be read;
    ``lost``: why other files could not, and what is gone from them, as far as has been found out.
    """

    run: RunReader
    name: str
    rollouts: Sequence[Rollout]
    by_set: EvaluationsBySet
    base: Rollout | None
    reading: tuple[int, int] | None = None
    damaged: Sequence[str] = ()
    lost: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, run: RunReader, name: str) -> Told:
        """Reads a stage as far as it has come; what is damaged is left out and told of."""
        lost: list[str] = []
        nothing: EvaluationsBySet = {}
        by_set = read_or_default(lambda: read_evaluations_by_set(run, name), nothing, lost)
        rollouts, damaged = curves.read_rollouts(run.stage(name))
        return cls(run, name, rollouts, by_set, base_of(by_set), damaged=damaged, lost=lost)

    def part(self, make: Callable[[], str]) -> str:
        """A part of its pages; "" where a file that it is made of is damaged."""
        return read_or_default(make, "", self.lost)

    @property
    def stage(self) -> StageReader:
        """Its part of the run directory."""
        return self.run.stage(self.name)

    @cached_property
    def metrics(self) -> list[dict[str, float]]:
        """A mapping for each rollout; none where the file is damaged."""
        rows = read_or_default(self.stage.read_metrics, list[dict[str, float]](), self.lost)
        missing = (partial(find, self.run, self.name) for find in (find_missing_rollouts, find_missing_evaluations))
        finders: list[Callable[[], str | None]] = [self.stage.lost_metrics, *missing]
        for find in finders:
            if gone := read_or_default(find, None, self.lost):
                self.lost.append(gone)
        return rows

    @cached_property
    def search(self) -> MomentSearch:
        """What changed, and whether it is an aha moment; nothing while the rollouts are being read."""
        return find_moments(self.rollouts if self.reading is None else [])

    @property
    def last_step(self) -> float:
        """Updates done, where the trained model stands."""
        return self.metrics[-1]["step"] if self.metrics else self.rollouts[-1].updates if self.rollouts else 0

    @property
    def levels(self) -> list[int]:
        """The levels of its problems."""
        return sorted({level for rollout in self.rollouts for level in rollout.levels})


def base_of(by_set: EvaluationsBySet) -> Rollout | None:
    """The base's answers to held-out problems as a rollout; None where it was not measured."""
    evaluation = _base_evaluation(by_set)
    if evaluation is None:
        return None
    few = max(1, BASE_ROWS // evaluation.problems)
    return as_rollout([row for row in evaluation.rows if row.sample < few])


def _base_evaluation(by_set: EvaluationsBySet) -> Evaluation | None:
    """Of the first set that the base was measured on."""
    every = (evaluation for found in by_set.values() for evaluation in found)
    return next((found for found in every if found.checkpoint == BASE and found.rows), None)


def learning(told: Told) -> list[Chart]:
    """The curves that tell the story, first of what comes out, then of how."""
    if not told.rollouts:
        return []
    plain, split = partial(_all, told), partial(_by_verdict, told)
    parts = sorted({name for rollout in told.rollouts for name in rollout.parts})
    rewards = [
        replace(_curve(told, curves.REWARD, "reward"), colour="training"),
        *(_curve(told, curves.make_part_measure(n), f"part: {n}") for n in parts),
    ]
    words = [curves.make_word_measure(text) for text in curves.find_frequent_words(told.rollouts, TOP_WORDS)]
    behaviours = [
        replace(one, colour=f"c{place}")  # the hue in which the page marks that behaviour in a text
        for place, measure in enumerate(curves.SHOWN.values())
        for one in _with_base(told, measure, measure.label)
    ]
    turns = [one for measure in (curves.MENDED, curves.SPOILT) for one in _with_base(told, measure, measure.label)]
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
            series=[_bare(one) for measure in words for one in _with_base(told, measure, measure.label)],
            y_label="words a response",
        ),
        Chart(title="Language", series=split(curves.LANGUAGE), y_label="words in the question's language", share=True),
        Chart(title="Repetition", series=split(curves.REPETITION), y_label="repeated runs of 40 words", share=True),
        Chart(title="Cut off at the length limit", series=plain(curves.TRUNCATED), y_label="responses", share=True),
        Chart(title="Spread of rewards in a group", series=plain(curves.SPREAD), y_label="variance"),
    ]
    return [_marked(chart, told.search) for chart in charts if chart.drawn]


def opening(told: Told) -> list[Chart]:
    """Choose the few figures that say most of a stage.

    Args:
        told: the stage.

    Returns:
        At most four: right answers, reflection, length and reward; of a stage that writes nothing, its own metrics.
    """
    charts = {chart.title: chart for chart in learning(told)}
    chosen = [charts[title] for title in OPENING if title in charts]
    return (chosen or measured(told)[0])[:MOST_AT_FIRST]


def of_run(name: str, told: Told, measure: Measure) -> list[Series]:
    """One run's part of a figure of several: its curve, and in its colour what its base and its checkpoints do.

    Args:
        name: what the run is called.
        told: its stage.
        measure: what is drawn.

    Returns:
        The curve first. Held-out evaluations are those of its first set, the base's a ring.
    """
    held_out = [point for one in list(_held_out(told, measure))[:1] for point in one.points]
    rings, dots = ([point for point in held_out if (point.x == 0) == at_base] for at_base in (True, False))
    base = [one for one in _base(told, measure) if told.base]
    return [
        _curve(told, measure, name),
        *(replace(one, label=f"{name}, base", colour="", beside=name) for one in base),
        Series(label=f"{name}, base", points=rings, kind="rings", beside=name),
        Series(label=f"{name}, held-out", points=dots, kind="dots", beside=name),
    ]


def by_level(told: Told, verdict: Literal["all", "right", "wrong"] = "all") -> list[Chart]:
    """What matters most, level by level, over all answers or the right or wrong ones; nothing where all problems have
    one level."""
    if len(told.levels) < 2:
        return []
    measures = (curves.ACCURACY, curves.REFLECTIONS, curves.RATE, curves.LENGTH, curves.STEPS, *curves.SHOWN.values())
    pieces = {f"level {level}": Subset(verdict, level) for level in told.levels}
    return [
        Chart(
            title=f"{measure.label.capitalize()}, by level" + ("" if verdict == "all" else f", {verdict} answers"),
            series=[one for label, piece in pieces.items() for one in _with_base(told, measure, label, piece)],
            y_label=measure.unit,
            share=measure.share,
        )
        for measure in measures
        if verdict == "all" or measure is not curves.ACCURACY
    ]


LEVEL_BY_LEVEL: Mapping[str, Literal["all", "right", "wrong"]] = {
    "Level by level": "all",
    "Level by level, right answers": "right",
    "Level by level, wrong answers": "wrong",
}


def measured(told: Told) -> tuple[list[Chart], list[Chart]]:
    """The metrics that no rollout holds: the telling ones, and the rest by their names."""
    telling = [_metric_chart(title, unit, labels, told.metrics) for title, unit, labels in MEASUREMENTS]
    parts = {part for rollout in told.rollouts for part in rollout.parts}
    known = {"step"} | (FROM_ROLLOUTS | parts if told.rollouts else set())
    known |= {name for _, _, labels in MEASUREMENTS for name in labels}
    others = sorted({name for row in told.metrics for name in row} - known)
    rest = [
        _metric_chart(describe_metric(name).capitalize(), "", {name: describe_metric(name)}, told.metrics)
        for name in others
    ]
    return [chart for chart in telling if chart.drawn], rest


SPENT = {
    "thinking": ("Accuracy against thinking", "mean tokens of thought, in bins of as many answers"),
    "votes": ("Accuracy against votes", "samples that vote"),
}
"""What test-time compute is spent on: title, and what is on the axis."""


def test_time_compute(told: Told) -> list[Chart]:
    """Of an evaluation stage, set by set: what more thinking and more votes are worth, a curve a model."""
    found = told.stage.read_compared().curves
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
        for of, (title, x_label) in SPENT.items()
        if any((curve.set, curve.of) == (name, of) for curve in found)
    ]


def as_rollout(rows: Sequence[EvaluationRow]) -> Rollout:
    """Answers of an evaluation as a rollout of their own, a group a problem."""
    places = {problem: place for place, problem in enumerate(dict.fromkeys(row.problem_id for row in rows))}
    return Rollout(extract_facts([_as_completion(row, places[row.problem_id]) for row in rows]))


def _as_completion(row: EvaluationRow, group: int) -> RolloutRow:
    parts = {} if row.correct is None else {"accuracy": float(row.correct)}
    return RolloutRow(
        step=0,
        group=group,
        index=row.sample,
        problem_id=row.problem_id,
        task="",
        level=row.level,
        language=row.language,
        prompt=row.prompt,
        completion=row.text,
        finish="stop",
        tokens=row.tokens,
        logprob=0.0,
        policy_version=0,
        value=sum(parts.values()),
        parts=parts,
        status="graded",
        extracted=row.extracted,
        gold=row.gold,
        reason="",
    )


def slug(title: str) -> str:
    """A title as a file's name."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def _all(told: Told, measure: Measure) -> list[Series]:
    """A measure on training problems, in held-out evaluations, and the base's level."""
    return [
        replace(_curve(told, measure, TRAINING), colour="training"),
        *_held_out(told, measure),
        *_base(told, measure),
    ]


def _by_verdict(told: Told, measure: Measure) -> list[Series]:
    """As ``_all``, with right and wrong answers apart where there are such."""
    apart = [
        replace(_curve(told, measure, f"{verdict} answers", Subset(verdict)), colour=verdict) for verdict in VERDICTS
    ]
    return [
        replace(_curve(told, measure, TRAINING), colour="training"),
        *apart,
        *_held_out(told, measure),
        *_base(told, measure),
    ]


def _curve(told: Told, measure: Measure, label: str, piece: Subset = Subset()) -> Series:  # noqa: B008 -- a constant
    estimates = [(rollout.updates, rollout.estimate(measure, piece)) for rollout in told.rollouts]
    return Series(label=label, points=[Point(updates, estimate) for updates, estimate in estimates if estimate])


def _bare(series: Series) -> Series:
    """Without intervals, where they would hide each other."""
    return replace(series, points=[exact(point.x, point.estimate.value) for point in series.points])


def _held_out(told: Told, measure: Measure) -> Iterator[Series]:
    """Every set's evaluations, placed at the updates that they saw."""
    quantity = HELD_OUT.get(measure.name)
    if quantity is None:
        return
    for place, (name, evaluations) in enumerate(told.by_set.items()):
        found = [evaluation for evaluation in evaluations if quantity in evaluation.results]
        points = [Point(place_of(evaluation, told.last_step), evaluation.results[quantity]) for evaluation in found]
        yield Series(label=set_label(name), points=points, kind="dots", colour=HELD_OUT_COLOURS[place % 3])


def set_label(name: str) -> str:
    """What a set of held-out problems is called."""
    return name if name.startswith("held-out") else f"held-out: {name}"


def place_of(evaluation: Evaluation, last_step: float) -> float:
    """The updates that the evaluated policy had seen."""
    places = {BASE: 0.0, TRAINED: float(last_step)}
    known = places.get(evaluation.checkpoint)
    return float(step_of(evaluation.checkpoint)) if known is None else known


def _with_base(told: Told, measure: Measure, label: str, piece: Subset = Subset()) -> list[Series]:  # noqa: B008
    """A curve, and beside it in its colour what the base does; without evaluations of it the curve alone."""
    base = told.base.estimate(measure, piece) if told.base else None
    level = [Series(label=f"base, {label}", points=[exact(0, base.value)], kind="level", beside=label)] if base else []
    return [_curve(told, measure, label, piece), *level]


def _base(told: Told, measure: Measure) -> list[Series]:
    """What the base does on held-out problems; without evaluations, what the first rollout did."""
    if told.base is None:
        label, estimate = "first rollout", told.rollouts[0].estimate(measure)
    else:
        evaluation = _base_evaluation(told.by_set)
        results = evaluation.results if evaluation else {}
        label, estimate = "base", results.get(HELD_OUT.get(measure.name, ""))
        if estimate is None and measure not in NOT_OF_TEXT:
            estimate = told.base.estimate(measure)
    return [Series(label=label, points=[exact(0, estimate.value)], kind="level", colour="base")] if estimate else []


def _marked(chart: Chart, found: MomentSearch) -> Chart:
    """With the stretches in which reflection rose behind its curves."""
    spans = [Span(*moment.updates, "reflection rises") for moment in found.moments]
    return replace(chart, spans=spans)


def _metric_chart(title: str, unit: str, labels: Mapping[str, str], metrics: Sequence[Mapping[str, float]]) -> Chart:
    colour = "training" if len(labels) == 1 else ""  # all of them are measured where the policy is trained
    series = [
        Series(label=label, points=[exact(row["step"], row[name]) for row in metrics if name in row], colour=colour)
        for name, label in labels.items()
    ]
    return Chart(title=title, series=series, y_label=unit)
