"""All layers in one call are the separate kernels one after the other, to the last bit."""

from __future__ import annotations

import ctypes
import re
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from dunwu.kernels import network as records
from dunwu.kernels import operations as kernels
from dunwu.kernels.network import Network, PackedLayer, PackedLinear
from dunwu.kernels.products import PackedMatrix
from dunwu.kernels.sources import FOLDER
from dunwu.models.packing import Packing, pack

from .decoding import decode

VOCABULARY, DEPTH = 70, 3


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A model's shape and parts, and the type of its matrices."""

    queries: int = 4
    keys: int = 2
    width: int = 32
    hidden: int = 64
    inner: int = 96
    bias: bool = False
    head_norms: bool = False
    dtype: torch.dtype = torch.float32

    @property
    def heads(self) -> kernels.Heads:
        return kernels.Heads(
            queries=self.queries, keys=self.keys, width=self.width, scale=self.width**-0.5, epsilon=1e-6
        )


VARIANTS = {
    "plain": Variant(),
    "biases": Variant(bias=True),
    "head norms": Variant(head_norms=True),
    "both, three heads a key, odd sizes": Variant(
        queries=9, keys=3, width=64, hidden=144, inner=208, bias=True, head_norms=True
    ),
    "one key head": Variant(queries=2, keys=1, width=128),
}
every_variant = pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
both_types = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])


