"""Agreement: how often the verifier, and a peer, pay wrong answers and refuse right ones, over golds of data sets.

    gold  x  RENDERINGS      right in another spelling     refused: a reward that is missed
    gold  x  PERTURBATIONS   wrong by a small change       paid: a reward that teaches to cheat

What the change leaves equal by chance (1/2 with its digits changed to 2/4) is left out: both sides are numbers then,
and their exact values say so.
"""

from __future__ import annotations

import json
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from dunwu.bench.respelling import RENDERINGS, make_near_misses
from dunwu.errors import UserError
from dunwu.verifiers.math import answers
from dunwu.verifiers.math.sympy_pool import CheckTimeout, WorkerPool

SHOWN = 5
"""Errors of a kind that are kept as examples."""
COLUMNS = ("answer", "golden")
DRAWS = 8
BUDGET_SECONDS = 1.0
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
    """The errors of one verifier.

    Attributes:
        refused: Right answers that it refused, by kind.
        paid: Wrong answers that it accepted, by kind.
        shown: Some of either, as pairs of gold and answer, by kind.
        slowest: Longest verdict, in seconds of processor time of this process; a worker has its own bound.
    """

    refused: Counter[str] = field(default_factory=Counter)
    paid: Counter[str] = field(default_factory=Counter)
    shown: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    slowest: float = 0.0

    def add(self, pair: Pair, judge: Judge) -> None:
        """Ask for a verdict on one pair, and count it where it is wrong."""
        start = time.process_time()
        verdict = judge(pair.gold, pair.answer)
        self.slowest = max(self.slowest, time.process_time() - start)
        if verdict is pair.right:
            return
        (self.refused if pair.right else self.paid)[pair.kind] += 1
        examples = self.shown.setdefault(pair.kind, [])
        if len(examples) < SHOWN:
            examples.append((pair.gold, pair.answer))


def measure_agreement(files: Sequence[Path], against: Sequence[str] = (), draws: int = DRAWS) -> dict[str, Any]:
    """Count the errors of ours, and of math-verify, over the golds of files.

    Args:
        files: JSON Lines with a column ``answer`` (or ``golden``); of GSM8K what stands behind ``####``.
        against: ``math-verify``, or nothing for ours alone.
        draws: How often each perturbation is tried on each gold.

    Returns:
        A workload for right answers that are refused, and one for wrong ones that are paid.

    Raises:
        UserError: A file cannot be read, or a row has no gold.
    """
    pairs = list(_make_pairs(dict.fromkeys(gold for file in files for gold in read_golds(file)), draws))
    tallies = {"dunwu": _count_errors(pairs, _open_ours)}
    tallies |= {peer: _count_errors(pairs, _open_math_verify) for peer in against}
    return {
        "right answers refused": _make_workload(tallies, pairs, right=True),
        "near misses paid": _make_workload(tallies, pairs, right=False),
    }


def _count_errors(pairs: Sequence[Pair], open_judge: Callable[[], AbstractContextManager[Judge]]) -> Tally:
    tally = Tally()
    with open_judge() as judge:
        for pair in pairs:
            tally.add(pair, judge)
    return tally


@contextmanager
def _open_ours() -> Iterator[Judge]:
    pool = WorkerPool(workers=1, budget=BUDGET_SECONDS)

    def judge(gold: str, answer: str) -> bool:
        try:
            return answers.same_answer(gold, answer, pool.ask)
        except CheckTimeout:
            return False

    try:
        yield judge
    finally:
        pool.close()


@contextmanager
def _open_math_verify() -> Iterator[Judge]:
    """Ask math-verify as its page says: gold and answer as LaTeX between dollars, where they have no wrapper."""
    from math_verify import parse, verify

    def wrapped(text: str) -> str:
        return text if "$" in text or "boxed" in text else f"${text}$"

    def judge(gold: str, answer: str) -> bool:
        return bool(verify(parse(wrapped(gold)), parse(wrapped(answer))))

    logging.getLogger("math_verify").setLevel(logging.CRITICAL)  # a page for each answer that it cannot read
    yield judge


def _make_workload(tallies: Mapping[str, Tally], pairs: Sequence[Pair], right: bool) -> dict[str, Any]:
    """Return the errors in one direction, in the shape of all benchmarks, with their kinds and examples."""
    errors = {name: tally.refused if right else tally.paid for name, tally in tallies.items()}
    kinds = {pair.kind for pair in pairs if pair.right is right}
    shown = {
        name: {kind: examples for kind, examples in tally.shown.items() if kind in kinds}
        for name, tally in tallies.items()
    }
    own, *peers = errors
    return {
        "ours": errors[own].total(),
        "unit": f"of {sum(pair.right is right for pair in pairs):,}",
        "peers": {name: errors[name].total() for name in peers},
        "ratio": None,
        "floor_share": None,
        **{f"{name}, by kind": dict(errors[name].most_common()) or "none" for name in errors},
        **{f"{name}, longest": tallies[name].slowest for name in errors},
        "examples": shown,
    }


def read_golds(file: Path) -> Iterator[str]:
    """Yield the golds of a file of JSON Lines.

    Raises:
        UserError: It cannot be read, or a row has none.
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


def _make_pairs(golds: dict[str, None], draws: int) -> Iterator[Pair]:
    rng = random.Random(0)
    for gold in golds:
        rendered: dict[str, str] = {}
        for kind, render in RENDERINGS.items():  # a rendering that changes nothing is no other one
            rendered.setdefault(render(gold), kind)
        yield from (Pair(gold, answer, kind, True) for answer, kind in rendered.items())
        value = answers.make_key(gold)
        for answer, kind in make_near_misses(rng, gold, draws).items():
            if answers.make_key(answer) != value:
                yield Pair(gold, answer, kind, False)
