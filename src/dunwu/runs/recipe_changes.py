"""What differs between the recipe that a run began with and the one that it goes on with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from dunwu.config.schema import Recipe

FREE_FIELDS = (
    "checkpoint",
    "grading.code.allow_unsafe_sandbox",
    "grading.workers",
    "model.device",
    "model.threads",
    "reward.code.allow_unsafe_sandbox",
    "reward.workers",
    "rollout.max_sequences",
    "server",
    "max_sequences",
    "update.gradient_checkpointing",
    "update.logprob_chunk",
    "update.tokens_per_microbatch",
    "workers",
)
"""Fields of a stage that say how the work is done, not what it is: a resumed run may change them (then it is the same
run, but no longer byte for byte)."""


def is_free(field: str) -> bool:
    """Return whether a field of a stage may change when its run goes on; see ``FREE_FIELDS``."""
    return any(field == free or field.startswith(free + ".") for free in FREE_FIELDS)


def find_changes(began: Mapping[str, Any], goes_on: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield what differs, as (dotted field, before, after) for each leaf; a missing one is None.

    Args:
        began: The recipe as the run keeps it, with the names of today; fields that came later may be missing.
        goes_on: The recipe of today.
    """
    yield from _leaves(_complete(began), goes_on, "")


def _complete(recipe: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a recipe as this version writes it: fields that came later have their defaults, which is how it began."""
    try:
        return Recipe.model_validate(recipe).model_dump(mode="json", by_alias=True)
    except ValidationError:  # fields that went
        return recipe


def _leaves(before: Any, after: Any, field: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in sorted(before.keys() | after.keys()):
            yield from _leaves(before.get(name), after.get(name), f"{field}.{name}" if field else name)
    elif before != after:
        yield field, before, after
