"""Test suites of problems whose answer is a program, from generators that a model wrote (R1, arXiv 2501.12948v2).

A generator is a whole program that reads one line from stdin, a seed and a kind, and writes one input to stdout:

    seed, kind = input().split()          seed: 0, 1, 2, ...     kind: random, large or adversarial

What it writes is the stdin of a test or, where functions are tested, the JSON list of a call's arguments. The input
with seed s is of kind ``KINDS[s % 3]``; inputs stand in the order of their seeds, then of their generators.

    generate     each input twice: one that differs is no function of its seed
    expect       every correct solution on every input; the output under which all of them pass is the expected one
    exposes      every wrong solution on every valid input, as answers will be run
    select       a small set that exposes whatever can be exposed, then more, evenly over the kinds

Generators and solutions are hostile until proven otherwise: each run has a cell of its own. What makes a test has only
``HEADROOM`` of the time that answers will have, so that no correct answer fails it on a slower day. The suite depends
on nothing but the material and the limits, unless a program needs just about its time.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Literal, NamedTuple

from dunwu.errors import UserError
from dunwu.sandbox import Limits, Outcome, Sandbox, Session, Unavailable, retry, values
from dunwu.verifiers.code import LONGEST_QUOTE, CodeVerifier, same_output, same_value
from dunwu.verifiers.programs import find_program

Kind = Literal["random", "large", "adversarial"]
Reason = Literal[
    "generator-failed",
    "generator-timeout",
    "too-large",
    "unreadable",  # not UTF-8, or not the arguments of a call
    "unsteady",  # the same seed gives another input
    "duplicate",
    "solution-failed",  # a correct one
    "solution-timeout",
    "disagreement",
    "unwritable",  # JSON cannot say the result
]

KINDS: tuple[Kind, ...] = ("random", "large", "adversarial")
HEADROOM = 0.5
LARGEST = 1 << 20
"""Bytes of an input, and of what is expected for it."""
NOT_UTF8 = "\ufffd"
"""What the sandbox gives in the place of bytes that are no text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What a problem's suite is made from: sources, or answers whose last fenced block is one.

    ``call`` is the function or ``Class.method`` under test; None where whole programs are.
    """

    generators: tuple[str, ...]
    correct: tuple[str, ...]
    wrong: tuple[str, ...]
    call: str | None = None


class Origin(NamedTuple):
    """Where an input comes from; ``generator`` is a place in the material."""

    generator: int
    seed: int
    kind: Kind


class Struck(NamedTuple):
    """An input that makes no test."""

    origin: Origin
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How a suite came about: of ``made`` inputs some were ``struck``, the others are ``valid``.

    ``kept`` are the origins of the suite's tests, in their order; ``exposed`` says of each wrong solution how many of
    these tests it fails.
    """

    made: int
    struck: tuple[Struck, ...]
    valid: int
    kept: tuple[Origin, ...]
    exposed: tuple[int, ...]

    @property
    def reasons(self) -> Counter[Reason]:
        """How many inputs were struck, and why."""
        return Counter(one.reason for one in self.struck)

    @property
    def survivors(self) -> tuple[int, ...]:
        """The wrong solutions that no valid test exposes, kept or not: they would be paid."""
        return tuple(number for number, tests in enumerate(self.exposed) if tests == 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """``tests`` are as ``Problem.tests`` wants them, those that expose wrong solutions first."""

    tests: tuple[str, ...]
    report: Report


def build(material: Material, sandbox: Sandbox, limits: Limits, *, inputs: int, least: int, workers: int) -> Suite:
    """The suite of one problem; see the module.

    Args:
        material: generators and solutions.
        sandbox: where all of them run.
        limits: of answers, for each test.
        inputs: of each generator.
        least: tests, where as many are valid.
        workers: programs at once; more than the sandbox has places gain nothing.

    Raises:
        UserError: there is no correct solution, they agree on nothing, or no input is valid.
        Unavailable: the sandbox failed with the same program as often as it was tried.
    """
    if not material.correct:
        raise UserError("no correct solution: nothing says what is expected of a test; give at least one")
    maker = _Maker(material, sandbox, limits)
    origins = [
        Origin(generator, seed, KINDS[seed % len(KINDS)])
        for seed, generator in product(range(inputs), range(len(material.generators)))
    ]
    with ThreadPoolExecutor(workers) as pool:
        unique, struck = _parted(_without_duplicates(pool.map(maker.generate, origins)))
        valid, unclear = _parted(pool.map(maker.expect, unique))
        struck = sorted(struck + unclear, key=lambda one: (one.origin.seed, one.origin.generator))
        if not valid:
            raise _no_test(struck)
        pairs = list(product(range(len(valid)), range(len(material.wrong))))
        tests = [json.dumps(one.test) for one in valid]
        verdicts = pool.map(lambda pair: maker.exposes(tests[pair[0]], material.wrong[pair[1]]), pairs)
        exposing = {pair for pair, verdict in zip(pairs, verdicts, strict=True) if verdict}
    places = select([one.origin.kind for one in valid], exposing, least)
    report = Report(
        made=len(origins),
        struck=tuple(struck),
        valid=len(valid),
        kept=tuple(valid[place].origin for place in places),
        exposed=tuple(sum((place, wrong) in exposing for place in places) for wrong in range(len(material.wrong))),
    )
    return Suite(tests=tuple(tests[place] for place in places), report=report)


def select(kinds: Sequence[Kind], exposing: Iterable[tuple[int, int]], least: int) -> list[int]:
    """Places of the valid tests that are kept, in the order in which they are chosen.

    First the greedy cover: the test that exposes most of what is not yet exposed, until nothing more can be. Then, up
    to ``least``, a test of the kind that has fewest. The first one wins where several are as good.

    Args:
        kinds: of the valid tests.
        exposing: pairs of a test and a wrong solution that it exposes.
        least: tests, where there are as many.
    """
    found: list[set[int]] = [set() for _ in kinds]
    for place, wrong in exposing:
        found[place].add(wrong)
    hidden, chosen = set().union(*found), list[int]()
    while hidden:
        chosen.append(max(range(len(kinds)), key=lambda place: len(found[place] & hidden)))
        hidden -= found[chosen[-1]]
    left = [place for place in range(len(kinds)) if place not in chosen]
    while left and len(chosen) < least:
        counts = Counter(kinds[place] for place in chosen)
        chosen.append(min(left, key=lambda place: counts[kinds[place]]))
        left.remove(chosen[-1])
    return chosen


class _Input(NamedTuple):
    """A test, at first without what is expected."""

    origin: Origin
    test: dict[str, Any]


class _Invalid(Exception):  # noqa: N818  -- a finding about an input
    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


class _Maker:
    """What is done with one input. Every method raises Unavailable; threads may share it."""

    def __init__(self, material: Material, sandbox: Sandbox, limits: Limits) -> None:
        self._generators = tuple(map(find_program, material.generators))
        self._correct = tuple(find_program(text, material.call or "") for text in material.correct)
        self._call = material.call
        self._sandbox = sandbox
        self._verifier = CodeVerifier(sandbox, limits)
        self._limits = replace(
            limits, seconds=HEADROOM * limits.seconds, output_bytes=min(limits.output_bytes, LARGEST)
        )

    def generate(self, origin: Origin) -> _Input | Struck:
        """The input that a generator writes."""
        asked, source = {"stdin": f"{origin.seed} {origin.kind}\n"}, self._generators[origin.generator]
        try:
            written = _written(self._run(source, asked))
            if self._run(source, asked).stdout != written:
                raise _Invalid("unsteady", "the same seed gives another input")
            if self._call is None:
                return _Input(origin, {"stdin": written})
            return _Input(origin, {"call": self._call, "args": _arguments(written)})
        except _Invalid as invalid:
            return Struck(origin, invalid.reason, invalid.detail)

    def expect(self, given: _Input) -> _Input | Struck:
        """The test: what the correct solutions agree on for this input."""
        try:
            outputs = [self._solved(source, given.test) for source in self._correct]
            name, same = ("stdout", same_output) if self._call is None else ("result", same_value)
            for expected in outputs if self._call is None else map(_plain, outputs):
                # Equality allows for ways to write a number, so one may be stricter than another.
                if all(same(expected, output) for output in outputs):
                    return _Input(given.origin, given.test | {name: expected})
            raise _Invalid("disagreement", "; ".join(repr(output)[:LONGEST_QUOTE] for output in outputs))
        except _Invalid as invalid:
            return Struck(given.origin, invalid.reason, invalid.detail)

    def exposes(self, test: str, wrong: str) -> bool:
        """Whether a wrong solution fails a test."""
        ran = self._verifier.judge((test,), wrong)
        if ran.result == "infrastructure":
            raise Unavailable(ran.reason)
        return ran.result != "passed"

    def _solved(self, source: str, test: dict[str, Any]) -> Any:
        outcome = self._run(source, test)
        if outcome.status != "ok":
            reason: Reason = "solution-timeout" if outcome.status == "timeout" else "solution-failed"
            raise _Invalid(
                reason, f"correct solution {self._correct.index(source)}: {outcome.detail or outcome.status}"
            )
        return outcome.stdout if self._call is None else outcome.value

    def _run(self, source: str, test: dict[str, Any]) -> Outcome:
        def once() -> Outcome:
            with self._sandbox.open(self._limits) as session:
                return session.run(source, test["stdin"]) if "stdin" in test else _called(session, source, test)

        return retry(once)


def _called(session: Session, source: str, test: dict[str, Any]) -> Outcome:
    with session.serve(source, test["call"]) as said:
        if said == "R":
            said = session.say(values.dumps((test["args"], {})))
    if isinstance(said, Outcome):
        return replace(said, status="error", detail="it ended early") if said.status == "ok" else said
    if not said.startswith("V"):
        return Outcome(status="error", detail=said[1:][:LONGEST_QUOTE])
    try:
        return Outcome(status="ok", value=values.loads(said[1:]))
    except values.NotPlain as error:
        return Outcome(status="error", detail=str(error))


def _written(outcome: Outcome) -> str:
    reasons: dict[str, Reason] = {"timeout": "generator-timeout", "output-limit": "too-large"}
    if outcome.status != "ok":
        raise _Invalid(reasons.get(outcome.status, "generator-failed"), outcome.detail or outcome.status)
    if NOT_UTF8 in outcome.stdout:
        raise _Invalid("unreadable", "not UTF-8")
    return outcome.stdout


def _arguments(text: str) -> list[Any]:
    """What a call can be given and JSON can say, in both directions."""
    try:
        arguments = json.loads(text)
        if not isinstance(arguments, list):
            raise _Invalid("unreadable", f"no JSON list of arguments: {text[:LONGEST_QUOTE]!r}")
        json.dumps(arguments, allow_nan=False)
        values.dumps(arguments)
    except (ValueError, RecursionError) as error:
        raise _Invalid("unreadable", f"no JSON list of arguments: {error}") from None
    return arguments


def _plain(value: Any) -> Any:
    """A result as a test will have it, which says as much."""
    try:
        plain = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise _Invalid("unwritable", str(error)) from None
    if not same_value(plain, value):
        raise _Invalid("unwritable", f"not the same in JSON: {repr(value)[:LONGEST_QUOTE]}")
    return plain


def _without_duplicates(made: Iterable[_Input | Struck]) -> Iterator[_Input | Struck]:
    """The first of the same inputs stays."""
    first: dict[str, Origin] = {}
    for one in made:
        if isinstance(one, _Input):
            origin = first.setdefault(json.dumps(one.test), one.origin)
            if origin != one.origin:
                one = Struck(one.origin, "duplicate", f"generator {origin.generator}, seed {origin.seed}")
        yield one


def _parted(results: Iterable[_Input | Struck]) -> tuple[list[_Input], list[Struck]]:
    inputs: list[_Input] = []
    struck: list[Struck] = []
    for result in results:
        if isinstance(result, _Input):
            inputs.append(result)
        else:
            struck.append(result)
    return inputs, struck


def _no_test(struck: Sequence[Struck]) -> UserError:
    """Says why, by the reason that stands nearest to a test, and one example of it."""
    counts = Counter(one.reason for one in struck)
    if not struck:
        return UserError("no valid test: no input was asked for; give a generator and at least one input")
    telling = next((one for one in struck if one.reason == "disagreement"), struck[0])
    summary = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
    finding = "the correct solutions agree on nothing" if counts["disagreement"] else "no valid test"
    at = f"generator {telling.origin.generator}, seed {telling.origin.seed}, {telling.origin.kind}"
    return UserError(f"{finding}: all {len(struck)} inputs are struck ({summary}); {at}: {telling.detail}")
