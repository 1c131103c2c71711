"""(problem, completion) -> Score, by rules and by functions of the user's; imports neither torch nor sympy."""

from dunwu.verifiers.grader import Judge, RewardGrader, make_answer_key
from dunwu.verifiers.verdict import Verdict
from dunwu.verifiers.verifier import Verifier

__all__ = ["Judge", "RewardGrader", "Verdict", "Verifier", "make_answer_key"]
