"""From a problem and a completion to a score.

A verifier decides whether the answer is right, by the ``kind`` of the problem (``kinds``, ``verifier``). Accuracy is
one component of the reward; ``components`` has the others, and ``weights`` says what each weighs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from dunwu import registry
from dunwu.config.schema import RewardSpec
from dunwu.errors import UserError
from dunwu.sandbox import Sandbox
from dunwu.types import Completion, Problem, RolloutGroup, Score, Status
from dunwu.user_code import file_of
from dunwu.verifiers import quality
from dunwu.verifiers.components import COMPONENTS, Graded
from dunwu.verifiers.format import extract_answer, extract_reasoning, extract_summary
from dunwu.verifiers.language import measure_consistency
from dunwu.verifiers.math.sympy_pool import WorkerPool
from dunwu.verifiers.process import WorkerLost
from dunwu.verifiers.texts import fold
from dunwu.verifiers.user.custom import CustomRewards
from dunwu.verifiers.user.verifier import FileVerifier
from dunwu.verifiers.verdict import Verdict
from dunwu.verifiers.verifier import FunctionVerifier, Resources, Verifier
from dunwu.verifiers.weights import RewardWeights, sum_components

Judge = Callable[[RolloutGroup], Sequence[float]]
"""A number for each completion of a group."""


class RewardGrader:
    """Grades completions as a recipe's rewards say. Threads may share it; leaving its context ends its workers.

    Args:
        spec: The recipe's rewards: components, weights, where the answer stands, workers and their budgets.
        sandbox: Where programs run; None where no problem asks for one. Whoever made it closes it.
        judges: The reward models by the names of their components; ``score_group`` asks them about whole groups.

    Raises:
        UserError: A language is unknown or cannot be recognized here; a custom function cannot be loaded.
    """

    def __init__(
        self, spec: RewardSpec, sandbox: Sandbox | None = None, judges: Mapping[str, Judge] | None = None
    ) -> None:
        self._spec = spec
        self._judges = judges or {}
        # Which take the whole group; ``score_group`` adds them.
        self._late = {"novelty", *(model.name for model in spec.models)}
        self._weights = RewardWeights(spec)
        for language in spec.languages:  # unknown ones, and a missing identifier, show here
            measure_consistency("word", language, spec.languages)
        self._pool = WorkerPool(spec.workers, spec.timeout_seconds)
        self._custom = CustomRewards(spec.custom, spec.workers)
        self._resources = Resources(spec=spec, pool=self._pool, sandbox=sandbox)
        self._verifiers: dict[str, Verifier] = {}
        self._lock = threading.Lock()

    @property
    def workers(self) -> int:
        """Threads that it serves at once; more wait for each other."""
        return self._spec.workers

    @property
    def plain(self) -> PlainGrader:
        """A grader for measurements: what is rewarded besides, and may fail, must not decide which answers count."""
        return self.measure_with(())

    def measure_with(self, custom: Sequence[str]) -> PlainGrader:
        """Return a grader like ``plain`` that asks these custom functions too."""
        return PlainGrader(self, custom)

    def score_custom(self, names: Sequence[str], problem: Problem, completion: Completion) -> dict[str, float]:
        """Ask custom functions about a completion.

        Args:
            names: Of their components.
            problem: What was asked.
            completion: What was answered.

        Returns:
            What they gave by name; those whose process was lost are left out.

        Raises:
            UserError: One raises, or returns no number that can be a reward.
        """
        given = dict[str, float]()
        for name in names:
            with suppress(WorkerLost):
                given[name] = self._custom.score(name, problem, completion)
        return given

    def score(self, problem: Problem, completion: Completion) -> Score:
        """Grade one completion as far as it can be graded alone; no text that a model may write makes it raise.

        ``parts`` are the components that the recipe weighs, ``format`` (0 or 1) always among them and ``accuracy``
        wherever an answer can be right; ``value`` is their sum with the first update's weights. Without a format rule
        every text complies and earns nothing by it. A truncated completion is graded as it stands; one whose reasoning
        never ended has no answer.

        Raises:
            UserError: No verifier has this kind of problem; a function of the user's is not as it should be.
            Fault: The workers cannot start.
        """
        return self.score_components(problem, completion, self._weights.find_used(problem.task) - self._late)

    def score_components(self, problem: Problem, completion: Completion, names: Set[str]) -> Score:
        """Grade one completion by some components; see ``score``.

        Args:
            problem: What was asked.
            completion: What was answered.
            names: The components, ``accuracy`` among them.
        """
        verifier = self._find_verifier(problem.kind)
        extracted = self._find_answer(verifier, completion)
        if extracted is None and verifier.decides:
            verdict = Verdict(False, "no answer found")
        else:
            verdict = self._verify(verifier, problem, extracted or "")
        names = names if verifier.decides else names - {"accuracy"}
        try:
            parts = self._make_components(Graded(self._spec, problem, completion, verdict), names)
        except WorkerLost as lost:
            parts, verdict = {}, Verdict(None, str(lost))
        if verdict.value is None:
            return Score(value=0.0, parts=parts, status="verifier_failed", extracted=extracted, reason=verdict.reason)
        status: Status = "truncated" if completion.finish == "length" else "graded"
        value = sum_components(parts, self._weights.at(problem.task, 0))
        return Score(value=value, parts=parts, status=status, extracted=extracted, reason=verdict.reason)

    def score_group(self, group: RolloutGroup, scores: Sequence[Score], update: int) -> tuple[Score, ...]:
        """Return a group's scores with ``novelty`` and what reward models give among their components.

        Reward models that weigh nothing at this update are not asked.

        Args:
            group: The completions of one prompt.
            scores: What ``score`` gave each of them.
            update: How many updates the policy has had; the weights are those of then.
        """
        task = group.prompt.problem.task
        weights = self._weights.at(task, update)
        has_novelty = "novelty" in self._weights.find_used(task)
        chains = [extract_reasoning(completion.text) for completion in group.completions] if has_novelty else []
        judgements = {name: judge(group) for name, judge in self._judges.items() if weights[name]}
        found = []
        for place, score in enumerate(scores):
            parts = dict(score.parts)
            if parts:
                parts |= {name: values[place] for name, values in judgements.items()}
            if has_novelty and parts:
                siblings = chains[:place] + chains[place + 1 :]
                is_right = parts.get("accuracy") == 1
                parts["novelty"] = quality.measure_novelty(chains[place], siblings) if is_right else 0.0
            value = 0.0 if score.status == "verifier_failed" else sum_components(parts, weights)
            found.append(replace(score, parts=parts, value=value))
        return tuple(found)

    def close(self) -> None:
        """End the workers; grading that needs one raises ValueError from here on."""
        self._pool.close()
        self._custom.close()
        for verifier in self._verifiers.values():
            verifier.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _find_verifier(self, kind: str) -> Verifier:
        with self._lock:
            if kind not in self._verifiers:
                self._verifiers[kind] = _make_verifier(kind, self._resources)
            return self._verifiers[kind]

    def _find_answer(self, verifier: Verifier, completion: Completion) -> str | None:
        if not verifier.decides:
            return extract_summary(completion.text) or None
        where, raw = self._spec.answer_in, verifier.place == "program"
        if verifier.place == "response" or (raw and where != "answer-tag"):
            where = "summary"  # no box or line holds a program
        answer = extract_answer(completion.text, where, cut=completion.finish == "length", raw=raw)
        return answer if answer is None or raw else answer.strip()

    def _verify(self, verifier: Verifier, problem: Problem, answer: str) -> Verdict:
        try:
            return verifier.verify(problem, answer)
        except WorkerLost as lost:
            return Verdict(None, str(lost))

    def _make_components(self, graded: Graded, names: Set[str]) -> dict[str, float]:
        parts = {name: make(graded) for name, make in COMPONENTS.items() if name in names}
        custom = sorted(names - COMPONENTS.keys())
        return parts | {name: self._custom.score(name, graded.problem, graded.completion) for name in custom}


class PlainGrader:
    """Grades by accuracy and format, which alone decide, and names custom functions beside them.

    It is a ``rollout.collect.Grader``.

    Args:
        grader: Whose verifiers it uses.
        custom: Components of custom functions that are measured too.
    """

    def __init__(self, grader: RewardGrader, custom: Sequence[str] = ()) -> None:
        self._grader, self._custom, self.workers = grader, custom, grader.workers

    def score(self, problem: Problem, completion: Completion) -> Score:
        """See ``RewardGrader.score``."""
        score = self._grader.score_components(problem, completion, {"accuracy", "format"})
        custom = self._grader.score_custom(self._custom, problem, completion)
        return replace(score, parts={**score.parts, **custom}) if custom else score

    def score_group(self, group: RolloutGroup, scores: Sequence[Score], update: int) -> tuple[Score, ...]:
        """Return the scores unchanged; see ``RewardGrader.score_group``."""
        return tuple(scores)


def make_answer_key(problem: Problem, extracted: str | None) -> str | None:
    """Return the key under which equal answers vote together (cons@k); None where there is no answer.

    It takes neither workers nor the user's files.

    Args:
        problem: What was asked.
        extracted: The answer in a completion; None where it has none.
    """
    if extracted is None:
        return None
    known = file_of(problem.kind) is None and registry.verifiers.problem_with(problem.kind) is None
    found: Any = registry.verifiers.load(problem.kind) if known else None
    is_verifier = isinstance(found, type) and issubclass(found, Verifier)
    return found.make_key(problem, extracted) if is_verifier else fold(extracted)


def _make_verifier(kind: str, resources: Resources) -> Verifier:
    if file_of(kind):
        return FileVerifier(kind, resources)
    if registry.verifiers.problem_with(kind):
        known = ", ".join(registry.verifiers.names())
        raise UserError(f"no verifier grades problems of kind {kind!r}; known: {known}")
    found: Any = registry.verifiers.load(kind)
    if isinstance(found, type) and issubclass(found, Verifier):
        return found(resources)
    return FunctionVerifier(found, kind, resources)
