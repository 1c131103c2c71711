"""Programs: run in the sandbox on every test; all must pass (R1, arXiv 2501.12948v2, section 2.2).

A test of ``Problem.tests`` is JSON, of one of three shapes:

    {"stdin": text, "stdout": text}                               a whole program
    {"call": name or "Class.method", "args": [...], "result": x}  a function (LiveCodeBench)
    {"test": source, "entry": "check", "candidate": name}         a function that takes the candidate (HumanEval)

each with, where it is wanted, ``"prelude"``: source that stands before the answer's. What is expected never enters the
process that runs the answer: outputs and values come out as data and are compared here, and a test source runs in a
cell of its own, which asks for the candidate's values.

Exact types: 1, 1.0 and True are three things; but a tuple may stand for a list, which is all that JSON can say. Floats
within ``TOLERANCE``, relative or absolute. Of stdout neither trailing spaces nor trailing empty lines count; a line may
differ in how it writes decimal numbers, by ``TOLERANCE`` too, and in nothing else: its gaps are output.

With ``"rules": "livecodebench"`` a test is what its own runner makes of it (lcb_runner/evaluation/testing_util.py):
answers find the names of ``LIVECODEBENCH``; a method may be a function outside of any class; values are equal where
Python's ``==`` says so of plain data (1, 1.0 and True are); lines of nothing but numbers are where these are, in
whatever spelling (3, 3.0, 03), and spaces around a line do not count.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from dunwu.config.schema import CodeSpec
from dunwu.sandbox import Limits, Outcome, Sandbox, Session, Unavailable, retry, values
from dunwu.verifiers.programs import find_program

Result = Literal["passed", "wrong", "error", "timeout", "memory", "output-limit", "infrastructure"]

MODULES = (
    *("string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random", "statistics"),
    *("itertools", "functools", "operator", "io", "sys", "json"),
)
LIVECODEBENCH = "".join(
    [
        *(f"from {module} import *\n" for module in (*MODULES, "builtins", "typing")),
        *(f"import {module}\n" for module in MODULES),
    ]
)
"""What LiveCodeBench's runner puts before every answer: a module's name wins over what others export under it."""
TOLERANCE = 1e-6
VERDICTS_KEPT = 2000
"""The completions of a group are often the same program."""
FUTURE = re.compile(r"^from __future__ import (?:\([\w\s,]+\)|[\w, ]+)", re.M | re.ASCII)
PRINTED_NUMBER = re.compile(r"[+-]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\d*\.\d+)(?:[eE][+-]?\d{1,9})?", re.ASCII)
"""A number in a line of stdout. Digits that begin with needless zeros are text: 0101 is not 101."""
DECIMAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,9})?", re.ASCII)
"""A number, also with needless zeros, as Python's ``Decimal`` reads it."""
GAPS = re.compile(r"(\s+)")
REAL = (int, float, Fraction, Decimal)
STRANGE = "it says what no program says"
LONGEST_QUOTE = 80
"""Characters of a value that a reason quotes."""


def make_limits(spec: CodeSpec) -> Limits:
    """Return what the recipe gives to one test."""
    return Limits(seconds=spec.seconds, memory_bytes=spec.memory_mib << 20, output_bytes=spec.output_mib << 20)


class Ran(NamedTuple):
    """What a program came to, and why."""

    result: Result
    reason: str


