"""Reward models as stages: what they learn, what they do not see, and a kill that changes nothing."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from dunwu.cli import main
from dunwu.config.loader import load_recipe
from dunwu.config.schema import OptimizerSpec, PassSpec, PromptSpec
from dunwu.models.load import load_scorer
from dunwu.models.templates import Template
from dunwu.pipeline.stages.reward_cases import read_cases
from dunwu.runs import RunReader
from dunwu.training.reward import RewardTrainer
from tests.integration.runs import exit_code, fingerprints, start, survive

RECIPE = """
name = "rewards"
seed = 5
[data.pairs]
path = "pairs.jsonl"
[data.verdicts]
path = "verdicts.jsonl"

[stages.helpful]
kind = "reward_model"
from = "nano-base"
data = ["pairs"]
learn_from = "pairs"
input = "summary"
epochs = 3
batch = 16
[stages.helpful.prompt]
template = "nano"
[stages.helpful.optimizer]
lr = 1e-3
[stages.helpful.model]
threads = 1

[stages.safe]
kind = "reward_model"
from = "nano-base"
data = ["verdicts"]
learn_from = "verdicts"
input = "all"
epochs = 3
batch = 16
[stages.safe.prompt]
template = "nano"
[stages.safe.optimizer]
lr = 1e-3
[stages.safe.model]
threads = 1
"""
WORDS = ("try ", "maybe ", "so ", "check", "verify", "retry")


def response(rng: random.Random, thought: str, answer: str) -> str:
    """Reasoning with ``thought`` in it, and a summary with ``answer`` in it, among words that mean nothing."""
    before, after = ("".join(rng.choices(WORDS, k=rng.randint(0, 6))) for _ in range(2))
    return f" <think>{before}{thought}</think> <answer>{after}{answer}</answer>"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the recipe, its data and its run: good summaries say "done", unsafe reasoning says "wait"."""
    folder, rng = tmp_path_factory.mktemp("rewards"), random.Random(0)
    pairs, verdicts = [], []
    for number in range(300):
        asked = f"Use {number} and {rng.randrange(99)}"
        thoughts = [rng.choice(("wait", "but ")) for _ in range(2)]
        chosen, rejected = (response(rng, t, a) for t, a in zip(thoughts, ("done", "wrong"), strict=True))
        pairs.append({"prompt": asked, "chosen": chosen, "rejected": rejected, "judgements": [2, 1, 2, 2]})
        good = rng.random() < 0.5
        verdict = response(rng, "but " if good else "wait", rng.choice(("done", "wrong")))
        verdicts.append({"prompt": asked, "response": verdict, "good": good})
    for name, rows in (("pairs", pairs), ("verdicts", verdicts)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "rewards.toml").write_text(RECIPE)
    process = start(folder / "rewards.toml", folder / "run")
    process.join()
    assert exit_code(process) == 0
    return folder


def scores(folder: Path, stage: str, rows: list[dict[str, Any]]) -> np.ndarray:
    """What the finished model of a stage gives, through the stage's own reading of a file."""
    path = folder / "asked.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = load_recipe(folder / "rewards.toml", [f"data.verdicts.path={path}"])
    spec = recipe.stages[stage].model_copy(update={"learn_from": "verdicts", "data": ("verdicts",)})
    scorer = load_scorer(str(folder / "run/stages" / stage / "model"), device="cpu")
    cases, _ = read_cases(spec, 5, Template(PromptSpec(template="nano"), scorer.tokenizer), recipe.data, 999)  # type: ignore[arg-type]
    trainer = RewardTrainer(scorer, OptimizerSpec(), PassSpec(), total_steps=1)
    return trainer.score([case.tokens for case in cases])


def test_held_out_accuracy_ranking_and_calibration_stand_with_intervals(made: Path) -> None:
    helpful, safe = (
        json.loads((made / "run/stages" / name / "evaluations/trained/held-out.json").read_text())
        for name in ("helpful", "safe")
    )
    assert list(helpful) == ["accuracy", "calibration_error"]
    assert list(safe) == ["accuracy", "calibration_error", "auc"]
    assert helpful["accuracy"]["low"] > 0.8
    assert 0.5 < safe["auc"]["low"] < 1.0, "few of a kind leave it open how sure the ranking is"
    for results in (helpful, safe):
        for estimate in results.values():
            assert 0 <= estimate["low"] <= estimate["value"] <= estimate["high"] <= 1
    report = (made / "run/report.html").read_text()
    assert report.count("good ranked above bad (AUC)") == 1
    assert report.count("calibration error") == 2


