"""What a model costs to run, from its shape alone: FLOPs, engines side by side on a CPU, logits that are kept."""

from __future__ import annotations

from dunwu.config.schema import DataStage, RLStage
from dunwu.models.shape import ModelShape

PARALLEL_UP_TO = 20_000_000
"""Parameters up to which a CPU rolls out with an engine a thread (``rollout.builtin.worker_threads``)."""
KEPT_LOGITS_BYTES = 1 << 28
"""Of logits that a CPU keeps from forward to backward (``models.logprobs``); the rest is computed again."""


def count_forward_flops(shape: ModelShape, length: float) -> float:
    """Count the FLOPs of one token's forward pass in a sequence of ``length`` tokens."""
    return 2 * shape.active + 4 * shape.layers * shape.attention * length / 2


def count_training_passes(stage: RLStage | DataStage) -> int:
    """Count the forward passes that learning from a token once is worth: three, four with gradient checkpointing.

    The backward pass is worth two: the gradients of the states, and those of the matrices. With an adapter the matrices
    have none; what the adapter itself takes, a few in a hundred, is not counted.

    Args:
        stage: the recipe's.
    """
    return 3 - (stage.adapter is not None) + stage.update.gradient_checkpointing


def count_worker_threads(parameters: int, threads: int, max_sequences: int) -> int:
    """Count the engines that roll out side by side on a CPU: one a thread for small models, else one in all.

    Args:
        parameters: of the model.
        threads: of the CPU that the stage has.
        max_sequences: completions that decode at once.
    """
    return min(threads, max_sequences) if parameters <= PARALLEL_UP_TO else 1
