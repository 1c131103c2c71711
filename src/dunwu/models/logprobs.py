"""Token log-probabilities and entropies, a chunk of logits at a time: the B x T x V logits never exist.

On a CPU whole chunks of them are kept from forward to backward, up to ``KEPT_LOGITS_BYTES``: that saves one of the
head's four products.

B sequences of T tokens, padded on the right; H hidden size, V vocabulary; N scored slots, C of them in a chunk. Slot t
describes token t given the tokens before it, so it is read from the hidden state at t - 1: the shift is made here and
nowhere else. Padding needs no mask: attention is causal, so no real token sees what follows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor
from torch.nn.functional import embedding

from dunwu.kernels import operations as kernels
from dunwu.kernels.library import load_kernels
from dunwu.models import packing
from dunwu.models.flops import KEPT_LOGITS_BYTES
from dunwu.models.linear import TrainedLinear
from dunwu.models.module_calls import call_with_weights

PACKED_FROM = 1024
"""Slots from which on it pays to pack the head; in bfloat16 it always does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLogprobs:
    """Under softmax(logits / temperature), zero where nothing was scored. ``entropy`` (nats) carries no gradient."""

    values: Float32[Tensor, "B T"]
    entropy: Float32[Tensor, "B T"]


def compute_token_logprobs(
    model: Any,
    token_ids_BT: Int64[Tensor, "B T"],
    mask_BT: Bool[Tensor, "B T"],
    *,
    temperature: float = 1.0,
    chunk: int = 1024,
) -> TokenLogprobs:
    """Compute log-probability and entropy of the slots in ``mask_BT``, with gradients into all of the model's weights.

    Args:
        model: a causal language model of transformers.
        token_ids_BT: padded on the right with any token.
        mask_BT: the slots wanted. Slot 0 has no tokens before it and is 0 in any case.
        temperature: the sampler's.
        chunk: scored slots whose logits exist at once; the peak are two such blocks of chunk x V numbers, and
            ``KEPT_LOGITS_BYTES``, and the head's weight once more.
    """
    values_BT, entropy_BT = call_with_weights(model, _compute_logprobs, token_ids_BT, mask_BT, temperature, chunk)
    return TokenLogprobs(values=values_BT, entropy=entropy_BT)


def _compute_logprobs(
    model: Any, token_ids_BT: Int64[Tensor, "B T"], mask_BT: Bool[Tensor, "B T"], temperature: float, chunk: int
) -> tuple[Float32[Tensor, "B T"], Float32[Tensor, "B T"]]:
    batch, length = token_ids_BT.shape
    # Row and column of every wanted slot; what predicts it is the state one column to the left.
    rows_N, columns_N = mask_BT[:, 1:].nonzero(as_tuple=True)
    hidden_NH = compute_states_before(model, token_ids_BT, mask_BT, rows_N, columns_N)
    head, targets_N = Head.from_model(model), token_ids_BT[rows_N, columns_N + 1]
    if len(targets_N) >= PACKED_FROM or head.weight.dtype == torch.bfloat16:
        head = head.pack()
    values_N, entropy_N = _ChunkedLogprobs.apply(  # type: ignore[no-untyped-call]
        hidden_NH, head.weight, head.bias, targets_N, head, temperature, chunk, torch.is_grad_enabled()
    )
    zeros_BT, places = values_N.new_zeros(batch, length), (rows_N, columns_N + 1)
    return zeros_BT.index_put(places, values_N), zeros_BT.index_put(places, entropy_N)


