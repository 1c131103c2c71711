"""The replay buffer: what it keeps, draws and takes back from disk."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from dunwu.algorithms.replay import GROUPS_APART, KeptSample, Replay
from dunwu.types import GradedSample, SampleLogprobs, TrainSample


def sample(number: int, advantage: float = 1.0) -> TrainSample:
    length = 2 + number % 3
    mask = np.arange(length) > 0
    graded = GradedSample(
        token_ids=np.full(length, number, np.int32),
        loss_mask=mask,
        sampler_logprobs=(-0.1 * mask).astype(np.float32),
        group_id=number % 2,
        member=number % 3,
        reward=number / 4,
        policy_version=number,
    )
    kept = (advantage * mask).astype(np.float32)
    logprobs = SampleLogprobs(old_logprobs=kept - 1, ref_logprobs=None)
    return TrainSample(sample=graded, logprobs=logprobs, advantages=kept - 5, returns=None, kept_advantages=kept)


def numbers(samples: list[KeptSample] | tuple[KeptSample, ...]) -> list[int]:
    return [int(one.sample.token_ids[0]) for one in samples]


def test_the_last_rollouts_are_kept_and_what_teaches_nothing_is_not() -> None:
    replay = Replay(rollouts=2)
    for rollout in ([1, 2], [3, 4], [5, 6]):
        replay = replay.add([sample(n, advantage=n % 2) for n in rollout])
    assert [numbers(kept) for kept in replay.kept] == [[3], [5]]
    ((three,), _) = replay.kept
    assert three.advantages.tolist() == sample(3).kept_advantages.tolist() != sample(3).advantages.tolist()
    assert three.sample.member == 0


def test_draws_follow_the_seed_and_repeat_nothing() -> None:
    replay = Replay(rollouts=3).add([sample(n) for n in range(8)]).add([sample(n) for n in range(8, 16)])
    drawn = replay.draw(6, seed=1)
    assert numbers(drawn) == numbers(replay.draw(6, seed=1)) != numbers(replay.draw(6, seed=2))
    assert len(set(numbers(drawn))) == 6
    assert sorted(numbers(replay.draw(100, seed=1))) == list(range(16))
    assert Replay(rollouts=1).draw(4, seed=0) == []


def test_groups_of_different_rollouts_stay_apart() -> None:
    replay = Replay(rollouts=2).add([sample(0), sample(2)]).add([sample(4)])
    groups = {int(one.sample.token_ids[0]): one.sample.group_id for one in replay.draw(3, seed=0)}
    assert groups == {0: GROUPS_APART, 2: GROUPS_APART, 4: 2 * GROUPS_APART}


@pytest.mark.parametrize("rollouts", [[], [[]], [[1, 2, 3]], [[1], [], [2, 5]]])
def test_disk_gives_back_every_bit(rollouts: list[list[int]], tmp_path: Path) -> None:
    replay = Replay(rollouts=4)
    for rollout in rollouts:
        replay = replay.add([sample(n) for n in rollout])
    replay.save(tmp_path / "replay")
    loaded = Replay(rollouts=4).load(tmp_path / "replay")
    assert [numbers(kept) for kept in loaded.kept] == rollouts
    for mine, theirs in zip(sum(replay.kept, ()), sum(loaded.kept, ()), strict=True):
        assert np.array_equal(mine.advantages, theirs.advantages)
        assert mine.advantages.dtype == theirs.advantages.dtype
        for one in fields(GradedSample):
            value, other = getattr(mine.sample, one.name), getattr(theirs.sample, one.name)
            assert np.array_equal(value, other), one.name
            assert type(value) is type(other), one.name
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "replay").read_bytes()
