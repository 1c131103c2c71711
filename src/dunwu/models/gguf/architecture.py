"""What the header of a GGUF file says of a model, as transformers says it: config.json and names of weights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from dunwu.models.gguf.header import Header
from dunwu.models.gguf.tensors import read_tensor

CLASSES: Final = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"}
"""Architectures that are read; transformers has each under the same name."""
EMBEDDING, OUTPUT, ROPE_FACTORS = "token_embd.weight", "output.weight", "rope_freqs.weight"
QUERY_BIAS: Final = "blk.0.attn_q.bias"
LLAMA3_ROPE: Final = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
"""What every Llama from 3.1 on has; a GGUF keeps only the factors that follow from it, and from the largest of them."""
FACTOR_TOLERANCE: Final = 1e-4


def build_config(header: Header) -> dict[str, Any]:
    """Build the config.json of the model in a GGUF file.

    Raises:
        UserError: The architecture is another one, or the header lacks a size.
    """
    architecture = header.metadata.get("general.architecture")
    if not isinstance(architecture, str) or architecture not in CLASSES:
        text = f"is {architecture!r:.60}; models like {', '.join(CLASSES)} are read"
        raise header.refuse(text, "general.architecture")
    prefix = f"{architecture}."
    if header.metadata.get(f"{prefix}expert_count"):
        raise header.refuse("is a mixture of experts, which is not read", f"{prefix}expert_count")
    if EMBEDDING not in header.tensors:
        raise header.refuse(f"has no weights {EMBEDDING}")
    hidden, heads = header.integer(f"{prefix}embedding_length"), header.integer(f"{prefix}attention.head_count")
    if not hidden or not heads:
        raise header.refuse("has a model without width or heads")
    head_dim = header.integer(f"{prefix}attention.key_length", hidden // heads)
    for key in ("attention.value_length", "rope.dimension_count"):
        if header.integer(prefix + key, head_dim) != head_dim:
            raise header.refuse(f"is not the head's size, {head_dim}, which is not read", prefix + key)
    return {
        "architectures": [CLASSES[architecture]],
        "model_type": architecture,
        "vocab_size": header.tensors[EMBEDDING].shape[0],
        "hidden_size": hidden,
        "intermediate_size": header.integer(f"{prefix}feed_forward_length"),
        "num_hidden_layers": header.integer(f"{prefix}block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": header.integer(f"{prefix}attention.head_count_kv", heads),
        "head_dim": head_dim,
        "max_position_embeddings": header.integer(f"{prefix}context_length"),
        "rms_norm_eps": _shorten(header.number(f"{prefix}attention.layer_norm_rms_epsilon")),
        "hidden_act": "silu",
        "tie_word_embeddings": OUTPUT not in header.tensors,
        "attention_bias": architecture != "qwen2" and QUERY_BIAS in header.tensors,
        "bos_token_id": header.metadata.get("tokenizer.ggml.bos_token_id"),
        "eos_token_id": header.metadata.get("tokenizer.ggml.eos_token_id"),
        "pad_token_id": header.metadata.get("tokenizer.ggml.padding_token_id"),
        "dtype": "float32",
        "rope_parameters": _build_rope(header, prefix, head_dim),
    }


def _build_rope(header: Header, prefix: str, head_dim: int) -> dict[str, Any]:
    """Build transformers' ``rope_parameters``."""
    # Its own reader of GGUF passes over all scaling (findings/transformers-gguf-rope.sh).
    theta = _shorten(header.number(f"{prefix}rope.freq_base", 10_000.0))
    kind = header.metadata.get(f"{prefix}rope.scaling.type", "none")
    factor = _shorten(header.number(f"{prefix}rope.scaling.factor", 1.0))
    if ROPE_FACTORS in header.tensors:
        return {"rope_theta": theta, **_read_llama3_rope(header, theta, head_dim)}
    if kind == "none" or factor == 1.0:
        return {"rope_theta": theta, "rope_type": "default"}
    if kind == "linear":
        return {"rope_theta": theta, "rope_type": "linear", "factor": factor}
    if kind == "yarn":
        original = header.integer(f"{prefix}rope.scaling.original_context_length")
        scaling = {"factor": factor, "original_max_position_embeddings": original}
        return {"rope_theta": theta, "rope_type": "yarn", **scaling}
    raise header.refuse(f"is {kind!r:.40}; none, linear and yarn are read", f"{prefix}rope.scaling.type")


def _read_llama3_rope(header: Header, theta: float, head_dim: int) -> dict[str, Any]:
    """Find the parameters behind the factors by which Llama 3 divides its frequencies."""
    factors = read_tensor(header, header.tensors[ROPE_FACTORS]).tolist()
    found = {"rope_type": "llama3", "factor": _shorten(max(factors)), **LLAMA3_ROPE}
    expected = list(list_llama3_factors(found, theta, head_dim))
    same = len(factors) == len(expected) and all(
        math.isclose(one, other, rel_tol=FACTOR_TOLERANCE) for one, other in zip(factors, expected, strict=True)
    )
    if not same:
        raise header.refuse(f"{ROPE_FACTORS} holds factors that are not those of Llama 3.1 and later")
    return found


