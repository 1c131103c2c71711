"""How the models of an evaluation stage compare: DIR/stages/NAME/compared.json, written when all are measured."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from dunwu.errors import UserError
from dunwu.runs.atomic import atomic_write
from dunwu.runs.regular_files import require_regular
from dunwu.types import Estimate

FILE = "compared.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedTest:
    """A model against the first one, on the problems of a set that both answered.

    Attributes:
        set: The set's name.
        model: The model.
        against: The first model.
        problems: How many problems both answered.
        difference: This model's pass@1 minus the first one's.
        p: Of a two-sided paired test.
    """

    set: str
    model: str
    against: str
    problems: int
    difference: Estimate
    p: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyCurve:
    """Accuracy of a model on a set against test-time compute.

    Attributes:
        of: What is spent: tokens of thinking (mean), or samples that vote.
        set: The set's name.
        model: The model.
        points: Pairs of what is spent and the accuracy.
    """

    of: Literal["thinking", "votes"]
    set: str
    model: str
    points: tuple[tuple[float, Estimate], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All tests and curves of a stage."""

    pairs: tuple[PairedTest, ...] = ()
    curves: tuple[AccuracyCurve, ...] = ()


def write_comparison(stage: Path, comparison: Comparison) -> None:
    """Keep a comparison in the folder of its stage."""
    text = json.dumps(asdict(comparison), indent=2, ensure_ascii=False, allow_nan=False)
    atomic_write(stage / FILE, (text + "\n").encode())


def read_comparison(stage: Path) -> Comparison:
    """Return the comparison of a stage, without tests and curves before it is made.

    Raises:
        UserError: The file is damaged.
    """
    path = stage / FILE
    if not path.is_file():
        return Comparison()
    try:
        found = json.loads(require_regular(path).read_text(encoding="utf-8"))
        pairs = [PairedTest(**{**pair, "difference": Estimate(**pair["difference"])}) for pair in found["pairs"]]
        curves = [
            AccuracyCurve(**{**curve, "points": tuple((x, Estimate(**estimate)) for x, estimate in curve["points"])})
            for curve in found["curves"]
        ]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UserError(
            f"is damaged: {error}; remove it, and the stage's models are compared again", file=path
        ) from error
    return Comparison(pairs=tuple(pairs), curves=tuple(curves))
