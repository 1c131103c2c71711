"""The client of vLLM's server, beside a server that is scripted: what it sends, refuses, believes, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dunwu.errors import Fault, UserError
from dunwu.models.policy import Policy
from dunwu.models.weights import WeightUpdate, store_update
from dunwu.registry import engines
from dunwu.rollout.engine import Sample
from dunwu.rollout.vllm import process
from dunwu.rollout.vllm.engine import VLLMEngine
from dunwu.types import Sampling, VersionSpan

from .conftest import MakePolicy, by_seed, requests_of
from .fake_vllm_server import WRONG

REQUESTS = requests_of((3, 5, 2), 3)
SAMPLING = Sampling(max_new_tokens=4)
Open = Callable[[str], VLLMEngine]


@pytest.fixture
def policy(make_policy: MakePolicy) -> Policy:
    return make_policy("qwen2")


@pytest.fixture
def start(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Opens an engine whose server has a fault."""
    monkeypatch.setattr(process, "SCRIPT", Path(__file__).with_name("fake_vllm_server.py"))
    monkeypatch.setenv(process.VARIABLE, sys.executable)
    opened: list[VLLMEngine] = []

    def open_engine(fault: str) -> VLLMEngine:
        monkeypatch.setenv("FAKE_VLLM", fault)
        opened.append(VLLMEngine(policy, max_sequences=8))
        return opened[-1]

    yield open_engine
    for engine in opened:
        engine.close()


def weights(policy: Policy, version: int) -> WeightUpdate:
    return WeightUpdate.in_memory(version, ((name, p.detach()) for name, p in policy.model.named_parameters()))


def read(engine: VLLMEngine, name: str) -> Any:
    return json.loads((Path(engine._home.name) / name).read_text())


def test_the_name_leads_to_it() -> None:
    assert engines.load("vllm").__name__ == "build_vllm_engine"


def test_every_sample_is_taken_once_with_its_text_and_version(start: Open, policy: Policy) -> None:
    engine = start("")
    written = dict(engine.generate(REQUESTS, SAMPLING))
    assert written.keys() == {Sample(number, index) for number in range(3) for index in range(3)}
    for sample, completion in written.items():
        seed = REQUESTS[sample.request].seeds[sample.index]
        count = min(4, 1 + seed % 5)
        ends = count < 4
        first = int(REQUESTS[sample.request].prompt.token_ids.sum()) + seed
        expected = [(first + place) % 256 for place in range(count)]
        assert completion.token_ids.tolist() == ([*expected[:-1], *policy.eos_ids] if ends else expected)
        assert completion.token_ids.dtype == np.int32
        assert completion.text == policy.tokenizer.decode(expected[: count - ends])
        assert completion.finish == ("stop" if ends else "length")
        assert completion.logprobs.tolist() == [-(1 + token) / 512 for token in completion.token_ids.tolist()]
        assert completion.version_spans == (VersionSpan(version=0, start=0, end=count),)


def test_the_model_is_opened_as_a_folder_without_anything_of_this_environment(
    start: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/ours")
    engine = start("")
    opened = read(engine, "opened.json")
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(opened["files"])
    assert not Path(opened["folder"]).exists()  # it was read
    assert (opened["dtype"], opened["max_model_len"], opened["max_sequences"]) == ("float32", 512, 8)
    assert opened["tied"] == {"lm_head.weight": "model.embed_tokens.weight"}
    environment = opened["environment"]
    assert "PYTHONPATH" not in environment
    assert environment["OMP_NUM_THREADS"] == "1"
    assert environment["VLLM_CACHE_ROOT"].startswith(engine._home.name)


def test_new_weights_go_by_a_file_and_completions_carry_their_version(start: Open, policy: Policy) -> None:
    engine = start("")
    engine.update_weights(weights(policy, 7))
    sent = read(engine, "updated.json")
    assert sent["names"] == [name for name, _ in policy.model.named_parameters()]
    assert sent["shapes"] == [list(parameter.shape) for parameter in policy.model.parameters()]
    assert Path(sent["path"]).exists()
    assert engine.policy_version == 7
    written = list(engine.generate(REQUESTS, SAMPLING))
    assert {completion.policy_version for _, completion in written} == {7}
    engine.close()
    assert not Path(sent["path"]).exists()


def test_weights_in_a_file_are_read_where_they_lie(start: Open, policy: Policy, tmp_path: Path) -> None:
    engine = start("")
    engine.update_weights(store_update(weights(policy, 2), tmp_path))
    assert read(engine, "updated.json")["path"] == str(tmp_path / "version-000002.safetensors")


def test_weights_that_are_not_the_models_are_never_sent(start: Open, policy: Policy) -> None:
    engine = start("")
    named = dict(policy.model.named_parameters())
    first = next(iter(named))
    missing = {name: tensor for name, tensor in named.items() if name != first}
    for wrong, text in (
        (missing, "lack"),
        (named | {"model.other": torch.zeros(1)}, "model.other"),
        (named | {first: torch.zeros(3, 5)}, r"\[3, 5\]"),
    ):
        with pytest.raises(ValueError, match=text):
            engine.update_weights(WeightUpdate.in_memory(9, wrong.items()))
    assert not (Path(engine._home.name) / "updated.json").exists()
    assert engine.policy_version == 0
    assert len(list(engine.generate(REQUESTS, SAMPLING))) == 9


def test_a_file_that_the_server_refuses_leaves_the_old_weights(start: Open, policy: Policy) -> None:
    engine = start("keeps")
    with pytest.raises(ValueError, match="cannot be read"):
        engine.update_weights(weights(policy, 7))
    assert {completion.policy_version for _, completion in engine.generate(REQUESTS, SAMPLING)} == {0}


def test_an_update_that_is_not_confirmed_ends_it(start: Open, policy: Policy) -> None:
    with pytest.raises(Fault, match="did not take version 7"):
        start("updates wrongly").update_weights(weights(policy, 7))


@pytest.mark.parametrize(
    ("sampling", "field"),
    [
        (replace(SAMPLING, top_p=0.9), "rollout.top_p"),
        (replace(SAMPLING, banned=(3,)), "model.engine"),
        (replace(SAMPLING, max_new_tokens=508), "rollout.max_new_tokens"),
    ],
)
def test_what_vllm_would_do_in_another_way_is_refused_by_its_field(start: Open, sampling: Sampling, field: str) -> None:
    engine = start("")
    with pytest.raises(UserError) as refused:
        next(engine.generate(REQUESTS, sampling))
    assert refused.value.field == field
    assert len(list(engine.generate(REQUESTS, replace(SAMPLING, max_new_tokens=507)))) == 9


def test_an_empty_prompt_is_refused_and_nothing_wanted_is_nothing_written(start: Open) -> None:
    engine = start("")
    with pytest.raises(UserError, match="empty prompt"):
        next(engine.generate(requests_of((3, 0), 1), SAMPLING))
    assert list(engine.generate([], SAMPLING)) == []


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("no JSON", "no answer"),
        ("no object", "no answer"),
        ("no kind", "no answer"),
        ("unknown kind", "no completion"),
        ("failed", "failed: RuntimeError: out of blocks"),
        *((fault, "no completion") for fault in (*WRONG, "twice")),
    ],
)
def test_answers_that_cannot_be_end_the_server(start: Open, fault: str, text: str) -> None:
    engine = start(fault)
    pid = engine.server.pid
    with pytest.raises(Fault, match=text):
        list(engine.generate(REQUESTS, SAMPLING))
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(Fault, match="killed by SIGKILL"):
        list(engine.generate(REQUESTS, SAMPLING))


