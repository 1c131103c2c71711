"""The layers of the Llama family (Llama, Qwen2, Qwen3) with the kernels, forward and backward, over a prefix tree.

The model stays transformers' own: its parameters are read at every call, and gradients reach them by autograd. What is
kept between forward and backward is a layer's input, its projections and the attention's result; norms, rotations and
gates are computed again, which costs less than the memory. Beside a linear layer there may be an adapter, W + B A; then
W is frozen, and its gradient, a third of a step's arithmetic, is not computed.

Of a model in bfloat16 the products with its matrices take factors of 16 bits. All else is in single precision: their
sums, what stands between layers, adapters and gradients.

N tokens, H hidden size, C columns of a projection, R ranks of all adapters at one input.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float32
from torch import Tensor
from torch.nn.functional import embedding
from torch.utils.checkpoint import checkpoint

from dunwu.kernels import operations as kernels
from dunwu.kernels.library import load_kernels, vector_width
from dunwu.models.linear import TrainedLinear, find_scaling, is_adapted, list_parts, split_gradients
from dunwu.models.module_calls import call_with_weights

FAMILY = frozenset({"llama", "qwen2", "qwen3"})
ROWS = 1024
"""Tokens that go through a network at once."""


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
    """Whether ``compute_states`` computes this model: the family, on a CPU with kernels, in float32 or bfloat16."""
    if load_kernels() is None or model.device.type != "cpu" or not is_llama_like(model):
        return False
    if model.dtype not in (torch.float32, torch.bfloat16):
        return False
    config, half_head = model.config, model.model.layers[0].self_attn.head_dim // 2
    sizes = half_head, config.hidden_size, config.intermediate_size
    # A linear layer of another class computes what its weight does not say.
    known = all(_is_known(linear) for layer in model.model.layers for linear in _list_linears(layer))
    return known and all(size % vector_width() == 0 for size in sizes)


def make_reference(model: Any) -> Any:
    """Return what the fused layers are compared with: the model, or a copy of it in single precision.

    With all states in bfloat16, as transformers has them on a CPU, SmolLM2's last ones are off by 11 % of the largest;
    with only the products' factors rounded, by 4 %. The copy goes through them many times faster, too.
    """
    return copy.deepcopy(model).float() if model.dtype == torch.bfloat16 and can_fuse(model) else model


def _is_known(linear: Any) -> bool:
    return type(linear.base_layer if is_adapted(linear) else linear) is torch.nn.Linear


@dataclass(frozen=True, slots=True, kw_only=True)
class _Context:
    """What all layers of a pass share."""

    tree: kernels.Tree
    positions: kernels.Positions
    heads: kernels.Heads
    scaling: float
    """Of the adapters beside the linear layers."""
    learns: bool
    """Whether gradients are wanted, which a function of autograd cannot know."""


def compute_states(model: Any, tree: kernels.Tree, token_ids: Tensor) -> Float32[Tensor, "N H"]:
    """Compute the last hidden state of every token of a tree.

    Args:
        model: one that ``can_fuse`` accepts.
        tree: the tokens' places.
        token_ids: the tokens.
    """
    config, attention = model.config, model.model.layers[0].self_attn
    table = model.model.embed_tokens
    x_NH = _Embedding.apply(token_ids, table.weight, table.padding_idx)  # type: ignore[no-untyped-call]
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
        scaling=find_scaling(attention.q_proj),
        learns=torch.is_grad_enabled(),
    )
    for layer in model.model.layers:
        if layer.gradient_checkpointing and layer.training and torch.is_grad_enabled():
            x_NH = checkpoint(call_with_weights, layer, _run_layer, x_NH, context, use_reentrant=False)
        else:
            x_NH = call_with_weights(layer, _run_layer, x_NH, context)
    norm = model.model.norm
    states_NH: Tensor = _Norm.apply(x_NH, norm.weight, config.rms_norm_eps)  # type: ignore[no-untyped-call]
    return states_NH


def _list_linears(layer: Any) -> list[Any]:
    attention, network = layer.self_attn, layer.mlp
    projections = [attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj]
    return [*projections, network.gate_proj, network.up_proj, network.down_proj]


def _run_layer(layer: Any, x_NH: Tensor, context: _Context) -> Tensor:
    query, key, value, out, gate, up, down = _list_linears(layer)
    attention = layer.self_attn
    norms = (attention.q_norm, attention.k_norm) if hasattr(attention, "q_norm") else ()
    head_norms = [norm.weight for norm in norms] or [None, None]
    qkv, gate_up = list_parts(query, key, value), list_parts(gate, up)
    x_NH = _Attention.apply(  # type: ignore[no-untyped-call]
        x_NH, layer.input_layernorm.weight, *head_norms, context, len(qkv), *qkv, *list_parts(out)
    )
    norm_H = layer.post_attention_layernorm.weight
    out_NH: Tensor = _Network.apply(  # type: ignore[no-untyped-call]
        x_NH, norm_H, context, len(gate_up), *gate_up, *list_parts(down)
    )
    return out_NH


class _Embedding(torch.autograd.Function):
    """Rows of a table; a token's gradients are summed in single precision whatever the table's type is."""

    @staticmethod
    def forward(ctx: Any, token_ids: Tensor, table_VH: Tensor, padding: int | None) -> Tensor:
        ctx.save_for_backward(token_ids)
        ctx.rows, ctx.padding = len(table_VH), -1 if padding is None else padding
        return embedding(token_ids, table_VH).float()

    @staticmethod
    def backward(ctx: Any, grad_NH: Tensor) -> tuple[Tensor | None, ...]:
        (token_ids,) = ctx.saved_tensors
        grad_VH = torch.ops.aten.embedding_dense_backward(grad_NH, token_ids, ctx.rows, ctx.padding, False)
        return None, grad_VH, None


class _Norm(torch.autograd.Function):
    """The norm behind the last layer."""

    @staticmethod
    def forward(ctx: Any, x_NH: Tensor, weight_H: Tensor, epsilon: float) -> Tensor:
        out_NH, rms_N = kernels.normalize(x_NH, weight_H.float(), epsilon)
        ctx.save_for_backward(x_NH, weight_H, rms_N)
        return out_NH

    @staticmethod
    def backward(ctx: Any, grad_NH: Tensor) -> tuple[Tensor | None, ...]:
        x_NH, weight_H, rms_N = ctx.saved_tensors
        weight_H = weight_H.float()
        grad_x_NH, grad_weight_H = torch.zeros_like(x_NH), torch.zeros_like(weight_H)
        kernels.normalize_backward(grad_NH.contiguous(), x_NH, weight_H, rms_N, grad_x_NH, grad_weight_H)
        return grad_x_NH, grad_weight_H, None


class _Attention(torch.autograd.Function):
    """x + out(attend(rotate(qkv(norm(x)))))."""

    @staticmethod
    def forward(
        ctx: Any,
        x_NH: Tensor,
        norm_H: Tensor,
        query_norm: Tensor | None,
        key_norm: Tensor | None,
        context: _Context,
        first: int,
        *parts: Tensor | None,
    ) -> Tensor:
        qkv, out = _join(parts, first, context)
        norms = _widen(query_norm, key_norm)
        normed_NH, _ = kernels.normalize(x_NH, norm_H.float(), context.heads.epsilon)
        qkv_NC = qkv.apply(normed_NH)
        heads_NC = kernels.rotate(qkv_NC, context.positions, context.heads, norms)
        mixed_NC, lse_NA = kernels.attend(heads_NC, qkv_NC, context.tree, context.heads)
        ctx.save_for_backward(x_NH, norm_H, query_norm, key_norm, qkv_NC, mixed_NC, lse_NA, *parts)
        ctx.context, ctx.first = context, first
        out_NH = x_NH.clone()
        out.add_to(out_NH, mixed_NC)
        return out_NH

    @staticmethod
    def backward(ctx: Any, grad_NH: Tensor) -> tuple[Tensor | None, ...]:
        x_NH, norm_H, query_norm, key_norm, qkv_NC, mixed_NC, lse_NA, *parts = ctx.saved_tensors
        context: _Context = ctx.context
        qkv, out = _join(parts, ctx.first, context)
        norms, norm_H = _widen(query_norm, key_norm), norm_H.float()
        grad_NH = grad_NH.contiguous()
        heads_NC = kernels.rotate(qkv_NC, context.positions, context.heads, norms)
        grad_mixed_NC = out.differentiate_input(grad_NH)
        grad_qkv_NC = kernels.attend_backward(
            grad_mixed_NC, heads_NC, qkv_NC, context.tree, context.heads, mixed_NC, lse_NA
        )
        grad_norms = kernels.rotate_backward(grad_qkv_NC, qkv_NC, context.positions, context.heads, norms)
        normed_NH, rms_N = kernels.normalize(x_NH, norm_H, context.heads.epsilon)
        grad_normed_NH = qkv.differentiate_input(grad_qkv_NC)
        grad_x_NH, grad_norm_H = grad_NH.clone(), torch.zeros_like(norm_H)
        kernels.normalize_backward(grad_normed_NH, x_NH, norm_H, rms_N, grad_x_NH, grad_norm_H)
        grad_qkv, grad_out = _begin_gradients(qkv, out, ctx.needs_input_grad[6:], ctx.first)
        qkv.add_gradients(grad_qkv, grad_qkv_NC, normed_NH)
        out.add_gradients(grad_out, grad_NH, mixed_NC)
        grads = _split(grad_qkv, grad_out, parts, ctx.first, context)
        return grad_x_NH, grad_norm_H, grad_norms.query, grad_norms.key, None, None, *grads


class _Network(torch.autograd.Function):
    """x + down(silu(gate(norm(x))) x up(norm(x))), some rows at a time: what lies between stays in the caches."""

    @staticmethod
    def forward(ctx: Any, x_NH: Tensor, norm_H: Tensor, context: _Context, first: int, *parts: Tensor | None) -> Tensor:
        gate_up, down = _join(parts, first, context)
        out_NH, scale_H = x_NH.clone(), norm_H.float()
        kept_NC = x_NH.new_empty(len(x_NH), len(gate_up.weight)) if context.learns else None
        for part in _cut(len(x_NH)):
            normed_NH, _ = kernels.normalize(x_NH[part], scale_H, context.heads.epsilon)
            gate_up_NC = gate_up.apply(normed_NH, None if kept_NC is None else kept_NC[part])
            down.add_to(out_NH[part], kernels.gate(gate_up_NC))
        ctx.save_for_backward(x_NH, norm_H, kept_NC, *parts)
        ctx.context, ctx.first = context, first
        return out_NH

    @staticmethod
    def backward(ctx: Any, grad_NH: Tensor) -> tuple[Tensor | None, ...]:
        x_NH, norm_H, gate_up_NC, *parts = ctx.saved_tensors
        context: _Context = ctx.context
        gate_up, down = _join(parts, ctx.first, context)
        grad_NH, norm_H = grad_NH.contiguous(), norm_H.float()
        grad_x_NH, grad_norm_H = grad_NH.clone(), torch.zeros_like(norm_H)
        grad_gate_up, grad_down = _begin_gradients(gate_up, down, ctx.needs_input_grad[4:], ctx.first)
        for part in _cut(len(x_NH)):
            grad_gated_NF = down.differentiate_input(grad_NH[part])
            grad_gate_up_NC, gated_NF = kernels.gate_backward(grad_gated_NF, gate_up_NC[part])
            normed_NH, rms_N = kernels.normalize(x_NH[part], norm_H, context.heads.epsilon)
            grad_normed_NH = gate_up.differentiate_input(grad_gate_up_NC)
            kernels.normalize_backward(grad_normed_NH, x_NH[part], norm_H, rms_N, grad_x_NH[part], grad_norm_H)
            gate_up.add_gradients(grad_gate_up, grad_gate_up_NC, normed_NH)
            down.add_gradients(grad_down, grad_NH[part], gated_NF)
        return grad_x_NH, grad_norm_H, None, None, *_split(grad_gate_up, grad_down, parts, ctx.first, context)


def _join(parts: Sequence[Any], first: int, context: _Context) -> tuple[TrainedLinear, TrainedLinear]:
    """Join the first parts, and the others."""
    one, other = tuple(parts[:first]), tuple(parts[first:])
    return TrainedLinear.join(one, context.scaling), TrainedLinear.join(other, context.scaling)


def _begin_gradients(
    one: TrainedLinear, other: TrainedLinear, needed: Sequence[bool], first: int
) -> tuple[list[Any], list[Any]]:
    return one.begin_gradients(needed[:first]), other.begin_gradients(needed[first:])


def _split(
    one: Sequence[Any], other: Sequence[Any], parts: Sequence[Any], first: int, context: _Context
) -> list[Tensor | None]:
    """Return the gradients of all parts."""
    found = split_gradients(one, tuple(parts[:first]), context.scaling)
    return found + split_gradients(other, tuple(parts[first:]), context.scaling)


def _widen(query: Tensor | None, key: Tensor | None) -> kernels.HeadNorms:
    if query is None or key is None:
        return kernels.HeadNorms()
    return kernels.HeadNorms(query=query.float(), key=key.float())


def _cut(total: int) -> Iterator[slice]:
    return (slice(start, start + ROWS) for start in range(0, total, ROWS))
