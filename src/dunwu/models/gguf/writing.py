"""What every GGUF file holds, whatever its tokens: the sizes of a model, and its weights one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dunwu.errors import UserError
from dunwu.models.gguf.architecture import (
    CLASSES,
    LLAMA3_ROPE,
    ROPE_FACTORS,
    count_rotated_heads,
    expect_weights,
    list_llama3_factors,
)

LARGEST_F16: Final = float(np.finfo(np.float16).max)


class Encoding(NamedTuple):
    """A type of weights: what gguf calls it for matrices, and for the file as a whole."""

    matrices: str
    file: str


ENCODINGS: Final[Mapping[str, Encoding]] = {
    "f32": Encoding("F32", "ALL_F32"),
    "f16": Encoding("F16", "MOSTLY_F16"),
    "bf16": Encoding("BF16", "MOSTLY_BF16"),
    "q8_0": Encoding("Q8_0", "MOSTLY_Q8_0"),
    "q5_0": Encoding("Q5_0", "MOSTLY_Q5_0"),
    "q4_0": Encoding("Q4_0", "MOSTLY_Q4_0"),
    "q6_k": Encoding("Q6_K", "MOSTLY_Q6_K"),
    "q5_k_m": Encoding("Q5_K", "MOSTLY_Q5_K_M"),
    "q4_k_m": Encoding("Q4_K", "MOSTLY_Q4_K_M"),
}
"""Types by the names that llama.cpp's tools give them."""
Read = Callable[[str], NDArray[Any]]
"""Returns a weight in float32, by its name in transformers."""


def normalize_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Add to a config of transformers what it leaves to a default: the size of a head, and whether there are biases."""
    head = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    return {"attention_bias": False, **config, "head_dim": int(head)}


def check_architecture(config: Mapping[str, Any]) -> None:
    """Make sure that llama.cpp computes what a model's config says.

    Args:
        config: See ``normalize_config``.

    Raises:
        UserError: The architecture is another one, or has something that a GGUF file cannot say.
    """
    kind, rope = config["model_type"], config["rope_parameters"]
    if kind not in CLASSES:
        raise UserError(f"is {kind!r:.60}; models like {', '.join(CLASSES)} can be written", field="model_type")
    if rope.get("rope_type", "default") not in ("default", "llama3"):
        raise UserError(f"is {rope['rope_type']!r:.40}; default and llama3 can be written", field="rope_type")
    if float(rope.get("partial_rotary_factor") or 1.0) != 1.0:
        raise UserError("is not 1, and llama.cpp turns whole heads", field="partial_rotary_factor")
    if config.get("hidden_act", "silu") != "silu":
        raise UserError(f"is {config['hidden_act']!r:.40}, and llama.cpp has silu", field="hidden_act")
    if config.get("use_sliding_window"):
        raise UserError("is on, which a GGUF file of this architecture cannot say", field="use_sliding_window")
    if kind == "qwen3" and config["attention_bias"]:
        raise UserError("is on, and llama.cpp knows no biases in models like qwen3", field="attention_bias")


def write_sizes(writer: Any, config: Mapping[str, Any]) -> None:
    """Write a model's sizes.

    Args:
        writer: A ``GGUFWriter`` that is still open for metadata.
        config: See ``normalize_config``.
    """
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


def check_encoding(config: Mapping[str, Any], encoding: str) -> None:
    """Make sure that every matrix of a model can be written in a type.

    Args:
        config: See ``normalize_config``.
        encoding: A name among ``ENCODINGS``.

    Raises:
        UserError: A row is not made of whole blocks, or the package gguf cannot write the type.
    """
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, quantize

    kind = GGMLQuantizationType[ENCODINGS[encoding].matrices]
    block, _ = GGML_QUANT_SIZES[kind]
    for weight in expect_weights(config):
        if len(weight.shape) == 2 and weight.shape[1] % block:
            text = f"{encoding} has blocks of {block}, and rows of {weight.name} have {weight.shape[1]} numbers"
            raise UserError(f"{text}: take f32, f16 or bf16, or q8_0 where rows have multiples of 32", field="--type")
    try:
        quantize(np.zeros((1, block), np.float32), kind)
    except NotImplementedError:
        name, width = next((one.name, one.shape[1]) for one in expect_weights(config) if len(one.shape) == 2)
        text = f"the package gguf reads {kind.name} and cannot write it, so not {name} with rows of {width} numbers"
        raise UserError(f"{text}: write f16, and let llama-quantize make {encoding} of it", field="--type") from None


def write_file(writer: Any, config: Mapping[str, Any], encoding: str, read: Read) -> None:
    """Write a file whose metadata are complete: its weights follow, one in memory at a time.

    Args:
        writer: A ``GGUFWriter``; it is closed.
        config: See ``normalize_config``.
        encoding: Of matrices, a name among ``ENCODINGS``; vectors are F32.
        read: See ``Read``.

    Raises:
        UserError: A weight is too large for the type.
    """
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, quantize

    matrices, vectors = GGMLQuantizationType[ENCODINGS[encoding].matrices], GGMLQuantizationType.F32
    factors = _compute_rope_factors(config)
    for name, shape in _list_shapes(config, factors):
        kind = matrices if len(shape) == 2 else vectors
        values, size = GGML_QUANT_SIZES[kind]
        writer.add_tensor_info(name, shape, np.dtype(np.float32), int(np.prod(shape)) // values * size, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    if factors is not None:
        writer.write_tensor_data(factors)
    for weight in expect_weights(config):
        rows = read(weight.renamed)
        if heads := count_rotated_heads(config, weight.name):
            rows = np.ascontiguousarray(_to_pairs(rows, heads))
        if matrices == GGMLQuantizationType.F16 and rows.ndim == 2 and np.abs(rows).max() > LARGEST_F16:
            raise UserError(f"{weight.name} holds numbers that f16 cannot: take bf16 or f32", field="--type")
        writer.write_tensor_data(quantize(rows, matrices if rows.ndim == 2 else vectors))
    writer.close()


def _list_shapes(
    config: Mapping[str, Any], factors: NDArray[np.float32] | None
) -> Iterable[tuple[str, tuple[int, ...]]]:
    """Yield name and shape of each tensor, in the order of the file."""
    if factors is not None:
        yield ROPE_FACTORS, factors.shape
    for weight in expect_weights(config):
        yield weight.name, weight.shape


def _compute_rope_factors(config: Mapping[str, Any]) -> NDArray[np.float32] | None:
    """Compute what Llama 3 divides its frequencies by; None for models without."""
    rope = config["rope_parameters"]
    if rope.get("rope_type") != "llama3":
        return None
    parameters = {name: rope[name] for name in ("factor", *LLAMA3_ROPE)}
    return np.array(list(list_llama3_factors(parameters, float(rope["rope_theta"]), config["head_dim"])), np.float32)


def _to_pairs(rows: NDArray[Any], heads: int) -> NDArray[Any]:
    """Put the rows of each head from two halves into pairs of neighbours: 0 1 2 3 becomes 0 2 1 3."""
    halves = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
    return halves.swapaxes(1, 2).reshape(rows.shape)
