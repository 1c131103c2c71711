"""The Llama family by the kernels of ``kernels``: packed weights, and attention that is one call a layer.

H hidden size, A query heads, K key-value heads, D head dimension, F nodes that are computed, M that are known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from dunwu.kernels import operations as kernels
from dunwu.kernels.products import PackedMatrix
from dunwu.models.llama_parts import LlamaParts
from dunwu.models.packing import Packing, pack
from dunwu.rollout.builtin.cache import KeysValues, KnownPrefix, KVCache
from dunwu.rollout.builtin.fused import FusedDecoder, Fusion, Layer, Linear


@dataclass(frozen=True, slots=True)
class PackedLinear:
    """See ``Linear``."""

    weight: PackedMatrix
    bias: Tensor | None

    def apply(self, x: Float[Tensor, "M H"]) -> Float[Tensor, "M C"]:
        """See ``Linear``."""
        return self.weight.multiply(x, self.bias)

    def add(self, residual: Float[Tensor, "M C"], x: Float[Tensor, "M H"]) -> Float[Tensor, "M C"]:
        """See ``Linear``."""
        self.weight.add_to(residual, x, self.bias)
        return residual


class KernelDecoder(FusedDecoder):
    """The same with the kernels of ``kernels``: packed weights, norms, gates, and all of attention in one call a layer.

    Each row attends to what it holds and to nothing else, so ragged rows cost no more than their tokens. Prompts are
    read as their prefix tree: what they share, a template or solved examples, is computed once.
    """

    def __init__(self, parts: LlamaParts) -> None:
        super().__init__(parts)
        self._plain: tuple[Tensor, Tensor] | None = None
        self._shape = kernels.Heads(
            queries=self._heads, keys=self._kv_heads, width=self._width, scale=self._scale, epsilon=self._eps
        )

    def prefill(
        self, tokens_NP: Int64[Tensor, "N P"], last_N: Int64[Tensor, " N"]
    ) -> tuple[Float[Tensor, "N V"], list[KeysValues]]:
        """See ``Decoder``."""
        packing = pack(tokens_NP, last_N + 1)
        return self._read(packing, last_N, Past.without())

    def continue_prefill(
        self, tokens_NP: Int64[Tensor, "N P"], last_N: Int64[Tensor, " N"], known: Sequence[KnownPrefix | None]
    ) -> tuple[Float[Tensor, "N V"], list[KeysValues]]:
        """See ``Decoder``."""
        packing = pack(tokens_NP, last_N + 1)
        rows = torch.arange(len(last_N), device=last_N.device)
        return self._read(packing, last_N, Past.gather(packing, packing.nodes[rows, last_N], known))

    def _read(
        self, packing: Packing, last_N: Int64[Tensor, " N"], past: Past
    ) -> tuple[Float[Tensor, "N V"], list[KeysValues]]:
        """Compute the nodes of a tree that are not known yet; attention alone sees the others."""
        fresh = past.fresh
        positions = self._place(packing.positions[fresh], int(packing.positions.max()) + 1)
        x = self._embed(packing.token_ids[fresh])
        kept: list[KeysValues] = []
        for index, layer in enumerate(self._layers):
            qkv = self._linear_qkv(layer, x)
            heads = kernels.rotate(qkv, positions, self._shape, self._head_norms(layer))
            heads, qkv = past.join(index, heads, qkv, self._shape)
            mixed = kernels.attend(heads, qkv, packing.tree, self._shape, past.wanted)[0]
            x = self._finish(layer, x, mixed[fresh])
            keys, values = (part.view(len(part), -1, self._width)[:, -self._kv_heads :] for part in (heads, qkv))
            kept.append((keys[packing.nodes].transpose(1, 2), values[packing.nodes].transpose(1, 2)))
        rows = torch.arange(len(last_N), device=last_N.device)
        return self._logits(x[past.place(packing.nodes[rows, last_N])]), kept

    def _prepare_step(
        self, positions_B: Int64[Tensor, " B"], cache: KVCache, span: int, ragged: bool
    ) -> Callable[[int, Layer, Float[Tensor, "B H"]], Float[Tensor, "B AD"]]:
        positions = self._place(positions_B, cache.length)

        def attend_layer(index: int, layer: Layer, x: Float[Tensor, "B H"]) -> Float[Tensor, "B AD"]:
            qkv = self._linear_qkv(layer, x)
            heads = kernels.rotate(qkv, positions, self._shape, self._head_norms(layer))
            return kernels.decode(heads, qkv, positions_B, cache.storage(index), cache.shared, self._shape)

        return attend_layer

    def _place(self, of_tokens: Int64[Tensor, " M"], length: int) -> kernels.Positions:
        """Return the tokens' places in rotary tables of at least ``length`` positions, which are made once."""
        if self._plain is None or len(self._plain[0]) < length:
            self._plain = self._compute_rotation(length)
        cosines, sines = self._plain
        return kernels.Positions(cosines=cosines, sines=sines, of_tokens=of_tokens)

    def _head_norms(self, layer: Layer) -> kernels.HeadNorms:
        if layer.head_norm is None:
            return kernels.HeadNorms()
        return kernels.HeadNorms(query=layer.head_norm[0], key=layer.head_norm[-1])

    def _begin_fusion(self, parts: LlamaParts) -> Fusion:
        return PackedFusion(parts)

    def _embed(self, tokens: Int64[Tensor, "*M"]) -> Float[Tensor, "*M H"]:
        return super()._embed(tokens).float()

    def _normalize(self, x: Float[Tensor, "M H"], weight: Float[Tensor, " H"]) -> Float[Tensor, "M H"]:
        return kernels.normalize(x, weight, self._eps)[0]

    def _gate(self, gate_up: Float[Tensor, "M 2F"]) -> Float[Tensor, "M F"]:
        return kernels.gate(gate_up)


