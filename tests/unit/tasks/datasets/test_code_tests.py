"""Tests of programs: the forms of data sets, and what is refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from dunwu.config.schema import TaskSpec
from dunwu.errors import UserError
from dunwu.sandbox import Limits, Sandbox
from dunwu.tasks import build_task
from dunwu.tasks.datasets import code_tests
from dunwu.verifiers.code import CodeVerifier, Ran

HUMANEVAL = Path(__file__).parents[5] / "shared" / "data" / "humaneval.jsonl.gz"


@pytest.mark.parametrize(
    ("value", "entry", "expected"),
    [
        ({"stdin": "1\n", "stdout": "2\n"}, None, {"stdin": "1\n", "stdout": "2\n"}),
        ('{"call": "f", "args": [1], "result": 2}', None, {"call": "f", "args": [1], "result": 2}),
        ({"args": [1], "result": 2}, "g", {"call": "g", "args": [1], "result": 2}),
        (
            {"input": "1 2", "output": "3", "testtype": "stdin"},
            None,
            {"stdin": "1 2", "stdout": "3", "rules": "livecodebench"},
        ),
        (
            {"input": '[1, 2]\n"a"', "output": "true", "testtype": "functional"},
            "Solution.f",
            {"call": "Solution.f", "args": [[1, 2], "a"], "result": True, "rules": "livecodebench"},
        ),
        (
            {"input": '"a\u2028b"', "output": "1", "testtype": "functional"},
            "f",
            {"call": "f", "args": ["a\u2028b"], "result": 1, "rules": "livecodebench"},
        ),
        (
            {
                "test": "try:\n    import check\nexcept ImportError:\n    check = print",
                "entry": "check",
                "candidate": "f",
            },
            None,
            {
                "test": "try:\n    import check\nexcept ImportError:\n    check = print",
                "entry": "check",
                "candidate": "f",
            },
        ),
    ],
)
def test_the_forms_of_tests(value: Any, entry: str | None, expected: dict[str, Any]) -> None:
    assert json.loads(code_tests.read_test(value, entry)) == expected


def checking(head: str) -> dict[str, str]:
    """A test whose source begins like this."""
    return {"test": f"{head}\ndef check(f): assert f(1) == 1", "entry": "check", "candidate": "f"}


@pytest.mark.parametrize(
    "head",
    [
        "import numpy as np",
        "from numpy.linalg import inv",
        "import os.path, collections.abc as c",
        "from __future__ import annotations",
        "try:\n    import six\nexcept ImportError:\n    six = None",
        "from . import sibling",
    ],
)
def test_test_sources_import_what_programs_find(head: str) -> None:
    assert json.loads(code_tests.read_test(checking(head))) == checking(head)


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
        ({"input": "1", "testtype": "functional"}, "'output' is missing"),
        ({"input": "1", "output": "1", "testtype": "functional"}, "is functional and has no function: name its column"),
        ({"foo": 1}, "a test has stdin, stdout; or call, args, result; or test, entry, candidate$"),
        ({"call": "def f(x):", "args": [], "result": 2}, "'call' is 'def f.x.:', not the name of a function"),
        ({"test": "def check(c) pass", "entry": "check", "candidate": "f"}, "its source is no Python: expected ':'"),
        (
            {"test": "return 1", "entry": "check", "candidate": "f"},
            "its source is no Python: 'return' outside function",
        ),
        ({"test": "x = " + "-" * 10**5 + "1", "entry": "x", "candidate": "f"}, "no Python: nested too deep"),
        ({"test": "def chekc(c): pass", "entry": "check", "candidate": "f"}, "its source defines no 'check'"),
        ({"test": "check(1)", "entry": "check", "candidate": "f"}, "its source defines no 'check'"),
        ({"test": "def t():\n def check(c): 0", "entry": "check", "candidate": "f"}, "its source defines no 'check'"),
        ({"input": "1", "testtype": "stdin"}, "'output' is missing"),
        ({"stdin": "1", "stdout": "1", "rules": "codejam"}, "'rules' is 'codejam', none of livecodebench"),
        (checking("import pandas as pd"), "its source imports 'pandas', which programs do not find"),
        (checking("def g():\n    from scipy.special import gamma"), "its source imports 'scipy'"),
        (checking("try:\n    x = 1\nexcept ImportError:\n    import six"), "its source imports 'six'"),
        (checking("try:\n    import six\nfinally:\n    pass"), "its source imports 'six'"),
        ({"stdin": "1", "stdout": "1", "prelude": "import sortedcontainers"}, "its prelude imports 'sortedcontainers'"),
    ],
)
def test_what_is_no_test(value: Any, message: str) -> None:
    with pytest.raises(code_tests.NotATestError, match=message):
        code_tests.read_test(value)


def test_a_functional_test_is_written_in_json() -> None:
    with pytest.raises(code_tests.NotATestError, match="a functional test's input or output is no JSON"):
        code_tests.read_test({"input": "x", "output": "1", "testtype": "functional"}, "f")


def test_no_test_source_is_run(tmp_path: Path) -> None:
    source = f"open({str(tmp_path / 'ran')!r}, 'w')\ndef check(c): pass"
    code_tests.read_test({"test": source, "entry": "check", "candidate": "f"})
    assert not (tmp_path / "ran").exists()


def test_the_function_s_name_comes_as_text_or_in_metadata() -> None:
    assert code_tests.find_function_name("solve") == "solve"
    assert code_tests.find_function_name('{"func_name": "countPairs"}') == "Solution.countPairs"
    assert code_tests.find_function_name("{}") is None


def write(path: Path, *rows: dict[str, Any]) -> Path:
    """As JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def spec(path: Path, **fields: str) -> TaskSpec:
    """A file of programs."""
    columns = fields or {"problem": "q", "answer": "a", "tests": "t"}
    return TaskSpec(task="file", kind="code", path=path, fields=columns, held_out=0.0)


