"""The run directory: the only reader and writer of its files."""

from dunwu.config.schema import display_names
from dunwu.runs.checkpoints import due
from dunwu.runs.comparison import Compared, Curve, Pair
from dunwu.runs.records import Checkpoint, Evaluation, EvaluationRow, RolloutRow, Spent
from dunwu.runs.run_directory import Run, RunReader
from dunwu.runs.run_state import RunState, going_on
from dunwu.runs.stage_directory import ABLATION, BASE, TRAINED, StageDirectory, StageReader

__all__ = [
    "ABLATION",
    "BASE",
    "TRAINED",
    "Checkpoint",
    "Compared",
    "Curve",
    "Evaluation",
    "EvaluationRow",
    "Pair",
    "RolloutRow",
    "Run",
    "RunReader",
    "RunState",
    "Spent",
    "StageDirectory",
    "StageReader",
    "display_names",
    "due",
    "going_on",
]
