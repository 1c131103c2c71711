"""Answers of a server, kept one by one until their set is measured: DIR/stages/NAME/evaluations/MODEL/SET.jsonl."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from dunwu.errors import UserError
from dunwu.runs.atomic import append_line, atomic_remove, atomic_write, make_directory
from dunwu.types import Finish


class LoggedAnswer(NamedTuple):
    """What a model wrote, how it ended, and its length in tokens."""

    text: str
    finish: Finish
    tokens: int


class AnswerLog:
    """The answers of one model to one set, by the seeds of their samples.

    Args:
        stage: DIR/stages/NAME.
        model: The model's name in the recipe.
        set_name: The set's.
    """

    def __init__(self, stage: Path, model: str, set_name: str) -> None:
        self._path = stage / "evaluations" / model / f"{set_name}.jsonl"

    def read(self) -> Mapping[int, LoggedAnswer]:
        """Return all answers, and cut off what a kill left of a last line.

        Raises:
            UserError: A line holds no answer.
        """
        found: dict[int, LoggedAnswer] = {}
        *lines, torn = self._path.read_bytes().split(b"\n") if self._path.exists() else [b""]
        if torn:
            atomic_write(self._path, b"".join(line + b"\n" for line in lines))
        for number, line in enumerate(lines, start=1):
            try:
                seed, text, finish, tokens = json.loads(line)
            except (ValueError, TypeError):
                raise UserError("is no answer: remove the line", file=self._path, field=f"line {number}") from None
            found[seed] = LoggedAnswer(text, finish, tokens)
        return found

    def append(self, seed: int, answer: LoggedAnswer) -> None:
        """Add an answer; it is durable on return."""
        make_directory(self._path.parent)
        append_line(self._path, json.dumps([seed, *answer], ensure_ascii=False).encode())

    def remove(self) -> None:
        """Remove the file, once the set is measured."""
        atomic_remove(self._path)
