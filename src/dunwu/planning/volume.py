"""How much there is to learn from: conversations and their tokens, as far as a recipe tells before it has run."""

from __future__ import annotations

from typing import NamedTuple

from dunwu.config.schema import DataSpec, Recipe

BYTES_PER_TOKEN = 3
"""Of a file of conversations, for the hours of supervised training."""
WORLD_TOKENS = 40.0
"""Of a conversation of the nano world, or of each answer of a pair."""


class Volume(NamedTuple):
    """Conversations, and tokens in all of them."""

    rows: int
    tokens: float


def estimate_volume(source: str, recipe: Recipe) -> Volume | None:
    """Estimate how much a stage reads of a source.

    Of a file by its lines and bytes; of a task of the nano world by its count; of an earlier stage what it keeps at
    most, half as long as it may be (ours). None where nothing is known: tables, files that are not there.
    """
    if source in recipe.data:
        return _of_data(recipe.data[source])
    stage = recipe.stages.get(source)
    if stage is None or stage.conversations is None:
        return None
    return Volume(stage.conversations, stage.conversations * stage.longest_sequence / 2)


def _of_data(data: DataSpec) -> Volume | None:
    if data.path is None:
        return Volume(data.count, data.count * WORLD_TOKENS)
    if not data.path.is_file() or not data.path.name.endswith((".jsonl", ".ndjson")):
        return None
    return Volume(data.path.read_bytes().count(b"\n"), data.path.stat().st_size / BYTES_PER_TOKEN)
