"""Executes a stage in this process: the one place that builds engines and trainers.

What trains, and what reads a model by transformers, is imported where it is needed: together that takes longer than to
open a known model and to write its first token.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import torch

from dunwu import registry
from dunwu.config.schema import ModelSpec, RewardModelStage, RLStage, ServedModel, SFTStage
from dunwu.errors import UserError
from dunwu.machine import Dtype, usable_cores
from dunwu.models.places import find_device, resolve
from dunwu.models.policy import Policy
from dunwu.models.snapshots import find_key, load_snapshot, save_snapshot
from dunwu.rollout.engine import Engine, EngineBuilder
from dunwu.rollout.remote.engine import EndpointEngine
from dunwu.rollout.seeds import derive_seed

if TYPE_CHECKING:
    from dunwu.algorithms import Algorithm
    from dunwu.training.rank_group import RankGroup
    from dunwu.training.reward import RewardTrainer
    from dunwu.training.supervised import SupervisedTrainer
    from dunwu.training.trainer import Trainer


class LocalExecutor:
    """See ``executor.Executor``. Models lie in this process, on one device.

    Args:
        spec: how the stage's models are held.
        message: takes lines for the user where nothing is wrong.
    """

    generates_elsewhere = False

    def __init__(self, spec: ModelSpec, message: Callable[[str], None]) -> None:
        self._spec, self._message = spec, message

    def close(self) -> None:
        """See ``Executor.close``: there are none."""

    def open_policy(self, source: str, *, longest: int, learns: bool, generates: bool) -> Policy:
        """See ``Executor.open_policy``."""
        from dunwu.execution.policies import open_policy

        return open_policy(
            source, self._spec, longest=longest, learns=learns, generates=generates, message=self._message
        )

    def open_reader(self, source: str, *, longest: int) -> Policy:
        """See ``Executor.open_reader``."""
        place, dtype, key = resolve(source), self._spec.dtype, None
        # A snapshot saves seconds, so nothing that is wrong with one, or with the cache, stops anybody.
        with suppress(Exception):
            if self._spec.engine == "builtin" and find_device(self._spec.device).type == "cpu":
                key = find_key(place, dtype, longest)
            if key and (known := load_snapshot(place, key, dtype)):
                for note in known.notes:
                    self._message(note)
                return known
        policy = self.open_policy(source, longest=longest, learns=False, generates=True)
        with suppress(Exception):
            if key:
                save_snapshot(policy, place, key, dtype)
        return policy

    def open_scorer(self, source: str, *, longest: int, new_head: bool = False) -> Policy:
        """See ``Executor.open_scorer``."""
        from dunwu.execution.policies import open_scorer

        return open_scorer(source, self._spec, longest=longest, message=self._message, new_head=new_head)

    def build_engine(self, policy: Policy, *, max_sequences: int, dtype: Dtype | None = None) -> Engine:
        """See ``Executor.build_engine``."""
        policy = policy.cast(dtype) if dtype else policy
        name, field = self._spec.engine, "model.engine"
        builder: EngineBuilder = registry.engines.load(name)
        with registry.engines.blame(name, field):
            engine = builder(policy, max_sequences=max_sequences)
        for method in ("generate", "update_weights", "close"):
            if not callable(getattr(engine, method, None)):
                text = f"{name} gives {type(engine).__name__}, no engine: it has no method {method}"
                raise UserError(text, field=field)
        return engine

    def connect_engine(self, server: ServedModel) -> EndpointEngine:
        """See ``Executor.connect_engine``."""
        return EndpointEngine(server, "server")

    def build_policy_trainer(
        self,
        stage: RLStage,
        policy: Policy,
        algorithm: Algorithm,
        *,
        seed: int,
        value_network: Policy | None = None,
        ranks: RankGroup | None = None,
    ) -> Trainer:
        """See ``Executor.build_policy_trainer``; with ``ranks``, that of one of them."""
        from dunwu.training.critic import Critic
        from dunwu.training.rank_group import ONE_RANK
        from dunwu.training.trainer import PolicyTrainer

        ranks = ranks or ONE_RANK
        critic = None
        if stage.value and value_network:
            critic = Critic(
                value_network,
                stage.value,
                stage.update,
                total_steps=stage.steps,
                adapter=stage.adapter,
                seed=derive_seed(seed, "value network"),
                ranks=ranks,
            )
        return PolicyTrainer(
            policy,
            algorithm,
            stage.optimizer,
            stage.update,
            temperature=stage.rollout.temperature,
            total_steps=stage.steps,
            critic=critic,
            adapter=stage.adapter,
            seed=seed,
            ranks=ranks,
        )

    def build_supervised_trainer(
        self, stage: SFTStage, policy: Policy, *, total_steps: int, seed: int, ranks: RankGroup | None = None
    ) -> SupervisedTrainer:
        """See ``Executor.build_supervised_trainer``; with ``ranks``, that of one of them."""
        from dunwu.training.rank_group import ONE_RANK
        from dunwu.training.supervised import SupervisedTrainer

        return SupervisedTrainer(
            policy,
            stage.optimizer,
            stage.update,
            total_steps=total_steps,
            adapter=stage.adapter,
            seed=seed,
            ranks=ranks or ONE_RANK,
        )

    def build_reward_trainer(
        self,
        stage: RewardModelStage,
        scorer: Policy,
        *,
        total_steps: int,
        seed: int,
        ranks: RankGroup | None = None,
    ) -> RewardTrainer:
        """See ``Executor.build_reward_trainer``; with ``ranks``, that of one of them."""
        from dunwu.training.rank_group import ONE_RANK
        from dunwu.training.reward import RewardTrainer

        return RewardTrainer(
            scorer,
            stage.optimizer,
            stage.update,
            total_steps=total_steps,
            adapter=stage.adapter,
            seed=seed,
            ranks=ranks or ONE_RANK,
        )


def use_threads(count: int) -> None:
    """Give torch so many CPU threads; 0: every core that this process may use."""
    torch.set_num_threads(count or usable_cores())


def list_accelerators() -> list[str]:
    """Return the names of the devices beside the CPU that this process sees."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return [torch.cuda.get_device_name(number) for number in range(count)]
