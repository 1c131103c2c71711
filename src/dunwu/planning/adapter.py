"""What an adapter would be, and whether it fits the model."""

from __future__ import annotations

from dunwu.config.issues import Issue
from dunwu.config.schema import AdapterSpec, OptimizerSpec
from dunwu.models.shape import ModelShape


def describe_adapter(adapter: AdapterSpec | None, optimizer: OptimizerSpec, shape: ModelShape | None) -> dict[str, str]:
    """Describe an adapter in a line of the plan; none where all weights learn.

    Args:
        adapter: The recipe's.
        optimizer: The recipe's, whose learning rate the adapter's is a multiple of.
        shape: The model; None: not known.
    """
    if adapter is None:
        return {}
    size = ""
    if shape is not None:
        count = shape.count_adapter(adapter.rank)
        size = f", {count:,} weights ({count / shape.parameters:.1%} of the model's)"
    rate = f"learning rate {adapter.lr_factor:g} x {optimizer.lr:g} = {adapter.lr_factor * optimizer.lr:g}"
    return {"adapter": f"rank {adapter.rank}, alpha {adapter.alpha}{size}, {rate}"}


def check_rank(adapter: AdapterSpec | None, shape: ModelShape | None) -> list[Issue]:
    """Check that no matrix has a side shorter than the rank.

    Args:
        adapter: The recipe's; None: all weights learn.
        shape: The model; None: not known.
    """
    if adapter is None or shape is None:
        return []
    outputs, inputs = min(shape.linear_layers, key=min)
    if adapter.rank <= min(outputs, inputs):
        return []
    return [Issue("adapter.rank", f"{adapter.rank} is more than a side of a matrix of {outputs} x {inputs}")]
