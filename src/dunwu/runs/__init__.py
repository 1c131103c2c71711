"""The run directory: the only reader and writer of its files."""

from dunwu.config.schema import display_names
from dunwu.runs.checkpoints import is_due
from dunwu.runs.comparison import AccuracyCurve, Comparison, PairedTest, read_comparison, write_comparison
from dunwu.runs.records import AnswerRow, Checkpoint, Cost, Evaluation
from dunwu.runs.run_reader import REGISTERED, RunReader
from dunwu.runs.run_state import RunState, format_resume_command
from dunwu.runs.run_writer import RunWriter
from dunwu.runs.server_records import read_server_records, write_server_record
from dunwu.runs.stage_reader import ABLATION, BASE, TRAINED, StageReader
from dunwu.runs.stage_writer import StageWriter

__all__ = [
    "ABLATION",
    "BASE",
    "REGISTERED",
    "TRAINED",
    "AccuracyCurve",
    "AnswerRow",
    "Checkpoint",
    "Comparison",
    "Cost",
    "Evaluation",
    "PairedTest",
    "RunReader",
    "RunState",
    "RunWriter",
    "StageReader",
    "StageWriter",
    "display_names",
    "format_resume_command",
    "is_due",
    "read_comparison",
    "read_server_records",
    "write_comparison",
    "write_server_record",
]
