"""Tasks of the user's own: a function is enough, and whatever is wrong with it is one line that names it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dunwu import register, registry
from dunwu.config.loader import load_recipe
from dunwu.config.schema import RewardSpec, RLStage, TaskSpec
from dunwu.errors import UserError
from dunwu.pipeline.inputs import hash_inputs
from dunwu.tasks import Draft, Generator, build_mixture, build_task
from dunwu.tasks.datasets.files import FileTask, read_problem_texts
from dunwu.tasks.task import is_held_out
from dunwu.types import Completion, Problem
from dunwu.verifiers import RewardGrader

DOUBLE = """
from dunwu.tasks import Draft

def double(rng, level, language):
    number = rng.randrange(10**level)
    return Draft(question=f"What is twice {number}?", gold=str(2 * number))
"""
RECIPE = """
name = "mine"
[stages.zero]
kind = "rl"
from = "nano-base"
steps = 16
tasks = [{ task = "tasks/doubling.py:double", levels = [3] }]
"""


@pytest.fixture
def source(tmp_path: Path) -> Callable[[str], str]:
    """Write a file of functions; the reference to its function ``make``."""

    def write(text: str) -> str:
        path = tmp_path / "mine.py"
        path.write_text(f"from dunwu.tasks import Draft, Generator\n{text}")
        return f"{path}:make"

    return write


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that a test registers are gone after it."""
    monkeypatch.setattr(registry.tasks, "_entries", dict(registry.tasks._entries))


def questions(problems: tuple[Problem, ...]) -> set[str]:
    return {problem.messages[0].content for problem in problems}


def test_a_function_in_a_file_is_a_task(tmp_path: Path) -> None:
    (tmp_path / "doubling.py").write_text(DOUBLE)
    spec = TaskSpec(task=f"{tmp_path / 'doubling.py'}:double", levels=(3, 4), held_out=0.2)
    task = build_task(spec, 1)
    assert task.name == spec.name == "double"
    drawn, kept = tuple(map(task.get_problem, range(60))), task.get_held_out(40)
    assert not questions(drawn) & questions(kept)
    assert len(questions(kept)) == 40
    assert kept == build_task(spec, 2).get_held_out(40), "the held-out side does not depend on the seed"
    assert drawn[:5] != tuple(map(build_task(spec, 2).get_problem, range(5)))
    assert {(one.task, one.kind, one.level, one.language) for one in drawn} == {
        ("double", "math", level, "en") for level in (3, 4)
    }
    with RewardGrader(RewardSpec(format_rule="none")) as grader:
        nothing = np.zeros(0)
        for gold, right in ((drawn[0].gold, 1.0), ("-1", 0.0)):
            said = Completion(token_ids=nothing, logprobs=nothing, text=f"<answer>{gold}</answer>", finish="stop")
            assert grader.score(drawn[0], said).parts["accuracy"] == right


def test_twins_of_a_question_are_on_one_side_and_a_key_joins_wordings() -> None:
    def ask(rng: random.Random, level: int, language: str) -> Draft:
        number = rng.randrange(50)
        question = rng.choice((f"Double {number}.", f"DOUBLE  {number}.", f"Twice {number}?"))
        return Draft(question=question, gold=str(2 * number), key=f"double {number}" if level == 2 else "")

    register.task("doubling")(ask)
    for level in (1, 2):
        task = build_task(TaskSpec(task="doubling", levels=(level,), held_out=0.3), 0)
        kept = {one.gold for one in task.get_held_out(8)}
        folded = {" ".join(one.messages[0].content.casefold().split()) for one in task.get_held_out(8)}
        assert len(folded) == 8
        drawn = tuple(map(task.get_problem, range(400)))
        assert not folded & {" ".join(text.casefold().split()) for text in questions(drawn)}
        assert bool(kept & {one.gold for one in drawn}) is (level == 1), "with a key no wording of the content is drawn"
        assert level == 1 or all(is_held_out(f"double {int(gold) // 2}", 0.3) for gold in kept)


