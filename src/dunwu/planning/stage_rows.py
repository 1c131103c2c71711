"""The plan as label and value, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from dunwu.errors import counted
from dunwu.planning.batches import Batches
from dunwu.planning.stage_plan import StagePlan

Row = tuple[str, str]


def list_stage_rows(stage: StagePlan) -> Iterator[Row]:
    """Yield what one stage does, costs and needs."""
    yield "kind", stage.kind
    if stage.source is not None:
        yield "from", stage.source
    if stage.parameters is not None:
        yield "parameters", f"{stage.parameters:,} in {stage.dtype}"
    yield from stage.details.items()
    if stage.steps is not None:  # what is left out of data shows only when it is read
        yield "updates at most" if stage.details and not stage.batches else "updates", f"{stage.steps:,}"
    if stage.batches is not None:
        yield from _batch_rows(stage.batches)
    if stage.memory is not None:
        parts = ", ".join(f"{name} {_size(gib)}" for name, gib in stage.memory.parts_gib().items() if gib)
        yield "memory at most", f"{_size(stage.memory.gib)} ({parts})"
    if stage.device_hours is not None:
        yield _hours(stage.device_hours)
    if stage.dollars is not None and stage.dollars >= 0.01:
        yield "dollars", f"{stage.dollars:,.2f}"
    yield from ((name.replace("_", " "), line) for name, line in stage.template.items())
    for note in stage.notes:
        yield "note", note


def _batch_rows(counts: Batches) -> Iterator[Row]:
    questions = counted(counts.questions, "question")
    each = f"{questions} x {counts.group_size} = {counts.completions_per_rollout:,} completions"
    yield "rollouts", f"{counts.rollouts:,}, each {each}"
    split = (
        f"{counted(counts.updates_per_rollout, 'update')} a rollout, {counts.completions_per_update:,} completions each"
    )
    yield "minibatches", split
    every = counts.reference_every_rollouts
    changes = (
        f"every {counted(every, 'rollout')} ({counted(counts.reference_refreshes, 'time')})"
        if every
        else "never changes"
    )
    yield "reference", changes
    for phase in counts.contexts:
        place = f"from rollout {phase.first_rollout:,} (update {phase.first_update:,})"
        yield "context", f"{phase.max_new_tokens:,} new tokens {place}, {counted(phase.rollouts, 'rollout')}"
    between = f"every {counted(counts.checkpoint_every_rollouts, 'rollout')}"
    yield "checkpoints", f"{counts.checkpoints}, {between if counts.checkpoints > 1 else 'after the last rollout'}"
    yield "tokens at most", f"{counts.tokens_generated_at_most:,}, evaluation {counts.evaluation_tokens_at_most:,}"


def _hours(hours: float) -> Row:
    return ("device hours", f"{hours:,.2f}") if hours >= 1 else ("device minutes", f"{60 * hours:.2g}")


def _size(gib: float) -> str:
    return f"{gib:,.1f} GiB" if gib >= 1 else f"{gib * 1024:.1f} MiB"
