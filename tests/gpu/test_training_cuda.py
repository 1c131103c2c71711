"""What the training rooms promise, on a CUDA device."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from dunwu.algorithms import assign_advantages, build, cut_minibatches
from dunwu.config.schema import AlgorithmSpec, OptimizerSpec, UpdateSpec
from dunwu.models import packing
from dunwu.models.logprobs import Head, _ChunkedLogprobs, compute_token_logprobs
from dunwu.models.policy import Policy
from dunwu.training.steps import take_step
from dunwu.training.trainer import PolicyTrainer
from dunwu.types import GradedSample

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
VOCABULARY = 512


def make_model(device: str, dtype: torch.dtype = torch.float32) -> Any:
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=128,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        intermediate_size=256,
        initializer_range=0.1,
        pad_token_id=None,
    )
    return Qwen3ForCausalLM(config).to(device, dtype).eval()


def make_samples(count: int, seed: int = 0) -> list[GradedSample]:
    rng = np.random.default_rng(seed)
    samples = []
    for index in range(count):
        prompt = np.random.default_rng(index // 8).integers(0, VOCABULARY, 12)
        completion = rng.integers(0, VOCABULARY, int(rng.integers(1, 60)))
        mask = np.arange(len(prompt) + len(completion)) >= len(prompt)
        samples.append(
            GradedSample(
                token_ids=np.concatenate([prompt, completion]).astype(np.int32),
                loss_mask=mask,
                sampler_logprobs=np.where(mask, -6.0, 0.0).astype(np.float32),
                group_id=index // 8,
                member=index % 8,
                reward=float(rng.normal()),
                policy_version=0,
            )
        )
    return samples


def make_trainer(model: Any) -> PolicyTrainer:
    letters = Tokenizer(BPE(vocab={letter: i for i, letter in enumerate(sorted(ByteLevel.alphabet()))}, merges=[]))
    letters.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=letters, eos_token="<|end|>", pad_token="<|pad|>")
    policy = Policy(model=model, tokenizer=tokenizer, eos_ids=(1,), pad_id=0)
    algorithm = build(AlgorithmSpec(kl_coefficient=0.05), max_new_tokens=64)
    update = UpdateSpec(minibatches=2, tokens_per_microbatch=1024)
    return PolicyTrainer(policy, algorithm, OptimizerSpec(lr=1e-3), update, temperature=1.0, total_steps=10)


def rollout(trainer: PolicyTrainer, seed: int) -> list[dict[str, float]]:
    update = UpdateSpec(minibatches=2, tokens_per_microbatch=1024)
    samples = make_samples(32, seed)
    rewards = [np.array([sample.reward for sample in samples[start : start + 8]]) for start in range(0, 32, 8)]
    batch = assign_advantages(samples, trainer.compute_logprobs(samples), rewards, trainer._algorithm)
    return [
        dict(take_step(trainer, step, at=trainer.policy_version).metrics)
        for step in cut_minibatches(batch, update, seed)
    ]


def test_log_probabilities_and_gradients_as_on_the_cpu() -> None:
    torch.backends.cuda.matmul.allow_tf32 = False
    generator = torch.Generator().manual_seed(3)
    token_ids = torch.randint(0, VOCABULARY, (6, 40), generator=generator)
    token_ids[:, :10] = token_ids[0, :10]
    mask = (torch.arange(40) >= 10).expand(6, 40)
    results = []
    for device, packed in (("cpu", False), ("cuda", False), ("cuda", True)):
        model = make_model(device)
        assert not packed or packing.enable(model)
        logprobs = compute_token_logprobs(model, token_ids.to(device), mask.to(device), temperature=0.8, chunk=64)
        logprobs.values.square().mean().backward()  # type: ignore[no-untyped-call]
        results.append([logprobs.values.cpu(), logprobs.entropy.cpu(), *(p.grad.cpu() for p in model.parameters())])
    for other in results[1:]:
        for ours, cpu in zip(other, results[0], strict=True):
            torch.testing.assert_close(ours, cpu, rtol=1e-3, atol=1e-4)


def test_memory_at_32768_tokens_by_151936_words() -> None:
    tokens, vocabulary, width = 32768, 151936, 16
    hidden = torch.randn(tokens, width, device="cuda", requires_grad=True)
    weight = torch.randn(vocabulary, width, device="cuda", requires_grad=True)
    targets = torch.randint(0, vocabulary, (tokens,), device="cuda")
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    head = Head(weight=weight, bias=None, scale=1.0, softcap=None)
    values, _ = _ChunkedLogprobs.apply(hidden, weight, None, targets, head, 1.0, 1024)  # type: ignore[no-untyped-call]
    values.sum().backward()
    peak = torch.cuda.max_memory_allocated() - before
    print(f"\npeak above the hidden states: {peak / 2**30:.2f} GiB")
    assert peak < 1.5 * 2**30


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_resumed_run_is_the_straight_run(tmp_path: Path, dtype: torch.dtype) -> None:
    straight = make_trainer(make_model("cuda", dtype))
    rollout(straight, 0)
    (tmp_path / "middle").mkdir()
    straight.save(tmp_path / "middle")
    straight_metrics = rollout(straight, 1)

    resumed = make_trainer(make_model("cuda", dtype))
    resumed.load(tmp_path / "middle")
    assert rollout(resumed, 1) == straight_metrics
    digests = []
    for name, trainer in (("straight", straight), ("resumed", resumed)):
        (tmp_path / name).mkdir()
        trainer.save(tmp_path / name)
        files = sorted(file for file in (tmp_path / name).rglob("*") if file.is_file())
        digests.append([hashlib.sha256(file.read_bytes()).hexdigest() for file in files])
    assert digests[0] == digests[1]
