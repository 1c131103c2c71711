"""(problem, completion) -> Score, by rules alone; imports neither torch nor sympy."""

from dunwu.verifiers.grader import Grader, answer_key, build

__all__ = ["Grader", "answer_key", "build"]
