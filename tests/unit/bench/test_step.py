"""The benchmark's own machinery, at a size that takes no time."""

from __future__ import annotations

import importlib
from functools import partial
from pathlib import Path

import pytest

from dunwu.bench import rollout_peers, step
from dunwu.bench.pair import alternate
from dunwu.bench.sizes import PROMPT_TOKENS
from dunwu.errors import Fault, UserError
from dunwu.machine import Dtype
from dunwu.models.load import load_policy
from dunwu.models.policy import Policy

SIDES = """
import os
def count(first, connection):
    number = first
    while connection.recv():
        print("not for the caller's stdout")
        connection.send(number)
        number += 1
def die(connection):
    connection.recv()
    raise SystemExit(3)
"""


def test_sides_take_turns_and_the_first_is_thrown_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bench_sides.py").write_text(SIDES)
    monkeypatch.syspath_prepend(tmp_path)
    sides = importlib.import_module("bench_sides")
    turns = alternate({"a": partial(sides.count, 0), "b": partial(sides.count, 10)}, rounds=2, threads=1)
    assert {name: side.numbers for name, side in turns.items()} == {"a": (1.0, 2.0), "b": (11.0, 12.0)}
    assert turns["b"].median == 11.5
    assert capfd.readouterr().out == ""
    with pytest.raises(Fault, match="the b side of the benchmark ended early"):
        alternate({"a": partial(sides.count, 0), "b": sides.die}, rounds=1, threads=1)


def test_our_side_makes_whole_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PROMPTS": 3, "GROUP_SIZE": 4, "COMPLETION_TOKENS": 5}.items():
        monkeypatch.setattr(step, name, value)
    devices: list[object] = []

    def recording(source: str, dtype: Dtype, device: str = "auto") -> Policy:
        devices.append(device)
        return load_policy(source, dtype=dtype, device=device)  # type: ignore[arg-type]

    monkeypatch.setattr(step, "load_policy", recording)
    ours = step.OurStep(step.make_fixed_workload(tmp_path), step.FreeGrader())
    assert devices == ["cpu"], "where its floor is measured"
    before = {name: weight.clone() for name, weight in ours.trainer.export_weights().read()}
    groups = ours.rollout()
    assert [len(prompt.token_ids) for prompt in ours.prompts] == [PROMPT_TOKENS] * 3
    assert [len(c.token_ids) for scored in groups for c in scored.group.completions] == [5] * 12
    assert len({score.value for scored in groups for score in scored.scores}) > 1
    ours()
    assert ours.trainer.policy_version == ours.engine.policy_version == 1
    assert any(not weight.equal(before[name]) for name, weight in ours.trainer.export_weights().read())


def test_autocast_needs_a_processor_with_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollout_peers, "read_cpu_flags", lambda: {"avx2"})
    with pytest.raises(UserError, match="--against: trl-bf16 cannot be measured: this processor has no instructions"):
        step.measure(("trl-bf16",))


def test_only_trl_is_a_peer() -> None:
    with pytest.raises(UserError, match="no such peer: verl; the step is measured against trl, trl-bf16"):
        step.measure(("verl",))
