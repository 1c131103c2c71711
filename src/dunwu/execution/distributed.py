"""Executes a stage with workers: engines live in them, and all else in this process."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from dunwu import registry
from dunwu.config.schema import ModelSpec, WorkersSpec
from dunwu.errors import UserError
from dunwu.execution.local import LocalExecutor, use_threads
from dunwu.machine import Dtype, usable_cores
from dunwu.models.policy import Policy
from dunwu.rollout.engine import Engine
from dunwu.rollout.workers.engine import WorkerEngine
from dunwu.rollout.workers.host import EngineHost
from dunwu.workers.worker import Launcher


class DistributedExecutor(LocalExecutor):
    """See ``executor.Executor``.

    Args:
        spec: how the stage's models are held.
        message: takes lines for the user where nothing is wrong.
        launcher: starts workers.
        workers: how many there are of each sort.
    """

    generates_elsewhere = True

    def __init__(
        self, spec: ModelSpec, message: Callable[[str], None], launcher: Launcher, workers: WorkersSpec
    ) -> None:
        super().__init__(spec, message)
        self._launcher, self._workers = launcher, workers
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
        threads = self._workers.rollout_threads or self._spec.threads or usable_cores()
        make_host = partial(
            make_engine_host,
            source,
            self._spec.model_copy(update={"threads": threads, "engine": self._name_engine()}),
            longest=longest,
            max_sequences=-(-max_sequences // count),
            dtype=dtype,
        )
        return WorkerEngine(self._launcher, make_host, workers=count, cpus=threads, message=self._message)

    def _name_engine(self) -> str:
        """Return the reference by which a worker finds the engine."""
        name = self._spec.engine
        if not registry.engines.is_registered(name):
            return name
        reference = registry.engines.portable(name)
        if reference is None:
            text = f"{name} is known in this process alone, and workers cannot find it: name it as FILE.py:NAME"
            raise UserError(text, field="model.engine")
        return reference


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
