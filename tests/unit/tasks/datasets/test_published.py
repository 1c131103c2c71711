"""Benchmarks in their published form: what becomes of a row, what is malformed about one, hostile values."""

from __future__ import annotations

import importlib.util
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.published import ARENA, FILES, GPQA, IFEVAL, LIVECODEBENCH, SAFETY, packed, write

from dunwu.config.schema import TaskSpec
from dunwu.errors import UserError
from dunwu.tasks import build_task
from dunwu.tasks.datasets.files import FileTask, read_problem_texts
from dunwu.tasks.datasets.readers import LONGEST_LINE
from dunwu.types import Problem

MATH500 = Path(__file__).parents[5] / "shared" / "data" / "math500.jsonl"


def read(task: str, path: Path | None, **changes: Any) -> list[Problem]:
    """Every problem of a file, in its order."""
    spec = TaskSpec.model_validate({"task": task, "path": path, "held_out": 0.0, "max_bad_rows": 0.0} | changes)
    found = build_task(spec, 0)
    assert isinstance(found, FileTask)
    return list(found.training_problems)


@pytest.mark.parametrize("task", FILES)
def test_a_published_file(tmp_path: Path, task: str) -> None:
    known = FILES[task]
    problems = read(task, write(tmp_path / "a.jsonl", [one.row for one in known]))
    assert [(p.kind, p.subject, p.level) for p in problems] == [(one.kind, one.subject, one.level) for one in known]
    assert len({problem.id for problem in problems}) == len(known)
    assert {problem.task for problem in problems} == {task}


def test_gpqa_shows_its_options_in_an_order_that_is_fixed_and_blind(tmp_path: Path) -> None:
    problems = read("gpqa", write(tmp_path / "a.jsonl", [one.row for one in GPQA]))
    again = read("gpqa", write(tmp_path / "b.jsonl", [one.row for one in GPQA[::-1]]))
    assert [problem.tests for problem in again[::-1]] == [problem.tests for problem in problems]
    turned = {**GPQA[0].row, "Correct Answer": "8 eV", "Incorrect Answer 1": "7 eV"}
    (other,) = read("gpqa", write(tmp_path / "c.jsonl", [turned]))
    assert (other.messages, other.tests) == (problems[0].messages, problems[0].tests)
    assert other.gold != problems[0].gold
    lines = problems[0].messages[0].content.splitlines()
    assert lines[0] == "How much is 7 eV?"
    assert lines[2:6] == [f"{letter}) {text}" for letter, text in zip("ABCD", problems[0].tests, strict=True)]
    assert lines[-1] == "Answer with the letter of the right option: A, B, C or D."
    assert problems[0].tests["ABCD".index(problems[0].gold)] == "7 eV"
    rows = [{**GPQA[0].row, "Question": f"How much, {number}?"} for number in range(200)]
    counts = Counter(problem.gold for problem in read("gpqa", write(tmp_path / "d.jsonl", rows)))
    assert counts.keys() == set("ABCD")
    assert min(counts.values()) > 30


def test_livecodebench_has_public_tests_then_private_ones_and_the_code_to_begin_with(tmp_path: Path) -> None:
    whole, function = read("livecodebench", write(tmp_path / "a.jsonl", [one.row for one in LIVECODEBENCH]))
    assert [json.loads(test) for test in whole.tests] == [
        {"stdin": "1 2\n", "stdout": "3\n", "rules": "livecodebench"},
        {"stdin": "2 2\n", "stdout": "4\n", "rules": "livecodebench"},
    ]
    assert [json.loads(test) for test in function.tests] == [
        {"call": "Solution.twice", "args": [[2], 2], "result": [4], "rules": "livecodebench"},
        {"call": "Solution.twice", "args": [[2, 3], 3], "result": [6, 9], "rules": "livecodebench"},
    ]
    assert whole.messages[0].content == "Print the sum."
    assert "```python\nclass Solution:\n    def twice(self, xs, n):\n```" in function.messages[0].content
    (no_private,) = read(
        "livecodebench", write(tmp_path / "b.jsonl", [{**LIVECODEBENCH[0].row, "private_test_cases": ""}])
    )
    assert no_private.tests == whole.tests[:1]
    metadata = {**LIVECODEBENCH[1].row, "metadata": {"func_name": "twice"}}
    assert read("livecodebench", write(tmp_path / "c.jsonl", [metadata]))[0].tests == function.tests


