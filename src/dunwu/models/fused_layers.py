"""The layers of the Llama family (Llama, Qwen2, Qwen3) with the kernels, forward and backward, over a prefix tree.

The model stays transformers' own: its parameters are read at every call, and gradients reach them by autograd. What is
kept between forward and backward is a layer's input, its projections and the attention's result; norms, rotations and
gates are computed again, which costs less than the memory.

N tokens, H hidden size, C columns of a projection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float32
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from dunwu.kernels import operations as kernels
from dunwu.kernels.library import load_kernels, vector_width

FAMILY = frozenset({"llama", "qwen2", "qwen3"})


def is_llama_like(model: Any) -> bool:
    """Whether the model's layers are those of the Llama family, every one of which attends to all that came before."""
    config = model.config
    rope = getattr(config, "rope_parameters", None) or {}
    return (
        config.model_type in FAMILY
        and config.hidden_act == "silu"
        and "sliding_attention" not in (getattr(config, "layer_types", None) or ())
        and rope.get("rope_type", "default") in ("default", "linear", "llama3", "yarn")
    )


def can_fuse(model: Any) -> bool:
    """Whether ``compute_states`` computes this model: the family, on a CPU with kernels, in single precision."""
    if load_kernels() is None or model.device.type != "cpu" or model.dtype != torch.float32 or not is_llama_like(model):
        return False
    config, half_head = model.config, model.model.layers[0].self_attn.head_dim // 2
    sizes = half_head, config.hidden_size, config.intermediate_size
    # A linear layer of another class, an adapter's for one, computes what its weight does not say.
    plain = all(type(linear) is torch.nn.Linear for layer in model.model.layers for linear in _list_linears(layer))
    return plain and all(size % vector_width() == 0 for size in sizes)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Context:
    """What all layers of a pass share."""

    tree: kernels.Tree
    positions: kernels.Positions
    heads: kernels.Heads


def compute_states(model: Any, tree: kernels.Tree, token_ids: Tensor) -> Float32[Tensor, "N H"]:
    """Compute the last hidden state of every token of a tree.

    Args:
        model: one that ``can_fuse`` accepts.
        tree: the tokens' places.
        token_ids: the tokens.
    """
    config, attention = model.config, model.model.layers[0].self_attn
    x_NH = model.model.embed_tokens(token_ids)
    with torch.no_grad():
        places = torch.arange(int(tree.positions.max()) + 1)[None]
        cosines, sines = model.model.rotary_emb(x_NH, places)
    context = _Context(
        tree=tree,
        positions=kernels.Positions(cosines=cosines[0], sines=sines[0], of_tokens=tree.positions),
        heads=kernels.Heads(
            queries=config.num_attention_heads,
            keys=config.num_key_value_heads,
            width=attention.head_dim,
            scale=attention.scaling,
            epsilon=config.rms_norm_eps,
        ),
    )
    for layer in model.model.layers:
        if layer.gradient_checkpointing and layer.training and torch.is_grad_enabled():
            x_NH = checkpoint(_run_layer, layer, x_NH, context, use_reentrant=False)
        else:
            x_NH = _run_layer(layer, x_NH, context)
    norm = model.model.norm
    states_NH: Tensor = _Norm.apply(x_NH, norm.weight, config.rms_norm_eps)  # type: ignore[no-untyped-call]
    return states_NH


def _list_linears(layer: Any) -> list[Any]:
    attention, network = layer.self_attn, layer.mlp
    projections = [attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj]
    return [*projections, network.gate_proj, network.up_proj, network.down_proj]


def _run_layer(layer: Any, x_NH: Tensor, context: _Context) -> Tensor:
    query, key, value, out, gate, up, down = _list_linears(layer)
    linears, attention = ([query, key, value], [out], [gate, up], [down]), layer.self_attn
    weights = [_join([linear.weight for linear in group]) for group in linears]
    biases = [_join([linear.bias for linear in group if linear.bias is not None]) for group in linears]
    head_norms = (attention.q_norm.weight, attention.k_norm.weight) if hasattr(attention, "q_norm") else (None, None)
    x_NH = _Attention.apply(  # type: ignore[no-untyped-call]
        x_NH, layer.input_layernorm.weight, weights[0], biases[0], *head_norms, weights[1], biases[1], context
    )
    norm_H, epsilon = layer.post_attention_layernorm.weight, context.heads.epsilon
    out_NH: Tensor = _Network.apply(x_NH, norm_H, weights[2], biases[2], weights[3], biases[3], epsilon)  # type: ignore[no-untyped-call]
    return out_NH


def _join(parts: list[Tensor]) -> Tensor | None:
    """Put matrices that share an input below each other: one product instead of several."""
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else torch.cat(parts)


class _Norm(torch.autograd.Function):
    """The norm behind the last layer."""

    @staticmethod
    def forward(ctx: Any, x_NH: Tensor, weight_H: Tensor, epsilon: float) -> Tensor:
        out_NH, rms_N = kernels.normalize(x_NH, weight_H, epsilon)
        ctx.save_for_backward(x_NH, weight_H, rms_N)
        return out_NH

    @staticmethod
    def backward(ctx: Any, grad_NH: Tensor) -> tuple[Tensor | None, ...]:
        x_NH, weight_H, rms_N = ctx.saved_tensors
        grad_x_NH, grad_weight_H = kernels.normalize_backward(
            grad_NH.contiguous(), x_NH, weight_H, rms_N, torch.zeros_like(x_NH)
        )
        return grad_x_NH, grad_weight_H, None


