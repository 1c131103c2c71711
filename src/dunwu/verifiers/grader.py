"""From a problem and a completion to a score.

Kinds of problems and what decides them:

- ``expression``: reaches the target with each number once (``tests`` = target, numbers);
- ``math``: an equal mathematical answer (``answers.same``; what it cannot decide goes to the worker pool);
- ``number``: a written number of equal value, with no operation left to do;
- ``choice``: the letter of the right option, or its text (``tests`` = options);
- ``text``, ``sequence``, ``set``: words, ordered words, unordered words;
- ``premise``: the value, or the refusal of a question that rests on something false;
- ``code``: a program that passes every test (``tests``, see ``code``);
- ``instructions``: a response that follows every one of them (``tests``, see ``instructions``);
- ``refusal``: a response that refuses, or does not, as the gold says (a rule of thumb, see ``refusal``);
- ``gym``: what a scorer of reasoning-gym gives 1 (``tests``, see ``gym``);
- ``open``: nothing is right or wrong; reward models say what an answer is worth, and there is no part ``accuracy``.

Accuracy is one part of the reward; ``composition`` says what the parts weigh.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import NamedTuple, Self

from dunwu.config.schema import RewardSpec
from dunwu.errors import UserError
from dunwu.sandbox import Sandbox
from dunwu.types import Completion, Problem, RolloutGroup, Score, Status
from dunwu.verifiers import expression, instructions, penalties, premise, quality, refusal, texts
from dunwu.verifiers.code import CodeVerifier, find_entry, make_limits
from dunwu.verifiers.format import RULES, extract_answer, extract_reasoning, extract_summary
from dunwu.verifiers.gym import GymVerifier
from dunwu.verifiers.language import measure_consistency
from dunwu.verifiers.math import answers
from dunwu.verifiers.math.sympy_pool import CheckTimeout, WorkerPool
from dunwu.verifiers.process import WorkerLost
from dunwu.verifiers.programs import find_program
from dunwu.verifiers.user.custom import OwnParts
from dunwu.verifiers.weights import Composition, sum_components

REMEMBERED = 10_000
"""Verdicts kept: the completions of a group often end in the same answer."""


Judge = Callable[[RolloutGroup], Sequence[float]]
"""A number for each completion of a group."""


class Verdict(NamedTuple):
    """Whether an answer is right (None: it could not be found out), and why."""

    right: bool | None
    reason: str


class Grader:
    """Grades completions by rule. Threads may share it; ``close`` ends its workers, as does leaving its context.

    Args:
        spec: the recipe's rewards: parts, weights, where the answer stands, workers and their budgets.
        sandbox: where programs run; None where no problem asks for one. Whoever made it closes it.
        judges: the reward models by the names of their parts, asked by ``score_group`` about whole groups.

    Raises:
        UserError: a language that is not known or cannot be told apart here; a user's own part cannot be loaded.
    """

    def __init__(
        self, spec: RewardSpec, sandbox: Sandbox | None = None, judges: Mapping[str, Judge] | None = None
    ) -> None:
        self._spec = spec
        self._judges = judges or {}
        # Which take the whole group; ``score_group`` adds them.
        self._late = {"novelty", *(part.name for part in spec.models)}
        self._composition = Composition(spec)
        for language in spec.languages:  # unknown ones, and a missing identifier, show here
            measure_consistency("word", language, spec.languages)
        self._pool = WorkerPool(spec.workers, spec.timeout_seconds)
        self._own = OwnParts(spec.custom, spec.workers)
        self._code = CodeVerifier(sandbox, make_limits(spec.code)) if sandbox else None
        self._gym = GymVerifier(sandbox) if sandbox else None
        self._lock = threading.Lock()
        self._remembered: OrderedDict[tuple[str, ...], Verdict] = OrderedDict()

    @property
    def workers(self) -> int:
        """How many threads it serves at once; more wait for each other."""
        return self._spec.workers

    @property
    def plain(self) -> PlainGrader:
        """For measurements: what is rewarded besides, and may fail, must not decide which answers count."""
        return self.measuring(())

    def measuring(self, own: Sequence[str]) -> PlainGrader:
        """As ``plain``, with these parts of the user's beside accuracy and format."""
        return PlainGrader(self, own)

    def own_parts(self, names: Sequence[str], problem: Problem, completion: Completion) -> dict[str, float]:
        """Ask functions of the user's about a completion.

        Args:
            names: of their parts.
            problem: what was asked.
            completion: what was answered.

        Returns:
            What they gave by name; those whose process was lost are left out.

        Raises:
            UserError: one raises, or returns no number that can be a reward.
        """
        given = dict[str, float]()
        for name in names:
            with suppress(WorkerLost):
                given[name] = self._own.score(name, problem, completion)
        return given

    def score(self, problem: Problem, completion: Completion) -> Score:
        """What can be said of one completion alone; never raises for anything that a model may write.

        ``parts`` are those that the recipe weighs, ``format`` (0 or 1) always among them and ``accuracy`` (0 or 1)
        wherever an answer can be right; ``value`` is
        their sum with the first update's weights. Without a format rule every text complies and earns nothing by it. A
        truncated completion is graded as it stands; one whose reasoning never ended has no answer.

        Raises:
            UserError: no verifier grades this kind of problem; a user's own part is not as it should be.
            Fault: the workers cannot start.
        """
        return self.grade(problem, completion, self._composition.wanted(problem.task) - self._late)

    def grade(self, problem: Problem, completion: Completion, wanted: Set[str]) -> Score:
        """As ``score``, with these parts, ``accuracy`` among them."""
        if problem.kind == "open":
            extracted, verdict = extract_summary(completion.text) or None, Verdict(False, "open: no answer is right")
            wanted = wanted - {"accuracy"}
        else:
            where = self._spec.answer_in
            if problem.kind in RESPONSES or (problem.kind == "code" and where != "answer-tag"):
                where = "summary"  # no box or line holds a program
            cut, raw = completion.finish == "length", problem.kind == "code"
            extracted = extract_answer(completion.text, where, cut=cut, raw=raw)
            if extracted and problem.kind != "code":
                extracted = extracted.strip()
            verdict = Verdict(False, "no answer found") if extracted is None else self._judge(problem, extracted)
        try:
            parts = self._parts(problem, completion, bool(verdict.right), wanted)
        except WorkerLost as lost:
            parts, verdict = {}, Verdict(None, str(lost))
        if verdict.right is None:
            return Score(value=0.0, parts=parts, status="verifier_failed", extracted=extracted, reason=verdict.reason)
        status: Status = "truncated" if completion.finish == "length" else "graded"
        value = sum_components(parts, self._composition.weights(problem.task, 0))
        return Score(value=value, parts=parts, status=status, extracted=extracted, reason=verdict.reason)

    def score_group(self, group: RolloutGroup, scores: Sequence[Score], update: int) -> tuple[Score, ...]:
        """The scores of a group, ``novelty`` and what reward models give among their parts, as the rollout after
        ``update`` updates weighs them. Reward models that weigh nothing then are not asked."""
        task = group.prompt.problem.task
        weights = self._composition.weights(task, update)
        novel = "novelty" in self._composition.wanted(task)
        chains = [extract_reasoning(completion.text) for completion in group.completions] if novel else []
        judged = {name: judge(group) for name, judge in self._judges.items() if weights[name]}
        weighed = []
        for place, score in enumerate(scores):
            parts = dict(score.parts)
            if parts:
                parts |= {name: values[place] for name, values in judged.items()}
            if novel and parts:
                siblings = chains[:place] + chains[place + 1 :]
                parts["novelty"] = quality.measure_novelty(chains[place], siblings) if parts.get("accuracy") else 0.0
            value = 0.0 if score.status == "verifier_failed" else sum_components(parts, weights)
            weighed.append(replace(score, parts=parts, value=value))
        return tuple(weighed)

    def _parts(self, problem: Problem, completion: Completion, right: bool, wanted: Set[str]) -> dict[str, float]:
        follows, chain = RULES[self._spec.format_rule], extract_reasoning(completion.text) if wanted & CHAINED else ""
        known: dict[str, Callable[[], float]] = {
            "accuracy": lambda: float(right),
            "format": lambda: float(follows(completion.text)),
            "language": lambda: measure_consistency(chain, problem.language, self._spec.languages),
            "logic": lambda: quality.measure_logic(chain) if right else 0.0,
            "steps": lambda: quality.measure_steps(chain) if right else 0.0,
            "truncation": lambda: penalties.penalize_truncation(completion.finish),
            "repetition": lambda: penalties.penalize_repetition(completion.text),
        }
        parts = {name: part() for name, part in known.items() if name in wanted}
        return parts | {name: self._own.score(name, problem, completion) for name in sorted(wanted - known.keys())}

    def close(self) -> None:
        """Ends the workers; scoring that needs one raises ValueError from here on."""
        self._pool.close()
        self._own.close()

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
            return _plain(texts.same_choice(problem.tests, problem.gold, answer), problem.gold)
        if problem.kind == "premise":
            return Verdict(*premise.check(problem.gold, answer))
        if problem.kind == "code":
            return self._program(problem.tests, answer)
        if problem.kind == "gym":
            assert self._gym is not None, "a recipe with sets of reasoning-gym has a sandbox"
            return Verdict(*self._gym.judge(problem.tests, answer))
        if problem.kind == "instructions":
            return Verdict(*instructions.check(problem.tests, answer))
        if problem.kind == "refusal":
            return Verdict(*refusal.check(problem.gold, answer))
        if problem.kind not in SIMPLE:
            known = ", ".join(["expression", "math", "choice", "premise", "code", "gym", *RESPONSES, *SIMPLE])
            raise UserError(f"no verifier grades problems of kind {problem.kind!r}; known: {known}", field="kind")
        return _plain(SIMPLE[problem.kind](problem.gold, answer), problem.gold)

    def _program(self, tests: tuple[str, ...], answer: str) -> Verdict:
        assert self._code is not None, "a recipe with programs has a sandbox"
        ran = self._code.judge(tests, answer)
        right = None if ran.result == "infrastructure" else ran.result == "passed"
        return Verdict(right, f"{ran.result}: {ran.reason}")

    def _mathematics(self, gold: str, answer: str) -> Verdict:
        key = (gold, answer)
        with self._lock:
            if key in self._remembered:
                self._remembered.move_to_end(key)
                return self._remembered[key]
        try:
            verdict = _plain(answers.same_answer(gold, answer, self._pool.ask), gold)
        except CheckTimeout:  # remembered too: the same answer must not be right in one place and wrong in another
            verdict = Verdict(False, f"timeout: not compared within {self._spec.timeout_seconds} s")
        except WorkerLost as lost:
            return Verdict(None, str(lost))
        with self._lock:
            self._remembered[key] = verdict
            if len(self._remembered) > REMEMBERED:
                self._remembered.popitem(last=False)
        return verdict


