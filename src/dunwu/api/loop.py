"""A training loop of one's own: rollouts, advantages and updates as three calls, on the engine and trainer of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from dunwu import algorithms
from dunwu.algorithms import Algorithm, assign_advantages, compute_rewards, cut_minibatches, to_samples
from dunwu.api.grading import CallableGrader, Reward
from dunwu.api.policy import Policy, as_problem, load
from dunwu.api.run import Run
from dunwu.api.settings import make_rl_tables
from dunwu.config.loader import validate_recipe
from dunwu.config.schema import RLStage
from dunwu.errors import UserError
from dunwu.execution.executor import open_executor
from dunwu.models.export import write_chat_template
from dunwu.models.templates import Template
from dunwu.monitoring.monitors import Log, open_monitor
from dunwu.monitoring.progress import Monitor, Silent
from dunwu.pipeline.stages.grading import open_grader
from dunwu.rollout.collect import Grader, collect
from dunwu.rollout.engine import Engine
from dunwu.rollout.seeds import derive_seed
from dunwu.tasks import Mixture, build_mixture
from dunwu.training.steps import take_step
from dunwu.training.trainer import Trainer
from dunwu.types import GenerationRequest, Problem, Sampling, ScoredGroup, StepResult, TrainSample

STAND_IN = "arithmetic"
"""A stage has tasks; this one is never drawn from."""


class Loop:
    """A policy that learns, one call a phase. ``open_loop`` makes it.

        with dunwu.open_loop("nano-base", tasks=["countdown"]) as loop:
            for _ in range(20):
                groups = loop.rollout(questions=16)
                batch = loop.advantages(groups)
                print(loop.update(batch))

    What stands between two calls is yours: drop groups, change rewards, replace advantages (all records are frozen;
    ``dataclasses.replace`` makes others).

    Attributes:
        stage: The settings, as a recipe's stage of kind ``rl`` has them.
        rollouts: How many rollouts were made.
    """

    def __init__(
        self,
        stage: RLStage,
        *,
        engine: Engine,
        trainer: Trainer,
        grader: Grader,
        algorithm: Algorithm,
        template: Template,
        mixture: Mixture | None,
        seed: int,
        monitor: Monitor,
    ) -> None:
        self.stage = stage
        self.rollouts = 0
        self._engine, self._trainer, self._grader = engine, trainer, grader
        self._algorithm, self._template, self._mixture, self._seed = algorithm, template, mixture, seed
        self._monitor, self._position, self._is_open = monitor, 0, True

    def close(self) -> None:
        """Refuse what comes after: engine and workers are gone. ``open_loop`` calls it as its block ends."""
        self._is_open = False

    @property
    def version(self) -> int:
        """Optimizer steps that the policy has made."""
        return self._trainer.policy_version

    def rollout(
        self, problems: Sequence[Problem | str] | None = None, *, questions: int | None = None
    ) -> list[ScoredGroup]:
        """Generate a group of completions for each problem, and grade them.

        Args:
            problems: What is asked; None: the next ones of the loop's tasks.
            questions: How many of these; None: ``rollout.questions`` of the settings.

        Returns:
            One group a problem, in order, with a score for each completion.

        Raises:
            UserError: A prompt is too long, there are neither problems nor tasks, or the loop is closed.
        """
        self._require_open()
        spec = self.stage.rollout
        if problems is None:
            problems = self._draw(questions or spec.questions)
        requests = [
            GenerationRequest(
                prompt=self._template.encode(as_problem(problem, place)),
                seeds=tuple(
                    derive_seed(self._seed, "loop", self.rollouts, place, index) for index in range(spec.group_size)
                ),
            )
            for place, problem in enumerate(problems)
        ]
        sampling = Sampling(
            temperature=spec.temperature, top_p=spec.top_p, max_new_tokens=spec.max_new_tokens, stop=spec.stop
        )
        self.rollouts += 1
        with closing(self._monitor) as monitor:
            shown = monitor.count_completions
            return collect(self._engine, requests, sampling, self._grader, shown, update=self.version)

    def advantages(self, groups: Sequence[ScoredGroup]) -> list[TrainSample]:
        """Turn graded groups into samples to learn from: log-probabilities first, then advantages.

        Args:
            groups: Of one rollout.

        Returns:
            One sample a completion that carries loss.
        """
        spec = self.stage.algorithm
        rewards = compute_rewards(groups, spec, self.stage.rollout.max_new_tokens)
        samples = to_samples(groups, rewards, spec)
        logprobs = self._trainer.compute_logprobs(samples)
        return assign_advantages(samples, logprobs, rewards, self._algorithm)

    def update(self, batch: Sequence[TrainSample]) -> dict[str, float]:
        """Make the optimizer steps of one rollout, then give the engine the new weights.

        Args:
            batch: From ``advantages``.

        Returns:
            Means over the steps (``policy_loss``, ``entropy``, ``grad_norm``, ``lr``, ...), and ``reward``, the mean
            over the samples.

        Raises:
            Fault: A loss or a gradient is not finite; the weights are untouched.
            UserError: The loop is closed.
        """
        self._require_open()
        spec, done = self.stage.update, list[StepResult]()
        total = spec.epochs * min(spec.minibatches, len(batch))
        with closing(self._monitor) as monitor:
            for epoch in range(spec.epochs):
                seed = derive_seed(self._seed, "loop", "split", self.rollouts, epoch)
                for step in cut_minibatches(batch, spec, seed):
                    monitor.show_activity("learning", len(done), total)
                    at = min(self.version, self.stage.steps - 1)
                    done.append(take_step(self._trainer, step, at=at))
        self._engine.update_weights(self._trainer.export_weights())
        metrics = {
            name: float(np.mean([one.metrics[name] for one in done])) for name in (done[0].metrics if done else ())
        }
        rewards = [one.sample.reward for one in batch]
        return {"reward": float(np.mean(rewards)) if rewards else 0.0, **metrics}

    def _require_open(self) -> None:
        if not self._is_open:
            raise UserError("the loop is closed: its block has ended")

    def save(self, folder: Path | str) -> Path:
        """Write the policy as an ordinary transformers folder, which ``dunwu.load`` opens."""
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        self._trainer.save_model(place)
        write_chat_template(place, self.stage.prompt.template)
        return place

    def _draw(self, count: int) -> list[Problem]:
        if self._mixture is None:
            raise UserError("give rollout() problems, or open_loop() tasks to draw them from", field="problems")
        found = self._mixture.draw(self._position, count)
        self._position += count
        return list(found)


@contextmanager
def open_loop(
    policy: Policy | Run | Path | str,
    /,
    *,
    reward: Reward | None = None,
    tasks: Sequence[str | Mapping[str, Any]] = (),
    steps: int = 1000,
    seed: int = 0,
    log: Log = "rich",
    **settings: Any,
) -> Iterator[Loop]:
    """Open a training loop of one's own.

    Args:
        policy: What learns; see ``load``.
        reward: ``reward(problem, text) -> float``, called in this process; None: the rules of ``settings["reward"]``.
        tasks: Where ``Loop.rollout`` draws problems from: names, or tables as in a recipe.
        steps: Optimizer steps for the schedule of the learning rate; going on beyond them is no error.
        seed: Of problems, completions and minibatches.
        log: Whether a bar shows how far a call is, on a terminal or in a notebook; ``quiet``: not.
        **settings: Tables of a stage of kind ``rl``, as in a recipe: ``algorithm={"loss": "gspo"}``,
            ``optimizer={"lr": 1e-3}``. A rollout has 16 problems with 8 answers each, unless ``rollout`` says
            otherwise.

    Yields:
        The loop; engine and workers are closed with the block.

    Raises:
        UserError: A setting, the model or a task cannot be used.
    """
    chosen = policy if isinstance(policy, Policy) else load(policy)
    stage = _stage(chosen, tasks, steps, settings)
    executor = open_executor(stage.model, lambda line: None)
    loaded = executor.open_policy(chosen.source, longest=stage.longest_sequence, learns=True, generates=True)
    algorithm = algorithms.build_for_stage(stage)
    with ExitStack() as opened:
        rules = open_grader(stage.reward, stage.tasks, Silent())
        grader = CallableGrader(reward) if reward else opened.enter_context(rules)
        engine = opened.enter_context(
            closing(executor.build_engine(loaded, max_sequences=stage.rollout.max_sequences, dtype=stage.rollout.dtype))
        )
        loop = Loop(
            stage,
            engine=engine,
            trainer=executor.build_policy_trainer(stage, loaded, algorithm, seed=derive_seed(seed, "loop", "adapter")),
            grader=grader,
            algorithm=algorithm,
            template=Template(stage.prompt, loaded.tokenizer),
            mixture=build_mixture(stage.tasks, seed) if tasks else None,
            seed=seed,
            monitor=open_monitor(log),
        )
        opened.callback(loop.close)
        yield loop


def _stage(
    policy: Policy, tasks: Sequence[str | Mapping[str, Any]], steps: int, settings: Mapping[str, Any]
) -> RLStage:
    """Make the stage of the settings; a task stands in where the loop draws no problems."""
    sources = [{"task": task} if isinstance(task, str) else task for task in tasks or (STAND_IN,)]
    tree = {"steps": steps, **make_rl_tables(policy, sources, settings)}
    stage = validate_recipe({"name": "loop", "stages": {"loop": tree}}).stages["loop"]
    assert isinstance(stage, RLStage)
    for field, is_set in {"value": stage.value, "replay": stage.replay, "reward.models": stage.reward.models}.items():
        if is_set:
            raise UserError("is no part of a loop of one's own: dunwu.run and dunwu.train have it", field=field)
    return stage
