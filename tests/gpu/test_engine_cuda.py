"""The embedded engine on CUDA: the numbers of the CPU, with and without graphs, in any batch, after new weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.groups import generate_groups
from transformers import Qwen3Config, Qwen3ForCausalLM

from dunwu.models.policy import Policy
from dunwu.models.weights import WeightUpdate
from dunwu.rollout.builtin.engine import TorchEngine
from dunwu.types import Completion, GenerationRequest, Problem, Prompt, Sampling

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
VOCABULARY = 500


class Letters:
    """A tokenizer of one letter a token."""

    def __len__(self) -> int:
        return VOCABULARY

    def decode(self, token_ids: list[int], **_: Any) -> str:
        return "".join(chr(65 + token) for token in token_ids)


def policy(device: str, seed: int = 0) -> Policy:
    """A tiny random Qwen3 with opinions; token 7 ends a completion."""
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        intermediate_size=96,
        max_position_embeddings=1024,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )
    model = Qwen3ForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4.0 if parameter.dim() == 2 else 1.0)
    return Policy(model=model.to(device), tokenizer=Letters(), eos_ids=(7,), pad_id=0)


def requests(count: int, group: int) -> list[GenerationRequest]:
    """Prompts of 1 to 40 tokens."""
    rng = np.random.default_rng(0)
    problem = Problem(id="p", task="t", kind="math", level=1, language="en", messages=(), gold="")
    return [
        GenerationRequest(
            prompt=Prompt(problem=problem, token_ids=rng.integers(0, VOCABULARY, 1 + 3 * i % 40).astype(np.int32)),
            seeds=tuple(range(group * i, group * (i + 1))),
        )
        for i in range(count)
    ]


def run(engine: TorchEngine, sampling: Sampling) -> list[Completion]:
    """All completions, in the order of the requests."""
    asked = requests(12, 8)
    return [completion for group in generate_groups(engine, asked, sampling) for completion in group.completions]


def agreement(one: list[Completion], other: list[Completion]) -> float:
    """Share of equal completions; the log-probabilities of those agree.

    Other kernels round otherwise, and a draw on the edge between two tokens may fall to the other side.
    """
    same = [(a, b) for a, b in zip(one, other, strict=True) if a.token_ids.tolist() == b.token_ids.tolist()]
    for a, b in same:
        np.testing.assert_allclose(a.logprobs, b.logprobs, atol=1e-4)
    return len(same) / len(one)


@pytest.fixture(autouse=True)
def exact() -> None:
    """No TF32: the comparison is in single precision."""
    torch.set_float32_matmul_precision("highest")


def test_cuda_draws_what_the_cpu_draws() -> None:
    sampling = Sampling(max_new_tokens=300, temperature=0.9, top_p=0.95)
    cpu = run(TorchEngine(policy("cpu"), max_sequences=64), sampling)
    cuda = run(TorchEngine(policy("cuda"), max_sequences=64), sampling)
    assert len({len(completion.token_ids) for completion in cpu}) > 10
    assert agreement(cpu, cuda) >= 0.97


def test_graphs_and_eager_steps_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    sampling = Sampling(max_new_tokens=400)  # crosses the first growth of the cache and of the span
    engine = TorchEngine(policy("cuda"), max_sequences=40)
    assert engine._batch._graphed
    graphed = run(engine, sampling)
    again = run(engine, sampling)
    monkeypatch.setattr(engine._batch, "_graphed", False)
    eager = run(engine, sampling)
    assert agreement(graphed, again) == 1.0
    assert agreement(graphed, eager) >= 0.97


def test_new_weights_reach_the_graphs() -> None:
    sampling = Sampling(max_new_tokens=60)
    engine = TorchEngine(policy("cuda"), max_sequences=96)
    before = run(engine, sampling)
    new = policy("cuda", seed=1)
    engine.update_weights(WeightUpdate.in_memory(1, new.model.named_parameters()))
    after = run(engine, sampling)
    assert agreement(before, after) < 0.1
    assert agreement(after, run(TorchEngine(new, max_sequences=96), sampling)) == 1.0


def test_another_temperature_is_another_graph() -> None:
    engine = TorchEngine(policy("cuda"), max_sequences=96)
    greedy = run(engine, Sampling(max_new_tokens=40, temperature=0.0))
    for first in range(0, len(greedy), 8):
        assert len({tuple(completion.token_ids.tolist()) for completion in greedy[first : first + 8]}) == 1
    assert len({tuple(c.token_ids.tolist()) for c in run(engine, Sampling(max_new_tokens=40))[:8]}) > 1
