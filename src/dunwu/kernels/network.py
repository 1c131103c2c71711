"""All layers of a model of the Llama family in one call, so that a thread comes back to Python once a step.

N nodes of a tree, F of them fresh, B rows; L layers, H hidden size, A query heads, K key-value heads, D head dimension.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Int32, Int64
from torch import Tensor

from dunwu.kernels.library import call_kernel, count_scratch
from dunwu.kernels.operations import HeadNorms, Heads, Positions, Tree
from dunwu.kernels.products import PackedMatrix


class MatrixRecord(ctypes.Structure):
    """``Matrix`` of source/network.h."""

    _fields_ = (
        ("panels", ctypes.c_void_p),
        ("bias", ctypes.c_void_p),
        ("rows", ctypes.c_int64),
        ("columns", ctypes.c_int64),
        ("paired", ctypes.c_int64),
    )


class LayerRecord(ctypes.Structure):
    """``Layer`` of source/network.h."""

    _fields_ = (
        ("norm1", ctypes.c_void_p),
        ("query_norm", ctypes.c_void_p),
        ("key_norm", ctypes.c_void_p),
        ("norm2", ctypes.c_void_p),
        ("qkv", MatrixRecord),
        ("out", MatrixRecord),
        ("gate_up", MatrixRecord),
        ("down", MatrixRecord),
    )


class NetworkRecord(ctypes.Structure):
    """``Network`` of source/network.h."""

    _fields_ = (
        ("layers", ctypes.c_void_p),
        ("norm", ctypes.c_void_p),
        ("head", MatrixRecord),
        ("count", ctypes.c_int64),
        ("query_heads", ctypes.c_int),
        ("key_heads", ctypes.c_int),
        ("width", ctypes.c_int),
        ("scale", ctypes.c_float),
        ("epsilon", ctypes.c_float),
    )


@dataclass(frozen=True, slots=True)
class PackedLinear:
    """A linear layer: a packed matrix, and a bias where there is one."""

    weight: PackedMatrix
    bias: Tensor | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedLayer:
    """One layer's weights, in single precision where they are not packed."""

    norm1: Float32[Tensor, " H"]
    qkv: PackedLinear
    head_norms: HeadNorms
    out: PackedLinear
    norm2: Float32[Tensor, " H"]
    gate_up: PackedLinear
    down: PackedLinear


class Network:
    """A model without its embedding, described to the kernels once: by the addresses of its weights.

    New weights are written where the old ones are, and nothing need be described again.

    Args:
        layers: Their weights.
        norm: The last one's weight.
        head: From last states to logits.
        heads: How queries, keys and values are cut, in every layer.
    """

    def __init__(
        self, layers: Sequence[PackedLayer], norm: Float32[Tensor, " H"], head: PackedLinear, heads: Heads
    ) -> None:
        self._weights = layers, norm, head  # what lies at the addresses
        self._heads, self._vocabulary = heads, head.weight.shape[0]
        self._layers = (LayerRecord * len(layers))(*map(_describe_layer, layers))
        shape = heads.queries, heads.keys, heads.width, heads.scale, heads.epsilon
        record = NetworkRecord(ctypes.addressof(self._layers), norm.data_ptr(), _describe(head), len(layers), *shape)
        self._record, self._address = record, ctypes.addressof(record)
        self._scratch = count_scratch(self._address)

    def predict(self, x_MH: Float32[Tensor, "M H"]) -> Float32[Tensor, "M V"]:
        """Compute logits of last states, which are lost."""
        logits_MV = x_MH.new_empty(len(x_MH), self._vocabulary)
        call_kernel("dunwu_predict", self._address, x_MH, logits_MV, len(x_MH))
        return logits_MV

    def run_step(
        self,
        x_BH: Float32[Tensor, "B H"],
        positions: Positions,
        storages: Sequence[tuple[Float32[Tensor, "S K T D"], Float32[Tensor, "S K T D"]]],
        shared_B2: Int32[Tensor, "B 2"],
    ) -> Float32[Tensor, "B V"]:
        """Read one token of each row, whose keys and values are written to the cache.

        Args:
            x_BH: embeddings of the tokens, which are lost.
            positions: of the tokens; below T.
            storages: keys and values of rows 0..S-1 in each layer, B of which are used.
            shared_B2: of each row another, or the same, that holds the same keys and values, and at how many positions.

        Returns:
            Logits after the tokens.
        """
        rows, length = len(x_BH), storages[0][0].shape[2]
        assert len(shared_B2) >= rows, "a row of its own for each, where nothing is shared"
        places = np.array([part.data_ptr() for storage in storages for part in storage])
        logits_BV = x_BH.new_empty(rows, self._vocabulary)
        call_kernel(
            "dunwu_run_step",
            self._address,
            x_BH,
            *_list_tables(positions),
            shared_B2,
            places,
            length,
            rows,
            x_BH.new_empty(rows * self._scratch),
            logits_BV,
        )
        return logits_BV

    def read_tree(
        self,
        x_FH: Float32[Tensor, "F H"],
        positions: Positions,
        tree: Tree,
        fresh_F: Int64[np.ndarray, " F"],
        kept_L2NC: Float32[Tensor, "L 2 N K*D"],
    ) -> None:
        """Read the nodes of a tree that are not known yet; attention alone sees the others.

        Args:
            x_FH: embeddings of the fresh nodes, which become their last states.
            positions: of the fresh nodes.
            tree: all nodes.
            fresh_F: which of them are fresh.
            kept_L2NC: keys and values of all nodes; those of fresh ones are written.
        """
        nodes = len(tree.positions)
        blocks = tree.cut(self._heads.queries // self._heads.keys, fresh_F)
        queries_NC = x_FH.new_zeros(nodes, self._heads.queries * self._heads.width)
        call_kernel(
            "dunwu_read_tree",
            self._address,
            x_FH,
            *_list_tables(positions),
            fresh_F,
            len(fresh_F),
            *tree.segments,
            tree.positions,
            blocks,
            len(blocks),
            nodes,
            x_FH.new_empty(len(x_FH) * self._scratch),
            queries_NC,
            torch.empty_like(queries_NC),
            kept_L2NC,
        )


def _list_tables(positions: Positions) -> tuple[Tensor, Tensor, Tensor]:
    return positions.cosines, positions.sines, positions.of_tokens


def _describe_layer(layer: PackedLayer) -> LayerRecord:
    norms = (layer.norm1, layer.head_norms.query, layer.head_norms.key, layer.norm2)
    linears = (layer.qkv, layer.out, layer.gate_up, layer.down)
    return LayerRecord(*map(_find_address, norms), *map(_describe, linears))


def _describe(linear: PackedLinear) -> MatrixRecord:
    matrix = linear.weight
    return MatrixRecord(matrix.panels.data_ptr(), _find_address(linear.bias), *matrix.shape, matrix.is_paired)


def _find_address(weight: Tensor | None) -> int | None:
    assert weight is None or weight.dtype == torch.float32, weight.dtype
    return None if weight is None else weight.data_ptr()
