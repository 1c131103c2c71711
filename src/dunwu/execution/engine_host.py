"""Makes the host of an engine in a worker; loads nothing that trains."""

from __future__ import annotations

from functools import partial

from dunwu.config.schema import ModelSpec
from dunwu.execution.local import LocalExecutor, use_threads
from dunwu.machine import Dtype
from dunwu.rollout.workers.host import EngineHost


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
