"""A stage of reinforcement learning, field by field."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dunwu.config.schema.base import Count, Positive
from dunwu.config.schema.evaluation import EvaluationSpec
from dunwu.config.schema.inputs import ModelInput, PromptPlace, StageInputs, custom_inputs, judge_inputs
from dunwu.config.schema.learning import (
    AdapterSpec,
    AlgorithmSpec,
    CheckpointSpec,
    CorrectionSpec,
    OptimizerSpec,
    ReplaySpec,
    UpdateSpec,
    ValueSpec,
)
from dunwu.config.schema.rewards import GradingSpec, RewardSpec
from dunwu.config.schema.stage import StageSpec
from dunwu.config.schema.tasks import PromptSpec, RolloutSpec, TaskSpec
from dunwu.types import Sampling


class RLStage(StageSpec):
    """Reinforcement learning from rule rewards."""

    from_: str = Field(alias="from")
    """The model to begin from: an earlier stage, ``nano-base`` (shipped), a folder, a GGUF file, or a hub id."""
    steps: Positive
    """Updates of the policy (the paper's "training steps"), a multiple of minibatches x epochs."""
    reference_every: Count = 400
    """Updates after which the policy becomes the reference, a multiple of minibatches x epochs; 0: never."""
    tasks: Annotated[tuple[TaskSpec, ...], Field(min_length=1)]
    """Where the problems come from; several are mixed by their weights."""
    prompt: PromptSpec = PromptSpec()
    """How a problem becomes a prompt."""
    rollout: RolloutSpec = RolloutSpec()
    """What is generated before each round of updates."""
    reward: RewardSpec = RewardSpec()
    """How completions are graded and what each part weighs."""
    algorithm: AlgorithmSpec = AlgorithmSpec()
    """Advantages, loss, clipping, KL."""
    value: ValueSpec | None = None
    """PPO's value network; for ``algorithm.advantage`` = gae, and only for that."""
    replay: ReplaySpec | None = None
    """Learn from earlier rollouts again; None: from fresh ones alone."""
    adapter: AdapterSpec | None = None
    """LoRA in the place of all weights, of the policy and of a value network; None: all weights learn."""
    optimizer: OptimizerSpec = OptimizerSpec()
    """The policy's optimizer and its schedule."""
    update: UpdateSpec = UpdateSpec()
    """How one rollout is cut into optimizer steps and forward passes."""
    evaluation: EvaluationSpec = EvaluationSpec()
    """What is measured on held-out problems, and when."""
    checkpoint: CheckpointSpec = CheckpointSpec()
    """How often the state is saved, and how much of it is kept."""

    @property
    def inputs(self) -> StageInputs:
        """See ``StageSpec.inputs``."""
        prompt = PromptPlace("prompt", self.prompt)
        models = [ModelInput(field="from", source=self.from_, prompt=prompt)]
        models += judge_inputs(self.reward.models, "reward.models")
        if self.value and self.value.from_:
            models.append(ModelInput(field="value.from", source=self.value.from_, role="either"))
        return StageInputs(
            models=tuple(models),
            tasks={f"tasks.{place}": task for place, task in enumerate(self.tasks)},
            sets={f"evaluation.sets.{place}": chosen for place, chosen in enumerate(self.evaluation.sets)},
            texts={f"evaluation.texts.{place}": chosen for place, chosen in enumerate(self.evaluation.texts)},
            functions=tuple(custom_inputs(self.reward.custom, "reward.custom")),
        )

    @property
    def template(self) -> str:
        """See ``StageSpec.template``."""
        return self.prompt.template

    @property
    def lengths(self) -> str:
        """See ``StageSpec.lengths``."""
        answers = max(self.rollout.max_new_tokens, *self.rollout.length_schedule.values(), 0)
        return f"prompts had at most {self.prompt.max_tokens:,} tokens and answers {answers:,}"

    @property
    def rules(self) -> GradingSpec:
        """See ``StageSpec.rules``."""
        return self.reward

    @property
    def kept_checkpoints(self) -> int:
        """See ``StageSpec.kept_checkpoints``."""
        return self.checkpoint.keep

    @property
    def updates_per_rollout(self) -> int:
        """Optimizer steps made from one rollout."""
        return self.update.minibatches * self.update.epochs

    @property
    def is_off_policy(self) -> bool:
        """Whether the policy learns from tokens that another version of it wrote."""
        return self.updates_per_rollout > 1 or self.replay is not None or self.rollout.max_staleness > 0

    @property
    def computes_old_logprobs(self) -> bool:
        """Whether old log-probabilities take a forward pass of their own: the first update's gives them otherwise."""
        algorithm = self.algorithm
        kl_in_reward = algorithm.kl_in == "reward" and algorithm.kl_coefficient > 0
        return algorithm.old_logprobs == "trainer" and (self.is_off_policy or kl_in_reward)

    @property
    def corrects_kl(self) -> bool:
        """Whether the KL term is weighed by the importance ratio.

        By itself it is where the policy learns off-policy.
        """
        chosen = self.algorithm.kl_correction
        return self.is_off_policy if chosen is None else chosen

    @property
    def has_foreign_samples(self) -> bool:
        """Whether another policy than the trainer's writes the samples of a rollout.

        An engine that is not ours computes the policy otherwise, and with staleness it computes an older one.
        """
        return self.model.engine != "builtin" or self.rollout.max_staleness > 0

    @property
    def correction(self) -> CorrectionSpec | None:
        """What corrects for samples that another policy wrote; None: nothing does."""
        return self.algorithm.settle_correction(self.has_foreign_samples)

    @property
    def rollouts(self) -> int:
        """Rollouts in the whole stage."""
        return self.steps // self.updates_per_rollout

    @property
    def evaluation_sampling(self) -> Sampling:
        """How evaluations sample."""
        spec = self.evaluation
        return Sampling(
            temperature=spec.temperature,
            top_p=spec.top_p,
            max_new_tokens=spec.max_new_tokens or self.rollout.max_new_tokens,
            stop=self.rollout.stop,
        )

    def new_tokens_at(self, update: int) -> int:
        """Limit on new tokens of the rollout that starts at this update (``length_schedule``)."""
        reached = [length for start, length in self.rollout.length_schedule.items() if start <= update]
        return max([self.rollout.max_new_tokens, *reached])

    @property
    def longest_sequence(self) -> int:
        """Tokens of prompt and completion at most, over the whole stage and its evaluations."""
        written = max(self.new_tokens_at(self.steps), self.evaluation_sampling.max_new_tokens)
        return self.prompt.max_tokens + written
