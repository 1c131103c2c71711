"""The plan: every stage's counts, memory, hours and dollars, and the obstacles, all at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from math import ceil
from pathlib import Path
from typing import Any

from dunwu.analysis.paper_costs import describe_paper_costs
from dunwu.config.check_tasks import CORPORA
from dunwu.config.issues import Issue
from dunwu.config.overrides import located, parse_override
from dunwu.config.schema import (
    AnsweringStage,
    ColdStartStage,
    DataStage,
    DistilStage,
    EvalStage,
    HardwareSpec,
    PretrainStage,
    Recipe,
    RejectStage,
    RewardModelStage,
    RLStage,
    SFTStage,
    Stage,
)
from dunwu.config.stage_graph import feeds, graph
from dunwu.errors import UserError
from dunwu.models.flops import count_worker_threads
from dunwu.models.shape import ModelShape, find_shape, shape_from_spec
from dunwu.planning.batches import Batches, batches
from dunwu.planning.estimate import (
    DEVICES,
    Memory,
    eval_hours,
    eval_judge_hours,
    eval_memory,
    judge_hours,
    pretrain_hours,
    pretrain_memory,
    rl_hours,
    rl_memory,
    supervised_hours,
    supervised_memory,
)
from dunwu.planning.machine import Machine, lacks, this_machine
from dunwu.planning.preflight import (
    Look,
    Probe,
    context_obstacles,
    data_obstacles,
    model_obstacles,
    out_obstacles,
    task_obstacles,
)
from dunwu.planning.preview import Preview, preview_stage
from dunwu.planning.user_functions import own_obstacles
from dunwu.planning.volume import volume_of

UNKNOWN_MODEL = (
    "memory, hours and dollars are unknown: the model's config.json is not on this machine, or no dense decoder"
)


Shapes = Mapping[str, ModelShape | None]
"""Of reward models, by their names; None where it is not known: such a one is left out of estimates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePlan:
    """One stage. ``batches`` is None for a stage without rollouts, ``steps`` for one without updates, or where only its
    data can tell; estimates are None where the model is unknown.

    ``device_hours`` and ``dollars`` are upper bounds where ``hardware.length_share`` is 1: every completion at its
    limit.
    """

    name: str
    kind: str
    source: str | None
    steps: int | None
    batches: Batches | None
    parameters: int | None
    memory: Memory | None
    device_hours: float | None
    dollars: float | None
    notes: tuple[str, ...]
    details: Mapping[str, str] = field(default_factory=dict)
    """What a stage without rollouts asks or reads, by the names that JSON has."""
    template: Mapping[str, str] = field(default_factory=dict)
    """How its template asks and what it teaches, by the names that JSON has, where that could be found out."""

    def as_json(self) -> dict[str, Any]:
        """Plain values; the counts of the batches stand beside the others."""
        empty = dict.fromkeys(("rollouts", "updates_per_rollout", "reference_every_rollouts"))
        return {
            "name": self.name,
            "kind": self.kind,
            "from": self.source,
            "steps": self.steps,
            **(empty if self.batches is None else asdict(self.batches)),
            "parameters": self.parameters,
            "memory_gib": None if self.memory is None else self.memory.gib,
            "memory_parts_gib": None if self.memory is None else self.memory.parts_gib(),
            "device_hours": self.device_hours,
            "dollars": self.dollars,
            **self.details,
            **self.template,
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a recipe would do, what was assumed, and what stands in its way."""

    recipe: str
    graph: tuple[str, ...]
    """A line a stage."""
    feeds: Mapping[str, tuple[str, ...]]
    """What each stage begins from."""
    stages: tuple[StagePlan, ...]
    totals: tuple[str, ...]
    """All stages together, beside the paper's where the hardware is the paper's."""
    assumptions: tuple[str, ...]
    lacks: tuple[str, ...]
    """What the machine that plans has not: no obstacle, since the recipe may be for another one."""
    problems: tuple[UserError, ...]

    def as_json(self) -> dict[str, Any]:
        """``{"recipe", "stages": [...], "totals": [lines], "assumptions": [lines], "lacks": [lines],
        "problems": [lines]}``."""
        return {
            "recipe": self.recipe,
            "stages": [stage.as_json() | {"feeds": list(self.feeds[stage.name])} for stage in self.stages],
            "totals": list(self.totals),
            "assumptions": list(self.assumptions),
            "lacks": list(self.lacks),
            "problems": [str(problem) for problem in self.problems],
        }


def nothing_planned(problem: UserError) -> dict[str, Any]:
    """Return what ``Plan.as_json`` would, for a recipe that cannot be read."""
    lists = ("stages", "totals", "assumptions", "lacks")
    return {"recipe": None, **{name: [] for name in lists}, "problems": [str(one) for one in problem.each]}


def make_plan(
    recipe: Recipe,
    *,
    file: Path | None = None,
    overrides: Sequence[str] = (),
    out: Path | None = None,
    probe: Probe | None = None,
    look: Look | None = None,
    machine: Machine | None = None,
    preview: Preview | None = None,
) -> Plan:
    """Plans a validated recipe; reads config.json files, loads nothing.

    Args:
        file: the recipe's file, to be named with each problem.
        overrides: what :func:`dunwu.config.loader.load_recipe` was given, to be named with the problems they cause.
        out: the run directory, checked for being writable; None: not checked.
        probe: opens a task, to find out whether it gives problems; None: only the files' presence is checked.
        look: the same for files of conversations.
        machine: the one that the recipe would run on; None: this one.
        preview: opens a tokenizer and says how a stage asks and what it teaches; None: nothing is said of it.
    """
    shapes: dict[str, ModelShape | None] = {}
    stages: list[StagePlan] = []
    issues: list[Issue] = []

    def shape(source: str) -> ModelShape | None:
        if source not in shapes:
            shapes[source] = None
            with suppress(UserError):  # that its config.json cannot be read is among the obstacles
                shapes[source] = find_shape(source)
        return shapes[source]

    for name, stage in recipe.stages.items():
        missing = list(model_obstacles(name, stage, recipe))
        shown, unusable = preview_stage(name, stage, recipe, None if missing else preview)
        issues += [*missing, *unusable]
        if isinstance(stage, PretrainStage):
            shapes[name] = shape_from_spec(stage.transformer, CORPORA[stage.corpus].vocabulary)
        elif isinstance(stage, RLStage | DataStage):
            shapes[name] = shape(stage.from_)
        planned = _stage(name, stage, shape, recipe)
        issues += own_obstacles(name, stage)
        if isinstance(stage, RLStage):
            asked, written = stage.prompt.max_tokens, _longest(planned)
            issues += context_obstacles(f"stages.{name}.rollout.max_new_tokens", asked, written, [shapes[name]])
        elif isinstance(stage, AnsweringStage):
            asked, written = stage.prompt.max_tokens, stage.max_new_tokens
            models = stage.models if isinstance(stage, EvalStage) else (stage.from_,)
            issues += context_obstacles(f"stages.{name}.max_new_tokens", asked, written, map(shape, models))
        stages.append(replace(planned, template=shown))
    issues += data_obstacles(recipe, look)
    issues += task_obstacles(recipe, probe)
    parsed = [parse_override(text) for text in overrides]
    problems = [located(issue, file, parsed) for issue in issues]
    if out is not None:
        problems += out_obstacles(out)
    return Plan(
        recipe=recipe.name,
        graph=tuple(graph(recipe)),
        feeds={name: feeds(stage) for name, stage in recipe.stages.items()},
        stages=tuple(stages),
        totals=tuple(_totals(stages, recipe.hardware)),
        assumptions=_assumptions(recipe.hardware),
        lacks=tuple(lacks(recipe, {stage.name: stage.memory for stage in stages}, machine or this_machine())),
        problems=tuple(problems),
    )


def _stage(name: str, stage: Stage, shape: Callable[[str], ModelShape | None], recipe: Recipe) -> StagePlan:
    """``shape``: of a source, as far as it is known."""
    match stage:
        case RLStage():
            judges = {part.name: shape(part.from_) for part in stage.reward.models}
            return _rl(name, stage, shape(stage.from_), judges, recipe.hardware)
        case SFTStage() | DistilStage() | RewardModelStage():
            return _supervised(name, stage, shape(stage.from_), recipe)
        case EvalStage():
            judges = {judge.name: shape(judge.from_) for judge in stage.judges}
            return _answers(name, stage, stage.models, [*map(shape, stage.models)], judges, recipe.hardware)
        case RejectStage() | ColdStartStage():
            return _answers(name, stage, (stage.from_,), [shape(stage.from_)], {}, recipe.hardware)
        case PretrainStage():
            made = shape(name)
            assert made is not None
            return _pretrain(name, stage, made, recipe.hardware)


def _rl(name: str, stage: RLStage, shape: ModelShape | None, judges: Shapes, hardware: HardwareSpec) -> StagePlan:
    counts, known = batches(stage), _known(judges)
    context = stage.prompt.max_tokens + max(phase.max_new_tokens for phase in counts.contexts)
    threads = stage.model.threads or os.cpu_count() or 1
    engines = (
        count_worker_threads(shape.parameters, threads, stage.rollout.max_sequences)
        if shape and hardware.device == "cpu"
        else 1
    )
    memory = None if shape is None else rl_memory(stage, shape, context, engines, known.values())
    hours = None
    if shape is not None:
        hours = rl_hours(stage, shape, counts, hardware) + judge_hours(stage, known, counts, hardware)
    return StagePlan(
        name=name,
        kind=stage.kind,
        source=stage.from_,
        steps=stage.steps,
        batches=counts,
        parameters=None if shape is None else shape.parameters,
        memory=memory,
        device_hours=hours,
        dollars=_dollars(hours, hardware),
        notes=_notes(memory, hardware),
    )


def _pretrain(name: str, stage: PretrainStage, shape: ModelShape, hardware: HardwareSpec) -> StagePlan:
    memory = pretrain_memory(stage, shape)
    hours = pretrain_hours(stage, shape, hardware)
    return StagePlan(
        name=name,
        kind=stage.kind,
        source=None,
        steps=stage.steps,
        batches=None,
        parameters=shape.parameters,
        memory=memory,
        device_hours=hours,
        dollars=_dollars(hours, hardware),
        notes=_notes(memory, hardware),
    )


def _supervised(
    name: str, stage: SFTStage | DistilStage | RewardModelStage, shape: ModelShape | None, recipe: Recipe
) -> StagePlan:
    """Where the volume of a source is not known before the run, neither are updates and hours."""
    volumes = [volume_of(source, recipe) for source in stage.data]
    known = [volume for volume in volumes if volume is not None]
    counted = len(known) == len(volumes)
    learnt = 1 - stage.held_out if isinstance(stage, RewardModelStage) else 1.0
    rows = learnt * sum(volume.rows for volume in known)
    tokens = learnt * sum(volume.tokens for volume in known)
    memory = None if shape is None else supervised_memory(stage, shape)
    hours = supervised_hours(stage, shape, tokens, recipe.hardware) if shape and counted else None
    return StagePlan(
        name=name,
        kind=stage.kind,
        source=stage.from_,
        steps=stage.epochs * ceil(rows / stage.batch) if counted else None,
        batches=None,
        parameters=None if shape is None else shape.parameters,
        memory=memory,
        device_hours=hours,
        dollars=_dollars(hours, recipe.hardware),
        notes=_notes(memory, recipe.hardware),
        details={
            "reads": f"{' + '.join(stage.data)}, {rows:,.0f} texts at most" if counted else " + ".join(stage.data),
            "epochs": f"{stage.epochs}, {stage.batch:,} texts an update, of {stage.max_tokens:,} tokens at most",
        },
    )


def _answers(
    name: str,
    stage: EvalStage | RejectStage | ColdStartStage,
    models: Sequence[str],
    shapes: Sequence[ModelShape | None],
    judges: Shapes,
    hardware: HardwareSpec,
) -> StagePlan:
    """The largest model's memory, and all models' hours."""
    known = [shape for shape in shapes if shape is not None]
    largest = max(known, key=lambda shape: shape.parameters, default=None)
    threads = stage.model.threads or os.cpu_count() or 1
    engines = (
        count_worker_threads(largest.parameters, threads, stage.max_sequences)
        if largest and hardware.device == "cpu"
        else 1
    )
    memory = eval_memory(stage, largest, engines, _known(judges).values()) if largest else None
    hours = sum(eval_hours(stage, shape, hardware) for shape in known) if len(known) == len(shapes) else None
    if hours is not None and isinstance(stage, EvalStage):
        hours += eval_judge_hours(stage, _known(judges), hardware)
    return StagePlan(
        name=name,
        kind=stage.kind,
        source=", ".join(models),
        steps=None,
        batches=None,
        parameters=None if largest is None else largest.parameters,
        memory=memory,
        device_hours=hours,
        dollars=_dollars(hours, hardware),
        notes=_notes(memory, hardware),
        details={
            "answers": f"{_asked(stage)}; {stage.max_new_tokens:,} new tokens at most",
            "format": stage.grading.format_rule,
        },
    )


def _asked(stage: EvalStage | RejectStage | ColdStartStage) -> str:
    if isinstance(stage, EvalStage):
        return ", ".join(f"{chosen.name} {chosen.problems:,} x {chosen.samples}" for chosen in stage.sets)
    return f"{stage.questions:,} questions x {stage.samples}, {stage.keep} kept of each at most"


def _known(judges: Shapes) -> dict[str, ModelShape]:
    return {name: shape for name, shape in judges.items() if shape is not None}


def _longest(planned: StagePlan) -> int:
    assert planned.batches is not None
    return max(phase.max_new_tokens for phase in planned.batches.contexts)


def _dollars(hours: float | None, hardware: HardwareSpec) -> float | None:
    rate = hardware.dollars_per_hour
    return None if hours is None or rate is None else hours * rate


def _notes(memory: Memory | None, hardware: HardwareSpec) -> tuple[str, ...]:
    if memory is None:
        return (UNKNOWN_MODEL,)
    limit, each = DEVICES[hardware.device].memory_gib, memory.gib / hardware.count
    if limit is None or each <= limit:
        return ()
    text = f"{each:.1f} GiB on each of {hardware.count} {hardware.device} may not fit into its {limit:g} GiB"
    return (f"{text}: lower rollout.max_sequences or update.tokens_per_microbatch",)


def _totals(stages: Sequence[StagePlan], hardware: HardwareSpec) -> Iterator[str]:
    if len(stages) > 1:
        known = [stage.device_hours for stage in stages if stage.device_hours is not None]
        dollars = [stage.dollars for stage in stages if stage.dollars is not None]
        priced = f", ${sum(dollars):,.2f}" if sum(dollars) >= 0.01 else ""
        unknown = len(stages) - len(known)
        text = f"{sum(known):,.2f} device hours{priced}" + (f", {unknown} stages unknown" if unknown else "")
        yield f"all stages: {text}; {sum(known) / hardware.count:,.2f} hours by the clock on {hardware.count}"
    if hardware.device == "h800":
        yield describe_paper_costs()


def _assumptions(hardware: HardwareSpec) -> tuple[str, ...]:
    share = hardware.length_share
    length = "at its limit" if share == 1 else f"at {share:g} of its limit (hardware.length_share)"
    return (
        f"{hardware.count} x {hardware.device}: {DEVICES[hardware.device].basis}",
        f"hours: every completion {length}, every prompt at its limit, no device idle",
        "memory is an upper bound: rollout cache and activations counted together, over all devices",
    )