class CodeVerifier:
    """Decides whether programs pass their tests. Threads may share it, each waiting for a place in the sandbox.

    Args:
        sandbox: Where programs run; whoever made it closes it.
        limits: For each test.
    """

    def __init__(self, sandbox: Sandbox, limits: Limits) -> None:
        self._sandbox, self._limits = sandbox, limits
        self._test = lru_cache(maxsize=VERDICTS_KEPT)(self._test_afresh)

    def judge(self, tests: tuple[str, ...], answer: str) -> Ran:
        """Run an answer's program on every test; try again where the sandbox fails.

        Args:
            tests: As in ``Problem.tests``.
            answer: The program, with words around it or without.

        Returns:
            ``passed`` where every test passes; else what the first came to that does not.
        """
        try:
            return self._test(tests, find_program(answer, find_entry(tests)))
        except Unavailable as error:
            return Ran("infrastructure", str(error))

    def _test_afresh(self, tests: tuple[str, ...], source: str) -> Ran:
        return retry(lambda: self._run_all(tests, source))

    def _run_all(self, tests: tuple[str, ...], source: str) -> Ran:
        with self._sandbox.open(self._limits) as session:
            for number, text in enumerate(tests, 1):
                ran = self._run_one(session, json.loads(text), source)
                if ran.result != "passed":
                    return Ran(ran.result, f"test {number} of {len(tests)}: {ran.reason}")
        return Ran("passed", f"passes {len(tests)} tests")

    def _run_one(self, session: Session, test: Mapping[str, Any], source: str) -> Ran:
        entry, strictly = test.get("call") or test.get("candidate", ""), "rules" not in test
        if not strictly:
            source = _join_sources(LIVECODEBENCH, source)
            entry = f"{entry} {entry.rpartition('.')[2]}"
        if "prelude" in test:
            source = _join_sources(test["prelude"], source)
        if "stdout" in test:
            return _check_output(session.run(source, test["stdin"]), test["stdout"], strictly)
        with session.serve(source, entry) as said:
            if failure := _find_failure(said, "R"):
                return failure
            if "call" in test:
                return _check_result(session.say(values.dumps((test["args"], {}))), test["result"], strictly)
            return self._call_test(session, test)

    def _call_test(self, session: Session, test: Mapping[str, Any]) -> Ran:
        with self._sandbox.open_test(self._limits) as tester:
            said = tester.start("test", test["test"], f"{test['entry']} {test['candidate']}")
            if not (isinstance(said, str) and said.startswith("C")):
                failed = _find_failure(said, "C") or Ran("error", STRANGE)
                return Ran("infrastructure", f"the test ends before it calls {test['candidate']}: {failed.reason}")
            while isinstance(said, str) and said.startswith("C"):
                answer = session.say(said[1:])
                if isinstance(answer, Outcome) or answer[:1] not in ("V", "E") or not answer.isascii():
                    return _find_failure(answer, "V") or Ran("error", STRANGE)
                said = tester.say(answer)
        if said == "P":
            return Ran("passed", "")
        # Whatever the test came to, it came to by the candidate's values.
        failed = _find_failure(said, "P") or Ran("error", "the test ended")
        return Ran("wrong" if failed.result == "error" else failed.result, failed.reason)


def _check_output(outcome: Outcome, expected: str, strictly: bool) -> Ran:
    if outcome.status != "ok":
        return Ran(outcome.status, outcome.detail)
    if same_output(expected, outcome.stdout, strictly):
        return Ran("passed", "")
    return Ran("wrong", f"wrote {_quote(outcome.stdout)}, not {_quote(expected)}")


def _check_result(said: str | Outcome, expected: Any, strictly: bool) -> Ran:
    if failure := _find_failure(said, "V"):
        return failure
    assert isinstance(said, str)
    try:
        value = values.loads(said[1:])
    except values.NotPlain as error:
        return Ran("error", str(error))
    if same_value(expected, value, strictly):
        return Ran("passed", "")
    return Ran("wrong", f"gave {_quote(value)}, not {_quote(expected)}")


def _find_failure(said: str | Outcome, wanted: str) -> Ran | None:
    """Return what is wrong where a program did not say a line that begins as wanted; None where it did."""
    if isinstance(said, Outcome):
        return Ran("error" if said.status == "ok" else said.status, said.detail or "it ended early")
    if said.startswith(wanted):
        return None
    if not said.startswith("E"):
        return Ran("error", STRANGE)
    try:
        kind, message = json.loads(said[1:])
        reason = f"{kind}: {message}"[: 2 * LONGEST_QUOTE]
    except (ValueError, TypeError, RecursionError):
        return Ran("error", STRANGE)
    return Ran("error", reason.encode("utf-8", "backslashreplace").decode())  # a lone surrogate cannot be recorded


