"""The reward as a weighted sum of components: reasoning + general + language (R1, arXiv 2501.12948v2, section 3).

Which components there are, and what each weighs for a task at an update, is read from the recipe here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache

from dunwu.config.schema import RewardSpec

QUALITY = ("logic", "steps", "novelty")
"""Components whose weights are shares of ``quality``."""
UPDATES_KEPT = 256
"""Pairs of a task and an update whose weights are remembered: they are asked for with every answer."""


class RewardWeights:
    """The recipe's weights, by task and update.

    Args:
        spec: The recipe's rewards.
    """

    def __init__(self, spec: RewardSpec) -> None:
        self._table = cache(spec.weights)
        self.at = lru_cache(maxsize=UPDATES_KEPT)(self._find_weights)
        """(task, update) -> what each component weighs; all of them stand there, so that every score of a task has the
        same ones."""
        self.find_used = cache(self._find_used)
        """task -> the components that weigh something at some update; accuracy and format are always looked at."""

    def _find_weights(self, task: str, update: int) -> Mapping[str, float]:
        table = self._table(task)
        quality = table["quality"].at(update)
        return {
            name: weight.at(update) * (quality if name in QUALITY else 1.0)
            for name, weight in table.items()
            if name != "quality"
        }

    def _find_used(self, task: str) -> frozenset[str]:
        table = self._table(task)
        used = {name for name, weight in table.items() if weight.weight and name != "quality"}
        return frozenset({"accuracy", "format"} | (used if table["quality"].weight else used - set(QUALITY)))


def sum_components(components: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """Return the reward. A component that weighs nothing counts for nothing, whatever it is."""
    return sum(weights[name] * value for name, value in components.items() if weights[name])
