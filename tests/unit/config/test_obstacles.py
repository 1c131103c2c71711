"""What the plan finds in the way of a recipe, and what this machine has not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.config.model_folders import QWEN2, save_model

from dunwu.config.loader import load_recipe
from dunwu.config.schema import TaskSpec
from dunwu.errors import UserError
from dunwu.planning import make_plan
from dunwu.planning.machine import Machine, inspect_machine

Write = Callable[..., Path]
PAPER = Path(__file__).parents[3] / "recipes" / "paper" / "r1-zero.toml"


def test_every_obstacle_is_listed_at_once(write: Write, tmp_path: Path) -> None:
    path = write(("max_tokens = 64", "max_tokens = 1000"), ('from = "base"', 'from = "./gone"'))
    (tmp_path / "data" / "train.jsonl").unlink()
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    planned = make_plan(load_recipe(path), file=path, out=in_the_way / "run")
    assert [str(problem) for problem in planned.problems] == [
        f"{path}: stages.zero.from: no such folder: {tmp_path / 'gone'}",
        f"{path}: stages.zero.tasks.1.path: no such file: {tmp_path / 'data/train.jsonl'}",
        f"--out: {in_the_way} is a file, not a folder",
    ]
    assert planned.as_json()["problems"] == [str(problem) for problem in planned.problems]


def test_each_kind_of_obstacle(write: Write, tmp_path: Path) -> None:
    def first(*overrides: str) -> str:
        problems = make_plan(load_recipe(write(), [f"stages.zero.{text}" for text in overrides])).problems
        return problems[0].message

    bare, weightless = tmp_path / "bare", tmp_path / "weightless"
    bare.mkdir()
    save_model(weightless, QWEN2)
    (weightless / "model.safetensors").unlink()
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    assert first(f"from={bare}") == f"no transformers model: {bare} has no config.json"
    assert first(f"from={weightless}") == f"no weights (*.safetensors) in {weightless}"
    assert first(f"tasks.1.path={empty}") == f"the file is empty: {empty}"
    assert first("tasks.1={task='gsm8k'}") == "is missing: gsm8k reads a file; say which, there or with --set"
    assert make_plan(load_recipe(write(), ["stages.zero.tasks.1={task='gsm8k', hub='openai/gsm8k'}"])).problems == ()
    positions = "prompt.max_tokens + max_new_tokens = 1064 is more than the model's 1024 positions"
    longer = f"{positions}: beside 1000 new tokens prompts have 24"
    assert first("rollout.length_schedule={16=1000}") == longer


def test_a_task_that_does_not_open_is_an_obstacle(write: Write) -> None:
    asked = []

    def probe(task: TaskSpec, held_out: int) -> None:
        asked.append((task.task, held_out))
        if held_out:
            raise UserError("500 wanted, 3 there", file="train.jsonl", field="held_out")
        if task.task == "countdown":
            raise UserError("countdown has no level 3", field="levels")
        raise UserError("no answer", file="train.jsonl", field="line 1")

    problems = make_plan(load_recipe(write()), probe=probe).problems
    assert [str(problem) for problem in problems] == [
        "stages.zero.tasks.0.levels: countdown has no level 3",
        "stages.zero.tasks.1: train.jsonl: line 1: no answer",
        "stages.zero.evaluation.sets.0.task.held_out: train.jsonl: 500 wanted, 3 there",
    ]
    assert asked == [("countdown", 0), ("gsm8k", 0), ("countdown", 500)]


def test_a_problem_that_an_override_caused_names_the_override(write: Write, tmp_path: Path) -> None:
    path, overrides = write(), ["stages.zero.tasks.1={task='gsm8k', path='gone'}", f"stages.zero.from={tmp_path}/none"]
    problems = make_plan(load_recipe(path, overrides), file=path, overrides=overrides).problems
    assert [(problem.file, problem.field) for problem in problems] == [
        (f"--set {overrides[1]}", None),
        (f"--set {overrides[0]}", "stages.zero.tasks.1.path"),
    ]


@pytest.mark.parametrize("kind", ["too long", "dangling", "loop"])
def test_a_run_directory_that_cannot_be_is_an_obstacle(write: Write, tmp_path: Path, kind: str) -> None:
    link = tmp_path / "link"
    if kind != "too long":
        link.symlink_to("nothing" if kind == "dangling" else "link")
    out = tmp_path / ("x" * 300) if kind == "too long" else link
    problem = make_plan(load_recipe(write()), out=out).problems[0]
    assert problem.file == "--out"
    assert problem.message.startswith(f"{out}: ")


def test_a_model_needs_a_tokenizer_and_the_template_that_a_stage_wants(write: Write, tmp_path: Path) -> None:
    folder, judge = save_model(tmp_path / "model", QWEN2), save_model(tmp_path / "judge", QWEN2)
    (judge / "tokenizer.json").write_text("{}")
    reward = f"[{{name='helpful', from='{judge}', input='all', prompt={{template='nano'}}}}]"
    chat = [f"stages.zero.from={folder}", "stages.zero.prompt.template=chat", f"stages.zero.reward.models={reward}"]

    def told() -> list[str]:
        return [str(problem) for problem in make_plan(load_recipe(write(), chat)).problems]

    assert told() == [f"stages.zero.from: no tokenizer (tokenizer.json) in {folder}"]
    (folder / "tokenizer.json").write_text("{}")
    (folder / "tokenizer_config.json").write_text("{}")
    assert told() == [f"stages.zero.prompt.template: chat, but the tokenizer in {folder} has no chat template"]
    (folder / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}')
    assert told() == []
    (folder / "tokenizer_config.json").write_text("[" * 100_000)
    assert told() == [], "whoever loads it says what is wrong with it"


HERE = Machine(memory_gib=8.0, gpus_gib=())


def test_a_gpu_that_is_not_there_is_told_of(write: Write) -> None:
    asked = make_plan(load_recipe(write(), ["stages.zero.model.device=cuda"]), machine=HERE)
    (line,) = asked.lacks
    assert line.startswith("no NVIDIA device is found, and zero asks with model.device = cuda: dunwu run would refuse")
    assert asked.problems == ()
    (line,) = make_plan(load_recipe(write(), ["hardware.device=h100"]), machine=HERE).lacks
    assert line == "no NVIDIA device is found: dunwu run would take the CPU, not h100"
    there = Machine(memory_gib=8.0, gpus_gib=(80.0,))
    for override in ("stages.zero.model.device=cuda", "hardware.device=h100"):
        assert make_plan(load_recipe(write(), [override]), machine=there).lacks == ()
    assert make_plan(load_recipe(write()), machine=HERE).lacks == ()
    paper = make_plan(load_recipe(PAPER), machine=HERE)
    assert (paper.problems, len(paper.lacks)) == ((), 1)


def test_memory_that_is_not_there_is_told_of(write: Write) -> None:
    recipe = load_recipe(write(), ["stages.zero.rollout.max_sequences=65_536"])
    needed = make_plan(recipe).stages[-1].memory
    assert needed is not None
    small = round(needed.gib / 2, 1)
    (line,) = make_plan(recipe, machine=Machine(memory_gib=small, gpus_gib=())).lacks
    assert line.startswith(
        f"zero may need {needed.gib:,.1f} GiB, and this machine has {small} GiB in memory: lower max_sequences"
    )
    (line,) = make_plan(recipe, machine=Machine(memory_gib=1e6, gpus_gib=(small / 2, small))).lacks
    assert f"has {small} GiB in its largest NVIDIA device" in line
    spread = load_recipe(write(), ["stages.zero.rollout.max_sequences=65_536", "hardware.count=1000"])
    assert make_plan(spread, machine=Machine(memory_gib=small / 2, gpus_gib=(small,))).lacks == ()
    assert make_plan(recipe, machine=Machine(memory_gib=1e6, gpus_gib=())).lacks == ()
    assert make_plan(recipe, machine=Machine(memory_gib=None, gpus_gib=())).lacks == ()


def test_this_machine_has_memory_and_no_device_that_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    found = inspect_machine()
    assert found.gpus_gib == ()
    assert found.memory_gib is not None
    assert 0.1 < found.memory_gib < 100_000


def test_devices_are_read_off_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 81920\necho 40960\n")
    program.chmod(0o755)
    assert inspect_machine().gpus_gib == (80.0, 40.0)
    program.write_text("#!/bin/sh\necho No devices were found\nexit 6\n")
    assert inspect_machine().gpus_gib == ()
