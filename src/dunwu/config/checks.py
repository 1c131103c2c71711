"""What the fields of a recipe decide together, stage by stage. Each issue says the field and the numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from dunwu.config.check_amounts import check_set_sizes
from dunwu.config.check_helpers import is_changed
from dunwu.config.check_models import check_model, check_template
from dunwu.config.check_tasks import MADE_OF, check_training_tasks
from dunwu.config.issues import Issue
from dunwu.config.packaged import PACKAGED_MODELS
from dunwu.config.references import find_references
from dunwu.config.schema import DataSpec, Recipe, StageSpec, TaskSpec
from dunwu.config.stage_kind import StageKind, Upstream, kind_of
from dunwu.errors import UserError, did_you_mean
from dunwu.registry import stages


def check_recipe(recipe: Recipe) -> Iterator[Issue]:
    """Find everything that is wrong between fields, in the recipe's order; touches no file of data or models."""
    taught = [
        TaskSpec(task=task, held_out=data.held_out) for data in recipe.data.values() for task in MADE_OF[data.task]
    ]
    learnt = [task for stage in recipe.stages.values() for task in stage.inputs.tasks.values()]
    upstream = Upstream(trained=[*taught, *learnt], data=list(recipe.data), corpora=dict(PACKAGED_MODELS))
    for name, data in recipe.data.items():
        yield from _at(f"data.{name}", _check_data(data))
    for name, stage in recipe.stages.items():
        kind = kind_of(stage)
        found = *_check_references(stage), *_check_inputs(stage, upstream), *_check_kind(kind, stage, upstream)
        found += (*_check_workers(recipe, stage),)
        yield from _at(f"stages.{name}", found)
        if kind.makes == "data" and name in recipe.data:
            yield Issue(f"data.{name}", "is the name of a stage that makes conversations too")
        upstream.add(name, stage, kind.makes)


def _at(place: str, issues: Iterable[Issue]) -> Iterator[Issue]:
    """Yield the issues of a part as those of the recipe."""
    yield from (Issue(f"{place}.{issue.field}", issue.message) for issue in issues)


def _check_data(data: DataSpec) -> Iterator[Issue]:
    if (data.path is None) == (data.task is None):
        yield Issue("path", "say either a path or a task" if data.task else "is missing: say a path, or a task")
    made = ("count", "held_out", "languages", "quality", "seed")
    changed = [name for name in made if is_changed(data, name)]
    if data.task is None and changed and data.path is not None:
        yield Issue(changed[0], "only tasks make conversations; a file has what it has")
    if data.task is not None and data.fields:
        yield Issue("fields", "only files have columns")


def _check_workers(recipe: Recipe, stage: StageSpec) -> Iterator[Issue]:
    """Check that workers are asked for where there are any."""
    if recipe.executor == "inline" and is_changed(stage, "workers"):
        yield Issue("workers", 'are there with executor = "processes" or "ray", and it is "inline"')


def _check_references(stage: StageSpec) -> Iterator[Issue]:
    """Check that every name of a registry's entry is one, or a reference."""
    for field, name, names in find_references(stage):
        if problem := names.registry.problem_with(name):
            yield Issue(field, problem)
    silent = stage.kind in stages.builtin and not stage.longest_sequence  # of another kind nobody knows
    if silent and is_changed(stage.model, "engine"):
        yield Issue("model.engine", f"{stage.model.engine}, but this stage generates nothing")


def _check_kind(kind: StageKind[Any], stage: StageSpec, upstream: Upstream) -> Iterable[Issue]:
    """Ask the kind of a stage what is wrong; a check of the user's that fails is an issue itself."""
    try:
        with stages.blame(stage.kind, "kind"):
            found = tuple(kind.check(stage, upstream))
        if wrong := next((one for one in found if not isinstance(one, Issue)), None):
            raise UserError(f"the check of {stage.kind} gives {wrong!r:.40}, not an Issue")
    except UserError as error:
        return (Issue(error.field or "kind", error.message),)
    return found


def _check_inputs(stage: StageSpec, upstream: Upstream) -> Iterator[Issue]:
    """Check what a stage takes from elsewhere, whatever its kind."""
    inputs = stage.inputs
    for model in inputs.models:
        yield from check_model(model, upstream)
    for index, name in enumerate(inputs.data):
        if name not in upstream.data:
            known = ", ".join(upstream.data) or "none"
            text = f"no data of this recipe is called {name!r} (known here: {known})"
            yield Issue(f"data.{index}", text + did_you_mean(name, upstream.data))
    for field, spec in dict(model.prompt for model in inputs.models if model.prompt).items():
        yield from check_template(spec.template, f"{field}.template")
    yield from check_training_tasks(inputs.tasks)
    yield from check_set_sizes(stage)