def test_a_file_of_programs(tmp_path: Path) -> None:
    tests = [{"args": [1], "result": 2}, {"args": [2], "result": 3}]
    row = {"q": "Write f.", "a": "def f(x): return x + 1", "t": json.dumps(tests), "m": '{"func_name": "f"}'}
    path = write(tmp_path / "p.jsonl", row)
    problem = build_task(spec(path, problem="q", answer="a", tests="t", entry="m"), 0).get_problem(0)
    assert (problem.kind, problem.gold) == ("code", "def f(x): return x + 1")
    assert [json.loads(test) for test in problem.tests] == [{"call": "Solution.f"} | test for test in tests]


def test_a_row_with_a_bad_test_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", {"q": "Write f.", "a": "x", "t": [{"stdin": "1"}]})
    with pytest.raises(UserError, match=r"p.jsonl: .*: line 1: a test is none: has the fields stdin"):
        build_task(spec(path), 0)


LIVECODEBENCH = [
    {
        "question_content": "Print the sum.",
        "starter_code": "",
        "public_test_cases": '[{"input": "1 2\\n", "output": "3\\n", "testtype": "stdin"}]',
        "metadata": "{}",
    },
    {
        "question_content": "Double it.",
        "starter_code": "class Solution:\n    def twice(self, x: int) -> int:\n        ",
        "public_test_cases": '[{"input": "[2]\\n3\\n", "output": "[4]", "testtype": "functional"}]',
        "metadata": '{"func_name": "twice"}',
    },
]
"""Two rows in the form of the data set, a whole program and a function; none brings a solution."""


