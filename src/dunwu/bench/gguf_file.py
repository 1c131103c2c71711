"""Writes a benchmark's model as a GGUF file, for llama.cpp."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import torch

from dunwu.models.gguf.tokenizer import CONTROL, NORMAL
from dunwu.models.gguf.writing import normalize_config, write_file, write_sizes

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
    from gguf import GGUFWriter

    config, state = normalize_config(model.config.to_dict()), model.state_dict()
    writer = GGUFWriter(path, config["model_type"])
    write_sizes(writer, config)
    _write_tokens(writer, config["vocab_size"], end)
    write_file(writer, config, "bf16" if bf16 else "f32", lambda name: state[name].to(torch.float32).numpy())


def _write_tokens(writer: Any, count: int, end: int) -> None:
    tokens = [f"{number}{SEPARATOR}" for number in range(count)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")  # one that llama.cpp knows; it tokenises nothing here
    writer.add_token_list(tokens)
    writer.add_token_types([CONTROL if number == end else NORMAL for number in range(count)])
    writer.add_token_merges([f"{tokens[0]} {tokens[1]}"])  # a file without any is refused
    writer.add_eos_token_id(end)
    writer.add_add_bos_token(False)
