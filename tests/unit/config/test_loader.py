"""Reading a recipe: what a good one becomes, and the one line that a bad one gets."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dunwu.config.loader import dump_recipe, load_recipe, validate_recipe
from dunwu.config.schema import CorrectionSpec, PretrainStage, Recipe, RLStage, learning
from dunwu.errors import UserError
from dunwu.planning import make_plan
from dunwu.planning.stage_rows import list_stage_rows

Write = Callable[..., Path]


BEFORE = "[stages.zero.prompt]"
REWARDS = [
    (
        "language = { wieght = 1 }",
        "stages.zero.reward.language.wieght: unknown field; did you mean weight? "
        "(and 1 more: stages.zero.reward.language.weight)",
    ),
    (
        "custom = [{ name = 'a', fle = 'a.py' }]",
        "stages.zero.reward.custom.0.fle: unknown field; did you mean file?",
    ),
    ("language = true", "stages.zero.reward.language: must be a number or a table, not true"),
    ("tasks.countdown.format = '1'", 'stages.zero.reward.tasks.countdown.format: must be a number or a table, not "1"'),
    ("code = 4", "stages.zero.reward.code: must be a table, not 4"),
    (
        "custom = [{ name = 'a', file = 'a.py', weight = -0.1 }]",
        "stages.zero.reward.custom.0.weight: must be greater than or equal to 0, not -0.1",
    ),
    (
        "language = { weight = -0.1 }",
        "stages.zero.reward.language.weight: must be greater than or equal to 0, not -0.1",
    ),
    (
        "custom = { name = 'a' }",
        "stages.zero.reward.custom: must be an array of tables: write [[stages.zero.reward.custom]]",
    ),
]
"""What stands in the table of the reward, and the line that it gets."""


def rl(recipe: Recipe) -> RLStage:
    stage = recipe.stages["zero"]
    assert isinstance(stage, RLStage)
    return stage


def test_a_valid_recipe_keeps_its_values_order_and_defaults(write: Write) -> None:
    recipe = load_recipe(write())
    assert (recipe.name, recipe.seed, list(recipe.stages)) == ("small", 7, ["base", "zero"])
    assert isinstance(recipe.stages["base"], PretrainStage)
    stage = rl(recipe)
    assert (stage.rollouts, stage.updates_per_rollout) == (8, 4)
    assert (stage.rollout.group_size, stage.rollout.temperature, stage.optimizer.lr) == (4, 1.0, 3e-6)


def test_the_kl_term_is_corrected_where_the_policy_that_learns_did_not_draw(write: Write) -> None:
    path = write()
    once = ["stages.zero.update.minibatches=1"]
    replay = ["stages.zero.replay={rollouts=2}", "stages.zero.algorithm.importance_cap=2"]
    on, off = (f"stages.zero.algorithm.kl_correction={word}" for word in ("true", "false"))
    cases = [([], True), (once, False), ([*once, *replay], True), ([off], False), ([*once, on], True)]
    assert [rl(load_recipe(path, fields)).corrects_kl for fields, _ in cases] == [expected for _, expected in cases]


def test_samples_of_another_policy_are_corrected_by_themselves(write: Write) -> None:
    """Off where our engine writes them, a cap of 2 on tokens where another one does, and as the recipe says."""
    place = "stages.zero.algorithm"
    foreign, cap, off = (
        "stages.zero.model.engine=engines.py:MyEngine",
        f"{place}.importance_cap=3",
        f"{place}.correction={{cap=0}}",
    )
    chosen = f"{place}.correction={{level='sequence', mask_high=4}}"
    cases: list[tuple[list[str], CorrectionSpec | None]] = [
        ([], None),
        ([foreign], CorrectionSpec()),
        (["stages.zero.rollout.max_staleness=1"], CorrectionSpec()),
        ([foreign, f"{place}.old_logprobs=sampler"], None),
        ([cap], CorrectionSpec(cap=3.0)),
        ([foreign, cap], CorrectionSpec(cap=3.0)),
        ([chosen], CorrectionSpec(level="sequence", mask_high=4.0)),
        ([foreign, chosen], CorrectionSpec(level="sequence", mask_high=4.0)),
        ([foreign, off], None),
    ]
    assert (CorrectionSpec().level, CorrectionSpec().cap, CorrectionSpec().has_masks) == ("token", 2.0, False)
    path = write()
    (path.parent / "engines.py").write_text("class MyEngine: ...\n", encoding="utf-8")
    for fields, expected in cases:
        assert rl(load_recipe(path, fields)).correction == expected, fields


@pytest.mark.parametrize(("fast", "dtype"), [(True, "bfloat16"), (False, "float32")])
def test_the_type_that_a_processor_multiplies_fast_is_settled_once(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fast: bool, dtype: str
) -> None:
    monkeypatch.setattr(learning, "multiplies_bfloat16", lambda: fast)
    recipe = load_recipe(write(), ["stages.zero.model.dtype=auto"])
    assert [stage.model.dtype for stage in recipe.stages.values()] == ["float32", dtype]
    kept = tmp_path / "recipe.json"
    kept.write_text(dump_recipe(recipe), encoding="utf-8")
    monkeypatch.setattr(learning, "multiplies_bfloat16", lambda: not fast)  # on another machine
    assert load_recipe(kept) == recipe
    assert load_recipe(write(), ["stages.zero.model.dtype=auto"], json.loads(dump_recipe(recipe))) == recipe
    (row,) = (text for label, text in list_stage_rows(make_plan(recipe).stages[1]) if label == "parameters")
    assert row.endswith(f" in {dtype}")


def test_paths_are_relative_to_the_recipe_and_overrides_to_the_current_directory(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(('from = "base"', 'from = "./models/x"'))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    stage = rl(load_recipe(path))
    assert (stage.from_, stage.tasks[1].path) == (str(tmp_path / "models/x"), tmp_path / "data/train.jsonl")
    stage = rl(load_recipe(path, ["stages.zero.from=./y", "stages.zero.tasks.1.path=other.jsonl"]))
    assert (stage.from_, stage.tasks[1].path) == (str(elsewhere / "y"), elsewhere / "other.jsonl")


def test_a_function_s_file_is_beside_the_recipe_and_absolute_in_the_dump(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write((BEFORE, f"[[stages.zero.reward.custom]]\nname = 'a'\nfile = 'short.py'\n{BEFORE}"))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    recipe = load_recipe(path)
    assert rl(recipe).reward.custom[0].file == tmp_path / "short.py"
    assert json.loads(dump_recipe(recipe))["stages"]["zero"]["reward"]["custom"][0]["file"] == str(
        tmp_path / "short.py"
    )
    overridden = load_recipe(path, ["stages.zero.reward.custom.0.file=other.py"])
    assert rl(overridden).reward.custom[0].file == elsewhere / "other.py"


def test_an_owner_and_name_is_a_folder_where_one_lies_beside_the_recipe_else_a_hub_id(write: Write) -> None:
    path = write(('from = "base"', 'from = "owner/model"'))
    assert rl(load_recipe(path)).from_ == "owner/model"
    (path.parent / "owner" / "model").mkdir(parents=True)
    assert rl(load_recipe(path)).from_ == str(path.parent / "owner" / "model")


def test_the_dump_reads_back_equal_and_holds_every_default(write: Write) -> None:
    recipe = load_recipe(write(("max_new_tokens = 96", "max_new_tokens = 96\nlength_schedule = { 16 = 128 }")))
    text = dump_recipe(recipe)
    again = Recipe.model_validate_json(text)
    assert again == recipe
    assert list(again.stages) == ["base", "zero"]
    assert dump_recipe(again) == text
    written = json.loads(text)["stages"]["zero"]
    assert (written["from"], written["rollout"]["length_schedule"]) == ("base", {"16": 128})
    assert written["algorithm"]["kl_coefficient"] == 0.001


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            ("group_size = 4", "group_sise = 4"),
            "stages.zero.rollout.group_sise: unknown field; did you mean group_size?",
        ),
        (("[stages.zero.rollout]", "[stages.zero.rolout]"), "stages.zero.rolout: unknown field; did you mean rollout?"),
        *(
            (
                (BEFORE, f"[stages.zero.model]\ndtype = {given}\n{BEFORE}"),
                f"stages.zero.model.dtype: must be 'auto', 'float32' or 'bfloat16', not {given}",
            )
            for given in ('"float16"', '["auto"]')
        ),
        (("seed = 7", "zebra = 7"), "zebra: unknown field"),
        (
            ('task = "gsm8k"', 'taks = "gsm8k"'),
            "stages.zero.tasks.1.taks: unknown field; did you mean task? (and 1 more: stages.zero.tasks.1.task)",
        ),
        *(((BEFORE, f"[stages.zero.reward]\n{written}\n{BEFORE}"), line) for written, line in REWARDS),
        (
            (BEFORE, f"[stages.zero.optimizer]\nbetas = {{ a = 1 }}\n{BEFORE}"),
            'stages.zero.optimizer.betas: must be a valid array, not {"a": 1}',
        ),
        (('from = "base"\n', ""), "stages.zero.from: is missing"),
        (
            ('kind = "rl"', 'kind = "sftt"'),
            "stages.zero.kind: no kind of stage is called 'sftt'; did you mean sft?; there are rl, sft, distil, "
            "reject, cold_start, reward_model, eval, pretrain; a name may also be MODULE:NAME or FILE.py:NAME",
        ),
        (('kind = "rl"\n', ""), "stages.zero.kind: is missing"),
        (("steps = 32", 'steps = "32"'), 'stages.zero.steps: must be a valid integer, not "32"'),
        (("steps = 32", "steps = true"), "stages.zero.steps: must be a valid integer, not true"),
        (("group_size = 4", "group_size = 1"), "stages.zero.rollout.group_size: must be greater than 1, not 1"),
        (("questions = 8", "questions = 0"), "stages.zero.rollout.questions: must be greater than 0, not 0"),
        (
            ("[stages.zero.prompt]", "[stages.zero.algorithm]\nclip_low = nan\n[stages.zero.prompt]"),
            "stages.zero.algorithm.clip_low: must be a finite number, not NaN",
        ),
        (
            ("[stages.zero.prompt]", "[stages.zero.algorithm]\nclip_high = 0\n[stages.zero.prompt]"),
            "stages.zero.algorithm.clip_high: must be greater than 0, not 0",
        ),
        (('name = "small"', 'name = "a/b"'), "name: may hold letters, digits, - and _ only, not 'a/b'"),
        (("levels = [3]\n\n", "levels = 3\n\n"), "stages.zero.tasks.0.levels: must be a valid array, not 3"),
        (
            ("[stages.zero.prompt]", "[stages.zero.optimizer]\nbetas = [0.9]\n[stages.zero.prompt]"),
            "stages.zero.optimizer.betas.1: is missing",
        ),
    ],
)
def test_a_wrong_field_is_one_line_with_file_and_field(write: Write, change: tuple[str, str], line: str) -> None:
    path = write(change)
    with pytest.raises(UserError) as caught:
        load_recipe(path)
    assert str(caught.value) == f"{path}: {line}"


def test_no_stages_and_no_tasks_are_errors(write: Write, tmp_path: Path) -> None:
    path = tmp_path / "empty.toml"
    path.write_text('name = "x"\n[stages]\n')
    with pytest.raises(UserError, match=r"stages: .*at least 1"):
        load_recipe(path)
    with pytest.raises(UserError, match=r"^--set stages\.zero\.tasks=\[\]: needs at least 1 entry$"):
        load_recipe(write(), ["stages.zero.tasks=[]"])


def test_files_that_are_no_recipe(tmp_path: Path) -> None:
    broken, latin, missing = tmp_path / "broken.toml", tmp_path / "latin.toml", tmp_path / "none.toml"
    broken.write_text('name = "x"\n\n[stages.zero\n')
    latin.write_bytes(b'name = "x"\n# caf\xe9\n')
    for path, line in (
        (missing, f"{missing}: no such file"),
        (tmp_path, f"{tmp_path}: is a folder; a recipe is a TOML file"),
        (latin, f"{latin}: line 2: is not UTF-8 text"),
        (broken, f"{broken}: line 3, column 13: broken TOML: Expected ']' at the end of a table declaration"),
        (broken / "below", f"{broken / 'below'}: cannot be read: Not a directory"),
    ):
        with pytest.raises(UserError) as caught:
            load_recipe(path)
        assert str(caught.value) == line


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ('rollout.stop=["", "x"]', "stages.zero.rollout.stop.0: must have at least 1 character"),
        ("model.threads=100000000", "must be less than or equal to 1024, not 100000000"),
        ("rollout.temperature=1e-300", "must be 0 or at least 0.001, not 1e-300"),
        ("evaluation.temperature=0.0009", "must be 0 or at least 0.001, not 0.0009"),
    ],
)
def test_values_that_would_crash_the_run_are_refused(write: Write, override: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        load_recipe(write(), ["stages.zero." + override])
    assert message in str(caught.value)


def test_the_coldest_temperatures_that_are_left_pass(write: Write) -> None:
    stage = rl(
        load_recipe(write(), ["stages.zero.rollout.temperature=0.001", "stages.zero.evaluation.temperature=0.01"])
    )
    assert (stage.rollout.temperature, stage.evaluation.temperature) == (0.001, 0.01)


@pytest.mark.parametrize("text", ["a = " + "[" * 5000, "seed = " + "9" * 5000], ids=["nested", "huge"])
def test_toml_that_breaks_the_parser_is_broken_toml(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        load_recipe(path)
    assert str(caught.value).startswith(f"{path}: broken TOML: ")


def test_a_byte_order_mark_is_no_part_of_the_recipe(write: Write) -> None:
    path = write()
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert load_recipe(path).name == "small"


@pytest.mark.parametrize("written", ["2024-01-01", "12:30:00", "2024-01-01T00:00:00Z"])
def test_a_date_is_no_name(write: Write, written: str) -> None:
    with pytest.raises(UserError, match="name: must not be a date or time; as a text it is written '"):
        load_recipe(write(('name = "small"', f"name = {written}")))


def test_the_json_that_a_run_keeps_is_a_recipe(write: Write, tmp_path: Path) -> None:
    recipe = load_recipe(write(), ["stages.zero.steps=16"])
    kept = tmp_path / "run" / "recipe.json"
    kept.parent.mkdir()
    kept.write_text(dump_recipe(recipe))
    assert load_recipe(kept) == recipe
    assert rl(load_recipe(kept, ["stages.zero.steps=48"])).steps == 48
    for broken, message in (("{", "broken JSON"), ("[" * 100_000, "broken JSON"), ("[]", "not a JSON object")):
        kept.write_text(broken)
        with pytest.raises(UserError, match=rf"recipe\.json: .*{message}"):
            load_recipe(kept)


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[3] / "recipes").glob("*/*.toml")), ids=lambda p: p.stem)
def test_no_shipped_recipe_ends_before_its_first_checkpoint(path: Path) -> None:
    for stage in load_recipe(path).stages.values():
        if isinstance(stage, RLStage):
            assert stage.checkpoint.every < stage.steps


@pytest.mark.parametrize("text", ["a" + ".a" * 5000 + " = 1\n", "a = " + "[" * 70 + "]" * 70 + "\n"])
def test_a_recipe_that_is_nested_too_deep_gets_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "deep.toml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        load_recipe(path)
    assert str(caught.value) == f"{path}: is nested deeper than 64 levels"


@pytest.mark.parametrize("field", ["name" + ".a" * 100, "a" + ".a" * 5000])
def test_an_override_that_is_nested_too_deep_gets_one_line(write: Write, field: str) -> None:
    with pytest.raises(UserError) as caught:
        load_recipe(write(), [f"{field}=1"])
    assert str(caught.value).startswith(f"--set {field}=1: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{"name": "a", "seed": 1, "name": "b"}', "broken JSON: it has the key 'name' twice"),
        ('{"name": "a", "stages": {"x": {}, "x": {}}}', "broken JSON: it has the key 'x' twice"),
        ("{", "broken JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("[]", "is no recipe: not a JSON object"),
    ],
)
def test_a_broken_recipe_in_json_names_its_file_once(tmp_path: Path, text: str, line: str) -> None:
    path = tmp_path / "recipe.json"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        load_recipe(path)
    assert str(caught.value) == f"{path}: {line}"


@pytest.mark.parametrize(
    ("field", "most"),
    [
        ("rollout.temperature", 100),
        ("evaluation.temperature", 100),
        ("optimizer.lr", 10),
        ("optimizer.muon_lr", 10),
        ("optimizer.weight_decay", 100),
    ],
)
def test_numbers_that_no_training_survives_are_out_of_range(write: Write, field: str, most: int) -> None:
    path = write()
    load_recipe(path, [f"stages.zero.{field}={most}.0"])
    for value in ("1e308", f"{most}.1"):
        with pytest.raises(UserError, match=f"must be less than or equal to {most}"):
            load_recipe(path, [f"stages.zero.{field}={value}"])


def test_tables_from_python_may_hold_paths_and_numbers_of_numpy(tmp_path: Path) -> None:
    stage = {"kind": "sft", "from": "nano-base", "data": ["texts"]}
    tables = {"name": "own", "seed": np.int64(3), "data": {"texts": {"path": tmp_path}}, "stages": {"taught": stage}}
    recipe = validate_recipe(tables)
    assert (recipe.seed, recipe.data["texts"].path) == (3, tmp_path)


def test_tables_from_python_that_are_no_recipe_are_refused() -> None:
    with pytest.raises(UserError, match="is set, which no field of a recipe is"):
        validate_recipe({"name": {"own"}, "stages": {}})
    endless: dict[str, Any] = {}
    endless["name"] = endless
    with pytest.raises(UserError, match="the recipe: is nested deeper than 64 levels"):
        validate_recipe(endless)
