"""The conversations that a stage makes, chunk by chunk, and what people decide on them.

chunks/000000.json    as they come
data.jsonl            all of them, once the last chunk is there; only the accepted ones after a review
counts.json           by category, how many answers were kept and why others were not
review.jsonl          where people decide
"""

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
"""By category, how many answers were kept and why others were not."""


class Review(NamedTuple):
    """How many conversations wait for a decision, were accepted and were refused."""

    undecided: int
    accepted: int
    refused: int


class GeneratedData:
    """The conversations of one stage.

    Args:
        stage: DIR/stages/NAME.

    Attributes:
        file: Where the conversations lie, data.jsonl.
        review_file: Where people decide on them, review.jsonl.
    """

    def __init__(self, stage: Path) -> None:
        self.file = stage / "data.jsonl"
        self.review_file = stage / "review.jsonl"
        self._counts_file = stage / "counts.json"
        self._chunks = stage / "chunks"

    def read_counts(self) -> Counts:
        """Return how many answers were kept and why others were not, by category; empty before the stage is done."""
        return json.loads(self._counts_file.read_text()) if self._counts_file.is_file() else {}

    def read_first(self, number: int) -> list[dict[str, Any]]:
        """Return the first conversations, as rows of the file; none before the stage is done."""
        if not self.file.is_file():
            return []
        with self.file.open(encoding="utf-8") as lines:
            return [json.loads(line) for line in islice(lines, number)]

    def count_chunks(self) -> int:
        """Return how many chunks are stored; they come one after another."""
        return next(number for number in count() if not self._chunk_file(number).exists())

    def write_chunk(self, number: int, examples: Sequence[Example], counts: Mapping[str, Mapping[str, float]]) -> None:
        """Store a chunk.

        Args:
            number: Its place, from 0.
            examples: Its conversations.
            counts: What became of all its answers, by category.
        """
        chunk = {"examples": [_to_record(example) for example in examples], "counts": counts}
        make_directory(self._chunks)
        atomic_write(self._chunk_file(number), json.dumps(chunk, ensure_ascii=False).encode())

    def join_chunks(self) -> Counts:
        """Write data.jsonl and counts.json from all chunks, and return the counts."""
        rows: list[dict[str, Any]] = []
        counts: Counts = {}
        for number in range(self.count_chunks()):
            chunk = json.loads(self._chunk_file(number).read_text())
            rows += chunk["examples"]
            add_counts(counts, chunk["counts"])
        _write_rows(self.file, rows)
        self._write_counts(counts)
        return counts

    def review(self) -> Review:
        """Take in what people have decided.

        The first call writes review.jsonl. Once every conversation in it has a decision, data.jsonl holds those that
        were accepted, as people edited them, and counts.json says so.

        Raises:
            UserError: A line of review.jsonl has no decision, a conversation is gone or new, or none is accepted.
        """
        rows = [json.loads(line) for line in self.file.open()]
        if not self.review_file.exists():
            _write_rows(self.review_file, [{"accept": None, **row} for row in rows])
            return Review(undecided=len(rows), accepted=0, refused=0)
        decisions = list(read_review(self.review_file))
        self._require_same([str(row.get("id")) for row in rows], [str(row.get("id")) for _, row in decisions])
        numbers = Counter(accept for accept, _ in decisions)
        if not numbers[None]:
            if not numbers[True]:
                raise UserError("accepts nothing, so there is nothing to learn from", file=self.review_file)
            self._keep_accepted(decisions)
        return Review(undecided=numbers[None], accepted=numbers[True], refused=numbers[False])

    def _require_same(self, asked: Sequence[str], answered: Sequence[str]) -> None:
        """Raise UserError where a conversation of the review is gone or new; each id counts as often as it stands."""
        missing, new = Counter(asked) - Counter(answered), Counter(answered) - Counter(asked)
        for name in missing | new:
            how = "gone: refuse it with false instead" if name in missing else "none that was asked about"
            raise UserError(f"conversation {name} is {how}", file=self.review_file)

    def _keep_accepted(self, decisions: Sequence[tuple[bool | None, Mapping[str, Any]]]) -> None:
        _write_rows(self.file, [row for accept, row in decisions if accept])
        counts = self.read_counts()
        for category, numbers in counts.items():
            decided = Counter(accept for accept, row in decisions if row.get("category") == category)
            numbers.update({"kept": float(decided[True]), "refused by people": float(decided[False])})
        self._write_counts(counts)

    def _write_counts(self, counts: Counts) -> None:
        atomic_write(self._counts_file, json.dumps(counts, indent=2, ensure_ascii=False).encode())

    def _chunk_file(self, number: int) -> Path:
        return self._chunks / f"{number:06d}.json"


def add_counts(sums: Counts, more: Counts) -> None:
    """Add counts to sums, in place."""
    for category, numbers in more.items():
        own = sums.setdefault(category, {})
        own.update({name: own.get(name, 0.0) + value for name, value in numbers.items()})


def read_review(path: Path) -> Iterator[tuple[bool | None, dict[str, Any]]]:
    """Yield the decision and the conversation of every row of a review file.

    Raises:
        UserError: A decision is none; names the line.
    """
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        if line.strip():
            row = json.loads(line)
            accept = row.pop("accept", "missing")
            if not (accept is None or isinstance(accept, bool)):
                text = f"accept is {accept!r:.20}, none of true, false, null"
                raise UserError(text, file=path, field=f"line {number}")
            yield accept, row


def _to_record(example: Example) -> dict[str, Any]:
    """Return a conversation as a row that ``tasks.datasets.conversations`` reads."""
    return {
        "id": example.id,
        "category": example.category,
        "language": example.language,
        "messages": [{"role": message.role, "content": message.content} for message in example.messages],
    }


def _write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    atomic_write(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())
