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

Who executes a line (this process, Ray actors, FSDP2 ranks, vLLM) is decided by the engine and the trainer that
``pipeline.stages.rl_system`` hands over, not here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from dunwu import tasks
from dunwu.algorithms import assign_advantages, compute_rewards, cut_minibatches, keep_informative, to_samples
from dunwu.algorithms.filters import keep_graded
from dunwu.algorithms.replay import KeptSample, Replay
from dunwu.config.schema import RLStage
from dunwu.errors import Interrupted, counted
from dunwu.evaluation.evaluate import is_right
from dunwu.pipeline.context import StageContext
from dunwu.pipeline.stages.alarms import Alarms
from dunwu.pipeline.stages.measurement import Stopwatch, measure, measure_on_the_way, rollout_metrics, why_failed
from dunwu.pipeline.stages.model_card import completed
from dunwu.pipeline.stages.rl_system import NO_SCORERS, Parts, assembled
from dunwu.pipeline.stages.weight_handover import check_handover, check_last_handover
from dunwu.rollout.collect import collect
from dunwu.rollout.seeds import derive_seed
from dunwu.runs import BASE, TRAINED, Checkpoint, due
from dunwu.tasks.curriculum import FrontierProblems
from dunwu.training.steps import take_step
from dunwu.types import GenerationRequest, Problem, Prompt, ScoredGroup, StepResult, TrainSample

REPLAY = "replay.safetensors"
NOTHING_TO_LEARN = "in no group was one answer worth more than another: nothing to learn, until that changes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """Where a stage stands between two rollouts: all its state beside the trainer's."""

    rollout: int = 0
    """Rollouts done."""
    position: int = 0
    """Problems drawn from the mixture."""
    similar: FrontierProblems | None = None
    """What variations are made of, where the recipe asks for them."""
    replay: Replay | None = None
    """What earlier rollouts taught, where the recipe asks for it."""

    def after(self, explored: Explored, learned: Sequence[TrainSample]) -> Cursor:
        """Once a rollout's samples have been learned from."""
        similar = self.similar.update(map(accuracy, explored.groups)) if self.similar else None
        replay = self.replay.add(learned) if self.replay else None
        return Cursor(rollout=self.rollout + 1, position=explored.position, similar=similar, replay=replay)

    def state(self) -> dict[str, Any]:
        """For JSON; see ``resumed``. The replay buffer has a file of its own."""
        similar = {} if self.similar is None else {"similar": self.similar.to_state()}
        return {"rollout": self.rollout, "position": self.position, **similar}

    def resumed(self, checkpoint: Checkpoint) -> Cursor:
        """This, as it was saved."""
        state = checkpoint.state
        similar = self.similar.load_state(state["similar"]) if self.similar else None
        replay = self.replay.load(checkpoint.path / REPLAY) if self.replay else None
        return Cursor(rollout=state["rollout"], position=state["position"], similar=similar, replay=replay)


def run_rl(stage: RLStage, context: StageContext, source: str, scorers: Mapping[str, str] = NO_SCORERS) -> None:
    """Runs a stage from the model at ``source`` (a folder, ``nano-base`` or a hub id), or from its newest checkpoint.

    ``scorers``: where the reward models lie, by the names of their parts, and the value network's source by VALUE.

    Raises: see ``train``, and UserError for whatever cannot be used of the model, the data or the recipe.
    """
    with ExitStack() as rooms:
        with context.stop.interruptible():
            parts = rooms.enter_context(assembled(stage, context, source, scorers))
            cursor = begun(parts)
        context.progress.start_stage(
            context.name, describe(stage, source), step=cursor.rollout * stage.updates_per_rollout
        )
        train(parts, cursor)
        context.store.finish(completed(stage, context, parts.trainer.save_model))


def begun(parts: Parts) -> Cursor:
    """Takes the newest checkpoint, where there is one, and cuts off whatever is past it."""
    stage, store = parts.stage, parts.context.store
    replay = Replay(rollouts=stage.replay.rollouts) if stage.replay else None
    cursor = Cursor(similar=half_solved(stage, parts.context.seed), replay=replay)
    checkpoint = store.newest_checkpoint()
    if checkpoint:
        parts.trainer.load(checkpoint.path)
        parts.engine.update_weights(parts.trainer.export_weights())
        cursor = cursor.resumed(checkpoint)
    store.rewind(checkpoint.step if checkpoint else 0, ended=cursor.rollout == stage.rollouts)
    return cursor


def half_solved(stage: RLStage, seed: int) -> FrontierProblems | None:
    """The source of variations that the recipe asks for; none of them is held out of any entry of its task."""
    if not stage.rollout.curriculum:
        return None
    held_out = {task.name: max(same.held_out for same in stage.tasks if same.name == task.name) for task in stage.tasks}
    generators = tasks.load_generators(stage.tasks)
    return FrontierProblems(seed=seed, generators=generators, held_out=held_out, bounds=stage.rollout.curriculum_bounds)


