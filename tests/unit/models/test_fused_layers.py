"""The Llama family by kernels: the numbers of transformers' own modules, forward, backward, and one token at a time."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from dunwu.config.schema import AdapterSpec, OptimizerSpec
from dunwu.kernels import operations as kernels
from dunwu.kernels.library import load_kernels
from dunwu.kernels.network import Network
from dunwu.models import fused_layers, packing
from dunwu.models.adapters import add_adapter, list_learned
from dunwu.models.fused_layers import can_fuse
from dunwu.models.logprobs import compute_token_logprobs
from dunwu.models.scalar_head import score_sequences
from dunwu.rollout.builtin.cache import KVCache
from dunwu.rollout.builtin.decoder import Decoder, make_decoder
from dunwu.rollout.builtin.kernel_decoder import KernelDecoder
from dunwu.rollout.builtin.module_decoder import ModuleDecoder
from dunwu.training.optimizers import Optimizer

pytestmark = pytest.mark.skipif(load_kernels() is None, reason="no kernels are built here")

SHAPE: dict[str, Any] = {
    "vocab_size": 97,
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "intermediate_size": 96,
    "max_position_embeddings": 512,
    "initializer_range": 0.15,
    "pad_token_id": 96,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
FAMILY: dict[str, Callable[[], Any]] = {
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SHAPE)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SHAPE)),
    "qwen3, tied": lambda: Qwen3ForCausalLM(Qwen3Config(**SHAPE, tie_word_embeddings=True)),
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SHAPE)),
    "llama, biases everywhere": lambda: LlamaForCausalLM(LlamaConfig(**SHAPE, attention_bias=True, mlp_bias=True)),
    "llama, all heads": lambda: LlamaForCausalLM(LlamaConfig(**(SHAPE | {"num_key_value_heads": 4}))),
    "llama, three heads a key": lambda: LlamaForCausalLM(
        LlamaConfig(
            **(
                SHAPE
                | {"hidden_size": 144, "num_attention_heads": 9, "num_key_value_heads": 3, "tie_word_embeddings": True}
            )
        )
    ),
    "llama, long": lambda: LlamaForCausalLM(LlamaConfig(**SHAPE, rope_parameters=LLAMA3)),
}


def make(family: str) -> Any:
    """Make a model in which norms and biases are no ones and zeros, as they are at first."""
    torch.manual_seed(0)
    model = FAMILY[family]()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    return model.eval()


def make_batch() -> packing.Packing:
    """Rows of 0 to 150 tokens that begin alike for a while, in one place or another."""
    token_ids = torch.randint(96, (9, 150), generator=torch.Generator().manual_seed(1))
    for rows, length in ((slice(0, 5), 40), (slice(2, 4), 100), (slice(6, 8), 3)):
        token_ids[rows, :length] = token_ids[rows.start, :length].clone()
    token_ids[4] = token_ids[3]
    return packing.pack(token_ids, torch.tensor([150, 30, 120, 150, 150, 1, 70, 150, 0]))


def differentiate(model: Any, tree: packing.Packing) -> tuple[Tensor, dict[str, Tensor]]:
    model.zero_grad()
    states = packing.compute_states(model, tree)
    (states * torch.linspace(-9, 9, states.numel()).view_as(states).sin()).sum().backward()  # type: ignore[no-untyped-call]
    return states.detach(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def assert_close(ours: Tensor, exact: Tensor, within: float, name: str = "") -> None:
    assert float((ours.double() - exact).norm()) <= within * float(exact.norm()), name


@pytest.mark.parametrize("rows", [7, 1024])
@pytest.mark.parametrize("family", FAMILY)
def test_states_and_gradients(family: str, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether all tokens go through a network at once or, as here, 7 of them."""
    monkeypatch.setattr(fused_layers, "ROWS", rows)
    model, tree = make(family), make_batch()
    assert packing.enable(model)
    assert can_fuse(model)
    states, grads = differentiate(model, tree)
    monkeypatch.setattr(packing, "can_fuse", lambda model: False)
    exact, exact_grads = differentiate(model.double(), tree)
    assert_close(states, exact, 4e-6)
    assert grads.keys() == exact_grads.keys()
    for name, grad in exact_grads.items():
        assert_close(grads[name], grad, 1e-5, name)


