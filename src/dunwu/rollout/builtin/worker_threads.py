"""Several embedded engines side by side, a CPU thread each.

The matrix products of a small model are too short to be split over cores: two threads in one product made a rollout
11 % faster than one thread, two lanes 96 % (docs/log.md). A larger model has one engine whose products use all threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from queue import SimpleQueue
from threading import Event, Thread

import torch

from dunwu.models.flops import count_worker_threads
from dunwu.models.load import Policy
from dunwu.models.weights import WeightUpdate
from dunwu.rollout.builtin.engine import TorchEngine
from dunwu.rollout.engine import Engine, Sample
from dunwu.types import Completion, GenerationRequest, Sampling

Done = tuple[Sample, Completion] | BaseException | None


def embedded_engine(policy: Policy, *, slots: int) -> Engine:
    """The fastest embedded engine for this policy on its device, with ``torch.get_num_threads()`` CPU threads.

    Raises: see ``TorchEngine``.
    """
    parameters = sum(parameter.numel() for parameter in policy.model.parameters())
    count = count_worker_threads(parameters, torch.get_num_threads(), slots) if policy.model.device.type == "cpu" else 1
    return LaneEngine(policy, slots=slots, lanes=count) if count > 1 else TorchEngine(policy, slots=slots)


class LaneEngine:
    """See ``engine.Engine``. Request i is lane i's, modulo the lanes, so a run does not depend on who is faster.

    Args:
        policy: as for ``TorchEngine``; each lane has its own copy of the weights.
        slots: completions that decode at once, over all lanes.
        lanes: threads.

    Raises: see ``TorchEngine``.
    """

    def __init__(self, policy: Policy, *, slots: int, lanes: int) -> None:
        self._lanes = [TorchEngine(policy, slots=-(-slots // lanes)) for _ in range(lanes)]

    @property
    def policy_version(self) -> int:
        return self._lanes[0].policy_version

    def update_weights(self, update: WeightUpdate) -> None:
        """See ``TorchEngine``."""
        for lane in self._lanes:
            lane.update_weights(update)

    def close(self) -> None:
        """See ``engine.Engine``."""
        for lane in self._lanes:
            lane.close()

    def generate(
        self, requests: Sequence[GenerationRequest], sampling: Sampling
    ) -> Iterator[tuple[Sample, Completion]]:
        """See ``engine.Engine``. The first error of a lane ends all of them and is raised here."""
        threads = torch.get_num_threads()
        done: SimpleQueue[Done] = SimpleQueue()
        stop = Event()
        shares = [range(place, len(requests), len(self._lanes)) for place in range(len(self._lanes))]
        workers = [
            Thread(target=_run, args=(lane, own, requests, sampling, done, stop), name="lane")
            for lane, own in zip(self._lanes, shares, strict=True)
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
            torch.set_num_threads(threads)  # a lane's own setting holds for MKL in the whole process


def _run(
    engine: TorchEngine,
    own: Sequence[int],
    requests: Sequence[GenerationRequest],
    sampling: Sampling,
    done: SimpleQueue[Done],
    stop: Event,
) -> None:
    """One lane: what its ``own`` of all requests want, each as it is finished, then None; or what went wrong."""
    torch.set_num_threads(1)
    try:
        for finished in engine.steps([requests[number] for number in own], sampling):
            for sample, completion in finished:
                done.put((Sample(own[sample.request], sample.index), completion))
            if stop.is_set():
                return
        done.put(None)
    except BaseException as error:  # it is raised again where the groups are read
        done.put(error)
