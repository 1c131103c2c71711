"""The cases that real use brought come out as they should: a few of our own, and all that were handed in."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from tests.cases import data
from tests.cases.__main__ import main
from tests.cases.running import SHARED, check

OWN = Path(__file__).parents[1] / "data" / "cases.jsonl"


def test_our_own_cases_are_right(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--file", str(OWN)]) == 0
    assert "math words" in capsys.readouterr().out


def test_a_wrong_case_is_counted_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = {"area": "math", "kind": "words", "input": {"gold": "on", "answer": "no"}, "expected": True, "note": ""}
    file = tmp_path / "cases.jsonl"
    file.write_text(json.dumps(case) + "\n" + json.dumps({**case, "area": "unknown"}) + "\n", encoding="utf-8")
    assert main(["--file", str(file), "--show"]) == 1
    shown = capsys.readouterr().out
    assert json.dumps(case) in shown
    assert "1/1" in shown
    assert "(1 not checked here)" in shown


def test_a_case_that_raises_is_wrong_and_stops_no_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = {"area": "math", "kind": "words", "input": {}, "expected": True, "note": ""}
    right = {**broken, "input": {"gold": "on", "answer": "on"}}
    file = tmp_path / "cases.jsonl"
    file.write_text(json.dumps(broken) + "\n" + json.dumps(right) + "\n", encoding="utf-8")
    assert main(["--file", str(file)]) == 1
    shown = capsys.readouterr().out
    assert "math words: KeyError: 'gold'" in shown
    assert "1/2" in shown


@pytest.mark.parametrize("form", data.FORMS)
def test_rows_that_differ_in_their_columns_and_types_are_written_in_every_form(form: str) -> None:
    rows: list[dict[str, Any]] = [{"a": 1, "b": [1]}, {"a": "x", "c": {"d": None}}]
    assert data.FORMS[form](rows)
    if form == ".parquet":
        table = pyarrow.parquet.read_table(io.BytesIO(data.FORMS[form](rows)))
        assert table.column_names == ["a", "b", "c"]
        assert str(table.schema.field("a").type) == "extension<arrow.json>"


@pytest.mark.parametrize("form", data.FORMS)
@pytest.mark.parametrize("bench", ["safety", "arena", "livecodebench", "codeforces", "ifeval"])
def test_published_rows_that_differ_are_read_out_of_every_form(bench: str, form: str) -> None:
    case = {"area": "data", "kind": "F4", "input": {"bench": bench, "file": f"{bench}{form}"}, "expected": "read"}
    assert check(case) is True


@pytest.mark.skipif(not SHARED.exists(), reason="the handed cases lie beside the project, not in it")
def test_all_that_were_handed_in_are_right() -> None:
    cases = [json.loads(line) for line in SHARED.read_text(encoding="utf-8").splitlines()]
    assert [case for case in cases if check(case) is False] == []
