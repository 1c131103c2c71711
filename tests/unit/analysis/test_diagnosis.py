"""Every flag by series made by hand, ill and healthy; a real run is healthy; short runs raise nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dunwu.analysis.diagnosis import Flag, Limits, TrainingHistory, diagnose
from dunwu.config.schema import RLStage
from dunwu.types import Estimate

Row = dict[str, float]
ROLLOUTS = 40


Series = Callable[[float], float]


def made(rollouts: int = ROLLOUTS, **series: Series) -> list[Row]:
    """A healthy run with some of its series replaced: functions of how far the run is, from 0 to 1."""
    healthy: dict[str, Series] = {
        "reward": lambda x: 0.4 + 0.4 * x,
        "accuracy": lambda x: 0.3 + 0.4 * x,
        "entropy": lambda x: 0.5 - 0.3 * x,
        "length": lambda x: 100 + 300 * x,
        "uniform_groups": lambda x: 0.1 + 0.3 * x,
        "clip_low": lambda x: 0.004,
        "clip_high": lambda x: 0.006,
        "truncated": lambda x: 0.02 + 0.01 * math.sin(9 * x),
        "language": lambda x: 0.97,
        "logprob_difference_mean": lambda x: 2e-7,
    }
    return [
        {"step": 4.0 * (i + 1), **{name: value(i / max(1, rollouts - 1)) for name, value in (healthy | series).items()}}
        for i in range(rollouts)
    ]


def around(value: float, half: float = 0.02) -> Estimate:
    return Estimate(value=value, low=value - half, high=value + half)


def flags(
    rows: Sequence[Row], held_out: Sequence[tuple[float, dict[str, Estimate]]] = (), **limits: Any
) -> dict[str, Flag]:
    found = diagnose(
        TrainingHistory(rows=rows, held_out=held_out, limits=Limits(**({"logprob_difference": 0.05} | limits)))
    )
    return {flag.name: flag for flag in found}


def red(rows: Sequence[Row], held_out: Sequence[tuple[float, dict[str, Estimate]]] = (), **limits: Any) -> set[str]:
    return {name for name, flag in flags(rows, held_out, **limits).items() if flag.red}


RISING = [
    (0.0, {"pass@1": around(0.3), "language": around(0.9)}),
    (160.0, {"pass@1": around(0.6), "language": around(0.96)}),
]


def test_a_healthy_run_is_looked_at_by_every_rule_and_raises_none() -> None:
    found = flags(made(), RISING)
    assert list(found) == [
        "engine against trainer",
        "entropy",
        "length",
        "groups with a gradient",
        "reward against held-out answers",
        "clipping",
        "truncation",
        "language",
    ]
    assert red(made(), RISING) == set()


@pytest.mark.parametrize(
    ("name", "series", "figure"),
    [
        (
            "engine against trainer",
            {"logprob_difference_mean": lambda x: 0.03 if x == 1.0 else 2e-7},
            "log-probabilities differ by up to 0.03 nats a token (step 160), at the first rollout by 2e-07",
        ),
        ("entropy", {"entropy": lambda x: 0.5 * math.exp(-5 * x)}, "0.0044 nats a token, 0.39 at the beginning"),
        (
            "length",
            {"length": lambda x: 100 + 300 * x, "accuracy": lambda x: 0.5, "reward": lambda x: 0.5 + 0.1 * x},
            "385 tokens a response, 115 when answers were as good",
        ),
        ("length", {"accuracy": lambda x: 0.6 - 0.2 * x}, "385 tokens a response, 115 when answers were as good"),
        ("groups with a gradient", {"uniform_groups": lambda x: 0.2 + 0.78 * min(1, 2 * x)}, "2 % of the groups"),
        ("clipping", {"clip_high": lambda x: 0.02 + 0.1 * min(1, 3 * x)}, "12.40 % of the tokens"),
        ("truncation", {"truncated": lambda x: 0.4}, "40 % of the responses cut off"),
        (
            "language",
            {"language": lambda x: 0.97 - 0.4 * min(1, 2 * x)},
            "57 % of the words of the reasoning are in the language of the question",
        ),
    ],
)
def test_each_illness_raises_its_flag_alone_with_figure_and_remedy(
    name: str, series: dict[str, Series], figure: str
) -> None:
    rows = made(ROLLOUTS, **series)
    assert red(rows) == {name}
    flag = flags(rows)[name]
    assert flag.figure == figure
    assert len(flag.remedy) > 30
    assert flag.remedy in flag.line


def test_reward_up_while_held_out_answers_fall() -> None:
    falling = [(0.0, {"pass@1": around(0.3)}), (80.0, {"pass@1": around(0.6)}), (160.0, {"pass@1": around(0.5)})]
    assert red(made(), falling) == {"reward against held-out answers"}
    assert flags(made(), falling)["reward against held-out answers"].figure == (
        "reward 0.421 to 0.779; held out 60 % right after 80 updates, 50 % now"
    )
    # Within the intervals, or where the reward falls too, it is another story.
    assert red(made(), [*falling[:2], (160.0, {"pass@1": around(0.57)})]) == set()
    assert red(made(reward=lambda x: 0.8 - 0.4 * x), falling) == set()
    assert "reward against held-out answers" not in flags(made(), falling[:1])


def test_held_out_answers_tell_of_mixing_where_no_reward_does_but_not_of_the_base_s() -> None:
    rows = [{name: value for name, value in row.items() if name != "language"} for row in made()]
    mixed = [(0.0, {"language": around(0.95)}), (160.0, {"language": around(0.6)})]
    assert red(rows, mixed) == {"language"}
    assert "language" not in flags(rows, [(0.0, {"language": around(0.4)})])
    assert red(rows, [*mixed, (320.0, {"language": around(0.79)})]) == set()


@pytest.mark.parametrize("rollouts", range(8))
def test_of_a_short_run_only_what_one_rollout_shows_is_told(rollouts: int) -> None:
    ill = made(rollouts, entropy=lambda x: 0.5 * math.exp(-9 * x), truncated=lambda x: 0.9, clip_low=lambda x: 0.9)
    assert red(ill) == set()
    assert list(flags(ill)) == ["engine against trainer", "groups with a gradient"][: (rollouts > 0) + (rollouts > 2)]


def test_what_is_solved_may_be_certain_and_agree() -> None:
    solved: dict[str, Series] = {"accuracy": lambda x: 0.5 + 0.49 * min(1, 3 * x), "length": lambda x: 100.0}
    certain: dict[str, Series] = {
        "entropy": lambda x: 0.5 * math.exp(-5 * x),
        "uniform_groups": lambda x: 0.95 * min(1, 2 * x),
    }
    assert red(made(ROLLOUTS, **solved, **certain)) == set()
    assert red(made(ROLLOUTS, **certain)) == {"entropy", "groups with a gradient"}


def test_with_a_value_network_groups_need_not_differ() -> None:
    assert red(made(uniform_groups=lambda x: 1.0), groups=False) == set()


def test_without_right_answers_length_is_held_against_the_reward() -> None:
    rows = [{name: value for name, value in row.items() if name != "accuracy"} for row in made()]
    assert red(rows) == set()
    assert red([row | {"reward": 0.5} for row in rows]) == {"length"}


def test_noise_raises_no_flag() -> None:
    """200 healthy runs of 8 to 120 rollouts, with more noise from one rollout to the next than real runs have."""
    random = np.random.default_rng(0)
    for _ in range(200):
        rows = made(int(random.integers(8, 120)))
        for row in rows:
            shares = ("accuracy", "uniform_groups")
            row |= {name: float(np.clip(row[name] + random.normal(0, 0.05), 0, 1)) for name in shares}
            row |= {
                name: row[name] * float(np.exp(random.normal(0, 0.15))) for name in ("entropy", "length", "truncated")
            }
        assert red(rows) == set()


def test_the_demo_is_healthy() -> None:
    """Its real metrics and its evaluations on the first set, at every moment of the run."""
    course = json.loads((Path(__file__).parents[2] / "data" / "demo_course.json").read_text(encoding="utf-8"))
    held_out = [(at, {name: Estimate(**one) for name, one in results.items()}) for at, results in course["held_out"]]
    rows = course["rows"]
    assert len(rows) == 24
    for rollouts in range(1, 25):
        seen = [entry for entry in held_out if entry[0] <= rows[rollouts - 1]["step"]]
        assert red(rows[:rollouts], seen, logprob_difference=0.0) == set()
    assert len(flags(rows, held_out, logprob_difference=0.0)) == 7


def test_windows_end_with_the_last_rollout_and_the_first_takes_what_is_left_over() -> None:
    def course(rollouts: int) -> TrainingHistory:
        return TrainingHistory(
            rows=[{"step": 1.0, "a": float(i), "b": 100.0} for i in range(rollouts)], held_out=[], limits=Limits()
        )

    assert course(7).average_windows("a") == []
    assert course(8).average_windows("a") == [2.0, 6.0]  # 0 to 4, 5 to 7
    assert course(9).average_windows("a", "b") == [101.0, 104.0, 107.0]
    assert course(40).average_windows("a") == [2.0 + 5 * i for i in range(8)]


def test_one_bad_rollout_is_no_illness() -> None:
    rows = made()
    rows[-1] |= {"entropy": 0.001, "length": 500.0, "uniform_groups": 1.0, "clip_low": 0.2, "truncated": 0.3}
    assert red(rows) == set()


def test_metrics_that_are_not_there_are_not_looked_at() -> None:
    assert flags([{"step": float(i), "loss": 1.0} for i in range(40)]) == {}
    assert flags([]) == {}


@pytest.mark.parametrize(
    ("gaps", "ill"),
    [
        ([2e-7, 9e-5], False),  # in float32
        ([2e-7, 1.1e-4], True),  # one missed update at the paper's learning rate
        ([0.0022, 0.04], False),  # in bfloat16
        ([0.0022, 0.045], True),
        ([0.004, 0.051], True),
        ([0.06], True),  # wrong from the start
        ([0.049, 0.049], False),
    ],
)
def test_the_gap_is_held_against_rounding_and_against_the_bound(gaps: list[float], ill: bool) -> None:
    rows = [{"step": float(i), "logprob_difference_mean": gap} for i, gap in enumerate(gaps)]
    assert red(rows) == ({"engine against trainer"} if ill else set())
    assert red(rows, logprob_difference=0.0) == set()


def stage(**changes: Any) -> dict[str, Any]:
    """A stage as recipe.json has it."""
    tasks = [{"task": "countdown", "levels": [3]}]
    read = RLStage.model_validate({"kind": "rl", "from": "nano-base", "steps": 16, "tasks": tasks, **changes})
    return read.model_dump(mode="json", by_alias=True)


def test_the_bounds_come_from_the_recipe() -> None:
    assert Limits.read(stage()) == Limits(logprob_difference=0.05, clipped=0.1, groups=True)
    assert Limits.read(stage(algorithm={"logprob_difference_warning": 0.01})).logprob_difference == 0.01
    assert Limits.read(stage(algorithm={"loss": "gspo"})).clipped == 0.5
    assert not Limits.read(stage(algorithm={"advantage": "gae"}, value={})).groups
    assert Limits.read({"kind": "rl"}) == Limits(logprob_difference=0.0, clipped=0.1, groups=True)
