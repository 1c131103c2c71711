"""Which completions teach: failed grades leave, uniform groups may, and length may cost."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float64, Int

from dunwu.algorithms.group_baselines import is_uniform
from dunwu.types import RolloutGroup, ScoredGroup


def keep_graded(scored: ScoredGroup) -> ScoredGroup:
    """Leave out completions whose verifier failed: that is no reward of 0, so it must not move the baseline."""
    kept = [i for i, score in enumerate(scored.scores) if score.status != "verifier_failed"]
    if len(kept) == len(scored.scores):
        return scored
    group = RolloutGroup(prompt=scored.group.prompt, completions=tuple(scored.group.completions[i] for i in kept))
    return ScoredGroup(group=group, scores=tuple(scored.scores[i] for i in kept))


def read_rewards(scored: ScoredGroup) -> Float64[np.ndarray, " G"]:
    """Return the values of a group's scores."""
    return np.array([score.value for score in scored.scores], dtype=np.float64)


def keep_informative(groups: Iterable[ScoredGroup]) -> list[ScoredGroup]:
    """Return the groups whose graded rewards are not all equal: dynamic sampling (DAPO, arXiv 2503.14476, equation 11).

    The others carry no policy gradient and only thin out the batch. Judged before any punishment for length, as in the
    paper.
    """
    return [scored for scored in groups if not is_uniform(read_rewards(keep_graded(scored)))]


def punish_overlong(lengths_G: Int[np.ndarray, " G"], *, limit: int, buffer: int) -> Float64[np.ndarray, " G"]:
    """Return what a completion's length adds to its reward, in [-1, 0] (DAPO, arXiv 2503.14476, equation 13).

    Args:
        lengths_G: tokens of each completion.
        limit: tokens at which the punishment is -1.
        buffer: tokens below the limit over which it falls from 0 in a straight line; 0 punishes nothing.
    """
    if buffer == 0:
        return np.zeros(len(lengths_G))
    return np.clip((limit - buffer - lengths_G) / buffer, -1.0, 0.0)
