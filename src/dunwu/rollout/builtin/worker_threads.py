"""Several built-in engines side by side, a CPU thread each.

The matrix products of a small model are too short to be split over cores: two threads in one product made a rollout
11 % faster than one thread, two engines of a thread each 96 % (docs/log.md). A larger model has one engine whose
products use all threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from queue import SimpleQueue
from threading import Event, Thread

import torch

from dunwu.models.flops import count_worker_threads
from dunwu.models.policy import Policy
from dunwu.models.weights import WeightUpdate
from dunwu.rollout.builtin.engine import TorchEngine
from dunwu.rollout.engine import Engine, Sample
from dunwu.types import Completion, GenerationRequest, Sampling

Done = tuple[Sample, Completion] | BaseException | None


def build_builtin_engine(policy: Policy, *, max_sequences: int) -> Engine:
    """Build the fastest built-in engine for this policy on its device, with ``torch.get_num_threads()`` CPU threads.

    Args:
        policy: model and tokenizer.
        max_sequences: completions that decode at once, at most.

    Raises:
        UserError: see ``TorchEngine``.
    """
    threads = 1
    if policy.model.device.type == "cpu":
        parameters = sum(parameter.numel() for parameter in policy.model.parameters())
        threads = count_worker_threads(parameters, torch.get_num_threads(), max_sequences)
    if threads == 1:
        return TorchEngine(policy, max_sequences=max_sequences)
    return ThreadedEngine(policy, max_sequences=max_sequences, threads=threads)


class ThreadedEngine:
    """See ``engine.Engine``. Request i belongs to thread i, modulo the threads: a run does not depend on who is faster.

    Args:
        policy: as for ``TorchEngine``; each thread has its own copy of the weights.
        max_sequences: completions that decode at once, over all threads.
        threads: how many work side by side.

    Raises:
        UserError: see ``TorchEngine``.
    """

    def __init__(self, policy: Policy, *, max_sequences: int, threads: int) -> None:
        self._engines = [TorchEngine(policy, max_sequences=-(-max_sequences // threads)) for _ in range(threads)]

    @property
    def policy_version(self) -> int:
        """See ``engine.Engine``."""
        return self._engines[0].policy_version

    def update_weights(self, update: WeightUpdate) -> None:
        """See ``TorchEngine``."""
        for engine in self._engines:
            engine.update_weights(update)

    def close(self) -> None:
        """See ``engine.Engine``."""
        for engine in self._engines:
            engine.close()

    def generate(
        self, requests: Sequence[GenerationRequest], sampling: Sampling
    ) -> Iterator[tuple[Sample, Completion]]:
        """See ``engine.Engine``. The first error of a thread ends all of them and is raised here."""
        threads = torch.get_num_threads()
        done: SimpleQueue[Done] = SimpleQueue()
        stop = Event()
        shares = [range(place, len(requests), len(self._engines)) for place in range(len(self._engines))]
        workers = [
            Thread(target=_run, args=(engine, own, requests, sampling, done, stop), name="engine")
            for engine, own in zip(self._engines, shares, strict=True)
        ]
        try:
            for worker in workers:
                worker.start()
            running = len(workers)
            while running:
                result = done.get()
                if isinstance(result, BaseException):
                    raise result
                if result is None:
                    running -= 1
                else:
                    yield result
        finally:
            stop.set()
            for worker in workers:
                if worker.ident is not None:  # a stop may come between two starts
                    worker.join()
            torch.set_num_threads(threads)  # a worker's own setting holds for MKL in the whole process


def _run(
    engine: TorchEngine,
    own: Sequence[int],
    requests: Sequence[GenerationRequest],
    sampling: Sampling,
    done: SimpleQueue[Done],
    stop: Event,
) -> None:
    """Put what the ``own`` of all requests want, each as it is finished, then None; or what went wrong."""
    torch.set_num_threads(1)
    try:
        for finished in engine.generate_by_step([requests[number] for number in own], sampling):
            for sample, completion in finished:
                done.put((Sample(own[sample.request], sample.index), completion))
            if stop.is_set():
                return
        done.put(None)
    except BaseException as error:  # it is raised again where the groups are read
        done.put(error)
