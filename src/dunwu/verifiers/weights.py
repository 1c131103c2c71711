"""The reward as a weighted sum of named parts: reasoning + general + language (R1, arXiv 2501.12948v2, section 3).

Which parts there are, and what each weighs for a task at an update, is read from the recipe here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache

from dunwu.config.schema import RewardSpec

QUALITY = ("logic", "steps", "novelty")
"""Parts whose weights are shares of ``quality``."""


class Composition:
    """The recipe's weights, looked up by task and update."""

    def __init__(self, spec: RewardSpec) -> None:
        self._table = cache(spec.weights)
        self._weights = lru_cache(maxsize=256)(self._weights_at)  # of the updates at hand: asked for every answer
        self._wanted = cache(self._wanted_of)

    def weights(self, task: str, update: int) -> Mapping[str, float]:
        """What each part weighs; all of them stand there, so that every score of a task has the same parts."""
        return self._weights(task, update)

    def wanted(self, task: str) -> frozenset[str]:
        """The parts that weigh something at some update. Accuracy and format are always looked at."""
        return self._wanted(task)

    def _weights_at(self, task: str, update: int) -> Mapping[str, float]:
        table = self._table(task)
        quality = table["quality"].at(update)
        return {
            name: weight.at(update) * (quality if name in QUALITY else 1.0)
            for name, weight in table.items()
            if name != "quality"
        }

    def _wanted_of(self, task: str) -> frozenset[str]:
        table = self._table(task)
        used = {name for name, weight in table.items() if weight.weight and name != "quality"}
        return frozenset({"accuracy", "format"} | (used if table["quality"].weight else used - set(QUALITY)))


def sum_components(parts: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """The reward. A part that weighs nothing counts for nothing, whatever it is."""
    return sum(weights[name] * value for name, value in parts.items() if weights[name])
