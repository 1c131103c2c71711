"""A tiny random model of any causal type: its own config with every size made small."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import torch
from transformers import AutoConfig, AutoModelForCausalLM

WINDOW: Final = 24
POSITIONS: Final = 256
SIZES: Final = {
    r"hidden_size_per_layer_input|.*_rank|.*lowrank|time_step_rank|mamba_dt_rank": 8,
    r"(vocab_size|.*[^e]_vocab_size|vocab_size_per_layer_input|vocab_offset|unpadded_vocab_size)": 128,
    r"(hidden_size|d_model|n_embd|dim|dim_model_base|embedding_size|emb_dim|word_embed_proj_dim|.*[tde]_hidden_size"
    r"|lru_width|hidden_size_global|cross_hidden_size|attention_hidden_size|out_hidden_size|embedding_dim)": 32,
    r"(.*intermediate_size|.*ffn_dim|d_ff|dim_ff|dff|n_inner|.*ffn_hidden_size|d_inner|intermediate_size_mlp|mlp_dim"
    r"|feed_forward_size|multiple_of)": 64,
    r"(num_hidden_layers|n_layers?|num_layers|decoder_layers|encoder_layers|num_decoder_layers|num_encoder_layers"
    r"|depth|num_blocks)": 2,
    r"(num_attention_heads|n_heads?|num_heads|.*_attention_heads|attention_heads)": 4,
    r"(num_key_value_heads|num_kv_heads|kv_n_heads|.*_num_key_value_heads|num_query_groups)": 2,
    r"(head_dim|.*_head_dim|dim_head|kv_channels|d_kv|d_head|attention_head_size|d_rel|rotary_dim)": 8,
    r"qk_head_dim": 16,
    r"(max_position_embeddings|n_positions|n_ctx|max_target_positions|max_seq_len|context_length|model_max_length"
    r"|max_source_positions)": POSITIONS,
    r"(num_experts|n_routed_experts|num_local_experts|moe_num_experts|zero_expert_num)": 4,
    r"(num_experts_per_to.*|moe_top_?k|moe_k|n_group|topk_group|num_expert_group)": 2,
    r"(n_shared_experts|num_shared_experts|moe_num_shared_experts|first_k_dense_replace|num_dense_layers)": 1,
    r"(sliding_window|sliding_window_size|.*window_size|local_attention|attention_chunk_size)": WINDOW,
    r"(chunk_size|mamba_chunk_size|.*_chunk_length|block_size)": 8,
    r"(mamba_d_state|state_size|ssm_state_size|mamba_d_head|mamba_head_dim|mamba_headdim)": 8,
    r"(mamba_n_heads|n_mamba_heads|mamba_num_heads|linear_num_.*_heads|linear_num_heads|index_n_heads)": 4,
    r"(n_groups|mamba_n_groups|mamba_ngroups)": 1,
    r"(index_topk|rel_extent|original_max_position_embeddings|max_inference_chunksize)": 64,
    r".*_token_(id|index)": 3,
}
"""Patterns of a config's names, the first that fits counts, and their sizes."""
SPECIAL: Final = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2}
LONGROPE: Final = {"rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.0] * 4, "long_factor": [4.0] * 4}
MAMBA: Final = {"mamba_n_heads": 8, "mamba_d_head": 8}
LATENT: Final = {"num_key_value_heads": 4}
HEADS: Final = {"head_dim": 8}
YARN: Final = {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 64}
MORE: Final[Mapping[str, Mapping[str, Any]]] = {
    **dict.fromkeys(("axk1", "axk2", "deepseek_v3", "deepseek_v32", "dots3_note", "dots3_note_text"), LATENT),
    **dict.fromkeys(("glm4_moe_lite", "glm_moe_dsa", "minicpm3", "sarvam_mla", "youtu"), LATENT),
    **dict.fromkeys(("hunyuan_v1_dense", "hunyuan_v1_moe", "ministral"), HEADS),
    **dict.fromkeys(("bamba", "granitemoehybrid"), MAMBA),
    "deepseek_v2": {**LATENT, "num_experts_per_tok": 2},
    "falcon_h1": {**MAMBA, "mamba_d_ssm": 64},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "lfm2_moe": {"layer_types": ["full_attention", "full_attention"]},
    "llama (yarn)": {"rope_parameters": YARN},
    "longcat_flash": {**LATENT, "qk_head_dim": 16},
    "mamba2": {"num_heads": 8, "head_dim": 8},
    "nemotron": {"num_key_value_heads": 2},
    "phi3 (longrope)": {"rope_parameters": LONGROPE, "original_max_position_embeddings": 64},
}
"""What single types need beside, and variants of types: the name up to the blank is the type's."""


def tiny_model(kind: str) -> Any:
    """Make a random causal model of a type, the same every time, in eval mode.

    Raises:
        Exception: the type's config or model does not allow these sizes.
    """
    torch.manual_seed(0)
    model_type = kind.partition(" ")[0]
    sizes = {**small(AutoConfig.for_model(model_type).to_dict()), **MORE.get(kind, {})}
    config = AutoConfig.for_model(model_type, **sizes)
    model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    with torch.no_grad():
        for parameter in model.parameters():  # far from uniform: what differs must show
            if parameter.dim() == 2:
                parameter.mul_(6.0)
            else:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.float().eval()


def small(config: Mapping[str, Any]) -> dict[str, Any]:
    """The sizes to give to a config, and to those inside it."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping) and "model_type" in value:
            found[name] = small(value)
        elif name in SPECIAL:
            found[name] = SPECIAL[name]
        elif isinstance(value, int) and not isinstance(value, bool):
            size = next((size for pattern, size in SIZES.items() if re.fullmatch(pattern, name)), None)
            if size is not None and (value > 0 or name in ("sliding_window",)):
                found[name] = min(size, value) if value > 0 else size
    return found
