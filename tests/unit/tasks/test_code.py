"""Tests of programs: the forms of data sets, and what is refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from dunwu.config.schema import TaskSpec
from dunwu.errors import UserError
from dunwu.tasks import build, code

HUMANEVAL = Path(__file__).parents[4] / "shared" / "data" / "humaneval.jsonl.gz"


@pytest.mark.parametrize(
    ("value", "entry", "expected"),
    [
        ({"stdin": "1\n", "stdout": "2\n"}, None, {"stdin": "1\n", "stdout": "2\n"}),
        ('{"call": "f", "args": [1], "result": 2}', None, {"call": "f", "args": [1], "result": 2}),
        ({"args": [1], "result": 2}, "g", {"call": "g", "args": [1], "result": 2}),
        ({"input": "1 2", "output": "3", "testtype": "stdin"}, None, {"stdin": "1 2", "stdout": "3"}),
        (
            {"input": '[1, 2]\n"a"', "output": "true", "testtype": "functional"},
            "Solution.f",
            {"call": "Solution.f", "args": [[1, 2], "a"], "result": True},
        ),
    ],
)
def test_the_forms_of_tests(value: Any, entry: str | None, expected: dict[str, Any]) -> None:
    assert json.loads(code.read_test(value, entry)) == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("nonsense", "is no JSON"),
        ([1], "is no object"),
        ({}, "has the fields none"),
        ({"stdin": "1"}, "has the fields stdin"),
        ({"stdin": 1, "stdout": "2"}, "'stdin' is int"),
        ({"call": "f", "args": 1, "result": 2}, "'args' is no list"),
        ({"args": [], "result": 2}, "has the fields args, result"),
        ({"input": "x", "output": "1", "testtype": "functional"}, "is no JSON"),
        ({"input": "1", "output": "1", "testtype": "functional"}, "'call' is NoneType"),
        ({"input": "1", "testtype": "stdin"}, "'output' is missing"),
    ],
)
def test_what_is_no_test(value: Any, message: str) -> None:
    with pytest.raises(code.NotATestError, match=message):
        code.read_test(value)


def test_the_function_s_name_comes_as_text_or_in_metadata() -> None:
    assert code.function_name("solve") == "solve"
    assert code.function_name('{"func_name": "countPairs"}') == "Solution.countPairs"


def write(path: Path, *rows: dict[str, Any]) -> Path:
    """As JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def spec(path: Path, **fields: str) -> TaskSpec:
    """A file of programs."""
    columns = {"problem": "q", "answer": "a", "tests": "t"} | fields
    return TaskSpec(task="file", kind="code", path=path, fields=columns, held_out=0.0)


def test_a_file_of_programs(tmp_path: Path) -> None:
    tests = [{"args": [1], "result": 2}, {"args": [2], "result": 3}]
    row = {"q": "Write f.", "a": "def f(x): return x + 1", "t": json.dumps(tests), "m": '{"func_name": "f"}'}
    problem = build(spec(write(tmp_path / "p.jsonl", row), entry="m"), 0).problem(0)
    assert (problem.kind, problem.gold) == ("code", "def f(x): return x + 1")
    assert [json.loads(test) for test in problem.tests] == [{"call": "Solution.f"} | test for test in tests]


def test_a_row_with_a_bad_test_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", {"q": "Write f.", "a": "x", "t": [{"stdin": "1"}]})
    with pytest.raises(UserError, match=r"p.jsonl:1: a test is none: has the fields stdin"):
        build(spec(path), 0)


def test_humaneval_as_it_is_published() -> None:
    if not HUMANEVAL.exists():
        pytest.skip(f"{HUMANEVAL} is not on this machine")
    task = build(TaskSpec(task="humaneval", path=HUMANEVAL, held_out=1.0), 0)
    problems = task.held_out(164)
    with gzip.open(HUMANEVAL, "rt", encoding="utf-8") as lines:
        prompts = {json.loads(line)["prompt"].strip() for line in lines}
    assert {problem.messages[0].content for problem in problems} == prompts
    assert all(json.loads(problem.tests[0])["entry"] == "check" for problem in problems)