def compute_states_before(
    model: Any,
    token_ids_BT: Int64[Tensor, "B T"],
    mask_BT: Bool[Tensor, "B T"],
    rows_N: Int64[Tensor, " N"],
    columns_N: Int64[Tensor, " N"],
) -> Float[Tensor, "N H"]:
    """Compute the last hidden states at some places, by the prefix tree where the model has our attention.

    Args:
        model: a model of transformers.
        token_ids_BT: padded on the right with any token.
        mask_BT: slots that are predicted; nothing behind a row's last one is read.
        rows_N: row of each state.
        columns_N: column of each state.
    """
    if model.config._attn_implementation != packing.ATTENTION or not len(rows_N):
        hidden_BTH: Tensor = model.base_model(input_ids=token_ids_BT, use_cache=False).last_hidden_state
        return embedding(rows_N * mask_BT.shape[1] + columns_N, hidden_BTH.flatten(0, 1))
    # The last wanted slot is a token that nothing is predicted from: the row ends before it.
    columns_T = torch.arange(mask_BT.shape[1], device=mask_BT.device)
    tree = packing.pack(token_ids_BT, (columns_T * mask_BT).amax(1))
    return embedding(tree.nodes[rows_N, columns_N], packing.compute_states(model, tree))


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """From hidden states to logits: softcap(scale x (hidden weight^T + bias))."""

    weight: Float[Tensor, "V H"]
    bias: Float[Tensor, " V"] | None
    scale: float
    softcap: float | None
    linear: TrainedLinear | None = None
    """Weight and bias once more, for the kernels' products."""

    @classmethod
    def from_model(cls, model: Any) -> Head:
        """Read the output embeddings, and the scale (Cohere, Granite) and softcap (Gemma) of the model's config."""
        config, linear = model.config, model.get_output_embeddings()
        scale = (getattr(config, "logit_scale", None) or 1.0) / (getattr(config, "logits_scaling", None) or 1.0)
        softcap = getattr(config, "final_logit_softcapping", None)
        return cls(weight=linear.weight, bias=getattr(linear, "bias", None), scale=scale, softcap=softcap)

    def pack(self) -> Head:
        """Return the head with its weight packed, where the kernels can multiply."""
        if self.weight.dtype not in (torch.float32, torch.bfloat16) or not _has_kernels(self.weight):
            return self
        bias_V = None if self.bias is None else self.bias.detach().float()
        return replace(self, linear=TrainedLinear(self.weight.detach(), bias_V, None, None))

    def logits(self, hidden_CH: Float[Tensor, "C H"]) -> Float32[Tensor, "C V"]:
        """Compute logits in single precision, before the temperature."""
        if self.linear is None:
            logits_CV = torch.nn.functional.linear(hidden_CH, self.weight, self.bias).float()
        else:
            logits_CV = self.linear.apply(hidden_CH.float())
        if self.scale != 1.0:
            logits_CV.mul_(self.scale)
        if self.softcap is not None:
            logits_CV.div_(self.softcap).tanh_().mul_(self.softcap)
        return logits_CV

    def slope(self, logits_CV: Float32[Tensor, "C V"]) -> Float32[Tensor, "C V"] | float:
        """Return the derivative of ``logits`` to what the weights give."""
        return self.scale if self.softcap is None else self.scale * (1.0 - (logits_CV / self.softcap).square())


