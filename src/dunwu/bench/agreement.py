"""Agreement: how often the verifier, and a peer, pay wrong answers and refuse right ones, over golds of data sets.

    gold  x  RENDERINGS      right in another spelling     refused: a reward that is missed
    gold  x  PERTURBATIONS   wrong by a small change       paid: a reward that teaches to cheat

What the change leaves equal by chance (1/2 with its digits changed to 2/4) is left out: both sides are numbers then,
and their exact values say so.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from dunwu.bench.respelling import RENDERINGS, misses
from dunwu.errors import UserError
from dunwu.verifiers import answers
from dunwu.verifiers.pool import CheckTimeout, WorkerPool

SHOWN = 5
"""Disagreements of a kind that are kept, to be looked at."""
COLUMNS = ("answer", "golden")
DRAWS = 3
BUDGET = 1.0
"""Seconds of processor time that a comparison may take."""

Judge = Callable[[str, str], bool]


class Pair(NamedTuple):
    """A gold and an answer, how it was made, and whether it is right."""

    gold: str
    answer: str
    kind: str
    right: bool


@dataclass
class Tally:
    """What one verifier makes of the pairs: errors by kind, some of them, and seconds."""

    refused: Counter[str] = field(default_factory=Counter)
    paid: Counter[str] = field(default_factory=Counter)
    shown: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    seconds: float = 0.0
    slowest: float = 0.0

    def judge(self, pair: Pair, verdict: Judge) -> None:
        """Add the verdict about one pair; seconds are of this process and its children, by processor time."""
        start = time.process_time()
        said = verdict(pair.gold, pair.answer)
        passed = time.process_time() - start
        self.seconds, self.slowest = self.seconds + passed, max(self.slowest, passed)
        if said is pair.right:
            return
        (self.refused if pair.right else self.paid)[pair.kind] += 1
        examples = self.shown.setdefault(pair.kind, [])
        if len(examples) < SHOWN:
            examples.append((pair.gold, pair.answer))


def measure_agreement(files: Sequence[Path], peer: Judge | None, draws: int = DRAWS) -> dict[str, Any]:
    """Return the errors of ours, and of a peer, over the golds of ``files``.

    Args:
        files: JSON Lines with a column ``answer`` (or ``golden``); of GSM8K what stands behind ``####``.
        peer: another verifier; None for ours alone.
        draws: how often each perturbation is tried on each gold.

    Raises:
        UserError: a file cannot be read, or a row has no gold.
    """
    pairs = list(_pairs(dict.fromkeys(gold for file in files for gold in read_golds(file)), draws))
    ours, theirs = Tally(), Tally()
    pool = WorkerPool(workers=1, budget=BUDGET)

    def verdict(gold: str, answer: str) -> bool:
        try:
            return answers.same(gold, answer, pool.ask)
        except CheckTimeout:
            return False

    try:
        for pair in pairs:
            ours.judge(pair, verdict)
    finally:
        pool.close()
    for pair in pairs if peer else ():
        assert peer is not None
        theirs.judge(pair, peer)
    counts = Counter(pair.right for pair in pairs)
    return {
        "right answers": counts[True],
        "near misses": counts[False],
        "ours": _shown(ours),
        **({"math-verify": _shown(theirs)} if peer else {}),
    }


def read_golds(file: Path) -> Iterator[str]:
    """Yield the golds of a file of JSON Lines.

    Raises:
        UserError: it cannot be read, or a row has none.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read: {error}", field="--data") from error
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            gold = next(str(row[column]) for column in COLUMNS if column in row)
        except (ValueError, TypeError, StopIteration):
            raise UserError(f"{file}, line {number}: no gold; wanted {' or '.join(COLUMNS)}", field="--data") from None
        yield gold.rpartition("####")[2].strip()


def _pairs(golds: dict[str, None], draws: int) -> Iterator[Pair]:
    rng = random.Random(0)
    for gold in golds:
        rendered = {render(gold): kind for kind, render in RENDERINGS.items()}
        yield from (Pair(gold, answer, kind, True) for answer, kind in rendered.items())
        value = answers.key(gold)
        for answer, kind in misses(rng, gold, draws).items():
            if answers.key(answer) != value:
                yield Pair(gold, answer, kind, False)


def _shown(tally: Tally) -> dict[str, Any]:
    return {
        "right refused": tally.refused.total(),
        "wrong paid": tally.paid.total(),
        "refused by kind": dict(tally.refused.most_common()),
        "paid by kind": dict(tally.paid.most_common()),
        "examples": tally.shown,
        "seconds": tally.seconds,
        "slowest": tally.slowest,
    }
