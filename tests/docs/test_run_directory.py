"""The page on the run directory has every file that a run writes, every column of answers, and the version."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from dunwu.config.check_rewards import METRICS
from dunwu.runs import answer_tables
from dunwu.runs.upgrade import RENAMED_METRICS, SCHEMA_VERSION
from tests.docs.pages import ROOT
from tests.docs.test_readme import rows_of

PAGE = "docs/reference/run-directory.md"
TEXT = (ROOT / PAGE).read_text(encoding="utf-8")
WRITERS = [
    *sorted((ROOT / "src/dunwu/runs").glob("*.py")),
    *sorted((ROOT / "src/dunwu/training").glob("*.py")),
    *sorted((ROOT / "src/dunwu/pipeline").rglob("*.py")),
    ROOT / "src/dunwu/pretraining/train.py",
    ROOT / "src/dunwu/observatory/report/report.py",
]
"""Who writes into a run directory."""
FILE = re.compile(r"(?<![\w.])[\w-]+\.(?:json|jsonl|toml|html|safetensors)\b")


COMPOSED = {"reference.safetensors", "rank-00000.safetensors"}
"""Files whose names the code puts together."""


def files_in(writer: Path) -> set[str]:
    """Return the names of files among the texts of a module's code."""
    constants = [node.value for node in ast.walk(ast.parse(writer.read_text())) if isinstance(node, ast.Constant)]
    return {text.lstrip("-") for text in constants if isinstance(text, str) and FILE.fullmatch(text.lstrip("-"))}


def columns_of(layout: answer_tables.Layout) -> set[str]:
    return {*layout.columns, f"{answer_tables.PART}NAME"}


def test_the_page_names_every_file_and_no_other() -> None:
    written = {name for writer in WRITERS for name in files_in(writer)}
    assert {"metrics.jsonl", "MANIFEST.json", "ended.json", "contamination.json", "replay.safetensors"} <= written
    named = {name.removeprefix("DIR-") for name in FILE.findall(TEXT) if name != "SET.jsonl"}
    assert named == written | COMPOSED


def test_the_page_has_the_columns_of_answers() -> None:
    rows = rows_of(PAGE, "| in rollouts")
    for place, layout in enumerate((answer_tables.ROLLOUTS, answer_tables.HELD_OUT)):
        assert {name for row in rows for name in re.findall(r"`([^`]+)`", row[place])} == columns_of(layout)


def test_the_page_has_the_version() -> None:
    assert f"`schema_version`, which is {SCHEMA_VERSION} today" in TEXT
    assert rows_of(PAGE, "| `schema_version` |")[0][0] == str(SCHEMA_VERSION)


def test_the_page_of_metrics_has_every_number_of_a_rollout() -> None:
    rows = rows_of("docs/reference/metrics.md", "| name | is")
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row[0])}
    assert named - {"accuracy", "format"} == METRICS - RENAMED_METRICS.keys()
