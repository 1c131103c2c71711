"""Which stage and which problems ``dunwu ablate`` takes, and what it says where there are none."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from dunwu.commands.ablate import ablate, choose_problems
from dunwu.config.schema import RLStage
from dunwu.errors import UserError
from dunwu.monitoring.console import ConsoleProgress
from dunwu.runs import RunWriter


def stage(path: Path, held_out: float, **fields: object) -> RLStage:
    """Reinforcement learning on the problems of a file."""
    task = {"task": "file", "path": str(path), "fields": {"problem": "q", "answer": "a"}, "held_out": held_out}
    return RLStage.model_validate({"kind": "rl", "from": "nano-base", "steps": 16, "tasks": [task], **fields})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "mine.jsonl"
    file.write_text("".join(json.dumps({"q": f"{n} + 1?", "a": str(n + 1)}) + "\n" for n in range(6)))
    return file


def test_of_a_small_file_all_held_out_problems_are_asked(path: Path) -> None:
    out = io.StringIO()
    chosen = choose_problems(stage(path, 0.5), 800, ConsoleProgress(Console(file=out, width=200)))
    assert 1 < chosen.problems < 6
    assert out.getvalue() == f"the file has {chosen.problems} held-out problems, fewer than 800: all of them\n"
    assert choose_problems(stage(path, 0.5), 1, ConsoleProgress(Console(file=out))).problems == 1


def test_where_nothing_is_held_out_the_field_is_named(path: Path) -> None:
    with pytest.raises(UserError, match=r"mine\.jsonl: held_out: holds out no problem"):
        choose_problems(stage(path, 0.0), 800, ConsoleProgress(Console(file=io.StringIO())))


def test_a_set_that_the_stage_was_measured_on_comes_first(path: Path) -> None:
    sets = [{"name": "sums", "problems": 7, "task": {"task": "arithmetic"}}]
    measured = stage(path, 0.0, evaluation={"sets": sets})
    assert choose_problems(measured, 800, ConsoleProgress(Console(file=io.StringIO()))) == measured.evaluation.sets[0]


@pytest.mark.parametrize(
    ("name", "steps", "told"),
    [
        (None, 4, "run: zero is not finished (step 4 of 16)"),
        ("zero", 4, "run: --stage: zero is not finished (step 4 of 16)"),
        (None, 0, "run: zero is not finished (it has made no step yet)"),
        ("nil", 4, "run: --stage: 'nil' is no stage of reinforcement learning of this run; there are: zero"),
    ],
)
def test_a_stage_that_cannot_be_taken_is_told_with_its_place(
    path: Path, tmp_path: Path, name: str | None, steps: int, told: str
) -> None:
    recipe = {"name": "mine", "seed": 0, "stages": {"zero": stage(path, 0.5).model_dump(mode="json", by_alias=True)}}
    with RunWriter.create(tmp_path / "run", recipe_text="", recipe_json=recipe, seed=0, versions={}) as run:
        if steps:
            run.stage("zero").append(steps, {"reward": 0.5}, {})
        with pytest.raises(UserError) as error:
            ablate(run.directory, name, 2, 1, ConsoleProgress(Console(file=io.StringIO())))
    assert str(error.value) == f"{tmp_path}/{told}"
