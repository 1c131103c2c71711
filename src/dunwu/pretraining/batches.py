"""From documents to batches: tokenized, sorted by length so that little is padding, never two documents in one row.

A document stands alone from position 0, as a prompt does at rollout. Loss falls on what the writer wrote and on the
end-of-sequence token, not on the question: its numbers are dice.

Dimensions: B documents of a batch, T tokens of the longest.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from jaxtyping import Int64

from dunwu.errors import UserError
from dunwu.pretraining.corpora import Corpus
from dunwu.pretraining.countdown_corpus import Document

POOL = 6000
"""Documents that are sorted together."""
IGNORED = -100


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """B documents, padded on the right to T tokens.

    Attributes:
        token_ids: The tokens.
        labels: Token t at place t where it carries loss, else -100; no shift.
    """

    token_ids: Int64[np.ndarray, "B T"]
    labels: Int64[np.ndarray, "B T"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPools:
    """The corpus as numbered pools of batches; each is a function of the number and of these fields.

    Attributes:
        corpus: Where the documents come from.
        tokenizer: The base's.
        seed: The run's.
        tokens: The most tokens of a batch, padding included.
        longest: The most tokens of a document; longer ones are left out.
    """

    corpus: Corpus
    tokenizer: Any
    seed: int
    tokens: int
    longest: int

    def make(self, pool: int) -> list[Batch]:
        """Make the batches of pool number ``pool``, in the order of training.

        Raises:
            UserError: None of its documents is short enough.
        """
        texts = list(islice(self.corpus.generate(f"{self.seed}/{pool}"), POOL))
        rows = [row for row in encode_documents(texts, self.tokenizer) if len(row[0]) <= self.longest]
        if not rows:
            raise UserError(f"none of {POOL} documents has at most {self.longest} tokens", field="sequence_length")
        rng = random.Random(f"order/{self.seed}/{pool}")
        rows.sort(key=lambda row: (len(row[0]), rng.random()))
        batches = list(_cut(rows, self.tokens))
        rng.shuffle(batches)
        return [_pad(rows, self.tokenizer.pad_token_id) for rows in batches]


def encode_documents(documents: list[Document], tokenizer: Any) -> list[tuple[list[int], int]]:
    """Encode documents, each ended by the end-of-sequence token.

    Returns:
        For each document its tokens, and how many of them are the prompt.
    """
    prompts = tokenizer([document.prompt for document in documents]).input_ids
    completions = tokenizer([document.completion for document in documents]).input_ids
    return [(p + c + [tokenizer.eos_token_id], len(p)) for p, c in zip(prompts, completions, strict=True)]


def _cut(rows: list[tuple[list[int], int]], tokens: int) -> Iterator[list[tuple[list[int], int]]]:
    """Cut rows that ascend in length into batches: the last row of a batch is its width."""
    batch: list[tuple[list[int], int]] = []
    for row in rows:
        if batch and len(row[0]) * (len(batch) + 1) > tokens:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _pad(rows: list[tuple[list[int], int]], pad: int) -> Batch:
    width = max(len(ids) for ids, _ in rows)
    token_ids = np.full((len(rows), width), pad, dtype=np.int64)
    labels = np.full((len(rows), width), IGNORED, dtype=np.int64)
    for i, (ids, prompt) in enumerate(rows):
        token_ids[i, : len(ids)] = ids
        first = max(prompt, 1)  # nothing predicts a first token
        labels[i, first : len(ids)] = ids[first:]
    return Batch(token_ids=token_ids, labels=labels)
