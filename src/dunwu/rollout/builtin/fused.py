"""The Llama family (Llama, Qwen2, Qwen3), layer by layer on the engine's own copy of the weights.

H hidden size, A query heads, K key-value heads, D head dimension, F intermediate size.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from dunwu.models.attention import attend, find_visible, make_bias
from dunwu.models.llama_parts import LlamaParts
from dunwu.models.weights import Place
from dunwu.rollout.builtin.cache import KeysValues, KVCache

Linear = TypeVar("Linear")
"""How a linear layer lies in the engine's copy of the weights."""


@dataclass(frozen=True, slots=True)
class TorchLinear:
    """A linear layer that torch computes."""

    weight: Tensor
    bias: Tensor | None

    def apply(self, x: Float[Tensor, "M H"]) -> Float[Tensor, "M C"]:
        """Compute x weight^T + bias."""
        return functional.linear(x, self.weight, self.bias)

    def add(self, residual: Float[Tensor, "M C"], x: Float[Tensor, "M H"]) -> Float[Tensor, "M C"]:
        """Compute residual + x weight^T + bias."""
        out = torch.addmm(residual, x, self.weight.T)
        return out if self.bias is None else out.add_(self.bias)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer(Generic[Linear]):
    """One layer's weights."""

    norm1: Tensor
    qkv: Linear
    head_norm: Tensor | None
    """One row for each query head and each key head; None where the model has none."""
    out: Linear
    norm2: Tensor
    gate_up: Linear
    down: Linear


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights(Generic[Linear]):
    """The engine's copy of a model, and where each of the model's parameters lies in it."""

    embedding: Tensor
    layers: list[Layer[Linear]]
    norm: Tensor
    head: Linear
    parameters: Mapping[str, Place]


