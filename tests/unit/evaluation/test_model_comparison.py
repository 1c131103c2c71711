"""Models beside each other, from what is stored: paired tests, and curves of test-time compute."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from dunwu.errors import UserError
from dunwu.evaluation.model_comparison import compare_models, compute_curves, count_by_tokenizer, estimate_by_length
from dunwu.runs import AnswerRow, Comparison, Evaluation, StageWriter, read_comparison, write_comparison
from dunwu.types import Message, Problem

ASKED = Message(role="user", content="?")
PROBLEMS = {
    name: Problem(id=name, task="t", kind="math", level=1, language="en", messages=(ASKED,), gold="1")
    for name in "abcdef"
}


def row(problem: str, correct: int | None, sample: int = 0, text: str = "", extracted: str | None = "1") -> AnswerRow:
    return AnswerRow(
        problem_id=problem,
        level=1,
        language="en",
        group=0,
        index=sample,
        parts={} if correct is None else {"accuracy": float(correct)},
        tokens=10,
        reflections=0,
        prompt="?",
        gold="1",
        completion=text,
        extracted=extracted,
    )


def evaluation(model: str, rows: Sequence[AnswerRow], set_name: str = "s") -> Evaluation:
    return Evaluation(checkpoint=model, set=set_name, results={}, rows=tuple(rows))


def test_every_model_is_compared_with_the_first_on_problems_that_both_have() -> None:
    first = evaluation("first", [row(name, 0) for name in "abcde"])
    better = evaluation("better", [row(name, 1) for name in "abcd"] + [row("f", 0)])
    mixed = evaluation("mixed", [row("a", 1, 0), row("a", 0, 1), row("b", 0), row("c", None)])
    found = list(compare_models([better, first, mixed], ["first", "better", "mixed"]))
    assert [(one.model, one.against, one.problems) for one in found] == [("better", "first", 4), ("mixed", "first", 2)]
    assert found[0].difference.value == 1.0
    assert found[0].p == 2 / 16  # of 2^4 sign flips two are as extreme
    assert found[1].difference.value == 0.25
    assert list(compare_models([first], ["first"])) == []


def test_curves_count_the_reasoning_alone() -> None:
    thoughts = {"a": "x y z", "b": "x", "c": ""}
    rows = [
        row(name, right, sample, f"<think>{thought}</think> a long answer after it", extracted=str(right))
        for name, thought in thoughts.items()
        for sample, right in enumerate((1, 0 if name == "a" else 1))
    ]
    thinking, votes = compute_curves(evaluation("m", rows), PROBLEMS, count_by_tokenizer(str.split))  # type: ignore[arg-type]
    assert [(x, accuracy.value) for x, accuracy in thinking.points] == [(0.0, 1.0), (1.0, 1.0), (3.0, 0.5)]
    assert [x for x, _ in votes.points] == [1.0, 2.0]
    assert votes.points[0][1].value == pytest.approx(5 / 6)
    assert (thinking.of, votes.of, votes.set, votes.model) == ("thinking", "votes", "s", "m")
    (only,) = compute_curves(evaluation("m", rows[::2]), PROBLEMS, count_by_tokenizer(str.split))  # type: ignore[arg-type]
    assert only.of == "thinking"
    assert list(compute_curves(evaluation("m", [row("a", None)]), PROBLEMS, estimate_by_length)) == []


def test_without_a_tokenizer_reasoning_has_its_share_of_the_tokens() -> None:
    assert (
        estimate_by_length(row("a", 1, text="<think>" + 33 * "x" + "</think>yy")) == 7
    )  # 33 of 50 characters, of 10 tokens
    assert estimate_by_length(row("a", 1, text="")) == 0


def test_what_was_compared_is_read_back(tmp_path: Path) -> None:
    store = StageWriter(tmp_path / "table", keep=1, on_finish=lambda: None)
    assert read_comparison(store.path) == Comparison()
    models = [evaluation("one", [row("a", 0), row("b", 1)]), evaluation("two", [row("a", 1), row("b", 1)])]
    kept = Comparison(
        pairs=tuple(compare_models(models, ["one", "two"])),
        curves=tuple(compute_curves(models[0], PROBLEMS, estimate_by_length)),
    )
    write_comparison(store.path, kept)
    assert read_comparison(store.path) == kept
    for damaged in ("{", "[]", '{"pairs": [{}], "curves": []}', '{"pairs": []}'):
        (tmp_path / "table" / "compared.json").write_text(damaged)
        with pytest.raises(UserError, match=r"compared\.json: is damaged"):
            read_comparison(store.path)
