"""Loading policies: folders that transformers wrote, and what is wrong with those that nobody can load."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from dunwu.errors import UserError
from dunwu.models.load import load_policy, save_policy
from dunwu.models.places import resolve

SHAPE: dict[str, Any] = {
    "vocab_size": 32,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 16,
}
FAMILIES = {
    "llama": (LlamaConfig, LlamaForCausalLM),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM),
}


def tokenizer(**special: str) -> PreTrainedTokenizerFast:
    """One token for each of 30 letters."""
    letters = "abcdefghijklmnopqrstuvwxyz .:?"
    core = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(letters)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    core.add_special_tokens(["<end>", "<pad>"])
    return PreTrainedTokenizerFast(tokenizer_object=core, **special)


def write(folder: Path, family: str = "qwen3", eos_in_config: Any = None, **special: str) -> Path:
    """A model folder as transformers saves it."""
    config, kind = FAMILIES[family]
    torch.manual_seed(0)
    model = kind(config(**SHAPE, bos_token_id=None, eos_token_id=eos_in_config, pad_token_id=None))
    model.save_pretrained(folder)
    tokenizer(**(special or {"eos_token": "<end>"})).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("family", FAMILIES)
def test_a_policy_survives_saving(tmp_path: Path, family: str) -> None:
    policy = load_policy(str(write(tmp_path / "a", family, eos_token="<end>", pad_token="<pad>")), device="cpu")
    assert (policy.eos_ids, policy.pad_id) == ((30,), 31)
    assert policy.model.dtype == torch.float32
    assert not policy.model.training
    save_policy(policy, tmp_path / "b")
    again = load_policy(str(tmp_path / "b"), device="cpu")
    tokens = torch.tensor([policy.tokenizer.encode("what is it")])
    assert tokens.tolist() == [again.tokenizer.encode("what is it")]
    with torch.no_grad():
        assert torch.equal(policy.model(tokens).logits, again.model(tokens).logits)


def test_weights_are_held_as_asked(tmp_path: Path) -> None:
    policy = load_policy(str(write(tmp_path)), dtype="bfloat16", device="cpu")
    assert {parameter.dtype for parameter in policy.model.parameters()} == {torch.bfloat16}


def test_every_end_of_the_generation_config_counts(tmp_path: Path) -> None:
    policy = load_policy(str(write(tmp_path, eos_in_config=[7, 30])), device="cpu")
    assert policy.eos_ids == (30, 7)
    assert policy.pad_id == 30


def test_the_shipped_base_has_a_name() -> None:
    if not (Path(resolve.__code__.co_filename).parents[1] / "assets" / "nano-base").is_dir():
        pytest.skip("the nano base has not been built yet")
    assert Path(resolve("nano-base")).name == "nano-base"


def complaint(source: Path | str, **options: Any) -> str:
    """The one line that the user sees."""
    with pytest.raises(UserError) as caught:
        load_policy(str(source), device=options.pop("device", "cpu"), **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_no_model_is_said_in_one_line(tmp_path: Path) -> None:
    assert complaint(tmp_path / "none") == f"{tmp_path / 'none'}: no such folder"
    (tmp_path / "file").write_text("x")
    assert complaint(tmp_path / "file").endswith("is no GGUF file: it begins with b'x'")
    (tmp_path / "empty").mkdir()
    assert complaint(tmp_path / "empty").endswith("no config.json: this is no transformers model folder")


def test_damaged_folders_are_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "model")
    weights = (folder / "model.safetensors").read_bytes()
    for damage in (weights[: len(weights) // 2], b"\xff" * 64, b""):
        (folder / "model.safetensors").write_bytes(damage)
        assert complaint(folder).startswith(f"{folder}: corrupt safetensors")
    (folder / "model.safetensors").unlink()
    assert complaint(folder) == f"{folder}: no weights (*.safetensors) in this folder"
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "config.json").write_text("{")
    assert complaint(folder).startswith(f"{folder / 'config.json'}: is no JSON")
    (folder / "config.json").write_text(json.dumps({"model_type": "bert-of-mine"}))
    assert complaint(folder).startswith(f"{folder}: cannot load a causal language model")


def test_weights_that_the_config_does_not_expect_are_no_random_model(tmp_path: Path) -> None:
    folder = write(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    config |= {"num_hidden_layers": 2, "layer_types": ["full_attention"] * 2}
    (folder / "config.json").write_text(json.dumps(config))
    assert complaint(folder).startswith(f"{folder}: weights are missing: model.layers.1.input_layernorm.weight,")


def test_a_tokenizer_must_be_there_and_know_an_end(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", pad_token="<pad>")
    assert complaint(folder) == f"{folder}: eos_token: the tokenizer has no eos_token: completions could never end"
    folder = write(tmp_path / "b")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    assert complaint(folder).startswith(f"{folder}: cannot load the tokenizer")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_where_there_is_none(tmp_path: Path) -> None:
    assert complaint(write(tmp_path), device="cuda").startswith("model.device: cuda is asked for")
