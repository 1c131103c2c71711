"""Graders of a stage, with the sandbox that its tasks need."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from dunwu import verifiers
from dunwu.config.schema import CustomFunction, GradingSpec, RewardSpec, TaskSpec
from dunwu.errors import UserError
from dunwu.monitoring.progress import Progress
from dunwu.sandbox import Sandbox, Unavailable, choose, join_limits
from dunwu.verifiers import Judge, RewardGrader, gym
from dunwu.verifiers.code import make_limits

Note = Callable[[str, object], None]
"""Writes a fact into the run's manifest."""
UNSAFE = "programs of the model run without a sandbox (tier 3): they can do what you can do"


def drop_note(key: str, value: object) -> None:
    """Take a fact where there is no run to keep it."""


@contextmanager
def open_grader(
    reward: RewardSpec,
    tasks: Sequence[TaskSpec],
    progress: Progress,
    note: Note = drop_note,
    judges: Mapping[str, Judge] | None = None,
) -> Iterator[RewardGrader]:
    """Open what grades answers to some tasks as a reward says, and close it.

    Args:
        reward: the recipe's.
        tasks: all whose answers will be graded.
        progress: takes what the user should know of the sandbox.
        note: takes the sandbox's tier.
        judges: reward models, by the names of their parts.

    Raises:
        UserError: a verifier cannot be used; this machine gives no safe sandbox, and the recipe allows no other.
    """
    with (
        _open_sandbox(reward, tasks, progress, note, "reward") as sandbox,
        verifiers.RewardGrader(reward, sandbox, judges) as grader,
    ):
        yield grader


@contextmanager
def open_rule_grader(
    spec: GradingSpec,
    tasks: Sequence[TaskSpec],
    progress: Progress,
    note: Note = drop_note,
    custom: Sequence[CustomFunction] = (),
) -> Iterator[RewardGrader]:
    """Open what grades answers by rules, for a stage that rewards nothing, and close it.

    Args:
        spec: the recipe's.
        tasks: all whose answers will be graded.
        progress: takes what the user should know of the sandbox.
        note: takes the sandbox's tier.
        custom: functions of the user's that are asked too; they stand in the stage's field ``custom``.

    Raises:
        UserError: see ``open_grader``.
    """
    parts = [function.model_dump() for function in custom]
    rules = RewardSpec.model_validate({**spec.model_dump(), "custom": parts})
    try:
        with (
            _open_sandbox(spec, tasks, progress, note, "grading") as sandbox,
            verifiers.RewardGrader(rules, sandbox) as grader,
        ):
            yield grader
    except UserError as error:
        field = error.field.removeprefix("reward.") if error.field else None
        raise UserError(error.message, file=error.file, field=field) from error


@contextmanager
def _open_sandbox(
    spec: GradingSpec, tasks: Sequence[TaskSpec], progress: Progress, note: Note, field: str
) -> Iterator[Sandbox | None]:
    """Open the place where programs run, if any task needs it. ``field``: where ``spec`` stands in the recipe."""
    if not any(task.needs_sandbox for task in tasks):
        yield None
        return
    limits, allow = make_limits(spec.code), spec.code.allow_unsafe_sandbox
    libraries: tuple[str, ...] = ()
    if any(task.task == "gym" for task in tasks):
        limits, libraries = join_limits(limits, gym.SCORER_LIMITS), gym.find_libraries()
    try:
        sandbox, tier = choose(spec.workers, limits, libraries=libraries, allow_unsafe=allow)
    except Unavailable as error:
        text = f"programs of the model would not be safe on this machine ({error}); true runs them all the same"
        raise UserError(text, field=f"{field}.code.allow_unsafe_sandbox") from error
    note("sandbox_tier", tier)
    if tier == 3:
        progress.log_message(UNSAFE)
    with sandbox:
        yield sandbox
