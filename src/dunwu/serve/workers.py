"""The threads' shares of the service: a batch for each, over one copy of the weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch

from dunwu.models.flops import count_worker_threads
from dunwu.models.shape import find_shape
from dunwu.rollout.builtin.batch import Batch
from dunwu.rollout.builtin.decoder import make_decoder
from dunwu.rollout.builtin.kernel_decoder import KernelDecoder
from dunwu.rollout.builtin.prefix_store import PrefixStore
from dunwu.rollout.builtin.scheduler import SequenceState
from dunwu.serve.chat_model import ChatModel

PREFILL_TOKENS: Final = 512
"""Of prompts that are read at once: what others may have to wait for between two of their tokens."""
PREFIX_SHARE: Final = 0.25
"""Of the key-value cache's memory that prompts read before may take beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceLimits:
    """What bounds the service.

    Attributes:
        max_sequences: answers that are written at once.
        queue: answers that may wait.
        memory: bytes of keys and values.
    """

    max_sequences: int = 64
    queue: int = 256
    memory: int = 4 << 30


DEFAULT_LIMITS: Final = ServiceLimits()


class Worker:
    """A batch and the thread that steps it.

    Attributes:
        batch: the sequences.
        threads: CPU threads of its products.
        gone: sequences that nobody wants any more.
        stepped: sequences that it had before the last step, those that ended in it among them.
    """

    def __init__(self, batch: Batch, threads: int) -> None:
        self.batch, self.threads = batch, threads
        self.gone: set[SequenceState] = set()
        self.stepped: list[SequenceState] = []


def make_workers(model: ChatModel, limits: ServiceLimits) -> list[Worker]:
    """Make a worker for each core, or a single one for a model whose products use all cores.

    The model gets no more positions than there is memory for.

    Args:
        model: what generates.
        limits: of rows and memory, for all workers together.
    """
    policy = model.policy
    decoder = make_decoder(policy.model)
    parameters = sum(parameter.numel() for parameter in policy.model.parameters())
    threads = torch.get_num_threads()
    count = count_worker_threads(parameters, threads, limits.max_sequences) if policy.model.device.type == "cpu" else 1
    shape = find_shape(model.source)
    room = limits.memory // count // (4 * shape.kv_values) if shape else None
    if room is not None:
        model.positions = min(model.positions, room)
    store = PrefixStore(int(PREFIX_SHARE * limits.memory)) if isinstance(decoder, KernelDecoder) else None
    rows = -(-limits.max_sequences // count)
    batches = (
        Batch(decoder, policy, max_sequences=rows, room=room, prefill_tokens=PREFILL_TOKENS, prefixes=store)
        for _ in range(count)
    )
    return [Worker(batch, threads // count) for batch in batches]
