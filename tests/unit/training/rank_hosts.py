"""Ranks for the tests: what a worker makes must be found by its name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from dunwu.algorithms import build
from dunwu.config.schema import AdapterSpec, AlgorithmSpec, OptimizerSpec, PassSpec, UpdateSpec, ValueSpec
from dunwu.models.load import load_policy, load_scorer
from dunwu.training.critic import Critic
from dunwu.training.rank_group import ONE_RANK, RankGroup
from dunwu.training.rank_host import RankHost
from dunwu.training.reward import RewardTrainer
from dunwu.training.supervised import SupervisedTrainer
from dunwu.training.trainer import PolicyTrainer

TOKENS = 300
TEMPERATURE = 0.9


@dataclass(frozen=True)
class Build:
    """How a trainer is built, in one process or in each rank."""

    source: str = "nano-base"
    optimizer: Literal["adamw", "muon"] = "adamw"
    checkpointing: bool = False
    adapter: bool = False
    critic: bool = False
    dtype: str = "float32"
    lr: float = 1e-4

    def __call__(self, ranks: RankGroup = ONE_RANK) -> PolicyTrainer:
        torch.set_num_threads(1)  # sums are in the same order in every process
        update = UpdateSpec(minibatches=1, tokens_per_microbatch=TOKENS, gradient_checkpointing=self.checkpointing)
        optimizer = OptimizerSpec(name=self.optimizer, lr=self.lr, muon_lr=10 * self.lr)
        adapter = AdapterSpec(rank=4) if self.adapter else None
        value, critic = None, None
        if self.critic:
            torch.manual_seed(0)
            value = ValueSpec(optimizer=optimizer)
            scorer = load_scorer("nano-base", new_head=True)
            critic = Critic(scorer, value, update, total_steps=8, adapter=adapter, ranks=ranks)
        algorithm = build(
            AlgorithmSpec(kl_coefficient=0.05, advantage="gae" if self.critic else "group-std"),
            value,
            max_new_tokens=40,
        )
        return PolicyTrainer(
            load_policy(self.source, dtype=getattr(torch, self.dtype)),
            algorithm,
            optimizer,
            update,
            temperature=TEMPERATURE,
            total_steps=8,
            critic=critic,
            adapter=adapter,
            ranks=ranks,
        )


PASSES = PassSpec(tokens_per_microbatch=TOKENS)
SLOW = OptimizerSpec(lr=1e-4)


def build_supervised(ranks: RankGroup = ONE_RANK) -> SupervisedTrainer:
    """A supervised trainer of the nano base."""
    torch.set_num_threads(1)
    return SupervisedTrainer(load_policy("nano-base"), SLOW, PASSES, total_steps=8, ranks=ranks)


def build_reward(ranks: RankGroup = ONE_RANK) -> RewardTrainer:
    """A trainer of a reward model whose head is new."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return RewardTrainer(load_scorer("nano-base", new_head=True), SLOW, PASSES, total_steps=8, ranks=ranks)


class ProbingHost(RankHost):
    """A rank that also says what a trainer does not, and that can be given a wrong number."""

    def read_gradients(self) -> dict[str, Tensor]:
        """The gradient so far, whole."""
        return read_gradients(self._trainer, self._trainer._ranks)

    def poison(self, part: int, factor: float, gradient: bool) -> None:
        """From here on multiply the loss of a part, or its gradient."""
        trainer: Any = self._trainer
        sound, calls = trainer._algorithm, []

        def loss(logprobs: Tensor, entropy: Tensor, batch: Any, step: Any) -> Any:
            output = sound.loss(logprobs, entropy, batch, step)
            calls.append(1)
            if len(calls) != part + 1:
                return output
            if gradient:
                logprobs.register_hook(lambda grad: grad * factor)  # type: ignore[no-untyped-call]
                return output
            return replace(output, loss=output.loss * factor)

        trainer._algorithm = replace(sound, loss=loss)

    def wait_at_most(self, seconds: float) -> None:
        """How long a rank waits for another in the groups to come."""
        self._limit = timedelta(seconds=seconds)

    def write_memory(self, path: Path) -> None:
        """Write how many numbers of the model lie in this process."""
        trainer: Any = self._trainer
        count = sum(trainer._ranks.own_part(p).numel() for p in trainer._learner.model.parameters())
        path.write_text(str(count), encoding="utf-8")


def read_gradients(trainer: Any, ranks: RankGroup = ONE_RANK) -> dict[str, Tensor]:
    """The gradient of a trainer so far, whole."""
    learner = trainer._learner
    gradients = {name: p.grad for name, p in learner.weights.list_learned(learner.model).items()}
    return {name: ranks.whole(gradient).clone() for name, gradient in gradients.items() if gradient is not None}
