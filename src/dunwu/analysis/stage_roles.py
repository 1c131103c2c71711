"""What a stage does, read off its fields in recipe.json: a run opens where the file of its kind is gone, too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def learns_from_rewards(stage: Mapping[str, Any]) -> bool:
    """Tell whether a stage is reinforcement learning: ours, or a kind of the user's with its fields."""
    return stage.get("kind") == "rl" or {"rollout", "reward", "algorithm"} <= stage.keys()


def compares_models(stage: Mapping[str, Any]) -> bool:
    """Tell whether a stage measures several models, and trains none."""
    return stage.get("kind") == "eval" or {"models", "sets"} <= stage.keys()


def makes_reward_model(stage: Mapping[str, Any]) -> bool:
    """Tell whether a stage ends in a model that reads answers, and writes none."""
    return stage.get("kind") == "reward_model" or "learn_from" in stage
