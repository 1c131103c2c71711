"""The cases that real use brought come out as they should: a few of our own, and all that were handed in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
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


@pytest.mark.skipif(not SHARED.exists(), reason="the handed cases lie beside the project, not in it")
def test_all_that_were_handed_in_are_right() -> None:
    cases = [json.loads(line) for line in SHARED.read_text(encoding="utf-8").splitlines()]
    assert [case for case in cases if check(case) is False] == []
