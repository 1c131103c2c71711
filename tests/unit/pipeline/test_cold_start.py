"""Cold start: rewritten answers are graded again, and people have the last word."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.pipeline.contexts import make_context
from tests.unit.pipeline.test_sampling import group

from dunwu.config.packaged import NANO_BASE
from dunwu.config.schema import ColdStartStage, RewardSpec, RewriteSpec
from dunwu.errors import Interrupted, UserError
from dunwu.pipeline.interrupts import StopSignal
from dunwu.pipeline.judges.rewriters import build_rewriter
from dunwu.pipeline.stages.answer_sampling import filter_answers
from dunwu.pipeline.stages.cold_start import build_finish, read_review, run_cold_start
from dunwu.rollout.remote import Endpoint
from dunwu.runs import StageWriter
from dunwu.verifiers import RewardGrader
from dunwu.verifiers.format import is_summarized

STAGE: dict[str, Any] = {
    "kind": "cold_start",
    "from": NANO_BASE,
    "tasks": [{"task": "countdown", "levels": [3]}],
    "questions": 24,
    "samples": 8,
    "max_new_tokens": 64,
    "prompt": {"template": "nano"},
    "review": True,
}
GOOD = "<think>two and three make five</think><answer>5</answer>"
SUMMED = "<think>I think: two and three make five</think> So my answer is <answer>5</answer>"
PROBLEM = group(GOOD).group.prompt.problem
Own = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="module")
def grader() -> Iterator[RewardGrader]:
    with RewardGrader(RewardSpec(format_rule="think-summary")) as grader:
        yield grader


@pytest.fixture
def own(tmp_path: Path) -> Own:
    """The recipe's table for a function with this body."""

    def written(body: str) -> dict[str, Any]:
        (tmp_path / "mine.py").write_text(f"def rewrite(problem, text):\n    {body}\n")
        return {"by": "custom", "file": tmp_path / "mine.py"}

    return written


def kept(
    grader: RewardGrader, *texts: str, rewrite: dict[str, Any], **fields: Any
) -> tuple[list[str], dict[str, float]]:
    stage = ColdStartStage.model_validate(STAGE | {"rewrite": rewrite} | fields)
    examples, counts = filter_answers(stage, group(*texts), build_finish(stage, grader))
    return [example.messages[-1].content for example in examples], counts["t"]


def test_rules_rewrite_what_is_kept(grader: RewardGrader) -> None:
    texts, numbers = kept(grader, GOOD, "5", rewrite={})
    assert texts == [SUMMED]
    assert numbers == {"questions": 1, "answers": 2, "kept": 1, "tokens": 7, "format": 1}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("return text.replace('>5<', '>6<')", "wrong"),
        ("return text.replace('<think>', '<think> </think>')", "format"),
        ("return text.replace('two and three make five', '先算二加三')", "mixed language"),
        ("return text.replace('five', '```five```')", "code block"),
        ("return text.replace('five', 'five ' * 500)", "long paragraph"),
        ("return text.replace('five', 'five. ' * 300)", "repetitive"),
        ("return text.replace('answer>5', 'answer>' + problem.gold + ' - 0')", None),
    ],
)
def test_a_rewriting_is_graded_again(grader: RewardGrader, own: Own, body: str, why: str | None) -> None:
    texts, numbers = kept(grader, GOOD, rewrite=own(body))
    assert len(texts) == (why is None)
    assert numbers == {"questions": 1, "answers": 1} | (
        {"kept": 1, "tokens": 7} if why is None else {f"rewritten: {why}": 1}
    )


def test_after_a_wrong_rewriting_the_next_answer_has_its_turn(grader: RewardGrader, own: Own) -> None:
    other = GOOD.replace("two", "2")
    body = "return text.replace('>5<', '>6<') if 'two' in text else text"
    assert kept(grader, GOOD, other, rewrite=own(body))[0] == [other]
    texts, numbers = kept(grader, GOOD, other, rewrite=own(f"return {SUMMED!r}"), keep=2)
    assert texts == [SUMMED]
    assert (numbers["kept"], numbers["same"]) == (1, 1)


@pytest.mark.parametrize(
    ("source", "field", "told"),
    [
        ("def rewrite(", "file", "mine.py: SyntaxError"),
        ("def other(problem, text): return text", "file", "mine.py: AttributeError"),
        (None, "file", "mine.py: FileNotFoundError"),
        ("def rewrite(text): return text", "function", "rewrite raises TypeError"),
        ("def rewrite(problem, text): return {}[text]", "function", "rewrite raises KeyError"),
        ("def rewrite(problem, text): return None", "function", "returns NoneType, no text, on problem p"),
    ],
)
def test_errors_of_an_own_function_are_the_user_s(tmp_path: Path, source: str | None, field: str, told: str) -> None:
    if source is not None:
        (tmp_path / "mine.py").write_text(source)
    with pytest.raises(UserError) as caught:
        build_rewriter(RewriteSpec(by="custom", file=tmp_path / "mine.py"))(PROBLEM, GOOD)
    assert caught.value.field == f"rewrite.{field}"
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("instruction", "asked"),
    [("Q {question} A {answer}", f"Q 2+3? A {GOOD}"), ("{answer} {answer}", f"{GOOD} {GOOD}"), ("Go.", "Go.")],
)
def test_an_endpoint_is_told_question_and_answer(monkeypatch: pytest.MonkeyPatch, instruction: str, asked: str) -> None:
    heard: list[str] = []

    def ask(self: Endpoint, text: str) -> str:
        heard.append(text)
        return f"\n{SUMMED}\n"

    monkeypatch.setattr(Endpoint, "ask", ask)
    endpoint = {"url": "http://127.0.0.1:1/v1", "model": "m"}
    spec = RewriteSpec.model_validate({"by": "endpoint", "endpoint": endpoint, "instruction": instruction})
    assert build_rewriter(spec)(PROBLEM, f" {GOOD}") == f" {SUMMED}", "the space of the template's completions stays"
    assert heard == [asked]


