"""Conversations out of files: which rows are, which are not, and what is said of those."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from dunwu.config.schema import DataSpec
from dunwu.errors import UserError
from dunwu.tasks.datasets.conversations import (
    check_first_rows,
    order_by_judgement,
    read_examples,
    read_labelled,
    read_preferences,
    read_texts,
)
from dunwu.types import REASONING_FIELDS, Example, Message

GOOD = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]
PAIR = {"prompt": "Why?", "chosen": "Because.", "rejected": "No."}


def written(folder: Path, *rows: Any, **spec: Any) -> DataSpec:
    path = folder / "talk.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return DataSpec(path=path, **spec)


def test_messages_are_taken_as_they_are(tmp_path: Path) -> None:
    zh = [{"role": "system", "content": "Brief."}, {"role": "user", "content": "为什么？"}, GOOD[1]]
    first, second = read_examples(written(tmp_path, {"messages": GOOD}, {"messages": json.dumps(zh)}))
    messages = (Message(role="user", content="Why?"), Message(role="assistant", content="So."))
    assert first == Example(id="talk-1", category="talk", language="en", messages=messages)
    assert (second.id, second.language, second.messages[0].role) == ("talk-2", "zh", "system")


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning", "thinking"])
def test_reasoning_that_stands_apart_comes_before_the_answer(tmp_path: Path, name: str) -> None:
    def answer(**message: Any) -> str:
        turns = [GOOD[0], {"role": "assistant", "reasoning_content": None, "thinking": "", **message}]
        (read,) = read_examples(written(tmp_path, {"messages": turns}))
        return read.messages[-1].content

    assert answer(content="4", **{name: "2+2"}) == "<think>\n2+2\n</think>\n\n4"
    assert answer(content="\n\n4", **{name: "\n2+2\n"}) == "<think>\n2+2\n</think>\n\n4"
    assert answer(content="<think>2+2</think>4", **{name: "2+2"}) == "<think>2+2</think>4"
    assert answer(content="4") == "4"


def learnt(folder: Path, row: dict[str, Any], **fields: str) -> str:
    """The last answer that a row teaches."""
    (read,) = read_examples(written(folder, row, fields=fields))
    return read.messages[-1].content


THOUGHT = "<think>\n2+2\n</think>\n\n4"


@pytest.mark.parametrize(
    ("thought", "answer", "expected"),
    [
        ("2+2", "<think>\n\n</think>\n\n4", THOUGHT),
        ("2+2", "</think>4", THOUGHT),
        ("<think>2+2</think>", "4", THOUGHT),
        ("2+2</think>", "4", THOUGHT),
        ("2 +  2", "<think>so 2\n+ 2</think>4", "<think>so 2\n+ 2</think>4"),
        ("2+2", "2+2</think>4", "2+2</think>4"),
        ("<think>\n</think>", "<think>x</think>4", "<think>x</think>4"),
        *((switch, "4", "4") for switch in ("on", "Off", "high", "")),
    ],
)
def test_reasoning_apart_is_learnt_once_wherever_it_stands(
    tmp_path: Path, thought: str, answer: str, expected: str
) -> None:
    for name in REASONING_FIELDS:
        message = {"role": "assistant", name: thought, "content": answer}
        assert learnt(tmp_path, {"messages": [GOOD[0], message]}) == expected
        assert learnt(tmp_path, {"prompt": "2+2?", "response": answer, name: thought}) == expected


@pytest.mark.parametrize(
    ("thought", "answer", "message"),
    [
        ("2+2", "<think>other</think>4", "is one thought, and the answer has another in its think tags"),
        ("2+2", "other</think>4", "is one thought, and the answer has another in its think tags"),
        ("2+2", "<think>other", "is one thought, and the answer has another in its think tags"),
        ("2+2", "<think>", "is one thought, and the answer has another in its think tags"),
        ("a</think>b", "4", "has think tags within"),
        (["2+2"], "4", "is list ['2+2'], not text"),
    ],
)
def test_two_thoughts_are_refused(tmp_path: Path, thought: Any, answer: str, message: str) -> None:
    for name in REASONING_FIELDS:
        apart = {"role": "assistant", name: thought, "content": answer}
        for row in ({"messages": [GOOD[0], apart]}, {"prompt": "2+2?", "response": answer, name: thought}):
            with pytest.raises(UserError, match=rf"talk\.jsonl: .*line 1: '{name}' {re.escape(message)}"):
                learnt(tmp_path, row)
    both = {"prompt": "2+2?", "response": "4", "thinking": "2+2", "reasoning": "3+1"}
    with pytest.raises(UserError, match="line 1: 'thinking' is one thought, and the answer has another"):
        learnt(tmp_path, both)


@pytest.mark.parametrize(
    "name", ["thought", "thoughts", "reasoning_text", "rationale", "cot", "CoT", "chain_of_thought", "r1_thinking"]
)
def test_what_looks_like_reasoning_is_never_passed_over(tmp_path: Path, name: str) -> None:
    row = {"prompt": "2+2?", "response": "4", name: "2+2"}
    for bad in (row, {"messages": [GOOD[0], {"role": "assistant", "content": "4", name: "2+2"}]}):
        with pytest.raises(UserError, match=f"line 1: '{name}' looks like reasoning, which is read under"):
            learnt(tmp_path, bad)
    assert learnt(tmp_path, row, reasoning=name) == THOUGHT
    assert learnt(tmp_path, {**row, "response": THOUGHT}) == THOUGHT
    assert learnt(tmp_path, {"prompt": "2+2?", name: "4"}, response=name) == "4"


@pytest.mark.parametrize("name", ["finish_reason", "reasoning_effort", "reasoning_tokens", "sentiment_analysis"])
def test_what_is_no_reasoning_is_let_pass(tmp_path: Path, name: str) -> None:
    assert learnt(tmp_path, {"prompt": "2+2?", "response": "4", name: "stop it"}) == "4"


def test_a_judge_s_reasoning_about_a_pair_is_no_answer_s(tmp_path: Path) -> None:
    ((pair, _),) = read_preferences(written(tmp_path, PAIR | {"reasoning": "It is longer.", "rationale": "So."}))
    assert (pair.chosen, pair.rejected) == ("Because.", "No.")


def test_reasoning_in_a_column_is_among_a_row_s_texts(tmp_path: Path) -> None:
    ((_, texts),) = read_texts(written(tmp_path, {"prompt": "2+2?", "response": "4", "reasoning": "2+2"}))
    assert texts == ["2+2?", "4", "2+2"]


def test_columns_of_one_s_own(tmp_path: Path) -> None:
    fields = {"prompt": "q", "response": "a", "category": "kind", "language": "lang"}
    rows = {"q": "1+1?", "a": "2", "kind": "math", "lang": "fr"}, {"q": "1+2?", "a": "3"}
    named, plain = read_examples(written(tmp_path, *rows, fields=fields))
    assert [message.content for message in named.messages] == ["1+1?", "2"]
    assert [(one.category, one.language) for one in (named, plain)] == [("math", "fr"), ("talk", "en")]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"messages": GOOD[:1]}, "the assistant does not have the last word"),
        ({"messages": GOOD[1:]}, "the assistant does not have the last word"),
        ({"messages": []}, "the messages are no list with entries"),
        ({"messages": "Why?"}, "the messages are no list with entries"),
        ({"messages": [{"role": "tool", "content": "x"}, *GOOD]}, "is no message with a role"),
        ({"messages": [{"role": "user", "content": None}, *GOOD]}, "'content' is NoneType None"),
        ({"messages": [GOOD[0], {"role": "assistant", "content": "  "}]}, "'content' is empty"),
        ({"messages": [GOOD[0], GOOD[1] | {"thinking": ["so"]}]}, "'thinking' is list ['so'], not text"),
        ({"messages": [GOOD[0] | {"reasoning": "so"}, GOOD[1]]}, "'reasoning' stands in a message of the user"),
        ({"text": "x"}, "no field 'messages' and no prompt; it has 'text'"),
        ({"prompt": "x"}, "the assistant does not have the last word"),
    ],
)
def test_rows_that_are_no_conversation(tmp_path: Path, row: Any, message: str) -> None:
    with pytest.raises(UserError, match="max_bad_rows: 1 of 2 rows are malformed") as caught:
        read_examples(written(tmp_path, row, {"messages": GOOD}))
    assert "line 1: " in str(caught.value)
    assert message in str(caught.value)
    (kept,) = read_examples(written(tmp_path, row, {"messages": GOOD}, max_bad_rows=0.5))
    assert kept.id == "talk-2"


def test_fields_of_another_name_and_files_without_a_conversation(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="fields: no column is called 'answer' here; there are messages, prompt"):
        read_examples(written(tmp_path, {"messages": GOOD}, fields={"answer": "a"}))
    with pytest.raises(UserError, match="path: holds no conversation"):
        read_examples(written(tmp_path))


def test_pairs_are_kept_and_turned_by_what_judges_said(tmp_path: Path) -> None:
    rows = [PAIR | {"judgements": judged} for judged in ([2, 2, 1, 2], [1, 1, 1, 1], [-3, -1, -2, -2], [4, -4, 4, -4])]
    read = read_preferences(written(tmp_path, PAIR, *rows))
    assert [(pair.id, ahead) for pair, ahead in read] == [
        ("talk-1", None),
        ("talk-2", 1.75),
        ("talk-3", 1.0),
        ("talk-4", -2.0),
        ("talk-5", 0.0),
    ]
    assert {pair.chosen for pair, _ in read} == {"Because."}
    assert order_by_judgement(read[1][0], 1.75).chosen == "Because."
    turned = order_by_judgement(read[3][0], -2.0)
    assert (turned.chosen, turned.rejected, turned.id) == ("No.", "Because.", "talk-4")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (PAIR | {"rejected": "Because."}, "chosen and rejected are the same"),
        ({"prompt": "Why?", "chosen": "x"}, "no field 'rejected'"),
        (PAIR | {"judgements": []}, "the judgements are no list with entries"),
        (PAIR | {"judgements": [1, "2"]}, "are no numbers"),
        (PAIR | {"prompt": None, "messages": GOOD}, "the user does not have the last word"),
    ],
)
def test_rows_that_are_no_pair(tmp_path: Path, row: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_preferences(written(tmp_path, row))


def test_verdicts(tmp_path: Path) -> None:
    (judged,) = read_labelled(written(tmp_path, {"messages": GOOD[:1], "response": "No!", "good": False}))
    assert (judged.messages[-1].content, judged.response, judged.good) == ("Why?", "No!", False)
    with pytest.raises(UserError, match="'good' is 1, not true or false"):
        read_labelled(written(tmp_path, {"prompt": "x", "response": "y", "good": 1}))


@pytest.mark.parametrize(
    ("use", "told"),
    [
        ("conversations", None),
        ("pairs", "of the first 20 rows none can be used; line 1: no field 'chosen'"),
        ("verdicts", "of the first 20 rows none can be used; line 1: no field 'good'"),
    ],
)
def test_a_look_at_the_first_rows_finds_columns_that_are_called_otherwise(
    tmp_path: Path, use: Any, told: str | None
) -> None:
    (tmp_path / "a.jsonl").write_text('{"prompt": "?", "response": "!"}\n' * 30)
    spec = DataSpec(path=tmp_path / "a.jsonl")
    if told is None:
        check_first_rows(spec, use)
        return
    with pytest.raises(UserError) as caught:
        check_first_rows(spec, use)
    assert caught.value.field == "fields"
    assert told in str(caught.value)
