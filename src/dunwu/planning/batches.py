"""Batch arithmetic of an RL stage."""

from __future__ import annotations

from dataclasses import dataclass

from dunwu.config.schema import RLStage


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextPhase:
    """Rollouts in a row that share a limit on new tokens; rollouts and updates count from 0."""

    first_rollout: int
    first_update: int
    rollouts: int
    max_new_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Batches:
    """The counts that follow from a stage's recipe.

    ``reference_every_rollouts`` is None where the reference never changes; ``reference_refreshes`` counts the changes
    that a later rollout sees. ``tokens_generated_at_most`` counts training rollouts whose every completion reaches its
    limit; ``evaluation_tokens_at_most`` likewise. ``evaluation_prompts`` counts problems that are asked, each time.
    """

    rollouts: int
    questions: int
    group_size: int
    completions_per_rollout: int
    updates_per_rollout: int
    completions_per_update: int
    reference_every_rollouts: int | None
    reference_refreshes: int
    contexts: tuple[ContextPhase, ...]
    checkpoint_every_rollouts: int
    checkpoints: int
    tokens_generated_at_most: int
    evaluation_tokens_at_most: int
    evaluation_prompts: int


def count_batches(stage: RLStage) -> Batches:
    """Count everything that ``steps``, ``rollout``, ``update`` and ``evaluation`` decide.

    For R1-Zero (arXiv 2501.12948v2, section 2): 512 questions x 16 = 8,192 completions a rollout, 16 updates of 512,
    10,400 / 16 = 650 rollouts, a new reference every 400 / 16 = 25.
    """
    rollouts, updates = stage.rollouts, stage.updates_per_rollout
    completions = stage.rollout.questions * stage.rollout.group_size
    contexts = _contexts(stage)
    reference_every = stage.reference_every // updates or None
    checkpoint_every = -(-stage.checkpoint.every // updates)
    return Batches(
        rollouts=rollouts,
        questions=stage.rollout.questions,
        group_size=stage.rollout.group_size,
        completions_per_rollout=completions,
        updates_per_rollout=updates,
        completions_per_update=completions // stage.update.minibatches,
        reference_every_rollouts=reference_every,
        reference_refreshes=(rollouts - 1) // reference_every if reference_every else 0,
        contexts=contexts,
        checkpoint_every_rollouts=checkpoint_every,
        checkpoints=-(-rollouts // checkpoint_every),
        tokens_generated_at_most=completions * sum(phase.rollouts * phase.max_new_tokens for phase in contexts),
        evaluation_tokens_at_most=_evaluation_tokens(stage),
        evaluation_prompts=_evaluation_prompts(stage),
    )


def _contexts(stage: RLStage) -> tuple[ContextPhase, ...]:
    """List the phases of the limit: a longer one begins with the first rollout that starts at or after its update."""
    updates = stage.updates_per_rollout
    starts = sorted({0, *(-(-update // updates) for update in stage.rollout.length_schedule)})
    starts = [start for start in starts if start < stage.rollouts]
    ends = [*starts[1:], stage.rollouts]
    return tuple(
        ContextPhase(
            first_rollout=start,
            first_update=start * updates,
            rollouts=end - start,
            max_new_tokens=stage.new_tokens_at(start * updates),
        )
        for start, end in zip(starts, ends, strict=True)
    )


def _evaluation_tokens(stage: RLStage) -> int:
    """Every set before and after, and the first set now and then, each completion at its limit."""
    evaluation = stage.evaluation
    whole = 2 * sum(chosen.problems * chosen.samples for chosen in evaluation.sets)
    times = _count_times_during(stage)
    limit = evaluation.max_new_tokens or stage.rollout.max_new_tokens
    return (whole + times * evaluation.during_problems * evaluation.during_samples) * limit


def _evaluation_prompts(stage: RLStage) -> int:
    """Count the problems that evaluations ask, as ``_evaluation_tokens`` does."""
    evaluation = stage.evaluation
    times = _count_times_during(stage)
    return 2 * sum(chosen.problems for chosen in evaluation.sets) + times * evaluation.during_problems


def _count_times_during(stage: RLStage) -> int:
    """Count how often the first set is measured on the way."""
    evaluation = stage.evaluation
    return stage.steps // evaluation.every if evaluation.every and evaluation.sets else 0
