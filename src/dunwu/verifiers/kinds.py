"""The verifiers that are built in, one for each kind of problem; ``dunwu.registry.verifiers`` has their names."""

from __future__ import annotations

from functools import lru_cache

from dunwu.types import Problem
from dunwu.verifiers import expression, instructions, premise, refusal, texts
from dunwu.verifiers.code import CodeVerifier, find_entry, make_limits
from dunwu.verifiers.gym import GymVerifier
from dunwu.verifiers.math import answers
from dunwu.verifiers.math.sympy_pool import CheckTimeout
from dunwu.verifiers.programs import find_program
from dunwu.verifiers.verdict import Verdict, judge_equality
from dunwu.verifiers.verifier import Resources, Verifier

VERDICTS_KEPT = 10_000
"""Comparisons that are remembered: the completions of a group often end in the same answer."""


class Math(Verifier):
    """An equal mathematical answer; what ``math.answers`` cannot decide goes to the workers."""

    def __init__(self, resources: Resources) -> None:
        super().__init__(resources)
        self._compare = lru_cache(maxsize=VERDICTS_KEPT)(self._compare_afresh)

    def verify(self, problem: Problem, answer: str) -> Verdict:
        """See ``Verifier``. A comparison that takes too long is wrong."""
        return self._compare(problem.gold, answer)

    def _compare_afresh(self, gold: str, answer: str) -> Verdict:
        try:
            return judge_equality(gold, answers.same_answer(gold, answer, self.resources.pool.ask))
        except CheckTimeout:  # remembered too: the same answer must not be right in one place and wrong in another
            return Verdict(False, f"timeout: not compared within {self.resources.spec.timeout_seconds} s")

    @staticmethod
    def make_key(problem: Problem, answer: str) -> str:
        """See ``Verifier``. It may tell apart what ``verify`` finds equal (1/sqrt 2 and sqrt 2/2), never the reverse.

        Answers of one key are graded alike, but for a unit or a name that contradicts the gold's.
        """
        return answers.make_key(answer)


class Number(Verifier):
    """A written number of equal value, with no operation left to do."""

    def verify(self, problem: Problem, answer: str) -> Verdict:
        """See ``Verifier``."""
        return judge_equality(problem.gold, answers.same_literal(problem.gold, answer))

    @staticmethod
    def make_key(problem: Problem, answer: str) -> str:
        """See ``Verifier``."""
        return answers.make_key(answer, written=True)


class Premise(Number):
    """The value, or the refusal of a question that rests on something false."""

    def verify(self, problem: Problem, answer: str) -> Verdict:
        """See ``Verifier``."""
        return premise.check(problem.gold, answer)


class Expression(Verifier):
    """An expression that reaches the target with each number once; ``tests`` are the target and the numbers."""

    def verify(self, problem: Problem, answer: str) -> Verdict:
        """See ``Verifier``."""
        return expression.check(problem.tests, answer)

    @staticmethod
    def make_key(problem: Problem, answer: str) -> str:
        """See ``Verifier``."""
        return expression.make_key(answer)


class Choice(Verifier):
    """The letter of the right option, or its text; ``tests`` are the options."""

    def verify(self, problem: Problem, answer: str) -> Verdict:
        """See ``Verifier``."""
        return judge_equality(problem.gold, texts.same_choice(problem.tests, problem.gold, answer))

    @staticmethod
    def make_key(problem: Problem, answer: str) -> str:
        """See ``Verifier``."""
        return texts.find_choice(problem.tests, answer) or texts.fold(answer)


class Text(Verifier):
    """The same words."""

    def verify(self, problem: Problem, answer: str) -> Verdict:
        """See ``Verifier``."""
        return judge_equality(problem.gold, texts.same_text(problem.gold, answer))


class Sequence(Verifier):
    """The same members in the same order."""

    def verify(self, problem: Problem, answer: str) -> Verdict:
        """See ``Verifier``."""
        return judge_equality(problem.gold, texts.same_sequence(problem.gold, answer))

    @staticmethod
    def make_key(problem: Problem, answer: str) -> str:
        """See ``Verifier``."""
        return " ".join(texts.split_members(answer))


class Set(Verifier):
    """The same members in any order."""

    def verify(self, problem: Problem, answer: str) -> Verdict:
        """See ``Verifier``."""
        return judge_equality(problem.gold, texts.same_set(problem.gold, answer))

    @staticmethod
    def make_key(problem: Problem, answer: str) -> str:
        """See ``Verifier``."""
        return " ".join(sorted(texts.split_members(answer)))


class Code(Verifier):
    """A program that passes every test; ``tests`` are those of ``code``."""

    place = "program"

    def __init__(self, resources: Resources) -> None:
        super().__init__(resources)
        assert resources.sandbox is not None, "a recipe with programs has a sandbox"
        self._programs = CodeVerifier(resources.sandbox, make_limits(resources.spec.code))

    def verify(self, problem: Problem, answer: str) -> Verdict:
        """See ``Verifier``."""
        ran = self._programs.judge(problem.tests, answer)
        value = None if ran.result == "infrastructure" else ran.result == "passed"
        return Verdict(value, f"{ran.result}: {ran.reason}")

    @staticmethod
    def make_key(problem: Problem, answer: str) -> str:
        """See ``Verifier``."""
        return find_program(answer, find_entry(problem.tests)).strip()


class Gym(Verifier):
    """What a scorer of reasoning-gym gives 1; ``tests`` are those of ``gym``."""

    def __init__(self, resources: Resources) -> None:
        super().__init__(resources)
        assert resources.sandbox is not None, "a recipe with sets of reasoning-gym has a sandbox"
        self._scorers = GymVerifier(resources.sandbox)

    def verify(self, problem: Problem, answer: str) -> Verdict:
        """See ``Verifier``."""
        return self._scorers.judge(problem.tests, answer)


class Instructions(Verifier):
    """A response that follows every instruction; ``tests`` are those of ``instructions``."""

    place = "response"

    def verify(self, problem: Problem, answer: str) -> Verdict:
        """See ``Verifier``."""
        return instructions.check(problem.tests, answer)


class Refusal(Verifier):
    """A response that refuses, or does not, as the gold says: a rule of thumb, see ``refusal``."""

    place = "response"

    def verify(self, problem: Problem, answer: str) -> Verdict:
        """See ``Verifier``."""
        return refusal.check(problem.gold, answer)


class Open(Verifier):
    """Nothing is right or wrong: reward models say what an answer is worth."""

    place = "response"
    decides = False

    def verify(self, problem: Problem, answer: str) -> Verdict:
        """See ``Verifier``."""
        return Verdict(False, "open: no answer is right")