class PlainGrader:
    """Accuracy and format, which alone decide, and ``own`` parts beside them: see ``rollout.collect.Grader``."""

    def __init__(self, grader: Grader, own: Sequence[str] = ()) -> None:
        self._grader, self._own, self.workers = grader, own, grader.workers

    def score(self, problem: Problem, completion: Completion) -> Score:
        """See ``Grader.score``."""
        score = self._grader.grade(problem, completion, {"accuracy", "format"})
        own = self._grader.own_parts(self._own, problem, completion)
        return replace(score, parts={**score.parts, **own}) if own else score

    def score_group(self, group: RolloutGroup, scores: Sequence[Score], update: int) -> tuple[Score, ...]:
        """As they are."""
        return tuple(scores)


CHAINED = frozenset({"language", "logic", "steps"})
"""Parts that look at the reasoning."""
RESPONSES = ("instructions", "refusal")
"""Kinds of which the whole response is the answer, wherever other answers stand."""
SIMPLE: Mapping[str, Callable[[str, str], bool]] = {
    "number": answers.same_literal,
    "text": texts.same_text,
    "sequence": texts.same_sequence,
    "set": texts.same_set,
}


def _plain(right: bool, gold: str) -> Verdict:
    return Verdict(right, f"equals {gold}" if right else f"does not equal {gold}")


def build(spec: RewardSpec, sandbox: Sandbox | None = None, judges: Mapping[str, Judge] | None = None) -> Grader:
    """The grader of a recipe's reward table; see ``Grader``."""
    return Grader(spec, sandbox, judges)


def answer_key(problem: Problem, extracted: str | None) -> str | None:
    """The key under which equal answers vote together (cons@k); None where there is no answer.

    Decided without workers, so it may tell apart what ``score`` finds equal (1/sqrt 2 and sqrt 2/2), never the reverse:
    answers of one key are graded alike, but for a unit or a name that contradicts the gold's.
    """
    if extracted is None:
        return None
    if problem.kind == "expression":
        return expression.make_key(extracted)
    if problem.kind == "math":
        return answers.make_key(extracted)
    if problem.kind in ("number", "premise"):
        return answers.make_key(extracted, written=True)
    if problem.kind == "code":
        return find_program(extracted, find_entry(problem.tests)).strip()
    if problem.kind == "choice":
        return texts.find_choice(problem.tests, extracted) or texts.fold(extracted)
    members = texts.split_members(extracted)
    return {"sequence": " ".join(members), "set": " ".join(sorted(members))}.get(problem.kind, texts.fold(extracted))
