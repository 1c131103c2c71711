"""Where rollouts come from, in order: each by the weights that are ``rollout.max_staleness`` rollouts older.

With s = 0 a rollout is made when it is asked for. With s > 0 it is made by the weights that k - s rollouts have made,
so the same recipe gives the same samples whoever executes it, and whenever it is stopped. Where engines are elsewhere,
rollouts are made in a thread as soon as their weights are there, while this process learns from earlier ones.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace

from dunwu.algorithms import keep_informative
from dunwu.metrics import Stopwatch
from dunwu.models.weights import WeightUpdate
from dunwu.pipeline.stages.rl_state import Cursor, Rollout
from dunwu.pipeline.stages.rl_system import RLSystem
from dunwu.pipeline.stages.weight_handover import WeightProbe
from dunwu.rollout.collect import Finished, collect
from dunwu.rollout.seeds import derive_seed
from dunwu.types import GenerationRequest, Prompt, ScoredGroup


class RolloutQueue:
    """Makes the rollouts of a stage, and says with which weights.

    Args:
        system: the stage's; engine and trainer have the same weights.
        cursor: where the stage stands.
    """

    def __init__(self, system: RLSystem, cursor: Cursor) -> None:
        self._system, self._staleness = system, system.stage.rollout.max_staleness
        self._next = replace(cursor, replay=None)
        self._learnt = self._loaded = cursor.rollout
        self._asked = cursor.rollout
        self._making: deque[Future[Rollout]] = deque()
        ahead = self._staleness > 0 and system.context.executor.generates_elsewhere
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="rollouts") if ahead else None
        probes = self._staleness > 0 or system.stage.has_foreign_samples or system.context.executor.generates_elsewhere
        self._probe = WeightProbe(system) if probes else None
        if self._staleness:
            system.history.add(cursor.rollout, system.trainer.export_weights())
        if self._probe:
            self._probe.expect(cursor.rollout)
            self._probe.check(cursor.rollout)
        self._begin()

    def take(self, watch: Stopwatch) -> Rollout:
        """Return the next rollout.

        Args:
            watch: takes the seconds of ``waiting``, where the rollout was made beside other work.
        """
        if self._thread is None:
            return self._make(self._system.context.progress.count_completions)
        self._system.context.progress.show_activity("waiting for completions")
        with watch.time("waiting"):
            return self._making.popleft().result()

    def deliver_weights(self) -> None:
        """Let the trainer's weights write what comes next: a rollout has been learnt from."""
        self._learnt += 1
        update = self._system.trainer.export_weights()
        self._system.history.add(self._learnt, update)
        if self._probe:
            self._probe.expect(self._learnt)
        if self._staleness == 0:
            self._give(self._learnt, update)
        self._begin()

    def settle(self) -> None:
        """Give the engine the trainer's weights, for evaluations, once nothing is under way."""
        wait(self._making)
        self._load(self._learnt)

    def close(self) -> None:
        """Make no further rollouts. One under way ends when its engine is closed."""
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)

    def _begin(self) -> None:
        """Begin every rollout whose weights are there."""
        while self._thread and self._asked <= min(self._learnt + self._staleness, self._system.stage.rollouts - 1):
            self._making.append(self._thread.submit(self._make))
            self._asked += 1

    def _make(self, finished: Finished | None = None) -> Rollout:
        if self._staleness:
            self._load(max(0, self._next.rollout - self._staleness))
        rollout = generate_rollout(self._system, self._next, finished)
        self._next = self._next.advance(rollout, [])
        return rollout

    def _load(self, rollouts: int) -> None:
        if rollouts != self._loaded:
            self._give(rollouts, self._system.history.find(rollouts))

    def _give(self, rollouts: int, update: WeightUpdate) -> None:
        self._system.engine.update_weights(update)
        self._loaded = rollouts
        if self._probe:
            self._probe.check(rollouts)


def generate_rollout(system: RLSystem, cursor: Cursor, finished: Finished | None = None) -> Rollout:
    """Draw problems, generate and grade. Variations of what was half solved come first; the mixture gives the rest.

    With dynamic sampling (DAPO, arXiv 2503.14476, section 3.2) up to ``refill`` further rounds make up for groups whose
    rewards are all equal, which teach nothing.

    Args:
        system: the stage's.
        cursor: where it stands.
        finished: called after each completion with how many of how many there are.
    """
    stage, position = system.stage, cursor.position
    sampling, watch = system.sampling_at(cursor.updates(stage)), Stopwatch()
    groups: list[ScoredGroup] = []
    missing = stage.rollout.questions
    wanted = int(stage.rollout.curriculum * missing)
    variations = system.encode_fitting(cursor.curriculum.offer(wanted)) if cursor.curriculum else []
    for attempt in range(1 + stage.algorithm.refill):
        first = [] if attempt else variations
        rest, position = system.draw_prompts(position, missing - len(first))
        prompts = enumerate([*first, *rest])
        requests = [make_request(system, prompt, cursor.rollout, attempt, place) for place, prompt in prompts]
        groups += collect(
            system.engine,
            requests,
            sampling,
            system.grader,
            finished,
            update=cursor.updates(stage),
            generating=watch.time("rollout"),
            waiting=watch.time("rewards"),
        )
        missing = stage.rollout.questions - len(keep_informative(groups))
        if missing == 0:
            break
    return Rollout(groups, position, len(variations), watch.seconds)


def make_request(system: RLSystem, prompt: Prompt, *place: int) -> GenerationRequest:
    """Ask for G completions of a prompt, with seeds that depend on the place in the run alone."""
    run, stage = system.context.seed, system.context.name
    seeds = tuple(derive_seed(run, stage, *place, index) for index in range(system.stage.rollout.group_size))
    return GenerationRequest(prompt=prompt, seeds=seeds)
