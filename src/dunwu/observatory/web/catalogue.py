"""Every completion of a stage as columns of numbers, grown while the run writes.

    reader (a process of its own): rollouts -> tables of facts in DIR/derived
    loader thread: Derived.table -> a Shelf a step
    request threads: columns(), rollouts(): what is there so far, joined when it has grown

A step whose file changed (a resumed run made it again) is taken again; one that is gone leaves the shelf; one that is
half-written or damaged is told of, and tried again when it changes.
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
from dunwu.analysis.reasoning import facts
from dunwu.analysis.reasoning.behaviours import BEHAVIOURS
from dunwu.observatory.web.reader import order
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
"""What is filtered and ordered by, as it lies in memory; beside these ``shown``, a bit for each behaviour, and the
numbers of the task's and the language's names."""
NAMED = ("task", "language")

Columns = Mapping[str, "np.ndarray[Any, Any]"]


class Shelf(NamedTuple):
    """One step: of which bytes, its facts, and the same as columns."""

    source: bytes
    rollout: Rollout
    texts: pa.Table
    columns: Columns


@dataclass(frozen=True, slots=True)
class Progress:
    """How many of the stored steps have been read, what is wrong with others, and whether nothing but the newest step
    is still to be read."""

    read: int
    stored: int
    damaged: tuple[str, ...]
    is_whole: bool


class Catalogue:
    """The completions of one stage."""

    def __init__(self, stage: StageReader) -> None:
        self._stage = stage
        self._shelves: dict[int, Shelf] = {}
        self._damaged: dict[int, tuple[bytes, str]] = {}
        self.version = 0
        """Another number whenever something has come, gone or changed."""
        self._names: dict[str, list[str]] = {name: [] for name in NAMED}
        self._joined: Columns | None = None
        self._lock = threading.Lock()

    def refresh(self) -> None:
        """Takes what has been read and was not there before, or has changed, and drops what is gone. Where the reader
        cannot keep what it reads, it is read here, which makes pages wait."""
        steps = self._stage.rollout_steps()
        kept = self._stage.derived.can_write()
        with self._lock:
            for step in self._shelves.keys() - set(steps):
                del self._shelves[step]
                self._changed()
            for step in self._damaged.keys() - set(steps):
                del self._damaged[step]
                self._changed()
        for step in order(steps):
            source = self._source(step)
            if source is not None and source != self._known(step):
                self._take(step, source, kept)

    @property
    def progress(self) -> Progress:
        """How far the reading is."""
        steps = self._stage.rollout_steps()
        with self._lock:
            unread = set(steps) - self._shelves.keys() - self._damaged.keys()
            whole = not unread or (unread == {steps[-1]} and len(steps) > 1)
            told = tuple(told for _, told in self._damaged.values())
            return Progress(len(self._shelves), len(steps), told, is_whole=whole)

    @property
    def steps(self) -> list[int]:
        """The steps that have been read, ascending."""
        with self._lock:
            return sorted(self._shelves)

    def columns(self) -> Columns:
        """All completions that have been read, the oldest first: arrays of the same length."""
        with self._lock:
            if self._joined is None:
                shelves = [self._shelves[step].columns for step in sorted(self._shelves)]
                names = (*COLUMNS, "shown", *NAMED)
                self._joined = {
                    name: np.concatenate([shelf[name] for shelf in shelves]) if shelves else np.zeros(0, np.int32)
                    for name in names
                }
            return self._joined

    def names(self, column: str) -> list[str]:
        """The names that the numbers of ``task`` or ``language`` stand for."""
        with self._lock:
            return list(self._names[column])

    def text(self, column: Literal["opening", "question"], step: int, place: int) -> str:
        """How a completion's reasoning or its question begins; "" where the step has left."""
        with self._lock:
            shelf = self._shelves.get(step)
        return str(shelf.texts[column][place]) if shelf and place < len(shelf.texts) else ""

    def rollouts(self) -> list[Rollout]:
        """The rollouts that curves are made of: all, or evenly spaced ones where there are too many."""
        with self._lock:
            steps = sorted(self._shelves)
            if not steps:
                return []
            wanted = curves.choose_rollout_limit(self._shelves[steps[0]].rollout)
            return [self._shelves[step].rollout for step in curves.space_evenly(steps, wanted)]

    def _known(self, step: int) -> bytes | None:
        with self._lock:
            if step in self._shelves:
                return self._shelves[step].source
            return self._damaged[step][0] if step in self._damaged else None

    def _source(self, step: int) -> bytes | None:
        try:
            return self._stage.derived.source_of(step, facts.FACTS_VERSION)
        except OSError:
            return None

    def _take(self, step: int, source: bytes, kept: bool) -> None:
        shelf, told = None, None
        try:
            derived = self._stage.derived
            table = (
                derived.table(step, facts.FACTS_VERSION)
                if kept
                else derived.make(step, facts.FACTS_VERSION, facts.extract_facts)
            )
            if table is None:
                told = derived.trouble(step, facts.FACTS_VERSION)
            elif len(table):
                shelf = self._shelf(source, table)
            else:
                told = f"step {step:,}: holds no rollouts"
        except Exception as error:  # whatever stands in the file: the others are shown
            told = f"step {step:,}: {type(error).__name__}: {error}"
        with self._lock:
            before = (self._shelves.pop(step, None), self._damaged.pop(step, None))
            if shelf is not None:
                self._shelves[step] = shelf
            elif told is not None:
                self._damaged[step] = (source, told)
            if any(before) or shelf is not None or told is not None:
                self._changed()

    def _changed(self) -> None:
        self.version += 1
        self._joined = None

    def _shelf(self, source: bytes, table: pa.Table) -> Shelf:
        return Shelf(source, Rollout(table), table.select(["opening", "question"]), self._columns(table))

    def _columns(self, table: pa.Table) -> Columns:
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
