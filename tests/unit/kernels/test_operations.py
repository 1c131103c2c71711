"""Every kernel against its formula in double precision, forward and backward."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from dunwu.kernels import operations as kernels
from dunwu.kernels.products import PackedMatrix
from dunwu.rollout.builtin.sampler import invert_cdf

from .decoding import decode

pytestmark = pytest.mark.usefixtures("kernels")
WIDTHS = (16, 48, 128, 576)


def numbers(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * scale


def differentiate(formula: Callable[..., Tensor], grad: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    """Return a formula's result and its gradients, in double precision."""
    leaves = [value.double().requires_grad_() for value in inputs]
    result = formula(*leaves)
    return result.detach(), *torch.autograd.grad(result, leaves, grad.double())


def assert_close(ours: Tensor, exact: Tensor, within: float = 2e-6) -> None:
    assert ours.shape == exact.shape
    assert float((ours.double() - exact).abs().max()) <= within * max(1.0, float(exact.abs().max()))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("tokens", [1, 3, 70])
def test_norm(width: int, tokens: int) -> None:
    x, weight, grad, residual = (
        numbers(tokens, width),
        numbers(width, seed=1),
        numbers(tokens, width, seed=2),
        numbers(tokens, width, seed=3),
    )
    exact, grad_x, grad_weight = differentiate(
        lambda x, w: x * (x.square().mean(-1, keepdim=True) + 1e-5).rsqrt() * w, grad, x, weight
    )
    out, rms = kernels.normalize(x, weight, 1e-5)
    assert_close(out, exact)
    ours_x, ours_weight = residual.clone(), torch.zeros_like(weight)
    kernels.normalize_backward(grad, x, weight, rms, ours_x, ours_weight)
    assert_close(ours_x, grad_x + residual.double())
    assert_close(ours_weight, grad_weight)


@pytest.mark.parametrize("width", WIDTHS)
def test_gate(width: int) -> None:
    gate_up, grad = numbers(5, 2 * width, scale=4.0), numbers(5, width, seed=1)

    def formula(both: Tensor) -> Tensor:
        gate, up = both.chunk(2, dim=-1)
        return functional.silu(gate) * up

    exact, grad_both = differentiate(formula, grad, gate_up)
    assert_close(kernels.gate(gate_up), exact)
    ours, again = kernels.gate_backward(grad, gate_up)
    assert_close(ours, grad_both)
    assert_close(again, exact)


def test_gate_far_out() -> None:
    gate_up = torch.tensor([[-500.0, -90.0, 500.0, 0.0] * 4 + [2.0] * 16])
    assert torch.equal(kernels.gate(gate_up), torch.tensor([[-0.0, -0.0, 1000.0, 0.0] * 4]))


def rotate_by_hand(
    qkv: Tensor, cosines: Tensor, sines: Tensor, heads: kernels.Heads, norms: Sequence[Tensor]
) -> Tensor:
    rows = qkv.view(len(qkv), -1, heads.width)[:, : heads.queries + heads.keys]
    if norms:
        weights = torch.stack([norms[0]] * heads.queries + [norms[1]] * heads.keys)
        rows = rows * (rows.square().mean(-1, keepdim=True) + heads.epsilon).rsqrt() * weights
    low, high = rows.chunk(2, dim=-1)
    return (rows * cosines[:, None] + torch.cat([-high, low], -1) * sines[:, None]).flatten(1)


