"""Judges that are asked: which of two answers is better, and whether an answer agrees with the known one.

Pairs are judged several times in random order, and the judgements averaged (R1, arXiv 2501.12948v2, section 3.1: four
times); what rules cannot compare with the ground truth, a model does (section 3.2.3).
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np

from dunwu.config.schema import PairJudgeSpec, TruthJudgeSpec
from dunwu.errors import UserError
from dunwu.pipeline.judges.user_functions import ask_until_read, filled, own_function, question_of, shown, side_by_side
from dunwu.rollout.remote import Endpoint
from dunwu.runs.jsonl import append_numbers, cut_numbers, read_numbers
from dunwu.tasks.datasets.conversations import LARGEST_JUDGEMENT
from dunwu.types import Preference, ScoredGroup
from dunwu.verifiers.format import extract_summary

ScoreAnswers = Callable[[str, str, str], tuple[float, float]]
"""Question, first answer, second answer -> how good each is."""
INSTRUCTION = """Judge two answers to the same question by how helpful and relevant they are to whoever asked. Pay no
attention to their order or length. Give each a score from 1 (useless) to 10 (perfect), and reply with nothing but this:
A: score, B: score

Question: {question}

Answer A: {first}

Answer B: {second}"""
SCORES = [re.compile(rf"\b{name}\b[\s*_:=]{{0,6}}(\d{{1,2}}(?:\.\d{{1,9}})?)(?![\d.]*\d)") for name in "AB"]
BEST = 10.0
"""Score."""
TELL_EVERY = 100
"""Pairs."""
AGREES = """Does the answer below agree with the known answer to the question? Pay attention to what it comes to alone,
not to how. Reply with one word, yes or no.

Question: {question}

Known answer: {gold}

