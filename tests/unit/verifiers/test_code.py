"""Programs against tests: what counts as equal, HumanEval's solutions and stubs, tricks, and a sandbox that fails."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dunwu.sandbox import Limits, Sandbox, Session, Unavailable
from dunwu.sandbox.attacks import read_sections
from dunwu.sandbox.cell import MOST_LINES
from dunwu.verifiers.code import CodeVerifier, Ran
from dunwu.verifiers.format import extract_answer
from dunwu.verifiers.tricks import SHEET, find_working_tricks

HUMANEVAL = Path(__file__).parents[4] / "shared" / "data" / "humaneval.jsonl.gz"
SHORT = Limits(seconds=0.5, output_bytes=1 << 16)


@pytest.fixture(scope="module")
def verifier(sandbox: Sandbox) -> CodeVerifier:
    """With limits that a test can wait for."""
    return CodeVerifier(sandbox, SHORT)


def whole(stdin: str, stdout: str) -> str:
    """A test of a whole program."""
    return json.dumps({"stdin": stdin, "stdout": stdout})


def called(args: list[Any], result: Any, name: str = "f") -> str:
    """A test of a function."""
    return json.dumps({"call": name, "args": args, "result": result})


def test_what_is_written_to_a_replaced_stream_arrives(verifier: CodeVerifier) -> None:
    source = "import io, sys\nsys.stdout = io.StringIO()\nprint(5)\nsys.__stdout__.write(sys.stdout.getvalue())"
    assert verifier.judge((whole("", "5\n"),), source).result == "passed"
    assert verifier.judge((whole("", "6\n"),), source).result == "wrong"


def test_an_iterator_is_gone_through_and_is_no_list(verifier: CodeVerifier) -> None:
    source = "def f(n):\n    yield from range(n)"
    check = "def check(candidate):\n    assert list(candidate(3)) == [0, 1, 2]\n    assert candidate(2) != [0, 1]"
    tested = json.dumps({"test": check, "entry": "check", "candidate": "f"})
    assert verifier.judge((tested,), source).result == "passed"
    assert verifier.judge((tested,), source.replace("range(n)", "range(1, n)")).result == "wrong"
    assert verifier.judge((tested,), "import itertools\ndef f(n): return itertools.count()").result == "wrong"
    ran = verifier.judge((called([3], [0, 1, 2]),), source)
    assert ran == Ran("wrong", "test 1 of 1: gave <iterator>, not [0, 1, 2]")


@pytest.mark.parametrize(
    ("made", "result"),
    [
        ("from collections import UserList as f", [1]),
        ("from collections import deque as f", None),
        ("from types import MappingProxyType\ndef f(x): return MappingProxyType({'a': x})", {"a": [1]}),
        ("from collections import UserDict\ndef f(x): return UserDict(a=x)", {"a": [1]}),
        ("from collections import UserString\ndef f(x): return UserString('a')", "a"),
    ],
)
def test_what_wraps_plain_data_is_that(verifier: CodeVerifier, made: str, result: object) -> None:
    for expected in ([1], {"a": [1]}, "a"):
        right = verifier.judge((called([[1]], expected),), made).result == "passed"
        assert right is (expected == result)


def test_all_tests_must_pass(verifier: CodeVerifier) -> None:
    add = "a, b = map(int, input().split())\nprint(a + b)"
    tests = (whole("1 2\n", "3\n"), whole("2 2\n", "4\n"))
    assert verifier.judge(tests, f"```python\n{add}\n```") == Ran("passed", "passes 2 tests")
    assert verifier.judge(tests, add.replace("+", "*")) == Ran("wrong", "test 1 of 2: wrote '2\\n', not '3\\n'")
    assert verifier.judge(tests, "print(3)") == Ran("wrong", "test 2 of 2: wrote '3\\n', not '4\\n'")


def test_functions_and_methods(verifier: CodeVerifier) -> None:
    tests = (called([[3, 1, 2]], [1, 2, 3]), called([[]], []))
    assert verifier.judge(tests, "def f(x): return sorted(x)").result == "passed"
    assert verifier.judge(tests, "def f(x): return tuple(sorted(x))").result == "passed"
    assert verifier.judge(tests, "def f(x): x.sort()") == Ran("wrong", "test 1 of 2: gave None, not [1, 2, 3]")
    assert verifier.judge(tests, "def g(x): return x") == Ran("error", "test 1 of 2: KeyError: 'f'")
    method = (called([2], 4, "Solution.double"),)
    assert verifier.judge(method, "class Solution:\n    def double(self, x): return 2 * x").result == "passed"


def test_a_prelude_stands_before_the_answer(verifier: CodeVerifier) -> None:
    test = json.dumps({"call": "f", "args": [2], "result": 8, "prelude": "def f(x):\n    '''Cube.'''"})
    assert verifier.judge((test,), "    return x ** 3").result == "passed"
    assert verifier.judge((test,), "def f(x): return x * x * x").result == "passed"


def test_every_test_finds_a_fresh_program(verifier: CodeVerifier) -> None:
    counting = "n = 0\ndef f():\n    global n\n    n += 1\n    return n"
    assert verifier.judge((called([], 1), called([], 1)), counting).result == "passed"


def official(args: list[Any], result: Any) -> str:
    """A test of a function by LiveCodeBench's rules."""
    return json.dumps({"call": "Solution.f", "args": args, "result": result, "rules": "livecodebench"})


