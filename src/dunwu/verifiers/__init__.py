"""(problem, completion) -> Score, by rules alone; imports neither torch nor sympy."""

from dunwu.verifiers.grader import Grader, Judge, answer_key, build

__all__ = ["Grader", "Judge", "answer_key", "build"]
