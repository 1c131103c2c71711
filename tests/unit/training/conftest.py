"""A tiny Qwen2 on random weights, and training samples for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from dunwu.models.load import Policy
from dunwu.types import TrainSample

VOCABULARY = 48
MakePolicy = Callable[..., Policy]
MakeSamples = Callable[..., list[TrainSample]]


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
    """make_samples(count, seed): samples of mixed lengths, four to a group, with random numbers."""

    def make(count: int, seed: int = 0) -> list[TrainSample]:
        rng = np.random.default_rng(seed)
        samples = []
        for index in range(count):
            prompt, completion = int(rng.integers(2, 6)), int(rng.integers(1, 20))
            mask = np.arange(prompt + completion) >= prompt
            samples.append(
                TrainSample(
                    token_ids=rng.integers(0, VOCABULARY, prompt + completion).astype(np.int32),
                    loss_mask=mask,
                    sampler_logprobs=np.where(mask, rng.normal(-3.9, 0.3, len(mask)), 0.0).astype(np.float32),
                    advantages=np.where(mask, rng.normal(), 0.0).astype(np.float32),
                    group_id=index // 4,
                    reward=0.0,
                    policy_version=0,
                )
            )
        return samples

    return make
