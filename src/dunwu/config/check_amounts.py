"""Numbers that are each possible and together are not: what a stage would hold in memory at the same time."""

from __future__ import annotations

from collections.abc import Iterator

from dunwu.config.issues import Issue
from dunwu.config.schema import EvalStage, PretrainStage, RLStage, SamplingStage, Stage

AT_ONCE = 10**7
"""Completions, at most: with all that is known of it, one takes about a kilobyte."""
PARAMETERS = 10**11


def check_amounts(stage: Stage) -> Iterator[Issue]:
    """Name the products that no machine holds.

    Args:
        stage: validated by itself.

    Yields:
        The field to lower, and what it makes together with which other.
    """
    for field, other, count, each in _completions(stage):
        if count * each > AT_ONCE:
            text = f"{count:,} x {other} = {each:,} makes {count * each:,} completions at once; {AT_ONCE:,} at most"
            yield Issue(field, text)
    if isinstance(stage, PretrainStage):
        shape = stage.transformer
        layer = shape.hidden_size * (4 * shape.hidden_size + 3 * shape.intermediate_size)
        if layer * shape.layers > PARAMETERS:
            text = f"{shape.layers} of hidden_size = {shape.hidden_size:,} are {layer * shape.layers:,} weights"
            yield Issue("transformer.layers", f"{text}; {PARAMETERS:,} at most")


def _completions(stage: Stage) -> Iterator[tuple[str, str, int, int]]:
    """Field, the other field, and both numbers."""
    if isinstance(stage, RLStage):
        yield "rollout.questions", "group_size", stage.rollout.questions, stage.rollout.group_size
        evaluation = stage.evaluation
        yield "evaluation.during_problems", "during_samples", evaluation.during_problems, evaluation.during_samples
    if isinstance(stage, SamplingStage):
        yield "chunk", "samples", min(stage.chunk, stage.questions), stage.samples
    if isinstance(stage, RLStage | EvalStage):
        sets, field = (stage.evaluation.sets, "evaluation.sets") if isinstance(stage, RLStage) else (stage.sets, "sets")
        for index, chosen in enumerate(sets):
            yield f"{field}.{index}.problems", "samples", chosen.problems, chosen.samples
