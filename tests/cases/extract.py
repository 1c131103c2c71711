"""Area ``extract``: does the answer that stands in a text earn its reward?"""

from __future__ import annotations

from functools import cache

import numpy as np

from dunwu.config.schema import RewardSpec
from dunwu.types import Completion, Message, Problem
from dunwu.verifiers import RewardGrader
from tests.cases.running import Case


@cache
def grader(where: str) -> RewardGrader:
    """One for all cases of a place where answers stand."""
    return RewardGrader(RewardSpec.model_validate({"answer_in": where, "timeout_seconds": 5.0}))


def score(kind: str, gold: str, text: str, where: str, tests: tuple[str, ...] = ()) -> float:
    """The accuracy of a text."""
    question = (Message(role="user", content="?"),)
    problem = Problem(id="p", task="t", kind=kind, level=1, language="en", messages=question, gold=gold, tests=tests)
    nothing = np.zeros(0, np.int32), np.zeros(0, np.float32)
    completion = Completion(token_ids=nothing[0], logprobs=nothing[1], text=text, finish="stop")
    return grader(where).score(problem, completion).parts["accuracy"]


def check(case: Case) -> bool:
    """Whether the verdict is the expected one."""
    given = case["input"]
    return bool(score(given["grade"], given["gold"], given["text"], given["answer_in"])) is case["expected"]
