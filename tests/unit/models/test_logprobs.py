"""Chunked log-probabilities against the plain ones: values, entropies, every gradient, memory."""

from __future__ import annotations

import threading
import weakref
from typing import Any

import psutil
import pytest
import torch
from tests.unit.models.shapes import SHAPE
from torch import Tensor
from transformers import (
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PhiConfig,
    PhiForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from dunwu.errors import UserError
from dunwu.kernels.library import load_kernels
from dunwu.models import logprobs
from dunwu.models.agreement import check_head
from dunwu.models.logprobs import Head, compute_token_logprobs

FAMILIES = {
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SHAPE)),
    "qwen2-tied": lambda: Qwen2ForCausalLM(Qwen2Config(**SHAPE, tie_word_embeddings=True)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SHAPE)),
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SHAPE)),
    "phi, with a bias": lambda: PhiForCausalLM(PhiConfig(**SHAPE)),
    "granite, scaled down": lambda: GraniteForCausalLM(GraniteConfig(**SHAPE, logits_scaling=3.0)),
    "cohere, scaled": lambda: CohereForCausalLM(CohereConfig(**SHAPE, logit_scale=0.3)),
    "gemma2, soft-capped": lambda: Gemma2ForCausalLM(Gemma2Config(**SHAPE, final_logit_softcapping=2.0)),
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(vocab_size=50, n_embd=32, n_layer=2, n_head=4, n_positions=64)),
}
LENGTHS = (9, 14, 4, 14, 2)
needs_kernels = pytest.mark.skipif(load_kernels() is None, reason="no kernels are built here")


def make(family: str) -> Any:
    torch.manual_seed(0)
    return FAMILIES[family]().eval()


def batch() -> tuple[Tensor, Tensor]:
    """Right-padded tokens (the padding random too) and a mask of scored slots that leaves some real ones out."""
    generator = torch.Generator().manual_seed(1)
    token_ids = torch.randint(0, 50, (len(LENGTHS), max(LENGTHS)), generator=generator)
    real = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
    return token_ids, real & (torch.arange(max(LENGTHS)) >= 2 - (torch.arange(len(LENGTHS)) % 2)[:, None])


