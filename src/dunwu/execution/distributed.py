"""Executes a stage with workers: engines live in them, and all else in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from dunwu import registry
from dunwu.config.schema import ExecutorName, ModelSpec, WorkersSpec
from dunwu.execution.local import LocalExecutor, use_threads
from dunwu.machine import Dtype, usable_cores
from dunwu.models.policy import Policy
from dunwu.models.weights import MemorySource, WeightUpdate
from dunwu.rollout.engine import Engine
from dunwu.rollout.weight_folder import WeightFolder
from dunwu.rollout.workers.engine import Publisher, WorkerEngine
from dunwu.rollout.workers.host import EngineHost
from dunwu.workers.process import ProcessLauncher
from dunwu.workers.ray_actors import RayLauncher
from dunwu.workers.worker import Launcher


@dataclass(frozen=True, slots=True)
class Site:
    """Where workers are.

    Attributes:
        launcher: starts them.
        make_publisher: makes what brings new weights to them.
    """

    launcher: Launcher
    make_publisher: Callable[[], Publisher]


def open_site(kind: ExecutorName, cluster: str) -> Site:
    """Open the place where workers are: this machine, or a Ray cluster.

    Args:
        kind: the recipe's ``executor``.
        cluster: the recipe's.

    Raises:
        UserError: Ray is not installed, or no cluster answers.
    """
    if kind == "processes":
        return Site(ProcessLauncher(), WeightFolder)
    ray = RayLauncher(cluster)
    return Site(ray, partial(ClusterPublisher, ray.put))


class ClusterPublisher:
    """Brings weights to other machines by the cluster's own store; see ``Publisher``.

    Args:
        put: gives the store an object, and returns what stands for it in a call.
    """

    def __init__(self, put: Callable[[object], object]) -> None:
        self._put = put

    def publish(self, update: WeightUpdate) -> object:
        """See ``Publisher``."""
        tensors = tuple(tensor.detach().cpu() for _, tensor in update.read())
        return self._put(replace(update, source=MemorySource(tensors)))

    def close(self) -> None:
        """See ``Publisher``: the store forgets what nobody holds."""


class DistributedExecutor(LocalExecutor):
    """See ``executor.Executor``.

    Args:
        spec: how the stage's models are held.
        message: takes lines for the user where nothing is wrong.
        site: where workers are.
        workers: how many there are of each sort.
    """

    generates_elsewhere = True

    def __init__(self, spec: ModelSpec, message: Callable[[str], None], site: Site, workers: WorkersSpec) -> None:
        super().__init__(spec, message)
        self._site, self._workers = site, workers
        self._opened: list[tuple[Policy, str, int]] = []

    def open_policy(self, source: str, *, longest: int, learns: bool, generates: bool) -> Policy:
        """See ``Executor.open_policy``. Workers that generate with it open the same source."""
        policy = super().open_policy(source, longest=longest, learns=learns, generates=generates)
        self._opened.append((policy, source, longest))
        return policy

    def build_engine(self, policy: Policy, *, max_sequences: int, dtype: Dtype | None = None) -> Engine:
        """See ``Executor.build_engine``.

        Raises:
            UserError: see there; or no other process could find the engine by its name.
        """
        source, longest = next((source, longest) for known, source, longest in self._opened if known is policy)
        count = self._workers.rollout
        threads = self._workers.rollout_threads or max(1, (self._spec.threads or usable_cores()) // count)
        engine = registry.engines.name_elsewhere(self._spec.engine, "model.engine")
        make_host = partial(
            make_engine_host,
            source,
            self._spec.model_copy(update={"threads": threads, "engine": engine}),
            longest=longest,
            max_sequences=-(-max_sequences // count),
            dtype=dtype,
        )
        return WorkerEngine(
            self._site.launcher,
            make_host,
            workers=count,
            cpus=threads,
            message=self._message,
            publisher=self._site.make_publisher(),
        )


def make_engine_host(
    source: str, spec: ModelSpec, *, longest: int, max_sequences: int, dtype: Dtype | None
) -> EngineHost:
    """Open a model in a worker, and make the host of an engine that generates with it.

    Args:
        source: see ``Executor.open_policy``.
        spec: how the model is held; its threads are the worker's.
        longest: tokens of the longest sequence.
        max_sequences: see ``Executor.build_engine``.
        dtype: see ``Executor.build_engine``.

    Raises:
        UserError: see ``Executor.open_policy`` and ``Executor.build_engine``.
    """
    use_threads(spec.threads)
    executor = LocalExecutor(spec, lambda line: None)
    policy = executor.open_reader(source, longest=longest)
    return EngineHost(partial(executor.build_engine, policy, max_sequences=max_sequences, dtype=dtype))
