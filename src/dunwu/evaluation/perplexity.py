"""Perplexity of ordinary text: whether a model that learned by rewards still reads as it did.

N passages.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, Int32

from dunwu.errors import Fault, UserError
from dunwu.evaluation.estimators import bootstrap_ratio
from dunwu.types import Estimate

TokenRow = Int32[np.ndarray, " L"]
TextScorer = Callable[[Sequence[TokenRow]], Sequence[Float32[np.ndarray, " L"]]]
"""Returns log-probabilities of every token of each text, in nats; what stands at the first is not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedPassage:
    """A passage as a model reads it.

    The first token has nothing before it and is not predicted. It is the tokenizer's own begin of a text, where there
    is one; else it is of the passage, and its characters are not counted.

    Attributes:
        token_ids: All of its tokens.
        characters: Of the tokens that are predicted.
    """

    token_ids: TokenRow
    characters: int


def encode_passages(tokenizer: Any, passages: Sequence[str]) -> list[EncodedPassage]:
    """Encode passages, each by itself.

    Args:
        tokenizer: of transformers.
        passages: not empty.

    Raises:
        UserError: The tokenizer does not know a token, or nothing is left to predict.
    """
    encoded = list[EncodedPassage]()
    unknown = 0
    for passage in passages:
        ids = np.array(tokenizer(passage, verbose=False)["input_ids"], dtype=np.int32)
        first = tokenizer.decode(ids[:1].tolist(), skip_special_tokens=True)
        unknown += int((ids == tokenizer.unk_token_id).sum()) if tokenizer.unk_token_id is not None else 0
        encoded.append(EncodedPassage(token_ids=ids, characters=len(passage) - len(first)))
    if unknown:
        total = sum(len(passage.token_ids) for passage in encoded)
        raise UserError(f"the model's tokenizer does not know {unknown:,} of {total:,} tokens: no perplexity")
    if not sum(passage.characters for passage in encoded if len(passage.token_ids) > 1):
        raise UserError("has one token a passage, and nothing is left to predict")
    return encoded


def measure_perplexity(passages: Sequence[EncodedPassage], score: TextScorer) -> dict[str, Estimate]:
    """Measure how well a model predicts passages.

    Args:
        passages: encoded by the model's tokenizer.
        score: the model.

    Returns:
        ``perplexity``: e to the mean of the nats of a token. ``bits_per_character``: the same surprise over the
        characters, which models with other tokenizers share. Both with the 95 % interval of resampled passages.

    Raises:
        Fault: The model gives no numbers.
    """
    found = score([passage.token_ids for passage in passages])
    nats_N = np.array([-float(logprobs[1:].sum(dtype=np.float64)) for logprobs in found])
    if not np.isfinite(nats_N).all():
        raise Fault("the log-probabilities of a text are not finite: the model is broken")
    tokens_N = np.array([len(passage.token_ids) - 1 for passage in passages], dtype=np.float64)
    characters_N = np.array([passage.characters for passage in passages], dtype=np.float64)
    by_token = bootstrap_ratio(nats_N, tokens_N, "amount")
    return {
        "perplexity": Estimate(
            value=math.exp(by_token.value), low=math.exp(by_token.low), high=math.exp(by_token.high)
        ),
        "bits_per_character": bootstrap_ratio(nats_N / math.log(2), characters_N, "amount"),
    }
