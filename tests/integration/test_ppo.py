"""PPO with a value network, and replay: a run of both, and what kills leave of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dunwu.config.check_rewards import METRICS
from dunwu.config.schema import REWARD_PARTS
from dunwu.runs import RunReader
from tests.integration.runs import SHORT_RECIPE, exit_code, fingerprints, start, survive, write_recipe

RECIPE = (
    SHORT_RECIPE
    + """
[stages.zero.algorithm]
advantage = "gae"
kl_in = "reward"
kl_coefficient = 0.01
importance_cap = 2.0
[stages.zero.value]
lambda = 0.9
[stages.zero.value.optimizer]
lr = 1e-3
[stages.zero.replay]
rollouts = 2
share = 0.5
"""
)


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ppo")
    process = start(write_recipe(folder, RECIPE), folder / "run")
    process.join()
    assert exit_code(process) == 0
    return folder


def test_values_are_learnt_and_old_samples_return(straight: Path) -> None:
    rows = RunReader(straight / "run").stage("zero").read_metrics()
    assert [row["replayed"] for row in rows] == [0, 8, 8, 8]
    assert all(row["value_grad_norm"] > 0 for row in rows)
    assert len({row["value_loss"] for row in rows}) == 4
    assert {name for row in rows for name in row} <= METRICS | set(REWARD_PARTS)
    # What is replayed was written by an older policy, so trainer and sampler disagree more than on fresh samples.
    assert abs(rows[0]["importance_mean"] - 1.0) < 1e-3 < rows[1]["importance_max"] - 1.0


def test_the_value_network_is_part_of_the_checkpoint(straight: Path) -> None:
    (newest,) = sorted((straight / "run/stages/zero/checkpoints").glob("step-*"))[-1:]
    assert {"critic", "replay.safetensors", "model", "reference.safetensors"} <= {
        path.name for path in newest.iterdir()
    }


@pytest.mark.slow
def test_kills_at_any_moment_change_no_byte(straight: Path, tmp_path: Path) -> None:
    out = survive(straight / "short.toml", tmp_path, 12, 4)
    assert fingerprints(out) == fingerprints(straight / "run")
