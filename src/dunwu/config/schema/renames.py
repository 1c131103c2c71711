"""Fields of recipes that once had other names: what is refused with the new name, and how old runs are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

RENAMED: Final[Mapping[str, str]] = {
    "at_once": "concurrency",
    "called": "display_name",
    "gives": "output",
    "learns": "learn_from",
    "longer_from": "length_schedule",
    "own": "custom",
    "readable": "answer_filter",
    "reads": "input",
    "referee": "benchmark_judge",
    "sampler_gap_stop": "logprob_difference_stop",
    "sampler_gap_warning": "logprob_difference_warning",
    "similar": "curriculum",
    "similar_bounds": "curriculum_bounds",
    "slots": "max_sequences",
}
"""Old name -> new name."""
RENAMED_VALUES: Final[Mapping[str, Mapping[str, str]]] = {"by": {"own": "custom"}}
"""Field -> old value -> new value."""
NAMED_BY_USERS: Final = ("data", "fields", "stages")
"""Tables whose keys are names that a recipe gives."""


def upgrade_recipe(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recipe as a run directory holds it, perhaps written by an earlier version, with the fields of today."""
    return {name: _upgrade(name, value) for name, value in recipe.items()}


def _upgrade(field: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_upgrade("", entry) for entry in value]
    if isinstance(value, str):
        return RENAMED_VALUES.get(field, {}).get(value, value)
    if not isinstance(value, Mapping) or field == "tasks":  # the weights of a reward: tasks, and parts within them
        return value
    if field in NAMED_BY_USERS:
        return {name: _upgrade("", entry) for name, entry in value.items()}
    return {RENAMED.get(name, name): _upgrade(name, entry) for name, entry in value.items()}