def test_no_thought_of_a_server_s_model_is_kept(grader: RewardGrader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Endpoint, "ask", lambda self, text: f"The user wants a chain.\n</think>\n\n{SUMMED}")
    rewrite = {"by": "endpoint", "endpoint": {"url": "http://127.0.0.1:1/v1", "model": "m"}}
    assert kept(grader, GOOD, rewrite=rewrite)[0] == [SUMMED]


def test_what_people_accept_and_edit_is_the_stage_s_data(tmp_path: Path) -> None:
    stage, done = ColdStartStage.model_validate(STAGE), list[str]()
    with StopSignal() as stop:
        store = StageWriter(tmp_path / "cold", keep=1, on_finish=lambda: done.append("done"))
        context = make_context(store, stop, name="cold")
        with pytest.raises(Interrupted, match=r"^\d+ answers wait in .*review\.jsonl: set each"):
            run_cold_start(stage, context, NANO_BASE)
        rows = [json.loads(line) for line in store.generated.file.open()]
        waiting = [json.loads(line) for line in store.generated.review_file.open()]
        assert waiting == [{"accept": None, **row} for row in rows]
        assert len(rows) == json.loads((store.path / "counts.json").read_text())["countdown"]["kept"] >= 4
        assert all(is_summarized(row["messages"][1]["content"]) for row in rows)

        for place, row in enumerate(waiting):
            row["accept"] = place != 1 if place else None
        waiting[2]["messages"][1]["content"] = "edited"
        store.generated.review_file.write_text("".join(json.dumps(row) + "\n" for row in waiting))
        with pytest.raises(Interrupted, match=r"^1 answers wait"):
            run_cold_start(stage, context, NANO_BASE)
        assert [json.loads(line) for line in store.generated.file.open()] == rows
        assert done == []

        waiting[0]["accept"] = True
        store.generated.review_file.write_text("\n".join(json.dumps(row) for row in waiting))
        run_cold_start(stage, context, NANO_BASE)
    rows[2]["messages"][1]["content"] = "edited"
    assert [json.loads(line) for line in store.generated.file.open()] == [rows[0], *rows[2:]]
    assert done == ["done"]


BOTH = '"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "!"}]'


def reviewing(folder: Path, *lines: str) -> StageWriter:
    store = StageWriter(folder / "cold", keep=1, on_finish=lambda: None)
    store.generated.file.write_text("".join(f'{{"id": "{number}", {BOTH}}}\n' for number in range(2)))
    (store.path / "counts.json").write_text("{}")
    store.generated.review_file.write_text("".join(f"{line}\n" for line in lines))
    return store


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("nonsense", "line 2: is no JSON"),
        (f'{{"accept": "yes", {BOTH}}}', "line 2: accept is 'yes', none of true, false"),
        (f"{{{BOTH}}}", "line 2: accept is 'missing'"),
        ('{"accept": true, "messages": []}', "line 2: the messages are no list with entries"),
        ('{"accept": true, "messages": "text"}', "line 2: the messages are no list with entries"),
        ('{"accept": true, "messages": [1]}', "line 2: 1 is no message with a role"),
        ('{"accept": true, "messages": [{"role": ["x"], "content": "?"}]}', "line 2: {'role': ['x']"),
        ('{"accept": true, "messages": [{"role": "user", "content": "?"}]}', "line 2: the assistant does not have the"),
        (f'{{"accept": true, {BOTH.replace("!", " ")}}}', "line 2: 'content' is empty"),
        (f'{{"accept": true, {BOTH.replace("!", chr(92) + "u0000")}}}', "line 2: 'content' contains NUL bytes"),
        (f'{{"accept": true, "category": ["x"], {BOTH}}}', "line 2: 'category' is list"),
        ("[]", "line 2: is a JSON list"),
        ("[" * 100_000, "line 2: is nested too deep"),
        (f'{{"accept": true, "id": "9", {BOTH}}}', "conversation 1 is gone: refuse it with false instead"),
    ],
)
def test_a_malformed_line_of_a_review_is_named(tmp_path: Path, line: str, told: str) -> None:
    store = reviewing(tmp_path, f'{{"accept": true, "id": "0", {BOTH}}}', line)
    with pytest.raises(UserError) as caught:
        read_review(store)
    assert str(caught.value).startswith(f"{store.generated.review_file}: {told}")


def test_conversations_that_were_added_are_told(tmp_path: Path) -> None:
    lines = (f'{{"accept": true, "id": "{name}", {BOTH}}}' for name in (0, 1, 1))
    with pytest.raises(UserError, match="conversation 1 is none that was asked about"):
        read_review(reviewing(tmp_path, *lines))


def test_a_review_that_accepts_nothing_is_told(tmp_path: Path) -> None:
    lines = (f'{{"accept": false, "id": "{name}", {BOTH}}}' for name in (0, 1))
    with pytest.raises(UserError, match="accepts nothing, so there is nothing to learn from"):
        read_review(reviewing(tmp_path, *lines))