@pytest.mark.parametrize(
    "source",
    [
        "def f(n): return n",
        "f = lambda n: n",
        "from functools import partial\nf = partial(max, 0)",
        "class Solution:\n    def f(self, n): return n",
        "class Solution:\n    f = staticmethod(lambda n: n)",
        "class A:\n    def __call__(self, n): return n\nf = A()",
    ],
)
def test_a_method_may_stand_outside_of_its_class(verifier: CodeVerifier, source: str) -> None:
    assert verifier.judge((official([2], 2),), source).result == "passed"
    assert verifier.judge((official([2], 3),), source).result == "wrong"
    if "class Solution" not in source:
        assert verifier.judge((called([2], 2, "Solution.f"),), source).result == "error"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Counter('aab')", {"a": 2, "b": 1}),
        ("OrderedDict(a=1)", {"a": 1}),
        ("defaultdict(list, a=[1])", {"a": [1]}),
        ("Fraction(4, 2)", 2),
        ("Decimal('0.5')", 0.5),
        ("[type('L', (list,), {})([1])]", [[1]]),
        ("type('I', (int,), {})(3)", 3),
        ("namedtuple('P', 'x y')(1, 2)", [1, 2]),
        ("IntEnum('E', 'A B').B", 2),
        ("numpy.int64(3)", 3),
        ("numpy.float64(0.5)", 0.5),
        ("numpy.float32(0.5)", 0.5),
        ("[numpy.True_]", [True]),
    ],
)
def test_a_value_of_another_type_is_what_it_equals(verifier: CodeVerifier, value: str, expected: Any) -> None:
    head = "import numpy\n" if "numpy" in value else ""
    head += "from collections import *\nfrom fractions import *\nfrom decimal import *\nfrom enum import *\n"
    source = f"{head}def f(x): return {value}"
    assert verifier.judge((official([1], expected),), source) == Ran("passed", "passes 1 tests")
    assert verifier.judge((official([1], "another"),), source).result == "wrong"


@pytest.mark.parametrize("base", ["int", "str", "float", "list", "dict", "tuple", "set"])
def test_a_value_that_says_it_equals_everything_is_what_its_base_holds(verifier: CodeVerifier, base: str) -> None:
    lies = "__eq__=lambda s, o: True, __ne__=lambda s, o: False, __hash__=lambda s: 0, __str__=lambda s: '7'"
    more = "__index__=lambda s: 7, __float__=lambda s: 7.0, __iter__=lambda s: iter([7]), items=lambda s: [('a', 7)]"
    source = f"def f(x): return type('T', ({base},), dict({lies}, {more}))()"
    for expected in (7, 7.0, "7", [7], {"a": 7}):
        assert verifier.judge((official([1], expected),), source).result == "wrong"


