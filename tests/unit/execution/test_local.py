"""Engines by name: the built-in one where nobody asks for another, or any that is registered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dunwu import register, registry
from dunwu.config.schema import ModelSpec
from dunwu.errors import UserError
from dunwu.execution.local import LocalExecutor
from dunwu.models.load import Policy
from dunwu.rollout.scripted import ScriptedEngine

POLICY = Policy(model=None, tokenizer="a tokenizer", eos_ids=(3,), pad_id=0)
OWN = """
from dunwu.rollout.scripted import ScriptedEngine

def build(policy, *, max_sequences):
    return ScriptedEngine(lambda problem, seed: str(max_sequences), policy.tokenizer, eos_id=policy.eos_ids[0])
"""


@pytest.fixture
def executor(monkeypatch: pytest.MonkeyPatch) -> LocalExecutor:
    monkeypatch.setattr(registry.engines, "_entries", dict(registry.engines._entries))
    return LocalExecutor(ModelSpec(), print)


def test_an_engine_of_one_s_own_generates(executor: LocalExecutor, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(OWN, encoding="utf-8")
    by_file = executor.build_engine(POLICY, max_sequences=7, engine=f"{file}:build")
    assert isinstance(by_file, ScriptedEngine)

    @register.engine("mine")
    def build(policy: Policy, *, max_sequences: int) -> Any:
        return policy, max_sequences

    made: Any = executor.build_engine(POLICY, max_sequences=7, engine="mine")
    assert made == (POLICY, 7)


def test_the_built_in_engine_is_the_usual_one(executor: LocalExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[tuple[Policy, int]] = []
    module = "dunwu.rollout.builtin.worker_threads.build_builtin_engine"
    monkeypatch.setattr(module, lambda policy, *, max_sequences: built.append((policy, max_sequences)))
    executor.build_engine(POLICY, max_sequences=5)
    assert built == [(POLICY, 5)]


def test_a_name_that_leads_to_nothing_is_refused(executor: LocalExecutor) -> None:
    with pytest.raises(UserError, match="no engine is called 'buildin'; did you mean builtin"):
        executor.build_engine(POLICY, max_sequences=5, engine="buildin")
