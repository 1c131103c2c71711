"""Every benchmark by its name: gold answers come to 1.0 and empty ones to 0.0, through the grader that evaluates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.published import FILES, write

from dunwu.commands.evaluate import EvaluationRequest, build_recipe, make_task
from dunwu.config.schema import EvalStage, EvaluationSet, RewardSpec, TaskSpec
from dunwu.errors import UserError
from dunwu.evaluation.benchmarks import BENCHMARKS
from dunwu.evaluation.evaluate import to_rows
from dunwu.monitoring.progress import Silent
from dunwu.pipeline.stages.prompts import encode_held_out
from dunwu.registry import DATA_SETS
from dunwu.sandbox import Sandbox
from dunwu.tasks import build_task
from dunwu.tasks.datasets.files import FileTask
from dunwu.types import Completion, Problem, Prompt, RolloutGroup, ScoredGroup
from dunwu.verifiers import RewardGrader

DATA = Path(__file__).parents[4] / "shared" / "data"
REAL = {
    "aime": ("aime24.jsonl", 30),
    "math500": ("math500.jsonl", 500),
    "gsm8k": ("gsm8k_test.jsonl", 1319),
    "amc": ("amc23.jsonl", 40),
    "cmath": ("cmath.jsonl", 600),
    "humaneval": ("humaneval.jsonl.gz", 164),
}
"""Benchmarks whose data lie on some machines, with their problems."""


def real(name: str) -> Path:
    """The file of a benchmark; skips where it is not."""
    path = DATA / REAL[name][0]
    if not path.exists():
        pytest.skip(f"{path} is not on this machine")
    return path


def completion(text: str) -> Completion:
    """Of which only the text matters."""
    nothing = np.zeros(1, np.float32)
    return Completion(token_ids=np.zeros(1, np.int32), logprobs=nothing, text=text, finish="stop")


def asked(name: str, *paths: Path, overrides: Sequence[str] = (), **options: Any) -> EvalStage:
    """The stage in which ``dunwu eval`` measures the benchmark."""
    wanted = EvaluationRequest(models=("http://127.0.0.1:1/v1#m",), benchmarks=(name,), files=paths, **options)
    (stage,) = build_recipe(wanted, overrides, Silent()).stages.values()
    assert isinstance(stage, EvalStage)
    return stage


@contextmanager
def grading(stage: EvalStage, sandbox: Sandbox) -> Iterator[RewardGrader]:
    """As the stage grades; with time, because no timeout is tested."""
    rules = stage.grading.model_dump() | {"workers": 2, "timeout_seconds": 20.0}
    with RewardGrader(RewardSpec.model_validate(rules), sandbox) as grader:
        yield grader


def accuracies(grader: RewardGrader, problems: Sequence[Problem], answers: Sequence[str]) -> list[float | None]:
    """Of every answer, after some reasoning if it has none; None where nothing is right or wrong."""

    def graded(problem: Problem, answer: str) -> float | None:
        text = answer if answer.startswith("<think>") else f"<think>so be it</think>\n{answer}"
        score = grader.plain.score(problem, completion(text))
        assert score.status == "graded", score
        return score.parts.get("accuracy")

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(graded, problems, answers))


def problems_of(chosen: EvaluationSet) -> tuple[Problem, ...]:
    """All that the set measures."""
    return build_task(chosen.task, 0).get_held_out(chosen.problems)


def gold_answer(problem: Problem) -> str:
    """The gold as it is asked for."""
    return f"So:\n```python\n{problem.gold}\n```" if problem.kind == "code" else rf"It is $\boxed{{{problem.gold}}}$."


@pytest.mark.parametrize("name", REAL)
def test_golds_of_a_real_file_are_right_and_nothing_is_not(name: str, sandbox: Sandbox) -> None:
    stage = asked(name, real(name))
    problems = problems_of(stage.sets[0])
    assert (stage.sets[0].name, len(problems)) == (name, REAL[name][1])
    with grading(stage, sandbox) as grader:
        assert accuracies(grader, problems, [gold_answer(problem) for problem in problems]) == [1.0] * len(problems)
        assert accuracies(grader, problems, [""] * len(problems)) == [0.0] * len(problems)


@pytest.mark.parametrize("name", FILES)
def test_right_answers_of_a_published_form_are_right_and_others_are_not(
    tmp_path: Path, name: str, sandbox: Sandbox
) -> None:
    known = FILES[name]
    stage = asked(name, write(tmp_path / "a.jsonl", [one.row for one in known]))
    (chosen,) = stage.sets
    problems = FileTask(chosen.task.model_copy(update={"held_out": 0.0}), 0).training_problems
    assert {problem.id for problem in problems_of(chosen)} == {problem.id for problem in problems}
    full = [None if one.kind == "open" else 1.0 for one in known]
    none = [None if one.kind == "open" else 0.0 for one in known]
    with grading(stage, sandbox) as grader:
        assert accuracies(grader, problems, [one.right for one in known]) == full
        assert accuracies(grader, problems, [one.wrong for one in known]) == none
        assert accuracies(grader, problems, [""] * len(known)) == none
        if stage.grading.answer_in == "summary":
            assert accuracies(grader, problems, [f"<think>{one.right}" for one in known]) == none


def test_every_task_that_is_read_has_a_benchmark() -> None:
    assert {found.task for found in BENCHMARKS.values()} == set(DATA_SETS)
    assert BENCHMARKS.keys() == {"math500", "choices", "programs", *DATA_SETS} - {"math"}
    programs = {name for name, found in BENCHMARKS.items() if TaskSpec(task=found.task, kind=found.kind).needs_sandbox}
    assert programs == {"humaneval", "mbpp", "livecodebench", "codeforces", "programs"}


def test_the_paper_s_samples_and_prompts() -> None:
    samples = {name: found.samples for name, found in BENCHMARKS.items()}
    assert (samples["aime"], samples["gpqa"], samples["math500"], samples["codeforces"]) == (64, 64, 16, 16)
    assert samples["livecodebench"] == 8
    boxed = r"Please reason step by step, and put your final answer within \boxed{}."
    asking = {name for name, found in BENCHMARKS.items() if found.form.instruction == boxed}
    assert asking == {"aime", "math500", "gsm8k", "amc", "file"}
    assert {name for name, found in BENCHMARKS.items() if found.form.instruction is None} == {
        *("ifeval", "safety", "alpaca", "arena")
    }


def test_a_set_says_what_is_measured(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"problem": f"{n}?", "answer": n, "level": 1} for n in range(9)])
    (chosen,) = asked("math500", path).sets
    assert (chosen.problems, chosen.samples, chosen.task.held_out, chosen.task.name) == (9, 16, 1.0, "math500")
    assert chosen.instruction == BENCHMARKS["math500"].form.instruction
    (few,) = asked("math500", path, samples=2, problems=3).sets
    assert (few.problems, few.samples) == (3, 2)
    assert problems_of(few) == problems_of(chosen)[:3]


@pytest.mark.parametrize(
    ("name", "row", "right", "wrong"),
    [
        ("file", {"problem": "Half of 5?", "answer": "2.5"}, r"\boxed{5/2}", r"\boxed{2}"),
        ("choices", {"problem": "A) 1 B) 2?", "answer": "b"}, r"\boxed{B}", r"\boxed{A}"),
        (
            "programs",
            {"problem": "Double.", "tests": [{"stdin": "2", "stdout": "4"}]},
            "```python\nprint(2 * int(input()))\n```",
            "```python\nprint(input())\n```",
        ),
    ],
)
def test_a_file_of_one_s_own_is_asked_for_its_kind_of_answers(
    tmp_path: Path, name: str, row: dict[str, Any], right: str, wrong: str, sandbox: Sandbox
) -> None:
    stage = asked(name, write(tmp_path / "mine.jsonl", [row]))
    (chosen,) = stage.sets
    assert (chosen.name, chosen.samples, chosen.instruction) == ("mine", 4, BENCHMARKS[name].form.instruction)
    with grading(stage, sandbox) as grader:
        assert accuracies(grader, problems_of(chosen) * 3, [right, wrong, ""]) == [1.0, 0.0, 0.0]


def test_columns_of_a_file_have_any_name(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", [{"q": "1 + 1?", "gold": "2"}])
    place = "stages.boxed.sets.0.task.fields"
    (chosen,) = asked("file", path, overrides=(f"{place}.problem=q", f"{place}.answer=gold")).sets
    (problem,) = problems_of(chosen)
    assert (problem.messages[0].content, problem.gold) == ("1 + 1?", "2")


def test_a_benchmark_without_a_file_is_loaded_by_its_name_or_refused() -> None:
    task = TaskSpec.model_validate(make_task("gsm8k", None))
    assert (task.hub, task.hub_config, task.split) == ("openai/gsm8k", "main", "test")
    with pytest.raises(UserError, match="--data: cmath is read from a file: say which"):
        asked("cmath")
    with pytest.raises(
        UserError, match=r"--bench: no benchmark is called 'amie'; there are aime, .*; did you mean aime?"
    ):
        asked("amie")


class Everything:
    """A template that keeps the problem."""

    def encode(self, problem: Problem) -> Prompt:
        return Prompt(problem=problem, token_ids=np.zeros(1, np.int32))


def test_an_instruction_follows_the_question_and_changes_nothing_else(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"problem": f"{n}?", "answer": n, "level": 1} for n in range(5)])
    (chosen,) = asked("math500", path).sets
    bare = chosen.model_copy(update={"instruction": None, "name": "bare"})
    template: Any = Everything()
    prompts = encode_held_out([chosen, bare], 0, template)
    told = [prompt.problem for prompt in prompts["math500"]]
    left = [prompt.problem for prompt in prompts["bare"]]
    assert [problem.id for problem in told] == [problem.id for problem in left]
    assert [problem.messages[0].content for problem in told] == [
        f"{problem.messages[0].content}\n\n{chosen.instruction}" for problem in left
    ]
    assert left == list(problems_of(chosen))


def test_rows_of_an_evaluation_have_the_subject_and_the_verifier_s_reason(tmp_path: Path, sandbox: Sandbox) -> None:
    known = FILES["gpqa"][0]
    stage = asked("gpqa", write(tmp_path / "a.jsonl", [known.row]))
    (problem,) = problems_of(stage.sets[0])
    answers = (completion(known.right), completion("No answer."))
    with grading(stage, sandbox) as grader:
        scores = tuple(grader.plain.score(problem, answer) for answer in answers)
    prompt = Prompt(problem=problem, token_ids=np.zeros(1, np.int32))
    group = ScoredGroup(group=RolloutGroup(prompt=prompt, completions=answers), scores=scores)
    assert [(row.subject, row.right) for row in to_rows([group])] == [("Optics", 1), ("Optics", 0)]
    assert [row.reason for row in to_rows([group])] == [score.reason for score in scores]
    assert to_rows([group])[1].reason
