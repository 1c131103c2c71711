"""Keys and values of the rows that decode: row r of every layer belongs to sequence r, position p of it to token p.

S rows held, R rows that enter, B rows that decode, K key-value heads, T positions held, D head dimension. The rows that
live are always 0..B-1: a row that ends is overwritten by the last one, so that no work is spent on the dead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int32, Int64
from torch import Tensor

KeysValues = tuple[Float[Tensor, "N K P D"], Float[Tensor, "N K P D"]]
"""One layer's keys and values of N prompts."""


@dataclass(frozen=True, slots=True)
class KnownPrefix:
    """The first P tokens of a prompt, of which the keys and the values of all L layers are known."""

    layers: Float[Tensor, "L 2 K P D"]

    @classmethod
    def of_prompt(cls, prompts: Sequence[KeysValues], number: int, length: int) -> KnownPrefix:
        """Copy what is known of one prompt of several.

        Args:
            prompts: keys and values of N prompts, for every layer.
            number: which prompt.
            length: P.
        """
        parts = [part[number, :, :length] for layer in prompts for part in layer]
        return cls(torch.stack(parts).view(-1, 2, *parts[0].shape))

    @property
    def length(self) -> int:
        """P."""
        return self.layers.shape[3]


class KVCache:
    """Storage that grows by doubling, along rows and positions; shapes are learnt from the first prompt.

    Args:
        rows: S, the most sequences that can decode at once.
        room: positions of all rows together, at most; None for any number.
    """

    def __init__(self, rows: int, room: int | None = None) -> None:
        self.rows, self.room = rows, room
        self.length = 0
        self._held = 0
        self.shared: Int32[Tensor, "B 2"] = torch.zeros(rows, 2, dtype=torch.int32)
        """Of each row another that holds the same first positions, and how many: read once, they are near for the next
        row."""
        self.storages: list[KeysValues] = []
        """Keys and values of rows 0..S-1 and positions 0..T-1 in each layer, to read and to write."""

    def reserve(self, length: int, limit: int, rows: int) -> bool:
        """Make room for ``length`` positions of ``rows`` rows; at least double what is too small.

        Args:
            length: positions.
            limit: the most positions that doubling may come to.
            rows: how many of the first rows are used, or will be.

        Returns:
            Whether the storage moved.
        """
        if length <= self.length and rows <= self._held:
            return False
        if length > self.length:
            self.length = max(length, min(2 * self.length, limit))
        held = self._held if rows <= self._held else min(max(rows, 2 * self._held), self.rows)
        if self.room is not None:
            held = max(rows, min(held, self.room // self.length))
        self._held = held
        for layer, (keys, values) in enumerate(self.storages):
            self.storages[layer] = (self._resize(keys), self._resize(values))
        return bool(self.storages)

    def release(self) -> None:
        """Give back the storage; no row may be in use."""
        self.storages, self.length, self._held = [], 0, 0

    def insert(self, first: int, prompts: Sequence[KeysValues], prompt_of_row: Int64[Tensor, " R"]) -> None:
        """Copy each new row's prompt into the rows from ``first`` on.

        Args:
            first: the first new row.
            prompts: keys and values of N prompts, for every layer.
            prompt_of_row: which of the prompts each new row has.
        """
        if not self.storages:
            self.storages = [(self._empty(keys), self._empty(values)) for keys, values in prompts]
        rows = torch.arange(first, first + len(prompt_of_row), device=prompt_of_row.device)
        for stored, computed in zip(self.storages, prompts, strict=True):
            for storage, source in zip(stored, computed, strict=True):
                _copy_rows(source, prompt_of_row, storage, rows, source.shape[2])

    def move(self, source: Int64[Tensor, " M"], target: Int64[Tensor, " M"], span: int) -> None:
        """Move rows, their first ``span`` positions alone.

        Args:
            source: rows that move.
            target: where each goes.
            span: positions that are in use.
        """
        for layer in self.storages:
            for storage in layer:
                _copy_rows(storage, source, storage, target, span)

    def places(self, positions_B: Int64[Tensor, " B"]) -> Int64[Tensor, " BK"]:
        """Return where ``extend`` writes these positions of rows 0..B-1: the same for every layer."""
        rows, heads = len(positions_B), self.storages[0][0].shape[1]
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
        for storage, new_BKD in zip(self.storages[layer], (keys_BKD, values_BKD), strict=True):
            width = new_BKD.shape[2]
            storage.view(-1, width).index_copy_(0, places, new_BKD.reshape(-1, width))

    def read(self, layer: int, rows: int, span: int) -> KeysValues:
        """Return views of keys and values.

        Args:
            layer: its number.
            rows: how many of the first rows.
            span: how many of the first positions.
        """
        keys, values = self.storages[layer]
        return keys[:rows, :, :span], values[:rows, :, :span]

    def _empty(self, like: Float[Tensor, "N K P D"]) -> Float[Tensor, "S K T D"]:
        """Make zeros, because a masked position is multiplied by weight 0 and must be finite."""
        return like.new_zeros(self._held, like.shape[1], self.length, like.shape[3])

    def _resize(self, storage: Float[Tensor, "S K T D"]) -> Float[Tensor, "S2 K T2 D"]:
        resized = self._empty(storage)
        rows = min(len(storage), self._held)
        resized[:rows, :, : storage.shape[2]] = storage[:rows]
        return resized


def _copy_rows(
    source: Float[Tensor, "N K P D"],
    rows_M: Int64[Tensor, " M"],
    target: Float[Tensor, "S K T D"],
    places_M: Int64[Tensor, " M"],
    span: int,
) -> None:
    """Copy the first ``span`` positions of rows to other places; on the host by numpy, a sixth of torch's time."""
    if target.device.type != "cpu":
        target[places_M, :, :span] = source[rows_M, :, :span]
        return
    held, new = (part.view(torch.uint8).numpy() for part in (source, target))  # numpy has no bfloat16
    for row, place in zip(rows_M.tolist(), places_M.tolist(), strict=True):
        new[place, :, :span] = held[row, :, :span]
