"""GGUF files as llama.cpp's converter writes them, made of models of transformers with a few thousand weights."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFWriter, quantize
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

FAMILIES: dict[str, tuple[Any, Any]] = {
    "llama": (LlamaConfig, LlamaForCausalLM),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM),
}
CONTROL, NORMAL = 3, 1
SPECIAL = ("<|end|>", "<|start|>", "<|turn|>")
CHAT = "{% for m in messages %}<|start|>{{ m['content'] }}<|turn|>{% endfor %}"
NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def make_model(family: str = "llama", *, seed: int = 0, **changes: Any) -> Any:
    """A model with two layers, two heads that share a key, and norms and biases that are not what they begin as."""
    config, kind = FAMILIES[family]
    sizes = {
        "vocab_size": 320,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 128,
        "rms_norm_eps": 1e-5,
        "bos_token_id": 1,
        "eos_token_id": 0,
        "pad_token_id": 0,
    }
    torch.manual_seed(seed)
    model = kind(config(**sizes | changes)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            spread = torch.randn_like(parameter)
            parameter.copy_(0.1 * spread if parameter.ndim == 2 else 1 + 0.3 * spread)
    return model


def make_vocabulary() -> tuple[list[str], list[str]]:
    """Tokens and merges of byte-level BPE, numbers of several digits among them; the first three tokens control."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    texts = ["the sum of 12 and 345 is 357", "what is 12 + 123 + 1234? the sum", "don't think: the answer's 4512"] * 4
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=317, initial_alphabet=alphabet, show_progress=False))
    vocabulary = sorted(core.get_vocab(), key=core.get_vocab().__getitem__)
    merges = [" ".join(pair) for pair in json.loads(core.to_str())["model"]["merges"]]
    return [*SPECIAL, *vocabulary], merges


def to_pairs(rows: np.ndarray[Any, Any], heads: int) -> np.ndarray[Any, Any]:
    """Rows of each head as llama.cpp rotates them: from two halves to pairs of neighbours."""
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def list_tensors(model: Any) -> Iterable[tuple[str, np.ndarray[Any, Any]]]:
    """Names and weights as the file has them."""
    config = model.config
    for name, weight in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        array = weight.float().numpy()
        rest, suffix = name.rsplit(".", 1)
        layer = ""
        if rest.startswith("model.layers."):
            _, _, number, rest = rest.split(".", 3)
            layer = f"blk.{number}."
        if config.model_type == "llama" and rest in ("self_attn.q_proj", "self_attn.k_proj"):
            heads = config.num_attention_heads if "q_proj" in rest else config.num_key_value_heads
            array = to_pairs(array, heads)
        yield f"{layer}{NAMES[rest]}.{suffix}", np.ascontiguousarray(array)


def write_gguf(
    path: Path,
    model: Any,
    encoding: str = "F32",
    *,
    vocabulary: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    tensors: Mapping[str, np.ndarray[Any, Any]] | None = None,
    blocks: Mapping[str, tuple[str, np.ndarray[Any, Any]]] | None = None,
) -> Path:
    """Write a GGUF file.

    Args:
        path: Where to.
        model: Of transformers.
        encoding: Of the matrices; vectors are F32.
        vocabulary: Values under ``tokenizer.ggml.``; None: those of ``make_vocabulary``.
        metadata: Values by their whole key, beside the usual or in their place; None leaves one out.
        tensors: Tensors beside the model's.
        blocks: Type and bytes of tensors in the place of the model's.
    """
    config, kind = model.config, GGMLQuantizationType[encoding]
    writer = GGUFWriter(path, config.model_type)
    for key, value in (describe(config, vocabulary) | dict(metadata or {})).items():
        add_value(writer, key, value)
    for name, array in [*list_tensors(model), *(tensors or {}).items()]:
        if blocks and name in blocks:
            own, stored = blocks[name]
            writer.add_tensor(name, stored, raw_dtype=GGMLQuantizationType[own])
        elif array.ndim == 1 or kind == GGMLQuantizationType.F32:
            writer.add_tensor(name, array)
        else:
            writer.add_tensor(name, quantize(array, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def describe(config: Any, vocabulary: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The metadata of a file."""
    tokens, merges = make_vocabulary()
    types = [CONTROL] * len(SPECIAL) + [NORMAL] * (len(tokens) - len(SPECIAL))
    usual = {"model": "gpt2", "pre": "qwen2", "tokens": tokens, "token_type": types, "merges": merges}
    ids = {"bos_token_id": 1, "eos_token_id": 0, "padding_token_id": 0, "add_bos_token": False}
    prefix = config.model_type
    return {
        f"{prefix}.context_length": config.max_position_embeddings,
        f"{prefix}.embedding_length": config.hidden_size,
        f"{prefix}.block_count": config.num_hidden_layers,
        f"{prefix}.feed_forward_length": config.intermediate_size,
        f"{prefix}.attention.head_count": config.num_attention_heads,
        f"{prefix}.attention.head_count_kv": config.num_key_value_heads,
        f"{prefix}.attention.key_length": config.head_dim if hasattr(config, "head_dim") else None,
        f"{prefix}.attention.layer_norm_rms_epsilon": float(config.rms_norm_eps),
        f"{prefix}.rope.freq_base": float(config.rope_parameters["rope_theta"]),
        "tokenizer.chat_template": CHAT,
        **{f"tokenizer.ggml.{key}": value for key, value in {**(vocabulary or {**usual, **ids})}.items()},
    }


def add_value(writer: GGUFWriter, key: str, value: Any) -> None:
    """Add a value in the type that llama.cpp's converter gives it."""
    if value is None:
        return
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    else:
        writer.add_array(key, value)