@pytest.mark.parametrize("rank", [1, 8])
@pytest.mark.parametrize("family", ["qwen2", "qwen3, tied", "llama", "llama, biases everywhere"])
def test_an_adapter_beside_every_linear_layer(family: str, rank: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("peft")
    monkeypatch.setattr(fused_layers, "ROWS", 100)
    model, tree = make(family), make_batch()
    assert packing.enable(model)
    base = packing.compute_states(model, tree).detach()
    adapted = add_adapter(model, AdapterSpec(rank=rank, alpha=3 * rank), seed=0)
    assert can_fuse(adapted)
    # B is zero at first: nothing is added.
    assert torch.equal(packing.compute_states(adapted, tree).detach(), base)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if ".lora_B." in name:
                parameter.normal_(std=0.1)
    states, grads = differentiate(adapted, tree)
    assert grads.keys() == list_learned(adapted).keys()
    assert not torch.allclose(states, base, atol=0.1)
    monkeypatch.setattr(packing, "can_fuse", lambda model: False)
    exact, exact_grads = differentiate(adapted.double(), tree)
    assert_close(states, exact, 4e-6)
    for name, grad in exact_grads.items():
        assert_close(grads[name], grad, 1e-5, name)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_twice(threads: int) -> None:
    model, tree, before = make("qwen3"), make_batch(), torch.get_num_threads()
    assert packing.enable(model)
    torch.set_num_threads(threads)
    try:
        (states, grads), (again, grads_again) = differentiate(model, tree), differentiate(model, tree)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(states, again)
    assert all(torch.equal(grads[name], grads_again[name]) for name in grads)


def test_checkpointing_changes_no_bit_and_keeps_less() -> None:
    model, tree = make("llama"), make_batch()
    assert packing.enable(model)
    states, grads = differentiate(model, tree)
    kept: list[int] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor.numel())
        return tensor

    def measure() -> int:
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            packing.compute_states(model, tree)
        return sum(kept)

    whole = measure()
    model.gradient_checkpointing_enable()
    model.train()
    states_again, grads_again = differentiate(model, tree)
    assert torch.equal(states, states_again)
    assert all(torch.equal(grads[name], grads_again[name]) for name in grads)
    assert measure() < whole / 3


def test_a_reward_model_has_the_same_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model, tree = LlamaForSequenceClassification(LlamaConfig(**SHAPE, num_labels=1)).eval(), make_batch()
    assert packing.enable(model)
    assert can_fuse(model)
    ours = packing.compute_states(model, tree).detach()
    monkeypatch.setattr(packing, "can_fuse", lambda model: False)
    assert_close(ours, packing.compute_states(model.double(), tree).detach(), 4e-6)


@pytest.mark.parametrize("change", [{"head_dim": 4}, {"intermediate_size": 50}, {"hidden_act": "gelu"}])
def test_widths_and_layers_that_the_kernels_do_not_know(change: dict[str, Any]) -> None:
    assert not can_fuse(LlamaForCausalLM(LlamaConfig(**(SHAPE | change))))


