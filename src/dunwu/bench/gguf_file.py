"""Writes a benchmark's model as a GGUF file, for llama.cpp."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from dunwu.models.gguf.architecture import count_rotated_heads, expect_weights

NORMAL, CONTROL = 1, 3
"""Kinds of tokens, by GGUF's numbers."""
SEPARATOR: Final = ";"


def write_gguf(model: Any, end: int, path: Path, *, bf16: bool = False) -> None:
    """Write a model of the Llama family in single precision, or its matrices in bf16.

    Its tokens are not those of the model's tokenizer: each is written as its number and ``SEPARATOR``, so that a text
    says of how many tokens it was made. Prompts must be token ids.

    Args:
        model: Of transformers.
        end: The token that ends a completion.
        path: Of the new file.
        bf16: Whether matrices are in bf16.
    """
    from gguf import GGMLQuantizationType, GGUFWriter, quantize

    config = {**model.config.to_dict(), "head_dim": _head_size(model.config)}
    config.setdefault("attention_bias", False)
    writer = GGUFWriter(path, config["model_type"])
    _write_sizes(writer, config)
    _write_tokens(writer, config["vocab_size"], end)
    state = model.state_dict()
    for weight in expect_weights(config):
        rows = state[weight.renamed].to(torch.float32).numpy()
        heads = count_rotated_heads(config, weight.name)
        rows = np.ascontiguousarray(_to_pairs(rows, heads) if heads else rows)
        kind = GGMLQuantizationType.BF16 if bf16 and rows.ndim == 2 else GGMLQuantizationType.F32
        writer.add_tensor(weight.name, quantize(rows, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _head_size(config: Any) -> int:
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def _write_sizes(writer: Any, config: Mapping[str, Any]) -> None:
    head = config["head_dim"]
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(head)
    writer.add_rope_freq_base(float(config["rope_parameters"]["rope_theta"]))
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])


def _write_tokens(writer: Any, count: int, end: int) -> None:
    tokens = [f"{number}{SEPARATOR}" for number in range(count)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")  # one that llama.cpp knows; it tokenises nothing here
    writer.add_token_list(tokens)
    writer.add_token_types([CONTROL if number == end else NORMAL for number in range(count)])
    writer.add_token_merges([f"{tokens[0]} {tokens[1]}"])  # a file without any is refused
    writer.add_eos_token_id(end)
    writer.add_add_bos_token(False)


def _to_pairs(rows: NDArray[Any], heads: int) -> NDArray[Any]:
    """Put the rows of each head from two halves into pairs of neighbours: 0 1 2 3 becomes 0 2 1 3."""
    halves = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
    return halves.swapaxes(1, 2).reshape(rows.shape)
