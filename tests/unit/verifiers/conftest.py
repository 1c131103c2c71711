"""Problems, completions and one grader for all tests of the room."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from dunwu.config.schema import RewardSpec
from dunwu.types import Completion, Finish, Message, Problem
from dunwu.verifiers import Grader, build


def make_problem(kind: str, gold: str, tests: tuple[str, ...] = ()) -> Problem:
    """A problem of which only the verifier's part matters."""
    question = (Message(role="user", content="?"),)
    return Problem(id="p", task="t", kind=kind, level=1, language="en", messages=question, gold=gold, tests=tests)


def make_completion(text: str, finish: Finish = "stop") -> Completion:
    """A completion of which only text and finish matter."""
    return Completion(
        token_ids=np.zeros(1, np.int32),
        logprobs=np.zeros(1, np.float32),
        text=text,
        finish=finish,
        policy_version=0,
    )


@pytest.fixture(scope="session")
def problem() -> Callable[..., Problem]:
    return make_problem


@pytest.fixture(scope="session")
def completion() -> Callable[..., Completion]:
    return make_completion


@pytest.fixture(scope="session")
def grader() -> Iterator[Grader]:
    """Answer tags, two workers; generous time, because what is tested with it is no timeout."""
    with build(RewardSpec(workers=2, timeout_seconds=20.0)) as shared:
        yield shared
