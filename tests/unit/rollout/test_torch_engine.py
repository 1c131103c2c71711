"""The embedded engine: the same samples in any batch, the model's log-probabilities, ends, weights, memory."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tests.groups import generate_groups
from torch.nn.utils.rnn import pad_sequence

from dunwu.errors import UserError
from dunwu.models.fused_layers import is_llama_like
from dunwu.models.llama_parts import LlamaParts
from dunwu.models.logprobs import Head
from dunwu.models.policy import Policy
from dunwu.models.weights import WeightUpdate
from dunwu.rollout.builtin.cache import KVCache
from dunwu.rollout.builtin.decoder import Decoder
from dunwu.rollout.builtin.engine import TorchEngine
from dunwu.rollout.builtin.fused import FusedDecoder
from dunwu.rollout.builtin.module_decoder import ModuleDecoder
from dunwu.rollout.seeds import to_tensor
from dunwu.types import GenerationRequest, RolloutGroup, Sampling, VersionSpan

from .conftest import MakePolicy, assert_same, by_seed, requests_of, seeds_of, tiny_model

FUSED = ("llama", "qwen2", "qwen3")
LENGTHS = (5, 17, 1, 9, 30, 12)


def full_forward(policy: Policy, group: RolloutGroup, temperature: float) -> list[np.ndarray]:
    """Every completion's log-probabilities by one plain forward pass of transformers, padded on the right."""
    prompt = len(group.prompt.token_ids)
    whole = [torch.from_numpy(np.append(group.prompt.token_ids, c.token_ids)).long() for c in group.completions]
    tokens = pad_sequence(whole, batch_first=True)
    with torch.no_grad():
        logprobs = (policy.model(tokens).logits.double() / temperature).log_softmax(-1)
    picked = logprobs[:, :-1].gather(2, tokens[:, 1:, None]).squeeze(2).numpy()
    return [row[prompt - 1 : len(w) - 1] for row, w in zip(picked, whole, strict=True)]


@pytest.mark.parametrize("family", ["qwen2", "gemma2"])
def test_a_sample_is_the_same_in_every_batch(make_policy: MakePolicy, family: str) -> None:
    requests = requests_of(LENGTHS, 4)
    sampling = Sampling(max_new_tokens=25, temperature=0.8)
    together = by_seed(TorchEngine(make_policy(family), max_sequences=64), requests, sampling)
    assert len({tuple(c.token_ids.tolist()) for c in together.values()}) == len(together) == 24
    for rows in (1, 5, 16):
        engine = TorchEngine(make_policy(family), max_sequences=rows)
        assert_same(together, by_seed(engine, requests[::-1], sampling))
    assert_same(
        {key: value for key, value in together.items() if key[0] == "p3"},
        by_seed(TorchEngine(make_policy(family), max_sequences=3), requests[3:4], sampling),
    )


@pytest.mark.filterwarnings("error::FutureWarning")  # what transformers will take away
@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3", "gemma2", "mistral", "gpt2"])
def test_logprobs_are_those_of_a_full_forward(make_policy: MakePolicy, family: str) -> None:
    policy = make_policy(family)
    groups, least = (12, 10_000) if family == "qwen2" else (3, 1_500)
    requests = requests_of(np.random.default_rng(0).integers(1, 60, groups).tolist(), 8)
    sampling = Sampling(max_new_tokens=120, temperature=0.7, top_p=0.95)
    tokens, worst = 0, 0.0
    for group in generate_groups(TorchEngine(policy, max_sequences=groups * 3), requests, sampling):
        for completion, expected in zip(group.completions, full_forward(policy, group, 0.7), strict=True):
            worst = max(worst, float(np.abs(expected - completion.logprobs).max()))
            tokens += len(completion.token_ids)
    assert tokens > least
    assert worst < 1e-5


