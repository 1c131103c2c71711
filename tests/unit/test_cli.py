"""The command's face: exit codes, the one line on stderr, and what stands on stdout."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from inspect import signature
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import typer
from tests.unit.calling import RECIPE, SOURCE, Calls, call, raising, stand_in
from typer.testing import CliRunner

import dunwu
from dunwu.cli import commands, main
from dunwu.config.packaged import NANO_BASE
from dunwu.config.schema import Recipe, learning
from dunwu.errors import Fault, Interrupted, UserError
from dunwu.runs import RunWriter

SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size")


def test_version_and_help() -> None:
    assert call("--version").stdout == f"dunwu {dunwu.__version__}\n"
    shown = call("--help")
    assert shown.exit_code == 0
    assert all(name in shown.stdout for name in ("run", "plan", "report", "bench"))


@pytest.mark.parametrize(
    ("command", "function", "names", "in_python"),
    [
        (commands.run, dunwu.run, {}, set()),
        (commands.plan, dunwu.plan, {"as_json": None}, set()),
        (
            commands.evaluate,
            dunwu.evaluate,
            {"bench": "benchmarks", "data": "path", "as_json": None},
            {"log", "monitor"},
        ),
    ],
)
def test_a_command_has_the_options_of_its_function(
    command: Callable[..., None],
    function: Callable[..., object],
    names: dict[str, str | None],
    in_python: set[str],
) -> None:
    """Typer needs flags, bounds and short helps that no docstring has: the two lists stand apart, and stay the same."""
    options = {names.get(name, name) for name in signature(command).parameters} - {None}
    assert options == signature(function).parameters.keys() - in_python


def test_run_hands_over_what_was_asked(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: Calls = []
    monkeypatch.setattr("dunwu.commands.run.execute", lambda *given, **how: calls.append((*given, how)))
    assert call("run", recipe).exit_code == 0
    assert call("run", recipe, "--set", "stages.zero.steps=16", "--out", "there", "--resume").exit_code == 0
    (plain, out, how), (changed, there, again) = calls
    assert (plain.stages["zero"].steps, out, how["file"], how["resume"]) == (32, Path("runs/small"), recipe, False)
    assert how["planned_seconds"].keys() == {"base", "zero"}
    assert how["planned_seconds"]["zero"] > 0
    assert (changed.stages["zero"].steps, there, again["resume"]) == (16, Path("there"), True)


def test_a_run_that_goes_on_keeps_what_auto_was_when_it_began(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Recipe] = []
    monkeypatch.setattr("dunwu.commands.run.execute", lambda recipe, *_, **__: begun.append(recipe))
    command = "run", recipe, "--set", "stages.zero.model.dtype=auto", "--out", tmp_path / "run"
    monkeypatch.setattr(learning, "multiplies_bfloat16", lambda: True)
    assert call(*command).exit_code == 0
    made = begun[0].model_dump(mode="json", by_alias=True)
    RunWriter.create(tmp_path / "run", recipe_text="", recipe_json=made, seed=7, versions={}).close()
    monkeypatch.setattr(learning, "multiplies_bfloat16", lambda: False)  # another machine
    assert call(*command, "--resume").exit_code == 0
    assert [one.stages["zero"].model.dtype for one in begun] == ["bfloat16", "bfloat16"]


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UserError("no answer", file="x.jsonl", field="line 3"), 2, "error: x.jsonl: line 3: no answer"),
        (Fault("the loss is NaN in step 7"), 1, "fault: the loss is NaN in step 7"),
        (OSError(28, "No space left on device"), 1, "fault: OSError: [Errno 28] No space left on device"),
        (SystemExit(0), 1, "fault: something called sys.exit(0) in the middle"),
        (ValueError("two\nlines"), 1, "fault: ValueError: two lines (DUNWU_DEBUG=1 shows where)"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_each_way_to_fail_has_its_code_and_one_line(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, line: str
) -> None:
    monkeypatch.delenv("DUNWU_DEBUG", raising=False)
    monkeypatch.setattr("dunwu.commands.run.execute", raising(error))
    result = call("run", recipe)
    assert result.exit_code == code
    assert result.stderr.startswith(line)
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_a_reader_that_has_left_is_no_fault(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = SystemExit(1)  # as rich ends where its console cannot be written to
    error.__context__ = BrokenPipeError(32, "Broken pipe")
    monkeypatch.setattr("dunwu.commands.run.execute", raising(error))
    result = call("run", recipe)
    assert (result.exit_code, result.stderr) == (1, "")


def test_debugging_shows_the_traceback(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUNWU_DEBUG", "1")
    monkeypatch.setattr("dunwu.commands.run.execute", raising(ValueError("deep down")))
    result = call("run", recipe)
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert result.stderr.count("deep down") == 2


def test_debugging_shows_where_code_of_the_user_raised(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUNWU_DEBUG", "1")
    error = UserError("mine.py:loss raised KeyError: 'x'")
    error.__cause__ = KeyError("x")
    monkeypatch.setattr("dunwu.commands.run.execute", raising(error))
    result = call("run", recipe)
    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert "KeyError: 'x'\n" in result.stderr


@pytest.mark.parametrize("found", [True, False], ids=["on the path", "in a folder of its own"])
def test_an_interrupted_run_says_how_to_go_on(recipe: Path, monkeypatch: pytest.MonkeyPatch, found: bool) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}" if found else None)
    monkeypatch.setattr("dunwu.commands.run.execute", raising(Interrupted("asked to stop; saved")))
    result = call("run", recipe, "--set", "stages.zero.tasks=[{task='countdown'}]", "--out", "a b")
    assert result.exit_code == 3
    program = "dunwu" if found else Path(sys.executable).with_name("dunwu")
    command = (
        f"""{program} run {recipe} --set 'stages.zero.tasks=[{{task='"'"'countdown'"'"'}}]' --out 'a b' --resume"""
    )
    assert result.stderr == f"asked to stop; saved; resume with: {command}\n"


def test_plan_prints_one_json_object(recipe: Path) -> None:
    result = call("plan", recipe, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    planned = json.loads(result.stdout)
    assert planned["problems"] == []
    zero = planned["stages"][1]
    assert (zero["name"], zero["kind"], zero["rollouts"], zero["updates_per_rollout"]) == ("zero", "rl", 8, 4)
    assert zero["reference_every_rollouts"] == 8
    assert zero["device_hours"] > 0
    assert zero["memory_gib"] > 0


def test_plan_prints_plain_lines_in_a_pipe(recipe: Path) -> None:
    lines = call("plan", recipe).stdout.splitlines()
    assert "  rollouts: 8, each 8 questions x 4 = 32 completions" in lines
    assert "  minibatches: 4 updates a rollout, 8 completions each" in lines


def test_plan_lists_every_obstacle_and_run_refuses(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = "stages.zero.tasks=[{task='gsm8k', path='no.jsonl'}, {task='math'}]"
    missing = f"stages.zero.tasks.0.path: no such file: {recipe.parent / 'no.jsonl'}"
    result = call("plan", recipe, "--set", data)
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        f"error: --set {data}: {missing}",
        f"error: --set {data}: stages.zero.tasks.1.path: is missing: math reads a file; say which, there or with --set",
    ]
    assert len(json.loads(call("plan", recipe, "--set", data, "--json").stdout)["problems"]) == 2
    monkeypatch.setattr("dunwu.commands.run.execute", raising(AssertionError("must not run")))
    refused = call("run", recipe, "--set", data)
    assert refused.exit_code == 2
    assert refused.stderr == f"error: --set {data}: {missing} (and 1 more; dunwu plan lists them)\n"


def test_resuming_without_the_settings_says_how_the_run_goes_on(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recipe.write_text(RECIPE.replace('task = "countdown"', 'task = "math"'))
    there = tmp_path / "runs" / "small"
    there.mkdir(parents=True)
    (there / "recipe.json").write_text("{}")
    goes_on = "; the run that is there goes on with: dunwu run runs/small/recipe.json --out runs/small --resume\n"
    assert call("run", recipe, "--resume").stderr.endswith(goes_on)
    assert goes_on not in call("run", recipe).stderr


def test_resuming_with_a_recipe_of_before_says_the_new_name_and_how_the_run_goes_on(
    recipe: Path, tmp_path: Path
) -> None:
    out, old = tmp_path / "old", tmp_path / "old.toml"
    old.write_text(RECIPE.replace("group_size", "slots = 8, group_size"))
    out.mkdir()
    kept = out / "recipe.json"
    kept.write_text("{")
    goes_on = f"; the run that is there goes on with: dunwu run {kept} --out {out} --resume\n"
    refused = call("run", old, "--out", out, "--resume")
    assert refused.exit_code == 2
    assert refused.stderr == f"error: {old}: stages.zero.rollout.slots: is now called max_sequences{goes_on}"
    assert goes_on not in call("run", kept, "--out", out, "--resume").stderr


def test_plan_lists_every_slip_of_a_recipe_and_no_table(recipe: Path) -> None:
    slips = ("--set", "stages.zero.rollout.groups=1", "--set", "stages.zero.stepz=2", "--set", "stages.zero.update.x=3")
    told = call("plan", recipe, *slips)
    assert (told.exit_code, told.stdout) == (2, "")
    named = sorted(line.partition("=")[0] for line in told.stderr.splitlines())
    assert named == sorted(f"error: --set {slip.partition('=')[0]}" for slip in slips[1::2])
    assert len(json.loads(call("plan", recipe, *slips, "--json").stdout)["problems"]) == 3
    assert call("plan", recipe, "--set", "stages.zero.from=./none").stdout == ""


def test_lines_of_the_plan_are_broken_between_words_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    from dunwu.cli import printing

    monkeypatch.setattr("sys.stdout", terminal := Terminal())
    monkeypatch.setenv("COLUMNS", "40")
    printing._print_line("assumed: memory is an upper bound: rollout cache and activations")
    assert terminal.getvalue() == "assumed: memory is an upper bound:\n  rollout cache and activations\n"


class Terminal(StringIO):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        return True


BROKEN = {
    "missing file": (None, "error: recipe.toml: no such file"),
    "broken TOML": ("[stages.zero\n", "error: recipe.toml: line 1, column 13: broken TOML: Expected ']' at the end"),
    "unknown field": (RECIPE.replace("group_size", "groups"), "stages.zero.rollout.groups: unknown field"),
    "wrong type": (RECIPE.replace("steps = 32", 'steps = "x"'), 'stages.zero.steps: must be a valid integer, not "x"'),
    "out of range": (RECIPE.replace("group_size = 4", "group_size = 1"), "group_size: must be greater than 1, not 1"),
    "batch that does not divide": (
        RECIPE.replace("questions = 8", "questions = 7").replace("minibatches = 4", "minibatches = 8"),
        "stages.zero.update.minibatches: questions x group_size = 28 does not divide into 8 minibatches",
    ),
    "no held-out": (
        RECIPE + "evaluation = { sets = [{ name = 'a', task = { task = 'countdown', held_out = 0 } }] }",
        "stages.zero.evaluation.sets.0.task.held_out: 0 leaves no held-out problems",
    ),
    "temperature 0": (
        RECIPE.replace("group_size = 4", "group_size = 4, temperature = 0"),
        "stages.zero.rollout.temperature: 0 makes all 4 completions of a group equal",
    ),
    "no such model": (RECIPE.replace('"base"', '"./none"'), "stages.zero.from: no such folder: "),
    "no such stage": (RECIPE.replace('from = "base"', 'from = "bass"'), "did you mean base?"),
    "generator with a file": (RECIPE.replace("levels = [3]", "path = '.'"), "tasks.0.path: 'countdown' reads no file"),
    "heads": (RECIPE.replace("kv_heads = 2", "kv_heads = 3"), "heads = 4 does not divide into 3 kv_heads"),
}


@pytest.mark.parametrize("command", ["plan", "run"])
@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_recipe_is_one_line_and_code_2(
    kind: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, line = BROKEN[kind]
    monkeypatch.chdir(tmp_path)
    if text is not None:
        Path("recipe.toml").write_text(text)
    monkeypatch.setattr("dunwu.commands.run.execute", raising(AssertionError("must not run")))
    result = call(command, "recipe.toml")
    assert result.exit_code == 2
    assert line in result.stderr
    assert result.stderr.startswith("error: recipe.toml: ")
    assert result.stderr.count("\n") == 1


def test_plan_of_a_broken_recipe_still_prints_json(recipe: Path) -> None:
    recipe.write_text(RECIPE.replace("steps = 32", "steps = 33"))
    result = call("plan", recipe, "--json")
    assert result.exit_code == 2
    planned = json.loads(result.stdout)
    assert planned["stages"] == planned["totals"] == []
    assert planned["problems"][0].startswith(f"{recipe}: stages.zero.steps: 33 steps are not whole rollouts")


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ("{", "is no JSON"),
        ("[]", "is no JSON object"),
        ("[" * 500 + "]" * 500, "is nested deeper than 64 levels"),
        ('{"num_hidden_layers": 10000000}', "num_hidden_layers: more than 1,048,576"),
        (json.dumps(dict.fromkeys(SIZES, "many")), "has a size that is no number"),
        (json.dumps(dict.fromkeys(SIZES, 0)), "has a size that is no number"),
    ],
)
def test_plan_of_a_model_that_cannot_be_read_still_prints_json(recipe: Path, config: str, told: str) -> None:
    model = recipe.parent / "model"
    model.mkdir()
    for name in ("model.safetensors", "tokenizer.json"):
        (model / name).touch()
    (model / "config.json").write_text(config)
    whole = json.loads(call("plan", recipe, "--json").stdout)
    for template in ("nano", "chat"):
        chosen = f"stages.zero.prompt.template={template}"
        result = call("plan", recipe, "--set", f"stages.zero.from={model}", "--set", chosen, "--json")
        assert result.exit_code == 2
        planned = json.loads(result.stdout)
        assert planned.keys() == whole.keys()
        assert [stage["name"] for stage in planned["stages"]] == ["base", "zero"]
        problem = planned["problems"][0]
        assert f": {model / 'config.json'}: {told}" in problem
        assert result.stderr.splitlines()[0] == f"error: {problem}"


def test_names_in_the_plan_are_in_snake_case(recipe: Path) -> None:
    changes = ["--set", f"stages.zero.from={NANO_BASE}", "--set", "stages.zero.prompt.template='Q: {prompt}'"]
    stages = json.loads(call("plan", recipe, *changes, "--json").stdout)["stages"]
    assert "turns_end_with" in stages[1]
    assert all(re.fullmatch("[a-z][a-z_]*", name) for stage in stages for name in stage)
    assert "  turns end with: " in call("plan", recipe, *changes).stdout


def test_more_samples_than_anybody_means_are_a_slip() -> None:
    done = CliRunner().invoke(main, ["eval", "nano-base", "--bench", "countdown", "-k", "99999999999"])
    assert done.exit_code == 2
    assert "'-k': Input should be less than or equal to 65536" in done.stderr


def test_wrong_usage_is_code_2() -> None:
    for arguments in (["plan"], ["nothing"], ["--bogus"], ["run", "x.toml", "--bogus"], ["bench", "speed"]):
        result = call(*arguments)
        assert result.exit_code == 2, arguments
        assert result.stderr.startswith("error: "), arguments
        assert result.stderr.count("\n") == 1, arguments


@pytest.mark.parametrize("kind", ["empty", "too long", "dangling"])
def test_a_run_directory_that_cannot_be_is_one_line_and_code_2(recipe: Path, kind: str) -> None:
    (recipe.parent / "link").symlink_to("nothing")
    out = {"empty": "", "too long": "x" * 300, "dangling": "link"}[kind]
    result = call("run", recipe, "--out", out)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "--out" in result.stderr


def test_report_prints_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "dunwu.commands.report", report=lambda run, out: out or run / "report.html")
    result = call("report", tmp_path)
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path / 'report.html'}\n")


def test_bench_names_its_peers_and_prints_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: Calls = []

    def measure(peers: tuple[str, ...]) -> dict[str, Any]:
        calls.append(peers)
        result = {"ours": 9000.0, "unit": "tokens/s", "peers": {"hf": 3000.0}, "ratio": 3.0, "floor_share": 0.25}
        return {"natural": result | {"not_measured": {"vllm": "not installed"}}}

    stand_in(monkeypatch, "dunwu.bench.rollout", measure=measure)
    shown = call("bench", "rollout", "--against", "hf, hf-static", "--json")
    assert json.loads(shown.stdout)["natural"]["ratio"] == 3.0
    assert call("bench", "rollout").stdout.splitlines() == [
        "rollout / natural",
        "  dunwu: 9,000.0 tokens/s",
        "  hf: 3,000.0 tokens/s",
        "  vllm: not measured: not installed",
        "  dunwu over the best peer: 3.00",
        "  share of the machine's floor: 25%",
    ]
    assert calls == [("hf", "hf-static"), ()]


COMPUTING = {"torch", "transformers", "tokenizers", "safetensors", "ray", "vllm", "sympy", "scipy"}
ARRAYS = {"numpy", "pyarrow", "jaxtyping"}
PAGES = {"rich", "jinja2", "fastapi", "uvicorn", "resvg_py", "asyncio"}
RECIPES = {"pydantic", "dunwu.config", "dunwu.planning", "dunwu.tasks", "dunwu.runs", "dunwu.analysis"}


@pytest.mark.parametrize(
    ("program", "absent"),
    [
        ("import dunwu", COMPUTING | ARRAYS | PAGES | RECIPES | {"typer", "dunwu.cli", "dunwu.errors"}),
        ("from dunwu.cli import main; main(['--help'])", COMPUTING | ARRAYS | PAGES | RECIPES),
        ("from dunwu.cli import main; main(['plan', 'nano/r1-zero', '--json'])", COMPUTING | ARRAYS | PAGES),
        ("from dunwu.cli import main; main(['run', 'recipe.toml'])", COMPUTING),
    ],
    ids=["import", "help", "plan", "a run that is refused"],
)
def test_nothing_heavy_is_imported_before_it_is_needed(program: str, absent: set[str], recipe: Path) -> None:
    """Each in a process of its own."""
    recipe.write_text(RECIPE.replace('"base"', '"./none"'))
    code = f"import sys\ntry:\n    {program}\nfinally:\n    print(*{absent!r} & sys.modules.keys(), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )
    assert done.returncode == (2 if "recipe.toml" in program else 0), done.stderr
    assert done.stderr.splitlines()[-1] == ""


def test_help_fits_a_terminal_of_80_columns_and_cuts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    commands = getattr(typer.main.get_command(main), "commands")  # noqa: B009  -- typer types the group as a command
    for arguments in ([], ["sandbox"], *([name] for name in commands)):
        lines = call(*arguments, "-h").stdout.splitlines()
        assert max(map(len, lines)) <= 80, arguments
        assert [line for line in lines[1:] if line.endswith("...")] == [], "a description is cut"


def test_recipes_that_ship_are_listed_copied_and_run_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    calls: Calls = []
    monkeypatch.setattr("dunwu.commands.run.execute", lambda *given, **how: calls.append((*given, how)))
    listed = json.loads(call("recipes", "--json").stdout)
    assert listed["nano/r1-zero"].startswith("R1-Zero on a laptop")
    assert "  nano/r1-zero: R1-Zero on a laptop" in call("recipes").stdout
    assert call("run", "nano/r1-zero").exit_code == 0
    assert call("init", "nano/r1-zero").exit_code == 0
    copied = (tmp_path / "r1-zero.toml").read_text()
    assert copied == calls[0][2]["file"].read_text()
    again = call("init", "nano/r1-zero")
    assert (again.exit_code, again.stderr) == (2, "error: r1-zero.toml: is there already; name another file\n")
    assert call("init", "nano/r1-zero", "mine.toml").exit_code == 0
    assert call("run", "mine.toml", "--set", "seed=7").exit_code == 0
    assert (calls[1][0].name, calls[1][0].seed, calls[1][2]["file"]) == ("nano-r1-zero", 7, Path("mine.toml"))


def test_an_interrupted_run_of_a_recipe_that_ships_goes_on_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("dunwu.commands.run.execute", raising(Interrupted("saved")))
    assert " run nano/r1-zero --out runs/nano-r1-zero --resume\n" in call("run", "nano/r1-zero").stderr


def test_schema_says_what_a_field_means() -> None:
    shown = call("schema", "stages.zero.rollout.group_size").stdout
    assert shown.startswith(
        "\nstages.rl.rollout.group_size (integer > 1, <= 65536; default 16)\n  Completions of each problem"
    )
    table = call("schema", "stages.rl.update").stdout
    assert table.startswith("stages.rl.update: How one rollout")
    assert "\nminibatches (integer > 0, <= 1000000000; default 16)\n" in table
    assert "stages" in json.loads(call("schema", "--json").stdout)["properties"]
    assert json.loads(call("schema", "group_size", "--json").stdout)[0]["default"] == "16"
    assert call("schema", "nothing_of_this_name").exit_code == 2


def test_the_package_is_a_program_and_takes_short_help() -> None:
    shown = subprocess.run([sys.executable, "-m", "dunwu", "-h"], capture_output=True, text=True, env=os.environ)
    assert shown.returncode == 0
    assert shown.stdout.startswith("Usage: dunwu ")


def test_completion_knows_recipes_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dunwu.cli.application import complete_recipe

    monkeypatch.chdir(tmp_path)
    (tmp_path / "nano.toml").touch()
    (tmp_path / "nanotes").mkdir()
    (tmp_path / "nano.txt").touch()
    found = complete_recipe("nano")
    assert found[:2] == ["nano/base", "nano/distil"]
    assert found[-2:] == ["nanotes/", "nano.toml"]
