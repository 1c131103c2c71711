"""Numbers that are each possible and together are not: what a stage would hold in memory at the same time."""

from __future__ import annotations

from collections.abc import Iterator

from dunwu.config.issues import Issue
from dunwu.config.schema import StageSpec, TransformerSpec

MOST_COMPLETIONS = 10**7
"""At once: with all that is known of it, one takes about a kilobyte."""
MOST_WEIGHTS = 10**11


def check_completions(field: str, count: int, other: str, each: int) -> Iterator[Issue]:
    """Refuse more completions at once than any machine holds.

    Args:
        field: The one to lower, which is ``count``.
        count: Problems.
        other: The field that says how many completions each has.
        each: Those.
    """
    if count * each > MOST_COMPLETIONS:
        text = f"{count:,} x {other} = {each:,} makes {count * each:,} completions at once"
        yield Issue(field, f"{text}; {MOST_COMPLETIONS:,} at most")


def check_set_sizes(stage: StageSpec) -> Iterator[Issue]:
    """Refuse evaluation sets with too many answers."""
    for place, chosen in stage.inputs.sets.items():
        yield from check_completions(f"{place}.problems", chosen.problems, "samples", chosen.samples)


def check_weights(shape: TransformerSpec) -> Iterator[Issue]:
    """Refuse a transformer with more weights than any machine holds."""
    layer = shape.hidden_size * (4 * shape.hidden_size + 3 * shape.intermediate_size)
    if layer * shape.layers > MOST_WEIGHTS:
        text = f"{shape.layers} of hidden_size = {shape.hidden_size:,} are {layer * shape.layers:,} weights"
        yield Issue("transformer.layers", f"{text}; {MOST_WEIGHTS:,} at most")
