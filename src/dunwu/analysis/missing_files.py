"""What a stage must have stored by its metrics and its recipe, and is not there any more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import ValidationError

from dunwu.analysis.damaged_files import read_or_default
from dunwu.analysis.stage_roles import compares_models, learns_from_rewards
from dunwu.config.schema import RLStage
from dunwu.runs import BASE, TRAINED, RunReader, display_names, is_due
from dunwu.runs.checkpoints import format_step

SHOWN = 3


def find_missing_rollouts(run: RunReader, name: str) -> str | None:
    """Find which rollouts are gone of which the metrics have a line.

    Args:
        run: The run.
        name: The stage.

    Returns:
        A line that says so; None where nothing is missing.

    Raises:
        UserError: The metrics cannot be read.
    """
    if not learns_from_rewards(run.recipe["stages"].get(name, {})):
        return None
    stage = run.stage(name)
    steps = [int(row["step"]) for row in stage.read_metrics()]
    stored = set(stage.list_rollout_steps())  # last: of the newest line they may still be on their way
    ended = run.stages.get(name) == "done"
    gone = [f"{step:,}" for step in (steps if ended else steps[:-1]) if step not in stored]
    if not gone:
        return None
    return f"{stage.path / 'rollouts'}: {len(gone):,} of {len(steps):,} are gone: of step {_join_some(gone)}"


def find_missing_evaluations(run: RunReader, name: str) -> str | None:
    """Find which evaluations are gone that a stage must have made; None where nothing is missing."""
    folder = run.stage(name).path / "evaluations"
    files = [f"{checkpoint}/{chosen}.json" for checkpoint, chosen in _list_expected(run, name)]
    gone = [file for file in files if not (folder / file).exists()]
    return f"{folder}: {len(gone):,} of {len(files):,} are gone: {_join_some(gone)}" if gone else None


def _list_expected(run: RunReader, name: str) -> Iterator[tuple[str, str]]:
    """List checkpoints, or models, and sets whose evaluations were stored before what is there now."""
    recipe, ended = run.recipe["stages"].get(name, {}), run.stages.get(name) == "done"
    if compares_models(recipe) and ended:
        for model in dict.fromkeys(display_names(recipe.get("models", []))):
            yield from ((model, chosen["name"]) for chosen in (*recipe.get("sets", []), *recipe.get("texts", [])))
    if learns_from_rewards(recipe):
        rows = read_or_default(run.stage(name).read_metrics, list[dict[str, float]](), [])
        steps = [int(row["step"]) for row in rows]
        yield from _list_of_training(recipe, steps, ended=ended)


def _list_of_training(recipe: dict[str, Any], steps: Sequence[int], *, ended: bool) -> Iterator[tuple[str, str]]:
    try:
        stage = RLStage.model_validate(recipe)
    except ValidationError:  # of another version
        return
    sets, texts = ([chosen.name for chosen in part] for part in (stage.evaluation.sets, stage.evaluation.texts))
    for chosen in (*sets, *texts) if steps else ():
        yield BASE, chosen
    for step in steps[:-1] if stage.evaluation.every else ():
        if is_due(step, stage.evaluation.every, stage.updates_per_rollout):
            yield from ((format_step(step), chosen) for chosen in (*sets[:1], *texts))
    for chosen in (*sets, *texts) if ended else ():
        yield TRAINED, chosen


def _join_some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else "")
