"""What lives in the worker of a rank: a trainer on its shard of the model, in torch's process group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Int32
from torch import distributed
from torch.distributed import Store, TCPStore  # type: ignore[attr-defined]
from torch.distributed.device_mesh import init_device_mesh

from dunwu.algorithms.batching import TrainStep
from dunwu.models.weights import WeightUpdate
from dunwu.training.rank_group import RankGroup
from dunwu.training.sharded import ShardedRanks
from dunwu.training.trainer import Trainer
from dunwu.types import GradedSample, SampleLogprobs, StepResult

BuildTrainer = Callable[[RankGroup], Trainer]


class RankHost:
    """One rank of a trainer. Every method but ``offer_address`` is called on all ranks, in the same order.

    Args:
        device: that it computes on, ``cpu`` or ``cuda``.
        seconds: how long a rank waits for another before it gives up.
        address: of this machine, as the other ranks reach it.
    """

    _trainer: Trainer
    _store: Store

    def __init__(self, device: str = "cpu", seconds: float = 60.0, address: str = "127.0.0.1") -> None:
        self._device, self._limit, self._address = device, timedelta(seconds=seconds), address

    def offer_address(self) -> tuple[str, int]:
        """Open the place where the ranks find each other, in the first of them."""
        store = TCPStore(self._address, 0, is_master=True, wait_for_workers=False, timeout=self._limit)
        self._store = store
        return self._address, store.port

    def join(self, address: tuple[str, int], rank: int, count: int, build: BuildTrainer) -> int:
        """Enter a group of ranks, out of the one before, and build this rank's trainer.

        Args:
            address: that of the first rank.
            rank: which of them this is.
            count: how many they are.
            build: builds the trainer; a function of a module or a ``partial`` of one.

        Returns:
            The version of the policy.
        """
        if distributed.is_initialized():
            distributed.destroy_process_group()
        if rank:
            self._store = TCPStore(*address, is_master=False, timeout=self._limit)
        backend = "gloo"
        if self._device == "cuda":
            backend = "cpu:gloo,cuda:nccl"  # objects go over the CPU
            torch.cuda.set_device(rank % torch.cuda.device_count())
        distributed.init_process_group(backend, store=self._store, rank=rank, world_size=count, timeout=self._limit)
        self._trainer = build(ShardedRanks(init_device_mesh(self._device, (count,))))
        return self._trainer.policy_version

    def begin_step(self, share: TrainStep) -> int:
        """See ``StepTrainer``; each rank gets its share."""
        return self._trainer.begin_step(share)

    def forward_backward(self, part: int) -> None:
        """See ``StepTrainer``."""
        self._trainer.forward_backward(part)

    def optim_step(self, at: int) -> StepResult:
        """See ``StepTrainer``. All ranks return the same."""
        return self._trainer.optim_step(at=at)

    def compute_logprobs(self, samples: Sequence[GradedSample]) -> list[SampleLogprobs]:
        """See ``Trainer``; each rank gets its share."""
        return self._trainer.compute_logprobs(samples)

    def compute_policy_logprobs(self, samples: Sequence[GradedSample]) -> list[Float32[np.ndarray, " L"]]:
        """See ``Trainer``; each rank gets its share."""
        return self._trainer.compute_policy_logprobs(samples)

    def compute_text_logprobs(self, texts: Sequence[Int32[np.ndarray, " L"]]) -> list[Float32[np.ndarray, " L"]]:
        """See ``Trainer``; each rank gets its share."""
        return self._trainer.compute_text_logprobs(texts)

    def export_weights(self) -> WeightUpdate:
        """See ``Trainer``. The first rank describes the weights, the others nothing."""
        return self._trainer.export_weights()

    def refresh_reference(self) -> None:
        """See ``Trainer``."""
        self._trainer.refresh_reference()

    def save(self, folder: Path) -> None:
        """See ``Trainer``. The folder is there; each rank writes its files into it."""
        self._trainer.save(folder)

    def save_model(self, folder: Path) -> None:
        """See ``Trainer``. The first rank writes."""
        self._trainer.save_model(folder)

    def load(self, folder: Path) -> int:
        """See ``Trainer``.

        Returns:
            The version of the policy.
        """
        self._trainer.load(folder)
        return self._trainer.policy_version
