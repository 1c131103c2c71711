"""`dunwu run` on problems that ask for programs: the sandbox's tier is on record, and kills change no reward."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet
import pytest
from typer.testing import CliRunner

from dunwu import cli
from dunwu.sandbox import Limits, Sandbox, Unavailable
from dunwu.sandbox.client import ZygoteLauncher
from dunwu.sandbox.tiers import find_weakness
from dunwu.verifiers.code import CodeVerifier

RECIPE = """
name = "programs"
seed = 1
[stages.zero]
kind = "rl"
from = "nano-base"
steps = 2
reference_every = 0
[[stages.zero.tasks]]
task = "file"
kind = "code"
path = "programs.jsonl"
fields = { problem = "q", answer = "a", tests = "t" }
held_out = 0.0
[stages.zero.prompt]
template = "nano"
max_tokens = 64
[stages.zero.rollout]
questions = 4
group_size = 4
max_new_tokens = 24
[stages.zero.algorithm]
kl_coefficient = 0.0
[stages.zero.update]
minibatches = 1
[stages.zero.reward]
workers = 2
"""


def test_a_run_whose_answers_are_programs(tmp_path: Path) -> None:
    rows = [{"q": f"{n} 5 7", "a": f"print({n})", "t": [{"stdin": "", "stdout": f"{n}"}]} for n in range(8)]
    (tmp_path / "programs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "programs.toml").write_text(RECIPE)
    done = CliRunner().invoke(cli.main, ["run", str(tmp_path / "programs.toml"), "--out", str(tmp_path / "run")])
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["sandbox_tier"] in (1, 2)
    (table, *_) = sorted((tmp_path / "run" / "stages" / "zero" / "rollouts").glob("*.parquet"))
    reasons = pyarrow.parquet.read_table(table).column("reason").to_pylist()
    assert len(reasons) == 16
    verdicts = {reason.split(":")[0] for reason in reasons}
    assert verdicts <= {"no answer found", "error", "wrong", "passed"}
    assert verdicts & {"error", "wrong"}, "no program was run"


def test_a_run_whose_answers_a_set_of_reasoning_gym_scores(tmp_path: Path) -> None:
    """In the sandbox, beside programs: each kind gets its own verdicts."""
    pytest.importorskip("reasoning_gym", reason="reasoning-gym is not installed")
    (tmp_path / "programs.jsonl").write_text('{"q": "1 2 3", "a": "x", "t": [{"stdin": "", "stdout": "1"}]}\n')
    gym = '[[stages.zero.tasks]]\ntask = "gym"\nset = "chain_sum"\n[stages.zero.prompt]'
    text = (
        RECIPE.replace("[stages.zero.prompt]", gym)
        .replace("max_tokens = 64", "max_tokens = 400")
        .replace("workers = 2", 'workers = 2\nanswer_in = "last-line"')
    )
    (tmp_path / "programs.toml").write_text(text)
    done = CliRunner().invoke(cli.main, ["run", str(tmp_path / "programs.toml"), "--out", str(tmp_path / "run")])
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["sandbox_tier"] in (1, 2)
    (table, *_) = sorted((tmp_path / "run" / "stages" / "zero" / "rollouts").glob("*.parquet"))
    rows = pyarrow.parquet.read_table(table).select(["task", "reason"]).to_pylist()
    said = {row["reason"] for row in rows if row["task"] == "gym-chain_sum"}
    assert said
    assert all(re.fullmatch(r"scores [\d.]+ in chain_sum", reason) for reason in said), said
    assert {row["reason"].split(":")[0] for row in rows if row["task"] == "file"} <= {"error", "wrong", "passed"}


def test_without_a_safe_sandbox_the_run_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(places: int, limits: Limits, *, libraries: object, allow_unsafe: bool) -> None:
        raise Unavailable("tier 1: not here")

    monkeypatch.setattr("dunwu.pipeline.stages.grading.choose", refuse)
    (tmp_path / "programs.jsonl").write_text('{"q": "1 2 3", "a": "x", "t": [{"stdin": "", "stdout": "1"}]}\n')
    (tmp_path / "programs.toml").write_text(RECIPE)
    done = CliRunner().invoke(cli.main, ["run", str(tmp_path / "programs.toml"), "--out", str(tmp_path / "run")])
    assert done.exit_code == 2
    assert "stages.zero.reward.code.allow_unsafe_sandbox: programs of the model would not be safe" in done.output
    assert not (tmp_path / "run" / "manifest.json").exists()


def test_a_stage_without_rewards_names_its_own_field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(places: int, limits: Limits, *, libraries: object, allow_unsafe: bool) -> None:
        raise Unavailable("tier 1: not here")

    monkeypatch.setattr("dunwu.pipeline.stages.grading.choose", refuse)
    (tmp_path / "programs.jsonl").write_text('{"q": "1 2 3", "a": "x", "t": [{"stdin": "", "stdout": "1"}]}\n')
    lines = ['name = "asked"', "[stages.asked]", 'kind = "reject"', 'from = "nano-base"', "questions = 1"]
    task = ["[[stages.asked.tasks]]", 'task = "file"', 'kind = "code"', 'path = "programs.jsonl"', "held_out = 0.0"]
    fields = [
        'fields = { problem = "q", answer = "a", tests = "t" }',
        "[stages.asked.prompt]",
        'template = "nano"',
        "max_tokens = 64",
    ]
    limit = ["max_new_tokens = 24"]
    (tmp_path / "asked.toml").write_text("\n".join([*lines, *limit, *task, *fields]))
    done = CliRunner().invoke(cli.main, ["run", str(tmp_path / "asked.toml"), "--out", str(tmp_path / "run")])
    assert done.exit_code == 2
    assert "stages.asked.grading.code.allow_unsafe_sandbox: programs of the model would not be safe" in done.output


@pytest.fixture
def zygote() -> Iterator[tuple[ZygoteLauncher, Sandbox]]:
    """One to be killed."""
    launcher = ZygoteLauncher(4, Limits())
    with Sandbox(launcher, 2) as own:
        if reason := find_weakness(own):
            pytest.skip(f"this machine gives no zygote: {reason}")
        yield launcher, own


@pytest.mark.parametrize("kills", [5, pytest.param(100, marks=pytest.mark.slow)])
def test_killing_the_zygote_changes_no_reward(zygote: tuple[ZygoteLauncher, Sandbox], kills: int) -> None:
    """Each kill comes at a random moment of a completion with five tests."""
    launcher, own = zygote
    verifier, rng = CodeVerifier(own, Limits(seconds=2.0)), random.Random(0)
    tests = tuple(json.dumps({"stdin": f"{n}\n", "stdout": f"{n + 1}\n"}) for n in range(5))
    programs = ["print(int(input()) + 1)", "print(input())", "def f(:", "n = int(input()); print(n + (n < 3))"]
    expected = [verifier.judge(tests, program) for program in programs]
    assert [ran.result for ran in expected] == ["passed", "wrong", "error", "wrong"]
    done: list[int] = []

    def kill() -> None:
        if launcher.pid is not None and launcher.pid not in done:
            done.append(launcher.pid)
            os.kill(launcher.pid, signal.SIGKILL)

    number = 0
    while len(done) < kills:
        killer = threading.Timer(rng.random() * 0.02, kill)
        killer.start()
        another = f"{programs[number % 4]}  # {number}"  # not one whose verdict is remembered
        assert verifier.judge(tests, another) == expected[number % 4]
        killer.join()
        number += 1
