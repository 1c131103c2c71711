"""One stage's part of the run directory. The layout stands in docs/architecture.md.

A row's ``step`` (of metrics, timings, rollouts) counts the updates done when it is written, so it is at least 1, and a
checkpoint at step s stands for everything with a step up to s. Write those rows first, then the checkpoint.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from itertools import count, islice
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from dunwu.errors import Fault, UserError
from dunwu.runs import checkpoints, compared, derived, tables
from dunwu.runs.atomic import atomic_directory, atomic_remove, atomic_write, make_directory
from dunwu.runs.checkpoints import is_step, step_name, step_of
from dunwu.runs.compared import Compared, Curve, Pair
from dunwu.runs.jsonl import append_numbers, cut_numbers, read_numbers
from dunwu.runs.records import Checkpoint, Evaluation, EvaluationRow, RolloutRow, Spent
from dunwu.types import Estimate, Example, ScoredGroup

ABLATION = "ablation"
"""The name under which the causal check of a stage's reflection is kept."""
BASE, TRAINED = "base", "trained"
"""Evaluations before the first update and after the last one; those between are named by :func:`step_name`, those of an
evaluation stage by its models."""


Counts = dict[str, dict[str, float]]
"""By category, how many answers went which way."""


def add_counts(sums: Counts, more: Counts) -> None:
    """Adds ``more`` to ``sums``."""
    for category, numbers in more.items():
        own = sums.setdefault(category, {})
        own.update({name: own.get(name, 0.0) + value for name, value in numbers.items()})


class Review(NamedTuple):
    """How many conversations people have not decided on, accepted and refused."""

    undecided: int
    accepted: int
    refused: int