@pytest.mark.parametrize("family", FUSED)
def test_the_fused_decoder_equals_the_models_own_forward(make_policy: MakePolicy, family: str) -> None:
    model = make_policy(family).model
    assert is_llama_like(model)
    rng = np.random.default_rng(2)
    prompts = torch.from_numpy(rng.integers(0, 256, (3, 7)))
    last = torch.tensor([6, 2, 4])
    steps = torch.from_numpy(rng.integers(0, 256, (4, 5)))
    origin = torch.tensor([0, 2, 1, 2])

    def run(decoder: Decoder) -> torch.Tensor:
        cache = KVCache(6)
        logits, layers = decoder.prefill(prompts, last)
        cache.reserve(16, 16, 6)
        cache.insert(0, layers, origin)
        collected = [logits]
        for t in range(5):
            positions = last[origin] + 1 + t
            collected.append(decoder.decode(steps[:, t], positions, cache, int(positions.max()) + 1, True))
        return torch.cat(collected)

    with torch.inference_mode():
        fused, modules = run(FusedDecoder(LlamaParts.of_model(model))), run(ModuleDecoder(model))
    torch.testing.assert_close(fused, modules, atol=1e-5, rtol=1e-5)
    assert float(modules.std()) > 0.5


def test_greedy_is_argmax_as_in_transformers(make_policy: MakePolicy) -> None:
    policy = make_policy("qwen3")
    requests = requests_of((6, 11), 1)
    sampling = Sampling(temperature=0.0, max_new_tokens=20)
    for group in generate_groups(TorchEngine(policy, max_sequences=2), requests, sampling):
        prompt = torch.from_numpy(group.prompt.token_ids.astype(np.int64))[None]
        expected = policy.model.generate(
            prompt, do_sample=False, max_new_tokens=20, eos_token_id=policy.eos_ids[0], pad_token_id=policy.pad_id
        )[0, prompt.shape[1] :]
        (completion,) = group.completions
        assert completion.token_ids.tolist() == expected.tolist()
        np.testing.assert_allclose(completion.logprobs, full_forward(policy, group, 1.0)[0], atol=1e-5)


def test_end_of_sequence_is_kept_in_the_tokens_only(make_policy: MakePolicy, tokenizer: Any) -> None:
    policy = make_policy("qwen2")
    often = Policy(model=policy.model, tokenizer=tokenizer, eos_ids=tuple(range(8)), pad_id=0)
    done = by_seed(TorchEngine(often, max_sequences=8), requests_of(LENGTHS, 4), Sampling(max_new_tokens=30))
    stopped = [c for c in done.values() if c.finish == "stop"]
    capped = [c for c in done.values() if c.finish == "length"]
    assert stopped
    assert capped
    for completion in stopped:
        assert completion.token_ids[-1] < 8
        assert completion.token_ids[:-1].min(initial=99) >= 8
        assert completion.text == tokenizer.decode(completion.token_ids[:-1])
    for completion in capped:
        assert len(completion.token_ids) == 30
        assert completion.token_ids.min() >= 8
        assert completion.text == tokenizer.decode(completion.token_ids)


def test_groups_come_whole_and_in_the_order_of_their_seeds(make_policy: MakePolicy) -> None:
    requests = requests_of((4, 8, 6), 5)
    engine = TorchEngine(make_policy("llama"), max_sequences=4, version=3)
    groups = generate_groups(engine, requests, Sampling(max_new_tokens=6))
    assert [group.prompt.problem.id for group in groups] == ["p0", "p1", "p2"]
    for group in groups:
        alone = GenerationRequest(prompt=group.prompt, seeds=seeds_of(requests, group.prompt.problem.id)[2:3])
        ((_, expected),) = engine.generate([alone], Sampling(max_new_tokens=6))
        assert group.completions[2].token_ids.tolist() == expected.token_ids.tolist()
        assert [c.policy_version for c in group.completions] == [3] * 5
        spans = [(VersionSpan(version=3, start=0, end=len(c.token_ids)),) for c in group.completions]
        assert [c.version_spans for c in group.completions] == spans


def test_an_abandoned_rollout_leaves_no_trace(make_policy: MakePolicy) -> None:
    engine = TorchEngine(make_policy("qwen2"), max_sequences=8)
    requests, sampling = requests_of(LENGTHS, 3), Sampling(max_new_tokens=12)
    expected = by_seed(TorchEngine(make_policy("qwen2"), max_sequences=8), requests, sampling)
    unfinished = engine.generate(requests_of((40, 3), 6, seed=1), Sampling(max_new_tokens=50))
    next(iter(unfinished))
    assert_same(expected, by_seed(engine, requests, sampling))


