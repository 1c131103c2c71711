"""llama.cpp as a peer: its file holds the same weights, its program counts tokens and shares prompts."""

from __future__ import annotations

import io
import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from dunwu.bench import gguf_file, llamacpp_worker, rollout_peers
from dunwu.models.gguf.architecture import build_config, count_rotated_heads, list_weights
from dunwu.models.gguf.conversion import _to_halves
from dunwu.models.gguf.header import read_header
from dunwu.models.gguf.tensors import read_tensor

SHAPE = {
    "vocab_size": 300,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 24,
}


PROGRAM = """
import json, sys
job = json.loads(sys.argv[1])
for _ in sys.stdin:
    print(len(job["prompts"]), flush=True)
"""


@pytest.mark.parametrize("model_type", ["qwen2", "llama", "qwen3"])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("bf16", [True, False])
def test_the_file_holds_the_models_weights(model_type: str, tied: bool, bf16: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = AutoConfig.for_model(model_type, tie_word_embeddings=tied, **SHAPE)
    model: Any = AutoModelForCausalLM.from_config(config)
    gguf_file.write_gguf(model, 256, tmp_path / "model.gguf", bf16=bf16)
    header = read_header(tmp_path / "model.gguf")
    found = build_config(header)
    for key, value in {**SHAPE, "model_type": model_type, "tie_word_embeddings": tied, "eos_token_id": 256}.items():
        assert found[key] == value
    assert found["rope_parameters"]["rope_theta"] == config.rope_parameters["rope_theta"]
    state, read = model.state_dict(), list_weights(header, found)
    assert {weight.renamed for weight in read} >= {name for name in state if tied is False or name != "lm_head.weight"}
    for weight in read:
        tensor, wanted = header.tensors[weight.name], state[weight.renamed]
        rows = read_tensor(header, tensor)
        assert tensor.encoding == ("BF16" if bf16 and wanted.ndim == 2 else "F32")
        if tensor.encoding == "BF16":
            rows, wanted = (rows.astype(np.uint32) << 16).view(np.float32), wanted.to(torch.bfloat16).float()
        if heads := count_rotated_heads(found, weight.name):
            rows = _to_halves(rows, heads)
        np.testing.assert_array_equal(rows, wanted.numpy())


def test_peers_that_cannot_be_measured_say_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollout_peers, "read_cpu_flags", lambda: {"avx2"})
    monkeypatch.delenv("DUNWU_LLAMACPP_PYTHON", raising=False)
    assert rollout_peers.explain_absence("llamacpp") == "DUNWU_LLAMACPP_PYTHON names no interpreter"
    monkeypatch.setenv("DUNWU_LLAMACPP_PYTHON", "python")
    assert rollout_peers.explain_absence("llamacpp-bf16") == "this processor has no instructions for bf16"
    assert [rollout_peers.explain_absence(peer) for peer in ("llamacpp", "hf")] == [None, None]
    monkeypatch.setattr(rollout_peers, "read_cpu_flags", lambda: {"avx512_bf16"})
    assert rollout_peers.explain_absence("llamacpp-bf16") is None


def test_the_program_of_another_environment_is_asked_at_every_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "llamacpp_worker.py").write_text(PROGRAM)
    monkeypatch.setattr(rollout_peers, "__file__", str(tmp_path / "rollout_peers.py"))
    job = rollout_peers.Job(folder="m", prompts=((1,), (2,), (3,)), group=1, max_new_tokens=1, eos_ids=())
    sent: list[float] = []
    turns = iter((True, True, False))
    connection: Any = SimpleNamespace(recv=lambda: next(turns), send=sent.append)
    assert [rollout_peers.find_dtype(peer) for peer in ("vllm", "vllm-bf16")] == ["float32", "bfloat16"]
    peak = rollout_peers.serve_worker(job, "llamacpp-bf16", sys.executable, connection)
    assert sent == [3.0, 3.0]
    assert peak is None or 5 < peak < 60, "the small program's memory, not this process's"


def test_every_token_is_counted_once() -> None:
    assert gguf_file.SEPARATOR == llamacpp_worker.SEPARATOR
    assert llamacpp_worker.count_tokens({"text": "5;17;5;", "finish_reason": "length"}) == 3
    assert llamacpp_worker.count_tokens({"text": "5;17;", "finish_reason": "stop"}) == 3, "the end is a token"
    assert llamacpp_worker.count_tokens({"text": "", "finish_reason": "stop"}) == 1


class Server:
    """A server of llama.cpp's whose speed depends on how many sequences decode at once."""

    made: list[int] = []  # noqa: RUF012  -- one for the test
    asked: list[dict[str, Any]] = []  # noqa: RUF012

    def __init__(self, params: Any) -> None:
        self.sequences = params.n_parallel
        self.made.append(self.sequences)
        assert params.n_ctx == self.sequences * (3 + 8)
        assert params.cpuparams.n_threads == params.cpuparams_batch.n_threads == 2

    def handle_completions(self, request: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(request)
        tokens = 1000 if self.sequences == 32 else 10
        return {"choices": [{"text": "1;" * tokens, "finish_reason": "length"}] * request["n_cmpl"]}


def test_the_program_keeps_the_fastest_number_of_sequences(monkeypatch: pytest.MonkeyPatch) -> None:
    def make_params() -> SimpleNamespace:
        return SimpleNamespace(model=SimpleNamespace(), cpuparams=SimpleNamespace(), cpuparams_batch=SimpleNamespace())

    monkeypatch.setitem(sys.modules, "xllamacpp", SimpleNamespace(Server=Server, CommonParams=make_params))
    job = {"gguf": "m", "prompts": [[1, 2, 3], [4, 5]] * 8, "group": 8, "max_new_tokens": 8, "eos_ids": [9]}
    monkeypatch.setattr(sys, "argv", ["llamacpp_worker.py", json.dumps(job | {"threads": 2})])
    monkeypatch.setattr(sys, "stdin", io.StringIO("go\ngo\n"))
    out = io.StringIO()
    monkeypatch.setattr(llamacpp_worker, "open_numbers", lambda: out)
    clock = iter(range(1000))
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    llamacpp_worker.main()
    assert out.getvalue() == "128000.0\n128000.0\n"
    assert Server.made == [16, 32, 64, 128, 32]
    assert len(Server.asked) == 6 * 16
    assert {request["n_cmpl"] for request in Server.asked} == {8}
    assert {request["seed"] for request in Server.asked} == set(range(0, 128, 8)), "no two completions draw alike"
    assert not any(request["ignore_eos"] for request in Server.asked)
