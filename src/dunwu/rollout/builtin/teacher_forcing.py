"""What the built-in engine makes of texts that are there already: decoded token by token, as if it wrote them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float32, Int64
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from dunwu.rollout.builtin.cache import KVCache
from dunwu.rollout.builtin.decoder import Decoder


@torch.inference_mode()
def compute_forced_logprobs(
    decoder: Decoder, rows: Sequence[Int64[Tensor, " T"]], written: int, pad_id: int
) -> Float32[Tensor, "R W"]:
    """Compute log-probabilities of the last tokens of each row, all rows in one cache.

    Args:
        decoder: the engine's.
        rows: token ids of whole sequences; like prompts are prefilled once.
        written: W, how many of the last tokens count as written after the prompt.
        pad_id: fills the prompts.
    """
    prompts = {tuple(row[:-written].tolist()): row[:-written] for row in rows}
    order = list(prompts)
    device = rows[0].device
    prompt_of_row = torch.tensor([order.index(tuple(row[:-written].tolist())) for row in rows], device=device)
    last_N = torch.tensor([len(prompt) - 1 for prompt in order], device=device)
    padded_NP = pad_sequence(list(prompts.values()), batch_first=True, padding_value=pad_id)
    logits_NV, layers = decoder.prefill(padded_NP, last_N)
    cache = KVCache(len(rows))
    longest = max(map(len, rows))
    cache.reserve(longest, longest, len(rows))
    cache.insert(0, layers, prompt_of_row)
    tokens_RW = torch.stack([row[-written:] for row in rows])
    positions_R = last_N[prompt_of_row]
    steps = [logits_NV[prompt_of_row]]
    for column in range(written - 1):
        positions_R = positions_R + 1
        span = int(positions_R.max()) + 1
        ragged = bool(positions_R.min() + 1 != span)
        steps.append(decoder.decode(tokens_RW[:, column], positions_R, cache, span, ragged))
    logprobs_RWV = torch.stack(steps, 1).float().log_softmax(-1)
    return logprobs_RWV.gather(2, tokens_RW[:, :, None])[:, :, 0]
