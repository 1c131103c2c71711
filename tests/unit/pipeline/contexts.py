"""Contexts of stages for tests: what is shown goes into a string."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from dunwu.config.schema import ModelSpec
from dunwu.execution.local import LocalExecutor
from dunwu.monitoring.console import Progress
from dunwu.pipeline.context import StageContext
from dunwu.pipeline.interrupts import StopSignal
from dunwu.runs import StageDirectory


def make_context(store: StageDirectory, stop: StopSignal, *, name: str = "zero", seed: int = 3) -> StageContext:
    """Make the context of a stage that runs in this process, with the threads that it has."""
    progress = Progress(Console(file=StringIO()))
    executor = LocalExecutor(ModelSpec(), progress.message)
    return StageContext(
        name=name, seed=seed, store=store, executor=executor, stop=stop, progress=progress, recipe="mine"
    )


def shown_text(context: StageContext) -> str:
    """Return all that a stage has shown."""
    stream = context.progress.console.file
    assert isinstance(stream, StringIO)
    return stream.getvalue()
