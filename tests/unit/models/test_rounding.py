"""Single precision that rounds to a weight in bfloat16."""

from __future__ import annotations

import pytest
import torch

from dunwu.models.rounding import unround


@pytest.mark.parametrize("size", [1.0, 0.05, 3e-4])
def test_the_smallest_step_moves_weights_as_far_as_it_says(size: float) -> None:
    torch.manual_seed(0)
    weight = (size * torch.randn(1000, 1000)).bfloat16()
    found = unround(weight, 3)
    assert torch.equal(found.bfloat16(), weight)
    for step in (size * 1e-4, -size * 1e-4, size * 1e-2):
        moved = (found + step).bfloat16().float() - weight.float()
        assert moved.mean().item() == pytest.approx(step, rel=0.03)
        assert moved.mean(0).sub(step).abs().max() < 12 * abs(step * size / 1e5) ** 0.5, "in every column"


def test_a_step_along_a_gradient_moves_what_layers_give() -> None:
    torch.manual_seed(0)
    weight = (0.05 * torch.randn(3072, 576)).bfloat16()
    out, into = torch.randn(3072), torch.randn(576)
    step = 1e-4 * torch.outer(out, into)
    moved = (unround(weight, 3) + step).bfloat16().float() - weight.float()
    expected = step @ into
    assert (moved @ into - expected).norm() < 0.08 * expected.norm()


def test_every_tensor_has_places_of_its_own() -> None:
    """Two factors whose weights cross together would change their product by more than both changes."""
    torch.manual_seed(0)
    one, other = (0.05 * torch.randn(1000, 1000)).bfloat16(), (0.05 * torch.randn(1000, 1000)).bfloat16()
    crossed = [(unround(w, n) + 1e-5).bfloat16() != w for n, w in enumerate((one, other))]
    shares = [each.float().mean().item() for each in crossed]
    assert (crossed[0] & crossed[1]).float().mean().item() == pytest.approx(shares[0] * shares[1], rel=0.3)


def test_every_number_is_kept() -> None:
    bits = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16)
    for shape in ((2**16,), (2**8, 2**8), (2**15, 2), (2**16, 1)):
        weight = bits.view(torch.bfloat16).view(shape)
        found = unround(weight, 3)
        assert torch.equal(found.bfloat16().nan_to_num(7.0), weight.nan_to_num(7.0))
        assert torch.equal(found.isnan(), weight.isnan())
        normal = weight.float().isfinite() & (weight.float().abs() >= torch.finfo(torch.bfloat16).tiny)
        assert (found != weight.float())[normal].float().mean() > 0.99
    powers = unround(torch.full((4000,), -0.5).bfloat16(), 0) + 0.5
    assert powers.min().item() == pytest.approx(-(2**-9), rel=0.01)
    assert powers.max().item() == pytest.approx(2**-10, rel=0.01), "half as far, where numbers lie twice as close"


def test_shapes_and_types() -> None:
    assert unround(torch.tensor(1.0).bfloat16(), 0).shape == ()
    assert unround(torch.zeros(0, 3).bfloat16(), 0).shape == (0, 3)
    assert unround(torch.zeros(3, 0).bfloat16(), 0).shape == (3, 0)
    turned = torch.randn(5, 3).bfloat16().T
    assert torch.equal(unround(turned, 0).bfloat16(), turned)
    exact = torch.randn(5)
    assert torch.equal(unround(exact, 0), exact)
