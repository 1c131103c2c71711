"""What recipes of the nano world may say: data from files or tasks, judges, and what the corpus has left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from dunwu.config.checks import check_recipe
from dunwu.config.loader import dump_recipe, load_recipe
from dunwu.errors import UserError
from dunwu.planning.volume import Volume, estimate_volume

RECIPE = """
name = "small"

[data.talk]
task = "talk"
count = 60
held_out = 0.2

[data.file]
path = "some.jsonl"

[stages.cold]
kind = "cold_start"
from = "nano-world"
questions = 10
samples = 4
keep = 3
max_new_tokens = 60
tasks = [{ task = "countdown", held_out = 0.2 }]
prompt = { template = "nano", max_tokens = 40 }

[stages.taught]
kind = "sft"
from = "nano-world"
data = ["talk", "cold", "file"]

[stages.helpful]
kind = "reward_model"
from = "nano-world"
data = ["talk"]
learn_from = "pairs"
input = "summary"
prompt = { template = "nano" }

[stages.zero]
kind = "rl"
from = "taught"
steps = 16
reference_every = 0
tasks = [{ task = "talk", held_out = 0.2 }]

[[stages.zero.reward.models]]
name = "helpful"
from = "helpful"
input = "summary"
prompt = { template = "nano" }

[[stages.zero.evaluation.sets]]
name = "talk"
task = { task = "talk", held_out = 0.2 }

[stages.table]
kind = "eval"
models = ["nano-world", "zero", "nano-base"]
judges = [{ name = "kind", from = "helpful", input = "summary", prompt = { template = "nano" } }]

