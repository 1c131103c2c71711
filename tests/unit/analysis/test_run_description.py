"""A run in three sentences, and what to do with it afterwards."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from tests.made_runs import finished_run

from dunwu.analysis.next_steps import find_finished_models, suggest_next_steps
from dunwu.analysis.run_description import describe_run
from dunwu.commands.evaluate import match_files
from dunwu.config.loader import load_recipe
from dunwu.config.packaged import list_packaged_recipes
from dunwu.runs import ABLATION, RunReader


def told(name: str, *overrides: str) -> list[str]:
    return describe_run(load_recipe(list_packaged_recipes()[name], overrides).model_dump(mode="json", by_alias=True))


def test_a_run_of_one_stage_is_told_with_its_numbers() -> None:
    assert told("nano/r1-zero") == [
        "nano-base learns from rewards: 24 times it answers 32 problems, 16 times each, and what scores above its "
        "group becomes likelier.",
        "The problems are countdown (reach a number with given ones; English and Chinese, made as they are needed), "
        "and rules grade the answers; it is measured on held-out (500 problems) and harder (200 problems) that "
        "training never draws.",
        "As in R1-Zero nobody shows it how to reason: what grows here grows from rewards alone.",
    ]


def test_files_are_told_by_their_names_and_not_their_places() -> None:
    task, other = ("stages.zero.tasks.0.path=/far/a.jsonl", "stages.zero.evaluation.sets.0.task.path=/far/b.jsonl")
    assert "gsm8k (a.jsonl), and rules grade" in told("nano/gsm8k", task, other)[1]


@pytest.mark.parametrize("name", list_packaged_recipes())
def test_every_recipe_has_three_sentences(name: str) -> None:
    sentences = told(name)
    assert len(sentences) == 3
    assert all(sentence[-1] in ".?" and len(sentence) < 400 for sentence in sentences)


def test_where_nothing_is_trained_the_problems_are_told() -> None:
    sets = [{"name": "aime", "problems": 30}, {"name": "math", "problems": 500}]
    stage = {"kind": "eval", "models": ["/far/small", "http://host:1/v1#org/large"], "sets": sets}
    assert describe_run({"stages": {"boxed": stage}}) == [
        "small and large answer the same held-out problems.",
        "The problems are aime (30 problems) and math (500 problems), and rules grade the answers.",
        "Nothing is trained; problems and random numbers are common, so that differences are the models' own.",
    ]


def test_one_of_a_kind_is_told_as_one() -> None:
    sets = [{"name": "mine", "problems": 1}]
    stage = {"kind": "eval", "models": ["nano-base"], "sets": sets}
    assert describe_run({"stages": {"boxed": stage}}) == [
        "nano-base answers held-out problems.",
        "The problems are mine (1 problem), and rules grade the answers.",
        "Nothing is trained: this is what the model can do as it is.",
    ]
    once = told("nano/r1-zero", "stages.zero.steps=4", "stages.zero.reference_every=0")
    assert once[0].startswith("nano-base learns from rewards: once it answers 32 problems, 16 times each, ")


def test_a_file_of_ones_own_is_told_by_its_name() -> None:
    recipe = load_recipe(list_packaged_recipes()["nano/r1-zero"], []).model_dump(mode="json", by_alias=True)
    mine = {"task": "file", "path": "/far/mine.jsonl", "fields": {"problem": "q", "answer": "a"}}
    recipe["stages"]["zero"] |= {"tasks": [mine], "evaluation": {"sets": []}}
    assert describe_run(recipe)[1] == "The problems are those of mine.jsonl, and rules grade the answers."
    recipe["stages"]["zero"]["tasks"] = [mine, mine | {"display_name": "sums"}, {"task": "countdown"}]
    assert describe_run(recipe)[1].startswith("The problems are those of mine.jsonl, sums and countdown, and")


def test_the_whole_of_r1_is_its_road() -> None:
    what, on_what, why = told("nano/r1")
    assert what.startswith("12 stages, one after the other, from nano-world: zero (rl), cold_start, dev1 (sft)")
    assert what.endswith("and 6 more.")
    assert on_what.endswith(
        "harmless and harmful, and rules and reward models grade the answers; it is measured on 7 sets "
        "of problems that training never draws."
    )
    assert why.startswith("This is DeepSeek-R1's road")


def graders(*changes: dict[str, Any]) -> str:
    """Who grades the answers of a stage of R1-Zero whose reward, or whose other fields, are so."""
    recipe = load_recipe(list_packaged_recipes()["nano/r1-zero"], []).model_dump(mode="json", by_alias=True)
    reward = recipe["stages"]["zero"]["reward"]
    for change in changes:
        reward |= change
    return describe_run(recipe)[1].partition("needed), and ")[2].partition(" the answers")[0]


NOTHING = {name: {"weight": 0.0} for name in ("accuracy", "format")}
SCORER = {"name": "helpful", "from": "x", "input": "all"}
OWN = {"name": "short", "file": "short.py"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([], "rules grade"),
        ([{"models": [SCORER]}], "rules and a reward model grade"),
        ([NOTHING, {"models": [SCORER]}], "a reward model grades"),
        ([NOTHING, {"models": [SCORER, SCORER | {"name": "safe"}]}], "reward models grade"),
        ([{"models": [SCORER | {"weight": 0.0}]}], "rules grade"),
        (
            [{"models": [SCORER | {"weight": 0.0}], "tasks": {"countdown": {"helpful": 1.0}}}],
            "rules and a reward model",
        ),
        ([{"tasks": {"countdown": {"accuracy": 0.0, "format": 0.0}}, "models": [SCORER]}], "a reward model grades"),
        ([NOTHING, {"custom": [OWN]}], "a function of the recipe's grades"),
        (
            [{"custom": [OWN, OWN | {"name": "long"}], "models": [SCORER]}],
            "rules, functions of the recipe's and a reward",
        ),
        ([NOTHING, {"format": {"weight": 1.0}, "format_rule": "none", "models": [SCORER]}], "a reward model grades"),
        ([NOTHING, {"quality": 1.0}], "rules grade"),
        ([{"accuracy": "no number"}], ""),
    ],
    ids=str,
)
def test_who_grades_follows_the_recipe(changes: list[dict[str, Any]], expected: str) -> None:
    assert graders(*changes).startswith(expected)
    assert bool(graders(*changes)) == bool(expected)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "rules grade the answers"),
        ({"judges": [{"name": "helpful"}]}, "rules and a judge grade the answers"),
        ({"judges": [{"name": "helpful"}, {"name": "safe"}]}, "rules and judges grade the answers"),
        ({"benchmark_judge": {"url": "http://host:1/v1"}}, "rules and a judge grade the answers"),
        ({"custom": [{"name": "short"}]}, "rules and a function of the recipe's grade the answers"),
    ],
)
def test_an_evaluation_names_its_judges(fields: dict[str, Any], expected: str) -> None:
    stage = {"kind": "eval", "models": ["small"], "sets": [{"name": "talk", "problems": 5}]} | fields
    what, on_what, _ = describe_run({"stages": {"table": stage}})
    assert what == "small answers held-out problems."
    assert on_what == f"The problems are talk (5 problems), and {expected}."


def test_rejection_sampling_names_its_judge() -> None:
    stage = {"kind": "reject", "from": "small", "questions": 8, "samples": 4, "tasks": [{"task": "talk"}]}
    recipe = {"stages": {"kept": stage}}
    assert "and rules grade the answers" in describe_run(recipe)[1]
    stage["judge"] = {"by": "custom"}
    assert "and rules and a judge grade the answers" in describe_run(recipe)[1]


def test_a_set_of_several_stages_counts_once() -> None:
    recipe = load_recipe(list_packaged_recipes()["nano/r1-zero"], []).model_dump(mode="json", by_alias=True)
    once = describe_run(recipe)[1]
    recipe["stages"]["more"] = recipe["stages"]["zero"] | {"from": "zero"}
    assert describe_run(recipe)[1] == once


def test_ppo_is_told_as_what_it_is() -> None:
    recipe = load_recipe(list_packaged_recipes()["nano/ppo"], []).model_dump(mode="json", by_alias=True)
    (what, *_) = describe_run({"stages": {"ppo": recipe["stages"]["ppo"]}})
    assert what.endswith("and what goes better than a second network expects becomes likelier.")


def commands(run: RunReader) -> list[str]:
    return [command for command, _ in suggest_next_steps(RunReader(run.directory))]


def test_afterwards_there_is_something_to_do(tmp_path: Path) -> None:
    run = RunReader(finished_run(tmp_path / "my run", rollouts=1, problems=2, samples=1))
    place, recipe = f"'{run.directory}'", f"'{run.directory}/recipe.json'"
    assert commands(run) == [
        f"dunwu watch {place}",
        f"dunwu ablate {place}",
        f"dunwu eval {place} nano-base --bench countdown",
        f"dunwu run {recipe} --set stages.zero.steps=320 --out {place} --resume",
        f"dunwu reproduce {recipe} --seeds 1,2,3",
    ]
    assert list(find_finished_models(run)) == [run.stage("zero").model]
    run.stage("zero").derived.write_record(ABLATION, {"chains": 2})
    assert f"dunwu ablate {place}" not in commands(run)
    manifest = run.directory / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"stages": {"zero": "running"}}))
    assert commands(run) == [f"dunwu run {recipe} --out {place} --resume", f"dunwu watch {place}"]


def test_where_no_answer_can_be_cut_nobody_is_sent_there(tmp_path: Path) -> None:
    def offers(run: RunReader) -> bool:
        return any(command.startswith("dunwu ablate") for command in commands(run))

    run = RunReader(finished_run(tmp_path / "run", rollouts=1, problems=2, samples=1))
    assert offers(run)
    metrics = run.directory / "stages/zero/metrics.jsonl"
    kept = metrics.read_text()
    metrics.write_text(json.dumps(json.loads(kept) | {"reflections": 0.0}) + "\n")
    assert not offers(run), "nothing reflects"
    metrics.write_text(kept)
    run.recipe["stages"]["zero"] |= {"tasks": [{"task": "gsm8k", "path": "mine.jsonl"}]}
    (run.directory / "recipe.json").write_text(json.dumps(run.recipe))
    assert offers(run), "it was measured on a set"
    run.recipe["stages"]["zero"]["evaluation"] = {"sets": []}
    (run.directory / "recipe.json").write_text(json.dumps(run.recipe))
    assert not offers(run), "a file of which little is held out"


@pytest.mark.parametrize(
    ("task", "bench"),
    [
        ({"task": "gsm8k"}, "gsm8k"),
        ({"task": "math"}, "math500"),
        ({"task": "file", "kind": "math", "fields": {"problem": "q", "answer": "a b"}}, "file"),
        ({"task": "file", "kind": "choice", "fields": {"problem": "q", "answer": "a"}}, "choices"),
        ({"task": "file", "kind": "code", "fields": {"problem": "q", "tests": "t"}}, "programs"),
        ({"task": "file", "kind": "expression", "fields": {"problem": "q", "tests": "t"}}, None),
        ({"task": "arena"}, None),
    ],
)
def test_a_benchmark_from_a_file_is_one_that_eval_takes(
    tmp_path: Path, task: dict[str, Any], bench: str | None
) -> None:
    run = RunReader(finished_run(tmp_path / "run", rollouts=1, problems=2, samples=1))
    train, test = tmp_path / "train.jsonl", tmp_path / "test.jsonl"
    test.write_text("{}\n")
    trained, measured = (task | {"path": str(path)} for path in (train, test))
    run.recipe["stages"]["zero"] |= {"tasks": [trained], "evaluation": {"sets": [{"name": "x", "task": measured}]}}
    (run.directory / "recipe.json").write_text(json.dumps(run.recipe))
    found = [shlex.split(command) for command in commands(run) if command.startswith("dunwu eval")]
    assert len(found) == (0 if bench is None else 1)
    for words in found:
        place = words.index("--bench")
        _, name, _, file, *columns = words[place:]
        assert name == bench
        assert list(match_files([name], [Path(file)])) == [(name, test)], "as dunwu eval reads them"
        assert columns == [word for pair in task.get("fields", {}).items() for word in ("--field", "=".join(pair))]
    # What it trained on is no benchmark.
    run.recipe["stages"]["zero"]["evaluation"] = {"sets": [{"name": "x", "task": trained}]}
    (run.directory / "recipe.json").write_text(json.dumps(run.recipe))
    assert not any(command.startswith("dunwu eval") for command in commands(run))


def test_a_kind_of_stage_that_nobody_knows_here_has_sentences_too() -> None:
    sentences = describe_run({"stages": {"mine": {"kind": "sleep"}}})
    assert sentences[0] == "A stage of the kind sleep runs."
    assert sentences[2] == "What it is good for, its kind of stage says."
