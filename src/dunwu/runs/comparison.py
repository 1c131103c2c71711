"""What an evaluation stage says of its models beside each other: DIR/stages/NAME/compared.json, written when all are
measured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from dunwu.errors import UserError
from dunwu.runs.atomic import atomic_write
from dunwu.runs.regular_files import regular
from dunwu.types import Estimate

FILE = "compared.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A model against the first one on the ``problems`` of a set that both answered: ``difference`` of pass@1 (this
    model's minus the first one's), and the p of a two-sided paired test."""

    set: str
    model: str
    against: str
    problems: int
    difference: Estimate
    p: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Accuracy of a model on a set, against what was spent: mean tokens of thought, or samples that vote."""

    of: Literal["thinking", "votes"]
    set: str
    model: str
    points: tuple[tuple[float, Estimate], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Of a stage."""

    pairs: tuple[Pair, ...] = ()
    curves: tuple[Curve, ...] = ()


def write(stage: Path, pairs: Sequence[Pair], curves: Sequence[Curve]) -> None:
    """Keeps what was found in a stage's folder."""
    record = asdict(Compared(pairs=tuple(pairs), curves=tuple(curves)))
    atomic_write(stage / FILE, (json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())


def read(stage: Path) -> Compared:
    """What is kept; nothing before it is written. Raises UserError where the file is damaged."""
    path = stage / FILE
    if not path.is_file():
        return Compared()
    try:
        found = json.loads(regular(path).read_text(encoding="utf-8"))
        pairs = [Pair(**{**pair, "difference": Estimate(**pair["difference"])}) for pair in found["pairs"]]
        curves = [
            Curve(**{**curve, "points": tuple((x, Estimate(**estimate)) for x, estimate in curve["points"])})
            for curve in found["curves"]
        ]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UserError(
            f"is damaged: {error}; remove it, and the stage's models are compared again", file=path
        ) from error
    return Compared(pairs=tuple(pairs), curves=tuple(curves))
