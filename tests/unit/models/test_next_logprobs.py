"""The distribution behind a text is the model's own."""

from __future__ import annotations

import numpy as np
import torch

from dunwu.models import packing
from dunwu.models.load import load_policy
from dunwu.models.next_logprobs import compute_next_logprobs


def test_the_distribution_behind_a_text_is_that_of_the_models_forward() -> None:
    model = load_policy("nano-base").model
    rng = np.random.default_rng(0)
    texts = [rng.integers(0, 500, length).astype(np.int32) for length in (1, 7, 30)]
    with torch.no_grad():
        expected = [
            model(torch.from_numpy(text.astype(np.int64))[None]).logits[0, -1].log_softmax(-1).numpy() for text in texts
        ]
    for packed in (False, True):
        if packed:
            packing.enable(model)
        for own, known in zip(compute_next_logprobs(model, texts), expected, strict=True):
            np.testing.assert_allclose(own, known, atol=2e-5)
            assert abs(float(np.exp(own).sum()) - 1.0) < 1e-4