class StageReader:
    """Reads what a stage has written so far, also while another process writes it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def name(self) -> str:
        """The stage's name in the recipe."""
        return self.path.name

    @property
    def model(self) -> Path:
        """Where the finished model lies."""
        return self.path / "model"

    @property
    def data(self) -> Path:
        """Where the conversations lie that the stage made."""
        return self.path / "data.jsonl"

    @property
    def review_file(self) -> Path:
        """Where people decide on these."""
        return self.path / "review.jsonl"

    def read_counts(self) -> Counts:
        """By category how many answers were kept and why others went; empty for a stage that keeps none."""
        path = self.path / "counts.json"
        return json.loads(path.read_text()) if path.is_file() else {}

    def read_conversations(self, count: int) -> list[dict[str, Any]]:
        """The first conversations that the stage made, as rows of a file; none before it is done."""
        if not self.data.is_file():
            return []
        with self.data.open(encoding="utf-8") as lines:
            return [json.loads(line) for line in islice(lines, count)]

    def read_metrics(self) -> list[dict[str, float]]:
        """One mapping a rollout, in order, with its ``step``; numbers that were not finite are left out."""
        return read_numbers(self.path / "metrics.jsonl")

    def read_timings(self) -> list[dict[str, float]]:
        """As :meth:`read_metrics`, for wall-clock times."""
        return read_numbers(self.path / "timings.jsonl")

    def read_ledger(self) -> dict[str, Spent]:
        """What each module's work has cost, over all processes; see :meth:`StageDirectory.spend`."""
        total: dict[str, Spent] = {}
        for row in read_numbers(self.path / "ledger.jsonl"):
            for module in {name.partition("/")[0] for name in row} - {"step"}:
                spent = Spent(*(row.get(f"{module}/{field}", 0.0) for field in Spent._fields))  # type: ignore[arg-type]
                total[module] = total.get(module, Spent(0.0, 0, 0.0)) + spent
        return total

    def rollout_steps(self) -> list[int]:
        """The steps whose rollouts are stored, ascending."""
        return sorted(
            step_of(path.stem) for path in (self.path / "rollouts").glob("step-*.parquet") if is_step(path.stem)
        )

    def read_rollouts(self, step: int | None = None) -> list[RolloutRow]:
        """The completions of one step, or of all. Raises UserError where that step has none."""
        steps = self.rollout_steps()
        if step is not None and step not in steps:
            raise UserError(f"has no rollout of step {step}", file=self.path)
        return [row for s in steps if step in (None, s) for row in tables.read_rollout_rows(self._rollouts(s))]

    def read_texts(self, step: int) -> pa.Table:
        """The ``prompt`` and ``completion`` of each row of one step, nothing else, as a table. Raises UserError where
        that step has none, or its file cannot be read."""
        return tables.read_texts(self._rollouts(step))

    def source_of(self, step: int, maker: str) -> bytes:
        """Which bytes of a step's rollouts are there, and what reads them: something else where they change. Raises
        OSError where the step has none."""
        return derived.source_of(self.path, step, maker)

    def derived(self, step: int, maker: str) -> pa.Table | None:
        """What :meth:`derive` has kept; None where it has not, or the rollouts are others by now."""
        return derived.read(self.path, step, maker)

    def trouble_with(self, step: int, maker: str) -> str | None:
        """Why nothing can be derived from a step's rollouts as they are now; None where nobody has found out."""
        found = derived.kept(self.path, _trouble(step), self._mark_of(step, maker))
        return str(found["told"]) if found else None

    def keep_trouble(self, step: int, maker: str, told: str) -> None:
        """Keeps why :meth:`derive` failed, for whoever shows it."""
        with suppress(Fault):
            derived.keep(self.path, _trouble(step), {"told": told}, self._mark_of(step, maker))

    def can_derive(self) -> bool:
        """Whether what is derived can be kept."""
        return derived.can_write(self.path)

    def _mark_of(self, step: int, maker: str) -> str:
        try:
            return self.source_of(step, maker).decode()
        except OSError:
            return ""

    def derive(self, step: int, maker: str, make: Callable[[list[RolloutRow]], pa.Table]) -> pa.Table:
        """What ``make`` makes of one step's completions, kept beside the run for the next time (``runs.derived``).

        Args:
            step: whose completions.
            maker: names ``make``; another name where it would make something else of the same completions.
            make: a pure function.

        Raises:
            UserError: that step has no rollouts, or a file of them cannot be read.
        """
        kept = derived.read(self.path, step, maker)
        if kept is None:
            try:
                source = self.source_of(step, maker)
            except OSError:
                raise UserError(f"has no rollout of step {step}", file=self.path) from None
            kept = make(tables.read_rollout_rows(self._rollouts(step)))
            derived.write(self.path, step, maker, kept, source)
        return kept

    def read_evaluations(self, checkpoint: str | None = None) -> list[Evaluation]:
        """All evaluations, or those of one checkpoint: ``base`` first, the steps, ``trained``, then models by name."""
        found = []
        for file in (self.path / "evaluations").glob("*/*.json"):
            if "." in (file.name[0], file.parent.name[0]) or checkpoint not in (None, file.parent.name):
                continue
            place = _order(file.parent.name)
            if place is None and not file.with_suffix(".parquet").exists():
                continue  # none of ours
            results = _read_results(file)
            rows = tuple(tables.read_evaluation_rows(file.with_suffix(".parquet")))
            evaluation = Evaluation(checkpoint=file.parent.name, set=file.stem, results=results, rows=rows)
            found.append((place or (2, 0), file.parent.name, file.stem, evaluation))
        return [entry[-1] for entry in sorted(found, key=lambda entry: entry[:-1])]

    def read_compared(self) -> Compared:
        """What was found when the stage's models were compared. Raises UserError where the file is damaged."""
        return compared.read(self.path)

    def keep(self, name: str, record: Mapping[str, Any]) -> None:
        """Keeps what was found out about the stage's model beside the run. Raises Fault where that fails."""
        derived.keep(self.path, name, record, self._model_mark)

    def kept(self, name: str) -> dict[str, Any] | None:
        """What was kept of the model that is there now; None where there is nothing."""
        return derived.kept(self.path, name, self._model_mark)

    @property
    def _model_mark(self) -> str:
        return " ".join(f"{file.name} {mark(file)}" for file in sorted(self.model.glob("*.safetensors")))

    @property
    def numbers_mark(self) -> str:
        """Another text where metrics, timings or ledger have changed."""
        return " ".join(mark(self.path / name) for name in ("metrics.jsonl", "timings.jsonl", "ledger.jsonl"))

    @property
    def evaluations_mark(self) -> str:
        """Another text where an evaluation has come or gone; "" while there is none."""
        files = sorted((self.path / "evaluations").glob("*/*.json"))
        return " ".join(f"{file.parent.name}/{file.name} {mark(file)}" for file in files)

    def newest_checkpoint(self) -> Checkpoint | None:
        """See :func:`dunwu.runs.checkpoints.newest`."""
        return checkpoints.newest(self.path / "checkpoints")

    def _rollouts(self, step: int) -> Path:
        return self.path / "rollouts" / f"{step_name(step)}.parquet"


