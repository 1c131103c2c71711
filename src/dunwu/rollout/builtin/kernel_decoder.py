"""The Llama family by the kernels of ``kernels``: packed weights, and all layers in one call.

H hidden size, A query heads, K key-value heads, D head dimension, F nodes that are computed, M that are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from dunwu.kernels import operations as kernels
from dunwu.kernels.network import Network, PackedLayer, PackedLinear
from dunwu.kernels.products import PackedMatrix
from dunwu.models.llama_parts import LlamaParts
from dunwu.models.packing import Packing, pack
from dunwu.rollout.builtin.cache import KeysValues, KnownPrefix, KVCache
from dunwu.rollout.builtin.fused import Fusion, Layer


class KernelDecoder:
    """See ``decoder.Decoder``. All layers are one call, into which no other thread's Python comes.

    Each row attends to what it holds and to nothing else, so ragged rows cost no more than their tokens. Prompts are
    read as their prefix tree: what they share, a template or solved examples, is computed once.
    """

    def __init__(self, parts: LlamaParts) -> None:
        self._layers, self._kv_heads, self._width = parts.layers, parts.kv_heads, parts.width
        self._compute_rotation = replace(parts, weights={}).compute_rotation
        self._table: tuple[Tensor, Tensor] | None = None
        weights = PackedFusion(parts).fuse(parts.layers)
        self._embedding, self.parameters = weights.embedding, weights.parameters
        heads = kernels.Heads(
            queries=parts.heads, keys=parts.kv_heads, width=parts.width, scale=parts.scale, epsilon=parts.epsilon
        )
        self._network = Network([_unfold(layer) for layer in weights.layers], weights.norm, weights.head, heads)

    def prefill(
        self, tokens_NP: Int64[Tensor, "N P"], last_N: Int64[Tensor, " N"]
    ) -> tuple[Float[Tensor, "N V"], list[KeysValues]]:
        """See ``Decoder``."""
        return self.continue_prefill(tokens_NP, last_N, [None] * len(last_N))

    def continue_prefill(
        self, tokens_NP: Int64[Tensor, "N P"], last_N: Int64[Tensor, " N"], known: Sequence[KnownPrefix | None]
    ) -> tuple[Float[Tensor, "N V"], list[KeysValues]]:
        """Do as ``prefill`` does where the beginnings of some prompts are known."""
        packing = pack(tokens_NP, last_N + 1)
        last = packing.nodes[torch.arange(len(last_N)), last_N].numpy()
        past = Past.gather(packing, last, known)
        fresh = torch.from_numpy(past.fresh)
        x = self._embed(packing.token_ids[fresh])
        kept = x.new_empty(self._layers, 2, len(packing.token_ids), self._kv_heads * self._width)
        if past.layers is not None:
            kept[:, :, past.known] = past.layers
        positions = self._place(packing.positions[fresh], tokens_NP.shape[1])
        self._network.read_tree(x, positions, packing.tree, past.fresh, kept)
        logits = self._network.predict(x[torch.from_numpy(np.searchsorted(past.fresh, last))])
        of_prompts = kept.index_select(2, packing.nodes.flatten()).view(
            self._layers, 2, *packing.nodes.shape, self._kv_heads, self._width
        )
        return logits, [(keys, values) for keys, values in of_prompts.transpose(3, 4)]

    def decode(
        self, tokens_B: Int64[Tensor, " B"], positions_B: Int64[Tensor, " B"], cache: KVCache, span: int, ragged: bool
    ) -> Float[Tensor, "B V"]:
        """See ``Decoder``."""
        positions = self._place(positions_B, cache.length)
        return self._network.run_step(self._embed(tokens_B), positions, cache.storages, cache.shared)

    def _place(self, of_tokens: Int64[Tensor, " M"], length: int) -> kernels.Positions:
        """Return the tokens' places in rotary tables of at least ``length`` positions, which are made once."""
        if self._table is None or len(self._table[0]) < length:
            self._table = self._compute_rotation(length)
        cosines, sines = self._table
        return kernels.Positions(cosines=cosines, sines=sines, of_tokens=of_tokens)

    def _embed(self, tokens_M: Int64[Tensor, " M"]) -> Float[Tensor, "M H"]:
        return functional.embedding(tokens_M, self._embedding).float()


