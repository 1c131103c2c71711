"""Log-probabilities of ordinary text: what the model itself says of every token, however the text is cut."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from jaxtyping import Float32, Int32

from dunwu.models.policy import Policy
from dunwu.training import text_logprobs
from dunwu.training.text_logprobs import compute_text_logprobs

from .conftest import VOCABULARY, MakePolicy


def draw(*lengths: int) -> list[Int32[np.ndarray, " L"]]:
    """Texts of these lengths."""
    rng = np.random.default_rng(0)
    return [rng.integers(2, VOCABULARY, size=length).astype(np.int32) for length in lengths]


def by_logits(policy: Policy, ids: Int32[np.ndarray, " L"]) -> Float32[np.ndarray, " L"]:
    """The definition: log softmax of the logits one place before each token."""
    with torch.no_grad():
        logprobs = policy.model(input_ids=torch.from_numpy(ids).long()[None]).logits[0].log_softmax(-1)
    return np.array([0.0, *(float(logprobs[place - 1, token]) for place, token in enumerate(ids) if place)], np.float32)


def test_every_token_has_the_log_probability_that_the_logits_give_it(make_policy: MakePolicy) -> None:
    policy, texts = make_policy(), draw(7, 40, 2, 1)
    found = compute_text_logprobs(policy.model, texts, tokens=60, chunk=5)
    for logprobs, text in zip(found, texts, strict=True):
        np.testing.assert_allclose(logprobs, by_logits(policy, text), atol=1e-5)


def test_a_long_text_is_read_in_pieces_that_begin_with_the_last_token_before(
    make_policy: MakePolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy, (text,) = make_policy(), draw(25)
    monkeypatch.setattr(text_logprobs, "WINDOW", 10)
    (found,) = compute_text_logprobs(policy.model, [text], tokens=60)
    pieces = [by_logits(policy, text[start : start + 10])[1:] for start in (0, 9, 18)]
    np.testing.assert_allclose(found, np.concatenate([[0.0], *pieces]), atol=1e-5)
    assert len(found) == 25
    assert (found[1:] < 0).all()


def test_no_piece_is_longer_than_the_model_can_read(make_policy: MakePolicy) -> None:
    policy, (text,) = make_policy(max_position_embeddings=16), draw(40)
    (found,) = compute_text_logprobs(policy.model, [text], tokens=60)
    np.testing.assert_allclose(found[16:31], by_logits(policy, text[15:31])[1:], atol=1e-5)