def plain(model: Any, token_ids: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Log-probabilities and entropies of all slots, one sequence at a time, from the model's own logits."""
    values, entropy = torch.zeros(token_ids.shape), torch.zeros(token_ids.shape)
    for row, length in enumerate(LENGTHS):
        logits = model(input_ids=token_ids[row : row + 1, :length]).logits[0, :-1].float() / temperature
        logprobs = logits.log_softmax(-1)
        values[row, 1:length] = logprobs.gather(1, token_ids[row, 1:length, None])[:, 0]
        entropy[row, 1:length] = -(logprobs.exp() * logprobs).sum(-1)
    return values, entropy


@pytest.mark.parametrize("packed_from", [1, 1024])
@pytest.mark.parametrize("family", FAMILIES)
def test_as_one_sequence_at_a_time(family: str, packed_from: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A padded batch in chunks gives the numbers, and the gradients of all weights, of single sequences in full."""
    monkeypatch.setattr(logprobs, "PACKED_FROM", packed_from)
    model, (token_ids, mask) = make(family), batch()
    weights = torch.randn(mask.shape, generator=torch.Generator().manual_seed(2)) * mask
    check_head(model)

    expected, expected_entropy = plain(model, token_ids, temperature=0.8)
    (expected * weights).sum().backward()  # type: ignore[no-untyped-call]
    expected_grads = {name: p.grad for name, p in model.named_parameters()}
    model.zero_grad()
    ours = compute_token_logprobs(model, token_ids, mask, temperature=0.8, chunk=7)
    (ours.values * weights).sum().backward()  # type: ignore[no-untyped-call]

    torch.testing.assert_close(ours.values, expected * mask, rtol=1e-5, atol=2e-6)
    torch.testing.assert_close(ours.entropy, expected_entropy * mask, rtol=1e-5, atol=2e-6)
    assert not ours.entropy.requires_grad
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, expected_grads[name], rtol=1e-4, atol=2e-5, msg=name)


def test_what_is_not_asked_for_gets_no_gradient() -> None:
    """Only the slots of the mask, and the tokens before them, reach the embeddings."""
    model = make("qwen2")
    token_ids = torch.tensor([[3, 4, 5, 6, 7]])
    mask = torch.tensor([[True, False, True, False, False]])
    ours = compute_token_logprobs(model, token_ids, mask)
    assert (ours.values[0] != 0).tolist() == [False, False, True, False, False]
    ours.values.sum().backward()  # type: ignore[no-untyped-call]
    touched = model.model.embed_tokens.weight.grad.abs().sum(1).nonzero().flatten().tolist()
    assert touched == [3, 4]


def test_a_batch_without_scored_slots() -> None:
    model, (token_ids, mask) = make("qwen2"), batch()
    ours = compute_token_logprobs(model, token_ids, torch.zeros_like(mask))
    ours.values.sum().backward()  # type: ignore[no-untyped-call]
    assert ours.values.abs().sum() == 0
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())


@pytest.mark.parametrize("chunk", [1, 2, 1000])
def test_the_chunk_does_not_matter(chunk: int) -> None:
    model, (token_ids, mask) = make("qwen2"), batch()
    one, other = (
        compute_token_logprobs(model, token_ids, mask, chunk=5),
        compute_token_logprobs(model, token_ids, mask, chunk=chunk),
    )
    torch.testing.assert_close(one.values, other.values, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(one.entropy, other.entropy, rtol=1e-6, atol=1e-6)


@needs_kernels
@pytest.mark.parametrize("family", ["qwen2", "gemma2, soft-capped"])
def test_kept_logits_change_no_bit(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All, two chunks of six, or none stay from forward to backward; a second backward makes them again."""
    model, (token_ids, mask) = make(family), batch()
    found = []
    for kept in (1 << 28, 14 * 50 * 4, 0):
        monkeypatch.setattr(logprobs, "KEPT_LOGITS_BYTES", kept)
        total = compute_token_logprobs(model, token_ids, mask, chunk=7).values.square().sum()
        for _ in range(2):
            model.zero_grad()
            total.backward(retain_graph=True)  # type: ignore[no-untyped-call]
            found.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    assert all(torch.equal(one, first) for grads in found[1:] for one, first in zip(grads, found[0], strict=True))


@needs_kernels
@pytest.mark.parametrize(("learns", "most"), [(False, 2), (True, 7)])
def test_logits_are_kept_where_gradients_are_wanted(learns: bool, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 34 slots in chunks of 5; torch says inside a function that gradients are needed even where they are not."""
    model, (token_ids, mask) = make("qwen2"), batch()
    made: list[weakref.ref[Tensor]] = []
    alive: list[int] = []
    compute = Head.logits

    def watch(head: Head, hidden: Tensor) -> Tensor:
        out = compute(head, hidden)
        made.append(weakref.ref(out))
        alive.append(sum(one() is not None for one in made))
        return out

    monkeypatch.setattr(Head, "logits", watch)
    with torch.set_grad_enabled(learns):
        kept = compute_token_logprobs(model, token_ids, mask, chunk=5)
    assert (len(made), max(alive)) == (7, most)
    assert kept.values.requires_grad is learns


def test_an_unknown_head_is_refused() -> None:
    model = make("qwen2")
    model.lm_head.register_forward_hook(lambda module, inputs, output: output * 2)
    with pytest.raises(UserError, match="Qwen2ForCausalLM makes its logits in a way that is not known"):
        check_head(model)


@pytest.mark.slow
def test_memory_at_32768_tokens_by_151936_words() -> None:
    """Peak of forward and backward above the hidden states: below 1.5 GiB, where the whole logits would be 18.6 GiB."""
    from dunwu.models.logprobs import _ChunkedLogprobs

    tokens, vocabulary, width = 32768, 151936, 16
    hidden = torch.randn(tokens, width, requires_grad=True)
    weight = torch.randn(vocabulary, width, requires_grad=True)
    targets = torch.randint(0, vocabulary, (tokens,))
    head = Head(weight=weight, bias=None, scale=1.0, softcap=None)
    process, done = psutil.Process(), threading.Event()
    before = peak = process.memory_info().rss

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.005):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    values, _ = _ChunkedLogprobs.apply(hidden, weight, None, targets, head, 1.0, 1024, True)  # type: ignore[no-untyped-call]
    values.sum().backward()
    done.set()
    watcher.join()
    assert hidden.grad is not None
    print(f"\npeak above the hidden states: {(peak - before) / 2**30:.2f} GiB")
    assert peak - before < 1.5 * 2**30
