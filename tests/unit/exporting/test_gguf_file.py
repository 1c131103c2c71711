"""A GGUF file holds the model: read back by Dunwu's own reader it has the same config, weights and tokens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

pytest.importorskip("gguf", reason="the extra gguf is not installed")

from tests.exported_models import make_folder

from dunwu.errors import UserError
from dunwu.exporting import gguf_file
from dunwu.exporting.gguf_file import write_gguf
from dunwu.exporting.sources import open_model
from dunwu.models.chat_templates import render_chat
from dunwu.models.gguf.header import read_header
from dunwu.models.load import load_policy

FAMILIES = ("llama", "qwen2", "qwen3")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUNWU_CACHE", str(tmp_path / "cache"))


def write(name: str | Path, path: Path, encoding: str = "f32") -> Any:
    write_gguf(open_model(str(name)), path, encoding)
    return read_header(path).metadata


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_written_reads_back_as_the_same_model(family: str, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / family, family)
    metadata = write(folder, tmp_path / "model.gguf")
    one, other = load_policy(str(folder)), load_policy(str(tmp_path / "model.gguf"))
    state = other.model.state_dict()
    for name, weight in one.model.state_dict().items():
        torch.testing.assert_close(state[name], weight, rtol=0, atol=0)
    tokens = one.tokenizer.encode("The sum of 12 and 345 is 357; 三加四。")
    assert other.tokenizer.encode("The sum of 12 and 345 is 357; 三加四。") == tokens
    with torch.inference_mode():
        logits = (policy.model(torch.tensor([tokens])).logits for policy in (one, other))
        torch.testing.assert_close(*logits, rtol=0, atol=1e-6)
    assert other.eos_ids == one.eos_ids
    assert metadata["tokenizer.chat_template"] == one.tokenizer.chat_template
    assert metadata["general.sampling.temp"] == pytest.approx(0.7)
    assert (metadata["general.sampling.top_k"], metadata["general.sampling.min_p"]) == (0, 0.0)


def test_types_of_fewer_bits_are_near_and_vectors_are_whole(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "qwen3", "qwen3")
    weights = load_file(folder / "model.safetensors")["model.layers.0.mlp.up_proj.weight"]
    for encoding, farthest in (("bf16", 2**-8), ("f16", 2**-11), ("q8_0", 1 / 254)):
        write(folder, tmp_path / f"{encoding}.gguf", encoding)
        header = read_header(tmp_path / f"{encoding}.gguf")
        assert header.tensors["blk.0.attn_norm.weight"].encoding == "F32"
        assert header.tensors["blk.0.ffn_up.weight"].encoding == encoding.upper()
        policy = load_policy(str(tmp_path / f"{encoding}.gguf"))
        found = policy.model.model.layers[0].mlp.up_proj.weight.detach()
        assert float((found - weights).abs().max()) <= farthest * float(weights.abs().max())


def test_a_nano_model_says_how_it_is_asked_and_spells_numbers_beyond_its_vocabulary(tmp_path: Path) -> None:
    metadata = write("nano-base", tmp_path / "nano.gguf")
    assert metadata["tokenizer.ggml.model"] == "rwkv"
    assert (metadata["tokenizer.ggml.eos_token_id"], metadata["tokenizer.ggml.padding_token_id"]) == (569, 570)
    model = open_model("nano-base")
    model.tokenizer.chat_template = metadata["tokenizer.chat_template"]
    turns = [
        {"role": "user", "content": "用 255, 256 and 007 or 7"},
        {"role": "assistant", "content": "5", "reasoning_content": "hm"},
        {"role": "user", "content": "12345"},
    ]
    assert render_chat(model.tokenizer, turns, asks=True, name="it") == (
        r"User: 用 255, \x32\x35\x36 and \x30\x30\x37 or 7 Assistant:<think>hm</think>5<|endoftext|>"
        r"User: \x31\x32\x33\x34\x35 Assistant:"
    )


def test_what_cannot_be_written_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    cases: list[tuple[str, str, dict[str, Any], str]] = [
        ("qwen3", "f32", {"attention_bias": True}, "attention_bias: is on"),
        ("qwen2", "q4_k_m", {}, "q4_k_m has blocks of 256, and rows of token_embd.weight have 64 numbers"),
        ("qwen2", "q8_0", {"intermediate_size": 100}, "blocks of 32, and rows of blk.0.ffn_down.weight have 100"),
        ("qwen2", "q4_k_m", {"hidden_size": 256, "intermediate_size": 256, "head_dim": 64}, "cannot write it"),
        ("llama", "f32", {"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4, "factor": 2.0}}, "'yarn'"),
        ("llama", "f32", {"mlp_bias": True}, "has weights model.layers.0.mlp.down_proj.bias"),
    ]
    for number, (family, encoding, changes, message) in enumerate(cases):
        folder = make_folder(tmp_path / str(number), family, **changes)
        with pytest.raises(UserError, match=message):
            write(folder, out / "model.gguf", encoding)
    assert list(out.iterdir()) == []


def test_weights_that_do_not_fit_their_config_or_type_are_named(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "qwen3", "qwen3")
    weights = load_file(folder / "model.safetensors")
    name = "model.layers.1.mlp.up_proj.weight"
    for changed, encoding, message in (
        ({**weights, name: weights[name] * 1e7}, "f16", "blk.1.ffn_up.weight holds numbers that f16 cannot"),
        ({**weights, name: weights[name][:-1].clone()}, "f32", r"\[95, 64\], and by its config \[96, 64\]"),
        ({key: value for key, value in weights.items() if key != name}, "f32", f"has no weights {name}"),
    ):
        save_file(changed, folder / "model.safetensors", {"format": "pt"})
        with pytest.raises(UserError, match=message):
            write(folder, tmp_path / "model.gguf", encoding)
    assert not (tmp_path / "model.gguf").exists()


def test_an_interrupted_export_leaves_the_former_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, path = make_folder(tmp_path / "qwen3", "qwen3"), tmp_path / "out" / "model.gguf"
    path.parent.mkdir()
    write(folder, path)
    whole = path.read_bytes()

    def stop(self: Any, name: str) -> np.ndarray[Any, Any]:
        raise KeyboardInterrupt

    monkeypatch.setattr(gguf_file._Weights, "read", stop)
    with pytest.raises(KeyboardInterrupt):
        write(folder, path)
    assert path.read_bytes() == whole
    assert [file.name for file in path.parent.iterdir()] == ["model.gguf"]


def test_a_stage_that_was_rewarded_for_tags_has_them_in_its_template(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "qwen2", "qwen2")
    model = open_model(str(folder))
    assert not model.thinks
    assert json.loads((folder / "generation_config.json").read_text())["max_new_tokens"] == 48
    object.__setattr__(model.source, "stage", {"kind": "rl", "prompt": {"template": "chat"}})
    rewarded = open_model(str(folder))
    object.__setattr__(rewarded, "source", model.source)
    write_gguf(rewarded, tmp_path / "model.gguf", "f32")
    template = read_header(tmp_path / "model.gguf").metadata["tokenizer.chat_template"]
    assert template.endswith(rewarded.tokenizer.chat_template)
    assert "'<think>' ~ message['reasoning_content'] ~ '</think>'" in template
