"""Models of random weights for benchmarks: a shape, a tokenizer of letters, completions that end by chance."""

from __future__ import annotations

import math
import random
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from dunwu.bench.sizes import END, PROMPT_TOKENS

CONSTANT = 1.0
PROBES = (16, 32)
"""Sequences and tokens on which the probability of the end is set."""


def make_random_model(
    folder: Path, config: Mapping[str, Any], mean_tokens: float | None = None, temperature: float = 1.0
) -> None:
    """Write a model of random weights, the same each time, and a tokenizer whose tokens are the 256 letters of bytes.

    Args:
        folder: Where to.
        config: In transformers' terms; see ``sizes``.
        mean_tokens: See ``make_lengths_geometric``; None: the end is as probable as any other token.
        temperature: See ``make_lengths_geometric``.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config), dtype=torch.float32).eval()
    if mean_tokens is not None:
        make_lengths_geometric(model, mean_tokens, temperature)
    model.save_pretrained(folder)
    _save_letters(folder)


@torch.no_grad()
def make_lengths_geometric(model: Any, mean_tokens: float, temperature: float = 1.0) -> None:
    """Have a model end its completions after each token with the probability 1 / ``mean_tokens``.

    The first number of every state is made constant: all embeddings share it, and no block adds to it. The row of the
    output that scores the end reads this number alone, so its score hardly depends on the text. How large it must be
    is found on random texts.

    Args:
        model: Of the Llama family.
        mean_tokens: Mean length of completions, the end included.
        temperature: At which they are drawn.
    """
    embedding, output = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    embedding[:, 0] = CONSTANT
    for layer in model.model.layers:
        layer.self_attn.o_proj.weight[0] = 0
        layer.mlp.down_proj.weight[0] = 0
    output[END] = 0
    states = model.model(torch.randint(END, PROBES)).last_hidden_state
    scores = model.get_output_embeddings()(states[:, -1])
    scores[:, END] = -torch.inf
    wanted = (scores / temperature).logsumexp(-1).mean() - math.log(mean_tokens - 1)
    output[END, 0] = temperature * wanted / states[:, -1, 0].mean()


def make_prompts(count: int) -> tuple[str, ...]:
    """Return prompts of ``PROMPT_TOKENS`` letters, the same each time."""
    draw = random.Random(0)
    return tuple("".join(draw.choices(string.ascii_lowercase, k=PROMPT_TOKENS)) for _ in range(count))


def _save_letters(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {letter: i for i, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    letters = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    letters.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    PreTrainedTokenizerFast(tokenizer_object=letters, eos_token="<|end|>", pad_token="<|pad|>").save_pretrained(folder)
