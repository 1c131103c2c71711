"""Contexts of stages for tests: what a stage says is kept as lines."""

from __future__ import annotations

from dunwu.config.schema import ModelSpec
from dunwu.execution.local import LocalExecutor
from dunwu.monitoring.progress import Silent
from dunwu.pipeline.context import StageContext
from dunwu.pipeline.interrupts import StopSignal
from dunwu.runs import StageWriter


class RecordingProgress(Silent):
    """Keeps headings and messages."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def start_stage(self, name: str, description: str, *, step: int = 0) -> None:
        self.lines.append(f"{name}: {description}, from step {step}")

    def log_message(self, text: str) -> None:
        self.lines.append(text)


def make_context(store: StageWriter, stop: StopSignal, *, name: str = "zero", seed: int = 3) -> StageContext:
    """Make the context of a stage that runs in this process, with the threads that it has."""
    progress = RecordingProgress()
    executor = LocalExecutor(ModelSpec(), progress.log_message)
    return StageContext(
        name=name, seed=seed, store=store, executor=executor, stop=stop, progress=progress, recipe="mine"
    )


def shown_text(context: StageContext) -> str:
    """Return all that a stage has said."""
    assert isinstance(context.progress, RecordingProgress)
    return "\n".join(context.progress.lines)
