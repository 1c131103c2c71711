"""The learning rate as a pure function of the step: nothing to save, nothing to resume."""

from __future__ import annotations

import math

from dunwu.config.schema import OptimizerSpec


def compute_lr_share(spec: OptimizerSpec, step: int, total_steps: int) -> float:
    """Compute the share of the peak learning rate at an update.

    Rises in a straight line over ``warmup_steps`` and reaches 1 at the last of them; then stays (``constant``) or falls
    (``linear``, ``cosine``) to ``final_lr_share`` at the last step and stays there.

    Args:
        spec: the recipe's.
        step: the update, counted from 0.
        total_steps: updates in the whole stage.
    """
    if step < spec.warmup_steps:
        return (step + 1) / spec.warmup_steps
    if spec.schedule == "constant":
        return 1.0
    progress = min(1.0, (step - spec.warmup_steps) / max(1, total_steps - 1 - spec.warmup_steps))
    remaining = 1.0 - progress if spec.schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * progress))
    return spec.final_lr_share + (1.0 - spec.final_lr_share) * remaining
