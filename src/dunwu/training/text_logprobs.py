"""Log-probabilities of rows of tokens without gradients: samples to learn from, and ordinary text.

R rows of T tokens, each with its own length L.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int32

from dunwu.algorithms.batching import EMPTY_ROW, make_buckets, pad_rows
from dunwu.models.logprobs import compute_token_logprobs
from dunwu.models.templates import count_positions
from dunwu.training.rank_group import ONE_RANK, RankGroup

WINDOW = 1024
"""Tokens of a text that are read at once, at most."""


def compute_row_logprobs(
    model: Any,
    rows: Sequence[Int32[np.ndarray, " L"]],
    masks: Sequence[Bool[np.ndarray, " L"]],
    groups: Sequence[int],
    *,
    tokens: int,
    temperature: float = 1.0,
    chunk: int = 1024,
    ranks: RankGroup = ONE_RANK,
) -> list[Float32[np.ndarray, " L"]]:
    """Compute log-probabilities of the slots in ``masks``, bucket by bucket; 0 elsewhere.

    Args:
        model: a causal language model of transformers.
        rows: token ids.
        masks: the slots wanted.
        groups: which rows begin alike; they are computed together.
        tokens: of a bucket, padding included.
        temperature: the sampler's.
        chunk: slots whose logits exist at once.
        ranks: who holds the model; each computes rows of its own.
    """
    found: dict[int, Float32[np.ndarray, " L"]] = {}
    for bucket in ranks.even_out(make_buckets([len(row) for row in rows], groups, tokens)):
        with torch.no_grad():
            logprobs = compute_token_logprobs(
                model,
                pad_rows([rows[i] for i in bucket] or [EMPTY_ROW], torch.int64).to(model.device),
                pad_rows([masks[i] for i in bucket] or [EMPTY_ROW], torch.bool).to(model.device),
                temperature=temperature,
                chunk=chunk,
            )
        values = logprobs.values.cpu().numpy()
        found |= {i: values[place, : len(rows[i])] for place, i in enumerate(bucket)}
    return [found[i] for i in range(len(rows))]


def compute_text_logprobs(
    model: Any,
    texts: Sequence[Int32[np.ndarray, " L"]],
    *,
    tokens: int,
    chunk: int = 1024,
    ranks: RankGroup = ONE_RANK,
) -> list[Float32[np.ndarray, " L"]]:
    """Compute the log-probability of every token of each text, given those before it; 0 for the first one.

    What the model cannot read at once, or is longer than ``WINDOW``, is read in pieces. A piece begins with the last
    token of the one before, so that every token is computed once.

    Args:
        model: a causal language model of transformers.
        texts: token ids of each text, at least one.
        tokens: of a forward pass, padding included.
        chunk: slots whose logits exist at once.
        ranks: who holds the model; each computes texts of its own.
    """
    window = min(WINDOW, count_positions(model))
    pieces = [
        (number, text[start : start + window])
        for number, text in enumerate(texts)
        for start in range(0, max(1, len(text) - 1), window - 1)
    ]
    rows = [row for _, row in pieces]
    masks = [np.arange(len(row)) > 0 for row in rows]
    found = compute_row_logprobs(model, rows, masks, range(len(rows)), tokens=tokens, chunk=chunk, ranks=ranks)
    joined: list[list[Float32[np.ndarray, " L"]]] = [[np.zeros(1, np.float32)] for _ in texts]
    for (number, _), logprobs in zip(pieces, found, strict=True):
        joined[number].append(logprobs[1:])
    return [np.concatenate(parts) for parts in joined]
