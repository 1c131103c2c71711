"""The rollout benchmark's arithmetic: what counts as a token, the ratio, the floor."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from dunwu.bench import floor, machine, rollout
from dunwu.bench.machine import ProductRates
from dunwu.bench.rollout_peers import count_tokens
from dunwu.errors import UserError


def test_padding_after_the_end_is_no_token() -> None:
    written = np.array([[5, 9, 0, 0], [9, 0, 0, 0], [5, 5, 5, 5], [5, 8, 9, 0]])
    assert count_tokens(written, (9, 8)) == 2 + 1 + 4 + 2
    assert count_tokens(written, ()) == 16


def test_the_ratio_is_over_the_best_peer() -> None:
    assert rollout.make_entry(300.0, {"hf": 100.0, "vllm": 150.0}, 600.0) == {
        "ours": 300.0,
        "unit": "tokens/s",
        "peers": {"hf": 100.0, "vllm": 150.0},
        "ratio": 2.0,
        "floor_share": 0.5,
    }
    assert rollout.make_entry(300.0, {}, 600.0)["ratio"] is None


def test_a_peer_that_there_is_not() -> None:
    with pytest.raises(
        UserError, match="--against: no peer sglang; there are hf, hf-static, hf-bf16, hf-static-bf16, vllm, "
    ):
        rollout.measure(("hf", "sglang"))


def test_the_cost_of_a_token_by_hand() -> None:
    shape = {"hidden_size": 8, "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 16}
    tied = Qwen2ForCausalLM(Qwen2Config(vocab_size=32, num_hidden_layers=3, tie_word_embeddings=True, **shape))
    untied = Qwen2ForCausalLM(Qwen2Config(vocab_size=32, num_hidden_layers=3, tie_word_embeddings=False, **shape))
    layer = 8 * 8 + 2 * 4 * 8 + 8 * 8 + 3 * 8 * 16
    for model in (tied, untied):
        cost = floor.compute_decode_cost(model)
        assert cost.matrix_flops == 2 * (3 * layer + 32 * 8)
        assert cost.flops_per_position == 4 * 8 * 3
        assert cost.bytes_per_position == 2 * 4 * 3 * 4
        assert cost.weight_bytes == 2 * cost.matrix_flops
    half = floor.compute_decode_cost(tied.bfloat16())
    assert (half.bytes_per_position, half.weight_bytes) == (2 * 4 * 3 * 2, half.matrix_flops)


def test_the_floor_is_the_slower_of_arithmetic_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    cost = floor.DecodeCost(matrix_flops=100.0, flops_per_position=2.0, bytes_per_position=8.0, weight_bytes=200.0)
    monkeypatch.setattr(floor, "measure_bandwidth", lambda: 1e9)
    positions = (2 * 10 + 3) + (3 * 10 + 6)
    assert floor.compute_floor(cost, 10.0, [2, 3], 2, 1000.0) == pytest.approx(5 / ((500 + 2 * positions) / 1000))
    monkeypatch.setattr(floor, "measure_bandwidth", lambda: 10.0)
    assert floor.compute_floor(cost, 10.0, [2, 3], 2, 1000.0) == pytest.approx(5 / ((8 * positions + 200 * 3) / 10))
    assert floor.compute_floor(cost, 10.0, [2, 3], 1, 1000.0) == pytest.approx(5 / ((8 * positions + 200 * 5) / 10))


def test_the_floor_of_a_step_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    cost = floor.DecodeCost(matrix_flops=100.0, flops_per_position=2.0, bytes_per_position=8.0, weight_bytes=200.0)
    rates = ProductRates(decode=50.0, train=200.0)
    monkeypatch.setattr(floor, "measure_bandwidth", lambda: 1e9)
    products = 100 * (5 + 20)
    assert floor.compute_step_seconds(cost, [10, 10], [2, 3], rates) == products / 50 + 4 * products / 200
    monkeypatch.setattr(floor, "measure_bandwidth", lambda: 1.0)
    reads = 8 * (2 * 10 + 3 + 3 * 10 + 6) + 200 * 3
    assert floor.compute_step_seconds(cost, [10, 10], [2, 3], rates) == reads + 4 * products / 200


def test_products_are_measured_in_the_shapes_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    config = Qwen2Config(
        vocab_size=32,
        hidden_size=8,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=16,
        tie_word_embeddings=True,
    )
    model = Qwen2ForCausalLM(config).bfloat16()
    assert machine.list_products(model) == {(8, 8): 6, (4, 8): 6, (16, 8): 6, (8, 16): 3, (32, 8): 1}
    measured: list[tuple[tuple[int, int], int]] = []

    def time_product(shape: tuple[int, int], rows: int, dtype: torch.dtype) -> float:
        assert dtype == torch.bfloat16
        measured.append((shape, rows))
        return 0.5

    monkeypatch.setattr(machine, "_time_product", time_product)
    rates = machine.measure_model_rates(model, 7)
    weights = 6 * 64 + 6 * 32 + 6 * 128 + 3 * 128 + 256
    assert rates == machine.ProductRates(decode=2 * 7 * weights / (22 * 0.5), train=2 * 1024 * weights / (22 * 0.5))
    assert len(measured) == len(set(measured)) == 10
