"""reasoning-gym's sets: which can be trusted, measured; and their problems as any other task's.

All of it skips where the package is not importable.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from dunwu import tasks
from dunwu.config.schema import TaskSpec
from dunwu.errors import UserError
from dunwu.tasks import Task
from dunwu.tasks.generators import gym

reasoning_gym = pytest.importorskip("reasoning_gym", reason="reasoning-gym is not installed")

SAMPLES = 12
TOO_SLOW = 0.5
"""Seconds for one answer."""
READ = (gym.MIXES, gym.RUNS)
"""Reasons that are read in the package, not measured."""
CANARY = "dunwu_canary"
SETS = sorted(gym._registry())
MANY = """
import hashlib, json
from dunwu.tasks.generators import gym
from reasoning_gym import create_dataset
def made(name):
    data = create_dataset(name, seed=9, size=24)
    return [hashlib.sha256(repr((data[i]["question"], data[i]["answer"])).encode()).hexdigest() for i in range(24)]
found = {name: made(name) for name in gym._registry() if gym.EXCLUDED.get(name, gym.UNSTABLE) == gym.UNSTABLE}
print("\\n" + json.dumps(found))
"""


def build(name: str, seed: int, held_out: float = 0.1) -> Task:
    return tasks.build_task(TaskSpec(task="gym", set=name, held_out=held_out), seed)


def number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def wrong_answers(gold: str, other: str) -> Iterator[str]:
    """Texts that no reader would take for ``gold``; ``other`` is another answer."""
    yield from (text for text in _suspects(gold, other) if _folded(text) != _folded(gold))


def _suspects(gold: str, other: str) -> Iterator[str]:
    value = number(gold)
    yield from ("", " ", "x", "None", "nan", "inf", "-inf", "[]", "{}", "9" * 400, f"not {gold}")
    yield from (word for word in ("0", "1", "True", "No") if value is None or value != number(word))
    if value is None:
        yield re.sub(r"\d+", lambda digits: str(int(digits[0]) + 1), gold, count=1)
    else:
        off = 1 + abs(value) / 20
        yield from (f"{gold}e1" if value else "1", str(value + off), str(value - off), str(-value or 1))
    if _folded(other) != _folded(gold):
        yield from (f"{gold}\n{other}", f"{other}\n{gold}", f"{gold} {other}", f"{gold} or {other}")


def _folded(text: str) -> str:
    return text.strip().casefold()


def executes(score: Any, entry: dict[str, Any]) -> bool:
    """Whether the scorer compiles an answer and runs it."""
    ran = False

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal ran
        if watching and event == "exec":
            code = arguments[0]
            ran = ran or CANARY in (*code.co_names, *filter(lambda constant: isinstance(constant, str), code.co_consts))

    gold, watching = str(entry["answer"]), True
    sys.addaudithook(look)  # for good: hence the switch
    for text in (CANARY, f"[{CANARY}]", f"[[{CANARY}]]", f"['', {CANARY}]", f"{gold} + 0*{CANARY}", f"{gold}*{CANARY}"):
        try:
            score(text, entry)
        except Exception:  # what a hostile text does to the scorer is another question
            continue
    watching = False
    return ran


def measured(name: str) -> str | None:
    """Why a set's scorer cannot be trusted; None where nothing was found."""
    data = reasoning_gym.create_dataset(name, seed=11, size=SAMPLES)
    entries = [data[index] for index in range(SAMPLES)]
    golds = [entry["answer"] for entry in entries]
    if not all(isinstance(g, str) and data.score_answer(g, e) == 1 for g, e in zip(golds, entries, strict=True)):
        return gym.NO_ORACLE
    if any(executes(data.score_answer, entry) for entry in entries[:3]):
        return gym.EXECUTES
    try:
        entries = json.loads(json.dumps(entries))
    except TypeError:
        return gym.NO_JSON
    if not all(data.score_answer(g, e) == 1 for g, e in zip(golds, entries, strict=True)):
        return gym.NO_JSON
    slowest = 0.0
    for place, entry in enumerate(entries):
        for text in wrong_answers(golds[place], golds[place - 1]):
            began = time.process_time()
            try:
                if data.score_answer(text, entry) == 1:
                    return gym.LENIENT
            except Exception:  # wrong, in the sandbox too
                continue
            slowest = max(slowest, time.process_time() - began)
    assert slowest < TOO_SLOW
    return None


def test_the_package_has_the_sets_that_were_looked_at() -> None:
    assert len(SETS) == 106
    assert gym.EXCLUDED.keys() <= set(SETS)
    assert len(gym.list_sets()) == 106 - len(gym.EXCLUDED) == 69


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SETS if gym.EXCLUDED.get(name) not in READ])
def test_exactly_the_sets_whose_scorer_can_be_trusted_are_used(name: str) -> None:
    wanted = gym.EXCLUDED.get(name)
    assert measured(name) == (None if wanted == gym.UNSTABLE else wanted)


@pytest.mark.slow
def test_exactly_the_sets_that_are_the_same_in_every_process_are_used() -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", MANY],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in "34"
    ]
    one, other = (json.loads(process.communicate()[0].splitlines()[-1]) for process in processes)
    unstable = {name for name, reason in gym.EXCLUDED.items() if reason == gym.UNSTABLE}
    assert {name for name in one if one[name] != other[name]} == unstable


@pytest.mark.parametrize("name", ["acre", "chain_sum", "figlet_font", "mini_sudoku", "pool_matrix"])
def test_a_set_is_a_task(name: str) -> None:
    task = build(name, 1, 0.3)
    drawn = [task.get_problem(index) for index in range(20)]
    kept = task.get_held_out(10)
    assert drawn == [build(name, 1, 0.3).get_problem(index) for index in range(20)]
    assert drawn[:5] != [build(name, 2, 0.3).get_problem(index) for index in range(5)]
    assert kept == build(name, 2, 0.3).get_held_out(10)
    assert not {p.messages[0].content for p in drawn} & {p.messages[0].content for p in kept}
    assert {(p.task, p.kind, p.level, p.language) for p in drawn} == {(f"gym-{name}", "gym", 1, "en")}
    facts = json.loads(drawn[0].tests[1])
    assert drawn[0].tests[0] == name
    assert (facts["answer"], facts["module"].split(".")[0]) == (drawn[0].gold, "reasoning_gym")


def test_sets_that_cannot_be_used_are_named_with_the_reason() -> None:
    with pytest.raises(UserError, match="set: the set countdown of reasoning-gym is left out: its scorer executes the"):
        build("countdown", 0)
    with pytest.raises(UserError, match=r"set: reasoning-gym has no set 'chain_sun'; did you mean chain_sum\?"):
        build("chain_sun", 0)
