"""What on this machine stands in the recipe's way: files, folders, limits of the model."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from dunwu.config.issues import Issue
from dunwu.config.model_folder import WEIGHTS, missing_weights, read_json
from dunwu.config.schema import (
    DataSpec,
    DataStage,
    EvalStage,
    JudgeSpec,
    PretrainStage,
    PromptSpec,
    Recipe,
    RewardModelStage,
    RLStage,
    SamplingStage,
    Stage,
    TaskSpec,
)
from dunwu.errors import UserError
from dunwu.models.shape import ModelShape, find_model_folder, find_shape

Probe = Callable[[TaskSpec, int], None]
"""Opens a task and raises UserError where it cannot give so many held-out problems, or, for 0, a training problem."""
Look = Callable[[DataSpec, Any], None]
"""Looks at the first rows of a file as ``conversations``, ``pairs`` or ``verdicts``; raises UserError."""
TOKENIZERS = ("tokenizer*", "vocab*", "*.model", "tekken*")


def model_obstacles(name: str, stage: Stage, recipe: Recipe) -> Iterator[Issue]:
    """A folder that a stage begins from must be a model of transformers, with the template that the stage wants."""
    for field, source, where, prompt in _models(stage):
        if source in recipe.stages:
            continue
        folder = find_model_folder(source)
        if folder is not None:
            yield from _folder_obstacles(f"stages.{name}.{field}", folder)
            yield from _template_obstacles(f"stages.{name}.{where}prompt.template", prompt.template, folder)
        try:
            find_shape(source)
        except UserError as error:
            yield Issue(f"stages.{name}.{field}", str(error))


def _models(stage: Stage) -> Iterator[tuple[str, str, str, PromptSpec]]:
    """The field of every model, its source, the table whose prompt it is asked with, and that prompt."""
    judges: Sequence[JudgeSpec] = ()
    match stage:
        case PretrainStage():
            return
        case EvalStage():
            yield from ((f"models.{i}", model, "", stage.prompt) for i, model in enumerate(stage.models))
            place, judges = "judges", stage.judges
        case RLStage():
            yield "from", stage.from_, "", stage.prompt
            if stage.value and stage.value.from_:
                yield "value.from", stage.value.from_, "", stage.prompt
            place, judges = "reward.models", stage.reward.models
        case _:
            yield "from", stage.from_, "", stage.prompt
    yield from ((f"{place}.{i}.from", judge.from_, f"{place}.{i}.", judge.prompt) for i, judge in enumerate(judges))


def _folder_obstacles(field: str, folder: Path) -> Iterator[Issue]:
    if not folder.is_dir():
        yield Issue(field, f"no such folder: {folder}")
    elif not (folder / "config.json").is_file():
        yield Issue(field, f"no transformers model: {folder} has no config.json")
    elif not any(True for _ in folder.glob(WEIGHTS)):
        yield Issue(field, missing_weights(folder, str(folder)))
    elif not any(True for pattern in TOKENIZERS for _ in folder.glob(pattern)):
        yield Issue(field, f"no tokenizer (tokenizer.json) in {folder}")


def _template_obstacles(field: str, template: str, folder: Path) -> Iterator[Issue]:
    """The tokenizer's own template must be there where a stage wants it."""
    if template != "chat" or any(True for _ in folder.glob("chat_template*")):
        return
    try:
        config = read_json(folder / "tokenizer_config.json")
        found = isinstance(config, dict) and config.get("chat_template")
    except UserError:
        return  # whoever loads it says what is wrong with it
    if not found:
        yield Issue(field, f"chat, but the tokenizer in {folder} has no chat template")


def context_obstacles(field: str, prompt: int, written: int, shapes: Iterable[ModelShape | None]) -> Iterator[Issue]:
    """Prompt and completion must fit into the positions of every model."""
    needed = prompt + written
    known = [shape.max_positions for shape in shapes if shape is not None and shape.max_positions]
    if known and needed > min(known):
        text = f"prompt.max_tokens + max_new_tokens = {needed} is more than the model's {min(known)} positions"
        left = min(known) - written
        yield Issue(field, text + (f": beside {written} new tokens prompts have {left}" if left > 0 else ""))


