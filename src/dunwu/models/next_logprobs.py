"""The distribution of the token behind a text: what an engine's own first token is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int32, Int64
from torch import Tensor

from dunwu.models.logprobs import Head, compute_states_before
from dunwu.models.module_calls import call_with_weights


def compute_next_logprobs(model: Any, texts: Sequence[Int32[np.ndarray, " L"]]) -> list[Float32[np.ndarray, " V"]]:
    """Compute the log-probability of every token behind each text, at temperature 1.

    Args:
        model: a causal language model of transformers.
        texts: token ids of each, at least one.

    Returns:
        A distribution of V tokens for each text.
    """
    # One slot more than the text has: what is predicted there is what follows it.
    longest = max(len(text) for text in texts) + 1
    token_ids_BT = torch.zeros(len(texts), longest, dtype=torch.int64)
    mask_BT = torch.zeros(len(texts), longest, dtype=torch.bool)
    for row, text in enumerate(texts):
        token_ids_BT[row, : len(text)] = torch.from_numpy(text.astype(np.int64))
        mask_BT[row, len(text)] = True
    with torch.no_grad():
        (logprobs_BV,) = call_with_weights(
            model, _compute_next, token_ids_BT.to(model.device), mask_BT.to(model.device)
        )
    return list(logprobs_BV.cpu().numpy())


def _compute_next(
    model: Any, token_ids_BT: Int64[Tensor, "B T"], mask_BT: Bool[Tensor, "B T"]
) -> tuple[Float32[Tensor, "B V"]]:
    rows_B, columns_B = mask_BT[:, 1:].nonzero(as_tuple=True)
    hidden_BH = compute_states_before(model, token_ids_BT, mask_BT, rows_B, columns_B)
    return (Head.from_model(model).logits(hidden_BH).log_softmax(-1),)
