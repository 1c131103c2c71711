"""What tasks and evaluation sets must be, and that no model is measured on what it was taught."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from dunwu.config.issues import Issue
from dunwu.config.schema import NEEDED_COLUMNS, EvaluationSet, TaskSpec, TextSet
from dunwu.errors import did_you_mean
from dunwu.registry import DATA_SETS, tasks, verifiers

MADE_OF: Mapping[str | None, tuple[str, ...]] = {None: (), "talk": ("talk",), "requests": ("harmful", "harmless")}
"""Whose questions the conversations of a ``data`` task answer."""
NUMBER_GAMES = ("countdown", "game24")
"""Generators that share their problems: a game of 24 is a countdown to 24."""


class Corpus(NamedTuple):
    """The tasks whose problems are in it, the share of them that is not, and entries of its tokenizer."""

    tasks: tuple[str, ...]
    left_out: float
    vocabulary: int


WORLD = (*NUMBER_GAMES, "ranking", "functions", "premise", "talk", "harmful", "harmless")
CORPORA = {"countdown-traces": Corpus(NUMBER_GAMES, 0.1, 576), "world": Corpus(WORLD, 0.2, 960)}
"""What ``dunwu.pretraining`` can generate."""


def check_task(task: TaskSpec, place: str) -> Iterator[Issue]:
    """Check the fields of a task, which stands at ``place``, together."""
    if tasks.problem_with(task.task):
        return  # whoever checks all references says so
    if not task.reads_file and task.path is not None:
        text = f"{task.task!r} reads no file; data sets are {', '.join(DATA_SETS)}"
        yield Issue(f"{place}.path", text + did_you_mean(task.task, DATA_SETS))
    yield from _check_hub(task, place)
    if task.kind in verifiers.builtin and task.kind not in NEEDED_COLUMNS:
        known = ", ".join(NEEDED_COLUMNS)
        text = f"{task.kind} grades no answers to problems of yours; say {known}, or a verifier of your own"
        yield Issue(f"{place}.kind", text)
    needed = task.needed_columns
    if task.task == "file" and not set(needed) <= task.columns.keys():
        yield Issue(f"{place}.fields", f"must say which columns are {', '.join(needed[:-1])} and {needed[-1]}")
    if task.task != "file" and task.fields:
        yield Issue(f"{place}.fields", f"only task = file maps columns, not {task.task!r}")
    if not (task.reads_file or task.is_custom) and task.display_name is not None:
        text = f"only a file or a function of yours has a name of its own, not {task.task!r}"
        yield Issue(f"{place}.display_name", text)
    if task.task == "gym" and task.set is None:
        yield Issue(f"{place}.set", "is missing: say which set of reasoning-gym")
    if task.task != "gym" and task.set is not None:
        yield Issue(f"{place}.set", f"only task = gym has sets, not {task.task!r}")
    if task.task == "gym" and task.languages != ("en",):
        yield Issue(f"{place}.languages", "the sets of reasoning-gym are in English")


def _check_hub(task: TaskSpec, place: str) -> Iterator[Issue]:
    if not task.reads_file and task.hub is not None:
        yield Issue(f"{place}.hub", f"{task.task!r} reads no data set; those that do are {', '.join(DATA_SETS)}")
    if task.path is not None and task.hub is not None:
        yield Issue(f"{place}.hub", "say either a path or a hub")
    for field in ("hub_config", "split"):
        if task.hub is None and getattr(task, field) is not None:
            yield Issue(f"{place}.{field}", "is of a hub, and there is none")


def check_training_tasks(tasks: Mapping[str, TaskSpec]) -> Iterator[Issue]:
    """Check the tasks that a stage trains on, each by its field: a display name stands for one of them."""
    for place, task in tasks.items():
        yield from check_task(task, place)
        if task.held_out == 1:
            yield Issue(f"{place}.held_out", "1 leaves nothing to train on")
        if task.display_name in [other.name for field, other in tasks.items() if field != place]:
            yield Issue(f"{place}.display_name", f"{task.display_name!r} is the name of another task of this stage")


def check_sets(sets: Mapping[str, EvaluationSet], temperature: float, trained: Sequence[TaskSpec]) -> Iterator[Issue]:
    """Check that every set draws nothing of what any stage of the recipe trains on.

    Args:
        sets: By the field in which each stands.
        temperature: At which they are answered.
        trained: Every task that any stage of the recipe trains on.
    """
    names = [chosen.name for chosen in sets.values()]
    for index, (place, chosen) in enumerate(sets.items()):
        if chosen.name in names[:index]:
            yield Issue(f"{place}.name", f"{chosen.name!r} is the name of an earlier set")
        if temperature == 0 and chosen.samples > 1:
            text = f"{chosen.samples} samples at temperature 0 are all equal"
            yield Issue(f"{place}.samples", text)
        yield from check_task(chosen.task, f"{place}.task")
        yield from _check_unseen(chosen, place, trained)


def check_texts(texts: Mapping[str, TextSet], sets: Mapping[str, EvaluationSet]) -> Iterator[Issue]:
    """Check that no text has the name of another one, or of a set of problems.

    Args:
        texts: By the field in which each stands.
        sets: The stage's sets of problems.
    """
    names = [*(chosen.name for chosen in sets.values()), *(chosen.name for chosen in texts.values())]
    for index, (place, chosen) in enumerate(texts.items(), start=len(sets)):
        if chosen.name in names[:index]:
            yield Issue(f"{place}.name", f"{chosen.name!r} is the name of an earlier set")


def _check_unseen(chosen: EvaluationSet, place: str, trained: Sequence[TaskSpec]) -> Iterator[Issue]:
    task = chosen.task
    same = [other for other in trained if _source_of(other) == _source_of(task)]
    if task.reads_file:
        same = [other for other in trained if _file_of(other) is not None and _file_of(other) == _file_of(task)]
    if not same:
        return
    if task.held_out == 0:
        text = (
            "0 leaves no held-out problems: training draws from the same source; use held_out > 0 or a path of its own"
        )
        yield Issue(f"{place}.task.held_out", text)
    share = min(other.held_out for other in same)
    if share < task.held_out:
        source = f"the same file, {task.path.name}" if task.path else task.hub or "this source"
        text = f"{task.held_out:g} is more than training leaves out of {source} ({share:g})"
        yield Issue(f"{place}.task.held_out", text)


def _source_of(task: TaskSpec) -> tuple[str, object]:
    return ("number games" if task.task in NUMBER_GAMES else task.name), _file_of(task)


def _file_of(task: TaskSpec) -> Path | tuple[str | None, ...] | None:
    """Return what is read, whoever reads it as what; None where nothing is."""
    return task.path if task.hub is None else (task.hub, task.hub_config, task.split)


def check_unread(sets: Mapping[str, EvaluationSet], model: str, corpora: Mapping[str, str]) -> Iterator[Issue]:
    """Check that no evaluation draws what the corpus of the base model held.

    Args:
        sets: By the field in which each stands.
        model: The one that is measured.
        corpora: The corpus that each model has read.
    """
    corpus = CORPORA.get(corpora.get(model, ""))
    if corpus is None:
        return
    for place, chosen in sets.items():
        if chosen.task.task in corpus.tasks and chosen.task.held_out > corpus.left_out:
            text = f"{chosen.task.held_out:g} is more than the corpus of {model} left out ({corpus.left_out:g})"
            yield Issue(f"{place}.task.held_out", text)
