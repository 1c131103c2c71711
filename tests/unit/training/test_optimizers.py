"""Optimizers and schedule by hand."""

from __future__ import annotations

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from dunwu.config.schema import OptimizerSpec
from dunwu.training.muon import StackedMuon, orthogonalize
from dunwu.training.optimizers import Optimizer
from dunwu.training.schedule import compute_lr_share

from .conftest import MakePolicy


def test_schedules() -> None:
    constant = OptimizerSpec(schedule="constant", warmup_steps=4)
    assert [compute_lr_share(constant, step, 10) for step in (0, 1, 3, 4, 9)] == [0.25, 0.5, 1.0, 1.0, 1.0]
    linear = OptimizerSpec(schedule="linear", final_lr_share=0.2)
    assert [compute_lr_share(linear, step, 5) for step in (0, 1, 2, 4, 9)] == pytest.approx([1.0, 0.8, 0.6, 0.2, 0.2])
    cosine = OptimizerSpec(schedule="cosine", final_lr_share=0.0, warmup_steps=1)
    assert [compute_lr_share(cosine, step, 6) for step in (0, 1, 3, 5)] == pytest.approx([1.0, 1.0, 0.5, 0.0])
    assert compute_lr_share(OptimizerSpec(schedule="linear", warmup_steps=1), 0, 1) == 1.0


def test_the_first_adamw_step_is_the_learning_rate_against_the_sign(make_policy: MakePolicy) -> None:
    model = make_policy().model
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = Optimizer(model, OptimizerSpec(lr=0.5, weight_decay=0.1, max_grad_norm=1e9))
    for p in model.parameters():
        p.grad = torch.full_like(p, -3.0)
    optimizer.step(optimizer.compute_grad_norm(), lr_share=0.2)
    for name, p in model.named_parameters():
        decay = 0.1 * 0.1 if p.ndim == 2 else 0.0  # vectors do not decay
        torch.testing.assert_close(p.detach(), before[name] * (1 - decay) + 0.1, msg=name)


def test_muon_moves_hidden_matrices_by_an_orthogonal_step_and_the_rest_as_adamw(make_policy: MakePolicy) -> None:
    model = make_policy().model
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = Optimizer(model, OptimizerSpec(name="muon", lr=0.5, muon_lr=0.1, max_grad_norm=1e9))
    generator = torch.Generator().manual_seed(0)
    for p in model.parameters():
        p.grad = torch.randn(p.shape, generator=generator)
    optimizer.step(optimizer.compute_grad_norm(), lr_share=1.0)
    for name, p in model.named_parameters():
        change = (p.detach() - before[name]).abs()
        if p.ndim == 2 and "embed" not in name and "lm_head" not in name:
            singular = torch.linalg.svdvals(p.detach() - before[name]) / 0.1
            tall = max(1.0, p.shape[0] / p.shape[1]) ** 0.5
            assert (singular / tall).median().item() == pytest.approx(1.0, abs=0.3), name
        else:
            torch.testing.assert_close(change, torch.full_like(change, 0.5), rtol=1e-3, atol=1e-4, msg=name)


def test_tables_of_positions_are_no_hidden_matrices() -> None:
    model = GPT2LMHeadModel(GPT2Config(vocab_size=20, n_positions=8, n_embd=16, n_layer=1, n_head=2))
    state_of = Optimizer(model, OptimizerSpec(name="muon"))
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    state_of.step(state_of.compute_grad_norm(), lr_share=1.0)
    by_adamw = {name.removesuffix("/exp_avg_sq") for name in state_of.export_state() if name.endswith("/exp_avg_sq")}
    matrices = {name for name, p in model.named_parameters() if p.ndim == 2}
    assert by_adamw & matrices == {"transformer.wte.weight", "transformer.wpe.weight"}


def test_the_gradient_is_clipped_to_the_recipe_s_norm(make_policy: MakePolicy) -> None:
    model = make_policy().model
    optimizer = Optimizer(model, OptimizerSpec(max_grad_norm=0.5))
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    norm = optimizer.compute_grad_norm()
    assert norm.item() == pytest.approx(sum(p.numel() for p in model.parameters()) ** 0.5, rel=1e-5)
    optimizer.step(norm, lr_share=1.0)
    assert optimizer.compute_grad_norm().item() == pytest.approx(0.5, rel=1e-4)


def test_bfloat16_weights_keep_what_a_small_step_adds(make_policy: MakePolicy) -> None:
    """Steps of 1e-4 vanish beside weights of 1 in bfloat16 (spacing 2^-7); the master copy adds them up.

    A weight moves to the next number or not at all, and on average as far as its master.
    """
    model = make_policy().model.to(torch.bfloat16)
    norm_weight = model.model.norm.weight
    optimizer = Optimizer(model, OptimizerSpec(lr=1e-4))
    before = optimizer.export_state()["model.norm.weight/master"].clone()
    for _ in range(20):
        for p in model.parameters():
            p.grad = torch.full_like(p, -1.0, dtype=torch.float32)
        optimizer.step(optimizer.compute_grad_norm(), lr_share=1.0)
    master = optimizer.export_state()["model.norm.weight/master"]
    assert (master - before).tolist() == pytest.approx([20 * 1e-4] * len(master), abs=1e-6)
    assert torch.equal(norm_weight, master.bfloat16())
    assert set(norm_weight.tolist()) == {1.0, 1.0 + 2**-7}


def test_gradients_of_bfloat16_weights_add_up_in_single_precision(make_policy: MakePolicy) -> None:
    """In bfloat16 a sum of 1 stops at 256."""
    weight = make_policy().model.to(torch.bfloat16).model.norm.weight
    model = torch.nn.Module()
    model.register_parameter("weight", weight)
    Optimizer(model, OptimizerSpec())
    for _ in range(300):
        weight.float().sum().backward()
    assert weight.grad[0].item() == 300.0


def test_orthogonal_brings_every_singular_value_near_one() -> None:
    stack = torch.randn(3, 40, 16, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalize(stack))
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_stacked_muon_agrees_with_torchs() -> None:
    torch.manual_seed(0)
    start, gradients = torch.randn(24, 16), [torch.randn(24, 16) for _ in range(3)]
    ours, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    steps = StackedMuon([ours], lr=0.02, weight_decay=0.01), torch.optim.Muon([theirs], lr=0.02, weight_decay=0.01)
    for gradient in gradients:
        for weight, optimizer in zip((ours, theirs), steps, strict=True):
            weight.grad = gradient.clone()
            optimizer.step()
    moved = (theirs - start).norm()
    assert (ours - theirs).norm() < 0.02 * moved  # theirs rounds to bfloat16
