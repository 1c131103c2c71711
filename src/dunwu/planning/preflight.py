"""What on this machine stands in the recipe's way: files, folders, limits of the model."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from dunwu.config.issues import Issue
from dunwu.config.model_folder import WEIGHTS, missing_weights, read_json
from dunwu.config.schema import DataSpec, Recipe, StageSpec, TaskSpec
from dunwu.errors import UserError, counted
from dunwu.models.gguf.source import find_gguf
from dunwu.models.shape import find_model_folder, find_shape
from dunwu.tasks.datasets.passages import read_passages

Probe = Callable[[TaskSpec, int], None]
"""Opens a task and raises UserError where it cannot give so many held-out problems, or, for 0, a training problem."""
Look = Callable[[DataSpec, Any], None]
"""Looks at the first rows of a file as ``conversations``, ``pairs`` or ``verdicts``; raises UserError."""
TOKENIZERS = ("tokenizer*", "vocab*", "*.model", "tekken*")


def check_models(name: str, stage: StageSpec, recipe: Recipe) -> Iterator[Issue]:
    """Check that what a stage begins from is a model of transformers, with the template that the stage wants."""
    for model in stage.inputs.models:
        if model.source in recipe.stages:
            continue
        field = f"stages.{name}.{model.field}"
        template = (
            (f"stages.{name}.{model.prompt.field}.template", model.prompt.spec.template) if model.prompt else None
        )
        try:
            if (file := find_gguf(model.source)) is not None:
                yield from _check_gguf(file, template)
            elif (folder := find_model_folder(model.source)) is not None:
                yield from _check_folder(field, folder)
                if template:
                    yield from _check_template(*template, folder)
            find_shape(model.source)
        except UserError as error:
            yield Issue(field, str(error))


def _check_gguf(file: Path, template: tuple[str, str] | None) -> Iterator[Issue]:
    """Check the header of a GGUF file, and that it has a chat template where a stage wants it."""
    from dunwu.models.gguf.architecture import build_config, list_weights  # with numpy, which no other source needs
    from dunwu.models.gguf.header import read_header

    header = read_header(file)
    list_weights(header, build_config(header))
    if template and template[1] == "chat" and header.chat_template is None:
        yield Issue(template[0], f"chat, but {file} has no chat template")


def _check_folder(field: str, folder: Path) -> Iterator[Issue]:
    if not folder.is_dir():
        yield Issue(field, f"no such folder: {folder}")
    elif not (folder / "config.json").is_file():
        yield Issue(field, f"no transformers model: {folder} has no config.json")
    elif not any(True for _ in folder.glob(WEIGHTS)):
        yield Issue(field, missing_weights(folder, str(folder)))
    elif not any(True for pattern in TOKENIZERS for _ in folder.glob(pattern)):
        yield Issue(field, f"no tokenizer (tokenizer.json) in {folder}")


def _check_template(field: str, template: str, folder: Path) -> Iterator[Issue]:
    """Check that the tokenizer has a template of its own where a stage wants it."""
    if template != "chat" or any(True for _ in folder.glob("chat_template*")):
        return
    try:
        config = read_json(folder / "tokenizer_config.json")
        found = isinstance(config, dict) and config.get("chat_template")
    except UserError:
        return  # whoever loads it says what is wrong with it
    if not found:
        yield Issue(field, f"chat, but the tokenizer in {folder} has no chat template")


def check_data(recipe: Recipe, look: Look | None) -> Iterator[Issue]:
    """Check that files of conversations are there, and that their rows are what the stages want."""
    for name, data in recipe.data.items():
        if data.path is None:
            continue
        if not data.path.exists():
            yield Issue(f"data.{name}.path", f"no such file: {data.path}")
        elif data.path.is_file() and data.path.stat().st_size == 0:
            yield Issue(f"data.{name}.path", f"the file is empty: {data.path}")
        else:
            yield from _look_at(name, data, _uses(recipe, name), look) if look else ()


def _look_at(name: str, data: DataSpec, uses: Sequence[str], look: Look) -> Iterator[Issue]:
    for use in uses:
        try:
            look(data, use)
        except UserError as error:
            yield Issue(f"data.{name}.{error.field or 'path'}", f"{data.path}: {error.message}")


def _uses(recipe: Recipe, name: str) -> list[str]:
    """List what stages read the data as."""
    every = [stage.inputs for stage in recipe.stages.values()]
    return list(dict.fromkeys(inputs.layout for inputs in every if name in inputs.data))


def check_tasks(recipe: Recipe, probe: Probe | None) -> Iterator[Issue]:
    """Check that data files are there, and that each task opens.

    What is wrong with a task that stands in several places, as one that the recipe shares does, is said once.
    """
    found: dict[tuple[str, str], list[Issue]] = {}
    for place, task, held_out in _list_tasks(recipe):
        for issue in _check_task(place, task, held_out, probe):
            found.setdefault((task.model_dump_json(), issue.message), []).append(issue)
    for first, *others in found.values():
        more = f" (the same task stands in {counted(len(others), 'other place')})" if others else ""
        yield Issue(first.field, first.message + more)


def _check_task(place: str, task: TaskSpec, held_out: int, probe: Probe | None) -> Iterator[Issue]:
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
            yield _place_issue(place, error)


def _place_issue(place: str, error: UserError) -> Issue:
    """Make an issue of an error: a recipe's field joins the place; file and line of data join the message."""
    is_field = error.field is not None and error.field.partition(".")[0] in TaskSpec.model_fields
    data = [part for part in (error.file, None if is_field else error.field) if part]
    return Issue(f"{place}.{error.field}" if is_field else place, ": ".join([*data, error.message]))


def check_texts(recipe: Recipe) -> Iterator[Issue]:
    """Check that the texts whose perplexity is measured can be read."""
    for name, stage in recipe.stages.items():
        for field, chosen in stage.inputs.texts.items():
            try:
                read_passages(chosen)
            except UserError as error:
                yield _place_issue(f"stages.{name}.{field}", error)


def check_out(out: Path) -> Iterator[UserError]:
    """Check that the run directory, or the nearest folder above it that is there, is a writable folder."""
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
    """Tell whether a path is there, a symbolic link to nothing too.

    Raises:
        OSError: Nothing of that name can be.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _list_tasks(recipe: Recipe) -> Iterator[tuple[str, TaskSpec, int]]:
    """Yield every task with its place in the recipe and the held-out problems that are asked of it."""
    for name, stage in recipe.stages.items():
        for field, task in stage.inputs.tasks.items():
            yield f"stages.{name}.{field}", task, 0
        for field, chosen in stage.inputs.sets.items():
            yield f"stages.{name}.{field}.task", chosen.task, chosen.problems
