"""The policy trainer: log-probabilities of samples before the first update on them, then optimizer steps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float32, Int32

from dunwu.algorithms.algorithm import Algorithm
from dunwu.algorithms.batching import TrainStep
from dunwu.config.schema import AdapterSpec, OptimizerSpec, UpdateSpec
from dunwu.metrics import Metric, combine, reduce
from dunwu.models.agreement import check_head
from dunwu.models.logprobs import compute_token_logprobs
from dunwu.models.next_logprobs import compute_next_logprobs
from dunwu.models.policy import Policy
from dunwu.models.weights import WeightUpdate
from dunwu.training.critic import Critic
from dunwu.training.learner import Learner
from dunwu.training.rank_group import ONE_RANK, RankGroup
from dunwu.training.reference import Reference
from dunwu.training.steps import StepTrainer
from dunwu.training.text_logprobs import compute_row_logprobs, compute_text_logprobs
from dunwu.types import GradedSample, SampleLogprobs, StepResult


class Trainer(StepTrainer[TrainStep], Protocol):
    """What the pipeline sees of whoever holds the policy's weights."""

    @property
    def policy_version(self) -> int:
        """Optimizer steps done."""

    def compute_logprobs(self, samples: Sequence[GradedSample]) -> list[SampleLogprobs]:
        """Compute what advantages and loss need to know before the first update: old, reference, values."""

    def compute_policy_logprobs(self, samples: Sequence[GradedSample]) -> list[Float32[np.ndarray, " L"]]:
        """Compute log-probabilities under the weights as they are, at the rollout's temperature; 0 without loss."""

    def compute_text_logprobs(self, texts: Sequence[Int32[np.ndarray, " L"]]) -> list[Float32[np.ndarray, " L"]]:
        """Compute the log-probability of every token of each text, at temperature 1; 0 for the first one."""

    def compute_next_logprobs(self, texts: Sequence[Int32[np.ndarray, " L"]]) -> list[Float32[np.ndarray, " V"]]:
        """Compute the log-probability of every token behind each text, at temperature 1."""

    def export_weights(self) -> WeightUpdate:
        """Describe the policy's weights as they are, for engines."""

    def refresh_reference(self) -> None:
        """Make the policy as it is the reference."""

    def save(self, folder: Path) -> None:
        """Write everything from which the next step follows; the same state gives the same bytes, on as many ranks."""

    def save_model(self, folder: Path) -> None:
        """Write the policy alone, an ordinary transformers folder."""

    def load(self, folder: Path) -> None:
        """Go on where ``save`` was called; bit for bit, if on as many ranks."""


