"""R1 from end to end: recipes/nano/r1.toml, every stage with every real part, made small."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dunwu.config.loader import load_recipe
from dunwu.config.schema import EvalStage, RLStage
from dunwu.runs import RunReader
from tests.integration.runs import exit_code, fingerprints, start, survive

RECIPE = Path(__file__).parents[2] / "recipes" / "nano" / "r1.toml"
SETS = ("mathematics", "logic", "code", "premises", "talk", "harmless", "harmful")
MODELS = ("nano-world", "zero", "dev1", "dev2", "dev3", "r1")
SMALL = (
    *(f"stages.{name}.model.threads=1" for name in load_recipe(RECIPE).stages),
    *(f"data.{name}.count=40" for name in load_recipe(RECIPE).data),
    *(f"stages.{name}.rollout.{field}" for name in ("zero", "dev2", "r1") for field in ("questions=8", "group_size=4")),
    *(f"stages.{name}.rollout.max_new_tokens=64" for name in ("zero", "dev2", "r1")),
    *(f"stages.{name}.update.minibatches=2" for name in ("zero", "dev2", "r1")),
    *("stages.zero.steps=4", "stages.dev2.steps=4", "stages.r1.steps=4"),
    *(f"stages.{name}.checkpoint.every=2" for name in ("zero", "dev2", "r1", "dev1", "dev3", "helpful", "safe")),
    *(f"stages.{name}.{field}" for name in ("cold_start", "reject") for field in ("questions=32", "chunk=8")),
    *(f"stages.{name}.{field}" for name in ("dev1", "dev3") for field in ("batch=8", "epochs=1")),
    *(f"stages.{name}.{field}" for name in ("helpful", "safe") for field in ("batch=8", "held_out=0.3")),
    *(f"stages.judge-{name}.{field}" for name in ("helpful", "safe") for field in ("batch=8", "held_out=0.3")),
    *(f"stages.r1.reward.tasks.{task}.helpful={{weight=1.0,from=2}}" for task in ("talk", "harmless")),
    "stages.r1.reward.tasks.harmful.safe={weight=1.0,from=2}",
    *(f"stages.table.sets.{place}.{field}" for place in range(len(SETS)) for field in ("problems=6", "samples=2")),
    "stages.table.max_new_tokens=64",
)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the whole story."""
    out = tmp_path_factory.mktemp("story") / "run"
    process = start(RECIPE, out, SMALL)
    process.join()
    assert exit_code(process) == 0
    return out


def test_every_stage_is_done_and_every_model_is_in_the_table(told: Path) -> None:
    run = RunReader(told)
    assert set(run.stages.values()) == {"done"}
    assert list(run.stages) == list(load_recipe(RECIPE).stages)
    results = json.loads((told / "summary.json").read_text())["results"]
    assert set(results) == {name if s == "mathematics" else f"{name}/{s}" for name in MODELS for s in SETS}
    for name in MODELS:
        assert {"helpful", "format", "language"} <= results[f"{name}/talk"].keys()
        assert "safe" in results[f"{name}/harmful"]
        assert "pass@1" not in results[f"{name}/harmful"]
        assert 0.0 <= results[f"{name}/code"]["pass@1"]["value"] <= 1.0


def test_reward_models_enter_in_the_last_part_alone(told: Path) -> None:
    rows = RunReader(told).stage("r1").read_metrics()
    assert ["helpful" in row or "safe" in row for row in rows] == [False, True]


def test_what_dev1_learnt_is_in_r1_s_format(told: Path) -> None:
    rows = [json.loads(line) for line in RunReader(told).stage("cold_start").generated.file.open()]
    assert rows
    for row in rows:
        answer = row["messages"][-1]["content"]
        assert answer.startswith((" <think>I think: ", " <think>我想："))
        assert "</think> So my answer is <answer>" in answer or "</think> 所以我的答案是<answer>" in answer


def test_the_recipe_trains_on_nothing_that_it_measures() -> None:
    recipe = load_recipe(RECIPE)
    assert {stage.kind for stage in recipe.stages.values()} >= {
        "rl",
        "cold_start",
        "sft",
        "reject",
        "reward_model",
        "eval",
    }
    tasks = [task for stage in recipe.stages.values() if isinstance(stage, RLStage) for task in stage.tasks]
    sets = [chosen.task for stage in recipe.stages.values() if isinstance(stage, EvalStage) for chosen in stage.sets]
    assert min(task.held_out for task in tasks) >= max(task.held_out for task in sets) == 0.2


@pytest.mark.slow
def test_kills_at_any_moment_change_no_byte(told: Path, tmp_path: Path) -> None:
    assert fingerprints(survive(RECIPE, tmp_path, 20, 11, SMALL)) == fingerprints(told)