def _unfold(layer: Layer[PackedLinear]) -> PackedLayer:
    norms = kernels.HeadNorms()
    if layer.head_norm is not None:
        norms = kernels.HeadNorms(query=layer.head_norm[0], key=layer.head_norm[-1])
    return PackedLayer(
        norm1=layer.norm1,
        qkv=layer.qkv,
        head_norms=norms,
        out=layer.out,
        norm2=layer.norm2,
        gate_up=layer.gate_up,
        down=layer.down,
    )


@dataclass(frozen=True, slots=True)
class Past:
    """What of a tree's N nodes is known before it is read.

    Attributes:
        fresh: the nodes that are to be computed, in order.
        known: the others.
        layers: keys and values of those; None where there are none.
    """

    fresh: Int64[np.ndarray, " F"]
    known: Int64[np.ndarray, " M"]
    layers: Float[Tensor, "L 2 M K*D"] | None

    @classmethod
    def gather(cls, packing: Packing, last: Int64[np.ndarray, " N"], known: Sequence[KnownPrefix | None]) -> Past:
        """Gather the known nodes of a tree from the known beginnings of its sequences, without their last nodes."""
        nodes = np.arange(len(packing.token_ids))
        prefixes = [(row, prefix) for row, prefix in enumerate(known) if prefix]
        if not prefixes:
            return cls(nodes, nodes[:0], None)
        every = np.concatenate([packing.nodes[row, : prefix.length].numpy() for row, prefix in prefixes])
        found, first = np.unique(every, return_index=True)
        inner = ~np.isin(found, last)
        layers = torch.cat([prefix.layers for _, prefix in prefixes], dim=3)[:, :, :, first[inner]]
        return cls(np.setdiff1d(nodes, found[inner]), found[inner], layers.transpose(2, 3).flatten(3))


class PackedFusion(Fusion[PackedLinear]):
    """See ``Fusion``. A head that is tied to the embedding lies twice, packed and as tokens are looked up."""

    def _read(self, name: str) -> Tensor:
        """Read a weight; norms and biases in single precision, as the kernels take them."""
        weight = super()._read(name)
        return weight.float() if weight.ndim == 1 else weight

    def linear(self, *prefixes: str) -> PackedLinear:
        """Pack the linear layers with these names into one."""
        weights = [self._source[f"{prefix}weight"] for prefix in prefixes]
        matrix, first = PackedMatrix(sum(map(len, weights)), weights[0].shape[1], weights[0].dtype), 0
        for weight in weights:
            place = PackedRows(matrix, first, (len(weight), weight.shape[1]), self._made.get(weight.data_ptr()))
            place.copy_(weight)
            tied = (other for other, source in self._source.items() if source.data_ptr() == weight.data_ptr())
            self._places |= dict.fromkeys(tied, place)
            first += len(weight)
        return PackedLinear(matrix, self.optional(*(f"{prefix}bias" for prefix in prefixes)))


@dataclass(frozen=True, slots=True)
class PackedRows:
    """Some rows of a packed matrix, and the same in a tensor where they lie twice. See ``weights.Place``."""

    matrix: PackedMatrix
    first: int
    shape: tuple[int, ...]
    twin: Tensor | None

    def data_ptr(self) -> int:
        """See ``weights.Place``."""
        return self.matrix.panels.data_ptr() + self.first if self.twin is None else self.twin.data_ptr()

    def copy_(self, source: Tensor, /) -> None:
        """See ``weights.Place``."""
        self.matrix.write(self.first, source.to("cpu"))
        if self.twin is not None:
            self.twin.copy_(source)
