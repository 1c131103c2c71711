"""Which columns make a problem: facts of expressions, options of choices, golds that stand in a text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.unit.tasks.datasets.making import FIELDS, ROWS, lines, spec

from dunwu.config.schema import TaskSpec
from dunwu.errors import UserError
from dunwu.tasks import build_task
from dunwu.tasks.datasets.files import FileTask


def test_fields_must_name_the_columns(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", ROWS)
    for fields, kind in (({"problem": "q"}, "math"), (FIELDS | {"solution": "s"}, "math"), (FIELDS, "expression")):
        with pytest.raises(UserError, match="fields: must say which columns are problem, answer"):
            FileTask(spec(path, fields=fields, kind=kind), 0)


def test_columns_with_the_names_of_what_they_hold_need_no_fields(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", [{"problem": "1+1?", "answer": "2"}])
    problem = FileTask(spec(path, fields={}, held_out=0), 0).get_problem(0)
    assert (problem.messages[-1].content, problem.gold) == ("1+1?", "2")


def test_expressions_and_choices_bring_their_facts(tmp_path: Path) -> None:
    fields = FIELDS | {"tests": "t"}
    path = lines(tmp_path / "a.jsonl", [{"q": "Make 24 of 4 and 6.", "a": "4*6", "t": [24, 4.0, "6"]}])
    assert FileTask(spec(path, fields=fields, kind="expression", held_out=0), 0).get_problem(0).tests == (
        "24",
        "4",
        "6",
    )
    path = lines(tmp_path / "b.jsonl", [{"q": "Which is red?", "a": "B", "t": ["grass", "blood"]}])
    task = FileTask(spec(path, fields=fields, kind="choice", held_out=0), 0)
    assert (task.get_problem(0).kind, task.get_problem(0).tests) == ("choice", ("grass", "blood"))
    path = lines(tmp_path / "c.jsonl", [{"q": "x", "a": "4*6", "t": []}])
    with pytest.raises(UserError, match=r"c\.jsonl: .*: line 1: 't' is no list with entries"):
        FileTask(spec(path, fields=fields, kind="expression"), 0)


FACTS: list[tuple[str, Any, list[Any], str]] = [
    ("expression", "4*6", [24, "four", 6], "'t' holds 'four', not a number"),
    ("expression", "4*6", [24, "4 6"], "'t' holds '4 6', not a number"),
    ("expression", "4*6", ["1/0", 4, 6], "'t' holds '1/0', not a number"),
    ("expression", "4*6", [24], "'t' holds a target and no numbers"),
    ("expression", "4*6", [24, "-4", 6], "'t' gives '-4'; an expression is made of numbers without a sign"),
    ("expression", "4*6", [24, "1/4", 6], "'t' gives '1/4'; an expression is made of numbers without a sign"),
    ("choice", "C", ["grass", "blood"], "the answer 'C' names none of the 2 options"),
    ("choice", "sky", ["grass", "blood"], "the answer 'sky' names none of the 2 options"),
    ("choice", "A", ["B", "A"], "the answer 'A' names 2 of the 2 options"),
    ("choice", "red", ["red", "Red"], "the answer 'red' names 2 of the 2 options"),
]


@pytest.mark.parametrize(("kind", "gold", "facts", "reason"), FACTS, ids=[reason for *_, reason in FACTS])
def test_facts_that_no_answer_can_meet_are_malformed(
    tmp_path: Path, kind: str, gold: str, facts: list[Any], reason: str
) -> None:
    path = lines(tmp_path / "a.jsonl", [{"q": "x", "a": gold, "t": facts}])
    with pytest.raises(UserError, match=rf"a\.jsonl: .*: line 1: {re.escape(reason)}"):
        FileTask(spec(path, fields=FIELDS | {"tests": "t"}, kind=kind), 0)


@pytest.mark.parametrize(
    ("gold", "facts"),
    [("b", ["grass", "blood"]), ("(B).", ["grass", "blood"]), ("Blood", ["grass", "blood"]), ("B", ["A", "B"])],
)
def test_the_gold_of_a_choice_is_its_letter(tmp_path: Path, gold: str, facts: list[str]) -> None:
    path = lines(tmp_path / "a.jsonl", [{"q": "x", "a": gold, "t": facts}])
    task = FileTask(spec(path, fields=FIELDS | {"tests": "t"}, kind="choice", held_out=0), 0)
    assert task.get_problem(0).gold == "B"


def test_options_are_put_below_a_question_that_does_not_hold_them(tmp_path: Path) -> None:
    options, held = ["grass", " blood", "sky"], "Red: (A) grass, (B) blood, or (C) sky?"
    rows = [{"q": "Which is red?", "a": "B", "t": options}, {"q": held, "a": "B", "t": options}]
    task = FileTask(
        spec(lines(tmp_path / "a.jsonl", rows), fields=FIELDS | {"tests": "t"}, kind="choice", held_out=1), 0
    )
    below = "Which is red?\n\nA) grass\nB) blood\nC) sky\n\nAnswer with the letter of the right option: A, B or C."
    assert {problem.messages[0].content for problem in task.get_held_out(2)} == {below, held}


@pytest.mark.parametrize(
    ("question", "listed"),
    [
        ("Which? A) 2 B) 0 C) 1 D) a", True),
        ("Which?\n(A) 2\n(B) 0\n(C) 1\n(D) a", True),
        ("Which?\nA. 2\nB. 0\nC. 1\nD. a", True),
        ("哪一个？A：2；B：0；C：1；D：a。", True),
        ("哪一个？A．2　B．0　C．1　D．a", True),
        ("Which?\n**A)** 2\n**B)** 0\n**C)** 1\n**D)** a\nSay why.", True),
        ("Which? [A] 2, [B] 0, [C] 1, or [D] a.", True),
        ("In the year 2024 a cat has 10 lives", False),
        ("Which of 2, 0, 1 and a?", False),
        ("Which? A) 20 B) 0 C) 1 D) a", False),
        ("Which? A) 2 B) 0 C) 1 D) an apple", False),
        ("Which? B) 2 A) 0 C) 1 D) a", False),
        ("Which? A) 2 B) 0 C) 1", False),
        ("USA) 2 B) 0 C) 1 D) a", False),
    ],
)
def test_a_question_lists_its_options_where_each_stands_behind_its_letter(
    tmp_path: Path, question: str, listed: bool
) -> None:
    row = {"q": question, "a": "C", "t": ["2", "0", "1", "a"]}
    path = lines(tmp_path / "a.jsonl", [row])
    problem = FileTask(spec(path, fields=FIELDS | {"tests": "t"}, kind="choice", held_out=0), 0).get_problem(0)
    asked = (
        question if listed else f"{question}\n\nA) 2\nB) 0\nC) 1\nD) a\n\nAnswer with the letter of the right option"
    )
    assert problem.messages[0].content.removesuffix(": A, B, C or D.") == asked
    assert problem.gold == "C"


@pytest.mark.parametrize(
    ("row", "fields", "reason"),
    [
        ({"q": "x", "a": "blood"}, FIELDS, "the answer 'blood' is no letter; fields.tests names a column of options"),
        ({"q": "x", "a": "A", "t": ["blood"]}, FIELDS | {"tests": "t"}, "1 options; a choice has 2 to 26"),
    ],
)
def test_a_choice_needs_letters(tmp_path: Path, row: dict[str, Any], fields: dict[str, str], reason: str) -> None:
    with pytest.raises(UserError, match=re.escape(reason)):
        FileTask(spec(lines(tmp_path / "a.jsonl", [row]), fields=fields, kind="choice"), 0)


def test_gsm8k_takes_the_number_after_the_hashes(tmp_path: Path) -> None:
    good = [{"question": f"q{n}", "answer": f"so <<{n}>>\n#### {n},450,000 "} for n in range(1, 4)]
    path = lines(
        tmp_path / "a.jsonl", [*good, {"question": "q", "answer": "no gold"}, {"question": "r", "answer": "####"}]
    )
    task = FileTask(TaskSpec(task="gsm8k", path=path, held_out=0, max_bad_rows=0.4), 0)
    assert sorted(task.get_problem(index).gold for index in range(3)) == ["1450000", "2450000", "3450000"]
    with pytest.raises(UserError, match=r"a.jsonl: .*: line 4 and 1 more: no gold answer after ####$"):
        build_task(TaskSpec(task="gsm8k", path=path), 0)
