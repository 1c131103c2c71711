"""What one stage would do and cost, as its kind works it out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from dunwu.config.issues import Issue
from dunwu.config.schema import HardwareSpec, JudgeSpec, Recipe, StageSpec
from dunwu.machine import Dtype
from dunwu.models.flops import count_worker_threads
from dunwu.models.shape import ModelShape
from dunwu.planning.batches import Batches
from dunwu.planning.estimate import DEVICES
from dunwu.planning.memory import Memory
from dunwu.planning.sharing import PromptTokens
from dunwu.user_code import shorten_reference

UNKNOWN_MODEL = (
    "memory, hours and dollars are unknown: the model's config.json is not on this machine, or no dense decoder"
)
NOT_ESTIMATED = "memory, hours and dollars are unknown: this kind of stage estimates nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanContext:
    """What a stage is planned with.

    Attributes:
        name: The stage's.
        recipe: The whole of it.
        find_shape: The shape of a model by its source; None where it is not known.
        prompt: Tokens of the stage's prompts, where somebody has encoded some; None: their limit has to do.
    """

    name: str
    recipe: Recipe
    find_shape: Callable[[str], ModelShape | None]
    prompt: PromptTokens | None = None

    @property
    def hardware(self) -> HardwareSpec:
        """Return the machine that the plan is for."""
        return self.recipe.hardware

    def find_judges(self, judges: Iterable[JudgeSpec]) -> dict[str, ModelShape]:
        """Return the shapes of reward models by their names; such as are not known are left out."""
        found = {judge.name: self.find_shape(judge.from_) for judge in judges}
        return {name: shape for name, shape in found.items() if shape is not None}

    def count_engines(self, stage: StageSpec, shape: ModelShape | None, max_sequences: int) -> int:
        """Count the engines, each with its own weights: on a CPU one a thread, for small models."""
        if shape is None or self.hardware.device != "cpu":
            return 1
        return count_worker_threads(shape.parameters, stage.model.threads or os.cpu_count() or 1, max_sequences)


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePlan:
    """One stage. Estimates are None where the model is unknown.

    ``device_hours`` and ``dollars`` are upper bounds where ``hardware.length_share`` is 1: every completion at its
    limit.

    Attributes:
        name: The stage's.
        kind: Its kind, as it is shown.
        source: The models that it begins from.
        steps: Updates; None for a stage without any, or where only its data can tell.
        batches: Counts of rollouts; None for a stage without any.
        parameters: Of the largest of its models.
        dtype: Their type in memory.
        memory: At most, over all devices.
        device_hours: On one device.
        dollars: Where the recipe names a price.
        notes: What the reader should know.
        details: What a stage without rollouts asks or reads, by the names that JSON has.
        template: How its template asks and what it teaches, by the names that JSON has, where that could be found out.
        shape: The model that it would leave.
        issues: What stands in its way.
    """

    name: str
    kind: str
    source: str | None
    steps: int | None
    batches: Batches | None
    parameters: int | None
    dtype: Dtype
    memory: Memory | None
    device_hours: float | None
    dollars: float | None
    notes: tuple[str, ...]
    details: Mapping[str, str] = field(default_factory=dict)
    template: Mapping[str, str] = field(default_factory=dict)
    shape: ModelShape | None = None
    issues: tuple[Issue, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return plain values; the counts of the batches stand beside the others."""
        empty = dict.fromkeys(("rollouts", "updates_per_rollout", "reference_every_rollouts"))
        return {
            "name": self.name,
            "kind": self.kind,
            "from": self.source,
            "steps": self.steps,
            **(empty if self.batches is None else asdict(self.batches)),
            "parameters": self.parameters,
            "dtype": self.dtype,
            "memory_gib": None if self.memory is None else self.memory.gib,
            "memory_parts_gib": None if self.memory is None else self.memory.parts_gib(),
            "device_hours": self.device_hours,
            "dollars": self.dollars,
            **self.details,
            **self.template,
            "notes": list(self.notes),
        }


def plan_stage(
    stage: StageSpec,
    context: PlanContext,
    *,
    shape: ModelShape | None = None,
    memory: Memory | None = None,
    hours: float | None = None,
    steps: int | None = None,
    batches: Batches | None = None,
    details: Mapping[str, str] | None = None,
    issues: Sequence[Issue] = (),
    unknown: str = UNKNOWN_MODEL,
) -> StagePlan:
    """Put together what a kind of stage has worked out.

    Args:
        stage: The recipe's.
        context: What it was planned with.
        shape: The largest of its models.
        memory: At most, over all devices; None: not known.
        hours: On one device; None: not known.
        steps: Updates.
        batches: Counts of rollouts.
        details: Further lines by label.
        issues: What stands in the way, as fields of the stage.
        unknown: What to say where memory is not known.
    """
    sources = [model.source for model in stage.inputs.models if model.role == "policy"]
    rate = context.hardware.dollars_per_hour
    return StagePlan(
        name=context.name,
        kind=shorten_reference(stage.kind),
        source=", ".join(sources) or None,
        steps=steps,
        batches=batches,
        parameters=None if shape is None else shape.parameters,
        dtype=stage.model.dtype,
        memory=memory,
        device_hours=hours,
        dollars=None if hours is None or rate is None else hours * rate,
        notes=_notes(memory, context.hardware, unknown),
        details=details or {},
        shape=shape,
        issues=tuple(issues),
    )


def plan_unknown(stage: StageSpec, context: PlanContext) -> StagePlan:
    """Plan a stage of which nothing is estimated."""
    return plan_stage(stage, context, unknown=NOT_ESTIMATED)


def check_context(field: str, prompt: int, completion: int, shapes: Iterable[ModelShape | None]) -> list[Issue]:
    """Check that prompt and completion fit into the positions of every model.

    Args:
        field: The field that allows the completion.
        prompt: Tokens at most.
        completion: Tokens at most.
        shapes: The models, as far as they are known.
    """
    needed = prompt + completion
    known = [shape.max_positions for shape in shapes if shape is not None and shape.max_positions]
    if not known or needed <= min(known):
        return []
    text = f"prompt.max_tokens + max_new_tokens = {needed} is more than the model's {min(known)} positions"
    left = min(known) - completion
    return [Issue(field, text + (f": beside {completion} new tokens prompts have {left}" if left > 0 else ""))]


def _notes(memory: Memory | None, hardware: HardwareSpec, unknown: str) -> tuple[str, ...]:
    if memory is None:
        return (unknown,)
    limit, each = DEVICES[hardware.device].memory_gib, memory.gib / hardware.count
    if limit is None or each <= limit:
        return ()
    text = f"{each:.1f} GiB on each of {hardware.count} {hardware.device} may not fit into its {limit:g} GiB"
    return (f"{text}: lower rollout.max_sequences or update.tokens_per_microbatch",)
