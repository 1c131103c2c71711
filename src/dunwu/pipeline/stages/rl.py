"""Reinforcement learning from rule rewards: GRPO (DeepSeekMath, arXiv 2402.03300, algorithm 1) as R1-Zero ran it.

    for each rollout:
        problems  <- draw, vary what was half solved        tasks        never held-out ones
        groups    <- G completions each, from the policy    rollout      pi_old
        scores    <- rules                                  verifiers    accuracy + format
        samples   <- rows of tokens with their rewards      algorithms   of earlier rollouts too, where there is replay
        logprobs  <- pi_old, pi_ref, a value network        training
        the engine's own log-probabilities are compared     handover     with the trainer's
        batch     <- advantages of every token              algorithms
        for each minibatch: one optimizer step              training
        the engine gets the new weights; now and then the reference too

Who executes a line (this process, Ray actors, FSDP2 ranks, vLLM) is decided by the executor that the stage is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial

from dunwu.algorithms import assign_advantages, compute_rewards, cut_minibatches, to_samples
from dunwu.algorithms.replay import KeptSample
from dunwu.config.schema import RLStage
from dunwu.errors import counted
from dunwu.metrics import Stopwatch
from dunwu.pipeline.context import StageContext
from dunwu.pipeline.stages.measurement import is_midway_due, measure_midway, measure_policy
from dunwu.pipeline.stages.model_card import complete_model, describe_weights
from dunwu.pipeline.stages.rl_metrics import RolloutRecorder
from dunwu.pipeline.stages.rl_state import Batch, Cursor, resume, save, save_when_interrupted
from dunwu.pipeline.stages.rl_system import NO_SCORERS, RLSystem, open_rl_system
from dunwu.pipeline.stages.rollout_queue import RolloutQueue
from dunwu.pipeline.stages.weight_handover import check_handover, check_last_handover
from dunwu.registry import losses
from dunwu.rollout.seeds import derive_seed
from dunwu.runs import BASE, TRAINED, is_due
from dunwu.training.steps import take_step
from dunwu.types import ScoredGroup, StepResult, TrainSample
from dunwu.user_code import shorten_reference


def run_rl(stage: RLStage, context: StageContext, source: str, scorers: Mapping[str, str] = NO_SCORERS) -> None:
    """Run a stage from a model, or from the stage's newest checkpoint.

    Args:
        stage: the recipe's.
        context: the run's.
        source: the model: a folder, ``nano-base`` or a hub id.
        scorers: where the reward models lie, by the names of their parts, and the value network's source by VALUE.

    Raises:
        UserError: the model, the data or the recipe cannot be used.
        Interrupted, Fault: see ``train``.
    """
    with ExitStack() as opened:
        with context.stop.interruptible():
            system = opened.enter_context(open_rl_system(stage, context, source, scorers))
            cursor = resume(system)
        context.progress.start_stage(context.name, describe(stage, source), step=cursor.updates(stage))
        train(system, cursor)
        context.store.finish(complete_model(stage, context, system.trainer.save_model))


def describe(stage: RLStage, source: str) -> str:
    """Describe a stage in one line."""
    names = ", ".join(dict.fromkeys(spec.name for spec in stage.tasks))
    batch = f"{stage.rollout.questions} questions x {stage.rollout.group_size} completions"
    loss = stage.algorithm.loss
    named = loss.upper() if loss in losses.builtin else shorten_reference(loss)
    algorithm = ("PPO" if stage.value else named) + describe_weights(stage)
    return f"{algorithm} on {names} from {source}; {counted(stage.rollouts, 'rollout')} of {batch}"


def train(system: RLSystem, cursor: Cursor) -> None:
    """Train from a cursor to the end of the stage.

    Raises:
        Interrupted: a stop was asked for; the message says whether the state is saved.
        Fault: NaN or Inf in a loss or a gradient, an engine that is too far from the trainer, or the disk is full; the
            newest checkpoint stands.
    """
    stage, stop = system.stage, system.context.stop
    recorder = RolloutRecorder(system)
    if cursor.rollout == 0:  # later the policy is the base no longer
        with save_when_interrupted(system, cursor, "evaluation"), stop.interruptible():
            measure_policy(system, BASE)
    with closing(RolloutQueue(system, cursor)) as queue:
        cursor = learn(system, cursor, queue, recorder)
    with save_when_interrupted(system, cursor, "evaluation"), stop.interruptible():
        measured = {done.set for done in system.context.store.read_evaluations(TRAINED, rows=False)}
        if not measured.issuperset(chosen.name for chosen in stage.evaluation.sets):
            check_last_handover(system, cursor.rollout, cursor.position)
        measure_policy(system, TRAINED)
    recorder.conclude()


def learn(system: RLSystem, cursor: Cursor, queue: RolloutQueue, recorder: RolloutRecorder) -> Cursor:
    """Learn from every rollout that is left; then the engine has the trainer's weights.

    Args:
        system: the stage's.
        cursor: where it stands.
        queue: makes rollouts.
        recorder: writes down what became of each.

    Returns:
        Where the stage stands at its end.

    Raises:
        Interrupted, Fault: see ``train``.
    """
    stage, stop = system.stage, system.context.stop
    while cursor.rollout < stage.rollouts:
        watch, before = Stopwatch(), cursor
        with save_when_interrupted(system, cursor):
            with stop.interruptible():
                # Here, not after the updates: what an interrupted evaluation left open is made up for on resuming.
                if is_midway_due(stage, cursor.updates(stage)):
                    queue.settle()
                    measure_midway(system, cursor.updates(stage))
                rollout = queue.take(watch)
                batch = make_batch(system, cursor, rollout.groups, watch)
            updates = update_policy(system, cursor, [*batch.fresh, *batch.replayed], watch)
            with watch.time("weights"):
                queue.deliver_weights()
        cursor = cursor.advance(rollout, batch.fresh)
        recorder.record(before, cursor, rollout, batch, updates, {**rollout.seconds, **watch.seconds})
        due = is_due(cursor.updates(stage), stage.checkpoint.every, stage.updates_per_rollout)
        if due or cursor.rollout == stage.rollouts:
            save(system, cursor)
    queue.settle()
    return cursor


def make_batch(system: RLSystem, cursor: Cursor, groups: Sequence[ScoredGroup], watch: Stopwatch) -> Batch:
    """Make samples of graded groups: log-probabilities first, then advantages.

    Args:
        system: the stage's.
        cursor: where it stands; its replay buffer adds samples of earlier rollouts.
        groups: the rollout's.
        watch: takes the seconds of ``logprobs``.

    Raises:
        Fault: the engine is too far from the trainer.
    """
    stage, trainer = system.stage, system.trainer
    system.context.progress.show_activity("computing log-probabilities")
    with watch.time("logprobs"):
        rewards = compute_rewards(groups, stage.algorithm, stage.new_tokens_at(cursor.updates(stage)))
        fresh = to_samples(groups, rewards, stage.algorithm)
        kept = draw_replay(system, cursor, len(fresh))
        samples = [*fresh, *(one.sample for one in kept)]
        logprobs = trainer.compute_logprobs(samples)
        metrics = check_handover(system, fresh, logprobs[: len(fresh)])
        known = [one.advantages for one in kept]
        batch = assign_advantages(samples, logprobs, rewards, system.algorithm, kept=known)
    return Batch(batch[: len(fresh)], batch[len(fresh) :], metrics)


def draw_replay(system: RLSystem, cursor: Cursor, fresh: int) -> list[KeptSample]:
    """Draw samples of earlier rollouts, as many for each of the ``fresh`` ones as the recipe says."""
    if system.stage.replay is None or cursor.replay is None:
        return []
    seed = derive_seed(system.context.seed, system.context.name, "replay", cursor.rollout)
    return cursor.replay.draw(round(system.stage.replay.share * fresh), seed)


def update_policy(
    system: RLSystem, cursor: Cursor, samples: Sequence[TrainSample], watch: Stopwatch
) -> list[StepResult]:
    """Take the optimizer steps of one rollout, on random splits that break the groups.

    Args:
        system: the stage's.
        cursor: where it stands.
        samples: what is learned from.
        watch: takes the seconds of ``update``.

    Raises:
        Fault: a loss or a gradient is not finite.
    """
    stage, trainer, context = system.stage, system.trainer, system.context
    updates: list[StepResult] = []
    first = cursor.updates(stage)
    pace = context.stop.pace(stage.updates_per_rollout)
    with watch.time("update"):
        for epoch in range(stage.update.epochs):
            seed = derive_seed(context.seed, context.name, "split", cursor.rollout, epoch)
            for step in cut_minibatches(samples, stage.update, seed):
                done = len(updates)
                context.progress.show_activity("learning", done, stage.updates_per_rollout)
                updates.append(take_step(trainer, step, at=first + done, check=partial(pace, done)))
    end = first + stage.updates_per_rollout
    if stage.reference_every and end % stage.reference_every == 0:
        trainer.refresh_reference()
    return updates
