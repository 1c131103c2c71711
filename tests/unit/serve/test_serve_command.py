"""``dunwu serve`` before its model is open: what is wrong around it is said first, and nothing stays open."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from dunwu.commands.serve import Surroundings, open_chat_model, serve
from dunwu.errors import UserError
from dunwu.loopback import listen
from dunwu.serve.chat_model import ChatModel
from dunwu.serve.review.held_queue import HeldQueue
from dunwu.serve.review.keys import make_key
from dunwu.serve.workers import ServiceLimits

POLICY = 'name = "p"\ndefault = "verify"\n[topics.a]\naction = "refuse"\nkeywords = ["x"]\n'


def open_nothing() -> ChatModel:
    raise UserError("the model was opened")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "p.toml").write_text(POLICY)
    (tmp_path / "second.toml").write_text(POLICY + '[verification]\nmodel = "no/such/second"\n')
    (tmp_path / "keys.toml").write_text(make_key("ann", "reviewer")[1])
    (tmp_path / "notes.db").write_text("Somebody's notes.")
    return tmp_path


def say(
    folder: Path, port: int = 0, queue: int = 256, message: Callable[[str], None] = lambda _: None, **names: str
) -> str:
    """Say what is wrong with a server whose surroundings have these files."""
    around: dict[str, Any] = {name: folder / file for name, file in names.items()}
    if "policy" in around:
        around["policy"] = str(around["policy"])
    surroundings = Surroundings(**{"review": folder / "review"} | around)
    with pytest.raises(UserError) as raised:
        serve(
            open_nothing,
            open_second=open_chat_model,
            port=port,
            announce=lambda _: None,
            message=message,
            limits=ServiceLimits(queue=queue),
            surroundings=surroundings,
        )
    return str(raised.value).replace(f"{folder}/", "")


def test_a_policy_that_lacks_its_safety_model_is_noticed(folder: Path) -> None:
    (folder / "asks.toml").write_text(POLICY + "[topics.a.model]\nthreshold = 0.5\n")
    said = list[str]()
    for policy in ("p.toml", "asks.toml"):
        assert say(folder, message=said.append, policy=policy, keys="keys.toml") == "the model was opened"
    assert said == [
        "policy p asks a safety model, and --safety-model names none: what it would judge waits for a person"
    ]


def test_what_stands_around_the_model_is_checked_before_it_is_opened(folder: Path) -> None:
    assert say(folder, keys="p.toml").startswith("p.toml: name: unknown field")
    assert say(folder, policy="p.toml").startswith("keys: policy p holds answers, and there is no reviewer: dunwu key")
    few = say(folder, queue=4, policy="p.toml", keys="keys.toml")
    assert few.startswith("p.toml: verification.vote: 8 samples are more than the 4 that may wait")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "is taken, perhaps by another dunwu serve" in say(folder, port=taken.getsockname()[1])
    assert say(folder, cache="notes.db").startswith("notes.db: is no cache of reasoning paths")
    assert not (folder / "review").exists()
    second = say(folder, policy="second.toml", keys="keys.toml")
    assert second.startswith("second.toml: verification.model: no/such/second: no model: neither")
    assert say(folder, policy="p.toml", keys="keys.toml", cache="new.db") == "the model was opened"


def test_the_queue_knows_what_the_policy_says_instead_of_an_answer(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known: list[Mapping[str, str]] = []

    def open_queue(path: Path, *, refusals: Mapping[str, str]) -> HeldQueue:
        known.append(refusals)
        return HeldQueue(path, refusals=refusals)

    monkeypatch.setattr("dunwu.commands.serve.HeldQueue", open_queue)
    (folder / "p.toml").write_text(f'{POLICY}refusal = "Ask a nurse."\n')
    assert say(folder, policy="p.toml", keys="keys.toml") == "the model was opened"
    assert known == [{"a": "Ask a nurse."}]


def test_a_queue_that_another_process_has_is_met_before_the_model(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dunwu.serve.review.database.WAIT_SECONDS", 0.0)
    queue = HeldQueue(folder / "review")
    said = say(folder, policy="p.toml", keys="keys.toml")
    queue.close()
    assert said == "review/queue.sqlite: another process is using this queue"


def test_what_was_opened_is_closed_where_the_model_cannot_be_used(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for _ in range(2):
        assert say(folder, port=port, policy="p.toml", keys="keys.toml", cache="new.db") == "the model was opened"
    listen(port, "a test").close()
    assert not list(folder.glob("new.db-*")), "SQLite's log goes with the last connection"
    HeldQueue(folder / "review").close()