def test_who_leaves_early_disturbs_nobody(start: Open) -> None:
    engine = start("stale")
    expected = by_seed(start(""), REQUESTS, SAMPLING)
    for _ in range(3):
        some: Any = engine.generate(REQUESTS, SAMPLING)
        next(some)
        some.close()
    written = by_seed(engine, REQUESTS, SAMPLING)
    assert {key: own.token_ids.tolist() for key, own in written.items()} == {
        key: own.token_ids.tolist() for key, own in expected.items()
    }


def test_a_server_that_dies_is_said_with_its_last_words(start: Open, policy: Policy) -> None:
    engine = start("dies")
    some = engine.generate(REQUESTS, SAMPLING)
    assert next(some)[1].policy_version == next(some)[1].policy_version == 0
    with pytest.raises(Fault, match=r"exit code 139; it wrote last: .*Segmentation fault"):
        next(some)
    with pytest.raises(Fault, match="139"):
        engine.update_weights(weights(policy, 1))


def test_a_server_that_is_killed_or_closed_while_one_waits_for_it(start: Open) -> None:
    for end, text in ((lambda own: os.kill(own.server.pid, signal.SIGKILL), "SIGKILL"), (VLLMEngine.close, "closed")):
        engine = start("hangs")
        raised: list[str] = []
        taken = threading.Event()

        def wait(engine: VLLMEngine = engine, raised: list[str] = raised, taken: threading.Event = taken) -> None:
            some = engine.generate(REQUESTS, SAMPLING)
            taken.set()
            try:
                next(some)
            except Fault as fault:
                raised.append(str(fault))

        thread = threading.Thread(target=wait)
        thread.start()
        taken.wait()
        end(engine)
        thread.join(10)
        assert len(raised) == 1
        assert text in raised[0] or "closed" in raised[0]


def test_closing_leaves_no_process_and_no_file(start: Open, policy: Policy) -> None:
    engine = start("hangs")
    home, pid = Path(engine._home.name), engine.server.pid
    some: Any = engine.generate(REQUESTS, SAMPLING)
    engine.close()
    engine.close()
    assert not home.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(Fault, match="closed"):
        next(some)


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("no vllm", "has no vllm: python3 -m venv"),
        ("refuses", "vLLM refuses the model: ValueError: no such architecture"),
        ("silent end", "which is no python: .*exit code 0; it wrote last: ...cannot execute"),
        ("another program", "which is no python"),
    ],
)
def test_an_environment_without_vllm_is_one_line(start: Open, fault: str, text: str) -> None:
    with pytest.raises(UserError, match=text) as refused:
        start(fault)
    assert refused.value.field == "model.engine"


def test_a_python_that_is_none_is_refused(policy: Policy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(process.VARIABLE, raising=False)
    with pytest.raises(UserError, match="names no python: python3 -m venv DIR"):
        VLLMEngine(policy, max_sequences=8)
    text = tmp_path / "text"
    text.write_text("no program")
    for path in (tmp_path / "missing", tmp_path, text, Path("/bin/true")):
        if path == text:
            text.chmod(0o755)
        monkeypatch.setenv(process.VARIABLE, str(path))
        with pytest.raises(UserError, match=process.VARIABLE), closing(VLLMEngine(policy, max_sequences=8)):
            pass
