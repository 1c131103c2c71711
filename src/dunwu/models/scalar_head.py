"""Numbers for sequences, and for every state before a token, through a head of one number. B sequences of T tokens."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor
from torch.nn.functional import embedding, linear

from dunwu.models import packing
from dunwu.models.logprobs import compute_states_before
from dunwu.models.module_calls import call_with_weights


def score_sequences(
    model: Any, token_ids_BT: Int64[Tensor, "B T"], lengths_B: Int64[Tensor, " B"]
) -> Float[Tensor, " B"]:
    """Compute one number for each sequence, with gradients into all of the model's weights.

    Args:
        model: a sequence classifier of transformers with one label, its head called ``score``.
        token_ids_BT: padded on the right with any token.
        lengths_B: how many tokens of each row count, at least one.
    """
    scores_B1: Tensor = call_with_weights(model, _score_sequences, token_ids_BT, lengths_B)
    return scores_B1.squeeze(1)  # out here: hooks do not bear with a view


def _score_sequences(
    model: Any, token_ids_BT: Int64[Tensor, "B T"], lengths_B: Int64[Tensor, " B"]
) -> Float[Tensor, "B 1"]:
    rows_B, last_B = torch.arange(len(lengths_B), device=lengths_B.device), lengths_B - 1
    if model.config._attn_implementation == packing.ATTENTION:
        tree = packing.pack(token_ids_BT, lengths_B)
        states_BH = embedding(tree.nodes[rows_B, last_B], packing.compute_states(model, tree))
    else:
        hidden_BTH = model.base_model(input_ids=token_ids_BT, use_cache=False).last_hidden_state
        states_BH = hidden_BTH[rows_B, last_B]
    return _score(model, states_BH)


def compute_values(
    model: Any, token_ids_BT: Int64[Tensor, "B T"], mask_BT: Bool[Tensor, "B T"]
) -> Float[Tensor, "B T"]:
    """Compute what a value network gives to the state before each token in ``mask_BT``; 0 elsewhere.

    Args:
        model: as for ``score_sequences``.
        token_ids_BT: padded on the right with any token.
        mask_BT: the slots wanted; slot 0 has no state before it.
    """
    return call_with_weights(model, _compute_values, token_ids_BT, mask_BT)


def _compute_values(
    model: Any, token_ids_BT: Int64[Tensor, "B T"], mask_BT: Bool[Tensor, "B T"]
) -> Float[Tensor, "B T"]:
    rows_N, columns_N = mask_BT[:, 1:].nonzero(as_tuple=True)
    states_NH = compute_states_before(model, token_ids_BT, mask_BT, rows_N, columns_N)
    values_N = _score(model, states_NH).squeeze(1)
    return values_N.new_zeros(token_ids_BT.shape).index_put((rows_N, columns_N + 1), values_N)


def _score(model: Any, states_NH: Float[Tensor, "N H"]) -> Float32[Tensor, "N 1"]:
    """Apply the head in single precision: in bfloat16 scores near each other would be one."""
    head = model.score
    bias = None if head.bias is None else head.bias.float()
    return linear(states_NH.float(), head.weight.float(), bias)
