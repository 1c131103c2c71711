"""How measured quantities are called and written for a reader, and how a text is made safe to show."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from dunwu.errors import counted
from dunwu.runs.checkpoints import is_step, parse_step
from dunwu.types import Estimate


@dataclass(frozen=True, slots=True)
class Quantity:
    """How a result is called and written.

    Attributes:
        label: Its name in plain words.
        share: Whether it lies in [0, 1] and is written in per cent.
        signed: Whether it may be negative.
    """

    label: str
    share: bool
    signed: bool = False


_QUANTITIES = {
    "accuracy": Quantity("right", True),
    "format": Quantity("right format", True),
    "truncated": Quantity("cut off at the length limit", True),
    "length": Quantity("mean length, tokens", False),
    "mean_length": Quantity("mean length, tokens", False),
    "length_right": Quantity("mean length of right answers, tokens", False),
    "length_wrong": Quantity("mean length of wrong answers, tokens", False),
    "reflections": Quantity("words of reflection per response", False),
    "auc": Quantity("good ranked above bad (AUC)", True),
    "calibration_error": Quantity("calibration error", True),
    "language": Quantity("words of the question's language", True),
    "reflection_rate": Quantity("responses with a word of reflection", True),
    "loose": Quantity("right when read loosely", True),
    "instructions": Quantity("instructions followed", True),
    "instructions_loose": Quantity("instructions followed when read loosely", True),
    "refused": Quantity("refuses to answer", True),
    "unsafe": Quantity("unsafe answers", True),
    "win_rate": Quantity("better than the reference", True),
    "win_rate_length": Quantity("better than the reference, at equal length", True),
    "inconsistent": Quantity("verdicts that the other order turns around", True),
    "rating": Quantity("expected rating", False, signed=True),
    "percentile": Quantity("people rated lower", True),
    "perplexity": Quantity("perplexity", False),
    "bits_per_character": Quantity("bits per character", False),
}
METRIC_LABELS = {
    "correction_clipped": "share of tokens whose weight is the cap",
    "correction_masked": "share of tokens that the correction masks",
    "correction_masked_sequences": "share of completions masked as a whole",
    "correction_max": "correction, largest weight before its bounds",
    "correction_mean": "correction, mean weight",
    "correction_sample_size": "effective sample size, as a share",
    "curriculum": "prompts that vary problems at the frontier",
    "grad_norm": "length of the gradient before clipping",
    "importance_max": "correction of the sampler, largest weight",
    "importance_mean": "correction of the sampler, mean weight",
    "logprob_difference_max": "engine against trainer, largest difference",
    "logprob_difference_mean": "engine against trainer, mean difference",
    "policy_loss": "loss of the policy",
    "prompts_too_long": "prompts left out as too long",
    "ratio_max": "largest ratio of new to old probability",
    "ratio_mean": "mean ratio of new to old probability",
    "staleness_max": "oldest weights that wrote a response, updates",
    "staleness_mean": "mean age of the weights that wrote, updates",
    "updates": "updates made from the rollout",
    "value": "value that the critic expects",
    "value_grad_norm": "length of the critic's gradient before clipping",
    "value_loss": "loss of the critic",
    "value_lr": "learning rate of the critic",
    "value_squared_error": "error of the critic",
    "verifier_failed": "responses whose verifier failed",
}
"""Metrics of a stage whose names say too little."""
PART = " | "
"""Between a quantity and the part of a set that it was measured on."""
WIDE = 10.0
"""Half an interval, in points of per cent or units, from which on digits behind the point say nothing."""
_AT_K = {
    "pass": "right at least once in {k} tries (pass@{k})",
    "cons": "right by majority of {k} (cons@{k})",
}

# Control characters (a terminal would obey ESC) and marks that reverse the reading direction of what follows.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def is_breakdown(name: str) -> bool:
    """Tell whether a result is of some of a set's problems: ``pass@1 | level 3``."""
    return PART in name


def describe_quantity(name: str) -> Quantity:
    """Say how a result is called and written; an unknown name stands for itself."""
    if is_breakdown(name):
        whole, _, part = name.partition(PART)
        known = describe_quantity(whole)
        return Quantity(f"{known.label}: {part}", known.share, known.signed)
    if name == "pass@1":
        return Quantity("right at the first try (pass@1)", True)
    kind, _, k = name.partition("@")
    if kind in _AT_K and k.isdigit():
        return Quantity(_AT_K[kind].format(k=k), True)
    return _QUANTITIES.get(name, Quantity(name, share=False, signed=True))


def describe_metric(name: str) -> str:
    """Name one of a stage's metrics in plain words; an unknown one stands for itself."""
    return METRIC_LABELS.get(name, name.replace("_", " "))


