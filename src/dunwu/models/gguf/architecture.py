"""What the header of a GGUF file says of a model, as transformers says it: config.json and names of weights."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from dunwu.models.gguf.header import Header
from dunwu.models.gguf.tensors import read_tensor

CLASSES: Final = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"}
"""Architectures that are read; transformers has each under the same name."""
OUTSIDE: Final = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
IN_LAYER: Final = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
LAYER: Final = re.compile(r"blk\.(\d+)\.(\w+)\.(weight|bias)")
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
    expected = list(_llama3_factors(found, theta, head_dim))
    same = len(factors) == len(expected) and all(
        math.isclose(one, other, rel_tol=FACTOR_TOLERANCE) for one, other in zip(factors, expected, strict=True)
    )
    if not same:
        raise header.refuse(f"{ROPE_FACTORS} holds factors that are not those of Llama 3.1 and later")
    return found


def _llama3_factors(parameters: dict[str, Any], theta: float, head_dim: int) -> Iterator[float]:
    """Yield what each frequency is divided by: 1 where waves are short, the factor where long, smooth between."""
    low, high = parameters["low_freq_factor"], parameters["high_freq_factor"]
    for index in range(0, head_dim, 2):
        waves = parameters["original_max_position_embeddings"] / (2 * math.pi * theta ** (index / head_dim))
        smooth = min(1.0, max(0.0, (waves - low) / (high - low)))
        yield 1 / ((1 - smooth) / parameters["factor"] + smooth)


def name_weights(header: Header) -> dict[str, str]:
    """Name the weights as transformers does.

    Returns:
        The name of each tensor in the file -> that in the model's ``state_dict``.

    Raises:
        UserError: The file has a tensor that such a model has not.
    """
    names = {}
    for name in header.tensors:
        if name == ROPE_FACTORS:
            continue
        found = LAYER.fullmatch(name)
        if name in OUTSIDE:
            names[name] = OUTSIDE[name]
        elif found and found[2] in IN_LAYER:
            names[name] = f"model.layers.{found[1]}.{IN_LAYER[found[2]]}.{found[3]}"
        else:
            raise header.refuse(f"has weights {name:.60}, which no model of its architecture has here")
    return names


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
