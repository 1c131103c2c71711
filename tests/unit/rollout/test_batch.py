"""Sequences that come and go: each is what it would be alone, under its own sampling, and follows who steers it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from dunwu.models.policy import Policy
from dunwu.rollout.builtin.batch import Batch, Written
from dunwu.rollout.builtin.decoder import make_decoder
from dunwu.rollout.builtin.kernel_decoder import KernelDecoder
from dunwu.rollout.builtin.prefix_store import SHORTEST, PrefixStore
from dunwu.rollout.builtin.scheduler import SequenceState, Steering
from dunwu.types import Sampling

from .conftest import SHAPE

SAMPLINGS = (
    Sampling(max_new_tokens=25),
    Sampling(max_new_tokens=12, temperature=0.0),
    Sampling(max_new_tokens=40, temperature=0.7, top_p=0.8),
)


def make_state(key: int, length: int, sampling: Sampling, steering: Steering | None = None) -> SequenceState:
    prompt = np.random.default_rng(key).integers(0, 256, length).astype(np.int32)
    return SequenceState(key=key, prompt=prompt, seed=1000 + key, sampling=sampling, steering=steering)


def make_states(count: int = 12) -> list[SequenceState]:
    return [make_state(key, 3 + 7 * key % 40, SAMPLINGS[key % 3]) for key in range(count)]


def make_batch(policy: Policy, **options: Any) -> Batch:
    return Batch(make_decoder(policy.model), policy, **{"max_sequences": 8, **options})


def finish(batch: Batch) -> dict[int, Written]:
    found = []
    while batch.unfinished:
        found += batch.step()
    return {written.state.key: written for written in found}


def write_alone(policy: Policy, states: Iterable[SequenceState]) -> dict[int, Written]:
    found: dict[int, Written] = {}
    for state in states:
        batch = make_batch(policy)
        batch.add([state])
        found |= finish(batch)
    return found


def assert_equal(one: dict[int, Written], other: dict[int, Written]) -> None:
    """To the last bit: no sum's order may depend on who stands beside a row."""
    assert one.keys() == other.keys()
    for key in one:
        assert one[key].token_ids.tolist() == other[key].token_ids.tolist(), key
        assert one[key].logprobs.tolist() == other[key].logprobs.tolist(), key
        assert one[key].finish == other[key].finish


@pytest.fixture(scope="module")
def policy(tokenizer: Any) -> Policy:
    """Wide enough for the kernels, by which alone a row does not depend on its neighbours to the last bit."""
    torch.manual_seed(1)
    sizes = {**SHAPE, "hidden_size": 64, "intermediate_size": 96, "head_dim": 32}
    model = Qwen3ForCausalLM(Qwen3Config(**sizes, tie_word_embeddings=True)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4.0 if parameter.dim() == 2 else 1.0)
    end = tokenizer.eos_token_id
    made = Policy(model=model, tokenizer=tokenizer, eos_ids=(end,), pad_id=end + 1)
    if not isinstance(make_decoder(model), KernelDecoder):
        pytest.skip("there are no kernels for this machine")
    return made


def test_sequences_that_come_one_by_one_are_as_alone(policy: Policy) -> None:
    alone = write_alone(policy, make_states())
    batch, found, waiting = make_batch(policy), list[Written](), make_states()
    steps = 0
    while waiting or batch.unfinished:
        if waiting and steps % 3 == 0:
            batch.add([waiting.pop()])
        found += batch.step()
        steps += 1
    assert_equal(alone, {written.state.key: written for written in found})
    assert {len(alone[key].token_ids) for key in range(0, 12, 3)} == {25}
    assert {alone[key].finish for key in alone} == {"length"}


def test_what_is_dropped_leaves_no_trace(policy: Policy) -> None:
    alone = write_alone(policy, make_states())
    batch, states = make_batch(policy), make_states()
    batch.add(states)
    for _ in range(4):
        batch.step()
    assert (batch.unfinished, batch.states[8:]) == (12, states[8:])
    gone = {states[0], states[5], states[11]}
    batch.drop(gone)
    assert batch.unfinished == 9
    assert not gone & set(batch.states)
    kept = {key: written for key, written in alone.items() if key not in {0, 5, 11}}
    assert_equal(kept, finish(batch))


