"""Reasoning and answer part at the tags, however tokens cut them; no literal tag and no stop text gets through."""

from __future__ import annotations

import random

import pytest

from dunwu.serve.reply_text import Gain, ReplyText
from dunwu.verifiers.format import extract_summary

CASES = [
    # what the model writes, what the prompt had opened, how it ended, reasoning, answer
    ("<think> 1+1=2 </think> <answer> 2 </answer>", "", "stop", "1+1=2", "2"),
    (" <think>a\nb</think>\n\nThe answer is 2.", "", "stop", "a\nb", "The answer is 2."),
    ("1+1=2\n</think>\n\n2", "<think>\n", "stop", "1+1=2", "2"),
    ("2", "<think>\n\n</think>\n\n", "stop", "", "2"),
    ("just text", "", "stop", "", "just text"),
    ("<think>never ends", "", "length", "never ends", ""),
    ("<think>never ends", "", "stop", "never ends", ""),
    ("<think>forgot to close <answer>7</answer>", "", "stop", "forgot to close 7", "7"),
    ("<think>forgot to close <answer>7</answer>", "", "length", "forgot to close 7", ""),
    ("<think>try <answer>6</answer> no</think><answer>7</answer>", "", "stop", "try 6 no", "7"),
    ("So: <answer> 5 </answer> done", "", "stop", "", "So: 5 done"),
    ("2</think>3", "", "stop", "", "23"),
    ("a <think>b</think> c", "", "stop", "b", "ac"),
    ("<thin", "", "stop", "", "<thin"),
    ("x < y and <b>", "", "stop", "", "x < y and <b>"),
    ("等等 <think>重新</think>\n七", "", "stop", "重新", "等等七"),
    ("", "", "stop", "", ""),
    ("<think></think>", "", "stop", "", ""),
]


def read(text: str, opening: str, finish: str, cuts: list[int], stop: tuple[str, ...] = ()) -> Gain:
    reply, reasoning, content = ReplyText(opening, stop), "", ""
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        if reply.stopped:
            break
        gain = reply.feed(text[start:end])
        reasoning, content = reasoning + gain.reasoning, content + gain.content
    gain = reply.end("stop" if finish == "stop" else "length")
    return Gain(reasoning + gain.reasoning, content + gain.content)


@pytest.mark.parametrize(("text", "opening", "finish", "reasoning", "content"), CASES)
def test_a_reply_is_parted_alike_wherever_it_is_cut(
    text: str, opening: str, finish: str, reasoning: str, content: str
) -> None:
    cuts = [[], list(range(1, len(text))), *([cut] for cut in range(len(text)))]
    cuts += [sorted(random.Random(seed).choices(range(len(text) + 1), k=4)) for seed in range(20)]
    for places in cuts:
        assert read(text, opening, finish, places)[:2] == (reasoning, content), places


@pytest.mark.parametrize(("text", "opening"), [(case[0], case[1]) for case in CASES[:5]])
def test_the_answer_is_what_graders_read(text: str, opening: str) -> None:
    assert read(text, opening, "stop", []).content == extract_summary(opening + text)


@pytest.mark.parametrize(
    ("text", "stop", "content", "stopped"),
    [
        ("one\ntwo\nthree", ("\n",), "one", True),
        ("one END two", ("END", "two"), "one ", True),
        ("one EN two", ("END",), "one EN two", False),
        ("one EN", ("END",), "one EN", False),
        ("<think>\n\n END</think>7 END", ("END",), "7 ", True),
        ("aab", ("ab",), "a", True),
        ("<think>1</think><answer>7</answer> and more", ("</answer>",), "7", True),
    ],
)
def test_a_stop_text_ends_the_answer_and_not_the_chain(
    text: str, stop: tuple[str, ...], content: str, stopped: bool
) -> None:
    for cuts in ([], list(range(1, len(text)))):
        assert read(text, "", "stop", cuts, stop).content == content
    reply = ReplyText("", stop)
    reply.feed(text)
    reply.end("stop")
    assert reply.stopped == stopped


def test_what_can_be_known_is_not_held_back() -> None:
    reply = ReplyText("<think>")
    assert reply.feed("wait, 1 < 2") == Gain("wait, 1 < 2", "")
    assert reply.feed(" </thi") == Gain("", "")
    assert reply.feed("nk>") == Gain("", "")
    assert reply.feed("\n\nSo") == Gain("", "So")
    assert reply.feed(" ") == Gain("", "")
    assert reply.feed("7.") == Gain("", " 7.")