def test_livecodebench_as_it_is_published(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", *LIVECODEBENCH)
    task = build_task(spec(path, problem="question_content", tests="public_test_cases", entry="metadata"), 0)
    whole = [{"stdin": "1 2\n", "stdout": "3\n", "rules": "livecodebench"}]
    called = [{"call": "Solution.twice", "args": [[2], 3], "result": [4], "rules": "livecodebench"}]
    assert {json.dumps(list(map(json.loads, p.tests))): p.gold for p in map(task.get_problem, range(2))} == {
        json.dumps(whole): "none is given",
        json.dumps(called): "none is given",
    }
    columns = {"problem": "question_content", "answer": "starter_code", "tests": "public_test_cases"}
    with pytest.raises(UserError, match=r"1 of 2 rows are malformed.*line 2: a test is none: is functional and has no"):
        build_task(spec(path, **columns), 0)
    with pytest.raises(UserError, match=r"1 of 2 rows are malformed.*line 2: .*'call' is 'class Solution:"):
        build_task(spec(path, **columns, entry="starter_code"), 0)


def test_humaneval_as_it_is_published() -> None:
    if not HUMANEVAL.exists():
        pytest.skip(f"{HUMANEVAL} is not on this machine")
    task = build_task(TaskSpec(task="humaneval", path=HUMANEVAL, held_out=1.0), 0)
    problems = task.get_held_out(164)
    with gzip.open(HUMANEVAL, "rt", encoding="utf-8") as lines:
        prompts = {json.loads(line)["prompt"].strip() for line in lines}
    assert {problem.messages[0].content for problem in problems} == prompts
    assert all(json.loads(problem.tests[0])["entry"] == "check" for problem in problems)


MBPP = {
    "task_id": 1,
    "text": "Write a function to find the larger one.",
    "code": "import math\r\ndef better(a, b): return a > b\r\ndef larger(a, b): return a if better(a, b) else b",
    "test_list": ["assert larger(1, 2) == 2", "assert math.isclose(larger(2.5, 1), 2.5)"],
    "test_setup_code": "",
    "challenge_test_list": [],
}
SANITIZED = {name: value for name, value in MBPP.items() if name not in ("text", "test_setup_code")} | {
    "prompt": MBPP["text"],
    "test_imports": ["import math"],
}
PLUS = SANITIZED | {
    "test": "import numpy as np\ninputs = [[1, 2]]\nfor i in inputs:\n    assert np.all(larger(*i) == 2)"
}


@pytest.mark.parametrize("row", [MBPP, SANITIZED, PLUS, MBPP | {"test_list": json.dumps(MBPP["test_list"])}])
def test_mbpp_as_it_is_published(tmp_path: Path, row: dict[str, Any], sandbox: Sandbox) -> None:
    path = write(tmp_path / "p.jsonl", row)
    problem = build_task(TaskSpec(task="mbpp", path=path, held_out=0.0), 0).get_problem(0)
    assert problem.messages[0].content == (
        "Write a function to find the larger one.\n\n"
        "Your code should pass this test:\n```python\nassert larger(1, 2) == 2\n```"
    )
    verifier = CodeVerifier(sandbox, Limits())
    assert verifier.judge(problem.tests, problem.gold) == Ran("passed", "passes 1 tests")
    assert verifier.judge(problem.tests, "def larger(a, b): return a") == Ran("wrong", "test 1 of 1: AssertionError: ")
    assert verifier.judge(problem.tests, "def better(a, b): return b").result == "wrong"


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"code": "class Node: pass\ndef f(x): 0", "test_list": ["assert f(Node()) == 1"]}, "its tests use Node, f;"),
        ({"code": "def f(x): 0", "test_list": ["assert g(1) == 1"]}, "its tests use g; they can be given one function"),
        ({"code": "def f(x): 0", "test_list": ["assert 1 == 1"]}, "its tests use nothing; they can be given one"),
        ({"code": "def f(x) 0", "test_list": ["assert f(1)"]}, "code is no Python: expected ':'"),
        ({"code": "def f(x): 0", "test_list": ["assert f(1"]}, "test_list is no Python: '.' was never closed"),
        ({"code": "def f(x): 0", "test_list": [1]}, "'test_list' is no list of lines"),
        ({"code": "import pandas\ndef f(x): 0", "test_list": ["assert f(1)"]}, "its test_list imports 'pandas'"),
    ],
)
def test_what_is_no_row_of_mbpp(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    path = write(tmp_path / "p.jsonl", MBPP | columns)
    with pytest.raises(UserError, match=rf"p.jsonl: .*line 1: a test is none: {message}"):
        build_task(TaskSpec(task="mbpp", path=path), 0)


STARTERS = {
    "List[int]": "def f(self, x: List[int]) -> Optional[int]: return x[0]",
    "Counter": "def f(self, x): return Counter(x).most_common(1)[0][0]",
    "a heap": "def f(self, x):\n        heapify(x)\n        return heappop(x)",
    "a bisection": "def f(self, x): return bisect_right(x, 1) - 1",
    "a cache": "@lru_cache(None)\n    def g(self, n): 0\n    def f(self, x): return x[self.g(1) or 0]",
    "modules": "def f(self, x): return math.gcd(*x) * len(string.digits) // 10 + datetime.date.min.day - 1",
    "numbers": "def f(self, x): return min(inf, gcd(*x), comb(2, 2), reduce(mul, x), prod(x), mean([1, 1]))",
    "iterators": "def f(self, x): return next(iter(accumulate(chain(x))))",
    "sys": "def f(self, x):\n        sys.setrecursionlimit(10**6)\n        return deque(x)[0] - (maxsize < 0)",
    "builtins": "def f(self, x): return pow(2, 2, 3) * abs(-1) * sum([1])",
}


@pytest.mark.parametrize("name", STARTERS)
def test_answers_find_the_names_of_livecodebench_s_runner(sandbox: Sandbox, name: str) -> None:
    test = code_tests.read_test({"input": "[1, 1]", "output": "1", "testtype": "functional"}, "Solution.f")
    verifier = CodeVerifier(sandbox, Limits())
    source = f"class Solution:\n    {STARTERS[name]}"
    assert verifier.judge((test,), source) == Ran("passed", "passes 1 tests")
    assert verifier.judge((test,), f"from __future__ import annotations\n{source}").result == "passed"
    assert verifier.judge((test,), source.replace("return", "return -")).result == "wrong"


def test_whole_programs_find_them_too(sandbox: Sandbox) -> None:
    test = code_tests.read_test({"input": "6 4\n", "output": "2", "testtype": "stdin"})
    source = "print(gcd(*map(int, stdin.readline().split())))"
    assert CodeVerifier(sandbox, Limits()).judge((test,), source) == Ran("passed", "passes 1 tests")
    ours = code_tests.read_test({"stdin": "6 4\n", "stdout": "2"})
    assert CodeVerifier(sandbox, Limits()).judge((ours,), source).result == "error"
