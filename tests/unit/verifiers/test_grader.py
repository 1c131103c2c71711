"""Scores: parts, value, status, reason; memory; what is imported."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from dunwu.config.schema import RewardSpec, Weight
from dunwu.errors import UserError
from dunwu.sandbox import Sandbox
from dunwu.types import Completion, Problem
from dunwu.verifiers import RewardGrader, make_answer_key
from dunwu.verifiers.math.sympy_pool import WorkerPool
from dunwu.verifiers.process import WorkerLost

MakeProblem = Callable[..., Problem]
MakeCompletion = Callable[..., Completion]

GOOD = "<think>so</think><answer>{}</answer>"


@pytest.mark.parametrize(
    ("text", "parts", "value"),
    [
        (GOOD.format("1/2"), {"accuracy": 1.0, "format": 1.0}, 2.5),
        (GOOD.format("1/3"), {"accuracy": 0.0, "format": 1.0}, 0.5),
        ("<answer>0.5</answer>", {"accuracy": 1.0, "format": 0.0}, 2.0),
        ("0.5", {"accuracy": 0.0, "format": 0.0}, 0.0),
    ],
)
def test_value_is_the_weighted_sum_of_the_parts(
    problem: MakeProblem, completion: MakeCompletion, text: str, parts: dict[str, float], value: float
) -> None:
    with RewardGrader(RewardSpec.model_validate({"accuracy": 2.0, "format": 0.5})) as grader:
        score = grader.score(problem("math", "1/2"), completion(text))
    assert (score.parts, score.value, score.status) == (parts, value, "graded")


def test_without_a_format_rule_the_answer_alone_earns(problem: MakeProblem, completion: MakeCompletion) -> None:
    with RewardGrader(RewardSpec(format_rule="none", answer_in="boxed")) as grader:
        right = grader.score(problem("math", "7"), completion(r"\boxed{7}"))
        wrong = grader.score(problem("math", "7"), completion(r"\boxed{8}"))
    assert (right.value, wrong.value) == (1.0, 0.0)
    assert right.parts == {"accuracy": 1.0, "format": 1.0}


def test_truncated_completions_are_graded_as_they_stand(
    grader: RewardGrader, problem: MakeProblem, completion: MakeCompletion
) -> None:
    done = grader.score(problem("math", "7"), completion(GOOD.format(7), "length"))
    cut = grader.score(problem("math", "7"), completion("<think>still th", "length"))
    assert (done.status, done.value, done.extracted) == ("truncated", 2.0, "7")
    assert (cut.status, cut.value, cut.extracted, cut.reason) == ("truncated", 0.0, None, "no answer found")


@pytest.mark.parametrize("finish", ["length", "stop"])
@pytest.mark.parametrize("where", ["answer-tag", "boxed", "last-line", "summary"])
def test_reasoning_that_never_ended_has_no_answer(
    problem: MakeProblem, completion: MakeCompletion, where: str, finish: str
) -> None:
    titled = problem("instructions", "", (json.dumps({"id": "detectable_format:title", "kwargs": {}}),))
    with RewardGrader(RewardSpec.model_validate({"answer_in": where})) as grader:
        for asked, text in ((problem("math", "7"), "So \\boxed{7}\n7"), (titled, "Perhaps <<Draft>> or")):
            cut = grader.score(asked, completion("<think>\n" + text, finish))
            assert (cut.extracted, cut.parts["accuracy"], cut.value) == (None, 0.0, 0.0)
        ended = grader.score(titled, completion("<think>\nso\n</think>\n\n<<Draft>>", finish))
        assert ended.parts["accuracy"] == 1.0


@pytest.mark.parametrize(
    ("kind", "gold", "tests", "right", "wrong"),
    [
        ("expression", "3*8", ("24", "3", "8"), "8 × 3", "3+8"),
        ("math", "x^2-1", (), "(x-1)(x+1)", "(x-1)^2"),
        ("number", "12", (), "12.0", "6*2"),
        ("choice", "B", ("red", "blue"), "(b)", "red"),
        ("text", "KHOOR", (), "khoor", "hello"),
        ("sequence", "1, 2, 3", (), "1 < 2 < 3", "3, 2, 1"),
        ("set", "Ann, Bob", (), "Bob, Ann", "Ann"),
        ("premise", "12", (), "12.0", "13"),
    ],
)
def test_every_kind(
    grader: RewardGrader,
    problem: MakeProblem,
    completion: MakeCompletion,
    kind: str,
    gold: str,
    tests: tuple[str, ...],
    right: str,
    wrong: str,
) -> None:
    asked = problem(kind, gold, tests)
    accuracies = [
        grader.score(asked, completion(GOOD.format(answer))).parts["accuracy"] for answer in (gold, right, wrong)
    ]
    assert accuracies == [1.0, 1.0, 0.0]
    keys = [make_answer_key(asked, answer) for answer in (gold, right, wrong)]
    assert keys[0] != keys[2]
    assert kind == "math" or keys[0] == keys[1]


def test_an_answer_in_the_reasoning_earns_nothing(
    grader: RewardGrader, problem: MakeProblem, completion: MakeCompletion
) -> None:
    asked, text = problem("math", "12"), "<think>So <answer>12</answer> maybe"
    with RewardGrader(RewardSpec(format_rule="none", answer_in="boxed")) as boxed:
        scores = [
            boxed.score(asked, completion(r"<think>\boxed{12}</think>It is 13.")),
            boxed.score(asked, completion(r"<think>\boxed{12}</think>")),
            grader.score(asked, completion("<think><answer>12</answer></think>It is 13.")),
            grader.score(asked, completion(text, "length")),
        ]
    assert [score.parts["accuracy"] for score in scores] == [0.0] * 4
    assert [score.extracted for score in scores] == [None] * 4
    assert grader.score(asked, completion(text)).parts["accuracy"] == 1.0  # it stopped by itself


@pytest.mark.parametrize("where", ["answer-tag", "boxed", "last-line", "summary"])
def test_a_program_is_never_taken_out_of_a_box(
    sandbox: Sandbox, problem: MakeProblem, completion: MakeCompletion, where: str
) -> None:
    asked = problem("code", "5", (json.dumps({"stdin": "", "stdout": "5\n"}),))
    program = "```python\nprint(2 + 3)\n```\nThis prints 5, boxed as $\\boxed{4}$."
    text = f"<think>so</think> <answer>{program}</answer>" if where == "answer-tag" else f"<think>so</think>\n{program}"
    with RewardGrader(
        RewardSpec.model_validate({"answer_in": where, "format_rule": "think-summary"}), sandbox
    ) as judge:
        assert judge.score(asked, completion(text)).parts["accuracy"] == 1.0


def test_programs_vote_by_their_text(problem: MakeProblem) -> None:
    asked = problem("code", "x")
    assert make_answer_key(asked, "So:\n```python\nprint(A)\n```") == make_answer_key(asked, "print(A)") == "print(A)"
    assert make_answer_key(asked, "print(a)") != make_answer_key(asked, "print(A)")


def test_scores_do_not_depend_on_workers_or_order(problem: MakeProblem, completion: MakeCompletion) -> None:
    """Also where answers hang, and are asked for again while they do."""
    answers = [
        "1/2",
        "0.5",
        r"\frac{2}{4}",
        r"\sqrt{1/4}",
        "10^{10}!",
        "(1,2]",
        "50%",
        "2^{-1}",
        r"\sin 30^\circ",
        "half",
    ]
    asked = [
        (problem("math", gold), completion(GOOD.format(a))) for a in answers * 2 for gold in ("1/2", r"\sqrt{1/4}")
    ]
    results = []
    for workers, seed in ((1, 0), (4, 1), (3, 2)):
        order = random.Random(seed).sample(range(len(asked)), len(asked))
        spec = RewardSpec(workers=workers, timeout_seconds=1.0, language=Weight(weight=1.0), quality=Weight(weight=1.0))
        with RewardGrader(spec) as grader, ThreadPoolExecutor(workers) as pool:
            scores = dict(zip(order, pool.map(lambda place: grader.score(*asked[place]), order), strict=True))
        results.append([scores[place] for place in range(len(asked))])
    assert results[0] == results[1] == results[2]
    assert {score.status for score in results[0]} == {"graded"}
    assert sum(score.parts["accuracy"] for score in results[0]) == 32  # all but "(1,2]" and what hangs


def test_an_unknown_kind_is_named(grader: RewardGrader, problem: MakeProblem, completion: MakeCompletion) -> None:
    with pytest.raises(UserError, match=r"^no verifier grades .* 'poetry'.*known: expression, math, choice"):
        grader.score(problem("poetry", "x"), completion(GOOD.format("x")))


def test_no_answer_votes_for_nothing(problem: MakeProblem) -> None:
    assert make_answer_key(problem("math", "1"), None) is None


def test_it_says_how_many_threads_it_serves(grader: RewardGrader) -> None:
    assert grader.workers == 2


def test_a_timeout_is_a_wrong_answer_with_its_reason(
    problem: MakeProblem, completion: MakeCompletion, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    ask = WorkerPool.ask

    def recording(self: WorkerPool, gold: str, answer: str) -> bool:
        asked.append(answer)
        return ask(self, gold, answer)

    monkeypatch.setattr(WorkerPool, "ask", recording)
    with RewardGrader(RewardSpec(timeout_seconds=0.2)) as grader:
        scores = [grader.score(problem("math", "5"), completion(GOOD.format("10^{10}!"))) for _ in range(3)]
    assert len(asked) == 1, "the second and third time it is remembered"
    assert {(score.status, score.parts["accuracy"]) for score in scores} == {("graded", 0.0)}
    assert scores[0].reason.startswith("timeout")


def test_a_broken_checker_is_no_grade_and_is_tried_again(
    problem: MakeProblem, completion: MakeCompletion, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: WorkerPool, gold: str, answer: str) -> None:
        raise WorkerLost("died twice")

    with RewardGrader(RewardSpec()) as grader:
        monkeypatch.setattr(WorkerPool, "ask", broken)
        nested = problem("math", r"2+\sqrt{3}"), completion(GOOD.format(r"\sqrt{7+4\sqrt{3}}"))
        score = grader.score(*nested)
        assert (score.status, score.value, score.reason) == ("verifier_failed", 0.0, "died twice")
        monkeypatch.undo()
        assert grader.score(*nested).value == 2.0


@pytest.mark.parametrize(
    "text",
    [
        "\0",
        "\ud800",
        r"<answer>255^{2500}</answer>",
        "<answer>\ud800\0</answer>",
        "<answer>" + "9" * 100_000 + "</answer>",
    ],
)
def test_hostile_text_is_graded(
    grader: RewardGrader, problem: MakeProblem, completion: MakeCompletion, text: str
) -> None:
    for kind in ("math", "number", "text", "sequence", "set", "choice"):
        score = grader.score(problem(kind, "5"), completion(text))
        assert score.parts["accuracy"] == 0.0
        make_answer_key(problem(kind, "5"), score.extracted)
    assert grader.score(problem("expression", "5", ("5", "5")), completion(text)).parts["accuracy"] == 0.0


def test_the_room_imports_neither_torch_nor_sympy() -> None:
    heavy = ["torch", "transformers", "sympy", "math_verify", "pyarrow", "datasets"]
    code = f"import sys, dunwu.verifiers; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
