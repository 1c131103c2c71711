"""What a server has answered is not asked again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.serving import Answer, FakeServer, question, said, serving

from dunwu.config.schema import ServedModel
from dunwu.errors import Fault, UserError
from dunwu.rollout.engine import Sample
from dunwu.rollout.remote import client as endpoint
from dunwu.rollout.remote.answer_cache import CachingEngine
from dunwu.rollout.remote.engine import EndpointEngine
from dunwu.runs.answer_log import AnswerLog
from dunwu.types import GenerationRequest, Message, Problem, Prompt, Sampling


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    monkeypatch.setattr(endpoint, "PATIENCE", ())
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(lambda body: said(f"{question(body)} {body['seed']}")) as server:
        yield server


def engine(server: FakeServer, folder: Path) -> CachingEngine:
    spec = ServedModel(url=server.url, model="m", concurrency=1)
    return CachingEngine(EndpointEngine(spec, "server"), AnswerLog(folder, "m", "s"))


def requests() -> list[GenerationRequest]:
    asked = [Message(role="user", content=text) for text in "ab"]
    problems = [
        Problem(id=one.content, task="t", kind="math", level=0, language="en", messages=(one,), gold="1")
        for one in asked
    ]
    prompts = [Prompt(problem=problem, token_ids=np.zeros(0, np.int32)) for problem in problems]
    return [GenerationRequest(prompt=prompt, seeds=(10 * n, 10 * n + 1)) for n, prompt in enumerate(prompts, 1)]


def test_what_was_answered_before_a_stop_is_not_asked_again(server: FakeServer, tmp_path: Path) -> None:
    good = server.answer

    def answer(body: Any) -> Answer:
        return good(body) if len(server.asked) <= 3 else (503, {})

    server.answer = answer
    with pytest.raises(Fault):
        list(engine(server, tmp_path).generate(requests(), Sampling()))
    server.answer = good
    server.asked.clear()
    file = tmp_path / "evaluations/m/s.jsonl"
    with file.open("ab") as torn:
        torn.write(b'[21, "b')
    found = {
        sample: (one.text, len(one.token_ids))
        for sample, one in engine(server, tmp_path).generate(requests(), Sampling())
    }
    assert found == {
        Sample(0, 0): ("a 10", 3),
        Sample(0, 1): ("a 11", 3),
        Sample(1, 0): ("b 20", 3),
        Sample(1, 1): ("b 21", 3),
    }
    assert [body["seed"] for body in server.asked] == [21]
    assert len(list(engine(server, tmp_path).generate(requests(), Sampling()))) == 4
    assert len(server.asked) == 1


def test_a_line_that_is_none_is_named(server: FakeServer, tmp_path: Path) -> None:
    file = tmp_path / "evaluations/m/s.jsonl"
    file.parent.mkdir(parents=True)
    file.write_text('[10, "x", "stop", 3]\n{"no": 1}\n')
    with pytest.raises(UserError, match=r"s\.jsonl: line 2: is no answer"):
        list(engine(server, tmp_path).generate(requests(), Sampling()))