def test_programs_recurse_as_deep_as_is_stated(verifier: CodeVerifier) -> None:
    deep = "def g(n): return n and 1 + g(n - 1)\n"
    assert verifier.judge((whole("", "49900"),), f"{deep}print(g(49900))").result == "passed"
    assert verifier.judge((called([49_900], 49_900, "g"),), deep).result == "passed"
    again = "def f(n): return g(n)\ndef g(n): return f(n)\nf(0)"
    assert verifier.judge((whole("", ""),), again) == Ran(
        "error", "test 1 of 1: RecursionError: maximum recursion depth exceeded"
    )


def test_a_test_that_fails_by_itself_is_no_verdict(verifier: CodeVerifier) -> None:
    for check in ("import helpers\ndef check(f): assert f(1) == 1", "def check(f): assert g(f) == 1"):
        test = json.dumps({"test": check, "entry": "check", "candidate": "f"})
        ran = verifier.judge((test,), "def f(x): return x")
        assert ran.result == "infrastructure"
        assert ran.reason.startswith("test 1 of 1: the test ends before it calls f: ")


def test_what_a_program_raises_can_be_recorded(verifier: CodeVerifier) -> None:
    raising = "def f(x):\n    raise ValueError(chr(0xd800) + 'é')"
    said = 'import os\ndef f(x):\n    os.write(4, b\'E["a", "\\\\ud800"]\\n\')'
    for source in (raising, said):
        ran = verifier.judge((called([1], 1),), source)
        assert ran.result == "error"
        assert r"\ud800" in ran.reason.encode().decode()


@pytest.mark.parametrize("kind", ["set", "frozenset", "dict.fromkeys"])
def test_collections_that_collide_are_refused(sandbox: Sandbox, kind: str) -> None:
    """Sixty members of one hash, which harm nobody; what keeps more of them out is the same bound."""
    source = f"import sys\ndef f(x):\n    return {kind}(n * sys.hash_info.modulus for n in range(60))"
    ran = CodeVerifier(sandbox, Limits()).judge((called([1], {"a": 1}),), source)
    assert ran == Ran("error", "test 1 of 1: a collection whose members share their hashes")


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("def f(:", "error"),
        ("while True: pass", "timeout"),
        ("x = 'a' * 10**9", "memory"),
        ("print('x' * 10**6)", "output-limit"),
    ],
)
def test_what_a_program_comes_to(verifier: CodeVerifier, source: str, result: str) -> None:
    assert verifier.judge((whole("", "1"),), source).result == result
    assert verifier.judge((called([], 1),), source).result == result


def test_a_test_program_sees_values_and_exceptions(verifier: CodeVerifier) -> None:
    check = """
def check(candidate):
    assert candidate(2, y=3) == 6
    assert isinstance(candidate(0.5, y=4), float)
    assert twice(1, y=1) == 1
    try:
        candidate(None)
    except TypeError as error:
        assert "unsupported" in str(error)
    else:
        raise AssertionError("no error")
"""
    test = (json.dumps({"test": check, "entry": "check", "candidate": "twice"}),)
    assert verifier.judge(test, "def twice(x, y=2): return x * y").result == "passed"
    wrong = verifier.judge(test, "def twice(x, y=2): return x + y")
    assert wrong == Ran("wrong", "test 1 of 1: AssertionError: ")
    assert verifier.judge(test, "def twice(x, y=2):\n    while True: pass").result == "timeout"


class Failing:
    """A sandbox that fails a number of times."""

    def __init__(self, sandbox: Sandbox, failures: int) -> None:
        self.sandbox, self.failures = sandbox, failures

    @contextmanager
    def open(self, limits: Limits) -> Iterator[Session]:
        self.failures -= 1
        if self.failures >= 0:
            raise Unavailable("pulled out")
        with self.sandbox.open(limits) as session:
            yield session


def test_the_same_program_is_run_once(sandbox: Sandbox) -> None:
    once: Any = Failing(sandbox, 0)
    verifier = CodeVerifier(once, SHORT)
    tests = (whole("", "1"),)
    first = verifier.judge(tests, "print(1)")
    assert verifier.judge(tests, "So:\n```\nprint(1)\n```") == verifier.judge(tests, "```\nprint(1)\n```") == first
    assert verifier.judge((whole("", "2"),), "print(1)").result == "wrong"
    assert once.failures == -2


