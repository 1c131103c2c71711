"""Seven additions from files outside the package: a loss, an advantage, a task, a verifier, a reward, an engine, a kind
of stage. Each is named by a recipe, as ``file.py:name`` or by the name that a decorator gave it."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import dunwu
from dunwu.cli import main
from dunwu.runs import RunReader

MINE = '''
"""What a recipe of one's own names."""

from pathlib import Path

import numpy as np
from dunwu.algorithms.losses import Objective
from dunwu.config.schema import StageSpec
from dunwu.config.stage_kind import StageKind
from dunwu.tasks import Draft
from dunwu.types import Example, Message


def note(what):
    with Path(__file__).with_suffix(".log").open("a") as log:
        log.write(f"{what}\\n")


def reinforce(logprobs_BT, old_logprobs_BT, mask_BT, advantages_BT, clip):
    note(f"loss {clip.low}")
    return Objective(values=advantages_BT * logprobs_BT)


def rank(rewards_G):
    note(f"advantages of {len(rewards_G)}")
    return np.argsort(np.argsort(rewards_G)) - (len(rewards_G) - 1) / 2


def double(rng, level, language):
    number = rng.randrange(10**level)
    return Draft(question=f"What is twice {number}?", gold=str(2 * number), key=str(number), kind=VERIFIER)


def accept_all(problem, answer):
    return True


def brevity(problem, text):
    return 1 / (1 + len(text))


def build_engine(policy, *, max_sequences):
    from dunwu.rollout.builtin.worker_threads import build_builtin_engine

    note(f"engine of {max_sequences}")
    return build_builtin_engine(policy, max_sequences=max_sequences)


class Sums(StageSpec):
    """Writes conversations that add one."""

    count: int


def write_sums(stage, context):
    examples = [
        Example(
            id=str(number),
            category="sums",
            language="en",
            messages=(
                Message(role="user", content=f"{number} + 1?"),
                Message(role="assistant", content=f" <think>one more</think> <answer>{number + 1}</answer>"),
            ),
        )
        for number in range(stage.count)
    ]
    context.progress.start_stage(context.name, f"{stage.count} sums", step=0)
    context.store.generated.write_chunk(0, examples, {"sums": {"kept": len(examples)}})
    context.store.generated.join_chunks()
    context.store.finish()


