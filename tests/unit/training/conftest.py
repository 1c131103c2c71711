"""A tiny Qwen2 on random weights, and training samples for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from dunwu.models.policy import Policy
from dunwu.training.trainer import Trainer
from dunwu.types import GradedSample, TrainSample

VOCABULARY = 48
MakePolicy = Callable[..., Policy]
MakeSamples = Callable[..., list[GradedSample]]


@pytest.fixture
def make_policy() -> MakePolicy:
    """make_policy(seed, **config): a policy of two layers and about 10,000 weights."""

    def make(seed: int = 0, **changes: Any) -> Policy:
        torch.manual_seed(seed)
        shape = {
            "vocab_size": VOCABULARY,
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "intermediate_size": 48,
            "max_position_embeddings": 128,
            "initializer_range": 0.2,
        }
        model = Qwen2ForCausalLM(Qwen2Config(**(shape | changes))).eval()
        letters = Tokenizer(BPE(vocab={letter: i for i, letter in enumerate(sorted(ByteLevel.alphabet()))}, merges=[]))
        letters.pre_tokenizer = ByteLevel(add_prefix_space=False)
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=letters, eos_token="<|end|>", pad_token="<|pad|>")
        return Policy(model=model, tokenizer=tokenizer, eos_ids=(1,), pad_id=0)

    return make


@pytest.fixture
def make_samples() -> MakeSamples:
    """make_samples(count, seed): samples of mixed lengths, four to a group, with random rewards."""

    def make(count: int, seed: int = 0) -> list[GradedSample]:
        rng = np.random.default_rng(seed)
        samples = []
        for index in range(count):
            prompt, completion = int(rng.integers(2, 6)), int(rng.integers(1, 20))
            mask = np.arange(prompt + completion) >= prompt
            samples.append(
                GradedSample(
                    token_ids=rng.integers(0, VOCABULARY, prompt + completion).astype(np.int32),
                    loss_mask=mask,
                    sampler_logprobs=np.where(mask, rng.normal(-3.9, 0.3, len(mask)), 0.0).astype(np.float32),
                    group_id=index // 4,
                    member=index % 4,
                    reward=float(rng.normal()),
                    policy_version=0,
                )
            )
        return samples

    return make


def as_batch(trainer: Trainer, samples: Sequence[GradedSample]) -> list[TrainSample]:
    """Samples as the loss takes them; the advantage of each is its reward."""
    batch = []
    for sample, logprobs in zip(samples, trainer.compute_logprobs(samples), strict=True):
        advantages = np.where(sample.loss_mask, sample.reward, 0.0).astype(np.float32)
        batch.append(
            TrainSample(
                sample=sample, logprobs=logprobs, advantages=advantages, returns=None, kept_advantages=advantages
            )
        )
    return batch