def test_a_generator_names_its_levels(source: Callable[[str], str]) -> None:
    text = (
        "make = Generator(lambda rng, level, language: Draft(question=f'{language} {rng.random()}', gold='1'), (3, 5))"
    )
    reference = source(text)
    task = build_task(TaskSpec(task=reference, languages=("zh",), display_name="mine"), 0)
    problem = task.get_problem(0)
    assert (problem.task, problem.level, problem.language) == ("mine", 3, "zh")
    with pytest.raises(UserError, match="levels: make has no level 4; it has 3, 5"):
        build_task(TaskSpec(task=reference, levels=(4,)), 0)
    register.task("plain")(Generator(lambda *_: Draft(question="1?", gold="1")))
    with pytest.raises(UserError, match="levels: plain has no level 0; it has any from 1 on"):
        build_task(TaskSpec(task="plain", levels=(0,)), 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def make(rng): ...", r"make, called with \(rng, 1, 'en'\), raised TypeError: make\(\) takes 1 positional"),
        ("def make(*_):\n    return 1 / 0", r"raised ZeroDivisionError: division by zero \(.*mine.py, line 3\)"),
        ("def make(*_):\n    return '2+2?'", "what .*:make returns is no problem: it is str, not a dunwu.tasks.Draft"),
        ("def make(*_):\n    return Draft(question='2+2?', gold=4)", "no problem: its gold is int, not text"),
        ("def make(*_):\n    return Draft(question=' ', gold='4')", "its question is empty"),
        ("def make(*_):\n    return Draft(question='?', gold='4', tests=['a'])", "its tests are no tuple of texts"),
        (
            "def make(*_):\n    return Draft(question='?', gold='', kind='code')",
            'programs answer it: say kind = "code" in the recipe',
        ),
        (
            "import random\ndef make(*_):\n    return Draft(question=str(random.random()), gold='4')",
            "makes another problem of the same rng: it may draw from nothing else",
        ),
        ("make = 7", r"make is int, not a function \(rng, level, language\) -> Draft; say a path to read"),
        ("def mak(): ...", "mine.py: defines no 'make'; did you mean mak"),
        ("def make(:", r"mine.py: cannot be imported: SyntaxError: .* \(mine.py, line 2\)"),
    ],
)
def test_what_is_wrong_with_a_function_is_one_line(source: Callable[[str], str], text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_task(TaskSpec(task=source(text)), 0)


def test_programs_of_one_s_own_need_a_sandbox_and_tests_that_are_some(source: Callable[[str], str]) -> None:
    test = json.dumps({"call": "f", "args": [1], "result": 2})
    reference = source(f"def make(*_):\n    return Draft(question='Write f.', gold='', tests=({test!r},))")
    spec = TaskSpec(task=reference, kind="code", held_out=0.0)
    assert spec.needs_sandbox
    assert not TaskSpec(task=reference).needs_sandbox
    assert build_task(spec, 0).get_problem(0).kind == "code"
    broken = source("def make(*_):\n    return Draft(question='Write f.', gold='', tests=('{}',))")
    with pytest.raises(UserError, match="is no problem: a test is none: has the fields none"):
        build_task(TaskSpec(task=broken, kind="code"), 0)


def test_a_function_of_a_row_reads_a_layout_of_one_s_own(source: Callable[[str], str], tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows: list[object] = [
        {"ask": f"What is {n}+{n}?", "solution": {"final": str(2 * n)}, "hard": n % 3} for n in range(60)
    ]
    text = "def make(row):\n    final = row['solution']['final']\n"
    reference = source(f"{text}    return Draft(question=row['ask'], gold=final, level=row['hard'], key=final)")
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec = TaskSpec(task=reference, path=path, held_out=0.3)
    assert spec.reads_file
    task = build_task(spec, 0)
    assert isinstance(task, FileTask)
    assert task.size + task.held_out_size == 60
    for problem in task.training_problems:
        assert not is_held_out(problem.gold, 0.3), "the key decides the side"
        assert (problem.task, problem.kind, problem.level) == ("make", "math", int(problem.gold) // 2 % 3)
    texts = read_problem_texts(spec)
    assert len(texts) == 60
    assert all(parts[0].startswith("What is ") for parts in texts.values())
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"ask": "x", "solution": {}}, {"ask": "y"}]))
    with pytest.raises(UserError, match="line 61: no field 'final'; it has 'ask', 'solution'; line 62: no field 'sol"):
        build_task(spec, 0)
    assert len(read_problem_texts(spec.model_copy(update={"max_bad_rows": 0.1}))) == 60


def test_names_of_built_in_tasks_are_taken(source: Callable[[str], str], tmp_path: Path) -> None:
    reference = source("def make(*_):\n    return Draft(question='?', gold='4')")
    with pytest.raises(UserError, match="task: 'countdown' is the name of another task: say a display_name"):
        build_task(TaskSpec(task=reference, display_name="countdown"), 0)


def test_a_recipe_names_the_file_relative_to_its_own_and_a_run_knows_what_it_held(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    file = tmp_path / "tasks" / "doubling.py"
    file.write_text(DOUBLE)
    (tmp_path / "mine.toml").write_text(RECIPE)
    recipe = load_recipe(tmp_path / "mine.toml")
    stage = recipe.stages["zero"]
    assert isinstance(stage, RLStage)
    assert stage.tasks[0].task == f"{file}:double"
    assert len(build_mixture(stage.tasks, recipe.seed).draw(0, 4)) == 4
    first = hash_inputs(stage, {}, lambda source: source, frozenset())
    assert str(file) in first
    file.write_text(DOUBLE.replace("twice", "2 x"))
    again = hash_inputs(stage, {}, lambda source: source, frozenset())
    assert {name for name in first if first[name] != again[name]} == {str(file)}


def test_an_unknown_name_is_found_before_anything_is_opened(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(RECIPE.replace("tasks/doubling.py:double", "countdwn"))
    with pytest.raises(
        UserError, match=r"mine.toml: stages.zero.tasks.0.task: no task is called 'countdwn'; did you mean"
    ):
        load_recipe(tmp_path / "mine.toml")
