"""The sandbox's bench: every completion runs, the ratio is ours over the best peer, peers are named."""

from __future__ import annotations

import pytest

from dunwu.bench import sandbox as bench
from dunwu.errors import UserError
from dunwu.sandbox import Sandbox, Session


def test_each_completion_is_run_and_rated(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox) -> None:
    runs: list[str] = []
    run = Session.run

    def counting(self: Session, source: str, stdin: str = "") -> object:
        runs.append(source)
        return run(self, source, stdin)

    monkeypatch.setattr(bench, "COMPLETIONS", 4)
    monkeypatch.setattr(bench, "ROUNDS", 1)
    monkeypatch.setattr(Session, "run", counting)
    results = bench.measure(("subprocess",))
    assert sum(source == "print(1)" for source in runs) == 4
    assert sum(source.startswith(bench.SOURCE) for source in runs) == 4 * len(bench.TESTS), "one was remembered"
    for result in results.values():
        assert result["ratio"] == result["ours"] / result["peers"]["subprocess"]


def test_an_unknown_peer_is_named() -> None:
    with pytest.raises(UserError, match="no such peer: docker"):
        bench.measure(("docker",))