class Model:
    """Random weights; the layers as the separate kernels compute them."""

    def __init__(self, variant: Variant) -> None:
        self.variant, self.heads = variant, variant.heads
        self._random = torch.Generator().manual_seed(0)
        mixed, held = variant.queries * variant.width, variant.keys * variant.width
        self.layers = [
            PackedLayer(
                norm1=self.draw(variant.hidden),
                qkv=self.make_linear(mixed + 2 * held, variant.hidden),
                head_norms=kernels.HeadNorms(query=self.draw(variant.width), key=self.draw(variant.width))
                if variant.head_norms
                else kernels.HeadNorms(),
                out=self.make_linear(variant.hidden, mixed),
                norm2=self.draw(variant.hidden),
                gate_up=self.make_linear(2 * variant.inner, variant.hidden),
                down=self.make_linear(variant.hidden, variant.inner),
            )
            for _ in range(DEPTH)
        ]
        self.norm, self.head = self.draw(variant.hidden), self.make_linear(VOCABULARY, variant.hidden)
        angles = self.draw(64, variant.width // 2).repeat(1, 2)
        self.tables = angles.cos(), angles.sin()
        self.network = Network(self.layers, self.norm, self.head, self.heads)

    def draw(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self._random)

    def make_linear(self, rows: int, columns: int) -> PackedLinear:
        weight = self.draw(rows, columns) * columns**-0.5
        return PackedLinear(
            PackedMatrix.pack(weight, self.variant.dtype), self.draw(rows) if self.variant.bias else None
        )

    def place(self, of_tokens: Tensor) -> kernels.Positions:
        return kernels.Positions(cosines=self.tables[0], sines=self.tables[1], of_tokens=of_tokens)

    def project(self, layer: PackedLayer, x: Tensor, of_tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return queries, keys and values; and the first two rotated."""
        qkv = multiply(layer.qkv, kernels.normalize(x, layer.norm1, self.heads.epsilon)[0])
        return qkv, kernels.rotate(qkv, self.place(of_tokens), self.heads, layer.head_norms)

    def finish(self, layer: PackedLayer, x: Tensor, mixed: Tensor) -> None:
        layer.out.weight.add_to(x, mixed, layer.out.bias)
        gate_up = multiply(layer.gate_up, kernels.normalize(x, layer.norm2, self.heads.epsilon)[0])
        layer.down.weight.add_to(x, kernels.gate(gate_up), layer.down.bias)

    def predict(self, x: Tensor) -> Tensor:
        return multiply(self.head, kernels.normalize(x, self.norm, self.heads.epsilon)[0])


def multiply(linear: PackedLinear, x: Tensor) -> Tensor:
    return linear.weight.multiply(x, linear.bias)


def run_step(
    model: Model, x: Tensor, positions: Tensor, storages: list[tuple[Tensor, Tensor]], shared: Tensor
) -> Tensor:
    for layer, storage in zip(model.layers, storages, strict=True):
        qkv, heads = model.project(layer, x, positions)
        model.finish(layer, x, decode(heads, qkv, positions, storage, shared, model.heads))
    return model.predict(x)


@pytest.mark.usefixtures("kernels")
@both_types
@every_variant
@pytest.mark.parametrize("rows", [1, 9])
def test_a_step(variant: Variant, dtype: torch.dtype, rows: int) -> None:
    model = Model(Variant(**{**vars(variant), "dtype": dtype}))
    shape = rows + 2, variant.keys, 40, variant.width
    storages = [(model.draw(*shape), model.draw(*shape)) for _ in model.layers]
    x, positions = model.draw(rows, variant.hidden), torch.arange(rows) * 3
    shared = torch.stack([torch.arange(rows), torch.zeros(rows)], dim=1).int()
    kept = [(keys.clone(), values.clone()) for keys, values in storages]
    expected = run_step(model, x.clone(), positions, kept, shared)
    assert torch.equal(model.network.run_step(x.clone(), model.place(positions), storages, shared), expected)
    for stored, theirs in zip(storages, kept, strict=True):
        assert all(map(torch.equal, stored, theirs))


@pytest.mark.usefixtures("kernels")
def test_weights_are_written_where_they_are() -> None:
    model = Model(VARIANTS["biases"])
    x = model.draw(2, model.variant.hidden)
    before = model.network.predict(x.clone())
    model.norm.mul_(2.0)
    assert torch.equal(model.network.predict(x.clone()), model.predict(x))
    model.head.weight.write(0, model.draw(VOCABULARY, model.variant.hidden))
    assert model.head.bias is not None
    model.head.bias.zero_()
    after = model.network.predict(x.clone())
    assert torch.equal(after, model.predict(x))
    assert not torch.equal(after, before)


def make_tree() -> Packing:
    """Rows of 1 to 50 tokens, some of which begin alike."""
    token_ids = torch.randint(9, (6, 50), generator=torch.Generator().manual_seed(1))
    token_ids[1:4, :20] = token_ids[0, :20]
    return pack(token_ids, torch.tensor([50, 20, 33, 21, 1, 40]))


def read_tree(model: Model, x: Tensor, tree: kernels.Tree) -> tuple[Tensor, Tensor]:
    turned, held = model.heads.queries * model.heads.width, model.heads.keys * model.heads.width
    kept = []
    for layer in model.layers:
        qkv, heads = model.project(layer, x, tree.positions)
        model.finish(layer, x, kernels.attend(heads, qkv, tree, model.heads)[0])
        kept.append(torch.stack([heads[:, turned:], qkv[:, -held:]]))
    return x, torch.stack(kept)


@pytest.mark.usefixtures("kernels")
@both_types
@every_variant
def test_a_tree(variant: Variant, dtype: torch.dtype) -> None:
    model, packing = Model(Variant(**{**vars(variant), "dtype": dtype})), make_tree()
    tree, nodes = packing.tree, len(packing.token_ids)
    x = model.draw(nodes, variant.hidden)
    states, kept = read_tree(model, x.clone(), tree)
    for fresh in (np.arange(nodes), np.flatnonzero(packing.positions.numpy() >= 17)):
        ours, found = x[fresh], kept.clone()
        found[:, :, fresh] = torch.nan  # what is known is read, and the rest written
        model.network.read_tree(ours, model.place(tree.positions[fresh]), tree, fresh, found)
        assert torch.equal(ours, states[fresh])
        assert torch.equal(found, kept)


def test_records_are_those_of_the_sources() -> None:
    """The fields of each record are those of the structure in C++, in their order."""
    types = {"int64_t": ctypes.c_int64, "int": ctypes.c_int, "float": ctypes.c_float, "Matrix": records.MatrixRecord}
    text = re.sub(r"//.*", "", (FOLDER / "network.h").read_text(encoding="utf-8"))
    for name, body in re.findall(r"struct (\w+) \{(.*?)\};", text, flags=re.DOTALL):
        fields = []
        for kind, names in re.findall(r"(?:const )?(\w+\*?) ([^;]*);", body):
            for field in names.split(","):
                address = "*" in kind + field
                fields.append((field.strip(" *"), ctypes.c_void_p if address else types[kind]))
        assert fields == list(getattr(records, f"{name}Record")._fields_), name
