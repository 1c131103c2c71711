"""A decoder for any causal language model of transformers."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer

from dunwu.errors import UserError
from dunwu.models.agreement import check_head
from dunwu.models.attention import find_visible, make_bias
from dunwu.models.logprobs import Head
from dunwu.models.weights import Place
from dunwu.rollout.builtin.cache import KeysValues, KVCache


class ModuleDecoder:
    """The model's own forward.

    Raises:
        UserError: the model's state is more than keys and values, it attends neither fully nor within a window, its
            positions are not ours to give (ALiBi: Bloom, MPT), or ``Head`` does not know how it makes its logits.
    """

    def __init__(self, model: Any) -> None:
        config = model.config
        self._window = getattr(config, "sliding_window", None)
        # Without a list of layer types a window is every layer's (Mistral, Phi-3, Starcoder 2).
        default = "full_attention" if self._window is None else "sliding_attention"
        self._layer_types = set(getattr(config, "layer_types", None) or [default])
        if getattr(config, "is_encoder_decoder", False) or getattr(model, "_is_stateful", False):
            raise UserError(f"the engine needs a model whose state is keys and values; {config.model_type} keeps more")
        if unknown := self._layer_types - {"full_attention", "sliding_attention"}:
            raise UserError(f"the engine knows no layers of {', '.join(sorted(unknown))}")
        takes = inspect.signature(model.forward).parameters
        if getattr(config, "alibi", False) or "position_ids" not in takes:
            raise UserError(f"the engine needs a model that takes positions; {config.model_type} counts them itself")
        check_head(model)
        self._cache_name = "cache" if "cache" in takes else "past_key_values"  # transformers renamed it within 5.x
        self._model = copy.deepcopy(model).eval().requires_grad_(False)
        self._head = Head.from_model(self._model)
        self.parameters: Mapping[str, Place] = dict(self._model.named_parameters(remove_duplicate=False))

    def prefill(
        self, tokens_NP: Int64[Tensor, "N P"], last_N: Int64[Tensor, " N"]
    ) -> tuple[Float[Tensor, "N V"], list[KeysValues]]:
        """See ``Decoder``."""
        cache = DynamicCache()
        states = self._model.base_model(input_ids=tokens_NP, use_cache=True, **{self._cache_name: cache})
        if not cache.layers:
            raise UserError(f"the engine needs keys and values; {self._model.config.model_type} gives none")
        last_NH = states.last_hidden_state[torch.arange(len(last_N), device=last_N.device), last_N]
        return self._head.logits(last_NH), [(layer.keys, layer.values) for layer in cache.layers]

    def decode(
        self, tokens_B: Int64[Tensor, " B"], positions_B: Int64[Tensor, " B"], cache: KVCache, span: int, ragged: bool
    ) -> Float[Tensor, "B V"]:
        """See ``Decoder``."""
        masks = {
            name: make_bias(find_visible(positions_B, span, window), self._model.dtype)[:, None, None]
            for name, window in (("full_attention", None), ("sliding_attention", self._window))
            if name in self._layer_types
        }
        output = self._model(
            input_ids=tokens_B[:, None],
            position_ids=positions_B[:, None],
            attention_mask=masks if len(masks) > 1 else next(iter(masks.values())),
            use_cache=True,
            **{self._cache_name: _CacheView(cache, len(positions_B), cache.places(positions_B), span)},
        )
        logits_BV: Tensor = output.logits[:, -1]
        return logits_BV


class _CacheView(Cache):  # type: ignore[misc]  # transformers is untyped here
    """The slot cache as transformers' modules see it during one step."""

    def __init__(self, cache: KVCache, rows: int, places: Int64[Tensor, " BK"], span: int) -> None:
        super().__init__(layer_class_to_replicate=DynamicLayer)
        self._cache, self._rows, self._places, self._span = cache, rows, places, span

    def update(self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: Any, **__: Any) -> KeysValues:
        """See ``transformers.Cache``: add one token of each row."""
        self._cache.extend(layer_idx, key_states[:, :, 0], value_states[:, :, 0], self._places)
        return self._cache.read(layer_idx, self._rows, self._span)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """See ``transformers.Cache``."""
        return self._span - 1
