"""Answers that were paid for, kept one by one until the set that they belong to is measured:
DIR/stages/NAME/evaluations/MODEL/SET.jsonl."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from dunwu.errors import UserError
from dunwu.runs.atomic import append_line, atomic_remove, atomic_write, make_directory
from dunwu.types import Finish


class KeptAnswer(NamedTuple):
    """What a model wrote, of so many tokens."""

    text: str
    finish: Finish
    tokens: int


class AnswerFile:
    """Of one model on one set of a stage; answers go by the seeds of their samples."""

    def __init__(self, stage: Path, model: str, set_name: str) -> None:
        self._path = stage / "evaluations" / model / f"{set_name}.jsonl"

    def read(self) -> Mapping[int, KeptAnswer]:
        """Every answer that is kept. What a kill tore off goes. Raises UserError where a line is none."""
        found: dict[int, KeptAnswer] = {}
        *lines, torn = self._path.read_bytes().split(b"\n") if self._path.exists() else [b""]
        if torn:
            atomic_write(self._path, b"".join(line + b"\n" for line in lines))
        for number, line in enumerate(lines, start=1):
            try:
                seed, text, finish, tokens = json.loads(line)
            except (ValueError, TypeError):
                raise UserError("is no answer: remove the line", file=self._path, field=f"line {number}") from None
            found[seed] = KeptAnswer(text, finish, tokens)
        return found

    def keep(self, seed: int, answer: KeptAnswer) -> None:
        """Adds an answer; durable on return."""
        make_directory(self._path.parent)
        append_line(self._path, json.dumps([seed, *answer], ensure_ascii=False).encode())

    def drop(self) -> None:
        """The set is measured."""
        atomic_remove(self._path)
