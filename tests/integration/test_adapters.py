"""Adapters in runs: one stage upon another, PPO, Python's face, and that a policy learns with one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import peft
import pytest
import torch
from transformers import AutoModelForCausalLM

import dunwu
from dunwu.models.load import load_policy
from dunwu.runs import RunReader
from dunwu.tasks.generators.countdown import COUNTDOWN
from dunwu.tasks.task import GeneratedTask
from tests.integration.runs import SHORT_RECIPE, exit_code, start, write_recipe

TAUGHT = """
[data.answers]
path = "answers.jsonl"
[data.verdicts]
path = "verdicts.jsonl"

[stages.taught]
kind = "sft"
from = "nano-base"
data = ["answers"]
epochs = 2
batch = 16
max_tokens = 128
prompt = { template = "nano" }
optimizer = { lr = 2e-4 }
model = { threads = 1 }
adapter = { rank = 4 }

[stages.judge]
kind = "reward_model"
from = "taught"
data = ["verdicts"]
learn_from = "verdicts"
input = "all"
batch = 16
max_tokens = 128
prompt = { template = "nano" }
optimizer = { lr = 2e-4 }
model = { threads = 1 }
adapter = { rank = 4 }
"""
ZERO = (
    SHORT_RECIPE[SHORT_RECIPE.index("[stages.zero]") :].replace('from = "nano-base"', 'from = "taught"')
    + """
[stages.zero.adapter]
rank = 2
[stages.zero.algorithm]
advantage = "gae"
kl_in = "reward"
kl_coefficient = 0.01
[stages.zero.value]
from = "judge"
optimizer = { lr = 1e-4 }
"""
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of supervised training, a reward model and PPO from both, each with an adapter."""
    folder = tmp_path_factory.mktemp("adapters")
    task = GeneratedTask("countdown", COUNTDOWN, 3, levels=(3,))
    answers, verdicts = [], []
    for number, problem in enumerate(map(task.get_problem, range(60))):
        asked = {"role": "user", "content": problem.messages[0].content}
        text = f" <think>done</think> <answer>{problem.gold if number % 2 else 1}</answer>"
        answers.append({"messages": [asked, {"role": "assistant", "content": text}]})
        verdicts.append({"messages": [asked], "response": text, "good": bool(number % 2)})
    for name, rows in (("answers", answers), ("verdicts", verdicts)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    head = SHORT_RECIPE[: SHORT_RECIPE.index("[stages.zero]")]
    process = start(write_recipe(folder, head + TAUGHT + ZERO), folder / "run")
    process.join()
    assert exit_code(process) == 0
    return folder / "run"


def test_each_stage_learns_and_hands_on_a_merged_model(whole: Path) -> None:
    run = RunReader(whole)
    taught, zero = run.stage("taught"), run.stage("zero")
    rows = taught.read_metrics()
    assert rows[0]["lr"] == pytest.approx(10 * 2e-4)
    assert rows[-1]["loss"] < 0.8 * rows[0]["loss"]
    judged = run.stage("judge").read_metrics()
    assert judged[-1]["loss"] < judged[0]["loss"]
    rows = zero.read_metrics()
    assert max(row["logprob_difference_mean"] for row in rows) < 1e-5
    assert max(row["logprob_difference_max"] for row in rows) < 1e-4
    assert all(row["value_grad_norm"] > 0 for row in rows)
    (newest,) = sorted((zero.path / "checkpoints").glob("step-*"))[-1:]
    names = {path.relative_to(newest).as_posix() for path in newest.rglob("*.safetensors")}
    assert names == {
        "adapter/adapter_model.safetensors",
        "critic/adapter/adapter_model.safetensors",
        "critic/optimizer.safetensors",
        "optimizer.safetensors",
        "reference.safetensors",
    }


def test_what_peft_makes_of_base_and_adapter_is_the_merged_model(whole: Path) -> None:
    base, merged = (whole / "stages" / name / "model" for name in ("taught", "zero"))
    torch.manual_seed(0)
    rows = torch.randint(0, 100, (2, 20))
    with torch.no_grad():
        expected = load_policy(str(merged), device="cpu").model(rows).logits
        model = AutoModelForCausalLM.from_pretrained(base)
        apart = model(rows).logits
        found = peft.PeftModel.from_pretrained(model, merged / "adapter")(rows).logits
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    assert (apart - expected).abs().max() > 1e-3


def test_python_s_training_takes_one(tmp_path: Path) -> None:
    run = dunwu.train(
        "nano-base",
        [("Using the numbers 5, 8, 2, make 11.", "11"), ("Using the numbers 7, 9, 3, make 13.", "13")],
        reward=lambda problem, text: sum(character.isdigit() for character in text) / 10,
        rollouts=1,
        out=tmp_path / "run",
        log="quiet",
        rollout={"questions": 4, "group_size": 4, "max_new_tokens": 24},
        adapter={"rank": 8},
    )
    assert run.stages == {"train": "done"}
    assert (tmp_path / "run/stages/train/model/adapter/adapter_config.json").is_file()
    with dunwu.open_loop("nano-base", tasks=["countdown"], adapter={"rank": 1}, log="quiet") as loop:
        loop.save(tmp_path / "loop")
    assert (tmp_path / "loop/adapter/adapter_config.json").is_file()


@pytest.mark.slow
def test_a_policy_learns_with_rank_8(tmp_path: Path) -> None:
    """The demo's first four rollouts; with all weights it is no faster."""
    recipe = Path(__file__).parents[2] / "recipes/nano/r1-zero.toml"
    shutil.copy(recipe, tmp_path / "r1-zero.toml")
    stage = {"adapter.rank": 8, "steps": 16, "evaluation.every": 0, "evaluation.sets": []}
    run = dunwu.run(
        tmp_path / "r1-zero.toml",
        out=tmp_path / "run",
        overrides={f"stages.zero.{field}": value for field, value in stage.items()},
        log="quiet",
    )
    right = run.metrics()["accuracy"].to_pylist()
    assert right[-1] > 2 * right[0]