class PolicyTrainer:
    """GRPO and its relatives, in one process or as one of several ranks.

    The algorithm's name is nowhere here: it is what ``algorithm`` computes.

    Args:
        policy: updated in place.
        algorithm: the loss, and which log-probabilities it needs.
        optimizer: what updates the weights, and its schedule.
        update: how a rollout is split; ``minibatches x epochs`` = 1 means that every step is on-policy.
        critic: the value network of PPO, updated in step with the policy; None: advantages come from the groups.
        temperature: the rollout's. Log-probabilities are those of the distribution that was sampled from.
        total_steps: updates in the whole stage, for the schedule.
        adapter: what learns in the place of the policy's weights; None: all of them.
        seed: of an adapter's first weights.
        ranks: who holds the model. Every rank gets its own samples and microbatches, and makes the same calls.

    Raises:
        UserError: the model makes its logits in a way that is not known here, or cannot have the adapter.
    """

    def __init__(
        self,
        policy: Policy,
        algorithm: Algorithm,
        optimizer: OptimizerSpec,
        update: UpdateSpec,
        *,
        temperature: float,
        total_steps: int,
        critic: Critic | None = None,
        adapter: AdapterSpec | None = None,
        seed: int = 0,
        ranks: RankGroup = ONE_RANK,
    ) -> None:
        check_head(policy.model)
        self._learner = Learner(policy, optimizer, total_steps, update.gradient_checkpointing, adapter, seed, ranks)
        self._algorithm, self._update, self._critic, self._ranks = algorithm, update, critic, ranks
        self._temperature = temperature
        self._step: TrainStep | None = None
        self._metrics: list[dict[str, Metric]] = []
        # The reference costs a pass over every sample, and mostly memory: only where the loss has a KL term.
        needs_reference = algorithm.spec.kl_coefficient > 0
        self._reference = Reference(self._learner.weights, ranks) if needs_reference else None
        self._kl_in_reward = needs_reference and algorithm.spec.kl_in == "reward"

    @property
    def policy_version(self) -> int:
        """See ``Trainer``."""
        return self._learner.version

    def compute_logprobs(self, samples: Sequence[GradedSample]) -> list[SampleLogprobs]:
        """See ``Trainer``."""
        nothing: list[Float32[np.ndarray, " L"] | None] = [None] * len(samples)
        old: Sequence[Float32[np.ndarray, " L"] | None] = nothing
        if self._algorithm.spec.old_logprobs == "sampler":
            old = [sample.sampler_logprobs for sample in samples]
        elif not self._is_on_policy(samples) or self._kl_in_reward:
            old = self.compute_policy_logprobs(samples)
        ref = nothing if self._reference is None else self._logprobs(self._reference.model, samples)
        values = nothing if self._critic is None else self._critic.compute_values(samples)
        return [
            SampleLogprobs(old_logprobs=old[i], ref_logprobs=ref[i], old_values=values[i]) for i in range(len(samples))
        ]

    def compute_policy_logprobs(self, samples: Sequence[GradedSample]) -> list[Float32[np.ndarray, " L"]]:
        """See ``Trainer``."""
        return self._logprobs(self._learner.model, samples)

    def compute_text_logprobs(self, texts: Sequence[Int32[np.ndarray, " L"]]) -> list[Float32[np.ndarray, " L"]]:
        """See ``Trainer``."""
        spec = self._update
        return compute_text_logprobs(
            self._learner.model,
            texts,
            tokens=spec.tokens_per_microbatch,
            chunk=spec.logprob_chunk,
            ranks=self._ranks,
        )

    def compute_next_logprobs(self, texts: Sequence[Int32[np.ndarray, " L"]]) -> list[Float32[np.ndarray, " V"]]:
        """See ``Trainer``."""
        return compute_next_logprobs(self._learner.model, texts)

    def begin_step(self, batch: TrainStep) -> int:
        """See ``steps.StepTrainer``."""
        self._learner.zero_grad()
        if self._critic:
            self._critic.zero_grad()
        self._step, self._metrics = batch, []
        return len(batch.microbatches)

    def forward_backward(self, part: int) -> None:
        """See ``steps.StepTrainer``."""
        step = self._step
        assert step is not None, "no step has begun"
        batch = step.microbatches[part].to(self._learner.model.device)
        logprobs = compute_token_logprobs(
            self._learner.model,
            batch.token_ids,
            batch.loss_mask,
            temperature=self._temperature,
            chunk=self._update.logprob_chunk,
        )
        output = self._algorithm.loss(logprobs.values, logprobs.entropy, batch, step)
        groups = ", ".join(map(str, sorted(set(batch.group_ids)))) or "none"
        place = f"microbatch {part + 1} of {len(step.microbatches)}, groups {groups}"
        self._learner.backward(output.loss, place)
        expected = self._critic.forward_backward(batch, step, place) if self._critic else {}
        self._metrics.append({**output.metrics, **expected})

    def optim_step(self, *, at: int) -> StepResult:
        """See ``steps.StepTrainer``."""
        self._learner.check_step()
        if self._critic:
            self._critic.check_step()
        parts = (part for of_rank in self._ranks.gather(self._metrics) for part in of_rank)
        metrics = reduce(combine(parts)) | self._learner.optim_step(at)
        metrics |= self._critic.optim_step(at) if self._critic else {}
        return StepResult(policy_version=self.policy_version, metrics=metrics)

    def export_weights(self) -> WeightUpdate:
        """See ``Trainer``."""
        return self._learner.export_weights()

    def refresh_reference(self) -> None:
        """See ``Trainer``."""
        if self._reference is not None:
            self._reference.refresh()

    def save(self, folder: Path) -> None:
        """See ``Trainer``."""
        self._learner.save(folder)
        if self._reference is not None:
            self._reference.save(folder)
        if self._critic:
            self._critic.save(folder / "critic")

    def save_model(self, folder: Path) -> None:
        """See ``Trainer``."""
        self._learner.save_model(folder)

    def load(self, folder: Path) -> None:
        """See ``Trainer``."""
        self._learner.load(folder)
        if self._reference is not None:
            self._reference.load(folder)
        if self._critic:
            self._critic.load(folder / "critic")

    def _is_on_policy(self, samples: Sequence[GradedSample]) -> bool:
        """Say whether the update's own forward pass gives the old log-probabilities: one update, on fresh samples."""
        fresh = all(sample.policy_version == self.policy_version for sample in samples)
        return self._update.minibatches * self._update.epochs == 1 and all(self._ranks.gather(fresh))

    def _logprobs(self, model: Any, samples: Sequence[GradedSample]) -> list[Float32[np.ndarray, " L"]]:
        """Compute log-probabilities of the loss slots under ``model``, without gradients."""
        return compute_row_logprobs(
            model,
            [sample.token_ids for sample in samples],
            [sample.loss_mask for sample in samples],
            [sample.group_id for sample in samples],
            tokens=self._update.tokens_per_microbatch,
            temperature=self._temperature,
            chunk=self._update.logprob_chunk,
            ranks=self._ranks,
        )
