"""Running a transformers model one token at a time over the slot cache.

Two ways to the same numbers. ``ModuleDecoder`` (in ``module_decoder``) calls the model's own forward with our cache:
any causal language model. ``FusedDecoder`` (in ``fused``) runs the layers of the Llama family itself on its own copy of
the weights, with the projections that share an input fused into one matrix: faster where a model is small and the
modules' Python is much of the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from jaxtyping import Float, Int64
from torch import Tensor

from dunwu.models.fused_layers import can_fuse, is_llama_like
from dunwu.models.llama_parts import LightModel, LlamaParts
from dunwu.models.weights import Place
from dunwu.rollout.builtin.cache import KeysValues, KVCache
from dunwu.rollout.builtin.fused import FusedDecoder
from dunwu.rollout.builtin.kernel_decoder import KernelDecoder


class Decoder(Protocol):
    """Prefills prompts and decodes rows.

    ``parameters``: every name in transformers -> the place that new weights go to; tied ones share theirs.
    """

    parameters: Mapping[str, Place]

    def prefill(
        self, tokens_NP: Int64[Tensor, "N P"], last_N: Int64[Tensor, " N"]
    ) -> tuple[Float[Tensor, "N V"], list[KeysValues]]:
        """Read prompts, padded on the right.

        Args:
            tokens_NP: of the prompts.
            last_N: place of each prompt's last token.

        Returns:
            Logits after the last token of each, and every layer's keys and values.
        """

    def decode(
        self, tokens_B: Int64[Tensor, " B"], positions_B: Int64[Tensor, " B"], cache: KVCache, span: int, ragged: bool
    ) -> Float[Tensor, "B V"]:
        """Read one more token of rows 0..B-1.

        Args:
            tokens_B: the tokens.
            positions_B: of the tokens.
            cache: what came before; the tokens' keys and values are added.
            span: is above every position.
            ragged: rows differ in their positions; otherwise every position is span - 1.

        Returns:
            The logits after each token.
        """


def make_decoder(model: Any) -> Decoder:
    """Make the faster decoder that computes this model, on its own copy of the weights.

    Args:
        model: of transformers, or a ``LightModel``.

    Raises:
        UserError: see ``ModuleDecoder``.
    """
    if isinstance(model, LightModel):
        return KernelDecoder(model.parts)
    if can_fuse(model):
        return KernelDecoder(LlamaParts.of_model(model))
    if is_llama_like(model):
        return FusedDecoder(LlamaParts.of_model(model))
    # Here, because transformers' modules take a second to import, and the other two need none of them.
    from dunwu.rollout.builtin.module_decoder import ModuleDecoder

    return ModuleDecoder(model)
