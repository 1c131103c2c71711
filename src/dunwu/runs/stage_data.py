"""The conversations that a stage makes: chunks/000000.json as they come, then data.jsonl and counts.json; where people
decide on them, review.jsonl."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any, NamedTuple

from dunwu.errors import UserError
from dunwu.runs.atomic import atomic_write, make_directory
from dunwu.types import Example

Counts = dict[str, dict[str, float]]
"""By category, how many answers went which way."""


class Review(NamedTuple):
    """How many conversations people have not decided on, accepted and refused."""

    undecided: int
    accepted: int
    refused: int


def add_counts(sums: Counts, more: Counts) -> None:
    """Adds ``more`` to ``sums``."""
    for category, numbers in more.items():
        own = sums.setdefault(category, {})
        own.update({name: own.get(name, 0.0) + value for name, value in numbers.items()})


def data_file(stage: Path) -> Path:
    """Where the conversations lie."""
    return stage / "data.jsonl"


def review_file(stage: Path) -> Path:
    """Where people decide on these."""
    return stage / "review.jsonl"


def read_counts(stage: Path) -> Counts:
    """By category how many answers were kept and why others went; empty for a stage that keeps none."""
    path = _counts_file(stage)
    return json.loads(path.read_text()) if path.is_file() else {}


def read_first(stage: Path, number: int) -> list[dict[str, Any]]:
    """The first conversations, as rows of a file; none before the stage is done."""
    if not data_file(stage).is_file():
        return []
    with data_file(stage).open(encoding="utf-8") as lines:
        return [json.loads(line) for line in islice(lines, number)]


def chunks(stage: Path) -> int:
    """How many chunks are stored; they come one after another."""
    return next(number for number in count() if not _chunk_file(stage, number).exists())


def write_chunk(
    stage: Path, number: int, examples: Sequence[Example], counts: Mapping[str, Mapping[str, float]]
) -> None:
    """Stores conversations, and what is told of them by category."""
    chunk = {"examples": [_written(example) for example in examples], "counts": counts}
    make_directory(stage / "chunks")
    atomic_write(_chunk_file(stage, number), json.dumps(chunk, ensure_ascii=False).encode())


def join_chunks(stage: Path) -> Counts:
    """Makes data.jsonl, and counts.json with the sums, of all chunks; the sums by category."""
    rows: list[dict[str, Any]] = []
    counts: Counts = {}
    for number in range(chunks(stage)):
        chunk = json.loads(_chunk_file(stage, number).read_text())
        rows += chunk["examples"]
        add_counts(counts, chunk["counts"])
    _write_rows(data_file(stage), rows)
    _write_counts(stage, counts)
    return counts


def review(stage: Path) -> Review:
    """What people have decided on the conversations of data.jsonl; once on all of them, data.jsonl holds what they
    accepted, as they edited it, and counts.json says so. The first call writes review.jsonl; later ones expect a
    conversation in every line of it.

    Raises:
        UserError: a line of review.jsonl has no decision, a conversation is gone or new, or nothing is accepted.
    """
    file = review_file(stage)
    rows = [json.loads(line) for line in data_file(stage).open()]
    if not file.exists():
        _write_rows(file, [{"accept": None, **row} for row in rows])
        return Review(undecided=len(rows), accepted=0, refused=0)
    decided = list(read_review(file))
    asked, told = (Counter(str(row.get("id")) for row in some) for some in (rows, [row for _, row in decided]))
    for name in (asked - told) | (told - asked):
        how = "gone: refuse it with false instead" if name in asked - told else "none that was asked about"
        raise UserError(f"conversation {name} is {how}", file=file)
    numbers = Counter(accept for accept, _ in decided)
    if not numbers[None]:
        if not numbers[True]:
            raise UserError("accepts nothing, so there is nothing to learn from", file=file)
        _write_rows(data_file(stage), [row for accept, row in decided if accept])
        counts = read_counts(stage)
        for category, own in counts.items():
            of = Counter(accept for accept, row in decided if row.get("category") == category)
            own.update({"kept": float(of[True]), "refused by people": float(of[False])})
        _write_counts(stage, counts)
    return Review(undecided=numbers[None], accepted=numbers[True], refused=numbers[False])


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
    """A conversation as a row that ``tasks.datasets.conversations`` reads."""
    return {
        "id": example.id,
        "category": example.category,
        "language": example.language,
        "messages": [{"role": message.role, "content": message.content} for message in example.messages],
    }


def _write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    atomic_write(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())


def _write_counts(stage: Path, counts: Counts) -> None:
    atomic_write(_counts_file(stage), json.dumps(counts, indent=2, ensure_ascii=False).encode())


def _counts_file(stage: Path) -> Path:
    return stage / "counts.json"


def _chunk_file(stage: Path, number: int) -> Path:
    return stage / "chunks" / f"{number:06d}.json"
