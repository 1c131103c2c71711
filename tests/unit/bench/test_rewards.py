"""The bench of waiting for rewards: whole steps, every program run, peers named."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from dunwu import cli
from dunwu.bench import rewards, step
from dunwu.errors import UserError
from dunwu.verifiers.code import CodeVerifier


def test_every_completion_of_a_step_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name, value in ((step, "PROMPTS", 3), (step, "GROUP_SIZE", 4), (step, "COMPLETION_TOKENS", 5)):
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(rewards, "ROUNDS", 1)
    verdicts: list[str] = []
    judge = CodeVerifier.judge

    def recording(self: CodeVerifier, tests: tuple[str, ...], answer: str) -> object:
        verdicts.append((ran := judge(self, tests, answer)).result)
        return ran

    monkeypatch.setattr(CodeVerifier, "judge", recording)
    done = CliRunner().invoke(cli.main, ["bench", "rewards", "--against", "afterwards", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert len(verdicts) == 2 * 2 * 2 * 12  # workloads, sides, steps
    assert set(verdicts) == {"passed", "wrong"}
    for result in found.values():
        assert 0 < result["ours"] < 100
        assert result["ratio"] == result["ours"] / result["peers"]["afterwards"]


def test_an_unknown_peer_is_named() -> None:
    with pytest.raises(UserError, match="no such peer: trl"):
        rewards.measure(("trl",))
