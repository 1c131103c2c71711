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
differ in how it writes decimal numbers, by ``TOLERANCE`` too.
"""

from __future__ import annotations

import json
import math
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from dunwu.config.schema import CodeSpec
from dunwu.sandbox import Limits, Outcome, Sandbox, Session, Unavailable, retried, values

Result = Literal["passed", "wrong", "error", "timeout", "memory", "output-limit", "infrastructure"]

TOLERANCE = 1e-6
REMEMBERED = 2000
"""Verdicts kept."""
FENCES = ("```", "~~~")
PYTHON = ("python", "python3", "py", "python2")
FUTURE = re.compile(r"^from __future__ import [\w, ]+$", re.M | re.ASCII)
DECIMAL = re.compile(r"[+-]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][+-]?\d+)?", re.ASCII)
STRANGE = "it says what no program says"
SHOWN = 80
"""Characters of a value that a reason quotes."""


def limits_of(spec: CodeSpec) -> Limits:
    """What the recipe gives to one test."""
    return Limits(seconds=spec.seconds, memory_bytes=spec.memory_mib << 20, output_bytes=spec.output_mib << 20)


class Ran(NamedTuple):
    """What a program came to, and why."""

    result: Result
    reason: str


class CodeVerifier:
    """Threads may share it, each waiting for a place in the sandbox.

    Args:
        sandbox: where programs run; whoever made it closes it.
        limits: for each test.
    """

    def __init__(self, sandbox: Sandbox, limits: Limits) -> None:
        self._sandbox, self._limits = sandbox, limits
        self._lock = threading.Lock()
        self._remembered: OrderedDict[tuple[tuple[str, ...], str], Ran] = OrderedDict()

    def judge(self, tests: tuple[str, ...], answer: str) -> Ran:
        """``passed`` where every test passes; else the first that does not. Tried again where the sandbox fails."""
        key = tests, source_of(answer)
        with self._lock:
            if key in self._remembered:
                self._remembered.move_to_end(key)
                return self._remembered[key]
        try:
            return self._remember(key, retried(lambda: self._all(*key)))
        except Unavailable as error:
            return Ran("infrastructure", str(error))

    def _remember(self, key: tuple[tuple[str, ...], str], ran: Ran) -> Ran:
        """The completions of a group are often the same program."""
        with self._lock:
            self._remembered[key] = ran
            if len(self._remembered) > REMEMBERED:
                self._remembered.popitem(last=False)
        return ran

    def _all(self, tests: tuple[str, ...], source: str) -> Ran:
        with self._sandbox.open(self._limits) as session:
            for number, text in enumerate(tests, 1):
                ran = self._one(session, json.loads(text), source)
                if ran.result != "passed":
                    return Ran(ran.result, f"test {number} of {len(tests)}: {ran.reason}")
        return Ran("passed", f"passes {len(tests)} tests")

    def _one(self, session: Session, test: Mapping[str, Any], source: str) -> Ran:
        if "prelude" in test:
            source = _under(test["prelude"], source)
        if "stdout" in test:
            return _program(session.run(source, test["stdin"]), test["stdout"])
        with session.staying(source, test.get("call") or test["candidate"]) as said:
            if failure := _failure(said, "R"):
                return failure
            if "call" in test:
                return _called(session.say(values.dumps((test["args"], {}))), test["result"])
            return self._tested(session, test)

    def _tested(self, session: Session, test: Mapping[str, Any]) -> Ran:
        with self._sandbox.open_test(self._limits) as tester:
            said = tester.start("test", test["test"], f"{test['entry']} {test['candidate']}")
            while isinstance(said, str) and said.startswith("C"):
                answer = session.say(said[1:])
                if isinstance(answer, Outcome) or answer[:1] not in ("V", "E") or not answer.isascii():
                    return _failure(answer, "V") or Ran("error", STRANGE)
                said = tester.say(answer)
        if said == "P":
            return Ran("passed", "")
        # Whatever the test came to, it came to by the candidate's values.
        failed = _failure(said, "P") or Ran("error", "the test ended")
        return Ran("wrong" if failed.result == "error" else failed.result, failed.reason)


def _program(outcome: Outcome, expected: str) -> Ran:
    if outcome.status != "ok":
        return Ran(outcome.status, outcome.detail)
    if same_output(expected, outcome.stdout):
        return Ran("passed", "")
    return Ran("wrong", f"wrote {_shown(outcome.stdout)}, not {_shown(expected)}")


def _called(said: str | Outcome, expected: Any) -> Ran:
    if failure := _failure(said, "V"):
        return failure
    assert isinstance(said, str)
    try:
        value = values.loads(said[1:])
    except values.NotPlain as error:
        return Ran("error", str(error))
    if same_value(expected, value):
        return Ran("passed", "")
    return Ran("wrong", f"gave {_shown(value)}, not {_shown(expected)}")


def _failure(said: str | Outcome, wanted: str) -> Ran | None:
    """What is wrong where a program did not say a line that begins as wanted."""
    if isinstance(said, Outcome):
        return Ran("error" if said.status == "ok" else said.status, said.detail or "it ended early")
    if said.startswith(wanted):
        return None
    if not said.startswith("E"):
        return Ran("error", STRANGE)
    try:
        kind, message = json.loads(said[1:])
    except (ValueError, TypeError, RecursionError):
        return Ran("error", STRANGE)
    return Ran("error", f"{kind}: {message}"[: 2 * SHOWN])


def _under(prelude: str, source: str) -> str:
    """One program of both. What the source imports from ``__future__`` comes first, as it must."""
    first = "; ".join(FUTURE.findall(source))
    return f"{first}\n{prelude}\n{FUTURE.sub('', source)}" if first else f"{prelude}\n{source}"


def source_of(answer: str) -> str:
    """The last fenced block that says it is Python; else the last that says nothing; else the answer.

    Fences are read line by line, as Markdown does; one that is never closed ends with the answer.
    """
    blocks = list(_blocks(answer))
    found = [source for name, source in blocks if name in PYTHON] or [source for name, source in blocks if not name]
    return found[-1] if found else answer


def _blocks(answer: str) -> Iterator[tuple[str, str]]:
    """What each fenced block says it is, in small letters, and what stands in it."""
    fence, name, lines = "", "", list[str]()
    for line in answer.split("\n"):
        bare = line.strip()
        if not bare.startswith(fence or FENCES):
            lines.append(line)
            continue
        if not fence:
            marks = len(bare) - len(bare.lstrip(bare[0]))
            fence, name, lines = bare[:marks], bare[marks:].strip().lower(), []
        elif not bare.strip(fence[0]):
            yield name, "\n".join(lines)
            fence = ""
        else:
            lines.append(line)
    if fence and lines:
        yield name, "\n".join(lines)


def same_output(expected: str, written: str) -> bool:
    """Line by line; see the module."""
    left, right = _lines(expected), _lines(written)
    return len(left) == len(right) and all(map(_same_line, left, right))


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().split("\n")]


def _same_line(expected: str, written: str) -> bool:
    if expected == written:
        return True
    left, right = expected.split(), written.split()
    return len(left) == len(right) and all(map(_same_word, left, right))


def _same_word(expected: str, written: str) -> bool:
    if expected == written:
        return True
    if not any(mark in expected for mark in ".eE"):
        return False
    if not (DECIMAL.fullmatch(expected) and DECIMAL.fullmatch(written)):
        return False
    left, right = float(expected), float(written)
    return math.isfinite(left) and math.isfinite(right) and _near(left, right)


def same_value(expected: Any, value: Any) -> bool:
    """Equal with the same types; see the module."""
    if isinstance(expected, list):
        pairs = type(value) in (list, tuple) and len(expected) == len(value)
        return pairs and all(map(same_value, expected, value))
    if type(expected) is not type(value):
        return False
    if isinstance(expected, dict):
        return expected.keys() == value.keys() and all(same_value(item, value[key]) for key, item in expected.items())
    return _near(expected, value) if isinstance(expected, float) else bool(expected == value)


def _near(expected: float, value: float) -> bool:
    return expected == value or math.isclose(expected, value, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:
        text = "a number of more than 4,300 digits"
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."