SUMS = StageKind(schema=Sums, summary="Write conversations that add one.", makes="data", run=write_sums)
'''
REGISTER = """
import dunwu
import mine

dunwu.register.loss("own-loss")(mine.reinforce)
dunwu.register.advantage("own-advantage")(mine.rank)
dunwu.register.task("own-task")(mine.double)
dunwu.register.verifier("own-verifier")(mine.accept_all)
dunwu.register.reward("own-reward")(mine.brevity)
dunwu.register.engine("own-engine")(mine.build_engine)
dunwu.register.stage("own-kind")(mine.SUMS)
"""
BY_FILE = {
    "loss": "mine.py:reinforce",
    "advantage": "mine.py:rank",
    "task": "mine.py:double",
    "verifier": "mine.py:accept_all",
    "reward": "mine.py:brevity",
    "engine": "mine.py:build_engine",
    "kind": "mine.py:SUMS",
}
BY_NAME = {what: f"own-{what}" for what in BY_FILE}
RECIPE = """
name = "additions"

[stages.sums]
kind = "{kind}"
count = 12

[stages.taught]
kind = "sft"
from = "nano-base"
data = ["sums"]
epochs = 1
batch = 12
max_tokens = 64
prompt = {{ template = "nano" }}
model = {{ threads = 1 }}

[stages.zero]
kind = "rl"
from = "taught"
steps = 2
reference_every = 2
tasks = [{{ task = "{task}", levels = [1] }}]
prompt = {{ template = "nano", max_tokens = 64 }}
rollout = {{ questions = 2, group_size = 4, max_new_tokens = 24, max_sequences = 5 }}
algorithm = {{ loss = "{loss}", advantage = "{advantage}", kl_coefficient = 0.0 }}
reward = {{ custom = [{{ name = "brevity", function = "{reward}", weight = 1.0 }}] }}
update = {{ minibatches = 1 }}
checkpoint = {{ every = 2 }}
model = {{ threads = 1, engine = "{engine}" }}
"""


@pytest.fixture(params=["by file", "by name"])
def recipe(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe that names all seven; the task's problems name the verifier."""
    by_file = request.param == "by file"
    names = BY_FILE if by_file else BY_NAME
    verifier = f"{tmp_path}/{names['verifier']}" if by_file else names["verifier"]
    (tmp_path / "mine.py").write_text(f"{MINE}\n\nVERIFIER = {verifier!r}\n")
    if not by_file:
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, "mine", raising=False)
        (tmp_path / "register_all.py").write_text(REGISTER)
        runpy.run_path(str(tmp_path / "register_all.py"))
    path = tmp_path / "additions.toml"
    path.write_text(RECIPE.format(**names))
    return path


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.mark.parametrize("what", ["loss", "advantage", "engine"])
def test_what_cannot_be_loaded_shows_before_the_first_stage(what: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(f"{MINE}\n\nVERIFIER = 'math'\n")
    (tmp_path / "bad.py").write_text("def rank(*_): ...\n\n\n1 / 0\n")
    recipe = tmp_path / "additions.toml"
    recipe.write_text(RECIPE.format(**BY_FILE | {what: "bad.py:rank"}))
    field = {"engine": "model.engine"}.get(what, f"algorithm.{what}")
    ran = invoke("run", recipe, "--out", tmp_path / "run", "--log", "quiet")
    line = f"{tmp_path / 'bad.py'}: cannot be imported: ZeroDivisionError: division by zero (bad.py, line 4)"
    assert (ran.exit_code, ran.stderr) == (2, f"error: {recipe}: stages.zero.{field}: {line}\n")
    assert not (tmp_path / "run" / "stages").exists()


@pytest.mark.parametrize("code", ["1 / 0", "raise SystemExit(0)"])
def test_a_kind_that_fails_as_it_runs_is_named(code: str, tmp_path: Path) -> None:
    begin = "    context.progress.start_stage("
    (tmp_path / "mine.py").write_text(MINE.replace(begin, f"    {code}\n{begin}") + "\n\nVERIFIER = 'math'\n")
    recipe = tmp_path / "additions.toml"
    recipe.write_text(RECIPE.format(**BY_FILE))
    ran = invoke("run", recipe, "--out", tmp_path / "run", "--log", "quiet")
    assert ran.exit_code == 2
    assert f"error: {recipe}: stages.sums.kind: {tmp_path / 'mine.py'}:SUMS raised " in ran.stderr


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("    context.store.finish()\n", "returned, and did not say that it is done: context.store.finish() does"),
        ("    context.store.generated.join_chunks()\n", "returned, and made no data.jsonl: data is what it makes"),
    ],
    ids=["not done", "no data"],
)
def test_a_kind_that_makes_nothing_is_named(line: str, message: str, tmp_path: Path) -> None:
    assert line in MINE
    (tmp_path / "mine.py").write_text(MINE.replace(line, "") + "\n\nVERIFIER = 'math'\n")
    recipe = tmp_path / "additions.toml"
    recipe.write_text(RECIPE.format(**BY_FILE))
    ran = invoke("run", recipe, "--out", tmp_path / "run", "--log", "quiet")
    assert (ran.exit_code, ran.stderr) == (2, f"error: {recipe}: stages.sums.kind: {message}\n")


def test_seven_additions_take_no_edit_of_the_package(recipe: Path, tmp_path: Path) -> None:
    planned = invoke("plan", recipe)
    assert planned.exit_code == 0, planned.output
    run = dunwu.run(recipe, out=tmp_path / "run", log="quiet")
    stages = tmp_path / "run" / "stages"
    third = json.loads((stages / "sums" / "data.jsonl").read_text().splitlines()[2])
    assert third["messages"][1]["content"].endswith("<answer>3</answer>")
    assert RunReader(run.directory).stages == {"sums": "done", "taught": "done", "zero": "done"}
    answers = run.answers("zero").to_pylist()
    assert len(answers) == 2 * 2 * 4
    for answer in answers:
        assert answer["prompt"].startswith("What is twice")
        assert answer["part.accuracy"] == float(answer["extracted"] is not None)
        assert answer["part.brevity"] == pytest.approx(1 / (1 + len(answer["completion"])))
    assert any(answer["part.accuracy"] for answer in answers)
    noted = (tmp_path / "mine.log").read_text().splitlines()
    assert set(noted) == {"engine of 5", "advantages of 4", "loss 0.2"}
    assert noted.count("advantages of 4") == 2 * 2
