"""A replay buffer: samples of earlier rollouts, learned from once more under an importance correction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from dunwu.types import TrainSample

ROWS = ("token_ids", "loss_mask", "sampler_logprobs", "advantages")
NUMBERS = ("group_id", "reward", "policy_version")
"""Fields of a sample: those with a value a token, and those with one."""
APART = 1_000_000
"""Between the numbers of groups of different rollouts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What the last ``rollouts`` rollouts taught, oldest first. Immutable: a rollout that is made again draws the same.

    What is drawn keeps its advantages and the probabilities under which it was sampled; how far the policy has moved
    since is the trainer's to correct (``algorithm.importance_cap``).
    """

    rollouts: int
    kept: tuple[tuple[TrainSample, ...], ...] = field(default=(), repr=False)

    def draw(self, count: int, seed: int) -> list[TrainSample]:
        """Up to ``count`` samples, none twice, in groups of other numbers than a fresh rollout's."""
        pool = [
            replace(sample, group_id=APART * age + sample.group_id)
            for age, rollout in enumerate(self.kept, start=1)
            for sample in rollout
        ]
        chosen = np.random.default_rng(seed).permutation(len(pool))[:count]
        return [pool[i] for i in sorted(chosen)]

    def after(self, samples: Sequence[TrainSample]) -> Replay:
        """With a rollout's samples, but for those that teach nothing."""
        taught = tuple(sample for sample in samples if sample.advantages.any())
        return Replay(rollouts=self.rollouts, kept=(*self.kept, taught)[-self.rollouts :])

    def save(self, path: Path) -> None:
        """Writes all of it; the same samples give the same bytes."""
        samples = [sample for rollout in self.kept for sample in rollout]
        arrays = {
            "rollout": np.array([len(rollout) for rollout in self.kept], dtype=np.int64),
            "length": np.array([len(sample.token_ids) for sample in samples], dtype=np.int64),
            **{name: np.array([getattr(sample, name) for sample in samples]) for name in NUMBERS},
        }
        if samples:
            arrays |= {name: np.concatenate([getattr(sample, name) for sample in samples]) for name in ROWS}
        save_file(arrays, path)

    def load(self, path: Path) -> Replay:
        """This, with what ``save`` wrote."""
        arrays = load_file(path)
        ends = np.cumsum(arrays["length"])[:-1]
        rows = {name: np.split(arrays[name], ends) for name in ROWS} if len(arrays["length"]) else {}
        samples = iter(
            TrainSample(
                token_ids=rows["token_ids"][i],
                loss_mask=rows["loss_mask"][i],
                sampler_logprobs=rows["sampler_logprobs"][i],
                advantages=rows["advantages"][i],
                group_id=int(arrays["group_id"][i]),
                reward=float(arrays["reward"][i]),
                policy_version=int(arrays["policy_version"][i]),
            )
            for i in range(len(arrays["length"]))
        )
        kept = tuple(tuple(next(samples) for _ in range(count)) for count in arrays["rollout"])
        return Replay(rollouts=self.rollouts, kept=kept)
