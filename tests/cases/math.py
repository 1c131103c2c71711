"""Area ``math``: is ``answer`` right where the gold is ``gold``?"""

from __future__ import annotations

from functools import cache

from dunwu.config.schema import RewardSpec
from dunwu.verifiers import RewardGrader
from dunwu.verifiers.math import answers
from tests.cases.running import Case


@cache
def grader() -> RewardGrader:
    """One for all cases, with time enough that none is cut."""
    return RewardGrader(RewardSpec(timeout_seconds=5.0))


def check(case: Case) -> bool:
    """Whether the verdict is the expected one."""
    from dunwu.verifiers.math.sympy_pool import CheckTimeout

    gold, answer = case["input"]["gold"], case["input"]["answer"]
    try:
        equal = answers.same_answer(gold, answer, grader()._pool.ask)
    except CheckTimeout:
        equal = False
    return equal is case["expected"]