@pytest.mark.parametrize(
    "options", [{"prefill_tokens": 8}, {"prefixes": True}, {"prefill_tokens": 5, "prefixes": True}]
)
def test_prompts_that_are_read_in_pieces_or_begin_alike(policy: Policy, options: dict[str, Any]) -> None:
    common = np.random.default_rng(9).integers(0, 256, 37).astype(np.int32)

    def make_alike() -> list[SequenceState]:
        states = [make_state(key, 1 + key % 5, SAMPLINGS[key % 3]) for key in range(9)]
        for state in states:
            state.prompt = np.append(common, state.prompt)
        states.append(make_state(9, 1, SAMPLINGS[0]))
        states[9].prompt = common
        return states

    store = PrefixStore(1 << 20) if options.pop("prefixes", False) else None
    batch = make_batch(policy, prefixes=store, max_sequences=4, **options)
    batch.add(make_alike())
    assert_equal(write_alone(policy, make_alike()), finish(batch))
    if store:
        batch.add(make_alike())
        assert_equal(write_alone(policy, make_alike()), finish(batch))
        assert store.reused > 9 * SHORTEST


def test_a_store_of_prefixes_forgets_the_oldest() -> None:
    def layers(length: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        return [(torch.ones(1, 1, length, 4), torch.ones(1, 1, length, 4))]

    store = PrefixStore(3 * 2 * 4 * 4 * 20)
    prompts = [np.arange(20, dtype=np.int32) + 100 * number for number in range(4)]
    for prompt in prompts:
        store.keep(prompt, layers(20), 0)
    assert store.find(np.append(prompts[0], 1)) is None
    found = store.find(np.append(prompts[1][:18], [7, 7]).astype(np.int32))
    assert found is not None
    assert found.length == 18
    assert found.layers.shape == (1, 2, 1, 18, 4)
    assert store.find(prompts[1][:SHORTEST]) is None, "its last token has to be read"
    store.keep(prompts[0], layers(20), 0)
    assert store.find(prompts[1]) is not None, "used later than the third"
    assert store.find(prompts[2]) is None


def test_memory_is_bounded_whoever_comes(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = make_batch(policy, room=120)
    held = []
    reserve = type(batch._cache).reserve

    def watch(self: Any, length: int, limit: int, rows: int) -> bool:
        moved = reserve(self, length, limit, rows)
        held.append(self._held * self.length)
        return moved

    monkeypatch.setattr(type(batch._cache), "reserve", watch)
    batch.add(make_states())
    assert_equal(write_alone(policy, make_states()), finish(batch))
    assert 60 < max(held) <= 120
    assert batch._cache.length == 0, "nothing is held while nobody writes"


class Steered:
    """Lets even tokens come, reads logits, and ends after seven."""

    reads_logits = True

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.likeliest: list[int] = []

    def restrict(self, token_id: int) -> Any:
        refused = len(self.tokens) % 2 and token_id % 2
        return np.full(40, 0b01010101, dtype=np.uint8) if refused else None

    def follow(self, token_id: int, logits_V: Any) -> bool:
        self.tokens.append(token_id)
        self.likeliest.append(int(logits_V.argmax()))
        return len(self.tokens) == 7


def test_who_steers_restricts_and_ends_one_row_alone(policy: Policy) -> None:
    alone = write_alone(policy, make_states())
    batch, steering, states = make_batch(policy), Steered(), make_states()
    states[4] = make_state(4, 3 + 7 * 4 % 40, SAMPLINGS[1], steering)
    batch.add(states)
    found = finish(batch)
    steered = found.pop(4)
    del alone[4]
    assert_equal(alone, found)
    assert steered.token_ids.tolist() == steering.tokens
    assert (len(steering.tokens), steered.finish) == (7, "stop")
    assert [token % 2 for token in steering.tokens[1::2]] == [0, 0, 0]
    assert steering.likeliest[::2] == steering.tokens[::2], "greedy where nothing restricts"
    assert any(token % 2 for token in steering.likeliest[1::2]), "it reads what the model would have said"