@pytest.mark.parametrize("normed", [False, True])
@pytest.mark.parametrize(("queries", "keys", "width"), [(4, 2, 32), (9, 3, 64), (3, 3, 96), (2, 1, 128)])
def test_rotation(queries: int, keys: int, width: int, normed: bool) -> None:
    heads = kernels.Heads(queries=queries, keys=keys, width=width, scale=1.0, epsilon=1e-6)
    qkv, places = numbers(7, (queries + 2 * keys) * width), torch.tensor([0, 1, 2, 9, 3, 3, 5])
    angles = numbers(10, width // 2, seed=1).repeat(1, 2)
    positions = kernels.Positions(cosines=angles.cos(), sines=angles.sin(), of_tokens=places)
    weights = [numbers(width, seed=2), numbers(width, seed=3)] if normed else []
    norms = kernels.HeadNorms(query=weights[0], key=weights[1]) if normed else kernels.HeadNorms()
    grad = numbers(7, (queries + keys) * width, seed=4)
    exact, grad_qkv, *grad_norms = differentiate(
        lambda x, *n: rotate_by_hand(x, angles.cos().double()[places], angles.sin().double()[places], heads, n),
        grad,
        qkv,
        *weights,
    )
    assert_close(kernels.rotate(qkv, positions, heads, norms), exact)
    in_place = torch.cat([grad, numbers(7, keys * width, seed=5)], 1)
    values = in_place[:, grad.shape[1] :].clone()
    ours = kernels.rotate_backward(in_place, qkv, positions, heads, norms)
    assert_close(in_place[:, : grad.shape[1]], grad_qkv[:, : grad.shape[1]])
    assert torch.equal(in_place[:, grad.shape[1] :], values)  # a value is not turned
    for found, expected in zip((ours.query, ours.key), grad_norms, strict=False):
        assert found is not None
        assert_close(found, expected)


def make_tree(*paths: list[int]) -> kernels.Tree:
    """Make a tree from the segments' lengths: each path says a parent, and how long its own segment is."""
    starts = np.cumsum([0, *(length for _, length in paths)])
    positions: list[int] = []
    ends = {-1: 0}
    for segment, (parent, length) in enumerate(paths):
        positions += range(ends[parent], ends[parent] + length)
        ends[segment] = ends[parent] + length
    segments = np.stack([starts[:-1], starts[1:], [parent for parent, _ in paths]]).astype(np.int32)
    return kernels.Tree(segments=np.ascontiguousarray(segments), positions=torch.tensor(positions))


TREES = {
    "one token": [[-1, 1]],
    "a row": [[-1, 5]],
    "a row longer than two tiles of keys": [[-1, 150]],
    "exactly a tile": [[-1, 64]],
    "a prompt with three answers": [[-1, 20], [0, 70], [0, 1], [0, 33]],
    "answers that begin alike": [[-1, 3], [0, 2], [1, 1], [1, 90], [0, 66], [-1, 40], [5, 64], [5, 65]],
}


def see(tree: kernels.Tree) -> Tensor:
    """Which token sees which: itself and its path."""
    starts, stops, parents = tree.segments
    count = int(stops[-1])
    seen = torch.zeros(count, count, dtype=torch.bool)
    for segment in range(len(starts)):
        for token in range(starts[segment], stops[segment]):
            seen[token, starts[segment] : token + 1] = True
            above = parents[segment]
            while above >= 0:
                seen[token, starts[above] : stops[above]] = True
                above = parents[above]
    return seen


def attend_by_hand(heads_NC: Tensor, values_NC: Tensor, seen: Tensor, heads: kernels.Heads) -> Tensor:
    rows = heads_NC.view(len(heads_NC), -1, heads.width).transpose(0, 1)
    group = heads.queries // heads.keys
    queries, keys = rows[: heads.queries], rows[heads.queries :].repeat_interleave(group, 0)
    values = values_NC.view(len(heads_NC), -1, heads.width).transpose(0, 1).repeat_interleave(group, 0)
    scores = (queries @ keys.transpose(1, 2) * heads.scale).masked_fill(~seen, -torch.inf)
    return (scores.softmax(-1) @ values).transpose(0, 1).flatten(1)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize(("queries", "keys", "width"), [(4, 2, 32), (9, 3, 64), (5, 5, 16), (7, 1, 128)])
@pytest.mark.parametrize("tree", TREES)
def test_attention(
    tree: str, queries: int, keys: int, width: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "count_threads", lambda: threads)
    heads = kernels.Heads(queries=queries, keys=keys, width=width, scale=width**-0.5, epsilon=1e-6)
    made = make_tree(*TREES[tree])
    tokens, turned = len(made.positions), (queries + keys) * width
    qkv, grad = numbers(tokens, turned + keys * width, scale=1.5), numbers(tokens, queries * width, seed=1)
    rotated = qkv[:, :turned].contiguous()
    exact, grad_heads, grad_values = differentiate(
        lambda h, v: attend_by_hand(h, v, see(made), heads), grad, rotated, qkv[:, turned:]
    )
    out, lse = kernels.attend(rotated, qkv, made, heads)
    assert_close(out, exact)
    ours = kernels.attend_backward(grad, rotated, qkv, made, heads, out, lse)
    assert_close(ours[:, :turned], grad_heads, 5e-6)
    assert_close(ours[:, turned:], grad_values, 5e-6)


def test_attention_is_the_same_twice() -> None:
    heads = kernels.Heads(queries=4, keys=2, width=32, scale=0.2, epsilon=1e-6)
    made = make_tree(*TREES["answers that begin alike"])
    qkv = numbers(len(made.positions), 8 * 32)
    rotated, grad = qkv[:, : 6 * 32].contiguous(), numbers(len(qkv), 4 * 32, seed=1)
    out, lse = kernels.attend(rotated, qkv, made, heads)
    first, second = (kernels.attend_backward(grad, rotated, qkv, made, heads, out, lse) for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("vocabulary", [3, 16, 97, 1000])
@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_scores_of_logits(vocabulary: int, temperature: float) -> None:
    logits, grad = numbers(9, vocabulary, scale=5.0), numbers(9, seed=1)
    targets = torch.arange(9) % vocabulary
    exact, grad_logits = differentiate(
        lambda x: (x / temperature).log_softmax(-1).gather(1, targets[:, None]).squeeze(1), grad, logits
    )
    logprobs = (logits.double() / temperature).log_softmax(-1)
    values, entropy, normalizer = kernels.score(logits, targets, temperature)
    assert_close(values, exact)
    assert_close(entropy, -(logprobs.exp() * logprobs).sum(-1))
    assert_close(normalizer, (logits.double() / temperature).logsumexp(-1))
    kernels.score_backward(logits, targets, temperature, normalizer, grad)
    assert_close(logits, grad_logits)


def test_a_hidden_token_weighs_nothing() -> None:
    logits = torch.tensor([[0.0, -torch.inf, 0.0]])
    values, entropy, _ = kernels.score(logits, torch.tensor([0]), 1.0)
    assert_close(values, torch.tensor([0.5]).double().log())
    assert_close(entropy, torch.tensor([2.0]).double().log())
    tokens, logprobs = kernels.draw(logits.expand(100, 3).contiguous(), torch.linspace(0, 0.999, 100).double(), 1.0)
    assert set(tokens.tolist()) == {0, 2}
    assert_close(logprobs, torch.full((100,), 0.5).double().log())


@pytest.mark.parametrize("broken", [torch.nan, torch.inf])
def test_what_is_no_number_stays_none(broken: float) -> None:
    logits = torch.zeros(1, 40)
    logits[0, 20] = broken
    values, _, _ = kernels.score(logits, torch.tensor([0]), 1.0)
    assert not torch.isfinite(values).any()
    x = torch.ones(2, 16)
    x[1, 3] = broken
    out, _ = kernels.normalize(x, torch.ones(16), 1e-5)
    assert torch.isfinite(out[0]).all()
    assert not torch.isfinite(out[1]).all()
    heads = kernels.Heads(queries=1, keys=1, width=16, scale=1.0, epsilon=1e-6)
    qkv = torch.ones(3, 48)
    qkv[1, 20] = broken
    out, _ = kernels.attend(qkv[:, :32].contiguous(), qkv, make_tree([-1, 3]), heads)
    assert torch.isfinite(out[0]).all()
    assert torch.isnan(out[1:]).all()


@pytest.mark.parametrize("vocabulary", [3, 64, 97, 1000])
def test_drawing_is_inversion(vocabulary: int) -> None:
    logits = numbers(400, vocabulary, scale=3.0)
    uniforms = torch.rand(400, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    tokens, logprobs = kernels.draw(logits, uniforms, 0.8)
    expected = (logits.double() / 0.8).softmax(-1)
    # A number next to a border may fall on either side of it, in single precision.
    before = expected.cumsum(-1) - expected
    assert (uniforms >= before.gather(1, tokens[:, None])[:, 0] - 1e-6).all()
    assert (uniforms < (before + expected).gather(1, tokens[:, None])[:, 0] + 1e-6).all()
    assert (tokens == invert_cdf(expected.float(), uniforms)).float().mean() >= 0.99
    assert_close(logprobs, expected.gather(1, tokens[:, None])[:, 0].log())


def test_the_ends_of_the_unit_interval() -> None:
    logits = torch.tensor([[-torch.inf] * 70 + [0.0, 0.0] + [-torch.inf] * 80])
    ends = torch.tensor([0.0, np.nextafter(1.0, 0.0)], dtype=torch.float64)
    tokens, _ = kernels.draw(logits.expand(2, -1).contiguous(), ends, 1.0)
    assert tokens.tolist() == [70, 71]


@pytest.mark.parametrize(("queries", "keys", "width"), [(4, 2, 32), (9, 3, 64), (5, 5, 16), (7, 1, 128)])
def test_decoding(queries: int, keys: int, width: int) -> None:
    heads = kernels.Heads(queries=queries, keys=keys, width=width, scale=width**-0.5, epsilon=1e-6)
    positions = torch.tensor([0, 1, 6, 7, 8, 40])
    cache = numbers(8, keys, 50, width), numbers(8, keys, 50, width, seed=1)
    before = cache[0].clone(), cache[1].clone()
    qkv = numbers(6, (queries + 2 * keys) * width, seed=2)
    turned = (queries + keys) * width
    alone = torch.zeros(6, 2, dtype=torch.int32)
    ours = decode(qkv[:, :turned].contiguous(), qkv, positions, cache, alone, heads)
    for row, position in enumerate(positions.tolist()):
        new = qkv[row].view(-1, width)
        for stored, kept, token in zip(cache, before, (new[queries:-keys], new[-keys:]), strict=True):
            kept[row, :, position] = token
            assert torch.equal(stored[row], kept[row])  # the new token, and nothing else
        seen = [stored[row, :, : position + 1].double().repeat_interleave(queries // keys, 0) for stored in cache]
        weights = (new[:queries, None].double() @ seen[0].transpose(1, 2) * heads.scale).softmax(-1)
        assert_close(ours[row], (weights @ seen[1]).flatten())
    assert torch.equal(cache[0][6:], before[0][6:])


def test_a_row_reads_what_another_holds_too() -> None:
    heads = kernels.Heads(queries=4, keys=2, width=32, scale=0.2, epsilon=1e-6)
    positions, prompt = torch.tensor([40, 35, 33]), 33
    cache = numbers(3, 2, 50, 32), numbers(3, 2, 50, 32, seed=1)
    for storage in cache:
        storage[2, :, :prompt] = storage[0, :, :prompt]
    qkv = numbers(3, 8 * 32, seed=2)

    def attend(shared: list[list[int]]) -> Tensor:
        table = torch.tensor(shared, dtype=torch.int32)
        return decode(qkv[:, : 6 * 32].contiguous(), qkv, positions, cache, table, heads)

    own = attend([[0, 0], [1, 0], [2, 0]])
    for storage in cache:  # whole vectors of positions come from the other row, and are not looked at in this one
        storage[2, :, :32] = torch.nan
    assert torch.equal(attend([[0, prompt], [1, 0], [0, prompt]]), own)


def test_a_product_of_no_rows() -> None:
    assert PackedMatrix(64, 16).multiply(numbers(0, 16)).shape == (0, 64)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_product_of_no_columns(dtype: torch.dtype) -> None:
    assert PackedMatrix(3, 0, dtype).multiply(numbers(2, 0)).tolist() == [[0.0] * 3] * 2


def test_products_take_single_precision_alone() -> None:
    with pytest.raises(AssertionError, match=r"torch\.bfloat16"):
        PackedMatrix.pack(numbers(3, 4)).multiply(numbers(2, 4).bfloat16())


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    ("rows", "columns", "depth"), [(1, 64, 16), (3, 100, 48), (7, 7, 5), (128, 200, 96), (3000, 72, 100)]
)
def test_products_with_a_packed_matrix(rows: int, columns: int, depth: int, bias: bool) -> None:
    x, weight, offset = numbers(rows, depth), numbers(columns, depth, seed=1), numbers(columns, seed=2)
    matrix = PackedMatrix(columns, depth)
    cut = columns // 3
    matrix.write(cut, weight[cut:])
    matrix.write(0, weight[:cut])
    expected = x.double() @ weight.double().T + (offset.double() if bias else 0.0)
    product = matrix.multiply(x, offset if bias else None)
    assert_close(product, expected)
    turned = PackedMatrix.pack(weight.T.contiguous().T)
    assert torch.equal(turned.multiply(x, offset if bias else None), product)
    residual = numbers(rows, columns, seed=3)
    total = residual.clone()
    matrix.add_to(total, x, offset if bias else None)
    assert_close(total, expected + residual)
    # No row's bits depend on its company.
    for first, last in ((0, 1), (rows // 2, rows), (max(0, rows - 2), rows)):
        assert torch.equal(matrix.multiply(x[first:last], offset if bias else None), product[first:last])


@pytest.mark.parametrize(
    ("rows", "columns", "depth"), [(1, 64, 16), (3, 100, 47), (7, 7, 5), (128, 200, 96), (300, 72, 1)]
)
def test_products_of_sixteen_bits(rows: int, columns: int, depth: int) -> None:
    x, weight, offset = numbers(rows, depth), numbers(columns, depth, seed=1), numbers(columns, seed=2)
    x[0, 0], weight[0, 0] = 1.00390625, 1.01171875  # halfway between two: to the even one, down and up
    matrix = PackedMatrix(columns, depth, torch.bfloat16)
    cut = columns // 3
    matrix.write(cut, weight[cut:])
    matrix.write(0, weight[:cut])
    exact = x.bfloat16().double() @ weight.bfloat16().double().T
    product = matrix.multiply(x, offset)
    assert_close(product, exact + offset.double())
    assert torch.equal(PackedMatrix.pack(weight.bfloat16()).multiply(x.T.contiguous().T, offset), product)
    assert torch.equal(PackedMatrix.pack(weight.T.contiguous().T, torch.bfloat16).multiply(x, offset), product)
    total = torch.ones(rows, columns)
    matrix.add_to(total, x, None)
    assert_close(total, exact + 1.0)
    # No row's bits depend on its company, few or many.
    for first, last in ((0, 1), (rows // 2, rows), (max(0, rows - 2), rows)):
        assert torch.equal(matrix.multiply(x[first:last], offset), product[first:last])


@pytest.mark.parametrize("turn", [
    lambda x: x,
    lambda x: x.T.contiguous().T,
    lambda x: torch.stack([x, -x], dim=-1).flatten(1)[:, ::2],
], ids=["rows", "columns", "neither"])  # fmt: skip
def test_every_number_is_rounded_as_torch_rounds(turn: Callable[[Tensor], Tensor]) -> None:
    x = numbers(70, 70)  # whole vectors, and a rest
    x[::7, ::3] = 1.00390625  # halfway between two
    x[1::7, ::3] = 3.0e38
    x[2::7, ::3] = -torch.inf
    unit = torch.eye(70, dtype=torch.bfloat16)
    rounded = x.bfloat16().float()
    finite = rounded.isfinite().all(1)
    expected, whole = rounded[finite], turn(x[finite])
    assert torch.equal(PackedMatrix.pack(unit).multiply(turn(x))[finite], expected), "on the left"
    assert torch.equal(PackedMatrix.pack(whole, torch.bfloat16).multiply(unit.float()).T, expected), "packed"
    assert torch.equal(PackedMatrix.pack(whole).multiply(unit.float()).T, x[finite]), "packed as it is"
    half = PackedMatrix.pack(turn(x[finite].bfloat16()))
    assert torch.equal(half.multiply(unit.float()).T, expected), "packed without rounding"
    for place in ((20, 40), (69, 69)):
        single = torch.zeros(70, 70)
        single[place] = torch.nan
        assert PackedMatrix.pack(unit).multiply(turn(single))[place].isnan()
        assert PackedMatrix.pack(turn(single), torch.bfloat16).multiply(unit.float()).T[place].isnan()
        single[place] = -torch.inf
        assert PackedMatrix.pack(unit).multiply(turn(single))[place] == -torch.inf


def test_the_smallest_numbers_are_the_same_beside_any_others() -> None:
    for value in (1e-39, torch.finfo(torch.float32).smallest_normal * (1 - 2**-20), 3e-38):
        x = torch.full((17, 70), value)
        product = PackedMatrix.pack(torch.full((1, 70), 2.0**100).bfloat16())
        for strided in (x, x.T.contiguous().T):
            found = product.multiply(strided)
            assert torch.equal(found, found[:1].expand_as(found))
            assert torch.equal(found[:1], product.multiply(x[:1]))


def test_what_is_no_number_stays_none_in_sixteen_bits() -> None:
    x = torch.tensor([[torch.nan, 1.0], [torch.inf, 1.0], [-torch.inf, 0.0]])
    product = PackedMatrix.pack(torch.ones(3, 2, dtype=torch.bfloat16)).multiply(x)
    assert product[0].isnan().all()
    assert product[1:].tolist() == [[torch.inf] * 3, [-torch.inf] * 3]


@pytest.mark.parametrize(("threads", "keys", "shares"), [(1, 3, 1), (2, 2, 1), (2, 3, 2), (16, 3, 10), (64, 2, 32)])
def test_parts_of_a_backward_keep_threads_at_work(threads: int, keys: int, shares: int) -> None:
    assert kernels._count_shares(threads, keys) == shares
