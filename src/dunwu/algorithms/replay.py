"""A replay buffer: samples of earlier rollouts, learned from once more under an importance correction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from safetensors.numpy import load_file, save_file

from dunwu.types import GradedSample, TrainSample

ROWS = ("token_ids", "loss_mask", "sampler_logprobs")
NUMBERS = ("group_id", "reward", "policy_version")
"""Fields of a sample that are kept: those with a value a token, and those with one."""
GROUPS_APART = 1_000_000
"""Between the numbers of groups of different rollouts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptSample:
    """A sample and the advantages that it had (``TrainSample.kept_advantages``).

    What its siblings earned is not kept, so ``member`` is 0.
    """

    sample: GradedSample
    advantages: Float32[np.ndarray, " L"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What the last ``rollouts`` rollouts taught, oldest first. Immutable: a rollout that is made again draws the same.

    A sample keeps its advantages and the probabilities under which it was sampled; how far the policy has moved since
    is the loss's to correct (``algorithm.importance_cap``).
    """

    rollouts: int
    kept: tuple[tuple[KeptSample, ...], ...] = field(default=(), repr=False)

    def draw(self, count: int, seed: int) -> list[KeptSample]:
        """Draw up to ``count`` samples, none twice, in groups of other numbers than a fresh rollout's."""
        pool = [
            replace(one, sample=replace(one.sample, group_id=GROUPS_APART * age + one.sample.group_id))
            for age, rollout in enumerate(self.kept, start=1)
            for one in rollout
        ]
        chosen = np.random.default_rng(seed).permutation(len(pool))[:count]
        return [pool[i] for i in sorted(chosen)]

    def add(self, samples: Sequence[TrainSample]) -> Replay:
        """Return the buffer with a rollout's samples, but for those that teach nothing."""
        taught = tuple(
            KeptSample(sample=replace(one.sample, member=0), advantages=one.kept_advantages)
            for one in samples
            if one.kept_advantages.any()
        )
        return Replay(rollouts=self.rollouts, kept=(*self.kept, taught)[-self.rollouts :])

    def save(self, path: Path) -> None:
        """Write all of it; the same samples give the same bytes."""
        kept = [one for rollout in self.kept for one in rollout]
        arrays = {
            "rollout": np.array([len(rollout) for rollout in self.kept], dtype=np.int64),
            "length": np.array([len(one.advantages) for one in kept], dtype=np.int64),
            **{name: np.array([getattr(one.sample, name) for one in kept]) for name in NUMBERS},
        }
        if kept:
            arrays |= {name: np.concatenate([getattr(one.sample, name) for one in kept]) for name in ROWS}
            arrays["advantages"] = np.concatenate([one.advantages for one in kept])
        save_file(arrays, path)

    def load(self, path: Path) -> Replay:
        """Return a buffer of this size with what ``save`` wrote."""
        arrays = load_file(path)
        ends = np.cumsum(arrays["length"])[:-1]
        names = (*ROWS, "advantages") if len(arrays["length"]) else ()
        rows = {name: np.split(arrays[name], ends) for name in names}
        samples = iter(
            KeptSample(
                sample=GradedSample(
                    token_ids=rows["token_ids"][i],
                    loss_mask=rows["loss_mask"][i],
                    sampler_logprobs=rows["sampler_logprobs"][i],
                    group_id=int(arrays["group_id"][i]),
                    member=0,
                    reward=float(arrays["reward"][i]),
                    policy_version=int(arrays["policy_version"][i]),
                ),
                advantages=rows["advantages"][i],
            )
            for i in range(len(arrays["length"]))
        )
        kept = tuple(tuple(next(samples) for _ in range(count)) for count in arrays["rollout"])
        return Replay(rollouts=self.rollouts, kept=kept)
