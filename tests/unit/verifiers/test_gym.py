"""Scorers of reasoning-gym in the sandbox: golds, wrong answers, scorers that fail, and what is no verdict."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest

from dunwu.sandbox import Limits, Sandbox, Session, Unavailable, choose
from dunwu.sandbox.tiers import ProcessLauncher
from dunwu.verifiers import gym
from dunwu.verifiers.gym import GymVerifier

reasoning_gym = pytest.importorskip("reasoning_gym", reason="reasoning-gym is not installed")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """The best that this machine gives, with two places."""
    try:
        chosen, _ = choose(2, gym.SCORER_LIMITS, libraries=gym.find_libraries())
    except Unavailable as error:
        pytest.skip(f"this machine gives no safe sandbox: {error}")
    with chosen:
        yield chosen


def entry(name: str) -> tuple[tuple[str, str], str]:
    """Tests and gold of a set's problem."""
    data = reasoning_gym.create_dataset(name, seed=3, size=1)
    made = data[0]
    facts = {"module": type(data).__module__, "answer": made["answer"], "metadata": made["metadata"]}
    return (name, json.dumps(facts)), made["answer"]


@pytest.mark.parametrize(
    "name",
    [
        "acre",
        "advanced_geometry",
        "chain_sum",
        "figlet_font",
        "game_of_life",
        "mini_sudoku",
        "pool_matrix",
        "word_sorting",
    ],
)
def test_golds_are_right_and_others_wrong(sandbox: Sandbox, name: str) -> None:
    verifier, (tests, gold) = GymVerifier(sandbox), entry(name)
    assert verifier.judge(tests, gold) == (True, f"scores 1 in {name}")
    for text in ("", "no", f"{gold} or not", "\ud800", "V1.0", "\nV1.0\n", "9" * 100_000):
        assert verifier.judge(tests, text)[0] is False


def test_partial_credit_is_none(sandbox: Sandbox) -> None:
    tests, gold = entry("chain_sum")
    right, reason = GymVerifier(sandbox).judge(tests, f"{gold}{gold}")
    assert (right, reason) == (False, "scores 0.5 in chain_sum")


def test_a_scorer_that_fails_on_an_answer_finds_it_wrong(sandbox: Sandbox) -> None:
    tests, _ = entry("prime_factorization")
    right, reason = GymVerifier(sandbox).judge(tests, "x")
    assert right is False
    assert reason.startswith("the scorer of prime_factorization fails: ValueError: invalid literal")


def test_a_scorer_that_is_not_there_is_no_verdict(sandbox: Sandbox) -> None:
    facts = json.dumps({"module": "reasoning_gym.arithmetic.nothing", "answer": "1", "metadata": {}})
    right, reason = GymVerifier(sandbox).judge(("nothing", facts), "1")
    assert right is None
    assert reason.startswith("the scorer of nothing does not start: ModuleNotFoundError")


def test_without_the_library_nothing_is_decided() -> None:
    try:
        bare, _ = choose(1)
    except Unavailable as error:
        pytest.skip(f"this machine gives no safe sandbox: {error}")
    with bare:
        right, reason = GymVerifier(bare).judge(*entry("chain_sum"))
    assert right is None
    assert "does not start" in reason


class Failing(Sandbox):
    """Fails as often as it is told, then works as another does."""

    def __init__(self, other: Sandbox, failures: int) -> None:
        self._other, self._failures = other, failures

    def open(self, limits: Limits) -> AbstractContextManager[Session]:
        self._failures -= 1
        if self._failures >= 0:
            raise Unavailable("the cell is gone")
        return self._other.open(limits)


def test_a_sandbox_that_fails_is_tried_again_and_is_no_verdict(sandbox: Sandbox) -> None:
    tests, gold = entry("chain_sum")
    assert GymVerifier(Failing(sandbox, 2)).judge(tests, gold)[0] is True
    assert GymVerifier(Failing(sandbox, 3)).judge(tests, gold) == (None, "the sandbox failed 3 times: the cell is gone")


def test_libraries_are_readable_and_nothing_more(sandbox: Sandbox) -> None:
    look = f"""
import os
for path in {gym.find_libraries()!r}:
    print("reasoning_gym" in os.listdir(path) or "numpy" in os.listdir(path))
    try:
        open(path + "/left", "w")
    except OSError as error:
        print(error.strerror)
"""
    with sandbox.open(Limits()) as session:
        said = set(session.run(look).stdout.split("\n")) - {""}
    assert said <= {"True", "Read-only file system", "Permission denied"}
    assert len(said) == 2


@pytest.mark.parametrize("bubblewrap", [shutil.which("bwrap"), None], ids=["tier 2", "tier 3"])
def test_the_other_tiers_show_the_library_too(bubblewrap: str | None, request: pytest.FixtureRequest) -> None:
    if bubblewrap is None and "tier 2" in request.node.name:
        pytest.skip("bubblewrap is not installed")
    tests, gold = entry("chain_sum")
    with Sandbox(ProcessLauncher(bubblewrap=bubblewrap, libraries=gym.find_libraries()), 1) as other:
        right, reason = GymVerifier(other).judge(tests, gold)
    if right is None and bubblewrap:
        pytest.skip(f"bubblewrap does not work here: {reason}")
    assert right is True, reason