class FusedDecoder:
    """See ``decoder.Decoder``."""

    def __init__(self, parts: LlamaParts) -> None:
        self._heads, self._kv_heads = parts.heads, parts.kv_heads
        self._width, self._scale, self._eps = parts.width, parts.scale, parts.epsilon
        self._compute_rotation = replace(parts, weights={}).compute_rotation
        self._table: tuple[Tensor, Tensor] | None = None
        weights = TorchFusion(parts).fuse(parts.layers)
        self._embedding, self._layers = weights.embedding, weights.layers
        self._norm, self._head = weights.norm, weights.head
        self.parameters = weights.parameters

    def prefill(
        self, tokens_NP: Int64[Tensor, "N P"], last_N: Int64[Tensor, " N"]
    ) -> tuple[Float[Tensor, "N V"], list[KeysValues]]:
        """See ``Decoder``."""
        prompts, length = tokens_NP.shape
        cos, sin = (table[:length, None] for table in self._rope(length))
        x = self._embed(tokens_NP).flatten(0, 1)
        kept: list[KeysValues] = []
        for layer in self._layers:
            q, k, v = self._project(layer, x, cos.repeat(prompts, 1, 1), sin.repeat(prompts, 1, 1))
            q, k, v = (part.reshape(prompts, length, -1, self._width).transpose(1, 2) for part in (q, k, v))
            mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=self._scale, enable_gqa=True)
            x = self._finish(layer, x, mixed.transpose(1, 2).reshape(prompts * length, -1))
            kept.append((k, v))
        rows = torch.arange(prompts, device=last_N.device) * length + last_N
        return self._logits(x[rows]), kept

    def decode(
        self, tokens_B: Int64[Tensor, " B"], positions_B: Int64[Tensor, " B"], cache: KVCache, span: int, ragged: bool
    ) -> Float[Tensor, "B V"]:
        """See ``Decoder``."""
        cos, sin = (table[positions_B, None] for table in self._rope(cache.length))
        bias_BT = make_bias(find_visible(positions_B, span), self._embedding.dtype) if ragged else None
        places = cache.places(positions_B)
        x = self._embed(tokens_B)
        for index, layer in enumerate(self._layers):
            q, k, v = self._project(layer, x, cos, sin)
            cache.extend(index, k, v, places)
            keys, values = cache.read(index, len(x), span)
            x = self._finish(layer, x, attend(q, keys, values, bias_BT, self._scale))
        return self._logits(x)

    def _embed(self, tokens: Int64[Tensor, "*M"]) -> Float[Tensor, "*M H"]:
        return functional.embedding(tokens, self._embedding)

    def _project(
        self,
        layer: Layer[TorchLinear],
        x: Float[Tensor, "M H"],
        cos: Float[Tensor, "M 1 D"],
        sin: Float[Tensor, "M 1 D"],
    ) -> tuple[Float[Tensor, "M A D"], Float[Tensor, "M K D"], Float[Tensor, "M K D"]]:
        """Compute queries, keys and values of M tokens; the first two rotated."""
        qkv = layer.qkv.apply(self._normalize(x, layer.norm1)).view(len(x), -1, self._width)
        qk, v = qkv[:, : -self._kv_heads], qkv[:, -self._kv_heads :]
        if layer.head_norm is not None:
            qk = functional.rms_norm(qk, qk.shape[-1:], None, self._eps).mul_(layer.head_norm)
        rotated = torch.addcmul(qk * cos, qk.roll(self._width // 2, dims=-1), sin)
        return rotated[:, : self._heads], rotated[:, self._heads :], v

    def _finish(
        self, layer: Layer[TorchLinear], x: Float[Tensor, "M H"], mixed: Float[Tensor, "M AD"]
    ) -> Float[Tensor, "M H"]:
        """Apply output projection and gated network, each added to the residual stream."""
        x = layer.out.add(x, mixed)
        gate_up = layer.gate_up.apply(self._normalize(x, layer.norm2))
        gate, up = gate_up.chunk(2, dim=-1)
        return layer.down.add(x, functional.silu(gate).mul_(up))

    def _normalize(self, x: Float[Tensor, "M H"], weight: Float[Tensor, " H"]) -> Float[Tensor, "M H"]:
        return functional.rms_norm(x, x.shape[-1:], weight, self._eps)

    def _logits(self, x: Float[Tensor, "M H"]) -> Float[Tensor, "M V"]:
        return self._head.apply(self._normalize(x, self._norm))

    def _rope(self, length: int) -> tuple[Float[Tensor, "T D"], Float[Tensor, "T D"]]:
        """Compute cosines and sines of positions; the sine's first half negated, as rotating by a roll needs."""
        if self._table is None or len(self._table[0]) < length:
            cos, sin = (table.to(self._norm.dtype) for table in self._compute_rotation(length))
            sign = torch.ones_like(sin[0])
            sign[: self._width // 2] = -1.0
            self._table = (cos, sin * sign)
        return self._table


class Fusion(ABC, Generic[Linear]):
    """Builds the fused matrices, and remembers for every parameter of the model its own part of them."""

    def __init__(self, parts: LlamaParts) -> None:
        self._source = parts.weights
        self._places: dict[str, Place] = {}
        self._made: dict[int, Tensor] = {}
        self._heads = [parts.heads, parts.kv_heads]

    def join(self, *names: str) -> Tensor:
        """Put the named matrices (or biases) one below the other, in storage of their own; tied ones are made once."""
        first = self._source[names[0]].data_ptr()
        if first in self._made:
            self._places[names[0]] = self._made[first]
            return self._made[first]
        whole = self._made[first] = torch.cat([self._read(name) for name in names])
        parts = torch.split(whole, [len(self._source[name]) for name in names])
        self._places.update(zip(names, parts, strict=True))
        return whole

    def _read(self, name: str) -> Tensor:
        return self._source[name]

    def optional(self, *names: str) -> Tensor | None:
        """Join as ``join`` does, or return None where the model has none of them."""
        return self.join(*names) if names[0] in self._source else None

    def head_norm(self, prefix: str) -> Tensor | None:
        """Put the query heads' norm, once for each, above that of the key heads; new weights spread by themselves."""
        names = f"{prefix}q_norm.weight", f"{prefix}k_norm.weight"
        if names[0] not in self._source:
            return None
        rows = [self._read(name).expand(count, -1) for name, count in zip(names, self._heads, strict=True)]
        whole = torch.cat(rows)
        self._places.update(zip(names, torch.split(whole, self._heads), strict=True))
        return whole

    @abstractmethod
    def linear(self, *prefixes: str) -> Linear:
        """Join the linear layers with these names."""

    def fuse(self, layers: int) -> Weights[Linear]:
        """Build all of a model of so many layers; a parameter without a place would be left out of the computation."""
        weights = Weights(
            embedding=self.join("model.embed_tokens.weight"),
            layers=[self.layer(f"model.layers.{number}.") for number in range(layers)],
            norm=self.join("model.norm.weight"),
            head=self.linear("lm_head."),
            parameters=self._places,
        )
        assert self._places.keys() == self._source.keys(), self._places.keys() ^ self._source.keys()
        return weights

    def layer(self, prefix: str) -> Layer[Linear]:
        """Build all of one layer."""
        return Layer(
            norm1=self.join(f"{prefix}input_layernorm.weight"),
            qkv=self.linear(*(f"{prefix}self_attn.{part}_proj." for part in "qkv")),
            head_norm=self.head_norm(f"{prefix}self_attn."),
            out=self.linear(f"{prefix}self_attn.o_proj."),
            norm2=self.join(f"{prefix}post_attention_layernorm.weight"),
            gate_up=self.linear(*(f"{prefix}mlp.{part}_proj." for part in ("gate", "up"))),
            down=self.linear(f"{prefix}mlp.down_proj."),
        )


class TorchFusion(Fusion[TorchLinear]):
    """The same with linear layers as torch takes them."""

    def linear(self, *prefixes: str) -> TorchLinear:
        """See ``Fusion``."""
        weight = self.join(*(f"{prefix}weight" for prefix in prefixes))
        return TorchLinear(weight, self.optional(*(f"{prefix}bias" for prefix in prefixes)))
