"""What share of a GRPO step the policy waits for rewards where every answer is a program with five tests.

``fixed``, ``natural``   the steps of ``dunwu bench step``

Half of the programs pass all five tests, the others fail at the first; none has been seen before. The peer,
``afterwards``, is the same step whose grading begins when the last completion is there.
"""

from __future__ import annotations

import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from dunwu.bench.sandbox import SOURCE, TESTS
from dunwu.bench.step import GROUP_SIZE, PROMPTS, OurStep, Workload, make_fixed_workload, make_natural_workload
from dunwu.config.packaged import NANO_BASE
from dunwu.errors import UserError
from dunwu.rollout.engine import Engine, Sample
from dunwu.sandbox import Limits, choose
from dunwu.types import Completion, GenerationRequest, Problem, RolloutGroup, Sampling, Score
from dunwu.verifiers.code import CodeVerifier

ROUNDS = 3
PEER = "afterwards"
PROGRAMS = (SOURCE, SOURCE.replace("+", "-"))


class ProgramGrader:
    """Runs one of ``PROGRAMS`` for each completion, whatever it says: the tokens' sum decides which."""

    def __init__(self, verifier: CodeVerifier, workers: int) -> None:
        self.workers = workers
        self._verifier, self._number = verifier, itertools.count()

    def score(self, problem: Problem, completion: Completion) -> Score:
        """Score by one program's verdict; see ``rollout.collect.Grader``."""
        program = PROGRAMS[int(completion.token_ids.sum()) % 2]
        ran = self._verifier.judge(TESTS, f"{program}  # {next(self._number)}")
        return Score(value=float(ran.result == "passed"), parts={}, status="graded", extracted=None, reason=ran.reason)

    def score_group(self, group: RolloutGroup, scores: Sequence[Score], update: int) -> tuple[Score, ...]:
        """Return the scores as they are; see ``rollout.collect.Grader``."""
        return tuple(scores)


class Afterwards:
    """An engine that hands out nothing before everything is there."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.update_weights, self.close = engine.update_weights, engine.close

    @property
    def policy_version(self) -> int:
        """See ``rollout.engine.Engine``."""
        return self._engine.policy_version

    def generate(
        self, requests: Sequence[GenerationRequest], sampling: Sampling
    ) -> Iterator[tuple[Sample, Completion]]:
        """See ``rollout.engine.Engine``."""
        yield from list(self._engine.generate(requests, sampling))


def measure(against: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Measure which percentage of a step waits for rewards, with a place for each core.

    Args:
        against: ``afterwards`` or nothing.

    Returns:
        Medians of ``ROUNDS`` steps in turns, by workload.

    Raises:
        UserError: A peer other than ``afterwards``.
        Unavailable: This machine gives no safe tier.
    """
    for peer in against:
        if peer != PEER:
            raise UserError(f"no such peer: {peer}; waiting is measured against {PEER}", field="--against")
    places = os.cpu_count() or 1
    sandbox, _ = choose(places)
    with sandbox, tempfile.TemporaryDirectory(prefix="dunwu-bench-") as folder:
        grader = ProgramGrader(CodeVerifier(sandbox, Limits()), places)
        workloads = {"fixed": make_fixed_workload(Path(folder)), "natural": make_natural_workload(NANO_BASE)}
        return {name: _measure(workload, grader, against) for name, workload in workloads.items()}


def _measure(workload: Workload, grader: ProgramGrader, against: Sequence[str]) -> dict[str, Any]:
    sides = {name: OurStep(workload, grader) for name in ("dunwu", *against)}
    if PEER in sides:
        sides[PEER].engine = Afterwards(sides[PEER].engine)
    for side in sides.values():
        side()  # the first is slower
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(ROUNDS):
        for name, side in sides.items():
            taken[name].append(_share(side))
    shares = {name: statistics.median(each) for name, each in taken.items()}
    ours = shares.pop("dunwu")
    ratio = ours / shares[PEER] if shares else None
    unit = f"% of a step of {PROMPTS * GROUP_SIZE} completions"
    return {"ours": ours, "unit": unit, "peers": shares, "ratio": ratio, "floor_share": None}


def _share(step: Callable[[], float]) -> float:
    began = time.perf_counter()
    waited = step()
    return 100 * waited / (time.perf_counter() - began)
