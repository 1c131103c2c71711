"""Area ``choice``: does an answer choose the right option?"""

from __future__ import annotations

from dunwu.verifiers.texts import same_choice
from tests.cases.running import Case


def check(case: Case) -> bool:
    """Whether the verdict is the expected one."""
    given = case["input"]
    return same_choice(tuple(given["options"]), given["gold"], given["answer"]) is case["expected"]
