"""The facts of completions: numbers by hand."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path

import pyarrow as pa
import pytest
from tests.made_runs import STAGE, begin, train
from tests.unit.analysis.test_curves import ROW

from dunwu.analysis.reasoning import facts as module
from dunwu.analysis.reasoning.facts import FACTS_VERSION, Turn, Verdict, extract_facts, hash_problem_id, parse_number
from dunwu.runs import AnswerRow, RunReader

TEXT = "<think>5+4=9, 9*2=18, too small. wait, 5*4=20, 20+2=22, yes. 等等</think> <answer>5*4+2</answer>"


def test_one_completion_by_hand() -> None:
    row = dataclasses.replace(ROW, completion=TEXT, gold="5*4+2", parts={"accuracy": 1.0, "format": 0.0}, tokens=40)
    table = extract_facts([ROW, row]).to_pylist()
    found = table[1]
    expected = {
        "step": 4,
        "version": 3,
        "place": 1,
        "group": 0,
        "verdict": Verdict.RIGHT,
        "tokens": 40,
        "truncated": False,
        "steps": 5,
        "reflections": 2,
        "word.wait": 1,
        "word.等等": 1,
        "word.check": 0,
        "verification": 2,
        "backtracking": 1,
        "alternatives": 1,
        "subgoals": 0,
        "turn": Turn.MENDED,
        "part.accuracy": 1.0,
        "part.format": 0.0,
        "repetition": 0.0,
        "problem": hash_problem_id("p"),
    }
    assert {name: found[name] for name in expected} == expected
    assert found["own_language"] == pytest.approx(4 / 6)  # too small wait yes, 等 等


def test_a_language_that_nobody_knows_leaves_the_rest_readable() -> None:
    (found,) = extract_facts([dataclasses.replace(ROW, completion=TEXT, language="<l", tokens=40)]).to_pylist()
    assert (found["own_language"], found["language"], found["tokens"], found["reflections"]) == (None, "<l", 40, 2)


@pytest.mark.parametrize(
    ("thought", "right", "expected"),
    [
        ("5*4=20, 20+2=22. wait, check: 22", True, Turn.KEPT_RIGHT),
        ("5*4=20, 20+2=22. wait, 5+4=9", False, Turn.SPOILT),
        ("5+4=9, wrong", False, Turn.KEPT_WRONG),
        ("5+4=9. 9*2=18", True, Turn.NONE),
        ("wait, 5*4=20", True, Turn.NONE),
    ],
)
def test_turns(thought: str, right: bool, expected: Turn) -> None:
    row = dataclasses.replace(
        ROW, completion=f"<think>{thought}</think>", gold="(5*4)+2", parts={"accuracy": float(right)}
    )
    assert extract_facts([row])["turn"].to_pylist() == [expected]


def test_open_and_ungraded_answers() -> None:
    found = extract_facts(
        [dataclasses.replace(ROW, parts={"kind": 0.5}), dataclasses.replace(ROW, status="verifier_failed")]
    )
    assert found["verdict"].to_pylist() == [Verdict.OPEN, Verdict.RIGHT]
    assert found["graded"].to_pylist() == [True, False]
    assert found["part.accuracy"].to_pylist() == [None, 1.0]


@pytest.mark.parametrize(
    ("gold", "expected"),
    [
        ("42", Fraction(42)),
        (" -3.5 ", Fraction(-7, 2)),
        ("(8-3)*2/4", Fraction(5, 2)),
        ("1/0", None),
        ("9**9**9", None),
        ("def f(x): return x", None),
        ("x", None),
        ("True", None),
        ("1e999", None),
        ("", None),
        ("(" * 99, None),
        ("1+" * 60 + "1", None),
    ],
)
def test_golds_are_read_as_numbers_without_running_anything(gold: str, expected: Fraction | None) -> None:
    assert parse_number(gold) == expected


def test_facts_are_kept_beside_the_run_until_the_rollout_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with begin(tmp_path) as run:
        train(run.stage(STAGE), rollouts=2, questions=2)
    calls: list[int] = []

    def counted(rows: list[AnswerRow]) -> pa.Table:
        calls.append(len(rows))
        return module.extract_facts(rows)

    def read(step: int, maker: str = FACTS_VERSION) -> list[dict[str, object]]:
        found: list[dict[str, object]] = (
            RunReader(tmp_path).stage(STAGE).derived.make_table(step, maker, counted).to_pylist()
        )
        return found

    first = read(16)
    assert read(16) == first
    assert calls == [16]
    kept = tmp_path / "derived" / STAGE / "step-000016.arrow"
    kept.write_bytes(kept.read_bytes()[:100])  # torn
    assert read(16) == first
    assert len(calls) == 2
    read(16, "another maker")
    assert len(calls) == 3
    rollout = tmp_path / "stages" / STAGE / "rollouts" / "step-000016.parquet"
    rollout.write_bytes((rollout.parent / "step-000032.parquet").read_bytes())  # made again, differently
    assert read(16, "another maker") != first
    assert len(calls) == 4


def test_a_folder_that_cannot_be_written_is_no_obstacle(tmp_path: Path) -> None:
    with begin(tmp_path) as run:
        train(run.stage(STAGE), rollouts=1, questions=1)
    (tmp_path / "derived").write_text("in the way")
    assert RunReader(tmp_path).stage(STAGE).derived.make_table(16, FACTS_VERSION, extract_facts).num_rows == 8
