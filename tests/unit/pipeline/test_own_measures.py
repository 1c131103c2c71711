"""Functions of the user's in an evaluation stage: results beside right answers, errors at the place of the recipe."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.pipeline.contexts import make_context

from dunwu.config.loader import validate_recipe
from dunwu.config.schema import EvalStage
from dunwu.errors import UserError
from dunwu.pipeline.interrupts import StopSignal
from dunwu.pipeline.stages.evaluation import run_eval
from dunwu.planning import make_plan
from dunwu.runs import Evaluation, StageWriter

pytestmark = pytest.mark.usefixtures("one_thread")


def stage(folder: Path, source: str, *names: str) -> EvalStage:
    """Two problems, two answers each, and the user's functions."""
    (folder / "own.py").write_text(source)
    held = {"name": "held", "task": {"task": "countdown", "levels": [3]}, "problems": 2, "samples": 2}
    table = {
        "kind": "eval",
        "models": ["nano-base"],
        "max_new_tokens": 16,
        "max_sequences": 4,
        "prompt": {"template": "nano", "max_tokens": 64},
        "sets": [held],
        "custom": [{"name": name, "file": str(folder / "own.py")} for name in names],
    }
    read = validate_recipe({"name": "r", "stages": {"table": table}}).stages["table"]
    assert isinstance(read, EvalStage)
    return read


def evaluated(folder: Path, chosen: EvalStage) -> Evaluation:
    store = StageWriter(folder / "table", keep=1, on_finish=lambda: None)
    with StopSignal() as stop:
        context = make_context(store, stop, name="table", seed=1)
        run_eval(chosen, context, {"nano-base": "nano-base"}, {})
    (found,) = store.read_evaluations()
    return found


def test_what_they_give_stands_beside_right_answers(tmp_path: Path) -> None:
    chosen = stage(tmp_path, "def score(problem, text): return 0.25 + len(text) * 0", "short", "again")
    found = evaluated(tmp_path, chosen)
    assert [found.results[name].value for name in ("short", "again")] == [0.25, 0.25]
    assert 0.0 <= found.results["pass@1"].value <= 1.0
    assert found.results["format"].value <= 1.0


def test_an_error_in_one_names_its_place(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^custom\.0\.function: .*own\.py: score raised KeyError: 'x'"):
        evaluated(tmp_path, stage(tmp_path, "def score(problem, text): raise KeyError('x')", "short"))


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["length"], "custom.0.name: 'length' is the name of another result"),
        (["a", "a"], "custom.1.name: 'a' is the name of"),
    ],
)
def test_names_that_stand_for_something_else(tmp_path: Path, names: list[str], told: str) -> None:
    with pytest.raises(UserError, match=told.replace(".", r"\.")):
        stage(tmp_path, "", *names)


def test_the_plan_looks_at_the_file(tmp_path: Path) -> None:
    chosen = stage(tmp_path, "def scores(problem, text): return 0.0", "short")
    recipe = validate_recipe({"name": "r", "stages": {"table": chosen.model_dump(mode="json", by_alias=True)}})
    (problem,) = make_plan(recipe).problems
    assert str(problem).startswith("stages.table.custom.0.function: ")
