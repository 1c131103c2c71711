"""The prefix tree: its nodes by hand, and the same numbers and gradients as whole sequences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.unit.models.shapes import SHAPE
from torch import Tensor
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from dunwu.models import packing
from dunwu.models.logprobs import compute_token_logprobs

PACKED: dict[str, Callable[[], Any]] = {
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SHAPE)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SHAPE)),
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SHAPE)),
    "llama, all heads": lambda: LlamaForCausalLM(LlamaConfig(**(SHAPE | {"num_key_value_heads": 4}))),
}
UNPACKED: dict[str, Callable[[], Any]] = {
    "windows": lambda: MistralForCausalLM(MistralConfig(**SHAPE, sliding_window=4)),
    "windows in some layers": lambda: Gemma2ForCausalLM(Gemma2Config(**SHAPE, sliding_window=4)),
    "other attention": lambda: Qwen2ForCausalLM._from_config(Qwen2Config(**SHAPE), attn_implementation="eager"),
}


def groups() -> tuple[Tensor, Tensor]:
    """Two prompts with three completions each, of unlike lengths and in mixed order; two begin alike, two are equal."""
    rows = [
        [1, 2, 3, 10, 11, 12, 13, 14, 15, 16],
        [4, 5, 20],
        [1, 2, 3, 10, 11, 30],
        [4, 5, 20, 21, 22],
        [1, 2, 3, 40],
        [4, 5, 20],
    ]
    prompts = [3, 2, 3, 2, 3, 2]
    token_ids = torch.full((6, 10), 49)
    mask = torch.zeros(6, 10, dtype=torch.bool)
    for i, row in enumerate(rows):
        token_ids[i, : len(row)] = torch.tensor(row)
        mask[i, prompts[i] : len(row)] = True
    return token_ids, mask


def test_the_tree_by_hand() -> None:
    a, b, c, d, e = range(5)
    tree = packing.pack(torch.tensor([[a, b, d, e], [a, b, c, 9], [a, b, d, 9]]), torch.tensor([4, 3, 3]))
    # Sorted: abc, abd, abde.
    assert tree.token_ids.tolist() == [a, b, c, d, e]
    assert tree.positions.tolist() == [0, 1, 2, 2, 3]
    assert tree.nodes.tolist() == [[0, 1, 3, 4], [0, 1, 2, 0], [0, 1, 3, 0]]
    # Three is less than 0.8 of four: the long row attends alone, the short ones together.
    assert [rows.tolist() for rows in tree.gathering.rows] == [[[0, 1, 3, 4]], [[0, 1, 2], [0, 1, 3]]]
    # Each node's result comes from the row that made it: abc made a, b, c; abd made d; abde made e.
    assert tree.gathering.origin.tolist() == [4, 5, 6, 9, 3]


def test_a_row_of_no_tokens_has_no_nodes() -> None:
    tree = packing.pack(torch.tensor([[7, 8], [9, 9]]), torch.tensor([2, 0]))
    assert tree.token_ids.tolist() == [7, 8]
    assert [rows.tolist() for rows in tree.gathering.rows] == [[[0, 1]]]


@pytest.mark.parametrize("family", PACKED)
def test_same_numbers_and_gradients_as_whole_sequences(family: str) -> None:
    torch.manual_seed(0)
    model = PACKED[family]().eval()
    token_ids, mask = groups()
    weights = torch.randn(mask.shape, generator=torch.Generator().manual_seed(1))
    results = []
    for packed in (False, True):
        model.zero_grad()
        assert not packed or packing.enable(model)
        ours = compute_token_logprobs(model, token_ids, mask, temperature=0.9, chunk=5)
        (ours.values * weights).sum().backward()  # type: ignore[no-untyped-call]
        results.append((ours, {name: p.grad.clone() for name, p in model.named_parameters()}))
    (whole, whole_grads), (tree, tree_grads) = results
    torch.testing.assert_close(tree.values, whole.values, rtol=1e-5, atol=2e-6)
    torch.testing.assert_close(tree.entropy, whole.entropy, rtol=1e-5, atol=2e-6)
    for name, grad in whole_grads.items():
        torch.testing.assert_close(tree_grads[name], grad, rtol=1e-4, atol=2e-5, msg=name)


def test_a_shared_prompt_is_computed_once() -> None:
    model = PACKED["qwen2"]().eval()
    assert packing.enable(model)
    widths: list[int] = []
    model.model.layers[0].mlp.register_forward_hook(lambda module, inputs, output: widths.append(inputs[0].shape[1]))
    compute_token_logprobs(model, *groups())
    # Without each row's last token: 123 | 10 11 | 12 13 14 15, and 45 | 20 21.
    assert widths == [9 + 4]


def test_an_enabled_model_still_runs_ordinary_batches() -> None:
    torch.manual_seed(0)
    model = PACKED["qwen2"]().eval()
    token_ids, _ = groups()
    padding = (token_ids != 49).long()
    before = model(input_ids=token_ids, attention_mask=padding).logits
    assert packing.enable(model)
    after = model(input_ids=token_ids, attention_mask=padding).logits
    torch.testing.assert_close(after, before, rtol=0, atol=0)


@pytest.mark.parametrize("family", UNPACKED)
def test_other_models_keep_their_own_attention(family: str) -> None:
    model = UNPACKED[family]().eval()
    before = model.config._attn_implementation
    assert not packing.enable(model)
    assert model.config._attn_implementation == before


def test_a_model_that_disagrees_keeps_its_own_attention() -> None:
    """Something between the tokens that neither config nor interface tells of."""
    model = GPT2LMHeadModel(GPT2Config(vocab_size=50, n_embd=32, n_layer=2, n_head=4, n_positions=64)).eval()
    model.transformer.h[0].register_forward_pre_hook(lambda module, args: (args[0].cumsum(1), *args[1:]))
    assert not packing.enable(model)
    assert model.config._attn_implementation == "sdpa"
