"""Keys and values of the rows that decode: row r of every layer belongs to sequence r, position p of it to token p.

S rows held, R rows that enter, B rows that decode, K key-value heads, T positions held, D head dimension. The rows that
live are always 0..B-1: a row that ends is overwritten by the last one, so that no work is spent on the dead.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int32, Int64
from torch import Tensor

KeysValues = tuple[Float[Tensor, "N K P D"], Float[Tensor, "N K P D"]]
"""One layer's keys and values of N prompts."""


class KVCache:
    """Storage of S rows that grows along T by doubling; shapes are learnt from the first prompt.

    Args:
        rows: S, the most sequences that can decode at once.
    """

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.length = 0
        self.shared: Int32[Tensor, "B 2"] = torch.zeros(rows, 2, dtype=torch.int32)
        """Of each row another that holds the same first positions, and how many: read once, they are near for the next
        row."""
        self._layers: list[KeysValues] = []

    def reserve(self, length: int, limit: int) -> bool:
        """Make room for ``length`` positions; at least double it, up to ``limit``.

        Returns:
            Whether the storage moved.
        """
        if length <= self.length:
            return False
        self.length = max(length, min(2 * self.length, limit))
        for layer, (keys, values) in enumerate(self._layers):
            self._layers[layer] = (self._longer(keys), self._longer(values))
        return bool(self._layers)

    def insert(self, first: int, prompts: Sequence[KeysValues], prompt_of_row: Int64[Tensor, " R"]) -> None:
        """Copy each new row's prompt into the rows from ``first`` on.

        Args:
            first: the first new row.
            prompts: keys and values of N prompts, for every layer.
            prompt_of_row: which of the prompts each new row has.
        """
        if not self._layers:
            self._layers = [(self._empty(keys), self._empty(values)) for keys, values in prompts]
        rows = slice(first, first + len(prompt_of_row))
        for stored, computed in zip(self._layers, prompts, strict=True):
            for storage, source in zip(stored, computed, strict=True):
                storage[rows, :, : source.shape[2]] = source[prompt_of_row]

    def move(self, source: Int64[Tensor, " M"], target: Int64[Tensor, " M"], span: int) -> None:
        """Move rows, their first ``span`` positions alone.

        Args:
            source: rows that move.
            target: where each goes.
            span: positions that are in use.
        """
        for layer in self._layers:
            for storage in layer:
                storage[target, :, :span] = storage[source, :, :span]

    def places(self, positions_B: Int64[Tensor, " B"]) -> Int64[Tensor, " BK"]:
        """Return where ``extend`` writes these positions of rows 0..B-1: the same for every layer."""
        rows, heads = len(positions_B), self._layers[0][0].shape[1]
        places = torch.arange(rows * heads, device=positions_B.device).mul_(self.length).view(rows, heads)
        return places.add_(positions_B[:, None]).flatten()

    def extend(
        self,
        layer: int,
        keys_BKD: Float[Tensor, "B K D"],
        values_BKD: Float[Tensor, "B K D"],
        places: Int64[Tensor, " BK"],
    ) -> None:
        """Write one token of rows 0..B-1.

        Args:
            layer: its number.
            keys_BKD: of the tokens.
            values_BKD: of the tokens.
            places: see ``places``.
        """
        for storage, new_BKD in zip(self._layers[layer], (keys_BKD, values_BKD), strict=True):
            width = new_BKD.shape[2]
            storage.view(-1, width).index_copy_(0, places, new_BKD.reshape(-1, width))

    def read(self, layer: int, rows: int, span: int) -> KeysValues:
        """Return views of keys and values.

        Args:
            layer: its number.
            rows: how many of the first rows.
            span: how many of the first positions.
        """
        keys, values = self._layers[layer]
        return keys[:rows, :, :span], values[:rows, :, :span]

    def storage(self, layer: int) -> tuple[Float[Tensor, "S K T D"], Float[Tensor, "S K T D"]]:
        """Return all of one layer's keys and values, to read and to write."""
        return self._layers[layer]

    def _empty(self, like: Float[Tensor, "N K P D"]) -> Float[Tensor, "S K T D"]:
        """Make zeros, because a masked position is multiplied by weight 0 and must be finite."""
        return like.new_zeros(self.rows, like.shape[1], self.length, like.shape[3])

    def _longer(self, storage: Float[Tensor, "S K T D"]) -> Float[Tensor, "S K T2 D"]:
        longer = self._empty(storage)
        longer[:, :, : storage.shape[2]] = storage
        return longer
