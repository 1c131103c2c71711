"""How large a model is, read from its config.json or the header of its GGUF file; nothing is loaded."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dunwu.config.model_folder import read_config
from dunwu.config.packaged import find_packaged
from dunwu.config.schema import TransformerSpec
from dunwu.errors import UserError
from dunwu.models.gguf.source import find_gguf

MIXTURE_KEYS = ("num_experts", "n_routed_experts", "num_local_experts", "kv_lora_rank")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """Sizes that memory and time depend on.

    ``active`` are the parameters that work on one token; ``attention`` is heads x head size; ``kv_values`` are the
    numbers that the cache keeps for one token, over all layers.
    """

    parameters: int
    active: int
    layers: int
    hidden: int
    attention: int
    kv_values: int
    intermediate: int
    vocabulary: int
    max_positions: int

    @property
    def has_tied_output(self) -> bool:
        """Whether the output is the embedding: beside the blocks' matrices there is hardly more than one of them."""
        blocks = self.layers * sum(rows * columns for rows, columns in self.linear_layers)
        return self.parameters - blocks < 1.5 * self.vocabulary * self.hidden

    @property
    def linear_layers(self) -> tuple[tuple[int, int], ...]:
        """Rows and columns of one block's matrices, of attention and of the gated MLP."""
        keys = self.kv_values // (2 * self.layers)
        wide = (self.attention, keys, keys, self.intermediate, self.intermediate)  # q, k, v, gate, up
        narrow = (self.attention, self.intermediate)  # o, down
        return (*((side, self.hidden) for side in wide), *((self.hidden, side) for side in narrow))

    def count_adapter(self, rank: int) -> int:
        """Count the numbers of an adapter: ``rank`` for each row and each column of every linear layer."""
        return self.layers * rank * sum(map(sum, self.linear_layers))


PUBLISHED = {
    # Embedding, 24 x (attention with biases on q, k, v; gated MLP; two norms), last norm; tied output.
    "Qwen/Qwen2.5-0.5B": ModelShape(
        parameters=494_032_768,
        active=494_032_768,
        layers=24,
        hidden=896,
        attention=896,
        kv_values=24 * 2 * 128,
        intermediate=4864,
        vocabulary=151_936,
        max_positions=32_768,
    ),
    "Qwen/Qwen2.5-1.5B": ModelShape(
        parameters=1_543_714_304,
        active=1_543_714_304,
        layers=28,
        hidden=1536,
        attention=1536,
        kv_values=28 * 2 * 256,
        intermediate=8960,
        vocabulary=151_936,
        max_positions=131_072,
    ),
    # The output is a matrix of its own.
    "Qwen/Qwen2.5-Math-7B": ModelShape(
        parameters=7_615_616_512,
        active=7_615_616_512,
        layers=28,
        hidden=3584,
        attention=3584,
        kv_values=28 * 2 * 512,
        intermediate=18_944,
        vocabulary=152_064,
        max_positions=4096,
    ),
    # Mixtures with 128 experts a layer, of which 8 work on a token (768 and 1536 wide).
    "Qwen/Qwen3-30B-A3B-Base": ModelShape(
        parameters=30_532_122_624,
        active=3_300_000_000,
        layers=48,
        hidden=2048,
        attention=32 * 128,
        kv_values=48 * 2 * 512,
        intermediate=8 * 768,
        vocabulary=151_936,
        max_positions=32_768,
    ),
    "Qwen/Qwen3-235B-A22B": ModelShape(
        parameters=235_093_634_560,
        active=22_000_000_000,
        layers=94,
        hidden=4096,
        attention=64 * 128,
        kv_values=94 * 2 * 512,
        intermediate=8 * 1536,
        vocabulary=151_936,
        max_positions=40_960,
    ),
    # DeepSeek-V3 report (arXiv 2412.19437, section 4.2): 671B, of which 37B work on a token; latent attention keeps
    # 512 + 64 values a layer; 8 routed experts and one shared, 2048 wide each.
    "deepseek-ai/DeepSeek-V3-Base": ModelShape(
        parameters=671_000_000_000,
        active=37_000_000_000,
        layers=61,
        hidden=7168,
        attention=128 * 128,
        kv_values=61 * (512 + 64),
        intermediate=9 * 2048,
        vocabulary=129_280,
        max_positions=163_840,
    ),
}


