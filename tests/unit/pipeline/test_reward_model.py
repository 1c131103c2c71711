"""Which pairs a reward model learns from."""

from __future__ import annotations

import numpy as np

from dunwu.config.schema import DataSpec
from dunwu.pipeline.stages.reward_cases import RewardCase, balance_lengths, split_cases
from dunwu.tasks.world import conversations
from dunwu.types import Preference


def case(name: str, chosen: int, rejected: int) -> RewardCase:
    record = Preference(id=name, category="c", language="en", messages=(), question=name, chosen="x", rejected="y")
    return RewardCase(record=record, tokens=np.zeros(chosen, np.int32), worse=np.zeros(rejected, np.int32), good=True)


def test_longer_is_as_often_better_as_worse() -> None:
    longer = [case(f"longer-{n}", 9, 5) for n in range(20)]
    shorter = [case(f"shorter-{n}", 3, 5) for n in range(6)]
    alike = [case("alike", 5, 5)]
    mixed = [*longer[:10], *alike, *shorter, *longer[10:]]
    kept = balance_lengths(mixed, seed=1)
    assert [one for one in kept if one in shorter] == shorter
    assert sum(one in longer for one in kept) == 6
    assert alike[0] in kept
    assert kept == [one for one in mixed if one in kept], "in the order of the file"
    assert balance_lengths(mixed, seed=2) != kept
    assert balance_lengths([*shorter, *alike], seed=1) == alike


def test_no_question_is_kept_apart_in_one_language_and_learnt_from_in_another() -> None:
    """Of data that left a fifth out for benchmarks: what is kept apart here is of the rest."""
    spec = DataSpec(task="requests", count=600, languages=("en", "zh"), held_out=0.2)
    none = np.zeros(1, np.int32)
    cases = [
        RewardCase(record=one, tokens=none, worse=None, good=one.good) for one in conversations.make_labelled(spec)
    ]
    training, held_out = split_cases(cases, 0.1)
    assert len(training) + len(held_out) == 600
    assert 20 < len(held_out) < 140
    assert {one.record.language for one in held_out} == {"en", "zh"}
    assert not {one.record.question for one in held_out} & {one.record.question for one in training}