[[stages.table.sets]]
name = "talk"
task = { task = "talk", held_out = 0.2 }
judges = ["kind"]
"""
TABLE, ZERO = "stages.table.", "stages.zero."
SET = "{name='talk', task={task='talk', held_out=0.2}, judges=['kind']}"
JUDGE = "{name='kind', from='helpful', input='summary', prompt={template='nano'}}"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "some.jsonl").write_text('{"prompt": "a", "response": "b"}\n' * 5)
    (tmp_path / "small.toml").write_text(RECIPE)
    return tmp_path / "small.toml"


def test_a_good_recipe_has_no_findings(path: Path) -> None:
    assert list(check_recipe(load_recipe(path))) == []


def test_what_a_run_writes_of_its_recipe_is_read_back(path: Path) -> None:
    recipe = load_recipe(path)
    written = path.with_name("recipe.json")
    written.write_text(dump_recipe(recipe))
    assert load_recipe(written) == recipe


ONLY = "only tasks make conversations; a file has what it has"


@pytest.mark.parametrize(
    ("place", "value", "field", "message"),
    [
        ("data.talk", "{count=60}", ".path", "is missing: say a path, or a task"),
        ("data.talk", "{}", ".path", "is missing: say a path, or a task"),
        ("data.talk.path", "x.jsonl", "", "say either a path or a task"),
        ("data.file.count", "3", "", ONLY),
        ("data.file.held_out", "0.3", "", ONLY),
        ("data.file.languages", "['zh']", "", ONLY),
        ("data.file.seed", "1", "", ONLY),
        ("data.talk.fields", "{prompt='q'}", "", "only files have columns"),
        ("data.talk.task", "walk", "", "must be 'talk' or 'requests', not \"walk\""),
        ("data.talk.held_out", "1.0", "", "must be less than 1, not 1.0"),
        ("data.cold", "{task='talk'}", "", "is the name of a stage that makes conversations too"),
        (
            "stages.taught.data",
            "['tlak']",
            ".0",
            "no data of this recipe is called 'tlak' (known here: talk, file, cold)",
        ),
        ("stages.taught.data", "['helpful']", ".0", "no data of this recipe is called 'helpful'"),
        ("stages.cold.keep", "5", "", "5 are more than the 4 samples"),
        ("stages.cold.rewrite", "{by='custom'}", ".file", "is missing"),
        ("stages.cold.rewrite", "{by='endpoint'}", ".endpoint", "is missing"),
        (
            f"{TABLE}sets.0.judges",
            "['kin']",
            "",
            "no judge of this stage is called 'kin' (known here: kind); did you mean",
        ),
        (
            "stages.table",
            f"{{kind='eval', models=['zero'], sets=[{SET}]}}",
            ".sets.0.judges",
            "no judge of this stage is",
        ),
        (
            f"{TABLE}judges.0.from",
            "helpfull",
            "",
            "no earlier stage called 'helpfull' makes a reward model (known here:",
        ),
        (
            f"{TABLE}judges.0.from",
            "zero",
            "",
            "no earlier stage called 'zero' makes a reward model (known here: helpful)",
        ),
        (f"{TABLE}judges.0.input", "all", "", "all, but helpful was trained on summary"),
        (f"{TABLE}judges", f"[{JUDGE}, {JUDGE}]", ".1.name", "'kind' is the name of another result"),
        (f"{TABLE}judges", f"[{JUDGE.replace('kind', 'length')}]", ".0.name", "'length' is the name of another result"),
        (f"{ZERO}evaluation.sets.0.judges", "['helpful']", "", "only a stage of kind eval asks judges"),
        (f"{ZERO}reward.models.0.prompt.template", "chat", "", "'chat', but helpful was trained with 'nano'"),
    ],
)
def test_recipes_that_do_not_fit(path: Path, place: str, value: str, field: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        load_recipe(path, [f"{place}={value}"])
    assert f": {message}" in str(caught.value)
    assert f"{place}{field}" in str(caught.value)


@pytest.mark.parametrize(
    "task", ["countdown", "game24", "ranking", "functions", "premise", "talk", "harmful", "harmless"]
)
def test_no_evaluation_draws_what_the_corpus_held(path: Path, task: str) -> None:
    """The share that the world's corpus left out is a fifth, also for what was begun from its model."""
    place = f"{TABLE}sets.0.task={{task='{task}', held_out="
    models = [f"{TABLE}models=['zero', 'nano-world']", f"{ZERO}tasks=[{{task='arithmetic'}}]"]
    models += [f"{ZERO}evaluation.sets=[]", "stages.cold.tasks=[{task='bases'}]", "data.talk.held_out=0.3"]
    with pytest.raises(UserError) as caught:
        load_recipe(path, [*models, f"{place}0.3}}"])
    told = str(caught.value)
    assert f"{TABLE}sets.0.task.held_out: 0.3 is more than the corpus of zero left out (0.2)" in told
    assert told.endswith("(and 1 more: stages.table.sets.0.task.held_out)")
    load_recipe(path, [*models, f"{place}0.2}}"])
    load_recipe(path, [*models, f"{TABLE}models=['owner/model']", f"{place}0.3}}"])
    with pytest.raises(UserError, match=r"0\.2 is more than the corpus of nano-base left out \(0\.1\)"):
        load_recipe(
            path, [*models, f"{TABLE}models=['nano-base']", f"{TABLE}sets.0.task={{task='game24', held_out=0.2}}"]
        )


def test_an_rl_stage_s_own_sets_are_held_to_it_too(path: Path) -> None:
    sets = f"{ZERO}evaluation.sets=[{{name='logic', task={{task='ranking', held_out=0.25}}}}]"
    with pytest.raises(UserError, match=r"sets\.0\.task\.held_out: 0\.25 is more than the corpus of taught left out"):
        load_recipe(path, [sets])


def test_no_evaluation_draws_what_the_recipe_s_own_data_teach(path: Path) -> None:
    """Data that leave out a tenth hold half of an evaluation's fifth."""
    with pytest.raises(UserError, match="held_out: "):
        load_recipe(path, ["data.talk.held_out=0.1"])


def test_how_much_there_is_to_learn_from(path: Path) -> None:
    recipe = load_recipe(path, ["data.table={path='rows.parquet'}", "data.gone={path='gone.jsonl'}"])
    assert estimate_volume("talk", recipe) == Volume(60, 2400.0)
    assert estimate_volume("file", recipe) == Volume(5, 5 * 33 / 3)
    assert estimate_volume("cold", recipe) == Volume(30, 30 * (40 + 60) / 2)
    assert estimate_volume("table", recipe) is None
    assert estimate_volume("gone", recipe) is None
    assert estimate_volume("taught", recipe) is None
    assert estimate_volume("nowhere", recipe) is None
