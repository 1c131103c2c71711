"""Evaluation rows as files: what was written comes back, also from before a column was there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.unit.runs.making import evaluation_row

from dunwu.errors import UserError
from dunwu.runs.tables import read_evaluation_rows, write_evaluation_rows


def without(path: Path, column: str) -> Path:
    """The file as it was before it had a column."""
    pq.write_table(pq.read_table(path).drop_columns([column]), path)
    return path


def test_a_field_with_a_default_may_have_no_column(tmp_path: Path) -> None:
    written = [replace(evaluation_row(0), subject="Algebra"), evaluation_row(1)]
    write_evaluation_rows(tmp_path / "a.parquet", written)
    assert read_evaluation_rows(tmp_path / "a.parquet") == written
    old = read_evaluation_rows(without(tmp_path / "a.parquet", "subject"))
    assert old == [evaluation_row(0), evaluation_row(1)]
    with pytest.raises(UserError, match="lacks the column 'gold'"):
        read_evaluation_rows(without(tmp_path / "a.parquet", "gold"))
