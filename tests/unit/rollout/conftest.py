"""Tiny random models of several families, with a byte-level tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from dunwu.models.policy import Policy
from dunwu.rollout.engine import Engine
from dunwu.types import Completion, GenerationRequest, Problem, Prompt, Sampling

MakePolicy = Callable[[str], Policy]
VOCABULARY = 320
TEXT = "wait, the answer is 42. 等等，答案是四十二。 <answer>42</answer> so 1 + 2 = 3, but 3 x 4 = 12 " * 3
SHAPE: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 512,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}


def tiny_model(family: str) -> Any:
    """A random model; weights large enough that its choices are not uniform."""
    torch.manual_seed(1)
    if family == "llama":
        model = LlamaForCausalLM(LlamaConfig(**SHAPE, attention_bias=True, mlp_bias=True, tie_word_embeddings=False))
    elif family == "qwen2":
        model = Qwen2ForCausalLM(Qwen2Config(**SHAPE, tie_word_embeddings=True))
    elif family == "qwen3":
        model = Qwen3ForCausalLM(Qwen3Config(**SHAPE, head_dim=16, tie_word_embeddings=False))
    elif family == "gemma2":
        model = Gemma2ForCausalLM(
            Gemma2Config(**SHAPE, head_dim=8, sliding_window=12, layer_types=["sliding_attention", "full_attention"])
        )
    elif family == "mistral":
        model = MistralForCausalLM(MistralConfig(**SHAPE, sliding_window=12))
    elif family == "bloom":
        model = BloomForCausalLM(BloomConfig(vocab_size=VOCABULARY, hidden_size=32, n_layer=1, n_head=4))
    else:
        model = GPT2LMHeadModel(GPT2Config(vocab_size=VOCABULARY, n_positions=512, n_embd=32, n_layer=2, n_head=4))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.mul_(6.0)
            else:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Models of this size lose by threads, above all beside other test processes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """Byte-level BPE of 320 tokens; the last two are the end and the padding."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - 2, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    core.train_from_iterator([TEXT], trainer)
    core.add_special_tokens([f"<|spare-{i}|>" for i in range(VOCABULARY - 2 - core.get_vocab_size())])
    core.add_special_tokens(["<|end|>", "<|pad|>"])
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|end|>", pad_token="<|pad|>")


@pytest.fixture(scope="session")
def make_policy(tokenizer: Any) -> MakePolicy:
    """A policy of a family: see ``tiny_model``."""
    built: dict[str, Policy] = {}

    def make(family: str) -> Policy:
        if family not in built:
            end = tokenizer.eos_token_id
            built[family] = Policy(model=tiny_model(family), tokenizer=tokenizer, eos_ids=(end,), pad_id=end + 1)
        return built[family]

    return make


def problem(name: str) -> Problem:
    """A problem that nobody reads."""
    return Problem(id=name, task="t", kind="math", level=1, language="en", messages=(), gold="")


def requests_of(lengths: Sequence[int], group: int, *, seed: int = 0) -> list[GenerationRequest]:
    """One request for each prompt length, ``group`` seeds each; all prompts and seeds different."""
    rng = np.random.default_rng(seed)
    return [
        GenerationRequest(
            prompt=Prompt(problem=problem(f"p{i}"), token_ids=rng.integers(0, 256, length).astype(np.int32)),
            seeds=tuple(1000 * seed + 100 * i + k for k in range(group)),
        )
        for i, length in enumerate(lengths)
    ]


def by_seed(
    engine: Engine, requests: Sequence[GenerationRequest], sampling: Sampling
) -> dict[tuple[str, int], Completion]:
    """Every completion under its problem and seed."""
    return {
        (requests[sample.request].prompt.problem.id, requests[sample.request].seeds[sample.index]): completion
        for sample, completion in engine.generate(requests, sampling)
    }


def seeds_of(requests: Sequence[GenerationRequest], name: str) -> tuple[int, ...]:
    """The seeds of the request for the problem of that name."""
    return next(request.seeds for request in requests if request.prompt.problem.id == name)


def assert_same(one: Mapping[Any, Completion], other: Mapping[Any, Completion]) -> None:
    """Equal tokens, texts and ends; log-probabilities equal but for the rounding of another batch size."""
    assert one.keys() == other.keys()
    for key, completion in one.items():
        assert completion.token_ids.tolist() == other[key].token_ids.tolist(), key
        assert (completion.text, completion.finish) == (other[key].text, other[key].finish)
        np.testing.assert_allclose(completion.logprobs, other[key].logprobs, atol=1e-5)
