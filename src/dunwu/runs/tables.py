"""Rollouts and evaluation rows as Parquet: the same rows give the same bytes."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dunwu.errors import UserError
from dunwu.runs.atomic import atomic_write
from dunwu.runs.checkpoints import step_name
from dunwu.runs.records import EvaluationRow, RolloutRow
from dunwu.runs.regular_files import regular
from dunwu.types import ScoredGroup

PART = "part."
"""Prefix of the columns that hold the parts of a score, e.g. ``part.accuracy``."""

_TYPES = {"int": pa.int64(), "int | None": pa.int64(), "float": pa.float64()}  # everything else is text


def rollouts_file(stage: Path, step: int) -> Path:
    """Where the completions of a step lie."""
    return stage / "rollouts" / f"{step_name(step)}.parquet"


def rollout_rows(step: int, groups: Sequence[ScoredGroup]) -> list[RolloutRow]:
    """Flattens scored groups; ``group`` and ``index`` are positions in the sequences given."""
    rows = []
    for position, scored in enumerate(groups):
        problem = scored.group.prompt.problem
        prompt = "\n".join(message.content for message in problem.messages if message.role == "user")
        for index, (completion, score) in enumerate(zip(scored.group.completions, scored.scores, strict=True)):
            logprobs_C = completion.logprobs
            rows.append(
                RolloutRow(
                    step=step,
                    group=position,
                    index=index,
                    problem_id=problem.id,
                    task=problem.task,
                    level=problem.level,
                    language=problem.language,
                    prompt=prompt,
                    completion=completion.text,
                    finish=completion.finish,
                    tokens=len(completion.token_ids),
                    logprob=float(np.mean(logprobs_C, dtype=np.float64)) if len(logprobs_C) else 0.0,
                    policy_version=completion.policy_version,
                    value=float(score.value),
                    parts={name: float(part) for name, part in score.parts.items()},
                    status=score.status,
                    extracted=score.extracted,
                    gold=problem.gold,
                    reason=score.reason,
                )
            )
    return rows


def write_rollout_rows(path: Path, rows: Sequence[RolloutRow]) -> None:
    """One column a field, one ``part.NAME`` column a part; a part that a row lacks is null."""
    parts = sorted({name for row in rows for name in row.parts})
    columns = {
        field.name: _column(str(field.type), [getattr(row, field.name) for row in rows])
        for field in fields(RolloutRow)
        if field.name != "parts"
    }
    columns |= {PART + name: _column("float", [row.parts.get(name) for row in rows]) for name in parts}
    _write(path, columns)


def read_rollout_rows(path: Path) -> list[RolloutRow]:
    """Raises UserError where the file is no Parquet file of rollouts, or a value in it is not of its column's kind."""
    rows, records = [], _read(path, RolloutRow)
    if not records:
        raise UserError("holds no rollouts", file=path)
    for record in records:
        parts = {name: record.pop(name) for name in list(record) if name.startswith(PART)}
        present = {name.removeprefix(PART): part for name, part in parts.items() if part is not None}
        rows.append(RolloutRow(parts=present, **record))
    return rows


def read_texts(path: Path) -> pa.Table:
    """The columns ``prompt`` and ``completion``. Raises UserError where the file is no Parquet file of rollouts."""
    return _table(path, ["prompt", "completion"])


def write_evaluation_rows(path: Path, rows: Iterable[EvaluationRow]) -> None:
    """One column a field."""
    records = [asdict(row) for row in rows]
    _write(
        path,
        {f.name: _column(str(f.type), [record[f.name] for record in records]) for f in fields(EvaluationRow)},
    )


def read_evaluation_rows(path: Path) -> list[EvaluationRow]:
    """Raises UserError where the file is no Parquet file of evaluation rows."""
    return [EvaluationRow(**record) for record in _read(path, EvaluationRow)]


def _column(annotation: str, values: list[Any]) -> Any:
    if annotation in _TYPES:
        return pa.array(values, _TYPES[annotation])
    # a byte-level tokenizer cut in the middle of a character can leave a lone surrogate, which UTF-8 lacks
    return pa.array([v if v is None else v.encode(errors="replace").decode() for v in values], pa.string())


def _write(path: Path, columns: dict[str, Any]) -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, compression="zstd")
    atomic_write(path, buffer.getvalue())


def _read(path: Path, kind: type[RolloutRow | EvaluationRow]) -> list[dict[str, Any]]:
    """The columns of a kind of row, and the parts of a score where it has such; other columns are left. A field with a
    default may have no column: the file is older than the field."""
    table = _table(path)
    found = [field for field in fields(kind) if field.name != "parts"]
    columns = [field.name for field in found if field.default is MISSING or field.name in table.column_names]
    for name in columns:
        if name not in table.column_names:
            raise UserError(f"lacks the column {name!r}", file=path)
    parts = [name for name in table.column_names if name.startswith(PART)] if kind is RolloutRow else []
    kinds = {field.name: str(field.type) for field in found} | dict.fromkeys(parts, "float | None")
    for name in (*columns, *parts):
        _check(path, table, name, kinds[name])
    records: list[dict[str, Any]] = table.select([*columns, *parts]).to_pylist()
    return records


def _check(path: Path, table: pa.Table, name: str, annotation: str) -> None:
    """Raises UserError, naming column and row, where a column holds what its field's ``annotation`` does not allow."""
    column, (kind, _, optional) = table[name], annotation.partition(" | ")
    fits = _FITS.get(kind, _is_text)
    if not (fits(column.type) or (optional and pa.types.is_null(column.type))):
        raise UserError(f"holds values of type {column.type}", file=path, field=f"column {name}")
    found = {"nothing": pc.index(pc.is_null(column), True).as_py() if not optional else -1}
    if pa.types.is_floating(column.type):
        found["no finite number"] = pc.index(pc.is_finite(column), False).as_py()
    for what, place in found.items():
        if place >= 0:
            raise UserError(f"holds {what}", file=path, field=f"column {name}, row {place + 1}")


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind))


_FITS = {
    "int": pa.types.is_integer,
    "float": lambda kind: pa.types.is_floating(kind) or pa.types.is_integer(kind),
}


def _table(path: Path, columns: list[str] | None = None) -> pa.Table:
    try:
        return pq.read_table(regular(path), columns=columns, partitioning=None, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"is not a readable Parquet file: {error}", file=path) from error