def data_obstacles(recipe: Recipe, look: Look | None) -> Iterator[Issue]:
    """Files of conversations must be there, and their rows what the stages want that learn from them."""
    for name, data in recipe.data.items():
        if data.path is None:
            continue
        if not data.path.exists():
            yield Issue(f"data.{name}.path", f"no such file: {data.path}")
        elif data.path.is_file() and data.path.stat().st_size == 0:
            yield Issue(f"data.{name}.path", f"the file is empty: {data.path}")
        else:
            yield from _looked(name, data, _uses(recipe, name), look) if look else ()


def _looked(name: str, data: DataSpec, uses: Sequence[str], look: Look) -> Iterator[Issue]:
    for use in uses:
        try:
            look(data, use)
        except UserError as error:
            yield Issue(f"data.{name}.{error.field or 'path'}", f"{data.path}: {error.message}")


def _uses(recipe: Recipe, name: str) -> list[str]:
    """What stages read the data as."""
    found = [stage for stage in recipe.stages.values() if isinstance(stage, DataStage) and name in stage.data]
    return list(dict.fromkeys(s.learn_from if isinstance(s, RewardModelStage) else "conversations" for s in found))


def task_obstacles(recipe: Recipe, probe: Probe | None) -> Iterator[Issue]:
    """Data files must be there, and each task must open. What is wrong with a task that stands in several places, as
    one that the recipe shares does, is told once."""
    found: dict[tuple[str, str], list[Issue]] = {}
    for place, task, held_out in _tasks(recipe):
        for issue in _task_issues(place, task, held_out, probe):
            found.setdefault((task.model_dump_json(), issue.message), []).append(issue)
    for first, *others in found.values():
        more = f" ({len(others)} more entries are the same task)" if others else ""
        yield Issue(first.field, first.message + more)


def _task_issues(place: str, task: TaskSpec, held_out: int, probe: Probe | None) -> Iterator[Issue]:
    path = task.path
    if task.reads_file and path is None and task.hub is None:
        yield Issue(f"{place}.path", f"is missing: {task.task} reads a file; say which, there or with --set")
    elif path is not None and not path.exists():
        yield Issue(f"{place}.path", f"no such file: {path}")
    elif path is not None and path.is_file() and path.stat().st_size == 0:
        yield Issue(f"{place}.path", f"the file is empty: {path}")
    elif probe is not None:
        try:
            probe(task, held_out)
        except UserError as error:
            yield _task_obstacle(place, error)


def _task_obstacle(place: str, error: UserError) -> Issue:
    """A field of the recipe goes to the place; file and line of the user's data go before the message."""
    is_field = error.field is not None and error.field.partition(".")[0] in TaskSpec.model_fields
    data = [part for part in (error.file, None if is_field else error.field) if part]
    return Issue(f"{place}.{error.field}" if is_field else place, ": ".join([*data, error.message]))


def out_obstacles(out: Path) -> Iterator[UserError]:
    """The run directory, or the nearest folder above it that is there, must be a writable folder."""
    try:
        here = next(filter(_is_there, (out.absolute(), *out.absolute().parents)))
        here.stat()
    except OSError as error:  # a name too long, a symbolic link to nothing or to itself
        yield UserError(f"{out}: {error.strerror}", file="--out")
        return
    if not here.is_dir():
        yield UserError(f"{here} is a file, not a folder", file="--out")
    elif not os.access(here, os.W_OK):
        yield UserError(f"{here} is not writable", file="--out")


def _is_there(path: Path) -> bool:
    """Also for a symbolic link to nothing. Raises OSError where nothing of that name can be."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _tasks(recipe: Recipe) -> Iterator[tuple[str, TaskSpec, int]]:
    """Every task with its place in the recipe and the held-out problems that are asked of it."""
    for name, stage in recipe.stages.items():
        sets = stage.sets if isinstance(stage, EvalStage) else ()
        for index, chosen in enumerate(sets):
            yield f"stages.{name}.sets.{index}.task", chosen.task, chosen.problems
        if isinstance(stage, RLStage | SamplingStage):
            for index, task in enumerate(stage.tasks):
                yield f"stages.{name}.tasks.{index}", task, 0
        if isinstance(stage, RLStage):
            for index, chosen in enumerate(stage.evaluation.sets):
                yield f"stages.{name}.evaluation.sets.{index}.task", chosen.task, chosen.problems
