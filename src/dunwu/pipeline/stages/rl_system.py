"""What a stage of reinforcement learning works with, opened from its recipe."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass

import torch

from dunwu import algorithms, tasks
from dunwu.algorithms import Algorithm
from dunwu.config.schema import RLStage
from dunwu.evaluation.perplexity import EncodedPassage
from dunwu.models.policy import Policy
from dunwu.models.templates import PromptTooLong, Template, count_positions
from dunwu.pipeline.context import StageContext
from dunwu.pipeline.cost_ledger import CostLedger
from dunwu.pipeline.judges.reward_model import RewardModel, open_reward_model
from dunwu.pipeline.stages.grading import open_grader
from dunwu.pipeline.stages.prompts import (
    Encoder,
    PromptLimit,
    build_encoder,
    draw_prompts,
    encode_held_out,
    encode_texts,
)
from dunwu.pipeline.stages.weight_history import WeightHistory
from dunwu.rollout.engine import Engine
from dunwu.rollout.seeds import derive_seed
from dunwu.tasks.mixture import Mixture
from dunwu.training.trainer import Trainer
from dunwu.types import Problem, Prompt, Sampling
from dunwu.verifiers import RewardGrader

NO_SCORERS: Mapping[str, str] = {}
VALUE = "stage.value"
"""The value network among the scorers; no part of a reward can have this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RLSystem:
    """Policy, engine, grader and all else that a stage needs, opened."""

    stage: RLStage
    context: StageContext
    mixture: Mixture
    encoder: Encoder
    engine: Engine
    grader: RewardGrader
    judges: Mapping[str, RewardModel]
    algorithm: Algorithm
    trainer: Trainer
    ledger: CostLedger
    history: WeightHistory
    held_out: Mapping[str, Sequence[Prompt]]
    """The prompts of each evaluation set, by its name."""
    texts: Mapping[str, Sequence[EncodedPassage]]
    """The passages of each text, by its name."""

    def draw_prompts(self, position: int, count: int) -> tuple[list[Prompt], int]:
        """Draw the next prompts of the mixture; see ``prompts.draw_prompts``."""
        return draw_prompts(self.mixture, self.encoder, position, count)

    def encode_fitting(self, problems: Iterable[Problem]) -> list[Prompt]:
        """Make the prompts of those problems that are not too long."""
        prompts: list[Prompt] = []
        for problem in problems:
            with suppress(PromptTooLong):
                prompts.append(self.encoder.encode(problem))
        return prompts

    def sampling_at(self, step: int) -> Sampling:
        """Say how the rollout after ``step`` updates samples; the schedule of answer lengths is applied here."""
        spec = self.stage.rollout
        return Sampling(
            temperature=spec.temperature,
            top_p=spec.top_p,
            max_new_tokens=self.stage.new_tokens_at(step),
            stop=spec.stop,
        )


@contextmanager
def open_rl_system(
    stage: RLStage, context: StageContext, source: str, scorers: Mapping[str, str] = NO_SCORERS
) -> Iterator[RLSystem]:
    """Open what a stage works with, and close it.

    Everything that the user may have got wrong is looked at before the first token is generated.

    Args:
        stage: the recipe's.
        context: the run's.
        source: the model that the stage starts from.
        scorers: where the reward models lie, by the names of their parts, and the value network's source by VALUE.

    Raises:
        UserError: the model, the data or the recipe cannot be used.
    """
    progress, executor = context.progress, context.executor
    progress.show_activity("opening the tasks")
    mixture = tasks.build_mixture(stage.tasks, context.seed, context.left_out)
    progress.show_activity("loading the model")
    policy = executor.open_policy(source, longest=stage.longest_sequence, learns=True, generates=True)
    algorithm = algorithms.build_for_stage(stage)
    value_network = _open_value_network(stage, context, scorers[VALUE]) if stage.value else None
    seed = derive_seed(context.seed, context.name, "adapter")
    trainer = executor.build_policy_trainer(stage, policy, algorithm, seed=seed, value_network=value_network)
    template = Template(stage.prompt, policy.tokenizer)
    encoder = build_encoder(template, stage.prompt, stage.reward, stage.inputs.every_task)
    engine = executor.build_engine(policy, max_sequences=stage.rollout.max_sequences, dtype=stage.rollout.dtype)
    progress.show_activity("drawing the held-out problems")
    judges = {
        part.name: open_reward_model(part, scorers[part.name], stage.longest_sequence, executor)
        for part in stage.reward.models
    }
    limit = PromptLimit.for_stage(stage, context.name, count_positions(policy.model))
    history = WeightHistory(stage.rollout.max_staleness)
    with (
        closing(history),
        closing(engine),
        open_grader(stage.reward, stage.inputs.every_task, progress, context.note, judges) as grader,
    ):
        system = RLSystem(
            stage=stage,
            context=context,
            mixture=mixture,
            encoder=encoder,
            engine=engine,
            grader=grader,
            judges=judges,
            algorithm=algorithm,
            trainer=trainer,
            ledger=CostLedger(context.store, policy.model),
            history=history,
            held_out=encode_held_out(stage.evaluation.sets, context.seed, template, encoder.instruct, limit=limit),
            texts=encode_texts(stage.inputs.texts, policy.tokenizer),
        )
        system.draw_prompts(0, 1)
        yield system


def _open_value_network(stage: RLStage, context: StageContext, source: str) -> Policy:
    torch.manual_seed(derive_seed(context.seed, "value head"))
    return context.executor.open_scorer(source, longest=stage.longest_sequence, new_head=True)