def _join_sources(prelude: str, source: str) -> str:
    """Join both to one program. What the source imports from ``__future__`` comes first, as it must."""
    first = "; ".join(FUTURE.findall(source))
    return f"{first}\n{prelude}\n{FUTURE.sub('', source)}" if first else f"{prelude}\n{source}"


@lru_cache(maxsize=256)
def find_entry(tests: tuple[str, ...]) -> str:
    """Return the function or ``Class.method`` that tests call; "" where they run whole programs."""
    first = json.loads(tests[0]) if tests else {}
    return str(first.get("call") or first.get("candidate") or "")


def same_output(expected: str, written: str, strictly: bool = True) -> bool:
    """Return whether an output is the expected one, line by line.

    Args:
        expected: The test's output.
        written: The program's.
        strictly: By this module's rules; else by LiveCodeBench's. The module has both.
    """
    same, bare = (_same_line, str.rstrip) if strictly else (_same_numbers, str.strip)
    left, right = ([bare(line) for line in bare(text).split("\n")] for text in (expected, written))
    return len(left) == len(right) and all(a == b or same(a, b) for a, b in zip(left, right, strict=True))


def _same_line(expected: str, written: str) -> bool:
    """Return whether two lines differ in nothing but how they write decimal numbers, their gaps are equal too."""
    left, right = GAPS.split(expected), GAPS.split(written)
    return len(left) == len(right) and all(a == b or _is_near_number(a, b) for a, b in zip(left, right, strict=True))


def _is_near_number(expected: str, written: str) -> bool:
    """Return whether a decimal number is expected, and another written within the tolerance."""
    if not (PRINTED_NUMBER.fullmatch(expected) and PRINTED_NUMBER.fullmatch(written)) or not any(
        mark in expected for mark in ".eE"
    ):
        return False
    left, right = float(expected), float(written)
    return math.isfinite(left) and math.isfinite(right) and _is_near(left, right)


def _same_numbers(expected: str, written: str) -> bool:
    """Return whether both lines are equal numbers and nothing else, as LiveCodeBench's runner has it.

    Decimal numbers need only be near.
    """
    left, right = expected.split(), written.split()
    if len(left) != len(right) or not all(map(DECIMAL.fullmatch, (*left, *right))):
        return False
    return all(Decimal(a) == Decimal(b) or _is_near_number(a, b) for a, b in zip(left, right, strict=True))


def same_value(expected: Any, value: Any, strictly: bool = True) -> bool:
    """Return whether a value is the expected one.

    ``values`` has read it, so that no method of a program's own decides here.

    Args:
        expected: The test's result, which JSON can say.
        value: The program's.
        strictly: By this module's rules; else by LiveCodeBench's. The module has both.
    """
    if isinstance(expected, list):
        pairs = type(value) in (list, tuple) and len(expected) == len(value)
        return pairs and all(same_value(*pair, strictly) for pair in zip(expected, value, strict=True))
    if isinstance(expected, dict):
        pairs = isinstance(value, dict) and expected.keys() == value.keys()
        return pairs and all(same_value(item, value[key], strictly) for key, item in expected.items())
    if strictly and type(expected) is not type(value):
        return False
    return bool(expected == value) or (isinstance(expected, float) and _is_near(expected, value))


def _is_near(expected: float, value: Any) -> bool:
    """Return whether ``value`` is a real number within the tolerance."""
    try:
        return isinstance(value, REAL) and math.isclose(expected, value, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    except OverflowError:  # an integer that no float can hold
        return False


def _quote(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:
        text = "a number of more than 4,300 digits"
    return text if len(text) <= LONGEST_QUOTE else text[: LONGEST_QUOTE - 3] + "..."
