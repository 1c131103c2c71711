"""Where a stage of reinforcement learning stands between two rollouts, and how it is saved and resumed there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from dunwu import tasks
from dunwu.algorithms.filters import keep_graded
from dunwu.algorithms.replay import Replay
from dunwu.config.schema import RLStage
from dunwu.errors import Interrupted
from dunwu.evaluation.evaluate import is_right
from dunwu.pipeline.stages.rl_system import RLSystem
from dunwu.runs import Checkpoint
from dunwu.tasks.curriculum import FrontierProblems
from dunwu.types import Problem, ScoredGroup, TrainSample

REPLAY = "replay.safetensors"


class Rollout(NamedTuple):
    """One rollout.

    Attributes:
        groups: graded.
        position: the mixture's new one.
        from_curriculum: how many prompts came from the curriculum.
        seconds: what its parts took, by name.
    """

    groups: list[ScoredGroup]
    position: int
    from_curriculum: int
    seconds: Mapping[str, float]


class Batch(NamedTuple):
    """What a rollout and the replay buffer teach, and how far the engine was from the trainer."""

    fresh: list[TrainSample]
    replayed: list[TrainSample]
    metrics: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """All the state of a stage beside the trainer's; an interrupted rollout leaves it as it was."""

    rollout: int = 0
    """Rollouts done."""
    position: int = 0
    """Problems drawn from the mixture."""
    curriculum: FrontierProblems | None = None
    """What variations are made of, where the recipe asks for them."""
    replay: Replay | None = None
    """What earlier rollouts taught, where the recipe asks for it."""

    def updates(self, stage: RLStage) -> int:
        """Count the optimizer steps done."""
        return self.rollout * stage.updates_per_rollout

    def advance(self, rollout: Rollout, learned: Sequence[TrainSample]) -> Cursor:
        """Return the cursor after a rollout whose samples have been learned from."""
        curriculum = self.curriculum.update(map(measure_accuracy, rollout.groups)) if self.curriculum else None
        replay = self.replay.add(learned) if self.replay else None
        return Cursor(rollout=self.rollout + 1, position=rollout.position, curriculum=curriculum, replay=replay)

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps, for JSON. The replay buffer has a file of its own."""
        curriculum = {} if self.curriculum is None else {"curriculum": self.curriculum.to_state()}
        return {"rollout": self.rollout, "position": self.position, **curriculum}

    def load(self, checkpoint: Checkpoint) -> Cursor:
        """Return this cursor as a checkpoint has it."""
        state = checkpoint.state
        curriculum = self.curriculum.load_state(state["curriculum"]) if self.curriculum else None
        replay = self.replay.load(checkpoint.path / REPLAY) if self.replay else None
        return Cursor(rollout=state["rollout"], position=state["position"], curriculum=curriculum, replay=replay)


def resume(system: RLSystem) -> Cursor:
    """Take the newest checkpoint, where there is one, and cut off whatever is past it."""
    stage, store = system.stage, system.context.store
    replay = Replay(rollouts=stage.replay.rollouts) if stage.replay else None
    cursor = Cursor(curriculum=open_curriculum(stage, system.context.seed), replay=replay)
    checkpoint = store.find_newest_checkpoint()
    if checkpoint:
        system.trainer.load(checkpoint.path)
        system.history.load(checkpoint.path)
        system.engine.update_weights(system.trainer.export_weights())
        cursor = cursor.load(checkpoint)
    store.rewind(checkpoint.step if checkpoint else 0, ended=cursor.rollout == stage.rollouts)
    return cursor


def open_curriculum(stage: RLStage, seed: int) -> FrontierProblems | None:
    """Open the source of variations that the recipe asks for; none of them is held out of any entry of its task."""
    if not stage.rollout.curriculum:
        return None
    held_out = {task.name: max(same.held_out for same in stage.tasks if same.name == task.name) for task in stage.tasks}
    return FrontierProblems(
        seed=seed,
        generators=tasks.load_generators(stage.tasks),
        held_out=held_out,
        bounds=stage.rollout.curriculum_bounds,
    )


def measure_accuracy(group: ScoredGroup) -> tuple[Problem, float]:
    """Return a group's problem, and the share of its completions that are right; 0 where no verdict could be had."""
    scores = keep_graded(group).scores
    return group.group.prompt.problem, sum(map(is_right, scores)) / max(1, len(scores))


def save(system: RLSystem, cursor: Cursor) -> None:
    """Save a checkpoint of everything from which the next rollout follows."""
    system.context.progress.show_activity("saving a checkpoint")

    def write(folder: Path) -> None:
        system.trainer.save(folder)
        if cursor.replay:
            cursor.replay.save(folder / REPLAY)
        system.history.save(folder, cursor.rollout)

    system.context.store.save_checkpoint(cursor.updates(system.stage), write, cursor.state())


@contextmanager
def save_when_interrupted(system: RLSystem, cursor: Cursor, lost: str = "rollout") -> Iterator[None]:
    """Save when the block is interrupted before its first update has changed the weights.

    Args:
        system: the stage's.
        cursor: where the block began.
        lost: what an interruption costs then; the error names it.

    Raises:
        Interrupted: a stop was asked for; the message says whether the state is saved.
    """
    version = system.trainer.policy_version
    try:
        yield
    except Interrupted as stop:
        if system.trainer.policy_version != version:
            raise Interrupted(f"{stop}; what came after the newest checkpoint will be made again") from None
        save(system, cursor)
        raise Interrupted(f"{stop}; saved, but the {lost} under way will be made again") from None
