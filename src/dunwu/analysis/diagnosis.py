"""Whether a run is healthy: series of numbers in; for each known illness a flag out, with the figure and the remedy.

Every rule compares windows of rollouts, not single ones, and says nothing of a run that is too short. Thresholds are
ours unless a paper is named; docs/reference/measures.md lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dunwu.analysis.labels import format_percent
from dunwu.types import Estimate

FEWEST = 8
"""Rollouts before anything is said of how they went."""
WINDOW, SHARE = 3, 8
"""A window has a SHARE-th of the rollouts, and WINDOW at least."""
ALWAYS_FINE, TIMES_ROUNDING = 1e-4, 20.0
"""Nats a token between engine and trainer: a difference up to the first, or up to so many times that of the first
rollout, is no illness (docs/log.md has what rounding and missed updates come to)."""
ENOUGH = 3
"""Rules that had enough to go by, before a stage is called healthy."""
SOLVED = 0.95
"""Share of right answers from which neither certainty nor agreement is an illness."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """What one rule says.

    Attributes:
        name: What was looked at.
        red: Whether it is ill.
        figure: What the rule saw.
        remedy: What to try where the flag is red.
    """

    name: str
    red: bool
    figure: str
    remedy: str = ""

    @property
    def line(self) -> str:
        """The flag in one line of text, with the remedy where it is red."""
        return f"{self.name}: {self.figure}" + (f". {self.remedy}" if self.red else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds that depend on the recipe; 0 or False: the rule is not applied.

    Attributes:
        logprob_difference: Nats a token between engine and trainer.
        clipped: Share of tokens outside the clipping range.
        groups: Whether the gradient comes from differences within groups.
    """

    logprob_difference: float = 0.0
    clipped: float = 0.1
    groups: bool = True

    @classmethod
    def read(cls, recipe: Mapping[str, Any]) -> Limits:
        """Read the bounds of a stage as recipe.json has it.

        GSPO clips whole sequences: 15 % of the tokens in its paper (arXiv 2507.18071, section 5).
        """
        algorithm = recipe.get("algorithm", {})
        return cls(
            logprob_difference=algorithm.get("logprob_difference_warning", 0.0),
            clipped=0.5 if algorithm.get("loss") == "gspo" else 0.1,
            groups=not recipe.get("value"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingHistory:
    """How an RL stage has gone so far.

    Attributes:
        rows: A mapping of metrics for each rollout, with its ``step``.
        held_out: For each evaluation of one set, the updates that the policy had seen, ascending, and the results.
        limits: The bounds of the stage.
    """

    rows: Sequence[Mapping[str, float]]
    held_out: Sequence[tuple[float, Mapping[str, Estimate]]]
    limits: Limits

    @property
    def window(self) -> int:
        """Rollouts that are averaged."""
        return max(WINDOW, len(self.rows) // SHARE)

    def average_windows(self, *names: str) -> list[float]:
        """Average the sum of these metrics over one window after the other.

        Args:
            names: The metrics; the first one must be there for a rollout to count.

        Returns:
            The means, the last one over the last rollouts; what is left over belongs to the first. Empty where fewer
            than FEWEST rollouts have the metric.
        """
        values = [sum(row.get(name, 0.0) for name in names) for row in self.rows if names[0] in row]
        if len(values) < FEWEST:
            return []
        ends = range(len(values), self.window - 1, -self.window)
        starts = [*(end - self.window for end in ends[:-1]), 0]
        return [float(np.mean(values[start:end])) for start, end in zip(starts, ends, strict=True)][::-1]

    @property
    def success(self) -> str:
        """The metric that says how well it goes: right answers, or the reward where nothing is right or wrong."""
        return "accuracy" if any("accuracy" in row for row in self.rows) else "reward"

    @property
    def is_solved(self) -> bool:
        """Whether nearly all answers are right."""
        right = [row["accuracy"] for row in self.rows[-self.window :] if "accuracy" in row]
        return bool(right) and float(np.mean(right)) >= SOLVED


def diagnose(history: TrainingHistory) -> list[Flag]:
    """Apply every rule; those that have not enough to go by say nothing."""
    return [flag for rule in RULES if (flag := rule(history))]


def check_logprob_difference(history: TrainingHistory) -> Flag | None:
    """Look for an engine that does not run the weights that are trained; a single rollout is enough.

    The first one follows no update, so its difference is rounding, or a model that is computed in another way.
    """
    seen = [(row["logprob_difference_mean"], row["step"]) for row in history.rows if "logprob_difference_mean" in row]
    if not seen or not history.limits.logprob_difference:
        return None
    (largest, step), rounding = max(seen), seen[0][0]
    bound = min(history.limits.logprob_difference, max(ALWAYS_FINE, TIMES_ROUNDING * rounding))
    return Flag(
        name="engine against trainer",
        red=largest > bound,
        figure=f"log-probabilities differ by up to {largest:.2g} nats a token (step {step:.0f}), "
        f"at the first rollout by {rounding:.2g}",
        remedy=f"Above {bound:.2g} the engine has other weights or another arithmetic: compare both on this model, "
        "use float32, or set algorithm.importance_cap = 2",
    )


def check_entropy(history: TrainingHistory) -> Flag | None:
    """Look for entropy collapse: the policy stops exploring before it has learnt (DAPO, arXiv 2503.14476, 3.1)."""
    if not (means := history.average_windows("entropy")):
        return None
    first, last = means[0], means[-1]
    return Flag(
        name="entropy",
        red=last < 0.05 and last < 0.1 * first and not history.is_solved,
        figure=f"{last:.2g} nats a token, {first:.2g} at the beginning",
        remedy="The policy has stopped to explore: raise algorithm.clip_high (0.28), lower optimizer.lr, "
        "or add a KL term (algorithm.kl_coefficient)",
    )


def check_length(history: TrainingHistory) -> Flag | None:
    """Look for length that runs away: answers as good were once written with far fewer tokens."""
    lengths, successes = history.average_windows("length"), history.average_windows(history.success)
    if not lengths or len(lengths) != len(successes):
        return None
    as_good = [long for long, good in zip(lengths, successes, strict=True) if good >= successes[-1] - 0.02]
    shortest, last = min(as_good), lengths[-1]
    return Flag(
        name="length",
        red=last > 1.5 * shortest,
        figure=f"{last:,.0f} tokens a response, {shortest:,.0f} when answers were as good",
        remedy='Longer without being better: algorithm.aggregate = "token" or "constant", algorithm.overlong_buffer, '
        "or reward.repetition",
    )


def check_gradient(history: TrainingHistory) -> Flag | None:
    """Look for groups whose rewards are all equal, which have no gradient; three rollouts are enough to tell."""
    shares = [row["uniform_groups"] for row in history.rows if "uniform_groups" in row]
    if len(shares) < WINDOW or not history.limits.groups:
        return None
    share = float(np.mean(shares[-max(WINDOW, history.window) :]))
    return Flag(
        name="groups with a gradient",
        red=share > 0.9 and not history.is_solved,
        figure=f"{format_percent(1 - share, 0)} of the groups",
        remedy="Nearly all answers to a question earn the same: easier questions, a larger rollout.group_size, "
        "supervised training before, or parts of the reward that come in degrees",
    )


def check_held_out(history: TrainingHistory) -> Flag | None:
    """Look for reward that rises while held-out answers get worse: the policy learns the reward, not the task."""
    rewards = history.average_windows("reward")
    accuracies = [(at, results["pass@1"]) for at, results in history.held_out if "pass@1" in results]
    if not rewards or len(accuracies) < 2:
        return None
    (best_at, best), (_, last) = max(accuracies[:-1], key=lambda one: one[1].value), accuracies[-1]
    rises = rewards[-1] > rewards[0]
    return Flag(
        name="reward against held-out answers",
        red=rises and last.high < best.low,
        figure=f"reward {rewards[0]:.3g} to {rewards[-1]:.3g}; held out {format_percent(best.value)} right after "
        f"{best_at:,.0f} updates, {format_percent(last.value)} now",
        remedy="Read answers that earn much: the reward pays for something else. Stop at the better checkpoint, weigh "
        "accuracy more, take more questions",
    )


def check_clipping(history: TrainingHistory) -> Flag | None:
    """Look for updates that leave the clipping range: what lies outside teaches nothing."""
    if not (shares := history.average_windows("clip_low", "clip_high")):
        return None
    return Flag(
        name="clipping",
        red=shares[-1] > history.limits.clipped,
        figure=f"{format_percent(shares[-1], 2)} of the tokens",
        remedy="The policy moves too far in a rollout: lower optimizer.lr, fewer update.minibatches or epochs",
    )


def check_truncation(history: TrainingHistory) -> Flag | None:
    """Look for answers that the length limit cuts off: they are graded as wrong, whatever they would have become."""
    if not (shares := history.average_windows("truncated")):
        return None
    return Flag(
        name="truncation",
        red=shares[-1] > 0.2,
        figure=f"{format_percent(shares[-1])} of the responses cut off",
        remedy="Raise rollout.max_new_tokens, or punish what is cut off: algorithm.overlong_buffer, reward.truncation",
    )


def check_language(history: TrainingHistory) -> Flag | None:
    """Look for reasoning that leaves the language of the question (R1, arXiv 2501.12948v2, section 3.2.1)."""
    found = [results["language"] for at, results in history.held_out if at > 0 and "language" in results]
    parts = history.average_windows("language")
    if not found and not parts:
        return None
    last = found[-1] if found else Estimate(value=parts[-1], low=parts[-1], high=parts[-1])
    return Flag(
        name="language",
        red=last.high < 0.8,
        figure=f"{format_percent(last.value)} of the words of the reasoning are in the language of the question",
        remedy="Reward it: reward.language = 0.5, from the beginning or from an update on",
    )


RULES: tuple[Callable[[TrainingHistory], Flag | None], ...] = (
    *(
        check_logprob_difference,
        check_entropy,
        check_length,
        check_gradient,
        check_held_out,
        check_clipping,
        check_truncation,
        check_language,
    ),
)


def is_too_short(flags: Sequence[Flag]) -> bool:
    """Tell whether too few rules had enough to go by to call a stage without a red flag healthy."""
    return len(flags) < ENOUGH and not any(flag.red for flag in flags)


def describe_coverage(flags: Sequence[Flag]) -> str:
    """Say how many rules had enough to go by."""
    return f"{len(flags)} of {len(RULES)} rules had enough to go by"