class _Attention(torch.autograd.Function):
    """x + out(attend(rotate(qkv(norm(x)))))."""

    @staticmethod
    def forward(
        ctx: Any,
        x_NH: Tensor,
        norm_H: Tensor,
        qkv_CH: Tensor,
        qkv_bias: Tensor | None,
        query_norm: Tensor | None,
        key_norm: Tensor | None,
        out_HC: Tensor,
        out_bias: Tensor | None,
        context: _Context,
    ) -> Tensor:
        norms = kernels.HeadNorms(query=query_norm, key=key_norm)
        normed_NH, _ = kernels.normalize(x_NH, norm_H, context.heads.epsilon)
        qkv_NC = functional.linear(normed_NH, qkv_CH, qkv_bias)
        heads_NC = kernels.rotate(qkv_NC, context.positions, context.heads, norms)
        mixed_NC, lse_NA = kernels.attend(heads_NC, qkv_NC, context.tree, context.heads)
        ctx.save_for_backward(x_NH, norm_H, qkv_CH, query_norm, key_norm, out_HC, qkv_NC, mixed_NC, lse_NA)
        ctx.context = context
        return add_linear(x_NH, mixed_NC, out_HC, out_bias)

    @staticmethod
    def backward(ctx: Any, grad_NH: Tensor) -> tuple[Tensor | None, ...]:
        x_NH, norm_H, qkv_CH, query_norm, key_norm, out_HC, qkv_NC, mixed_NC, lse_NA = ctx.saved_tensors
        context: _Context = ctx.context
        norms = kernels.HeadNorms(query=query_norm, key=key_norm)
        grad_NH = grad_NH.contiguous()
        heads_NC = kernels.rotate(qkv_NC, context.positions, context.heads, norms)
        grad_mixed_NC = grad_NH @ out_HC
        grad_qkv_NC = kernels.attend_backward(
            grad_mixed_NC, heads_NC, qkv_NC, context.tree, context.heads, mixed_NC, lse_NA
        )
        grad_norms = kernels.rotate_backward(grad_qkv_NC, qkv_NC, context.positions, context.heads, norms)
        normed_NH, rms_N = kernels.normalize(x_NH, norm_H, context.heads.epsilon)
        grad_x_NH, grad_norm_H = kernels.normalize_backward(grad_qkv_NC @ qkv_CH, x_NH, norm_H, rms_N, grad_NH)
        return (
            grad_x_NH,
            grad_norm_H,
            grad_qkv_NC.T @ normed_NH if ctx.needs_input_grad[2] else None,
            grad_qkv_NC.sum(0) if ctx.needs_input_grad[3] else None,
            grad_norms.query,
            grad_norms.key,
            grad_NH.T @ mixed_NC if ctx.needs_input_grad[6] else None,
            grad_NH.sum(0) if ctx.needs_input_grad[7] else None,
            None,
        )


class _Network(torch.autograd.Function):
    """x + down(silu(gate(norm(x))) x up(norm(x)))."""

    @staticmethod
    def forward(
        ctx: Any,
        x_NH: Tensor,
        norm_H: Tensor,
        gate_up_CH: Tensor,
        gate_up_bias: Tensor | None,
        down_HF: Tensor,
        down_bias: Tensor | None,
        epsilon: float,
    ) -> Tensor:
        normed_NH, _ = kernels.normalize(x_NH, norm_H, epsilon)
        gate_up_NC = functional.linear(normed_NH, gate_up_CH, gate_up_bias)
        ctx.save_for_backward(x_NH, norm_H, gate_up_CH, down_HF, gate_up_NC)
        ctx.epsilon = epsilon
        return add_linear(x_NH, kernels.gate(gate_up_NC), down_HF, down_bias)

    @staticmethod
    def backward(ctx: Any, grad_NH: Tensor) -> tuple[Tensor | None, ...]:
        x_NH, norm_H, gate_up_CH, down_HF, gate_up_NC = ctx.saved_tensors
        grad_NH = grad_NH.contiguous()
        grad_gate_up_NC, gated_NF = kernels.gate_backward(grad_NH @ down_HF, gate_up_NC)
        normed_NH, rms_N = kernels.normalize(x_NH, norm_H, ctx.epsilon)
        grad_x_NH, grad_norm_H = kernels.normalize_backward(grad_gate_up_NC @ gate_up_CH, x_NH, norm_H, rms_N, grad_NH)
        return (
            grad_x_NH,
            grad_norm_H,
            grad_gate_up_NC.T @ normed_NH if ctx.needs_input_grad[2] else None,
            grad_gate_up_NC.sum(0) if ctx.needs_input_grad[3] else None,
            grad_NH.T @ gated_NF if ctx.needs_input_grad[4] else None,
            grad_NH.sum(0) if ctx.needs_input_grad[5] else None,
            None,
        )


def add_linear(x_NH: Tensor, y_NC: Tensor, weight_HC: Tensor, bias_H: Tensor | None) -> Tensor:
    """Compute x + y weight^T + bias."""
    out_NH = torch.addmm(x_NH, y_NC, weight_HC.T)
    return out_NH if bias_H is None else out_NH.add_(bias_H)
