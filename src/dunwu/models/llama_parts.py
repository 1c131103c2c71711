"""What a decoder needs of a model of the Llama family, whoever read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Float32
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaParts:
    """Sizes, rotary frequencies and weights.

    Attributes:
        layers: how many.
        heads: query heads.
        kv_heads: key-value heads.
        width: of a head.
        scale: of the scores.
        epsilon: of the norms.
        frequencies: of the rotation, one for each pair of a head's numbers.
        amplitude: by which cosines and sines are multiplied (YaRN).
        weights: under transformers' names. Names of one tensor are tied.
    """

    layers: int
    heads: int
    kv_heads: int
    width: int
    scale: float
    epsilon: float
    frequencies: Float[Tensor, " D/2"]
    amplitude: float
    weights: Mapping[str, Tensor]

    @classmethod
    def of_model(cls, model: Any) -> LlamaParts:
        """Read a model of transformers that ``fused_layers.is_llama_like`` accepts; weights are not copied."""
        config, attention, rotary = model.config, model.model.layers[0].self_attn, model.model.rotary_emb
        return cls(
            layers=config.num_hidden_layers,
            heads=config.num_attention_heads,
            kv_heads=config.num_key_value_heads,
            width=attention.head_dim,
            scale=attention.scaling,
            epsilon=config.rms_norm_eps,
            frequencies=rotary.inv_freq,
            amplitude=rotary.attention_scaling,
            weights={name: p.detach() for name, p in model.named_parameters(remove_duplicate=False)},
        )

    def compute_rotation(self, length: int) -> tuple[Float32[Tensor, "T D"], Float32[Tensor, "T D"]]:
        """Compute cosines and sines of the first positions, each half of a head alike."""
        positions = torch.arange(length, device=self.frequencies.device, dtype=torch.float32)
        angles = torch.outer(positions, self.frequencies.float()).repeat(1, 2)
        return angles.cos() * self.amplitude, angles.sin() * self.amplitude


@dataclass(frozen=True, slots=True, kw_only=True)
class LightConfig:
    """What is asked of a model's config."""

    max_position_embeddings: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LightModel:
    """What an engine takes in the place of a model of transformers."""

    parts: LlamaParts
    config: LightConfig
    dtype: torch.dtype
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def parameters(self) -> Iterator[Tensor]:
        """Yield the weights, tied ones once."""
        yield from {tensor.data_ptr(): tensor for tensor in self.parts.weights.values()}.values()
