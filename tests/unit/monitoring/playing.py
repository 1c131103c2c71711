"""A short stage, as a run says it to whoever monitors it."""

from __future__ import annotations

from tests.made_runs import STAGE

from dunwu.monitoring.progress import Progress
from dunwu.types import Estimate

RESULTS = {"pass@1": Estimate(value=0.5, low=0.4, high=0.6)}


def play_stage(progress: Progress) -> None:
    """Say all of a stage of two rollouts and two evaluations."""
    progress.number_stage(1, 2)
    progress.start_stage(STAGE, "from base", step=0)
    progress.start_evaluation("base", "held-out", 8)
    progress.count_completions(8, 8)
    progress.log_evaluation("base", "held-out", RESULTS)
    progress.log_step(4, 8, {"reward": 1.0, "accuracy": 0.5, "kl": float("nan")}, {"rollout": 2.0})
    progress.log_step(8, 8, {"reward": 2.0, "accuracy": 1.0}, {"rollout": 2.5})
    progress.log_evaluation("trained", "held-out", RESULTS)
    progress.log_message("a word")
    progress.end_stage(STAGE)
