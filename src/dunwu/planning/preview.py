"""What a stage's template asks and teaches, found out before anything runs by whoever can open a tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dunwu.config.issues import Issue
from dunwu.config.schema import DataSpec, DataStage, EvalStage, PretrainStage, Recipe, RLStage, SamplingStage, Stage
from dunwu.errors import UserError
from dunwu.models.shape import find_model_folder

Preview = Callable[[Path, str, Stage, Sequence[DataSpec]], Mapping[str, str]]
"""A model's folder, a stage's name, the stage, and its files -> lines by names in snake case. Raises UserError where
the template cannot be used, a conversation cannot be learnt, or a held-out prompt is too long."""
GLANCE = 5
"""Held-out problems of a generated task that a plan draws of each set; a run draws them all before it begins."""
PLAIN = ("r1-zero", "nano")
"""Templates that open no tag and need no tokenizer to be known."""


def preview_stage(
    name: str, stage: Stage, recipe: Recipe, preview: Preview | None
) -> tuple[Mapping[str, str], list[Issue]]:
    """Say how a stage asks and what it teaches.

    Returns:
        Lines by names in snake case, and what stands in the way; nothing of either for a paper's template without
        files to learn from or problems that are read, and for models that are not in a folder here.
    """
    if preview is None or isinstance(stage, PretrainStage):
        return {}, []
    names = stage.data if isinstance(stage, DataStage) else ()
    files = [recipe.data[one] for one in names if one in recipe.data and _is_file(recipe.data[one])]
    folder = _tokenizer_of(stage.models[0] if isinstance(stage, EvalStage) else stage.from_, recipe)
    if folder is None or (stage.prompt.template in PLAIN and not files and not _reads_problems(stage)):
        return {}, []
    try:
        return preview(folder, name, stage, files), []
    except UserError as error:
        return {}, [Issue(f"stages.{name}.{error.field or 'prompt.template'}", error.message)]


def _reads_problems(stage: Stage) -> bool:
    """Whether problems of the stage are the user's own."""
    sets = stage.sets if isinstance(stage, EvalStage) else stage.evaluation.sets if isinstance(stage, RLStage) else ()
    asked = stage.tasks if isinstance(stage, RLStage | SamplingStage) else ()
    return any(task.reads_file for task in (*asked, *(chosen.task for chosen in sets)))


def _is_file(data: DataSpec) -> bool:
    return data.path is not None and data.path.exists()


def _tokenizer_of(source: str, recipe: Recipe) -> Path | None:
    """The folder of the model that a source was first made from: every stage keeps its tokenizer."""
    while source in recipe.stages:
        stage = recipe.stages[source]
        if isinstance(stage, PretrainStage | EvalStage):
            return None
        source = stage.from_
    folder = find_model_folder(source)
    return folder if folder is not None and (folder / "config.json").is_file() else None
