"""From a problem and a completion to a score.

Kinds of problems and what decides them:

- ``expression``: reaches the target with each number once (``tests`` = target, numbers);
- ``math``: an equal mathematical answer (``answers.same``; what it cannot decide goes to the worker pool);
- ``number``: a written number of equal value, with no operation left to do;
- ``choice``: the letter of the right option, or its text (``tests`` = options);
- ``text``, ``sequence``, ``set``: words, ordered words, unordered words.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import NamedTuple, Self

from dunwu.config.schema import RewardSpec
from dunwu.errors import UserError
from dunwu.types import Completion, Problem, Score, Status
from dunwu.verifiers import answers, exact, expression
from dunwu.verifiers.format import extract, follows_format
from dunwu.verifiers.latex import literal
from dunwu.verifiers.pool import CheckTimeout, WorkerLost, WorkerPool

REMEMBERED = 10_000
"""Verdicts kept: the completions of a group often end in the same answer."""


class Verdict(NamedTuple):
    """Whether an answer is right (None: it could not be found out), and why."""

    right: bool | None
    reason: str


class Grader:
    """Grades completions by rule. Threads may share it; ``close`` ends its workers, as does leaving its context.

    ``spec``: rewards, where the answer stands, workers and their time budget.
    """

    def __init__(self, spec: RewardSpec) -> None:
        self._spec = spec
        self._pool = WorkerPool(spec.workers, spec.timeout_seconds)
        self._lock = threading.Lock()
        self._remembered: OrderedDict[tuple[str, ...], Verdict] = OrderedDict()

    @property
    def workers(self) -> int:
        """How many threads it serves at once; more wait for each other."""
        return self._spec.workers

    def score(self, problem: Problem, completion: Completion) -> Score:
        """The score of one completion; never raises for anything that a model may write.

        ``parts`` are ``accuracy`` and ``format``, each 0 or 1; ``value`` is their sum weighted by the recipe. Without a
        format rule every text complies and earns nothing by it. A truncated completion is graded as it stands.

        Raises:
            UserError: no verifier grades this kind of problem.
            Fault: the workers cannot start.
        """
        extracted = extract(completion.text, self._spec.answer_in)
        verdict = Verdict(False, "no answer found") if extracted is None else self._judge(problem, extracted)
        ruled = self._spec.format_rule == "think-answer"
        parts = {
            "accuracy": float(verdict.right or False),
            "format": float(follows_format(completion.text) if ruled else True),
        }
        if verdict.right is None:
            return Score(value=0.0, parts=parts, status="verifier_failed", extracted=extracted, reason=verdict.reason)
        value = self._spec.accuracy * parts["accuracy"] + (self._spec.format * parts["format"] if ruled else 0.0)
        status: Status = "truncated" if completion.finish == "length" else "graded"
        return Score(value=value, parts=parts, status=status, extracted=extracted, reason=verdict.reason)

    def close(self) -> None:
        """Ends the workers; scoring that needs one raises ValueError from here on."""
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _judge(self, problem: Problem, answer: str) -> Verdict:
        if problem.kind == "expression":
            return Verdict(*expression.check(problem.tests, answer))
        if problem.kind == "math":
            return self._mathematics(problem.gold, answer)
        if problem.kind == "choice":
            return _plain(exact.same_choice(problem.tests, problem.gold, answer), problem.gold)
        if problem.kind not in SIMPLE:
            known = ", ".join(["expression", "math", "choice", *SIMPLE])
            raise UserError(f"no verifier grades problems of kind {problem.kind!r}; known: {known}", field="kind")
        return _plain(SIMPLE[problem.kind](problem.gold, answer), problem.gold)

    def _mathematics(self, gold: str, answer: str) -> Verdict:
        key = (gold, answer)
        with self._lock:
            if key in self._remembered:
                self._remembered.move_to_end(key)
                return self._remembered[key]
        try:
            verdict = _plain(answers.same(gold, answer, self._pool.ask), gold)
        except CheckTimeout:
            verdict = Verdict(False, f"timeout: not compared within {self._spec.timeout_seconds} s")
        except WorkerLost as lost:
            return Verdict(None, str(lost))
        with self._lock:
            self._remembered[key] = verdict
            if len(self._remembered) > REMEMBERED:
                self._remembered.popitem(last=False)
        return verdict


SIMPLE: Mapping[str, Callable[[str, str], bool]] = {
    "number": answers.same_literal,
    "text": exact.same_text,
    "sequence": exact.same_sequence,
    "set": exact.same_set,
}


def _plain(right: bool, gold: str) -> Verdict:
    return Verdict(right, f"equals {gold}" if right else f"does not equal {gold}")


def build(spec: RewardSpec) -> Grader:
    """The grader of a recipe's reward table; see ``Grader``."""
    return Grader(spec)


def answer_key(problem: Problem, extracted: str | None) -> str | None:
    """The key under which equal answers vote together (cons@k); None where there is no answer.

    Decided without workers, so it may tell apart what ``score`` finds equal (1/sqrt 2 and sqrt 2/2), never the reverse:
    answers of one key are graded alike, but for a unit or a name that contradicts the gold's.
    """
    if extracted is None:
        return None
    if problem.kind == "expression":
        return expression.key(extracted)
    if problem.kind == "math":
        return answers.key(extracted)
    if problem.kind == "number":
        return answers.key(extracted, literal)
    if problem.kind == "choice":
        return exact.chosen(problem.tests, extracted) or exact.folded(extracted)
    members = exact.items(extracted)
    return {"sequence": " ".join(members), "set": " ".join(sorted(members))}.get(problem.kind, exact.folded(extracted))