def list_llama3_factors(parameters: dict[str, Any], theta: float, head_dim: int) -> Iterator[float]:
    """Yield what each frequency is divided by: 1 where waves are short, the factor where long, smooth between."""
    low, high = parameters["low_freq_factor"], parameters["high_freq_factor"]
    for index in range(0, head_dim, 2):
        waves = parameters["original_max_position_embeddings"] / (2 * math.pi * theta ** (index / head_dim))
        smooth = min(1.0, max(0.0, (waves - low) / (high - low)))
        yield 1 / ((1 - smooth) / parameters["factor"] + smooth)


class Weight(NamedTuple):
    """A tensor of a model: its name in the file, its name in transformers, its shape."""

    name: str
    renamed: str
    shape: tuple[int, ...]


def list_weights(header: Header, config: Mapping[str, Any]) -> list[Weight]:
    """List the weights of a model, and check that the file has these and no others.

    Args:
        header: The file's.
        config: See ``build_config``.

    Raises:
        UserError: One is missing, has another shape, or belongs to another kind of model.
    """
    weights = []
    for weight in expect_weights(config):
        if weight.name not in header.tensors:
            raise header.refuse(f"has no weights {weight.name}")
        if (found := header.tensors[weight.name].shape) != weight.shape:
            text = f"has {weight.name} with the shape {list(found)}, and by its sizes it is {list(weight.shape)}"
            raise header.refuse(text)
        weights.append(weight)
    known = {ROPE_FACTORS, *(weight.name for weight in weights)}
    if others := [name for name in header.tensors if name not in known]:
        raise header.refuse(f"has weights {others[0]:.60}, which no model of its architecture has here")
    return weights


def expect_weights(config: Mapping[str, Any]) -> Iterator[Weight]:
    """Yield every weight that a model of this config has."""
    hidden, intermediate, head = (int(config[key]) for key in ("hidden_size", "intermediate_size", "head_dim"))
    query, key = head * int(config["num_attention_heads"]), head * int(config["num_key_value_heads"])
    yield Weight(EMBEDDING, "model.embed_tokens.weight", (int(config["vocab_size"]), hidden))
    yield Weight("output_norm.weight", "model.norm.weight", (hidden,))
    if not config["tie_word_embeddings"]:
        yield Weight(OUTPUT, "lm_head.weight", (int(config["vocab_size"]), hidden))
    normed = [("attn_norm", "input_layernorm", hidden), ("ffn_norm", "post_attention_layernorm", hidden)]
    if config["model_type"] == "qwen3":
        normed += [("attn_q_norm", "self_attn.q_norm", head), ("attn_k_norm", "self_attn.k_norm", head)]
    matrices = {
        "attn_q": ("self_attn.q_proj", query, hidden),
        "attn_k": ("self_attn.k_proj", key, hidden),
        "attn_v": ("self_attn.v_proj", key, hidden),
        "attn_output": ("self_attn.o_proj", hidden, query),
        "ffn_gate": ("mlp.gate_proj", intermediate, hidden),
        "ffn_up": ("mlp.up_proj", intermediate, hidden),
        "ffn_down": ("mlp.down_proj", hidden, intermediate),
    }
    biased = {"attn_q", "attn_k", "attn_v"} if config["model_type"] == "qwen2" or config["attention_bias"] else set()
    biased |= {"attn_output"} if config["attention_bias"] else set()
    for layer in range(int(config["num_hidden_layers"])):
        inner, outer = f"blk.{layer}.", f"model.layers.{layer}."
        for name, renamed, size in normed:
            yield Weight(f"{inner}{name}.weight", f"{outer}{renamed}.weight", (size,))
        for name, (renamed, rows, columns) in matrices.items():
            yield Weight(f"{inner}{name}.weight", f"{outer}{renamed}.weight", (rows, columns))
            if name in biased:
                yield Weight(f"{inner}{name}.bias", f"{outer}{renamed}.bias", (rows,))


def count_rotated_heads(config: Mapping[str, Any], name: str) -> int:
    """Count the heads of a tensor whose rows lie in llama.cpp's order; 0: they lie as transformers has them.

    Rotary embedding turns pairs of rows. llama.cpp pairs neighbours in models like Llama, transformers the two halves
    of a head; Qwen's stay as they are.
    """
    if config["model_type"] != "llama":
        return 0
    if ".attn_q." in name:
        return int(config["num_attention_heads"])
    return int(config["num_key_value_heads"]) if ".attn_k." in name else 0


def _shorten(value: float) -> float:
    """Write what a file keeps in 32 bits as the decimal that was meant: 1e-5, not 9.999999747378752e-06."""
    return float(f"{value:.7g}")