def describe(stage: RLStage, source: str) -> str:
    """One line for the terminal."""
    names = ", ".join(dict.fromkeys(spec.name for spec in stage.tasks))
    batch = f"{stage.rollout.questions} questions x {stage.rollout.group_size} completions"
    algorithm = "PPO" if stage.value else stage.algorithm.loss.upper()
    return f"{algorithm} on {names} from {source}; {counted(stage.rollouts, 'rollout')} of {batch}"


def train(parts: Parts, cursor: Cursor) -> None:
    """Runs an RL stage from ``cursor`` to its end.

    Raises:
        Interrupted: a stop was asked for; the message says whether the state is saved.
        Fault: NaN or Inf in a loss or a gradient, an engine that is too far from the trainer, or the disk is full; the
            newest checkpoint stands.
    """
    stage, store, progress = parts.stage, parts.context.store, parts.context.progress
    if cursor.rollout == 0:  # later the policy is the base no longer
        with saved_when_interrupted(parts, cursor, "evaluation"), parts.context.stop.interruptible():
            measure(parts, BASE)
    taught, alarms = True, Alarms(stage, store)
    while cursor.rollout < stage.rollouts:
        watch, start = Stopwatch(), cursor.rollout * stage.updates_per_rollout
        with saved_when_interrupted(parts, cursor):
            with parts.context.stop.interruptible():
                # Here, not after the updates: what an interrupted evaluation left open is made up for on resuming.
                measure_on_the_way(parts, start)
                explored = explore(parts, cursor, watch)
                progress.show_activity("computing log-probabilities")
                with watch.time("logprobs"):
                    prepared = prepare(parts, cursor, explored.groups)
            updates = learn(parts, cursor, [*prepared.fresh, *prepared.replayed], watch)
        drawn = explored.position - cursor.position + explored.varied
        metrics = rollout_metrics(explored.groups, updates, drawn=drawn) | prepared.metrics
        metrics |= {"similar": float(explored.varied)} if cursor.similar else {}
        metrics |= {"replayed": float(len(prepared.replayed))} if cursor.replay else {}
        cursor = cursor.after(explored, prepared.fresh)
        step = cursor.rollout * stage.updates_per_rollout
        store.append(step, metrics, watch.seconds)
        repeated = sum(len(one.sample.token_ids) for one in prepared.replayed)
        parts.ledger.rollout(
            step, stage, explored.groups, watch.seconds, replayed=repeated, judges=parts.judges.values()
        )
        store.write_rollouts(step, explored.groups)
        progress.log_step(step, stage.steps, metrics, watch.seconds)
        if (alike := metrics["uniform_groups"] == 1.0 and not stage.value) and taught:
            progress.log_message(NOTHING_TO_LEARN)
        taught = not alike
        for line in alarms.after(step, metrics):
            progress.log_message(line)
        if failed := metrics["verifier_failed"]:
            progress.log_message(f"{failed:.0f} responses were not graded: {why_failed(explored.groups)}")
        if due(step, stage.checkpoint.every, stage.updates_per_rollout) or cursor.rollout == stage.rollouts:
            save(parts, cursor)
    with saved_when_interrupted(parts, cursor, "evaluation"), parts.context.stop.interruptible():
        if len(store.read_evaluations(TRAINED, rows=False)) < len(stage.evaluation.sets):
            check_last_handover(parts, cursor.rollout, cursor.position)
        measure(parts, TRAINED)
    if line := alarms.summary():
        progress.log_message(line)


class Prepared(NamedTuple):
    """What a rollout and the replay buffer teach, and how far the engine was from the trainer."""

    fresh: list[TrainSample]
    replayed: list[TrainSample]
    metrics: dict[str, float]


def prepare(parts: Parts, cursor: Cursor, groups: Sequence[ScoredGroup]) -> Prepared:
    """Make samples of graded groups: log-probabilities first, then advantages."""
    spec, trainer = parts.stage.algorithm, parts.trainer
    rewards = compute_rewards(groups, spec, parts.stage.new_tokens_at(cursor.rollout * parts.stage.updates_per_rollout))
    fresh = to_samples(groups, rewards, spec)
    again = replayed(parts, cursor, len(fresh))
    samples = [*fresh, *(one.sample for one in again)]
    logprobs = trainer.compute_logprobs(samples)
    metrics = check_handover(parts, fresh, logprobs[: len(fresh)])
    kept = [one.advantages for one in again]
    batch = assign_advantages(samples, logprobs, rewards, parts.algorithm, kept=kept)
    return Prepared(batch[: len(fresh)], batch[len(fresh) :], metrics)