def test_a_sandbox_that_fails_is_tried_again_and_is_no_zero(sandbox: Sandbox) -> None:
    tests = (whole("", "1"),)
    twice: Any = Failing(sandbox, 2)
    assert CodeVerifier(twice, SHORT).judge(tests, "print(1)").result == "passed"
    always: Any = Failing(sandbox, 99)
    assert CodeVerifier(always, SHORT).judge(tests, "print(1)") == Ran(
        "infrastructure", "the sandbox failed 3 times: pulled out"
    )


def test_no_trick_is_paid(sandbox: Sandbox) -> None:
    assert len(read_sections(SHEET)) >= 40
    assert find_working_tricks(sandbox) == []


def humaneval() -> list[dict[str, str]]:
    """The rows, where they lie."""
    if not HUMANEVAL.exists():
        pytest.skip(f"{HUMANEVAL} is not on this machine")
    with gzip.open(HUMANEVAL, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.mark.parametrize("rounds", [1, pytest.param(5, marks=pytest.mark.slow)])
def test_humaneval_s_solutions_pass_and_stubs_fail(sandbox: Sandbox, rounds: int) -> None:
    """Bodies as a model writes them, under load: more threads than places."""
    rows = humaneval()

    def result(verifier: CodeVerifier, row: dict[str, str], body: str) -> str:
        test = {"test": f"{row['prompt']}\n{row['test']}", "entry": "check", "candidate": row["entry_point"]}
        answer = extract_answer(f"<think>so</think><answer>\n{body}</answer>", "answer-tag")
        return verifier.judge((json.dumps(test | {"prelude": row["prompt"]}),), answer or "").result

    with ThreadPoolExecutor(6) as pool:
        for _ in range(rounds):
            judge = partial(result, CodeVerifier(sandbox, Limits()))  # one that remembers nothing
            solved = Counter(pool.map(lambda row: judge(row, row["canonical_solution"]), rows))  # noqa: B023
            stubbed = Counter(pool.map(lambda row: judge(row, "    return None\n"), rows))  # noqa: B023
            assert solved == {"passed": 164}
            assert stubbed["passed"] == 0
            assert stubbed["infrastructure"] == 0


def test_what_interpreters_offer_without_import(verifier: CodeVerifier) -> None:
    assert verifier.judge((whole("", "42\n"),), "print(42); exit()") == Ran("passed", "passes 1 tests")
    assert verifier.judge((called([3], 4),), "def f(x):\n    return x + 1\nquit") == Ran("passed", "passes 1 tests")


def test_imports_from_the_future_under_a_prelude(verifier: CodeVerifier) -> None:
    test = json.loads(called([3], 4)) | {"prelude": "import math"}
    source = "from __future__ import annotations\ndef f(x: Any) -> Any:\n    return math.floor(x + 1.5)"
    assert verifier.judge((json.dumps(test),), source) == Ran("passed", "passes 1 tests")


def test_naps_add_up_over_the_calls_of_a_test(verifier: CodeVerifier) -> None:
    """Each is shorter than what one call may take by the clock, 1.5 s."""
    source = "import time\ndef f(x):\n    time.sleep(0.7)\n    return x"
    check = "def check(g):\n    for x in range(100):\n        assert g(x) == x"
    test = json.dumps({"test": check, "entry": "check", "candidate": "f"})
    assert verifier.judge((test,), source).result == "timeout"


@pytest.mark.slow
def test_many_calls_are_no_output(sandbox: Sandbox) -> None:
    check = f"def check(g):\n    for x in range({MOST_LINES + 500}):\n        assert g(x) == x"
    test = json.dumps({"test": check, "entry": "check", "candidate": "f"})
    ran = CodeVerifier(sandbox, Limits(seconds=20.0)).judge((test,), "def f(x):\n    return x")
    assert ran == Ran("passed", "passes 1 tests")
