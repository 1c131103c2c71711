"""The components of a reward that rules give to one completion, each under its name in ``Score.parts``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from dunwu.config.schema import RewardSpec
from dunwu.types import Completion, Problem
from dunwu.verifiers import penalties, quality
from dunwu.verifiers.format import RULES, extract_reasoning
from dunwu.verifiers.language import measure_consistency
from dunwu.verifiers.verdict import Verdict


@dataclass(frozen=True)
class Graded:
    """What components are made from: a completion, and what its verifier says of it.

    Attributes:
        spec: The recipe's rewards.
        problem: What was asked.
        completion: What was answered.
        verdict: Whether the answer in it is right.
    """

    spec: RewardSpec
    problem: Problem
    completion: Completion
    verdict: Verdict

    @cached_property
    def chain(self) -> str:
        """The reasoning."""
        return extract_reasoning(self.completion.text)


COMPONENTS: Mapping[str, Callable[[Graded], float]] = {
    "accuracy": lambda graded: float(graded.verdict.value or 0),
    "format": lambda graded: float(RULES[graded.spec.format_rule](graded.completion.text)),
    "language": lambda graded: measure_consistency(graded.chain, graded.problem.language, graded.spec.languages),
    "logic": lambda graded: quality.measure_logic(graded.chain) if graded.verdict.is_right else 0.0,
    "steps": lambda graded: quality.measure_steps(graded.chain) if graded.verdict.is_right else 0.0,
    "truncation": lambda graded: penalties.penalize_truncation(graded.completion.finish),
    "repetition": lambda graded: penalties.penalize_repetition(graded.completion.text),
}
"""The components in the order in which scores have them. ``novelty`` takes a whole group, and is the grader's."""