def replayed(parts: Parts, cursor: Cursor, fresh: int) -> list[KeptSample]:
    """Draw samples of earlier rollouts, as many for each fresh one as the recipe says."""
    if parts.stage.replay is None or cursor.replay is None:
        return []
    seed = derive_seed(parts.context.seed, parts.context.name, "replay", cursor.rollout)
    return cursor.replay.draw(round(parts.stage.replay.share * fresh), seed)


class Explored(NamedTuple):
    """One rollout: groups with their scores, the new position in the mixture, and how many prompts were variations."""

    groups: list[ScoredGroup]
    position: int
    varied: int


def explore(parts: Parts, cursor: Cursor, watch: Stopwatch) -> Explored:
    """Draws, generates and grades. Variations of what was half solved come first, and the mixture gives the rest.

    With dynamic sampling (DAPO, arXiv 2503.14476, section 3.2) up to ``refill`` further rounds make up for groups whose
    rewards are all equal, which teach nothing.
    """
    stage, position = parts.stage, cursor.position
    start = cursor.rollout * stage.updates_per_rollout
    sampling, told = parts.sampling(start), parts.context.progress.count_completions
    groups: list[ScoredGroup] = []
    missing = stage.rollout.questions
    wanted = int(stage.rollout.curriculum * missing)
    varied = parts.fitting(cursor.similar.offer(wanted)) if cursor.similar else []
    for attempt in range(1 + stage.algorithm.refill):
        first = [] if attempt else varied
        drawn, position = parts.draw(position, missing - len(first))
        requests = [request(parts, prompt, cursor.rollout, attempt, i) for i, prompt in enumerate([*first, *drawn])]
        timed = {"generating": watch.time("rollout"), "waiting": watch.time("rewards")}
        groups += collect(parts.engine, requests, sampling, parts.grader, told, update=start, **timed)
        missing = stage.rollout.questions - len(keep_informative(groups))
        if missing == 0:
            break
    return Explored(groups, position, len(varied))


def accuracy(group: ScoredGroup) -> tuple[Problem, float]:
    """The problem, and the share of its completions that are right; 0 where no verdict could be had."""
    scores = keep_graded(group).scores
    return group.group.prompt.problem, sum(map(is_right, scores)) / max(1, len(scores))


def request(parts: Parts, prompt: Prompt, *place: int) -> GenerationRequest:
    """A prompt with G seeds that depend on the place in the run alone."""
    run, stage = parts.context.seed, parts.context.name
    seeds = tuple(derive_seed(run, stage, *place, index) for index in range(parts.stage.rollout.group_size))
    return GenerationRequest(prompt=prompt, seeds=seeds)


def learn(parts: Parts, cursor: Cursor, samples: Sequence[TrainSample], watch: Stopwatch) -> list[StepResult]:
    """The optimizer steps of one rollout, on random splits that break the groups; then the engine gets the weights."""
    stage, trainer = parts.stage, parts.trainer
    updates: list[StepResult] = []
    first = cursor.rollout * stage.updates_per_rollout
    pace = parts.context.stop.pace(stage.updates_per_rollout)
    with watch.time("update"):
        for epoch in range(stage.update.epochs):
            seed = derive_seed(parts.context.seed, parts.context.name, "split", cursor.rollout, epoch)
            for step in cut_minibatches(samples, stage.update, seed):
                done = len(updates)
                parts.context.progress.show_activity("learning", done, stage.updates_per_rollout)
                updates.append(take_step(trainer, step, at=first + done, check=partial(pace, done)))
    end = first + stage.updates_per_rollout
    if stage.reference_every and end % stage.reference_every == 0:
        trainer.refresh_reference()
    with watch.time("weights"):
        parts.engine.update_weights(trainer.export_weights())
    return updates


def save(parts: Parts, cursor: Cursor) -> None:
    """A checkpoint of everything from which the next rollout follows."""
    step = cursor.rollout * parts.stage.updates_per_rollout
    parts.context.progress.show_activity("saving a checkpoint")

    def write(folder: Path) -> None:
        parts.trainer.save(folder)
        if cursor.replay:
            cursor.replay.save(folder / REPLAY)

    parts.context.store.save_checkpoint(step, write, cursor.state())


@contextmanager
def saved_when_interrupted(parts: Parts, cursor: Cursor, lost: str = "rollout") -> Iterator[None]:
    """Until the block's first update has changed the weights, an interruption loses nothing but what it names."""
    version = parts.trainer.policy_version
    try:
        yield
    except Interrupted as stop:
        if parts.trainer.policy_version != version:
            raise Interrupted(f"{stop}; what came after the newest checkpoint will be made again") from None
        save(parts, cursor)
        raise Interrupted(f"{stop}; saved, but the {lost} under way will be made again") from None