@dataclass(frozen=True, slots=True)
class Past:
    """What of a tree's N nodes is known before it is read.

    Attributes:
        fresh: the nodes that are to be computed, in order; or all.
        known: the others.
        layers: keys and values of those.
        wanted: which nodes are fresh; None: all.
    """

    fresh: Int64[Tensor, " F"] | slice
    known: Int64[Tensor, " M"]
    layers: Sequence[tuple[Float[Tensor, "M KD"], Float[Tensor, "M KD"]]]
    wanted: Bool[np.ndarray, " N"] | None

    @classmethod
    def without(cls) -> Past:
        """Make one of which nothing is known."""
        return cls(slice(None), torch.empty(0, dtype=torch.int64), (), None)

    @classmethod
    def gather(cls, packing: Packing, last_N: Int64[Tensor, " N"], known: Sequence[KnownPrefix | None]) -> Past:
        """Gather the known nodes of a tree from the known beginnings of its sequences, without their last nodes."""
        prefixes = [(row, prefix) for row, prefix in enumerate(known) if prefix]
        every = np.concatenate([packing.nodes[row, : prefix.length].numpy() for row, prefix in prefixes])
        nodes, first = np.unique(every, return_index=True)
        inner = ~np.isin(nodes, last_N.numpy())
        nodes, first = nodes[inner], first[inner]
        wanted = np.ones(len(packing.token_ids), dtype=np.bool_)
        wanted[nodes] = False

        def join(parts: Iterable[Float[Tensor, "K P D"]]) -> Float[Tensor, "M KD"]:
            return torch.cat([part.transpose(0, 1).flatten(1) for part in parts])[first]

        layers = []
        for layer in zip(*(prefix.layers for _, prefix in prefixes), strict=True):
            keys, values = zip(*layer, strict=True)
            layers.append((join(keys), join(values)))
        return cls(torch.from_numpy(np.flatnonzero(wanted)), torch.from_numpy(nodes), layers, wanted)

    def join(
        self, layer: int, heads: Float[Tensor, "F A+K*D"], qkv: Float[Tensor, "F A+2K*D"], shape: kernels.Heads
    ) -> tuple[Float[Tensor, "N A+K*D"], Float[Tensor, "N A+2K*D"]]:
        """Put known keys and values beside those that were computed; queries of known nodes are 0."""
        if self.wanted is None:
            return heads, qkv
        nodes, width = len(self.wanted), shape.keys * shape.width

        def widen(part: Tensor, held: Tensor) -> Tensor:
            whole = part.new_zeros(nodes, part.shape[1])
            whole[self.fresh] = part
            whole[self.known, -width:] = held
            return whole

        keys, values = self.layers[layer]
        return widen(heads, keys), widen(qkv, values)

    def place(self, nodes: Int64[Tensor, " N"]) -> Int64[Tensor, " N"]:
        """Return where computed nodes stand among those."""
        return nodes if isinstance(self.fresh, slice) else torch.searchsorted(self.fresh, nodes)


class PackedFusion(Fusion):
    """The same with linear layers packed. A head that is tied to the embedding lies twice, as tokens are looked up."""

    def _read(self, name: str) -> Tensor:
        """Read a weight; norms and biases in single precision, as the kernels take them."""
        weight = super()._read(name)
        return weight.float() if weight.ndim == 1 else weight

    def linear(self, *prefixes: str) -> Linear:
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