class _ChunkedLogprobs(torch.autograd.Function):
    """(hidden, weight, bias) -> (log-probability, entropy) of the targets; the backward makes most logits again."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden_NH: Float[Tensor, "N H"],
        weight_VH: Float[Tensor, "V H"],
        bias_V: Float[Tensor, " V"] | None,
        targets_N: Int64[Tensor, " N"],
        head: Head,
        temperature: float,
        chunk: int,
        learns: bool,
    ) -> tuple[Float32[Tensor, " N"], Float32[Tensor, " N"]]:
        """Score the targets chunk by chunk; their normalizers are kept for the backward, and some logits."""
        values_N = hidden_NH.new_zeros(len(hidden_NH), dtype=torch.float32)
        entropy_N, normalizer_N = torch.zeros_like(values_N), torch.zeros_like(values_N)
        # The kernels leave logits as they are. Whether gradients are wanted is not known in here: ask outside.
        budget = KEPT_LOGITS_BYTES if learns and _has_kernels(hidden_NH) else 0
        ctx.kept = {}
        for part in _chunks(len(hidden_NH), chunk):
            logits_CV = head.logits(hidden_NH[part])
            values_N[part], entropy_N[part], normalizer_N[part] = _score(logits_CV, targets_N[part], temperature)
            if (budget := budget - logits_CV.nbytes) >= 0:
                ctx.kept[part.start] = logits_CV
        ctx.save_for_backward(hidden_NH, weight_VH, bias_V, targets_N, normalizer_N)
        ctx.head, ctx.temperature, ctx.chunk = head, temperature, chunk
        ctx.mark_non_differentiable(entropy_N)
        return values_N, entropy_N

    @staticmethod
    def backward(ctx: Any, grad_N: Float32[Tensor, " N"], _: Tensor) -> tuple[Tensor | None, ...]:
        """Use d log p(target) / d logits = onehot(target) - softmax(logits)."""
        hidden_NH, weight_VH, bias_V, targets_N, normalizer_N = ctx.saved_tensors
        grad_N = grad_N.contiguous()
        grad_hidden_NH = torch.empty_like(hidden_NH)
        # Torch's products of single precision are as fast, and need no packed copy; those of bfloat16 are slow.
        linear = ctx.head.linear if weight_VH.dtype == torch.bfloat16 else None
        precise = torch.float32 if linear else None
        grad_weight_VH = torch.zeros_like(weight_VH, dtype=precise) if ctx.needs_input_grad[1] else None
        grad_bias_V = torch.zeros_like(bias_V, dtype=precise) if bias_V is not None else None
        for part in _chunks(len(hidden_NH), ctx.chunk):
            # Taken out, because it is overwritten: a second backward makes it again.
            kept_CV = ctx.kept.pop(part.start, None)
            logits_CV = ctx.head.logits(hidden_NH[part]) if kept_CV is None else kept_CV
            slope = ctx.head.slope(logits_CV)
            grad_CV = _score_backward(logits_CV, targets_N[part], ctx.temperature, normalizer_N[part], grad_N[part])
            if not isinstance(slope, float) or slope != 1.0:
                grad_CV.mul_(slope)
            if linear is not None:
                grad_hidden_NH[part] = linear.differentiate_input(grad_CV)
                linear.add_gradients((grad_weight_VH, grad_bias_V, None, None), grad_CV, hidden_NH[part].float())
                continue
            grad_CV = grad_CV.to(weight_VH.dtype)
            torch.mm(grad_CV, weight_VH, out=grad_hidden_NH[part])
            if grad_weight_VH is not None:
                grad_weight_VH.addmm_(grad_CV.T, hidden_NH[part])
            if grad_bias_V is not None:
                grad_bias_V.add_(grad_CV.sum(0))
        return grad_hidden_NH, grad_weight_VH, grad_bias_V, None, None, None, None, None


def _score(
    logits_CV: Float32[Tensor, "C V"], targets_C: Int64[Tensor, " C"], temperature: float
) -> tuple[Float32[Tensor, " C"], Float32[Tensor, " C"], Float32[Tensor, " C"]]:
    """Return the targets' log-probabilities, entropies, and log of sum exp(logits). May overwrite ``logits_CV``."""
    if _has_kernels(logits_CV):
        return kernels.score(logits_CV, targets_C, temperature)
    logits_CV.div_(temperature)
    logprobs_CV = torch.log_softmax(logits_CV, dim=-1)
    targets_C1 = targets_C[:, None]
    values_C1 = logprobs_CV.gather(1, targets_C1)
    normalizer_C1 = logits_CV.gather(1, targets_C1) - values_C1
    torch.exp(logprobs_CV, out=logits_CV)  # into the same memory: no third block
    entropy_C = -torch.bmm(logits_CV[:, None], logprobs_CV[:, :, None]).flatten()
    return values_C1.squeeze(1), entropy_C, normalizer_C1.squeeze(1)


def _score_backward(
    logits_CV: Float32[Tensor, "C V"],
    targets_C: Int64[Tensor, " C"],
    temperature: float,
    normalizer_C: Float32[Tensor, " C"],
    grad_C: Float32[Tensor, " C"],
) -> Float32[Tensor, "C V"]:
    """Return the gradient of the targets' log-probabilities to the logits, which it overwrites."""
    if _has_kernels(logits_CV):
        kernels.score_backward(logits_CV, targets_C, temperature, normalizer_C, grad_C)
        return logits_CV
    scaled_C1 = grad_C[:, None] / temperature
    grad_CV = logits_CV.div_(temperature).sub_(normalizer_C[:, None]).exp_()
    return grad_CV.mul_(-scaled_C1).scatter_add_(1, targets_C[:, None], scaled_C1)


def _has_kernels(tensor: Tensor) -> bool:
    return tensor.device.type == "cpu" and load_kernels() is not None


def _chunks(total: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, total)) for start in range(0, total, size))
