"""Answers as Parquet: the same rows give the same bytes, and files of every schema version give the same columns."""

from __future__ import annotations

import io
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from itertools import repeat
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Float32

from dunwu.errors import UserError
from dunwu.runs.atomic import atomic_write
from dunwu.runs.checkpoints import format_step
from dunwu.runs.records import AnswerRow
from dunwu.runs.regular_files import require_regular
from dunwu.types import ScoredGroup

PART: Final = "part."
"""Prefix of the columns that hold the parts of a score, such as ``part.accuracy``."""
CORRECT: Final = "correct"
"""Column of held-out answers: 1 right, 0 wrong, null where no answer can be; all that version 1 keeps of the score."""

_TYPES: Final = {"int": pa.int64(), "float": pa.float64()}  # everything else is text


class _Field(NamedTuple):
    """A field of ``AnswerRow``, as a column."""

    kind: pa.DataType
    nullable: bool
    default: Any


def _to_field(annotation: str, default: Any = MISSING) -> _Field:
    kind, _, nullable = annotation.partition(" | ")
    return _Field(_TYPES.get(kind, pa.string()), bool(nullable), default)


_FIELDS: Final = {
    field.name: _to_field(str(field.type), field.default) for field in fields(AnswerRow) if field.name != "parts"
}
_PART_FIELD, _CORRECT_FIELD = _to_field("float | None"), _to_field("int | None")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How one kind of file stores answers.

    Attributes:
        columns: The stored columns in order, and the field of ``AnswerRow`` that each holds. Parts follow them.
        optional: Fields that may be null where their type allows it, and that a file may lack: their defaults stand.
    """

    columns: Mapping[str, str]
    optional: frozenset[str]


ROLLOUTS: Final = Layout(
    columns={
        name: name
        for name in (
            *("step", "group", "index", "problem_id", "task", "level", "language", "prompt", "completion", "finish"),
            *("tokens", "logprob", "policy_version", "value", "status", "extracted", "gold", "reason"),
        )
    },
    optional=frozenset({"extracted"}),
)
_NEW_IN_2: Final = ("task", "finish", "logprob", "policy_version", "value", "status")
HELD_OUT: Final = Layout(
    columns={
        "problem_id": "problem_id",
        "level": "level",
        "language": "language",
        "sample": "index",
        CORRECT: "right",
        "tokens": "tokens",
        "reflections": "reflections",
        "prompt": "prompt",
        "gold": "gold",
        "text": "completion",
        **{name: name for name in ("extracted", "subject", "reason", *_NEW_IN_2)},
    },
    optional=frozenset({"extracted", "subject", "reason", "reflections", *_NEW_IN_2}),
)
_MADE_OF: Final = {"group": "problem_id", PART + "accuracy": CORRECT}
"""Columns that files of held-out answers leave to be made of others."""


def locate_rollouts(stage: Path, step: int) -> Path:
    """Return where the completions of a step lie."""
    return stage / "rollouts" / f"{format_step(step)}.parquet"


def make_rows(groups: Sequence[ScoredGroup], *, step: int | None = None) -> list[AnswerRow]:
    """Flatten scored groups.

    Args:
        groups: The groups; ``AnswerRow.group`` and ``index`` are places in this sequence and in its groups.
        step: Updates done when they have been learned from; None on held-out problems.

    Returns:
        A row for each completion, in order.
    """
    rows = []
    for place, scored in enumerate(groups):
        problem = scored.group.prompt.problem
        prompt = "\n".join(message.content for message in problem.messages if message.role == "user")
        for index, (completion, score) in enumerate(zip(scored.group.completions, scored.scores, strict=True)):
            rows.append(
                AnswerRow(
                    problem_id=problem.id,
                    task=problem.task,
                    subject=problem.subject,
                    level=problem.level,
                    language=problem.language,
                    group=place,
                    index=index,
                    prompt=prompt,
                    completion=completion.text,
                    finish=completion.finish,
                    tokens=len(completion.token_ids),
                    logprob=_average_logprob(completion.logprobs),
                    policy_version=completion.policy_version,
                    step=step,
                    value=float(score.value),
                    parts={name: float(part) for name, part in score.parts.items()},
                    status=score.status,
                    extracted=score.extracted,
                    gold=problem.gold,
                    reason=score.reason,
                )
            )
    return rows


def _average_logprob(logprobs_C: Float32[np.ndarray, " C"]) -> float | None:
    """Return the mean; None where a server reports none."""
    mean = float(np.mean(logprobs_C, dtype=np.float64)) if len(logprobs_C) else 0.0
    return mean if math.isfinite(mean) else None


def write_answers(path: Path, rows: Sequence[AnswerRow], layout: Layout) -> None:
    """Store answers: a column for each of the layout's, and a column ``part.NAME``, null where a row lacks that part.

    Args:
        path: The Parquet file, compressed with zstd.
        rows: The answers, in the order in which they are kept.
        layout: ``ROLLOUTS`` or ``HELD_OUT``.

    Raises:
        Fault: The file system refuses.
    """
    columns = {stored: _to_array(name, rows) for stored, name in layout.columns.items()}
    for part in sorted({part for row in rows for part in row.parts}):
        columns[PART + part] = pa.array([row.parts.get(part) for row in rows], pa.float64())
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, compression="zstd")
    atomic_write(path, buffer.getvalue())


def read_answers(path: Path, layout: Layout, columns: Collection[str] | None = None) -> pa.Table:
    """Read stored answers as a table, without a Python object for each.

    Args:
        path: The Parquet file.
        layout: What kind of file it is.
        columns: The columns wanted; None: all.

    Returns:
        A column for each field of ``AnswerRow`` under its name, then those of the parts as ``part.NAME``; the same
        for files of every schema version. Null where a row lacks a value.

    Raises:
        UserError: It is no such file, or a value in it is not of its column's kind.
    """
    table = _complete(path, _read_stored(path, layout, columns))
    names = [name for name in _FIELDS if columns is None or name in columns]
    parts = sorted(
        name for name in table.column_names if name.startswith(PART) and (columns is None or name in columns)
    )
    return pa.table({name: _read_column(path, table, name, layout) for name in (*names, *parts)})


def read_rollouts(path: Path, columns: Collection[str] | None = None) -> pa.Table:
    """Read the completions of one step, as :func:`read_answers` does; a file without any is refused."""
    table = read_answers(path, ROLLOUTS, columns)
    if not len(table):
        raise UserError("holds no rollouts", file=path)
    return table


def read_held_out(path: Path, columns: Collection[str] | None = None) -> pa.Table:
    """Read the answers to one set, as :func:`read_answers` does."""
    return read_answers(path, HELD_OUT, columns)


def join(tables: Sequence[pa.Table]) -> pa.Table:
    """Join tables of answers; a part that one of them lacks is null there.

    Args:
        tables: At least one, all with the same columns but for the parts.
    """
    joined = pa.concat_tables(tables, promote_options="default")
    parts = sorted(name for name in joined.column_names if name.startswith(PART))
    return joined.select([name for name in joined.column_names if not name.startswith(PART)] + parts)


def to_rows(table: pa.Table) -> list[AnswerRow]:
    """Return the rows of a table that :func:`read_answers` made of all columns."""
    parts = [name for name in table.column_names if name.startswith(PART)]
    names = [name for name in table.column_names if not name.startswith(PART)]
    scores = zip(*(table[name].to_pylist() for name in parts), strict=True) if parts else repeat(())
    short = [name.removeprefix(PART) for name in parts]
    return [
        AnswerRow(
            parts={name: part for name, part in zip(short, score, strict=True) if part is not None},
            **dict(zip(names, values, strict=True)),
        )
        for score, values in zip(scores, zip(*(table[name].to_pylist() for name in names), strict=True), strict=False)
    ]


def _read_stored(path: Path, layout: Layout, columns: Collection[str] | None) -> pa.Table:
    """Read the columns that those wanted are made of, under the names of the fields that they hold.

    Raises:
        UserError: It is no Parquet file, or lacks a column.
    """
    wanted = None if columns is None else {*columns, *(_MADE_OF[name] for name in columns if name in _MADE_OF)}
    try:
        with pq.ParquetFile(require_regular(path)) as file:
            stored = file.schema_arrow.names
            known = {**layout.columns, **{name: name for name in stored if name.startswith(PART)}}
            chosen = {old: new for old, new in known.items() if wanted is None or {old, new} & wanted}
            found = file.read([old for old in chosen if old in stored], use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"is not a readable Parquet file: {error}", file=path) from error
    for old, new in chosen.items():
        if old not in stored and new not in layout.optional:
            raise UserError(f"lacks the column {old!r}", file=path)
    return found.rename_columns([chosen[name] for name in found.column_names])


def _complete(path: Path, table: pa.Table) -> pa.Table:
    """Add the columns that are made of others. Raises UserError where the verdicts are none."""
    if "right" in table.column_names:
        _check(path, CORRECT, table["right"], _CORRECT_FIELD.kind, nullable=True)
        if PART + "accuracy" not in table.column_names:
            table = table.append_column(PART + "accuracy", table["right"].cast(_PART_FIELD.kind))
    if "group" not in table.column_names and "problem_id" in table.column_names:  # numbered as they come
        encoded = table["problem_id"].combine_chunks().dictionary_encode()
        table = table.append_column("group", encoded.indices)
    return table


def _read_column(path: Path, table: pa.Table, name: str, layout: Layout) -> Any:
    """Return a column as its field's type.

    Raises:
        UserError: The file lacks it, or holds in it what the field does not allow.
    """
    field = _FIELDS.get(name, _PART_FIELD)
    stored = next((old for old, new in layout.columns.items() if new == name), name)
    if name not in table.column_names:
        if field.default is MISSING:
            raise UserError(f"lacks the column {stored!r}", file=path)
        return pa.repeat(pa.scalar(field.default, field.kind), len(table))
    nullable = field.nullable and (name in layout.optional or name not in _FIELDS)
    _check(path, stored, table[name], field.kind, nullable=nullable)
    try:
        return table[name].cast(field.kind)
    except pa.ArrowInvalid as error:
        raise UserError(f"holds numbers that are too large: {error}", file=path, field=f"column {stored}") from error


def _check(path: Path, name: str, column: pa.ChunkedArray, kind: pa.DataType, *, nullable: bool) -> None:
    """Raise UserError, naming column and row, where a column holds what cannot be ``kind``."""
    if not (_FITS[kind](column.type) or (nullable and pa.types.is_null(column.type))):
        raise UserError(f"holds values of type {column.type}", file=path, field=f"column {name}")
    wrong = {} if nullable else {"nothing": pc.index(pc.is_null(column), True).as_py()}
    if pa.types.is_floating(column.type):
        wrong["no finite number"] = pc.index(pc.is_finite(column), False).as_py()
    for what, place in wrong.items():
        if place >= 0:
            raise UserError(f"holds {what}", file=path, field=f"column {name}, row {place + 1}")


def _to_array(name: str, rows: Sequence[AnswerRow]) -> pa.Array:
    """Return a field of all rows as a column; ``right`` as 1 or 0."""
    values = [getattr(row, name) for row in rows]
    kind = _FIELDS.get(name, _CORRECT_FIELD).kind
    if name == "right":
        values = [None if value is None else int(value) for value in values]
    if kind == pa.string():
        # a byte-level tokenizer cut in the middle of a character can leave a lone surrogate, which UTF-8 lacks
        values = [None if value is None else value.encode(errors="replace").decode() for value in values]
    return pa.array(values, kind)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind))


_FITS: Final = {
    pa.int64(): pa.types.is_integer,
    pa.float64(): lambda kind: pa.types.is_floating(kind) or pa.types.is_integer(kind),
    pa.string(): _is_text,
}