@pytest.mark.parametrize("family", FAMILY)
def test_products_of_sixteen_bits(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nearer to what the rounded weights give in double precision than transformers' own bfloat16 is."""
    model, tree = make(family).to(torch.bfloat16), make_batch()
    assert packing.enable(model)
    assert can_fuse(model)
    states, grads = differentiate(model, tree)
    monkeypatch.setattr(packing, "can_fuse", lambda model: False)
    theirs, _ = differentiate(model, tree)
    exact, exact_grads = differentiate(model.double(), tree)
    assert_close(states, exact, 0.02)
    assert (states - exact).norm() < 0.6 * (theirs - exact).norm()
    for name, grad in exact_grads.items():
        assert_close(grads[name], grad, 0.05, name)


def test_a_token_s_gradients_add_up_in_single_precision() -> None:
    """In bfloat16 a sum of 1 stops at 256."""
    model = make("qwen3").to(torch.bfloat16)
    table = model.model.embed_tokens.weight
    table.grad_dtype = torch.float32
    rows = fused_layers._Embedding.apply(torch.zeros(1001, dtype=torch.int64), table, 96)  # type: ignore[no-untyped-call]
    rows.sum().backward()
    assert table.grad[0].tolist() == [1001.0] * 64


def test_a_state_that_many_answers_share_learns_from_all_of_them() -> None:
    """Summed in bfloat16, the gradient of 1,000 answers' last prompt token came to a third."""
    model = make("llama").to(torch.bfloat16)
    precise = copy.deepcopy(model).float()
    token_ids = torch.randint(96, (1, 5), generator=torch.Generator().manual_seed(0)).repeat(1000, 1)
    mask = torch.zeros(1000, 5, dtype=torch.bool)
    mask[:, 4] = True
    for each in (model, precise):
        assert packing.enable(each)
        Optimizer(each, OptimizerSpec())
        compute_token_logprobs(each, token_ids, mask).values.sum().backward()  # type: ignore[no-untyped-call]
    for (name, weight), exact in zip(model.named_parameters(), precise.parameters(), strict=True):
        assert weight.grad.dtype == torch.float32
        assert_close(weight.grad, exact.grad, 0.03, name)
        assert not torch.equal(weight.grad, weight.grad.bfloat16().float()), f"{name} was rounded on its way"


def test_an_adapter_in_bfloat16_learns_in_single_precision() -> None:
    pytest.importorskip("peft")
    model, tree = make("qwen2").to(torch.bfloat16), make_batch()
    assert packing.enable(model)
    adapted = add_adapter(model, AdapterSpec(rank=4, alpha=8), seed=0)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if ".lora_B." in name:
                parameter.normal_(std=0.1)
    Optimizer(adapted, OptimizerSpec())
    states, grads = differentiate(adapted, tree)
    exact, exact_grads = differentiate(copy.deepcopy(adapted).float(), tree)
    assert_close(states, exact, 0.02)
    assert grads.keys() == list_learned(adapted).keys()
    for name, grad in grads.items():
        assert_close(grad, exact_grads[name], 0.04, name)
        assert not torch.equal(grad, grad.bfloat16().float()), name


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_layers_that_compute_something_else_do_not_get_our_attention(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, right = make("llama").to(dtype), kernels.attend

    def wrong(heads: Tensor, qkv: Tensor, tree: Any, shape: Any) -> tuple[Tensor, Tensor]:
        return right(heads, qkv, tree, replace(shape, scale=1.2 * shape.scale))

    with monkeypatch.context() as patch:
        patch.setattr(kernels, "attend", wrong)
        assert not packing.enable(model)
    assert packing.enable(model)


def test_scores_of_a_bfloat16_model_are_not_rounded() -> None:
    torch.manual_seed(0)
    model = LlamaForSequenceClassification(LlamaConfig(**SHAPE, num_labels=1)).eval().to(torch.bfloat16)
    assert packing.enable(model)
    scores = score_sequences(model, torch.randint(96, (64, 20)), torch.full((64,), 20))
    assert len(set(scores.tolist())) == 64
    assert not torch.equal(scores, scores.bfloat16().float())


def test_a_layer_that_computes_more_than_its_weight_says() -> None:

    class Other(torch.nn.Linear):
        """A layer that computes more than its weight says."""

    model = make("llama")
    model.model.layers[2].mlp.down_proj = Other(96, 64, bias=False)
    assert not can_fuse(model)


@pytest.mark.parametrize("family", FAMILY)
def test_decoding(family: str) -> None:
    model = make(family)
    assert isinstance(make_decoder(model), KernelDecoder)
    tokens = torch.randint(97, (5, 12), generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor([4, 7, 5, 1, 7])

    def run(decoder: Decoder) -> Tensor:
        with torch.inference_mode():
            logits, layers = decoder.prefill(tokens[:, :7], lengths - 1)
            cache, positions, seen = KVCache(5), lengths.clone(), [logits]
            cache.reserve(16, 16, 5)
            cache.insert(0, layers, torch.arange(5))
            for column in range(7, 12):
                span = int(positions.max()) + 1
                seen.append(decoder.decode(tokens[:, column], positions, cache, span, True))
                positions = positions + 1
            return torch.stack(seen)

    ours, modules = run(make_decoder(model)), run(ModuleDecoder(model))
    torch.testing.assert_close(ours, modules, rtol=1e-4, atol=1e-4)
    model.to(torch.bfloat16)
    halved = make_decoder(model)
    assert isinstance(halved, KernelDecoder)
    assert_close(run(halved), run(ModuleDecoder(model.float())), 0.01)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", FAMILY)
def test_new_weights_are_decoded_with(family: str, dtype: torch.dtype) -> None:
    model = make(family).to(dtype)
    old = make_decoder(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    new = make_decoder(model)
    tokens, last = torch.arange(12).view(2, 6), torch.tensor([5, 3])

    def run(decoder: Decoder) -> list[Tensor]:
        logits, layers = decoder.prefill(tokens, last)
        cache = KVCache(2)
        cache.reserve(8, 8, 2)
        cache.insert(0, layers, torch.arange(2))
        return [logits, decoder.decode(tokens[:, 0], last + 1, cache, 7, True)]

    with torch.inference_mode():
        before, expected = run(old), run(new)
        for name, parameter in model.named_parameters(remove_duplicate=False):
            old.parameters[name].copy_(parameter)
        after = run(old)
    assert not torch.equal(before[0], expected[0])
    assert all(map(torch.equal, after, expected))


def test_prompts_that_begin_alike_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model, read_tree, read = make("qwen3"), Network.read_tree, list[int]()

    def count(self: Network, x_FH: Tensor, *others: Any) -> None:
        read.append(len(x_FH))
        read_tree(self, x_FH, *others)

    monkeypatch.setattr(Network, "read_tree", count)
    tokens = torch.arange(60).view(3, 20)
    tokens[:, :15] = torch.arange(15)
    with torch.inference_mode():
        logits, layers = make_decoder(model).prefill(tokens, torch.tensor([19, 16, 19]))
        expected = ModuleDecoder(model).prefill(tokens, torch.tensor([19, 16, 19]))
    assert read == [15 + 5 + 2 + 5]
    torch.testing.assert_close(logits, expected[0], rtol=1e-4, atol=1e-4)
    for ours, theirs in zip(layers, expected[1], strict=True):
        for part, whole in zip(ours, theirs, strict=True):
            torch.testing.assert_close(part[[0, 2]], whole[[0, 2]], rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(part[1, :, :17], whole[1, :, :17], rtol=1e-4, atol=1e-4)


def test_a_model_of_no_kernels_still_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused_layers, "load_kernels", lambda: None)
    model = make("llama")
    assert not can_fuse(model)
    assert not isinstance(make_decoder(model), KernelDecoder)
