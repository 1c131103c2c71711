"""Rollouts without rewards."""

from __future__ import annotations

from collections.abc import Sequence

from dunwu.rollout.collect import group_completions
from dunwu.rollout.engine import Engine
from dunwu.types import GenerationRequest, RolloutGroup, Sampling


def generate_groups(engine: Engine, requests: Sequence[GenerationRequest], sampling: Sampling) -> list[RolloutGroup]:
    """The groups, in the order of the requests."""
    completions = dict(engine.generate(requests, sampling))
    return [group for _, group in group_completions(requests, completions)]
