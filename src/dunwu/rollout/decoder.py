"""Running a transformers model one token at a time over the slot cache.

Two ways to the same numbers. ``ModuleDecoder`` calls the model's own forward with our cache: any causal language model.
``FusedDecoder`` runs the layers of the Llama family itself on its own copy of the weights, with the projections that
share an input fused into one matrix: faster where a model is small and the modules' Python is much of the time.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Protocol

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer

from dunwu.errors import UserError
from dunwu.models.attention import additive, visible
from dunwu.rollout.cache import KeysValues, SlotCache


class Decoder(Protocol):
    """Prefills prompts and decodes rows.

    ``parameters``: every name in transformers -> the tensor that new weights go to; tied ones share theirs.
    """

    parameters: Mapping[str, Tensor]

    def prefill(
        self, tokens_NP: Int64[Tensor, "N P"], last_N: Int64[Tensor, " N"]
    ) -> tuple[Float[Tensor, "N V"], list[KeysValues]]:
        """Prompts padded on the right: logits after token ``last_N`` of each, and every layer's keys and values."""

    def decode(
        self, tokens_B: Int64[Tensor, " B"], positions_B: Int64[Tensor, " B"], cache: SlotCache, span: int, ragged: bool
    ) -> Float[Tensor, "B V"]:
        """Logits after one more token of rows 0..B-1.

        ``span`` is above every position; where rows are not ``ragged``, every position is span - 1.
        """


class ModuleDecoder:
    """The model's own forward. Raises UserError for models whose state is more than keys and values."""

    def __init__(self, model: Any) -> None:
        config = model.config
        if getattr(config, "is_encoder_decoder", False) or getattr(model, "_is_stateful", False):
            raise UserError(f"the engine needs a model whose state is keys and values; {config.model_type} keeps more")
        self._model = copy.deepcopy(model).eval().requires_grad_(False)
        self._layer_types = set(getattr(config, "layer_types", None) or ())
        self._window = getattr(config, "sliding_window", None)
        self.parameters: Mapping[str, Tensor] = dict(self._model.named_parameters(remove_duplicate=False))

    def prefill(
        self, tokens_NP: Int64[Tensor, "N P"], last_N: Int64[Tensor, " N"]
    ) -> tuple[Float[Tensor, "N V"], list[KeysValues]]:
        cache = DynamicCache()
        hidden = self._model(input_ids=tokens_NP, past_key_values=cache, use_cache=True)
        logits_NV = hidden.logits[torch.arange(len(last_N), device=last_N.device), last_N]
        return logits_NV, [(layer.keys, layer.values) for layer in cache.layers]

    def decode(
        self, tokens_B: Int64[Tensor, " B"], positions_B: Int64[Tensor, " B"], cache: SlotCache, span: int, ragged: bool
    ) -> Float[Tensor, "B V"]:
        full = additive(visible(positions_B, span), self._model.dtype)[:, None, None]
        mask: Tensor | dict[str, Tensor] = full
        if "sliding_attention" in self._layer_types:
            sliding = additive(visible(positions_B, span, self._window), self._model.dtype)[:, None, None]
            mask = {"full_attention": full, "sliding_attention": sliding}
        output = self._model(
            input_ids=tokens_B[:, None],
            position_ids=positions_B[:, None],
            attention_mask=mask,
            past_key_values=_SlotView(cache, positions_B, span),
            use_cache=True,
        )
        logits_BV: Tensor = output.logits[:, -1]
        return logits_BV


class _SlotView(Cache):  # type: ignore[misc]  # transformers is untyped here
    """The slot cache as transformers' modules see it during one step."""

    def __init__(self, cache: SlotCache, positions_B: Int64[Tensor, " B"], span: int) -> None:
        super().__init__(layer_class_to_replicate=DynamicLayer)
        self._cache, self._positions_B, self._span = cache, positions_B, span

    def update(self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: Any, **__: Any) -> KeysValues:
        self._cache.extend(layer_idx, key_states[:, :, 0], value_states[:, :, 0], self._positions_B)
        return self._cache.read(layer_idx, len(self._positions_B), self._span)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self._span - 1