def find_shape(source: str) -> ModelShape | None:
    """Find the shape of a model; None where it is not known.

    Args:
        source: ``nano-base``, a folder, a GGUF file, a hub model in the local cache, or a published one.

    Raises:
        UserError: its config.json or its header cannot be read.
    """
    if (file := find_gguf(source)) is not None:
        from dunwu.models.gguf.architecture import build_config  # with numpy, which no other source needs
        from dunwu.models.gguf.header import read_header

        return shape_from_config(build_config(read_header(file)))
    config = _config_file(source)
    if config is None:
        return PUBLISHED.get(source)
    try:
        return shape_from_config(read_config(config))
    except (TypeError, ValueError, ArithmeticError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"has a size that is no number: {error!s:.100}", file=config) from error


def find_model_folder(source: str) -> Path | None:
    """Find the folder that ``from`` names: the packaged model's or an absolute path; None for a hub id."""
    if (folder := find_packaged(source)) is not None:
        return folder
    return Path(source) if Path(source).is_absolute() else None


def shape_from_config(config: Mapping[str, Any]) -> ModelShape | None:
    """Compute the shape of a dense decoder with a gated MLP (Llama, Qwen2, Qwen3, Mistral); None for any other."""
    needed = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size")
    if any(key not in config for key in needed) or any(config.get(key) for key in MIXTURE_KEYS):
        return None
    hidden, layers, heads, intermediate, vocabulary = (int(config[key]) for key in needed)
    head = int(config.get("head_dim") or hidden // heads)
    kv_heads = int(config.get("num_key_value_heads") or heads)
    query, key = heads * head, kv_heads * head
    biases = query + 2 * key if config.get("model_type") == "qwen2" else 0
    head_norms = 2 * head if config.get("model_type") == "qwen3" else 0
    attention = hidden * (2 * query + 2 * key) + biases + head_norms
    layer = attention + 3 * hidden * intermediate + 2 * hidden
    embeddings = vocabulary * hidden * (1 if config.get("tie_word_embeddings") else 2)
    parameters = embeddings + layers * layer + hidden
    return ModelShape(
        parameters=parameters,
        active=parameters,
        layers=layers,
        hidden=hidden,
        attention=query,
        kv_values=layers * 2 * key,
        intermediate=intermediate,
        vocabulary=vocabulary,
        max_positions=int(config.get("max_position_embeddings") or 0),
    )


def shape_from_spec(spec: TransformerSpec, vocabulary: int) -> ModelShape:
    """Compute the shape of a model that a pretrain stage makes (Qwen3-shaped, tied embeddings)."""
    config = {
        "model_type": "qwen3",
        "hidden_size": spec.hidden_size,
        "num_hidden_layers": spec.layers,
        "num_attention_heads": spec.heads,
        "num_key_value_heads": spec.kv_heads,
        "intermediate_size": spec.intermediate_size,
        "vocab_size": vocabulary,
        "max_position_embeddings": spec.max_positions,
        "tie_word_embeddings": True,
    }
    shape = shape_from_config(config)
    assert shape is not None
    return shape


def _config_file(source: str) -> Path | None:
    folder = find_model_folder(source)
    found = [folder / "config.json"] if folder else sorted(_hub_cache().glob(_cached(source)))
    return next((path for path in reversed(found) if path.is_file()), None)


def _cached(source: str) -> str:
    return f"models--{source.replace('/', '--')}/snapshots/*/config.json"


def _hub_cache() -> Path:
    home = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface"))
    return Path(os.environ.get("HF_HUB_CACHE", home / "hub"))
