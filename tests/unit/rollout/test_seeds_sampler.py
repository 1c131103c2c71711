"""Random numbers and the draw: known values, uniformity, exact masks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dunwu.rollout.builtin.sampler import draw_tokens, invert_cdf, keep_nucleus
from dunwu.rollout.seeds import derive_seed, derive_stream_keys, draw_uniforms, to_tensor
from dunwu.types import Sampling

MASK = 2**64 - 1


def splitmix(z: int) -> int:
    """The finalizer, in Python's own integers."""
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & MASK
    return z ^ (z >> 31)


def test_seeds_are_stable_and_tell_paths_apart() -> None:
    assert derive_seed(0) == 6711488920161924273
    paths: list[tuple[str | int, ...]] = [(), ("a",), ("a", 1), ("a", "1"), ("a1",), (1,), ("1",), ("a", "b"), ("ab",)]
    seeds = {derive_seed(run_seed, *path) for path in paths for run_seed in (0, 1)}
    assert len(seeds) == 2 * len(paths)
    assert all(0 <= seed < 2**63 for seed in seeds)


@given(seed=st.integers(0, 2**64 - 1), index=st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_uniforms_are_splitmix64(seed: int, index: int) -> None:
    key = splitmix((seed + 0x9E3779B97F4A7C15) & MASK)
    expected = (splitmix((key + (index + 1) * 0x9E3779B97F4A7C15) & MASK) >> 11) / 2**53
    keys = derive_stream_keys(to_tensor([seed], torch.device("cpu")))
    assert float(draw_uniforms(keys, torch.tensor([index]))) == expected


def test_uniforms_are_uniform_and_streams_unrelated() -> None:
    keys = derive_stream_keys(torch.arange(1000))
    table = torch.stack([draw_uniforms(keys, torch.full((1000,), i)) for i in range(100)])
    counts = torch.histc(table.float(), bins=50, min=0, max=1)
    assert float(((counts - 2000) ** 2 / 2000).sum()) < 95  # chi-square, 49 degrees of freedom: p = 1e-4
    assert abs(float(torch.corrcoef(table[:, :2].T)[0, 1])) < 0.4
    assert abs(float(np.corrcoef(table[:, :-1].flatten(), table[:, 1:].flatten())[0, 1])) < 0.015


@pytest.mark.parametrize("vocabulary", [7, 64, 200])
def test_draws_follow_the_softmax(vocabulary: int) -> None:
    logits = torch.randn(vocabulary, generator=torch.Generator().manual_seed(0)) * 2
    count = 40_000
    u = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    tokens, logprobs = draw_tokens(logits.expand(count, -1), u, Sampling(temperature=0.5))
    expected = torch.softmax(logits.double() / 0.5, -1)
    found = torch.bincount(tokens, minlength=vocabulary) / count
    torch.testing.assert_close(found.double(), expected, atol=2 / count, rtol=0)
    torch.testing.assert_close(logprobs.double(), expected[tokens].log(), atol=1e-5, rtol=0)


def test_impossible_tokens_are_never_drawn() -> None:
    probs = torch.zeros(4, 130)
    probs[:, 64] = 0.3
    probs[:, 100] = 0.7
    edge = torch.tensor([0.0, 0.3, 1 - 2**-53, 0.29999], dtype=torch.float64)
    assert invert_cdf(probs, edge).tolist() == [64, 64, 100, 64]  # float32(0.3) lies above 0.3
    probs[:, 100] = 0.0
    assert invert_cdf(probs, edge).tolist() == [64] * 4


def test_top_p_masks_exactly() -> None:
    probs = torch.tensor([[0.1, 0.4, 0.2, 0.3], [0.25, 0.25, 0.25, 0.25]])
    assert (keep_nucleus(probs, 0.7) > 0).tolist() == [[False, True, False, True], [True, True, True, False]]
    assert (keep_nucleus(probs, 0.71) > 0).tolist() == [[False, True, True, True], [True, True, True, False]]
    assert (keep_nucleus(probs, 0.5) > 0).tolist()[1] == [True, True, False, False]
    assert (keep_nucleus(probs, 1e-9) > 0).sum(-1).tolist() == [1, 1]
    u = torch.linspace(0, 0.999, 500, dtype=torch.float64)
    tokens, logprobs = draw_tokens(probs[:1].log().expand(500, -1), u, Sampling(top_p=0.7))
    assert torch.bincount(tokens, minlength=4).tolist() == [0, 286, 0, 214]
    assert float(logprobs.max()) == pytest.approx(math.log(0.4), abs=1e-6)


def test_greedy_takes_the_largest_and_reports_it_at_temperature_one() -> None:
    logits = torch.tensor([[1.0, 3.0, 2.0]])
    tokens, logprobs = draw_tokens(logits, torch.tensor([0.999], dtype=torch.float64), Sampling(temperature=0.0))
    assert tokens.tolist() == [1]
    assert float(logprobs) == pytest.approx(3 - math.log(math.e + math.e**2 + math.e**3), abs=1e-6)
