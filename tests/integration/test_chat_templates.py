"""Five kinds of chat templates end to end: taught by heart, rewarded for the format, evaluated, on a small model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dunwu.cli import main
from dunwu.models.load import load_policy
from dunwu.runs import RunReader
from tests.chat_templates import FAMILIES, Family, save_model

ANSWER = "<think>\n2 and 2 is 4\n</think>\n\nIt is <answer>4</answer>"
RECIPE = """
name = "chat"
seed = 5
decontamination = { matches = "keep" }

[data.talk]
path = "talk.jsonl"

[stages.taught]
kind = "sft"
from = "./model"
data = ["talk"]
epochs = 70
batch = 1
max_tokens = 200
prompt = { template = "chat" }
optimizer = { lr = 0.01 }
model = { threads = 1 }

[stages.zero]
kind = "rl"
from = "taught"
steps = 1
prompt = { template = "chat", max_tokens = 120 }
tasks = [{ task = "file", path = "problems.jsonl", fields = { problem = "q", answer = "a" }, held_out = 0.0 }]
rollout = { questions = 1, group_size = 4, max_new_tokens = 80, temperature = 0.1 }
update = { minibatches = 1 }
reference_every = 0
reward = { format_rule = "think-summary" }
model = { threads = 1 }

[stages.table]
kind = "eval"
models = ["taught", "zero"]
max_new_tokens = 80
temperature = 0.1
prompt = { template = "chat", max_tokens = 120 }
grading = { format_rule = "think-summary" }
model = { threads = 1 }
[[stages.table.sets]]
name = "sums"
task = { task = "file", path = "held.jsonl", fields = { problem = "q", answer = "a" }, held_out = 1.0 }
problems = 1
samples = 4
"""


def written(folder: Path, family: Family) -> Path:
    """The recipe with a model, a conversation and a question."""
    save_model(family, folder / "model")
    asked = {"role": "user", "content": "2+2?"}
    thought, _, answer = ANSWER.removeprefix("<think>\n").partition("\n</think>\n\n")
    reply = {"role": "assistant", "reasoning_content": thought, "content": answer}
    (folder / "talk.jsonl").write_text(json.dumps({"messages": [asked, reply]}) + "\n")
    for name in ("problems", "held"):
        (folder / f"{name}.jsonl").write_text(json.dumps({"q": "2+2?", "a": "4"}) + "\n")
    recipe = folder / "chat.toml"
    recipe.write_text(RECIPE)
    return recipe


@pytest.mark.parametrize("name", FAMILIES)
def test_a_model_is_taught_rewarded_and_evaluated_under_its_own_template(name: str, tmp_path: Path) -> None:
    family = FAMILIES[name]
    recipe = written(tmp_path, family)
    planned = CliRunner().invoke(main, ["plan", str(recipe)])
    assert planned.exit_code == 0, planned.output
    assert f"turns end with: {family.end}" in planned.output
    opens = "the prompt opens it with <think>⏎" in planned.output
    assert opens == (name == "r1-distill")

    ran = CliRunner().invoke(main, ["run", str(recipe), "--out", str(tmp_path / "run"), "--log", "quiet"])
    assert ran.exit_code == 0, ran.output
    run = RunReader(tmp_path / "run")
    wanted = family.lead + ANSWER
    rows = run.stage("zero").read_rollouts()
    assert [(row.completion, row.finish, row.extracted) for row in rows] == [(wanted, "stop", "4")] * 4
    assert [row.parts for row in rows] == [{"accuracy": 1.0, "format": 1.0}] * 4
    policy = load_policy(str(run.stage("taught").model))
    (end,) = policy.tokenizer.encode(family.end, add_special_tokens=False)
    assert end in policy.eos_ids
    opened = len("<think>\n") if opens else 0
    assert {row.tokens for row in rows} == {len(wanted) - opened + 1}, "a token a byte, and the one that ends the turn"
    for evaluation in run.stage("table").read_evaluations():
        assert [row.completion for row in evaluation.rows] == [wanted] * 4
        assert evaluation.results["pass@1"].value == evaluation.results["format"].value == 1.0
        assert evaluation.results["truncated"].value == 0.0
