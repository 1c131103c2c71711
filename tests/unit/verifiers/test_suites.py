"""Suites: which tests are kept, what strikes an input, who is exposed; hostile generators; the same suite each time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dunwu.errors import UserError
from dunwu.sandbox import Limits, Sandbox, Session, Unavailable
from dunwu.verifiers.code import CodeVerifier
from dunwu.verifiers.suites import KINDS, Kind, Material, Origin, Suite, build, select

LIMITS = Limits(seconds=0.4, output_bytes=1 << 19)

# The greatest sum of a non-empty run of the numbers in the second line; 0 where there are none.
NUMBERS = """
import random
seed, kind = input().split()
random.seed(int(seed))
count, low, high = {"random": (8, -9, 9), "large": (20_000, -9, 9), "adversarial": (int(seed) // 3 % 2, -9, -1)}[kind]
print(count)
print(*(random.randint(low, high) for _ in range(count)))
"""
READ = "count, *numbers = map(int, open(0).read().split())\n"
KADANE = """
best = here = numbers[0] if numbers else 0
for number in numbers[1:]:
    here = max(number, here + number)
    best = max(best, here)
print(best)
"""
PREFIXES = """
total, least, best = 0, 0, None
for number in numbers:
    total += number
    best = total - least if best is None else max(best, total - least)
    least = min(least, total)
print(best or 0)
"""
QUADRATIC = """
best = None
for start in range(count):
    total = 0
    for number in numbers[start:]:
        total += number
        best = total if best is None else max(best, total)
print(best or 0)
"""
WRONG = {
    "off by one": READ + "numbers.pop() if numbers else 0\n" + KADANE,
    "negatives": READ + KADANE.replace("numbers[0] if numbers else 0", "0").replace("numbers[1:]", "numbers"),
    "empty": READ + KADANE.replace(" if numbers else 0", ""),
    "quadratic": READ + QUADRATIC,
    "hard-coded": "print(6)",
}
SUMS = Material(
    generators=(NUMBERS,), correct=(READ + KADANE, READ + PREFIXES), wrong=(*WRONG.values(), READ + KADANE + "\n# late")
)
PLAIN_ADD = "def add(a, b): return a + b"
PAIRS = "import json, random\nrandom.seed(input())\nprint(json.dumps([random.randint(0, 9), random.randint(10, 19)]))"
ADD = Material(generators=(PAIRS,), correct=(PLAIN_ADD,), wrong=("def add(a, b): return a - b",), call="add")


@pytest.fixture(scope="module")
def sums(sandbox: Sandbox) -> Suite:
    """Of six inputs, two of each kind."""
    return build(SUMS, sandbox, LIMITS, inputs=6, least=4, workers=2)


def made(sandbox: Sandbox, material: Material, inputs: int = 3) -> Suite:
    """A suite of everything that is valid."""
    return build(material, sandbox, LIMITS, inputs=inputs, least=99, workers=2)


def test_what_is_kept_and_who_is_exposed(sums: Suite) -> None:
    report = sums.report
    assert (report.made, report.struck, report.valid) == (6, (), 6)
    # One negative number exposes three, 20,000 numbers the quadratic one, none the last; then the kind that is missing.
    assert report.kept == (
        Origin(0, 5, "adversarial"),
        Origin(0, 1, "large"),
        Origin(0, 2, "adversarial"),
        Origin(0, 0, "random"),
    )
    assert report.exposed == (1, 1, 1, 1, 4, 0)
    assert report.survivors == (5,)


def test_the_suite_judges_as_the_report_says(sums: Suite, sandbox: Sandbox) -> None:
    verifier = CodeVerifier(sandbox, LIMITS)
    assert [verifier.judge(sums.tests, source).result for source in SUMS.correct] == ["passed", "passed"]
    results = {name: verifier.judge(sums.tests, source).result for name, source in WRONG.items()}
    assert results == {
        "off by one": "wrong",
        "negatives": "wrong",
        "empty": "error",
        "quadratic": "timeout",
        "hard-coded": "wrong",
    }
    assert [json.loads(sums.tests[place]) for place in (0, 2)] == [
        {"stdin": "1\n-5\n", "stdout": "-5\n"},
        {"stdin": "0\n\n", "stdout": "0\n"},
    ]


@pytest.mark.parametrize("workers", [1, 5])
def test_the_suite_does_not_depend_on_the_workers(sums: Suite, sandbox: Sandbox, workers: int) -> None:
    assert build(SUMS, sandbox, LIMITS, inputs=6, least=4, workers=workers) == sums


def test_functions_and_answers_in_fences(sandbox: Sandbox) -> None:
    fenced = Material(
        generators=(f"Here:\n```python\n{PAIRS}\n```",),
        correct=(f"```python\n{PLAIN_ADD}\n```", "class Add:\n    pass\ndef add(a, b): return sum((a, b))"),
        wrong=("def add(a, b): return a - b", "def add(a, b): return float(a + b)", "def add(a): return a", PLAIN_ADD),
        call="add",
    )
    suite = build(fenced, sandbox, LIMITS, inputs=3, least=2, workers=2)
    assert suite.report.exposed == (2, 2, 2, 0)
    assert [origin.seed for origin in suite.report.kept] == [0, 1]
    for test in map(json.loads, suite.tests):
        assert test == {"call": "add", "args": test["args"], "result": sum(test["args"])}


HOSTILE = {
    "while True: print('1' * 1000)": "too-large",
    "while True: pass": "generator-timeout",
    "import os\nwhile True: os.fork()": "generator-failed",
    "raise SystemExit('no')": "generator-failed",
    "print('hello')": "solution-failed",
    "import os\nos.write(1, b'1 \\xff')": "unreadable",
    "import os\nprint(1, os.urandom(8).hex())": "unsteady",
    "import os\nos.kill(os.getppid(), 9)": "generator-failed",
}


def test_a_hostile_generator_strikes_only_its_own_inputs(sandbox: Sandbox) -> None:
    """The tests stay what they are without it."""
    alone = Material(generators=(NUMBERS,), correct=SUMS.correct, wrong=(WRONG["negatives"],))
    hostile = Material(generators=(*HOSTILE, NUMBERS), correct=SUMS.correct, wrong=alone.wrong)
    suite = made(sandbox, hostile, 1)
    assert suite.tests == made(sandbox, alone, 1).tests
    assert [one.reason for one in suite.report.struck] == list(HOSTILE.values())
    assert [one.origin.generator for one in suite.report.struck] == list(range(len(HOSTILE)))
    assert (suite.report.made, suite.report.valid) == (len(HOSTILE) + 1, 1)


@pytest.mark.parametrize(
    "text", ["3", "[1,", "", "[NaN, 1]", "[1e999, 1]", "[" * 9000, "[" * 150 + "]" * 150, f"[{'9' * 4400}, 1]"]
)
def test_what_is_no_list_of_arguments_is_struck(sandbox: Sandbox, text: str) -> None:
    junk = Material(generators=(f"print({text!r})", PAIRS), correct=ADD.correct, wrong=(), call="add")
    report = made(sandbox, junk, 1).report
    assert [(one.reason, one.origin.generator) for one in report.struck] == [("unreadable", 0)]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("if a == 4: raise KeyError(a)", "solution-failed"),
        ("if a == 4: import os; os._exit(0)", "solution-failed"),
        ("if a == 4: return object()", "solution-failed"),
        ("while a == 4: pass", "solution-timeout"),
        ("if a == 4: return a * b", "disagreement"),
        ("if a == 4: return float(a + b)", "disagreement"),
    ],
)
def test_one_correct_solution_is_enough_to_strike(sandbox: Sandbox, body: str, reason: str) -> None:
    four = "print([4 if input() == '1 large' else 3, 5])"
    other = f"def add(a, b):\n    {body}\n    return a + b"
    report = made(sandbox, Material(generators=(four,), correct=(PLAIN_ADD, other), wrong=(), call="add"), 2).report
    assert [(one.origin, one.reason) for one in report.struck] == [(Origin(0, 1, "large"), reason)]
    assert report.kept == (Origin(0, 0, "random"),)


@pytest.mark.parametrize("value", ["{1, 2}", "float('nan')", "float('inf')", "{1: 2}", "b'1'", "10 ** 5000"])
def test_what_json_cannot_say_is_no_result(sandbox: Sandbox, value: str) -> None:
    odd = Material(
        generators=("print([int(input()[0])])",),
        correct=(f"def f(n): return {value} if n else (n, [n])",),
        wrong=(),
        call="f",
    )
    suite = made(sandbox, odd, 2)
    assert [(one.origin.seed, one.reason) for one in suite.report.struck] == [(1, "unwritable")]
    assert json.loads(suite.tests[0])["result"] == [0, [0]]


def test_the_output_that_all_pass_under_is_expected(sandbox: Sandbox) -> None:
    """5 is no answer where 5.0 is expected the other way round."""
    floats = Material(generators=("print(input())",), correct=("print(5)", "print('5.0')"), wrong=("print('5.00')",))
    suite = made(sandbox, floats, 1)
    assert json.loads(suite.tests[0]) == {"stdin": "0 random\n", "stdout": "5.0\n"}
    assert suite.report.survivors == (0,)


def test_what_makes_a_test_has_half_the_time_of_an_answer(sandbox: Sandbox) -> None:
    slow = "import time\nwhile time.process_time() < 0.3: pass\n" + READ + KADANE
    report = made(sandbox, Material(generators=(NUMBERS,), correct=SUMS.correct, wrong=(slow,)), 1).report
    assert report.survivors == (0,)
    with pytest.raises(UserError, match=r"no valid test: all 1 inputs are struck \(1 solution-timeout\)"):
        made(sandbox, Material(generators=(NUMBERS,), correct=(slow,), wrong=()), 1)


def test_an_input_has_a_megabyte_at_most(sandbox: Sandbox) -> None:
    long = Material(generators=("print('1' * (1 << 20))", "print(1)"), correct=("print(2)",), wrong=())
    report = build(long, sandbox, Limits(), inputs=1, least=9, workers=2).report
    assert [(one.reason, one.origin.generator) for one in report.struck] == [("too-large", 0)]


def test_duplicates_are_dropped(sandbox: Sandbox) -> None:
    """The first one stays; arguments are the same however they are written."""
    same = Material(generators=("print([1, 2])", "print('[1,2 ]')"), correct=(PLAIN_ADD,), wrong=(), call="add")
    report = made(sandbox, same, 2).report
    assert report.kept == (Origin(0, 0, "random"),)
    assert report.reasons == {"duplicate": 3}


def test_tests_come_from_all_generators(sandbox: Sandbox) -> None:
    other = PAIRS.replace("0, 9", "20, 99")
    material = Material(generators=(PAIRS, other), correct=(PLAIN_ADD,), wrong=(), call="add")
    suite = build(material, sandbox, LIMITS, inputs=4, least=4, workers=2)
    assert suite.report.kept == (
        Origin(0, 0, "random"),
        Origin(0, 1, "large"),
        Origin(0, 2, "adversarial"),
        Origin(1, 0, "random"),
    )


def test_methods(sandbox: Sandbox) -> None:
    method = "class Solution:\n    def add(self, a, b): return a + b"
    material = Material(generators=(PAIRS,), correct=(method,), wrong=(PLAIN_ADD,), call="Solution.add")
    suite = made(sandbox, material)
    assert (suite.report.valid, suite.report.exposed) == (3, (3,))
    assert CodeVerifier(sandbox, LIMITS).judge(suite.tests, method).result == "passed"


@pytest.mark.parametrize(
    ("material", "inputs", "message"),
    [
        (Material(generators=(PAIRS,), correct=(), wrong=(), call="add"), 3, "no correct solution"),
        (
            Material(generators=(PAIRS,), correct=(PLAIN_ADD, *ADD.wrong), wrong=(), call="add"),
            3,
            r"agree on nothing: all 3 inputs are struck \(3 disagreement\); generator 0, seed 0, random: \d+; -\d+$",
        ),
        (
            Material(generators=("print(1 / 0)", "print(0)"), correct=ADD.correct, wrong=(), call="add"),
            1,
            r"no valid test: all 2 inputs are struck \(1 generator-failed, 1 unreadable\); .*: ZeroDivisionError",
        ),
        (
            Material(generators=(PAIRS,), correct=("def sub(a, b): return a",), wrong=(), call="add"),
            1,
            r"1 solution-failed\); generator 0, seed 0, random: correct solution 0: .*KeyError",
        ),
        (ADD, 0, "no valid test: no input was asked for"),
    ],
)
def test_errors_of_the_user(sandbox: Sandbox, material: Material, inputs: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        made(sandbox, material, inputs)


class Failing:
    """A sandbox of which some cells cannot be had, by their number."""

    def __init__(self, sandbox: Sandbox, fails: Callable[[int], bool]) -> None:
        self.sandbox, self.fails, self.opened = sandbox, fails, 0

    @contextmanager
    def open(self, limits: Limits) -> Iterator[Session]:
        self.opened += 1
        if self.fails(self.opened - 1):
            raise Unavailable("pulled out")
        with self.sandbox.open(limits) as session:
            yield session


def test_a_sandbox_that_fails_is_tried_again(sandbox: Sandbox) -> None:
    failing: Any = Failing(sandbox, lambda number: number % 3 != 2)
    suite = build(ADD, failing, LIMITS, inputs=3, least=1, workers=1)
    assert suite == build(ADD, sandbox, LIMITS, inputs=3, least=1, workers=1)
    assert failing.opened == 3 * (3 * 2 + 3 + 3)


@pytest.mark.parametrize("first", range(4))
def test_a_sandbox_that_goes_on_failing_strikes_nothing(sandbox: Sandbox, first: int) -> None:
    """Whatever it was that could not run: a generator, once or twice, a correct solution, a wrong one."""
    failing: Any = Failing(sandbox, lambda number: number >= first)
    with pytest.raises(Unavailable, match="the sandbox failed 3 times: pulled out"):
        build(ADD, failing, LIMITS, inputs=1, least=1, workers=1)


def test_selecting_covers_first_and_fills_evenly() -> None:
    kinds: list[Kind] = ["random", "random", "random", "large", "large", "adversarial"]
    exposing = {(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (4, 2)}
    assert select(kinds, exposing, 0) == [1, 4]
    assert select(kinds, exposing, 5) == [1, 4, 5, 0, 3]
    assert select(kinds, exposing, 99) == [1, 4, 5, 0, 3, 2]
    assert select(kinds, set(), 0) == []


@given(st.lists(st.sampled_from(KINDS), max_size=12), st.data(), st.integers(0, 14))
def test_any_selection(kinds: list[Kind], data: st.DataObject, least: int) -> None:
    pairs = st.tuples(st.integers(0, max(len(kinds) - 1, 0)), st.integers(0, 5))
    exposing = data.draw(st.sets(pairs)) if kinds else set()
    chosen = select(kinds, exposing, least)
    cover = select(kinds, exposing, 0)
    assert len(set(chosen)) == len(chosen) == max(len(cover), min(least, len(kinds)))
    assert chosen[: len(cover)] == cover
    assert {wrong for place, wrong in exposing if place in cover} == {wrong for _, wrong in exposing}
    assert len(cover) <= len({wrong for _, wrong in exposing})
