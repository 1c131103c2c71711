"""Where problems come from: generators, files, and mixtures of both. Each task has a held-out side.

``dunwu.registry.tasks`` names them all. A task of your own is a function (see ``Draft``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace

from dunwu import registry
from dunwu.config.schema import TaskSpec
from dunwu.errors import UserError
from dunwu.tasks.generators import gym
from dunwu.tasks.mixture import Mixture
from dunwu.tasks.task import Draft, GeneratedTask, Generator, Task, hash_text

__all__ = ["Draft", "Generator", "Mixture", "Task", "build_mixture", "build_task", "load_generator", "load_generators"]


def build_task(spec: TaskSpec, seed: int, left_out: Set[str] = frozenset()) -> Task:
    """Build the task that a recipe's entry describes.

    Args:
        spec: The entry.
        seed: Of the training side; the held-out side does not depend on it.
        left_out: Names of problems that training never draws, for a task that reads a file.

    Raises:
        UserError: The task, its set or a level is unknown; its file or function cannot be used; or reasoning-gym is not
            installed.
    """
    if problem := registry.tasks.problem_with(spec.task):
        raise UserError(problem, field="task")
    if spec.is_custom and spec.name in registry.tasks.builtin:
        raise UserError(f"{spec.name!r} is the name of another task: say a display_name", field="task")
    if spec.reads_file:
        from dunwu.tasks.datasets.files import FileTask

        return FileTask(spec, seed, left_out)
    return GeneratedTask(
        spec.name,
        load_generator(spec),
        seed,
        levels=spec.levels,
        languages=spec.languages,
        held_out_share=spec.held_out,
        kind=spec.kind,
    )


def build_mixture(specs: Sequence[TaskSpec], seed: int, left_out: Set[str] = frozenset()) -> Mixture:
    """Build the training stream of a stage: every entry with its weight, and with a seed of its own.

    Args:
        specs: The stage's entries.
        seed: The run's.
        left_out: As for ``build_task``.

    Raises:
        UserError: As for ``build_task``; or an entry is held out as a whole.
    """
    for spec in specs:
        if spec.held_out == 1:
            raise UserError(f"{spec.task}: 1 leaves nothing to train on", field="held_out")
    tasks = [build_task(spec, hash_text(f"{seed}/{place}"), left_out) for place, spec in enumerate(specs)]
    return Mixture(tasks, [spec.weight for spec in specs], seed)


def load_generator(spec: TaskSpec) -> Generator:
    """Load the generator of an entry that reads no file.

    Raises:
        UserError: There is none; it needs a file; or a function of the user's fails.
    """
    if spec.task == "gym":
        return gym.make_generator(spec.set or "")
    found = registry.tasks.load(spec.task)
    if not spec.is_custom:
        assert isinstance(found, Generator)
        return found
    from dunwu.tasks.custom import CustomGenerator

    if not isinstance(found, Generator) and not callable(found):
        text = (
            f"{spec.task} is {type(found).__name__}, not a function (rng, level, language) -> Draft; say a path to read"
        )
        raise UserError(text, field="task")
    generator = found if isinstance(found, Generator) else Generator(found)
    draft = CustomGenerator(generator.draft, spec.task, spec.kind)
    draft.check_purity((spec.levels or generator.levels or (1,))[0], spec.languages[0])
    return replace(generator, draft=draft)


def load_generators(specs: Sequence[TaskSpec]) -> Mapping[str, Generator]:
    """Load the generators of the entries that have levels, by the names of the tasks.

    Raises:
        UserError: As for ``load_generator``.
    """
    return {spec.name: load_generator(spec) for spec in specs if spec.has_levels}
