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
from dunwu.pipeline.judges.prompting import ask_until_parsed, fill_placeholders, join_messages, run_concurrently
from dunwu.pipeline.judges.user_functions import load_function, preview_value
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
MESSAGE_EVERY = 100
"""Pairs."""
AGREES = """Does the answer below agree with the known answer to the question? Pay attention to what it comes to alone,
not to how. Reply with one word, yes or no.

Question: {question}

Known answer: {gold}

Answer: {answer}"""
VERDICT = re.compile(r"\W*(yes|no)\b", re.I)


class TruthJudge:
    """Says whether an answer agrees with the known one.

    Args:
        spec: the recipe's.

    Raises:
        UserError: the function cannot be loaded, or the endpoint's key is not set.
    """

    def __init__(self, spec: TruthJudgeSpec) -> None:
        self._spec = spec
        self._agrees = _build_agreement(spec)

    def judge(self, scored: ScoredGroup) -> ScoredGroup:
        """Put the judge's verdicts in the place of the rules', where the task is the judge's.

        Raises:
            UserError: the function fails, or the endpoint refuses.
            Fault: the endpoint gives no answer, or no verdict.
        """
        problem = scored.group.prompt.problem
        if self._spec.tasks and problem.task not in self._spec.tasks:
            return scored
        question = join_messages(problem)
        scores = []
        for completion, score in zip(scored.group.completions, scored.scores, strict=True):
            answer = score.extracted or extract_summary(completion.text)
            right = bool(answer.strip()) and self._agrees(question, problem.gold, answer)
            parts = {**score.parts, "accuracy": float(right)}
            scores.append(replace(score, parts=parts, status="graded", reason="judged"))
        return replace(scored, scores=tuple(scores))


class PairJudge:
    """Compares answers, and keeps what it said in a file, so that a run that goes on does not ask again.

    Args:
        spec: the recipe's.
        seed: decides which answer is shown first.
        memory: the file.
        message: takes a line now and then.

    Raises:
        UserError: the function cannot be loaded, or the endpoint's key is not set.
    """

    def __init__(self, spec: PairJudgeSpec, seed: int, memory: Path, message: Callable[[str], None]) -> None:
        self._spec, self._seed, self._memory, self._message = spec, seed, memory, message
        self._score = _build_custom_scorer(spec) if spec.by == "custom" else _build_endpoint_scorer(spec)
        cut_numbers(memory, math.inf)  # a torn end alone
        self._known = {row.pop("step"): list(row.values()) for row in read_numbers(memory)}

    def compare(self, pairs: Mapping[int, Preference], read: Callable[[str], str]) -> dict[int, float]:
        """Average how much better the answer called chosen is.

        Args:
            pairs: by their places among all of the stage.
            read: the part of an answer that counts.

        Returns:
            The mean difference of the scores, by place.

        Raises:
            UserError: the function fails, or the endpoint refuses.
            Fault: the endpoint gives no answer, or no scores.
        """
        asked = [place for place in pairs if place not in self._known]
        judgements = run_concurrently(
            lambda place: self._judge(place, pairs[place], read), asked, self._spec.concurrency
        )
        for done, (place, differences) in enumerate(zip(asked, judgements, strict=True), 1):
            append_numbers(self._memory, place, {f"judgement-{number}": one for number, one in enumerate(differences)})
            self._known[place] = differences
            if done % MESSAGE_EVERY == 0:
                self._message(f"{done:,}/{len(asked):,} pairs judged")
        return {place: fmean(self._known[place]) for place in pairs}

    def _judge(self, place: int, pair: Preference, read: Callable[[str], str]) -> list[float]:
        rng, question = random.Random(f"{self._seed}/{place}"), join_messages(pair)
        answers = read(pair.chosen), read(pair.rejected)
        return [self._compare_once(question, answers, turned=rng.random() < 0.5) for _ in range(self._spec.judgements)]

    def _compare_once(self, question: str, answers: Sequence[str], *, turned: bool) -> float:
        """Compare once; ``turned``: the second answer is shown first."""
        first, second = reversed(answers) if turned else answers
        one, other = self._score(question, first, second)
        return other - one if turned else one - other


def _build_agreement(spec: TruthJudgeSpec) -> Callable[[str, str, str], bool]:
    if spec.by == "custom":
        return _build_custom_agreement(spec)
    assert spec.endpoint is not None
    endpoint = Endpoint(spec.endpoint, "judge.endpoint")

    def ask(question: str, gold: str, answer: str) -> bool:
        instruction = spec.instruction or AGREES
        text = fill_placeholders(instruction, question=question, gold=gold, answer=answer)
        return ask_until_parsed(endpoint, text, parse_verdict, "says neither yes nor no")

    return ask


def _build_custom_agreement(spec: TruthJudgeSpec) -> Callable[[str, str, str], bool]:
    assert spec.file is not None  # the recipe was checked
    judge = load_function(spec.file, spec.function, "judge")

    def ask(question: str, gold: str, answer: str) -> bool:
        said = judge(question, gold, answer)
        if not isinstance(said, bool | np.bool_):
            text = f"{spec.file}: {spec.function} returns {preview_value(said)}, neither True nor False"
            raise UserError(text, field="judge.function")
        return bool(said)

    return ask


def parse_verdict(reply: str) -> bool | None:
    """Read yes or no at the beginning of a reply; None: neither."""
    found = VERDICT.match(reply)
    return None if found is None else found[1].lower() == "yes"


def _build_endpoint_scorer(spec: PairJudgeSpec) -> ScoreAnswers:
    assert spec.endpoint is not None  # the recipe was checked
    return build_scorer(Endpoint(spec.endpoint, "judge.endpoint"), spec.instruction or INSTRUCTION)


def build_scorer(endpoint: Endpoint, instruction: str = INSTRUCTION) -> ScoreAnswers:
    """Build what shows two answers to a model behind an endpoint, and reads the scores that it gives them.

    Args:
        endpoint: the model.
        instruction: with the placeholders question, first and second.

    Returns:
        The function; it raises UserError where the endpoint refuses, and Fault where it gives no answer, or no scores.
    """

    def ask(question: str, first: str, second: str) -> tuple[float, float]:
        text = fill_placeholders(instruction, question=question, first=first, second=second)
        return ask_until_parsed(endpoint, text, _parse_scores, "gives no scores for A and B")

    return ask


def _parse_scores(reply: str) -> tuple[float, float] | None:
    """Read the last scores that are given: a judge may think aloud first."""
    found = [pattern.findall(reply) for pattern in SCORES]
    one, other = (float(scores[-1]) if scores else math.inf for scores in found)
    return (one, other) if max(one, other) <= BEST else None


def _build_custom_scorer(spec: PairJudgeSpec) -> ScoreAnswers:
    assert spec.file is not None
    compare = load_function(spec.file, spec.function, "judge")

    def ask(question: str, first: str, second: str) -> tuple[float, float]:
        said = compare(question, first, second)
        if not (isinstance(said, tuple | list) and len(said) == 2 and all(map(_is_score, said))):
            wanted = f"not two numbers up to {LARGEST_JUDGEMENT:g}"
            text = f"{spec.file}: {spec.function} returns {preview_value(said)}, {wanted}"
            raise UserError(text, field="judge.function")
        return float(said[0]), float(said[1])

    return ask


def _is_score(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return False
    return bool(-LARGEST_JUDGEMENT <= value <= LARGEST_JUDGEMENT)