def test_the_helpful_model_sees_no_reasoning_and_the_safe_one_does(made: Path) -> None:
    thoughts = ("but ", "wait", "wait wait", "check but ")
    rows: list[dict[str, Any]] = [
        {"prompt": "Use 3 and 4", "response": f" <think>{thought}</think> <answer>done</answer>", "good": True}
        for thought in thoughts
    ]
    helpful, safe = (scores(made, stage, rows) for stage in ("helpful", "safe"))
    assert len(set(helpful.tolist())) == 1
    assert safe[0] > 0 > safe[1]
    assert len(set(safe.tolist())) == 4
    other = scores(made, "helpful", [row | {"response": row["response"].replace("done", "wrong")} for row in rows])
    assert other[0] < helpful[0]


def test_killed_and_resumed_equals_undisturbed(made: Path, tmp_path: Path) -> None:
    out = survive(made / "rewards.toml", tmp_path, kills=3, seed=1)
    assert fingerprints(out) == fingerprints(made / "run")


RL = """
[stages.zero]
kind = "rl"
from = "nano-base"
steps = 4
reference_every = 0
[[stages.zero.tasks]]
task = "countdown"
levels = [3]
[stages.zero.prompt]
template = "nano"
max_tokens = 64
[stages.zero.rollout]
questions = 4
group_size = 4
max_new_tokens = 64
[stages.zero.update]
minibatches = 1
[stages.zero.algorithm]
kl_coefficient = 0.0
[stages.zero.model]
threads = 1
[[stages.zero.reward.models]]
name = "helpfulness"
from = "helpful"
input = "summary"
prompt = { template = "nano" }
weight = { weight = 0.5, from = 2 }
[[stages.zero.reward.models]]
name = "safety"
from = "safe"
input = "all"
output = "probability"
prompt = { template = "nano" }
"""


def test_reward_models_pay_in_the_part_of_a_stage_that_asks_for_them(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "run", tmp_path / "run")
    (made / "rl.toml").write_text(RECIPE + RL)
    done = CliRunner().invoke(main, ["run", str(made / "rl.toml"), "--out", str(tmp_path / "run"), "--resume"])
    assert done.exit_code == 0, done.output
    stage = RunReader(tmp_path / "run").stage("zero")
    for row in stage.read_rollouts():
        assert row.step is not None
        parts, paid = dict(row.parts), 0.5 if row.step > 2 else 0.0
        assert ("helpfulness" in parts) == (row.step > 2)
        assert 0 <= parts["safety"] <= 1
        expected = parts["accuracy"] + parts["format"] + parts["safety"] + paid * parts.get("helpfulness", 0.0)
        assert row.value == pytest.approx(expected)
    first = stage.read_rollouts(1)
    rows = [{"prompt": row.prompt, "response": row.completion, "good": True} for row in first]
    logits = scores(made, "safe", rows)
    assert [row.parts["safety"] for row in first] == pytest.approx(1 / (1 + np.exp(-logits)), abs=1e-4)


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        (
            "models.0.from=helpfull",
            "no earlier stage called 'helpfull' makes a reward model (known here: helpful, safe)",
        ),
        ("models.0.input=all", "all, but helpful was trained on summary"),
        ("models.0.prompt.template=chat", "'chat', but helpful was trained with 'nano'"),
        ("models.0.name=format", "'format' is the name of another part"),
        ("models.0.weight.from=9", "9 never comes"),
    ],
)
def test_reward_models_that_cannot_be_asked(made: Path, tmp_path: Path, setting: str, line: str) -> None:
    (made / "rl.toml").write_text(RECIPE + RL)
    out = ["--out", str(tmp_path / "out"), "--set", f"stages.zero.reward.{setting}"]
    told = CliRunner().invoke(main, ["run", str(made / "rl.toml"), *out])
    assert told.exit_code == 2
    (error,) = told.stderr.strip().splitlines()
    assert line in error