Answer: {answer}"""
VERDICT = re.compile(r"\W*(yes|no)\b", re.I)


class TruthJudge:
    """Whether an answer agrees with the known one.

    Raises:
        UserError: the function cannot be loaded, or the endpoint's key is not set.
    """

    def __init__(self, spec: TruthJudgeSpec) -> None:
        self._spec = spec
        self._ask = _agreement_of(spec)

    def judged(self, scored: ScoredGroup) -> ScoredGroup:
        """The group with the judge's verdicts in the place of the rules', where the task is the judge's.

        Raises:
            UserError: the function fails, or the endpoint refuses.
            Fault: the endpoint gives no answer, or no verdict.
        """
        problem = scored.group.prompt.problem
        if self._spec.tasks and problem.task not in self._spec.tasks:
            return scored
        question = question_of(problem)
        scores = []
        for completion, score in zip(scored.group.completions, scored.scores, strict=True):
            answer = score.extracted or extract_summary(completion.text)
            right = bool(answer.strip()) and self._ask(question, problem.gold, answer)
            parts = {**score.parts, "accuracy": float(right)}
            scores.append(replace(score, parts=parts, status="graded", reason="judged"))
        return replace(scored, scores=tuple(scores))


class PairJudge:
    """Compares answers, and remembers what it said in a file, so that a run that goes on does not ask again.

    Raises:
        UserError: the function cannot be loaded, or the endpoint's key is not set.
    """

    def __init__(self, spec: PairJudgeSpec, seed: int, memory: Path, tell: Callable[[str], None]) -> None:
        self._spec, self._seed, self._memory, self._tell = spec, seed, memory, tell
        self._ask = _own(spec) if spec.by == "custom" else _endpoint(spec)
        cut_numbers(memory, math.inf)  # a torn end alone
        self._known = {row.pop("step"): list(row.values()) for row in read_numbers(memory)}

    def ahead(self, pairs: Mapping[int, Preference], read: Callable[[str], str]) -> dict[int, float]:
        """How much better the answer called chosen is, on average, of each pair by its place among all of the stage;
        ``read`` is the part of an answer that counts.

        Raises:
            UserError: the function fails, or the endpoint refuses.
            Fault: the endpoint gives no answer, or no scores.
        """
        asked = [place for place in pairs if place not in self._known]
        answers = side_by_side(lambda place: self._said(place, pairs[place], read), asked, self._spec.concurrency)
        for done, (place, said) in enumerate(zip(asked, answers, strict=True), 1):
            append_numbers(self._memory, place, {f"judgement-{number}": one for number, one in enumerate(said)})
            self._known[place] = said
            if done % TELL_EVERY == 0:
                self._tell(f"{done:,}/{len(asked):,} pairs judged")
        return {place: fmean(self._known[place]) for place in pairs}

    def _said(self, place: int, pair: Preference, read: Callable[[str], str]) -> list[float]:
        rng, question = random.Random(f"{self._seed}/{place}"), question_of(pair)
        answers = read(pair.chosen), read(pair.rejected)
        return [self._once(question, answers, turned=rng.random() < 0.5) for _ in range(self._spec.judgements)]

    def _once(self, question: str, answers: Sequence[str], *, turned: bool) -> float:
        """One comparison; ``turned``: the second answer is shown first."""
        first, second = reversed(answers) if turned else answers
        one, other = self._ask(question, first, second)
        return other - one if turned else one - other


def _agreement_of(spec: TruthJudgeSpec) -> Callable[[str, str, str], bool]:
    if spec.by == "custom":
        return _own_verdict(spec)
    assert spec.endpoint is not None
    endpoint = Endpoint(spec.endpoint, "judge.endpoint")

    def ask(question: str, gold: str, answer: str) -> bool:
        told = filled(spec.instruction or AGREES, question=question, gold=gold, answer=answer)
        return ask_until_read(endpoint, told, _verdict, "says neither yes nor no")

    return ask


def _own_verdict(spec: TruthJudgeSpec) -> Callable[[str, str, str], bool]:
    assert spec.file is not None  # the recipe was checked
    judge = own_function(spec.file, spec.function, "judge")

    def ask(question: str, gold: str, answer: str) -> bool:
        said = judge(question, gold, answer)
        if not isinstance(said, bool | np.bool_):
            text = f"{spec.file}: {spec.function} returns {shown(said)}, neither True nor False"
            raise UserError(text, field="judge.function")
        return bool(said)

    return ask


def _verdict(reply: str) -> bool | None:
    found = VERDICT.match(reply)
    return None if found is None else found[1].lower() == "yes"


def _endpoint(spec: PairJudgeSpec) -> ScoreAnswers:
    assert spec.endpoint is not None  # the recipe was checked
    return scoring(Endpoint(spec.endpoint, "judge.endpoint"), spec.instruction or INSTRUCTION)


def scoring(endpoint: Endpoint, instruction: str = INSTRUCTION) -> ScoreAnswers:
    """Two answers to a model behind an endpoint, and the scores that it gives them. What is returned raises UserError
    where the endpoint refuses, and Fault where it gives no answer, or no scores."""

    def ask(question: str, first: str, second: str) -> tuple[float, float]:
        told = filled(instruction, question=question, first=first, second=second)
        return ask_until_read(endpoint, told, _scores, "gives no scores for A and B")

    return ask


def _scores(reply: str) -> tuple[float, float] | None:
    """The last that are given: a judge may think aloud first."""
    found = [pattern.findall(reply) for pattern in SCORES]
    one, other = (float(scores[-1]) if scores else math.inf for scores in found)
    return (one, other) if max(one, other) <= BEST else None


def _own(spec: PairJudgeSpec) -> ScoreAnswers:
    assert spec.file is not None
    compare = own_function(spec.file, spec.function, "judge")

    def ask(question: str, first: str, second: str) -> tuple[float, float]:
        said = compare(question, first, second)
        if not (isinstance(said, tuple | list) and len(said) == 2 and all(map(_is_score, said))):
            text = f"{spec.file}: {spec.function} returns {shown(said)}, not two numbers up to {LARGEST_JUDGEMENT:g}"
            raise UserError(text, field="judge.function")
        return float(said[0]), float(said[1])

    return ask


def _is_score(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return False
    return bool(-LARGEST_JUDGEMENT <= value <= LARGEST_JUDGEMENT)
