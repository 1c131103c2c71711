"""A run in three sentences, and what to do with it afterwards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.observatory.making import finished_run

from dunwu.config.loader import load_recipe
from dunwu.config.packaged import packaged_recipes
from dunwu.observatory.opening import models, next_steps, opening
from dunwu.runs import RunReader


def told(name: str, *overrides: str) -> list[str]:
    return opening(load_recipe(packaged_recipes()[name], overrides).model_dump(mode="json", by_alias=True))


def test_a_run_of_one_stage_is_told_with_its_numbers() -> None:
    assert told("nano/r1-zero") == [
        "nano-base learns from rewards: 24 times it answers 32 problems, 16 times each, and what scores above its "
        "group becomes likelier.",
        "The problems are countdown (English and Chinese, made as they are needed), and rules grade the answers; it is "
        "measured on held-out (500 problems) and harder (200 problems) that training never draws.",
        "As in R1-Zero nobody shows it how to reason: what grows here grows from rewards alone.",
    ]


def test_files_are_told_by_their_names_and_not_their_places() -> None:
    task, other = ("stages.zero.tasks.0.path=/far/a.jsonl", "stages.zero.evaluation.sets.0.task.path=/far/b.jsonl")
    assert "gsm8k (a.jsonl), and rules grade" in told("nano/gsm8k", task, other)[1]


@pytest.mark.parametrize("name", packaged_recipes())
def test_every_recipe_has_three_sentences(name: str) -> None:
    sentences = told(name)
    assert len(sentences) == 3
    assert all(sentence[-1] in ".?" and len(sentence) < 400 for sentence in sentences)


def test_where_nothing_is_trained_the_problems_are_told() -> None:
    sets = [{"name": "aime", "problems": 30}, {"name": "math", "problems": 500}]
    stage = {"kind": "eval", "models": ["/far/small", "http://host:1/v1#org/large"], "sets": sets}
    assert opening({"stages": {"boxed": stage}}) == [
        "small and large answer the same held-out problems.",
        "The problems are aime (30 problems) and math (500 problems).",
        "Nothing is trained; problems and random numbers are common, so that differences are the models' own.",
    ]


def test_the_whole_of_r1_is_its_road() -> None:
    what, _, why = told("nano/r1")
    assert what.startswith("12 stages, one after the other: zero (rl), cold_start, dev1 (sft)")
    assert what.endswith("and 6 more.")
    assert why.startswith("This is DeepSeek-R1's road")


def test_afterwards_there_is_something_to_do(tmp_path: Path) -> None:
    run = RunReader(finished_run(tmp_path / "my run", rollouts=1, problems=2, samples=1))
    place = f"'{run.directory}'"
    assert [command for command, _ in next_steps(run)] == [
        f"dunwu watch {place}",
        f"dunwu ablate {place}",
        f"dunwu eval {place} --bench file --data FILE",
    ]
    assert list(models(run)) == [run.stage("zero").model]
    manifest = run.directory / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"stages": {"zero": "running"}}))
    assert [command for command, _ in next_steps(RunReader(run.directory))] == [f"dunwu watch {place}"]
