"""An index of every completion of a stage: columns of numbers, grown while the run writes.

    worker (a process of its own): rollouts -> tables of facts in DIR/derived
    loader thread: Derived.table -> an IndexedStep a step
    request threads: columns(), rollouts(): what is there so far, joined when it has grown

A step whose file changed (a resumed run made it again) is loaded again, and one that is gone leaves the index. One that
is half-written or damaged is named, and tried again when it changes.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa

from dunwu.analysis import curves
from dunwu.analysis.curves import Rollout
from dunwu.analysis.facts_worker import choose_order
from dunwu.analysis.reasoning.behaviours import BEHAVIOURS
from dunwu.analysis.reasoning.facts import FACTS_VERSION, extract_facts
from dunwu.runs import StageReader

COLUMNS: Mapping[str, type[np.generic]] = {
    "step": np.int32,
    "place": np.int32,
    "group": np.int32,
    "index": np.int32,
    "problem": np.int64,
    "level": np.int16,
    "verdict": np.int8,
    "value": np.float32,
    "tokens": np.int32,
    "reflections": np.int32,
    "truncated": np.bool_,
    "graded": np.bool_,
    "turn": np.uint8,
}
"""What is filtered and ordered by, as it lies in memory. Besides these there is ``shown``, a bit for each behaviour,
and the numbers of the task's and the language's names."""
NAMED = ("task", "language")

Columns = Mapping[str, "np.ndarray[Any, Any]"]


class IndexedStep(NamedTuple):
    """One step: of which bytes, its facts, and the same as columns."""

    source: bytes
    rollout: Rollout
    texts: pa.Table
    columns: Columns


@dataclass(frozen=True, slots=True)
class IndexProgress:
    """How far an index is.

    Attributes:
        read: How many steps are in it.
        stored: How many the stage has stored.
        damaged: For each step that cannot be read, why.
        is_whole: Whether nothing but the newest step is still to be read.
    """

    read: int
    stored: int
    damaged: tuple[str, ...]
    is_whole: bool


class RolloutIndex:
    """The completions of one stage.

    Attributes:
        version: Another number whenever something has come, gone or changed.
    """

    def __init__(self, stage: StageReader) -> None:
        self._stage = stage
        self._steps: dict[int, IndexedStep] = {}
        self._damaged: dict[int, tuple[bytes, str]] = {}
        self.version = 0
        self._names: dict[str, list[str]] = {name: [] for name in NAMED}
        self._joined: Columns | None = None
        self._lock = threading.Lock()

    def refresh(self) -> None:
        """Load what the worker has extracted and drop what is gone.

        Where the worker cannot keep its facts, they are extracted here, which makes pages wait.
        """
        steps = self._stage.list_rollout_steps()
        kept = self._stage.derived.can_write()
        with self._lock:
            for step in self._steps.keys() - set(steps):
                del self._steps[step]
                self._note_change()
            for step in self._damaged.keys() - set(steps):
                del self._damaged[step]
                self._note_change()
        for step in choose_order(steps):
            source = self._find_source(step)
            if source is not None and source != self._known_source(step):
                self._load(step, source, kept)

    @property
    def progress(self) -> IndexProgress:
        """How far the index is."""
        steps = self._stage.list_rollout_steps()
        with self._lock:
            unread = set(steps) - self._steps.keys() - self._damaged.keys()
            whole = not unread or (unread == {steps[-1]} and len(steps) > 1)
            damaged = tuple(line for _, line in self._damaged.values())
            return IndexProgress(len(self._steps), len(steps), damaged, is_whole=whole)

    @property
    def steps(self) -> list[int]:
        """The steps that have been read, ascending."""
        with self._lock:
            return sorted(self._steps)

    def join_columns(self) -> Columns:
        """Join all completions that have been read, the oldest first, into arrays of the same length."""
        with self._lock:
            if self._joined is None:
                found = [self._steps[step].columns for step in sorted(self._steps)]
                names = (*COLUMNS, "shown", *NAMED)
                self._joined = {
                    name: np.concatenate([step[name] for step in found]) if found else np.zeros(0, np.int32)
                    for name in names
                }
            return self._joined

    def list_names(self, column: str) -> list[str]:
        """List the names that the numbers of ``task`` or ``language`` stand for."""
        with self._lock:
            return list(self._names[column])

    def get_text(self, column: Literal["opening", "question"], step: int, place: int) -> str:
        """Return how a completion's reasoning or its question begins.

        Args:
            column: Which of the two.
            step: The step.
            place: The completion's row in it.

        Returns:
            The text, cut; "" where the step has left.
        """
        with self._lock:
            found = self._steps.get(step)
        return str(found.texts[column][place]) if found and place < len(found.texts) else ""

    def choose_rollouts(self) -> list[Rollout]:
        """Choose the rollouts that curves are made of: all, or evenly spaced ones where there are too many."""
        with self._lock:
            steps = sorted(self._steps)
            if not steps:
                return []
            limit = curves.choose_rollout_limit(self._steps[steps[0]].rollout)
            return [self._steps[step].rollout for step in curves.space_evenly(steps, limit)]

    def _known_source(self, step: int) -> bytes | None:
        with self._lock:
            if step in self._steps:
                return self._steps[step].source
            return self._damaged[step][0] if step in self._damaged else None

    def _find_source(self, step: int) -> bytes | None:
        try:
            return self._stage.derived.get_source(step, FACTS_VERSION)
        except OSError:
            return None

    def _load(self, step: int, source: bytes, kept: bool) -> None:
        found, error = None, None
        try:
            derived = self._stage.derived
            table = (
                derived.read_table(step, FACTS_VERSION)
                if kept
                else derived.make_table(step, FACTS_VERSION, extract_facts)
            )
            if table is None:
                error = derived.read_error(step, FACTS_VERSION)
            elif len(table):
                texts = table.select(["opening", "question"])
                found = IndexedStep(source, Rollout(table), texts, self._make_columns(table))
            else:
                error = f"step {step:,}: holds no rollouts"
        except Exception as raised:  # whatever stands in the file: the others are shown
            error = f"step {step:,}: {type(raised).__name__}: {raised}"
        with self._lock:
            before = (self._steps.pop(step, None), self._damaged.pop(step, None))
            if found is not None:
                self._steps[step] = found
            elif error is not None:
                self._damaged[step] = (source, error)
            if any(before) or found is not None or error is not None:
                self._note_change()

    def _note_change(self) -> None:
        self.version += 1
        self._joined = None

    def _make_columns(self, table: pa.Table) -> Columns:
        found = {name: table[name].to_numpy().astype(kind) for name, kind in COLUMNS.items()}
        bits = [(table[name].to_numpy() > 0).astype(np.uint8) << bit for bit, name in enumerate(BEHAVIOURS)]
        found["shown"] = np.bitwise_or.reduce(bits)
        for name in NAMED:
            values = table[name].combine_chunks()
            known = self._names[name]
            known += [text for text in values.dictionary.to_pylist() if text not in known]
            numbers = np.array([known.index(text) for text in values.dictionary.to_pylist()], dtype=np.int16)
            found[name] = numbers[values.indices.to_numpy()]
        return found
