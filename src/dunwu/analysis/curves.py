"""Learning curves out of stored rollouts: what the policy did on its training problems, rollout by rollout."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float64, Int64

from dunwu.analysis.extraction import extract_missing
from dunwu.analysis.reasoning import facts, reflection
from dunwu.analysis.reasoning.behaviours import BEHAVIOURS
from dunwu.analysis.reasoning.facts import PART, WORD, Turn, Verdict
from dunwu.config.schema import REWARD_PARTS
from dunwu.errors import UserError
from dunwu.metrics import estimate_mean
from dunwu.runs import StageReader
from dunwu.types import Estimate

MAX_ROWS, FEWEST = 60_000, 50
"""Completions that curves are made of at most, as long as that leaves so many rollouts, evenly spaced."""

RULES = frozenset(REWARD_PARTS) - {"truncation", "repetition"}
"""Parts of the reward that are shares; the two penalties are not."""

Numbers = Float64[np.ndarray, " N"]
Mask = Bool[np.ndarray, " N"]


class Subset(NamedTuple):
    """Which completions of a rollout: by what the rule said of their answers, and by the level of their problems."""

    verdict: Literal["all", "right", "wrong"] = "all"
    level: int | None = None


class Rollout:
    """One rollout's completions as arrays of N, made of a table of facts (``reasoning.facts.SCHEMA``).

    Estimates are kept: a page asks for some thirty measures of a dozen subsets each.
    """

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self._columns: dict[str, Numbers] = {}
        self._masks: dict[Subset, Mask] = {}
        self._estimates: dict[tuple[str, Subset], Estimate | None] = {}

    def get_column(self, name: str) -> Numbers:
        """Return a column as numbers.

        Args:
            name: The column of the table of facts.

        Returns:
            N numbers, NaN where the column says nothing or is not there; not to be written to.
        """
        if name not in self._columns:
            known = name in self._table.column_names
            values = self._table[name].cast(pa.float64()).to_numpy() if known else np.full(len(self._table), np.nan)
            self._columns[name] = values
        return self._columns[name]

    @cached_property
    def groups(self) -> Int64[np.ndarray, " N"]:
        """The number of each completion's group."""
        found: Int64[np.ndarray, " N"] = self._table["group"].to_numpy().astype(np.int64)
        return found

    @property
    def step(self) -> int:
        """Updates that were done once it had been learnt from."""
        return int(self.get_column("step")[0])

    @cached_property
    def updates(self) -> int:
        """The version of the policy that wrote it, so the first rollout stands at the stage's beginning."""
        return int(self.get_column("version").min())

    @property
    def completions(self) -> int:
        """How many completions there are."""
        return len(self._table)

    @property
    def problems(self) -> int:
        """How many problems were asked."""
        return len(np.unique(self.groups))

    @property
    def failed(self) -> int:
        """Completions whose verifier failed: they count in lengths and words, never in rewards."""
        return int(self.completions - self.get_column("graded").sum())

    @property
    def levels(self) -> list[int]:
        """The levels of its problems, ascending."""
        return [int(level) for level in np.unique(self.get_column("level"))]

    @property
    def parts(self) -> list[str]:
        """The parts of its rewards."""
        return sorted(name.removeprefix(PART) for name in self._table.column_names if name.startswith(PART))

    def select(self, subset: Subset) -> Mask:
        """Select the completions of a subset.

        Args:
            subset: Which. Right and wrong are those of graded answers to questions that have right ones.

        Returns:
            A mask of N.
        """
        if subset not in self._masks:
            self._masks[subset] = self._compute_mask(subset)
        return self._masks[subset]

    def _compute_mask(self, subset: Subset) -> Mask:
        mask = np.ones(self.completions, dtype=bool)
        if subset.verdict != "all":
            wanted = Verdict.RIGHT if subset.verdict == "right" else Verdict.WRONG
            mask &= (self.get_column("verdict") == wanted) & (self.get_column("graded") == 1)
        if subset.level is not None:
            mask &= self.get_column("level") == subset.level
        return mask

    def estimate(self, measure: Measure, subset: Subset = Subset()) -> Estimate | None:  # noqa: B008 -- a constant
        """Estimate a measure as the mean over problems of the mean over a problem's completions.

        Args:
            measure: What is measured.
            subset: Of which completions.

        Returns:
            The mean with Student's 95 % interval over problems; None where there is nothing to measure, e.g. the length
            of right answers where none is right.
        """
        key = (measure.name, subset)
        if key not in self._estimates:
            self._estimates[key] = self._compute_estimate(measure, subset)
        return self._estimates[key]

    def _compute_estimate(self, measure: Measure, subset: Subset) -> Estimate | None:
        values = measure.of(self)
        chosen = self.select(subset) & np.isfinite(values)
        weights = np.ones_like(values) if measure.over is None else self.get_column(measure.over)
        totals = np.bincount(self.groups[chosen], weights=values[chosen])
        counts = np.bincount(self.groups[chosen], weights=weights[chosen])
        means = totals[counts > 0] / counts[counts > 0]
        if not means.size:
            return None
        return estimate_mean(means, lowest=measure.lowest, highest=1.0 if measure.share else np.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A quantity that a rollout has.

    Attributes:
        name: Its name.
        label: What it is called.
        unit: In which unit it is shown.
        of: Computes a number for each completion, NaN where it has none.
        over: The column that it is a rate over; None for a rate over completions.
        share: Whether it lies in [0, 1].
        lowest: The smallest value that it may have.
    """

    name: str
    label: str
    unit: str
    of: Callable[[Rollout], Numbers]
    over: str | None = None
    share: bool = False
    lowest: float = 0.0


def _column(name: str) -> Callable[[Rollout], Numbers]:
    return lambda rollout: rollout.get_column(name)


def _graded(name: str) -> Callable[[Rollout], Numbers]:
    return lambda rollout: np.where(rollout.get_column("graded") == 1, rollout.get_column(name), np.nan)


def _shows(name: str) -> Callable[[Rollout], Numbers]:
    return lambda rollout: (rollout.get_column(name) > 0).astype(np.float64)


def _turned(turn: Turn) -> Callable[[Rollout], Numbers]:
    """Measure a turn among the completions of which it is known what they had before they reflected."""

    def of(rollout: Rollout) -> Numbers:
        turns = rollout.get_column("turn")
        return np.where(turns == Turn.NONE, np.nan, (turns == turn).astype(np.float64))

    return of


def _spread(rollout: Rollout) -> Numbers:
    """Compute every completion's squared distance from its group's mean reward; its mean is the variance."""
    values = _graded("value")(rollout)
    there = ~np.isnan(values)
    counts = np.maximum(np.bincount(rollout.groups[there], minlength=int(rollout.groups.max()) + 1), 1)
    means = np.bincount(rollout.groups[there], weights=values[there], minlength=len(counts)) / counts
    squared: Numbers = (values - means[rollout.groups]) ** 2
    return squared


def make_part_measure(name: str) -> Measure:
    """Make the measure of a part of the reward, over the completions that have it.

    Args:
        name: The part. Those of rules are shares, but for the penalties.

    Returns:
        The measure.
    """
    share = name in RULES
    lowest = 0.0 if share else -np.inf
    return Measure(name=f"part.{name}", label=name, unit="mean", of=_graded(PART + name), share=share, lowest=lowest)


def make_word_measure(text: str) -> Measure:
    """Make the measure of one word of reflection."""
    return Measure(name=f"word.{text}", label=text, unit="words a response", of=_column(WORD + text))


ACCURACY = Measure(
    name="accuracy", label="right answers", unit="share of responses", of=_graded(PART + "accuracy"), share=True
)
REWARD = Measure(name="reward", label="reward", unit="mean", of=_graded("value"), lowest=-np.inf)
LENGTH = Measure(name="length", label="length", unit="tokens", of=_column("tokens"))
STEPS = Measure(name="steps", label="steps of reasoning", unit="steps a response", of=_column("steps"))
REFLECTIONS = Measure(
    name="reflections", label="words of reflection", unit="words a response", of=_column("reflections")
)
RATE = Measure(
    name="reflection_rate",
    label="words of reflection per thousand tokens",
    unit="per 1,000 tokens",
    of=lambda rollout: 1000 * rollout.get_column("reflections"),
    over="tokens",
)
SHOWN = {
    name: Measure(name=name, label=label, unit="share of responses", of=_shows(name), share=True)
    for name, label in zip(
        BEHAVIOURS, ("checks a result", "gives up and goes back", "tries another way", "solves in parts"), strict=True
    )
}
MENDED = Measure(
    name="mended", label="wrong before reflecting, right after", unit="share", of=_turned(Turn.MENDED), share=True
)
SPOILT = Measure(
    name="spoilt", label="right before reflecting, wrong after", unit="share", of=_turned(Turn.SPOILT), share=True
)
LANGUAGE = Measure(
    name="language",
    label="words in the question's language",
    unit="share of words",
    of=_column("own_language"),
    share=True,
)
REPETITION = Measure(
    name="repetition", label="repeats itself", unit="share of runs of 40 words", of=_column("repetition"), share=True
)
TRUNCATED = Measure(
    name="truncated",
    label="cut off at the length limit",
    unit="share of responses",
    of=_column("truncated"),
    share=True,
)
SPREAD = Measure(name="spread", label="spread of rewards in a group", unit="variance", of=_spread)

MEASURES = {
    measure.name: measure
    for measure in (
        *(ACCURACY, REWARD, LENGTH, STEPS, REFLECTIONS, RATE, *SHOWN.values()),
        *(MENDED, SPOILT, LANGUAGE, REPETITION, TRUNCATED, SPREAD),
    )
}
"""By name, in the order in which they are shown; parts of the reward and single words come beside them."""


def read_rollouts(stage: StageReader) -> tuple[list[Rollout], list[str]]:
    """Read the rollouts that curves are made of.

    Args:
        stage: The stage.

    Returns:
        The rollouts in order, evenly spaced ones where there are too many; and for those that cannot be read, why.
    """
    steps, damaged = stage.list_rollout_steps(), dict[int, str]()

    def read_whole(chosen: Sequence[int]) -> Iterator[Rollout]:
        for step in chosen:
            try:
                yield read_rollout(stage, step)
            except UserError as error:
                damaged[step] = str(error)

    first = next(read_whole(steps), None)
    if first is None:
        return [], list(damaged.values())
    others = space_evenly([step for step in steps if step >= first.step], choose_rollout_limit(first))[1:]
    extract_missing(stage, others)
    return [first, *read_whole(others)], list(damaged.values())


def choose_rollout_limit(like: Rollout) -> int:
    """Choose how many rollouts like this one curves are made of at most."""
    return max(FEWEST, MAX_ROWS // max(like.completions, 1))


def space_evenly(steps: Sequence[int], most: int) -> list[int]:
    """Choose steps that are evenly spaced.

    Args:
        steps: The steps, ascending.
        most: How many are chosen at most.

    Returns:
        The chosen ones, the first and the last among them.
    """
    if len(steps) <= most:
        return list(steps)
    return [steps[round(place)] for place in np.linspace(0, len(steps) - 1, most)]


def read_rollout(stage: StageReader, step: int) -> Rollout:
    """Read one rollout.

    Args:
        stage: The stage.
        step: The step at which it had been learnt from.

    Returns:
        Its facts, extracted where that has not been done.

    Raises:
        UserError: The step has none, or its file cannot be read.
    """
    return Rollout(stage.derived.make_table(step, facts.FACTS_VERSION, facts.extract_facts))


def find_frequent_words(found: Sequence[Rollout], count: int) -> list[str]:
    """Find the words of reflection that stand in rollouts most often.

    Args:
        found: The rollouts.
        count: How many words are returned at most.

    Returns:
        The words, the most frequent first, without absent ones.
    """
    totals = {
        text: sum(float(np.nansum(rollout.get_column(WORD + text))) for rollout in found) for text in reflection.WORDS
    }
    return [text for text in sorted(totals, key=lambda text: -totals[text])[:count] if totals[text]]
