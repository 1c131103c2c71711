"""Every benchmark by its name: gold answers come to 1.0 and empty ones to 0.0, through the grader that evaluates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from tests.published import FILES, write

from dunwu.config.problems import DATA_SETS
from dunwu.config.schema import EvaluationSet, PromptSpec, RewardSpec, TaskSpec
from dunwu.errors import UserError
from dunwu.evaluation.benchmarks import BENCHMARKS, Benchmark, benchmark, evaluation_set
from dunwu.evaluation.evaluate import rows
from dunwu.pipeline.assembly import held_out_prompts
from dunwu.sandbox import Sandbox
from dunwu.tasks import build as build_task
from dunwu.tasks.files import FileTask
from dunwu.types import Completion, Problem, Prompt, RolloutGroup, ScoredGroup
from dunwu.verifiers import Grader, build

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
    return Completion(token_ids=np.zeros(1, np.int32), logprobs=nothing, text=text, finish="stop", policy_version=0)


@contextmanager
def grading(found: Benchmark, sandbox: Sandbox) -> Iterator[Grader]:
    """As an evaluation stage grades the benchmark; with time, because no timeout is tested."""
    spec = RewardSpec(format_rule="none", answer_in=found.form.answer_in, workers=2, timeout_seconds=20.0)
    with build(spec, sandbox) as grader:
        yield grader


def accuracies(grader: Grader, problems: Sequence[Problem], answers: Sequence[str]) -> list[float | None]:
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
    return build_task(chosen.task, 0).held_out(chosen.problems)


def gold_answer(problem: Problem) -> str:
    """The gold as it is asked for."""
    return f"So:\n```python\n{problem.gold}\n```" if problem.kind == "code" else rf"It is $\boxed{{{problem.gold}}}$."


@pytest.mark.parametrize("name", REAL)
def test_golds_of_a_real_file_are_right_and_nothing_is_not(name: str, sandbox: Sandbox) -> None:
    chosen = evaluation_set(name, real(name))
    problems = problems_of(chosen)
    assert (chosen.name, len(problems)) == (name, REAL[name][1])
    with grading(benchmark(name), sandbox) as grader:
        assert accuracies(grader, problems, [gold_answer(problem) for problem in problems]) == [1.0] * len(problems)
        assert accuracies(grader, problems, [""] * len(problems)) == [0.0] * len(problems)


@pytest.mark.parametrize("name", FILES)
def test_right_answers_of_a_published_form_are_right_and_others_are_not(
    tmp_path: Path, name: str, sandbox: Sandbox
) -> None:
    known = FILES[name]
    chosen = evaluation_set(name, write(tmp_path / "a.jsonl", [one.row for one in known]))
    problems = FileTask(chosen.task.model_copy(update={"held_out": 0.0}), 0).training()  # in the order of the file
    assert {problem.id for problem in problems_of(chosen)} == {problem.id for problem in problems}
    full = [None if one.kind == "open" else 1.0 for one in known]
    none = [None if one.kind == "open" else 0.0 for one in known]
    with grading(benchmark(name), sandbox) as grader:
        assert accuracies(grader, problems, [one.right for one in known]) == full
        assert accuracies(grader, problems, [one.wrong for one in known]) == none
        assert accuracies(grader, problems, [""] * len(known)) == none
        if benchmark(name).form.answer_in == "summary":
            assert accuracies(grader, problems, [f"<think>{one.right}" for one in known]) == none


def test_every_task_that_is_read_has_a_benchmark() -> None:
    assert {found.task for found in BENCHMARKS.values()} == set(DATA_SETS)
    assert BENCHMARKS.keys() == {"math500", *DATA_SETS} - {"math"}
    programs = {name for name, found in BENCHMARKS.items() if TaskSpec(task=found.task).needs_sandbox}
    assert programs == {"humaneval", "livecodebench", "codeforces"}


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
    chosen = evaluation_set("math500", path)
    assert (chosen.problems, chosen.samples, chosen.task.held_out, chosen.task.name) == (9, 16, 1.0, "math500")
    assert chosen.instruction == benchmark("math500").form.instruction
    few = evaluation_set("math500", path, samples=2, problems=3)
    assert (few.problems, few.samples) == (3, 2)
    assert problems_of(few) == problems_of(chosen)[:3]
    with pytest.raises(ValueError, match="greater than 0"):
        evaluation_set("math500", path, samples=0)


@pytest.mark.parametrize(
    ("kind", "fields", "where"), [("math", {}, "boxed"), ("choice", {"tests": "t"}, "boxed"), ("code", {}, "summary")]
)
def test_a_file_is_asked_for_its_kind_of_answers(
    tmp_path: Path, kind: Literal["math", "choice", "code"], fields: dict[str, str], where: str
) -> None:
    tests = [{"stdin": "", "stdout": "1"}] if kind == "code" else ["1", "2"]
    path = write(tmp_path / "a.jsonl", [{"q": "One?", "a": "1", "t": tests}])
    columns = (
        {"problem": "q", "answer": "a", "tests": "t"} if kind == "code" else {"problem": "q", "answer": "a"} | fields
    )
    chosen = evaluation_set("file", path, fields=columns, kind=kind)
    assert (problems_of(chosen)[0].kind, chosen.samples) == (kind, 4)
    assert chosen.instruction == benchmark("file", kind).form.instruction
    assert benchmark("file", kind).form.answer_in == where


def test_a_benchmark_without_a_file_is_loaded_by_its_name_or_refused() -> None:
    chosen = evaluation_set("gsm8k", problems=5)
    assert (chosen.task.hub, chosen.task.hub_config, chosen.task.split) == ("openai/gsm8k", "main", "test")
    with pytest.raises(UserError, match="data: CMATH is read from a file: say which"):
        evaluation_set("cmath")
    with pytest.raises(
        UserError, match=r"bench: no benchmark is called 'amie'; there are aime, .*; did you mean aime?"
    ):
        evaluation_set("amie")


class Everything:
    """A template that keeps the problem."""

    def encode(self, problem: Problem) -> Prompt:
        return Prompt(problem=problem, token_ids=np.zeros(1, np.int32))


def test_an_instruction_follows_the_question_and_changes_nothing_else(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"problem": f"{n}?", "answer": n, "level": 1} for n in range(5)])
    asked = evaluation_set("math500", path)
    bare = asked.model_copy(update={"instruction": None, "name": "bare"})
    template: Any = Everything()
    prompts = held_out_prompts([asked, bare], PromptSpec(), 0, template)
    told = [prompt.problem for prompt in prompts["math500"]]
    left = [prompt.problem for prompt in prompts["bare"]]
    assert [problem.id for problem in told] == [problem.id for problem in left]
    assert [problem.messages[0].content for problem in told] == [
        f"{problem.messages[0].content}\n\n{asked.instruction}" for problem in left
    ]
    assert left == list(problems_of(asked))


def test_rows_of_an_evaluation_have_the_subject(tmp_path: Path, sandbox: Sandbox) -> None:
    known = FILES["gpqa"][0]
    (problem,) = problems_of(evaluation_set("gpqa", write(tmp_path / "a.jsonl", [known.row])))
    answers = (completion(known.right),)
    with grading(benchmark("gpqa"), sandbox) as grader:
        scores = tuple(grader.plain.score(problem, answer) for answer in answers)
    prompt = Prompt(problem=problem, token_ids=np.zeros(1, np.int32))
    group = ScoredGroup(group=RolloutGroup(prompt=prompt, completions=answers), scores=scores)
    assert [(row.subject, row.correct) for row in rows([group])] == [("Optics", 1)]
