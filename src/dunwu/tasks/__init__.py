"""Where problems come from: generators, files, and mixtures of both. Each task has a held-out side."""

from __future__ import annotations

from collections.abc import Sequence, Set

from dunwu.config.schema import TaskSpec
from dunwu.errors import UserError, did_you_mean
from dunwu.tasks import generators
from dunwu.tasks.generators import gym
from dunwu.tasks.generators.premise import PREMISE
from dunwu.tasks.mixture import Mixture
from dunwu.tasks.task import GeneratedTask, Task, fingerprint
from dunwu.tasks.world.requests import HARMFUL_REQUESTS, HARMLESS_REQUESTS
from dunwu.tasks.world.talk import TALK

__all__ = ["FAMILIES", "Mixture", "Task", "build", "build_mixture", "names"]

DATA_SETS = (
    *("gsm8k", "math", "aime", "amc", "cmath", "humaneval", "mbpp", "gpqa"),
    *("livecodebench", "codeforces", "ifeval", "safety", "alpaca", "arena", "file"),
)
WORLD = (PREMISE, TALK, HARMFUL_REQUESTS, HARMLESS_REQUESTS)
FAMILIES = {family.name: family for family in (*generators.FAMILIES, *WORLD)}


def names() -> tuple[str, ...]:
    """Every name that ``TaskSpec.task`` may have, generators first."""
    return (*FAMILIES, *DATA_SETS, "gym")


def build(spec: TaskSpec, seed: int, left_out: Set[str] = frozenset()) -> Task:
    """The task that a recipe's entry describes; its held-out side does not depend on ``seed``. Of a file the problems
    named in ``left_out`` are not trained on.

    Raises:
        UserError: the task, its set or a level is unknown, its file cannot be used, or reasoning-gym is not installed.
    """
    if spec.task not in names():
        hint = did_you_mean(spec.task, names())
        raise UserError(f"no task is called {spec.task!r}; there are {', '.join(names())}{hint}", field="task")
    if spec.task in DATA_SETS:
        from dunwu.tasks.datasets.files import FileTask

        return FileTask(spec, seed, left_out)
    family = gym.family(spec.set or "") if spec.task == "gym" else FAMILIES[spec.task]
    return GeneratedTask(family, seed, levels=spec.levels, languages=spec.languages, held_out_share=spec.held_out)


def build_mixture(specs: Sequence[TaskSpec], seed: int, left_out: Set[str] = frozenset()) -> Mixture:
    """The training stream of a stage: every entry with its weight, and with a seed of its own; ``left_out`` as for
    ``build``.

    Raises:
        UserError: as ``build``; or an entry is held out as a whole.
    """
    for spec in specs:
        if spec.held_out == 1:
            raise UserError(f"{spec.task}: 1 leaves nothing to train on", field="held_out")
    tasks = [build(spec, fingerprint(f"{seed}/{place}"), left_out) for place, spec in enumerate(specs)]
    return Mixture(tasks, [spec.weight for spec in specs], seed)