def format_rounded(value: float, digits: int, sign: str = "") -> str:
    """Write a number without digits that say nothing.

    Args:
        value: The number.
        digits: How many stand behind the point at most.
        sign: "+" to write one before positive numbers, too.

    Returns:
        E.g. ``86.7``, or ``100`` for a whole number: never ``100.0``, never a minus before 0.
    """
    text = f"{round(value, digits) + 0.0:{sign},.{digits}f}"
    whole, point, behind = text.partition(".")
    return text if point and behind.strip("0") else whole


def format_percent(share: float, digits: int = 1) -> str:
    """Write a share in per cent: ``86.7 %``."""
    return f"{format_rounded(100 * share, digits)} %"


def choose_digits(name: str, value: float, arm: float = 0.0) -> int:
    """Choose how many digits behind the point a result deserves.

    Args:
        name: The result.
        value: Its value; of a share in [0, 1].
        arm: How far its interval reaches, in the same unit.

    Returns:
        0, 1 or 2.
    """
    if describe_quantity(name).share:
        return 0 if 100 * arm >= WIDE else 1
    return 0 if arm >= WIDE else 1 if abs(value) >= 10 else 2


def format_number(name: str, value: float, within: Estimate | None = None) -> str:
    """Write a result's value.

    Args:
        name: The result.
        value: Its value.
        within: The interval that stands beside it, which decides how many digits say something.

    Returns:
        E.g. ``86.7 %`` or ``143``.
    """
    digits = choose_digits(name, value, (within.high - within.low) / 2 if within else 0.0)
    return (
        f"{format_rounded(100 * value, digits)} %" if describe_quantity(name).share else format_rounded(value, digits)
    )


def clip_interval(name: str, estimate: Estimate) -> Estimate:
    """Cut a 95 % interval to what the quantity can be: intervals that are symmetric around their value reach beyond."""
    known = describe_quantity(name)
    low = estimate.low if known.signed else max(estimate.low, 0.0)
    return Estimate(value=estimate.value, low=low, high=min(estimate.high, 1.0) if known.share else estimate.high)


def format_interval(name: str, estimate: Estimate) -> str:
    """Write a 95 % interval without its value, e.g. ``84.1–89.2 %`` or ``140.2–145.9``.

    It is cut to what the quantity can be. One that may be negative has a word for the dash that would read as a sign:
    ``-0.79 to 0.20``.
    """
    cut = clip_interval(name, estimate)
    low, high = format_number(name, cut.low, estimate).removesuffix(" %"), format_number(name, cut.high, estimate)
    return f"{low} to {high}" if describe_quantity(name).signed else f"{low}–{high}"


def format_cell(name: str, estimate: Estimate, *, change: bool = False) -> str:
    """Write a result with its interval as shortly as a table of many models needs it.

    Args:
        name: The result.
        estimate: Its value and interval; shares in [0, 1] are written in per cent, without its sign.
        change: Whether it is a difference.

    Returns:
        ``88.1±1.2`` with the longer arm of the interval; where that would reach beyond what can be, the ends instead:
        ``97 (84–99)``, ``100 (≥96)``, ``0 (≤3.7)``.
    """
    known = describe_quantity(name)
    cut = estimate if change else clip_interval(name, estimate)
    scale, sign = (100.0 if known.share else 1.0), "+" if change else ""
    arm = max(cut.high - cut.value, cut.value - cut.low)
    digits = choose_digits(name, cut.value, arm)
    value, half, low, high = (format_rounded(scale * part, digits) for part in (cut.value, arm, cut.low, cut.high))
    shown = format_rounded(scale * cut.value, digits, sign)
    if half == "0":
        return shown
    lowest, highest = 0.0 if not known.signed else -math.inf, 1.0 if known.share else math.inf
    if change or (lowest <= cut.value - arm and cut.value + arm <= highest):
        return f"{shown}±{half}"
    return f"{value} (≥{low})" if high == value else f"{value} (≤{high})" if low == value else f"{value} ({low}–{high})"


def describe_checkpoint(name: str) -> str:
    """Say whose evaluation it is: ``base``, ``after 24 updates``, ``trained``, or a model's name."""
    return f"after {counted(parse_step(name), 'update')}" if is_step(name) else name


def label_set(name: str) -> str:
    """Name a set of held-out problems: ``held-out: countdown``."""
    return name if name.startswith("held-out") else f"held-out: {name}"


def format_p_value(p: float) -> str:
    """Write a p-value, e.g. ``= 0.012``; below 0.0001 it hangs on the number of permutations."""
    return f"= {p:.2g}" if p >= 0.0001 else "< 0.0001"


def format_duration(seconds: float) -> str:
    """Write a stretch of time, e.g. ``45 s``, ``12 min``, ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{format_rounded(seconds / 3600, 1)} h"


def sanitize(text: str) -> str:
    """Make the characters of a text harmless.

    Args:
        text: What a model, a data set or a recipe wrote.

    Returns:
        The text with U+FFFD for characters that could steer a terminal or reverse a line, and for halves of characters.
    """
    return _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", text)
