"""The plan: every stage's counts, memory, hours and dollars, and what stands in the way, all at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dunwu import registry
from dunwu.analysis.paper_costs import describe_paper_costs
from dunwu.config.issues import Issue
from dunwu.config.overrides import locate_issue, parse_override
from dunwu.config.schema import HardwareSpec, Recipe, StageSpec
from dunwu.config.stage_graph import draw_graph, list_feeds
from dunwu.config.stage_kind import kind_of
from dunwu.errors import UserError
from dunwu.models.shape import ModelShape, find_shape
from dunwu.planning.estimate import DEVICES
from dunwu.planning.machine import Machine, find_shortfalls, inspect_machine
from dunwu.planning.preflight import Look, Probe, check_data, check_models, check_out, check_tasks, check_texts
from dunwu.planning.preview import Preview, preview_stage
from dunwu.planning.stage_plan import PlanContext, StagePlan, plan_unknown
from dunwu.planning.user_functions import check_functions


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
    """What the machine that plans has not: no issue, since the recipe may be for another one."""
    problems: tuple[UserError, ...]

    def as_json(self) -> dict[str, Any]:
        """Return recipe, stages, totals, assumptions, lacks and problems as ``dunwu plan --json`` prints them."""
        return {
            "recipe": self.recipe,
            "stages": [stage.as_json() | {"feeds": list(self.feeds[stage.name])} for stage in self.stages],
            "totals": list(self.totals),
            "assumptions": list(self.assumptions),
            "lacks": list(self.lacks),
            "problems": [str(problem) for problem in self.problems],
        }


def report_no_plan(problem: UserError) -> dict[str, Any]:
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
    """Plan a validated recipe; reads config.json files, loads nothing.

    Args:
        recipe: what is planned.
        file: the recipe's file, to be named with each problem.
        overrides: what ``load_recipe`` was given, to be named with the problems that they cause.
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
            with suppress(UserError):  # that its config.json cannot be read is among the issues
                shapes[source] = find_shape(source)
        return shapes[source]

    for name, stage in recipe.stages.items():
        missing = list(check_models(name, stage, recipe))
        shown, unusable = preview_stage(name, stage, recipe, None if missing else preview)
        context = PlanContext(name=name, recipe=recipe, find_shape=shape, prompt=shown.prompt)
        planned = _plan_stage(stage, context)
        shapes[name] = planned.shape
        in_stage = [Issue(f"stages.{name}.{issue.field}", issue.message) for issue in planned.issues]
        issues += [*missing, *unusable, *check_functions(name, stage), *in_stage]
        stages.append(replace(planned, template=shown.lines))
    issues += check_data(recipe, look)
    issues += check_tasks(recipe, probe)
    issues += check_texts(recipe)
    parsed = [parse_override(text) for text in overrides]
    problems = [locate_issue(issue, file, parsed) for issue in issues]
    if out is not None:
        problems += check_out(out)
    return Plan(
        recipe=recipe.name,
        graph=tuple(draw_graph(recipe)),
        feeds={name: list_feeds(stage) for name, stage in recipe.stages.items()},
        stages=tuple(stages),
        totals=tuple(_totals(stages, recipe.hardware)),
        assumptions=_assumptions(recipe.hardware),
        lacks=tuple(
            find_shortfalls(recipe, {stage.name: stage.memory for stage in stages}, machine or inspect_machine())
        ),
        problems=tuple(problems),
    )


def _plan_stage(stage: StageSpec, context: PlanContext) -> StagePlan:
    """Ask the kind of a stage for its plan; a plan of the user's that fails is an issue of one without estimates."""
    try:
        with registry.stages.blame(stage.kind, "kind"):
            planned = (kind_of(stage).plan or plan_unknown)(stage, context)
        if not isinstance(planned, StagePlan):
            raise UserError(f"the plan of {stage.kind} gives {planned!r:.40}, not a StagePlan")
    except UserError as error:
        return replace(plan_unknown(stage, context), issues=(Issue(error.field or "kind", error.message),))
    return planned


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
        f"hours: every completion {length}, prompts as long as a few or at their limit, no device idle",
        "memory: all parts counted together, over all devices",
    )