@pytest.mark.parametrize("family", ["qwen2", "qwen3", "gpt2"])
def test_new_weights_are_those_that_generate(tokenizer: Any, family: str) -> None:
    end = tokenizer.eos_token_id
    old, new = tiny_model(family), tiny_model(family)
    with torch.no_grad():
        for parameter in new.parameters():
            parameter.mul_(1.1).add_(0.01)
    engine = TorchEngine(Policy(model=old, tokenizer=tokenizer, eos_ids=(end,), pad_id=end), max_sequences=8)
    fresh = TorchEngine(Policy(model=new, tokenizer=tokenizer, eos_ids=(end,), pad_id=end), max_sequences=8)
    requests, sampling = requests_of((6, 9), 2), Sampling(max_new_tokens=16)
    before = by_seed(engine, requests, sampling)
    engine.update_weights(WeightUpdate.in_memory(7, new.named_parameters()))
    after = by_seed(engine, requests, sampling)
    assert_same(after, by_seed(fresh, requests, sampling))
    assert {c.policy_version for c in after.values()} == {7}
    assert any(before[key].token_ids.tolist() != after[key].token_ids.tolist() for key in before)
    engine.update_weights(WeightUpdate.in_memory(8, new.state_dict().items()))
    assert_same(after, by_seed(engine, requests, sampling))


def test_the_engine_keeps_its_own_weights(tokenizer: Any) -> None:
    model = tiny_model("llama")
    engine = TorchEngine(Policy(model=model, tokenizer=tokenizer, eos_ids=(319,), pad_id=319), max_sequences=4)
    requests, sampling = requests_of((6,), 4), Sampling(max_new_tokens=10)
    before = by_seed(engine, requests, sampling)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert_same(before, by_seed(engine, requests, sampling))


@pytest.mark.parametrize("family", ["qwen3", "gpt2"])
def test_weights_that_do_not_fit_are_refused_and_the_old_ones_stay(make_policy: MakePolicy, family: str) -> None:
    """Before anything is copied, wherever in the update the wrong one stands."""
    policy = make_policy(family)
    engine = TorchEngine(policy, max_sequences=2)
    requests, sampling = requests_of((6,), 2), Sampling(max_new_tokens=10)
    before = by_seed(engine, requests, sampling)
    weights = {name: weight.detach() + 0.1 for name, weight in policy.model.named_parameters()}
    last, weight = list(weights.items())[-1]
    refused = {
        f"lack {last}": {name: weight for name, weight in weights.items() if name != last},
        "hold extra, which the model has not": weights | {"extra": torch.zeros(1)},
        f"hold {last} with the shape": weights | {last: torch.zeros(7, *weight.shape)},
    }
    for message, update in refused.items():
        with pytest.raises(ValueError, match=re.escape(message)):
            engine.update_weights(WeightUpdate.in_memory(1, update.items()))
        assert engine.policy_version == 0
        assert_same(before, by_seed(engine, requests, sampling))


class ShortOfMemory:
    """A decoder on a device that holds ``most`` rows."""

    def __init__(self, decoder: Decoder, most: int) -> None:
        self._decoder, self._most = decoder, most
        self.parameters = decoder.parameters
        self.refused = 0

    def prefill(self, *arguments: Any) -> Any:
        return self._decoder.prefill(*arguments)

    def decode(self, tokens: torch.Tensor, *arguments: Any) -> Any:
        if len(tokens) > self._most:
            self.refused += 1
            raise torch.OutOfMemoryError("no memory")
        return self._decoder.decode(tokens, *arguments)


