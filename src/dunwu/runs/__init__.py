"""The run directory: the only reader and writer of its files."""

from dunwu.runs.records import Checkpoint, Evaluation, EvaluationRow, RolloutRow, Spent
from dunwu.runs.run import Run, RunReader
from dunwu.runs.stage import ABLATION, BASE, TRAINED, StageDirectory, StageReader

__all__ = [
    "ABLATION",
    "BASE",
    "TRAINED",
    "Checkpoint",
    "Evaluation",
    "EvaluationRow",
    "RolloutRow",
    "Run",
    "RunReader",
    "Spent",
    "StageDirectory",
    "StageReader",
]
