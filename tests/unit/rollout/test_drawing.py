"""Tokens that are drawn again come from their row's own mask, also where masks have more bits than there are tokens."""

import numpy as np
import torch

from dunwu.rollout.builtin.drawing import Kinds, draw_again
from dunwu.serve.token_masks import mark_tokens
from dunwu.types import Sampling


def test_masks_of_other_lengths_are_drawn_from_together() -> None:
    vocabulary = 40
    masks = [mark_tokens([3], 40), mark_tokens([5, 39, 63], 64), mark_tokens([7, 8], 96)]
    logits = torch.zeros(3, vocabulary)
    logits[1, 39] = 20.0
    kinds: Kinds = [(Sampling(temperature=1.0, max_new_tokens=1), None)]
    tokens, logprobs = draw_again(logits, torch.full((3,), 0.6, dtype=torch.float64), kinds, masks)
    assert tokens.tolist() == [3, 39, 8]
    np.testing.assert_allclose(logprobs.numpy(), [0.0, 0.0, np.log(0.5)], atol=1e-6)
