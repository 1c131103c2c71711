"""What a stage's template asks and teaches, found out before anything runs by whoever can open a tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from dunwu.config.issues import Issue
from dunwu.config.schema import DataSpec, Recipe, StageSpec
from dunwu.errors import UserError
from dunwu.models.gguf.source import find_gguf
from dunwu.models.shape import find_model_folder
from dunwu.planning.sharing import PromptTokens


class Previewed(NamedTuple):
    """What a tokenizer says of a stage.

    Attributes:
        lines: How it asks and what it teaches, by names in snake case.
        prompt: Tokens of its prompts; None: it has none, or none were made.
    """

    lines: Mapping[str, str]
    prompt: PromptTokens | None = None


Preview = Callable[[Path, str, StageSpec, Sequence[DataSpec]], Previewed]
"""Previews a stage by a model's folder or GGUF file, its name, itself, and its files. Raises UserError where the
template cannot be used, a conversation cannot be learnt, or a held-out prompt is too long."""
GLANCE = 5
"""Held-out problems of a generated task that a plan draws of each set; a run draws them all before it begins."""
PLAIN = ("r1-zero", "nano")
"""Templates that open no tag and need no tokenizer to be known."""


def preview_stage(
    name: str, stage: StageSpec, recipe: Recipe, preview: Preview | None
) -> tuple[Previewed, list[Issue]]:
    """Say how a stage asks and what it teaches.

    Returns:
        What is known, and what stands in the way; nothing of either for a paper's template without files to learn from
        or problems that are read, and for models that are not in a folder here.
    """
    models = stage.inputs.models
    if preview is None or not models or models[0].prompt is None:
        return Previewed({}), []
    names = stage.inputs.data
    files = [recipe.data[one] for one in names if one in recipe.data and _is_file(recipe.data[one])]
    folder = _tokenizer_of(models[0].source, recipe)
    own = files or any(task.reads_file for task in stage.inputs.every_task)
    if folder is None or (models[0].prompt.spec.template in PLAIN and not own):
        return Previewed({}), []
    try:
        return preview(folder, name, stage, files), []
    except UserError as error:
        return Previewed({}), [Issue(f"stages.{name}.{error.field or 'prompt.template'}", error.message)]


def _is_file(data: DataSpec) -> bool:
    return data.path is not None and data.path.exists()


def _tokenizer_of(source: str, recipe: Recipe) -> Path | None:
    """Return where the model lies that a source was first made from: every stage keeps its tokenizer."""
    while source in recipe.stages:
        models = recipe.stages[source].inputs.models
        if not models:
            return None
        source = models[0].source
    if (file := find_gguf(source)) is not None:
        return file
    folder = find_model_folder(source)
    return folder if folder is not None and (folder / "config.json").is_file() else None