def test_out_of_memory_halves_the_rows_and_repeats_the_samples(
    make_policy: MakePolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests, sampling = requests_of(LENGTHS, 4), Sampling(max_new_tokens=15)
    expected = by_seed(TorchEngine(make_policy("qwen2"), max_sequences=24), requests, sampling)
    engine = TorchEngine(make_policy("qwen2"), max_sequences=24)
    short = ShortOfMemory(FusedDecoder(LlamaParts.of_model(make_policy("qwen2").model)), most=7)
    monkeypatch.setattr(engine._batch, "decoder", short)
    assert_same(expected, by_seed(engine, requests, sampling))
    assert (engine.max_sequences, short.refused) == (6, 2)
    monkeypatch.setattr(engine._batch, "decoder", ShortOfMemory(short, most=0))
    with pytest.raises(torch.OutOfMemoryError):
        by_seed(engine, requests, sampling)


@pytest.mark.parametrize("method", ["move", "insert"])
def test_what_was_finished_when_memory_ran_out_is_kept(
    make_policy: MakePolicy, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    requests, sampling = requests_of(LENGTHS, 2), Sampling(max_new_tokens=15)
    often = replace(make_policy("qwen2"), eos_ids=tuple(range(40)))
    expected = by_seed(TorchEngine(often, max_sequences=8), requests, sampling)
    work = getattr(KVCache, method)
    refused = []

    def short(self: KVCache, *arguments: Any) -> None:
        if self.rows == 8:
            refused.append(method)
            torch.empty(1 << 60)  # more than any machine has: the host's own error
        work(self, *arguments)

    monkeypatch.setattr(KVCache, method, short)
    engine = TorchEngine(often, max_sequences=8)
    assert_same(expected, by_seed(engine, requests, sampling))
    assert (engine.max_sequences, refused) == (4, [method])


def test_rows_that_lost_their_memory_on_entering_start_again(
    make_policy: MakePolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests, sampling = requests_of(LENGTHS, 2), Sampling(max_new_tokens=5)
    expected = by_seed(TorchEngine(make_policy("qwen2"), max_sequences=8), requests, sampling)
    errors = iter([torch.OutOfMemoryError("no memory")])

    def short(seeds: Any, device: Any) -> Any:
        if error := next(errors, None):
            raise error
        return to_tensor(seeds, device)

    monkeypatch.setattr("dunwu.rollout.builtin.scheduler.to_tensor", short)
    assert_same(expected, by_seed(TorchEngine(make_policy("qwen2"), max_sequences=8), requests, sampling))


def test_other_errors_of_the_device_are_not_taken_for_want_of_memory(
    make_policy: MakePolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("illegal memory access")

    monkeypatch.setattr(KVCache, "insert", broken)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        list(
            TorchEngine(make_policy("qwen2"), max_sequences=8).generate(
                requests_of((3,), 2), Sampling(max_new_tokens=5)
            )
        )


def test_what_cannot_fit_the_models_positions_is_refused(make_policy: MakePolicy) -> None:
    engine = TorchEngine(make_policy("qwen2"), max_sequences=2)
    with pytest.raises(UserError, match=r"rollout.max_new_tokens: a prompt of 9 tokens and 504 new .* 512 positions"):
        next(iter(engine.generate(requests_of((3, 9), 1), Sampling(max_new_tokens=504))))


def test_the_logits_of_a_prompt_are_those_of_its_last_token_alone(
    make_policy: MakePolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_policy("gemma2").model
    seen: list[tuple[int, ...]] = []
    logits = Head.logits

    def recording(self: Head, hidden: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(hidden.shape))
        return logits(self, hidden)

    decoder = ModuleDecoder(model)
    monkeypatch.setattr(Head, "logits", recording)
    decoder._model.lm_head.register_forward_hook(lambda *_: pytest.fail("logits of whole prompts"))
    tokens, last = torch.arange(21).view(3, 7), torch.tensor([6, 2, 4])
    with torch.inference_mode():
        picked, _ = decoder.prefill(tokens, last)
        expected = model(tokens).logits[torch.arange(3), last]
    assert seen == [(3, 32)]
    torch.testing.assert_close(picked, expected, atol=1e-5, rtol=1e-5)


def test_a_model_that_counts_positions_itself_is_refused(make_policy: MakePolicy) -> None:
    with pytest.raises(UserError, match="bloom counts them itself"):
        TorchEngine(make_policy("bloom"), max_sequences=2)


def test_a_model_with_layers_of_another_kind_is_refused(
    make_policy: MakePolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = make_policy("gemma2")
    monkeypatch.setattr(policy.model.config, "layer_types", ["full_attention", "chunked_attention"])
    with pytest.raises(UserError, match="no layers of chunked_attention"):
        TorchEngine(policy, max_sequences=2)


def test_a_model_with_other_state_is_refused(make_policy: MakePolicy, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = make_policy("gpt2")
    monkeypatch.setattr(type(policy.model), "_is_stateful", True, raising=False)
    with pytest.raises(UserError, match="gpt2 keeps more"):
        TorchEngine(policy, max_sequences=2)


def test_prompts_are_prefilled_once_for_a_group(make_policy: MakePolicy, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    prefill = FusedDecoder.prefill

    def counting(self: FusedDecoder, tokens: Any, last: Any) -> Any:
        seen.append(len(tokens))
        return prefill(self, tokens, last)

    monkeypatch.setattr(FusedDecoder, "prefill", counting)
    engine = TorchEngine(make_policy("qwen2"), max_sequences=32)
    assert len(list(engine.generate(requests_of((5, 6), 16), Sampling(max_new_tokens=3)))) == 32
    assert seen == [2]
