"""Calls in the text of a reply: read alike wherever tokens cut it, and nothing of a tag reaches the content."""

from __future__ import annotations

import json

import pytest

from dunwu.errors import UserError
from dunwu.serve.records import ChatRequest, Format
from dunwu.serve.reply_text import Gain, ReplyText
from dunwu.serve.tool_calls import Called, list_functions, write_form

CITY = '{"name": "weather", "arguments": {"city": "Bonn"}}'
CALL = f"<tool_call>\n{CITY}\n</tool_call>"
BONN = Called("weather", '{"city": "Bonn"}')
TIME = Called("time", "{}")
TRICKY = '{"name": "weather", "arguments": {"city": "\\"</tool_call> <answer> \\\\"}}'
CASES = [
    # what the model wrote, chain, content, calls
    (CALL, "", "", [BONN]),
    (f"<think>\nwhere?\n</think>\n\n{CALL}", "where?", "", [BONN]),
    (f"Let me look.\n{CALL}", "", "Let me look.", [BONN]),
    (f'{CALL}\n<tool_call>{{"name":"time"}}</tool_call>', "", "", [BONN, TIME]),
    (f"{CALL}\nDone.", "", "Done.", [BONN]),
    (f"<tool_call>{TRICKY}</tool_call>", "", "", [Called("weather", '{"city": "\\"</tool_call> <answer> \\\\"}')]),
    (f"<tool_call>\n{CITY}", "", "", [BONN]),
    ("a <tool_call>\n{bad}\n</tool_call> b", "", "a {bad} b", []),
    ('<tool_call>{"name": "weather, }\n</tool_call> b', "", '{"name": "weather, } b', []),
    ('<tool_call>{"name": "rm", "arguments": {}}</tool_call>', "", '{"name": "rm", "arguments": {}}', []),
    ('<tool_call>{"name": ["time"]}</tool_call>', "", '{"name": ["time"]}', []),
    ('<tool_call>{"name": "time", "arguments": "x"}</tool_call>', "", '{"name": "time", "arguments": "x"}', []),
    ('<tool_call>{"name": "time", "arguments": {"a": 1e999}}</tool_call>', "", None, []),
    ('<tool_call>{"name": "time", "arguments": {"a": "\\ud800"}}</tool_call>', "", None, []),
    ("a</tool_call>b <tool_cal", "", "ab <tool_cal", []),
    (f"<think>{CALL}</think>no", CALL, "no", []),
    ("2 < 3, <tool", "", "2 < 3, <tool", []),
]


def read(text: str, cuts: list[int], functions: tuple[str, ...] = ("weather", "time"), **options: bool) -> Gain:
    reply, gains = ReplyText("", ("ZZZ",), functions, **options), []
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        gains.append(reply.feed(text[start:end]))
    gains.append(reply.end("stop"))
    calls = tuple(call for gain in gains for call in gain.calls)
    return Gain("".join(gain.reasoning for gain in gains), "".join(gain.content for gain in gains), calls)


@pytest.mark.parametrize(("text", "reasoning", "content", "calls"), CASES)
def test_calls_are_read_wherever_they_are_cut(
    text: str, reasoning: str, content: str | None, calls: list[Called]
) -> None:
    if content is None:
        content = text.removeprefix("<tool_call>").removesuffix("</tool_call>")
    for cuts in ([], list(range(1, len(text))), *([cut] for cut in range(len(text)))):
        assert read(text, cuts) == (reasoning, content, tuple(calls)), cuts


def test_what_streams_never_has_a_part_of_a_tag() -> None:
    reply, shown = ReplyText("", (), ("weather",)), ""
    for character in f"So: {CALL} and {CALL}":
        shown += reply.feed(character).content
        assert shown in "So: and"
    assert shown == "So: and"[: len(shown)]


def test_without_functions_tags_are_text() -> None:
    assert read(CALL, [], ()).content == CALL


def test_one_call_ends_the_reply() -> None:
    assert read(CALL + CALL, [], one_call=True) == ("", "", (BONN,))


def test_under_a_grammar_calls_stand_at_the_beginning_alone() -> None:
    for text, content, calls in ((CALL + "\n" + CALL, "", (BONN, BONN)), (f'{{"a": "{CALL}"}}', None, ())):
        for cuts in ([], list(range(1, len(text)))):
            reply = ReplyText("</think>", (), ("weather",))
            reply.settled = True
            gains = [reply.feed(text[a:b]) for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
            gains.append(reply.end("stop"))
            assert "".join(gain.content for gain in gains) == (text if content is None else content)
            assert tuple(call for gain in gains for call in gain.calls) == calls


def test_arguments_are_objects_under_the_schema_of_their_function() -> None:
    tools = (
        {"type": "function", "function": {"name": "a"}},
        {"type": "function", "function": {"name": "b", "parameters": {"properties": {"x": {"type": "integer"}}}}},
    )
    assert list_functions(tools) == {
        "a": {"type": "object", "properties": {}, "additionalProperties": False},
        "b": {"type": "object", "properties": {"x": {"type": "integer"}}},
    }


def test_forms_of_answers_beside_tools() -> None:
    tools = ({"type": "function", "function": {"name": "a"}},)
    schema, choice = Format(kind="json_schema", value={"type": "object"}), Format(kind="choice", value=["x"])
    assert write_form(ChatRequest(messages=(), format=choice), ()) is choice
    assert write_form(ChatRequest(messages=(), tools=tools), ()) is None
    with pytest.raises(UserError, match=r"structured_outputs\.choice: this form leaves no room for calls"):
        write_form(ChatRequest(messages=(), tools=tools, format=choice), ())
    both = write_form(ChatRequest(messages=(), tools=tools, format=schema), ())
    assert both is not None
    assert "start: calls | answer" in both.value.grammar
    forced = write_form(ChatRequest(messages=(), tools=tools, format=schema, must_call=("a",)), ("<tool_call>",))
    assert forced is not None
    assert "answer" not in forced.value.grammar
    assert "call: <tool_call> " in forced.value.grammar
    assert json.dumps("</tool_call>") in forced.value.grammar