class StageDirectory(StageReader):
    """Writes a stage; only the process that holds the run's lock has one.

    Args:
        path: DIR/stages/NAME.
        keep: how many checkpoints stay.
        mark_done: tells the run's manifest that the stage is finished.
    """

    def __init__(self, path: Path, *, keep: int, mark_done: Callable[[], None]) -> None:
        super().__init__(path)
        self._keep = keep
        self._mark_done = mark_done
        for folder in ("rollouts", "evaluations", "checkpoints"):
            make_directory(path / folder)

    def append(self, step: int, metrics: Mapping[str, float], timings: Mapping[str, float]) -> None:
        """Adds one line to metrics.jsonl and one to timings.jsonl; both are durable on return."""
        assert step > 0, "rows count the updates done: the first has step >= 1"
        append_numbers(self.path / "metrics.jsonl", step, metrics)
        append_numbers(self.path / "timings.jsonl", step, timings)

    def spend(self, step: int, modules: Mapping[str, Spent]) -> None:
        """Adds a line to ledger.jsonl, which no ``rewind`` takes away; durable on return."""
        numbers = {
            f"{module}/{field}": value for module, spent in modules.items() for field, value in spent._asdict().items()
        }
        append_numbers(self.path / "ledger.jsonl", step, numbers)

    def write_rollouts(self, step: int, groups: Sequence[ScoredGroup]) -> None:
        """Stores the completions of one step, in the order given, as Parquet (zstd)."""
        assert step > 0, "rows count the updates done: the first has step >= 1"
        tables.write_rollout_rows(self._rollouts(step), tables.rollout_rows(step, groups))

    def write_evaluation(
        self, checkpoint: str, set_name: str, rows: Sequence[EvaluationRow], results: Mapping[str, Estimate]
    ) -> None:
        """Stores one evaluation. Its .json comes last: an evaluation without it was cut short and is not read."""
        folder = self.path / "evaluations" / checked_name(checkpoint)
        make_directory(folder)
        text = json.dumps({name: asdict(estimate) for name, estimate in results.items()}, indent=2, allow_nan=False)
        tables.write_evaluation_rows(folder / f"{checked_name(set_name)}.parquet", rows)
        atomic_write(folder / f"{set_name}.json", text.encode())

    def write_compared(self, pairs: Sequence[Pair], curves: Sequence[Curve]) -> None:
        """Stores what was found when the stage's models were compared."""
        compared.write(self.path, pairs, curves)

    def chunks(self) -> int:
        """How many chunks of conversations are stored; they come one after another."""
        folder = self.path / "chunks"
        return next(number for number in count() if not (folder / f"{number:06d}.json").exists())

    def write_chunk(self, number: int, examples: Sequence[Example], counts: Mapping[str, Mapping[str, float]]) -> None:
        """Stores conversations that a stage made, and what is told of them by category."""
        make_directory(self.path / "chunks")
        chunk = {"examples": [_written(example) for example in examples], "counts": counts}
        atomic_write(self.path / "chunks" / f"{number:06d}.json", json.dumps(chunk, ensure_ascii=False).encode())

    def join_chunks(self) -> Counts:
        """Makes data.jsonl, and counts.json with the sums, of all chunks; the sums by category."""
        rows: list[str] = []
        counts: Counts = {}
        for number in range(self.chunks()):
            chunk = json.loads((self.path / "chunks" / f"{number:06d}.json").read_text())
            rows += [json.dumps(row, ensure_ascii=False) + "\n" for row in chunk["examples"]]
            add_counts(counts, chunk["counts"])
        atomic_write(self.data, "".join(rows).encode())
        atomic_write(self.path / "counts.json", json.dumps(counts, indent=2, ensure_ascii=False).encode())
        return counts

    def review(self) -> Review:
        """What people have decided on the conversations of data.jsonl; once on all of them, data.jsonl holds what they
        accepted, as they edited it, and counts.json says so. The first call writes review.jsonl; later ones expect a
        conversation in every line of it.

        Raises:
            UserError: a line of review.jsonl has no decision, a conversation is gone or new, or nothing is accepted.
        """
        rows = [json.loads(line) for line in self.data.open()]
        if not self.review_file.exists():
            texts = [json.dumps({"accept": None, **row}, ensure_ascii=False) + "\n" for row in rows]
            atomic_write(self.review_file, "".join(texts).encode())
            return Review(undecided=len(rows), accepted=0, refused=0)
        decided = list(read_review(self.review_file))
        asked, told = (Counter(str(row.get("id")) for row in some) for some in (rows, [row for _, row in decided]))
        for name in (asked - told) | (told - asked):
            how = "gone: refuse it with false instead" if name in asked - told else "none that was asked about"
            raise UserError(f"conversation {name} is {how}", file=self.review_file)
        numbers = Counter(accept for accept, _ in decided)
        if not numbers[None]:
            kept = [json.dumps(row, ensure_ascii=False) + "\n" for accept, row in decided if accept]
            if not kept:
                raise UserError("accepts nothing, so there is nothing to learn from", file=self.review_file)
            atomic_write(self.data, "".join(kept).encode())
            path = self.path / "counts.json"
            counts = json.loads(path.read_text())
            for category, own in counts.items():
                of = Counter(accept for accept, row in decided if row.get("category") == category)
                own.update({"kept": float(of[True]), "refused by people": float(of[False])})
            atomic_write(path, json.dumps(counts, indent=2, ensure_ascii=False).encode())
        return Review(undecided=numbers[None], accepted=numbers[True], refused=numbers[False])

    def save_checkpoint(self, step: int, write: Callable[[Path], None], state: Mapping[str, Any]) -> None:
        """Saves what ``write`` puts into an empty folder, and ``state`` as JSON; old checkpoints go only then."""
        checkpoints.save(self.path / "checkpoints", step, write, state)
        checkpoints.prune(self.path / "checkpoints", self._keep)

    def rewind(self, step: int, *, ended: bool = False) -> None:
        """Cuts off whatever is past the checkpoint at ``step`` (0: no checkpoint), so that it can be made again.

        Evaluations of the base stay; those of the trained model go, unless training had ``ended`` at this checkpoint.
        """
        cut_numbers(self.path / "metrics.jsonl", step)
        cut_numbers(self.path / "timings.jsonl", step)
        cut_numbers(self.path / "ledger.jsonl", math.inf)  # a torn end alone
        for later in self.rollout_steps():
            if later > step:
                atomic_remove(self._rollouts(later))
        for folder in sorted((self.path / "evaluations").iterdir()):
            place = _order(folder.name)
            if place is not None and place > (0, step) and not (ended and folder.name == TRAINED):
                atomic_remove(folder)
        checkpoints.cut(self.path / "checkpoints", step)
        checkpoints.prune(self.path / "checkpoints", self._keep)

    def finish(self, write_model: Callable[[Path], None] | None = None) -> None:
        """Stores the stage's result, an ordinary transformers folder, where it has one, and marks the stage as done."""
        if write_model is not None:
            atomic_directory(self.model, write_model)
        self._mark_done()


