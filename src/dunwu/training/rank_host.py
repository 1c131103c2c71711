"""What lives in the worker of a rank: a trainer on its shard of the model, in torch's process group."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import torch
from torch import distributed
from torch.distributed import Store, TCPStore  # type: ignore[attr-defined]
from torch.distributed.device_mesh import init_device_mesh

from dunwu.training.rank_group import RankGroup
from dunwu.training.sharded import ShardedRanks

BuildTrainer = Callable[[RankGroup], Any]
"""Builds a rank's trainer, of whichever kind; a function of a module or a ``partial`` of one."""
LOOPBACK = "127.0.0.1"
NOTHING: Mapping[str, Any] = {}


class RankHost:
    """One rank of a trainer. Every method but ``offer_address`` is called on all ranks, in the same order.

    Args:
        device: that it computes on, ``cpu`` or ``cuda``.
        seconds: how long a rank waits for another before it gives up.
        spread: whether ranks may be on several machines; if not, they find each other on this one alone.
    """

    _trainer: Any
    _store: Store

    def __init__(self, device: str = "cpu", seconds: float = 60.0, spread: bool = False) -> None:
        self._device, self._limit, self._spread = device, timedelta(seconds=seconds), spread

    def offer_address(self) -> tuple[str, int]:
        """Open the place where the ranks find each other, in the first of them."""
        address = _find_address() if self._spread else LOOPBACK
        store = TCPStore(address, 0, is_master=True, wait_for_workers=False, timeout=self._limit)
        self._store = store
        return address, store.port

    def join(self, address: tuple[str, int], rank: int, count: int, build: BuildTrainer) -> None:
        """Enter a group of ranks, out of the one before, and build this rank's trainer.

        Args:
            address: that of the first rank.
            rank: which of them this is.
            count: how many they are.
            build: builds the trainer.
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

    def ask(self, method: str, arguments: Sequence[Any] = (), named: Mapping[str, Any] = NOTHING) -> Any:
        """Call a method of this rank's trainer.

        Args:
            method: its name.
            arguments: of this rank: its share of samples, or what all ranks get.
            named: the same, by name.

        Returns:
            What the method returns.
        """
        return getattr(self._trainer, method)(*arguments, **named)


def _find_address() -> str:
    """Find this machine's address in its network; a socket that is connected for datagrams sends none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address that nobody has (RFC 5737)
        except OSError:
            return LOOPBACK
        address: str = probe.getsockname()[0]
        return address
