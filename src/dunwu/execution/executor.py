"""What a stage sees of whoever executes it: it opens models, and builds the engines and trainers that work with them.

Stages, judges and commands build none of these themselves. So whether a stage runs in this process, on Ray actors or on
ranks of FSDP2 is decided in ``open_executor`` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # whoever names this protocol need not load torch
    from dunwu.algorithms import Algorithm
    from dunwu.config.schema import (
        ExecutorName,
        ModelSpec,
        RewardModelStage,
        RLStage,
        ServedModel,
        SFTStage,
        WorkersSpec,
    )
    from dunwu.machine import Dtype
    from dunwu.models.policy import Policy
    from dunwu.rollout.engine import Engine
    from dunwu.rollout.remote.engine import EndpointEngine
    from dunwu.training.reward import PairBatch, VerdictBatch
    from dunwu.training.steps import DataTrainer, ScoringTrainer
    from dunwu.training.trainer import Trainer
    from dunwu.types import TokenizedExample


class Executor(Protocol):
    """Executes the work of one stage."""

    @property
    def generates_elsewhere(self) -> bool:
        """Whether its engines compute beside this process, not in it."""

    def close(self) -> None:
        """End every worker of the stage."""

    def open_policy(self, source: str, *, longest: int, learns: bool, generates: bool) -> Policy:
        """Load a policy and compare what will work with it against the model's own forward pass.

        Args:
            source: ``nano-base``, a folder, a GGUF file, or a hub id.
            longest: tokens of the longest sequence that the stage may have.
            learns: a trainer will update it.
            generates: an engine will generate with it.

        Raises:
            UserError: the model cannot be used, or a reader of it disagrees with its forward pass.
        """

    def open_reader(self, source: str, *, longest: int) -> Policy:
        """Load a policy that only generates, in a fraction of the time where it was opened before.

        Args:
            source: see ``open_policy``.
            longest: tokens of the longest sequence that there may be.

        Returns:
            What an engine and a prompt template take; its model may be a ``LightModel``.

        Raises:
            UserError: see ``open_policy``.
        """

    def open_scorer(self, source: str, *, longest: int, new_head: bool = False) -> Policy:
        """Load a reward model or a value network, and compare its batches with single sequences.

        Args:
            source: a folder or a hub id.
            longest: tokens of the longest sequence that the stage may have.
            new_head: a causal language model will do too; its head is drawn from torch's seed.

        Raises:
            UserError: the model cannot be used, or its batches disagree with single sequences.
        """

    def build_engine(self, policy: Policy, *, max_sequences: int, dtype: Dtype | None = None) -> Engine:
        """Build the engine that generates with a policy, of the kind that the stage names.

        Args:
            policy: the first weights.
            max_sequences: completions that decode at once, at most.
            dtype: of the engine's weights; None: the policy's.

        Raises:
            UserError: the engine's name leads to nothing, or what it leads to builds no engine.
        """

    def connect_engine(self, server: ServedModel) -> EndpointEngine:
        """Return the engine of a model behind a server; nothing is asked yet."""

    def build_policy_trainer(
        self, stage: RLStage, policy: Policy, algorithm: Algorithm, *, seed: int, value_network: Policy | None = None
    ) -> Trainer:
        """Build the trainer of a stage of reinforcement learning.

        Args:
            stage: the recipe's.
            policy: updated in place, or frozen beside an adapter.
            algorithm: the loss.
            seed: of an adapter's first weights.
            value_network: PPO's, from ``open_scorer``; updated in step with the policy.

        Raises:
            UserError: the model cannot have the stage's adapter, or the package that makes it is not there.
        """

    def build_supervised_trainer(
        self, stage: SFTStage, policy: Policy, *, total_steps: int, seed: int
    ) -> DataTrainer[Sequence[TokenizedExample]]:
        """Build the trainer of a stage over conversations.

        Args:
            stage: the recipe's.
            policy: updated in place, or frozen beside an adapter.
            total_steps: updates of the whole stage, for the schedule.
            seed: of an adapter's first weights.

        Raises:
            UserError: see ``build_policy_trainer``.
        """

    def build_reward_trainer(
        self, stage: RewardModelStage, scorer: Policy, *, total_steps: int, seed: int
    ) -> ScoringTrainer[PairBatch | VerdictBatch]:
        """Build the trainer of a reward model.

        Args:
            stage: the recipe's.
            scorer: updated in place, or frozen beside an adapter.
            total_steps: updates of the whole stage, for the schedule.
            seed: of an adapter's first weights.

        Raises:
            UserError: see ``build_policy_trainer``.
        """


def open_executor(
    spec: ModelSpec,
    message: Callable[[str], None],
    *,
    kind: ExecutorName = "inline",
    cluster: str = "local",
    workers: WorkersSpec | None = None,
) -> Executor:
    """Open what executes a stage, with as many threads in this process as the stage asks for.

    Args:
        spec: how the stage's models are held.
        message: takes lines for the user where nothing is wrong.
        kind: the recipe's ``executor``.
        cluster: the recipe's.
        workers: what of the stage works elsewhere; None: as much as by default.

    Raises:
        UserError: Ray is not installed, or no cluster answers.
    """
    from dunwu.execution.local import LocalExecutor, use_threads

    use_threads(spec.threads)
    if kind == "inline":
        return LocalExecutor(spec, message)
    from dunwu.config.schema import WorkersSpec
    from dunwu.execution.distributed import DistributedExecutor, open_site

    return DistributedExecutor(spec, message, open_site(kind, cluster), workers or WorkersSpec())