def _trouble(step: int) -> str:
    return f"{step_name(step)}.trouble"


def mark(path: Path) -> str:
    """Another text where a file has been written again."""
    try:
        status = path.stat()
    except OSError:
        return "-"
    return f"{status.st_size}:{status.st_mtime_ns}"


def checked_name(name: str) -> str:
    """A name that is safe as a file name. Raises UserError where it is not."""
    if not re.fullmatch(r"\w[\w.+-]*", name):
        raise UserError(f"the name {name!r} may hold letters, digits and . _ - + only, as it names a file")
    return name


def read_review(path: Path) -> Iterator[tuple[bool | None, dict[str, Any]]]:
    """Every row of a review file, and what people decided on it. Raises UserError naming the line that is wrong."""
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        if line.strip():
            row = json.loads(line)
            accept = row.pop("accept", "missing")
            if not (accept is None or isinstance(accept, bool)):
                text = f"accept is {accept!r:.20}, none of true, false, null"
                raise UserError(text, file=path, field=f"line {number}")
            yield accept, row


def _written(example: Example) -> dict[str, Any]:
    """A conversation as a row that ``tasks.conversations`` reads."""
    return {
        "id": example.id,
        "category": example.category,
        "language": example.language,
        "messages": [{"role": message.role, "content": message.content} for message in example.messages],
    }


def _order(checkpoint: str) -> tuple[int, int] | None:
    """Where an evaluation of a stage's own model stands among the others; None for any other name."""
    if is_step(checkpoint):
        return 0, step_of(checkpoint)
    return {BASE: (0, 0), TRAINED: (1, 0)}.get(checkpoint)


def _read_results(path: Path) -> dict[str, Estimate]:
    try:
        found = json.loads(path.read_text()).items()
        return {
            name: Estimate(**{field: float(value) for field, value in estimate.items()}) for name, estimate in found
        }
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UserError(f"holds no results of an evaluation: {error}", file=path) from error