def test_private_tests_may_be_long_where_other_rows_may_not(tmp_path: Path) -> None:
    many = [{"input": "1 2\n", "output": "3\n", "testtype": "stdin"}] * (LONGEST_LINE // 20)
    row = {**LIVECODEBENCH[0].row, "public_test_cases": many}
    assert len(read("livecodebench", write(tmp_path / "a.jsonl", [row]))[0].tests) > LONGEST_LINE // 20
    with pytest.raises(UserError, match="line 1: is longer than 1048576 bytes"):
        read("arena", write(tmp_path / "b.jsonl", [{"prompt": "x" * LONGEST_LINE}]))


def test_what_answers_to_safety_questions_should_do(tmp_path: Path) -> None:
    rows = [*(one.row for one in SAFETY), {"prompt": "Why?", "safe": False}, {"prompt": "How?"}]
    problems = read("safety", write(tmp_path / "a.jsonl", rows))
    assert [problem.gold for problem in problems] == ["answer", "refuse", "answer", "refuse", ""]
    assert [problem.kind for problem in problems] == ["refusal", "refusal", "open", "open", "open"]


def test_open_questions_have_the_reference_s_answer_where_there_is_one(tmp_path: Path) -> None:
    (alpaca,) = read("alpaca", write(tmp_path / "a.jsonl", [one.row for one in FILES["alpaca"]]))
    assert (alpaca.messages[0].content, alpaca.gold) == ("Say hello.", "Hello.")
    arena = read("arena", write(tmp_path / "b.jsonl", [one.row for one in ARENA]))
    assert [one.messages[0].content for one in arena] == ["Write a poem.", "Write a story.", "Write a play."]
    assert {one.gold for one in arena} == {""}


def test_subjects_of_math_and_of_a_file_with_columns(tmp_path: Path) -> None:
    rows = [{"q": "1 + 1?", "a": 2, "s": "sums"}, {"q": "2 * 2?", "a": 4, "s": None}, {"q": "3?", "a": 3}]
    path, fields = write(tmp_path / "a.jsonl", rows), {"problem": "q", "answer": "a"}
    assert [p.subject for p in read("file", path, fields=fields | {"subject": "s"})] == ["sums", "", ""]
    assert [p.subject for p in read("file", path, fields=fields)] == ["", "", ""]
    with pytest.raises(UserError, match=r"a\.jsonl: fields\.subject: no row has a 'topic'"):
        read("file", path, fields=fields | {"subject": "topic"})
    if not MATH500.exists():
        pytest.skip(f"{MATH500} is not on this machine")
    counts = Counter(problem.subject for problem in read("math", MATH500))
    assert (len(counts), counts["Algebra"], counts[""]) == (7, 124, 0)


BOMB = packed([{"input": "", "output": "x" * (1 << 27), "testtype": "stdin"}])
DEEP = "[" * 100_000
NESTED: Any = []
for _ in range(700):
    NESTED = [NESTED]

MALFORMED: list[tuple[str, dict[str, Any], str]] = [
    ("gpqa", {"Correct Answer": None}, "'Correct Answer' is NoneType None, not text or a number"),
    ("gpqa", {"Incorrect Answer 3": " "}, "'Incorrect Answer 3' is empty"),
    ("gpqa", {"Incorrect Answer 1": "7 eV "}, "two of the options are the same"),
    ("gpqa", {"Question": ["x"]}, "'Question' is list ['x'], not text or a number"),
    ("gpqa", {"Subdomain": {"a": 1}}, "'Subdomain' is dict {'a': 1}, not text or a number"),
    ("livecodebench", {"difficulty": "fiendish"}, "'difficulty' is 'fiendish', none of easy, medium, hard"),
    ("livecodebench", {"difficulty": ["easy"]}, "'difficulty' is list ['easy'], not text or a number"),
    ("livecodebench", {"starter_code": {"a": 1}}, "'starter_code' is dict {'a': 1}, not text or a number"),
    ("livecodebench", {"public_test_cases": "{}"}, "'public_test_cases' is neither JSON nor base64"),
    ("livecodebench", {"public_test_cases": {"a": 1}}, "'public_test_cases' is dict, not a list of tests"),
    ("livecodebench", {"public_test_cases": [1]}, "a test is none: 1 is no object"),
    ("livecodebench", {"public_test_cases": DEEP}, "'public_test_cases' is no JSON"),
    ("livecodebench", {"public_test_cases": NESTED}, "a test is none: [[[[[[[["),
    ("livecodebench", {"private_test_cases": BOMB}, "'private_test_cases' unpacks to more than 134217728 bytes"),
    ("livecodebench", {"private_test_cases": packed({"a": 1})}, "'private_test_cases' is dict, not a list of tests"),
    ("livecodebench", {"private_test_cases": "gASVAAAA"}, "'private_test_cases' is base64 of no zlib stream"),
    ("livecodebench", {"public_test_cases": "", "private_test_cases": None}, "has neither public nor private tests"),
    ("livecodebench", {"metadata": 5}, "'metadata' is int, not an object"),
    ("livecodebench", {"question_content": ""}, "'question_content' is empty"),
    ("codeforces", {"contest_id": None}, "'contest_id' is NoneType None, not text or a number"),
    ("ifeval", {"instruction_id_list": ["keywords:absence"]}, "no instruction is called 'keywords:absence'"),
    ("ifeval", {"instruction_id_list": [["x"]]}, "no instruction is called ['x']"),
    ("ifeval", {"instruction_id_list": []}, "'instruction_id_list' is no list with entries"),
    ("ifeval", {"kwargs": [{}]}, "keywords:existence has keywords = None"),
    ("ifeval", {"kwargs": [{"keywords": "mill"}]}, "keywords:existence has keywords = 'mill'"),
    ("ifeval", {"kwargs": [{"keywords": NESTED}]}, "keywords:existence has keywords = [[[["),
    ("ifeval", {"kwargs": ["x"]}, "the kwargs of keywords:existence are str, not an object"),
    ("ifeval", {"kwargs": [{}, {}]}, "1 instructions with 2 kwargs"),
    ("ifeval", {"kwargs": DEEP}, "'kwargs' is no list with entries"),
    ("safety", {"refuse": "yes"}, "'refuse' is 'yes', not true or false"),
    ("safety", {"safe": 1}, "'safe' is 1, not true or false"),
    ("safety", {"prompt": None}, "'prompt' is NoneType None, not text or a number"),
    ("alpaca", {"output": ""}, "'output' is empty"),
    ("arena", {"turns": []}, "'turns' is no list with entries"),
    ("arena", {"turns": [[1]]}, "'content' is list [1], not text or a number"),
    ("arena", {"turns": [{"text": "x"}]}, "no field 'content'; it has 'text'"),
]


@pytest.mark.parametrize(("task", "change", "reason"), MALFORMED, ids=[f"{task}: {why}" for task, _, why in MALFORMED])
def test_a_malformed_row_is_named_in_one_line(tmp_path: Path, task: str, change: dict[str, Any], reason: str) -> None:
    good = FILES[task][0].row
    path = write(tmp_path / "a.jsonl", [good, {**good, **change}])
    with pytest.raises(UserError, match=f"line 2: {re.escape(reason)}") as error:
        read(task, path)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400
    assert len(read(task, path, max_bad_rows=0.5)) == 1


def test_a_row_nested_to_the_limit_of_some_reader_is_left_out(tmp_path: Path) -> None:
    """Whichever of them reaches its limit first: the row's, the test's, that which writes the test."""
    for depth in range(850, 1000):
        deep = '{"question_content": "Do.", "public_test_cases": [{"call": "f", "args": [%s%s], "result": 1}]}'
        rows = [LIVECODEBENCH[0].row, deep % ("[" * depth, "]" * depth)]
        problems = read("livecodebench", write(tmp_path / f"{depth}.jsonl", rows), max_bad_rows=0.5)
        assert len(problems) in (1, 2)
    assert len(problems) == 1


ARGUMENTS: list[tuple[str, dict[str, Any]]] = [
    ("keywords:frequency", {"keyword": "x", "frequency": -1, "relation": "at least"}),
    ("keywords:frequency", {"keyword": "x", "frequency": 1.5, "relation": "at least"}),
    ("keywords:frequency", {"keyword": "x", "frequency": 1, "relation": "more than"}),
    ("keywords:frequency", {"keyword": "x", "frequency": True, "relation": "at least"}),
    ("keywords:letter_frequency", {"letter": "ab", "let_frequency": 1, "let_relation": "at least"}),
    ("length_constraints:number_words", {"num_words": 1e300, "relation": "at least"}),
    ("length_constraints:number_words", {"num_words": float("nan"), "relation": "at least"}),
    ("language:response_language", {"language": "klingon"}),
    ("keywords:forbidden_words", {"forbidden_words": ["a", " "]}),
    ("detectable_format:multiple_sections", {"section_spliter": "", "num_sections": 2}),
]


@pytest.mark.parametrize(("name", "kwargs"), ARGUMENTS)
def test_arguments_that_no_response_can_meet(tmp_path: Path, name: str, kwargs: dict[str, Any]) -> None:
    row = {"prompt": "Do.", "instruction_id_list": [name], "kwargs": [kwargs]}
    with pytest.raises(UserError, match=f"line 1: {name} has "):
        read("ifeval", write(tmp_path / "a.jsonl", [row]))


def test_arguments_of_other_instructions_are_left(tmp_path: Path) -> None:
    row = {**IFEVAL[0].row, "kwargs": [{"keywords": ["mill"], "num_words": 3, "relation": None}]}
    (problem,) = read("ifeval", write(tmp_path / "a.jsonl", [row]))
    assert [json.loads(test) for test in problem.tests] == [
        {"id": "keywords:existence", "kwargs": {"keywords": ["mill"]}}
    ]


def test_decontamination_sees_the_question_and_its_row(tmp_path: Path) -> None:
    spec = TaskSpec(task="gpqa", path=write(tmp_path / "a.jsonl", [GPQA[0].row]))
    ((question, *others),) = read_problem_texts(spec).values()
    assert question.startswith("How much is 7 eV?\n\nA) ")
    assert others == ["7 eV", "8 eV\n", "9 eV\n", "10 eV\n", "Optics"]


def test_a_data_set_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets", reason="the extra 'data' is not installed")
    asked: list[Any] = []

    def load(name: str, config: str | None, *, split: str | None) -> Any:
        asked.append((name, config, split))
        table = datasets.Dataset.from_list([GPQA[0].row])
        return table if split else datasets.DatasetDict({"train": table})

    monkeypatch.setattr(datasets, "load_dataset", load)
    expected = read("gpqa", write(tmp_path / "a.jsonl", [GPQA[0].row]))
    hub = {"hub": "Idavidrein/gpqa", "hub_config": "gpqa_diamond"}
    assert read("gpqa", None, **hub, split="train") == expected
    assert read("gpqa", None, **hub) == expected
    name, config = "Idavidrein/gpqa", "gpqa_diamond"
    assert asked == [(name, config, "train"), (name, config, None)]


def test_a_folder_of_files_that_datasets_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets", reason="the extra 'data' is not installed")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "set"
    folder.mkdir()
    for split in ("train", "test"):
        write(folder / f"{split}.jsonl", [{"problem": f"1 + {n}?", "answer": str(1 + n), "level": 1} for n in range(3)])
    found = read("math", None, hub=str(folder), split="test")
    assert [problem.gold for problem in found] == ["1", "2", "3"]
    with pytest.raises(UserError, match="split: has the splits train, test; name one of them"):
        read("math", None, hub=str(folder))
    with pytest.raises(
        UserError, match=r"hub: cannot be loaded by datasets \(ValueError: .*; name a file of it as path"
    ):
        read("math", None, hub=str(folder), split="validation")


def test_a_name_that_cannot_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets", reason="the extra 'data' is not installed")

    def load(*_: Any, **__: Any) -> Any:
        raise ConnectionError("no route\nto the hub")

    monkeypatch.setattr(datasets, "load_dataset", load)
    spec = TaskSpec(task="gsm8k", hub="openai/gsm8k")
    told = r"^openai/gsm8k: hub: cannot be loaded by datasets \(ConnectionError: no route to the hub\); name a file of"
    with pytest.raises(UserError, match=told):
        build_task(spec, 0)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"hub: datasets is not installed: pip install 'dunwu\[data\]'"):
        build_task(spec, 1)
