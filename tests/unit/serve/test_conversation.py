"""Commands of a conversation that say how questions are answered: one way at a time, and a guide's only with one."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from dunwu.commands.chat import converse
from dunwu.errors import UserError
from dunwu.serve.answering import Answerer, Order
from dunwu.serve.guided import SearchLimits
from dunwu.serve.guides import Draft
from dunwu.serve.records import Choice
from dunwu.serve.service import GenerationService
from dunwu.serve.terminal.conversation import Conversation, Settings
from dunwu.serve.terminal.screen import Screen
from dunwu.types import Message

QUESTION = "Use 3, 5 and 7 once each with + - * / to make 22."


class LongGuide:
    """Scores drafts by their length."""

    def score(self, messages: Sequence[Message], drafts: Sequence[Draft]) -> list[float]:
        """See ``Guide``."""
        return [len(draft.text) / 1000 for draft in drafts]


def begin(*, has_guide: bool) -> Conversation:
    return Conversation(Settings(temperature=1.0, top_p=1.0, seed=7), takes_turns=False, has_guide=has_guide)


@pytest.mark.parametrize(
    ("line", "said", "order", "seeds"),
    [
        ("/vote 4", "4 samples vote", Order(votes=True), 4),
        (
            "/vote 4 weighted",
            "4 samples vote, each with as much weight as the guide scores it",
            Order(votes=True, weighted=True),
            4,
        ),
        ("/vote 1 weighted", "each answer is a single sample", Order(), 1),
        ("/best 8", "the best of 8 samples by the guide's score", Order(best_of=True), 8),
        ("/best off", "each answer is a single sample", Order(), 1),
        ("/guided", "the guide chooses steps out of 4", Order(search=SearchLimits()), 1),
        ("/guided 6", "the guide chooses steps out of 6", Order(search=SearchLimits(width=6)), 1),
        ("/guided off", "each answer is a single sample", Order(), 1),
        ("/vote off", "each answer is a single sample", Order(), 1),
    ],
)
def test_one_way_to_answer_takes_the_place_of_another(line: str, said: str, order: Order, seeds: int) -> None:
    conversation = begin(has_guide=True)
    for before in ("/vote 2 weighted", "/guided 9", "/best 3"):
        conversation.obey(before)
        assert conversation.obey(line) == said
        assert conversation.order == order
        assert len(conversation.ask(QUESTION)[0].seeds) == seeds


@pytest.mark.parametrize("line", ["/vote 4 weighted", "/best 4", "/guided", "/guided 2"])
def test_without_a_guide_the_option_is_named_and_nothing_changes(line: str) -> None:
    conversation = begin(has_guide=False)
    conversation.obey("/vote 3")
    with pytest.raises(UserError, match="there is no guide: start with dunwu chat MODEL --guide GUIDE"):
        conversation.obey(line)
    assert conversation.order == Order(votes=True)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("/vote 4 heavy", "/vote: 'heavy' is no kind of vote: write /vote 4 weighted"),
        ("/vote nan weighted", "/vote: 'nan' is no whole number from 1 to 128"),
        ("/best 1000000000", "/best: '1000000000' is no whole number from 1 to 128"),
        ("/best", "/best: '' is no whole number"),
        ("/guided 0", "/guided: '0' is no whole number from 1 to 64"),
        ("/guided 1000000000", "/guided: '1000000000' is no whole number from 1 to 64"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(line: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        begin(has_guide=True).obey(line)


def test_what_is_no_ordinary_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    for name in ("pipe", "link", "."):
        with pytest.raises(UserError, match="is there already, and no ordinary file"):
            begin(has_guide=False).obey(f"/save {tmp_path / name}")
    assert (tmp_path / "file").read_text() == "kept"
    assert (tmp_path / "pipe").is_fifo()


def test_a_saved_turn_has_the_settings_that_it_was_asked_with(tmp_path: Path) -> None:
    conversation = begin(has_guide=False)
    choice = Choice(reasoning="15 + 7", content="22", finish="stop", tokens=9, thinking_tokens=6)
    requests = []
    for line in ("/vote 4", "/budget 30", "/seed random", "/system Be brief."):
        request, seed = conversation.ask(QUESTION)
        requests.append(request)
        conversation.keep(QUESTION, choice, seed, {"vote": {"samples": 4}} if conversation.order.votes else {})
        conversation.obey(line)
    conversation.obey("/temperature 0")
    conversation.obey(f"/save {tmp_path / 'talk.json'}")
    saved = json.loads((tmp_path / "talk.json").read_text())
    assert [turn["settings"]["vote"] for turn in saved["turns"]] == [1, 4, 4, 4]
    assert [turn["settings"]["budget"] for turn in saved["turns"]] == [None, None, 30, 30]
    assert [turn["votes"] for turn in saved["turns"]] == [None, *[{"samples": 4}] * 3]
    for turn, request in zip(saved["turns"], requests, strict=True):
        again = Conversation(Settings(seed=turn["seed"], **turn["settings"]), takes_turns=False)
        assert again.ask(turn["question"])[0] == request


def talk(service: GenerationService, monkeypatch: pytest.MonkeyPatch, *lines: str) -> str:
    """Say lines in a terminal; returns what it shows."""
    shown = Console(file=io.StringIO(), width=200)
    monkeypatch.setattr("dunwu.commands.chat.Console", lambda **_: shown)
    waiting = iter([*lines, "/quit"])
    settings = Settings(temperature=1.0, top_p=1.0, seed=7, max_tokens=200)
    converse(Answerer(service, guide=LongGuide()), settings, lambda: next(waiting))
    file: Any = shown.file
    return str(file.getvalue())


@pytest.mark.parametrize(
    ("piped", "said"),
    [
        ("/vote 4\nWhat is 3+4?", "/vote 4 is asked, not obeyed: stdin is one question"),
        ("\n/help", "/help is asked, not obeyed"),
        ("/usr/bin is full", ""),
        ("What does /vote 4 do?", ""),
        ("Say this:\n/vote 4", ""),
    ],
)
def test_commands_in_a_pipe_are_asked_and_not_in_silence(
    service: GenerationService,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    piped: str,
    said: str,
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("dunwu.commands.chat._answer", lambda *given: asked.append(given[-1]))
    monkeypatch.setattr("sys.stdin", io.StringIO(piped))
    monkeypatch.setenv("COLUMNS", "200")
    converse(Answerer(service), Settings(temperature=1.0, top_p=1.0))
    assert asked == [piped.strip()], "all of it, as in other programs"
    shown = capsys.readouterr()
    assert shown.out == ""
    assert (shown.err.startswith(said), bool(shown.err)) == (True, bool(said))


def test_an_answer_that_is_stopped_is_said_to_be_and_is_no_turn(
    service: GenerationService, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Screen, "show_reply", stop)
    said = talk(service, monkeypatch, QUESTION, "/think")
    assert said.endswith("by itself\nstopped\nthere is no chain of thought yet\n")


def test_it_says_what_an_answer_took(service: GenerationService, monkeypatch: pytest.MonkeyPatch) -> None:
    best = talk(service, monkeypatch, "/best 4", QUESTION)
    assert "the guide took the best: score 0." in best
    guided = talk(service, monkeypatch, "/guided 3", QUESTION)
    assert "the guide chose " in guided
    assert " dropped" in guided
    voted = talk(service, monkeypatch, "/vote 4 weighted", QUESTION)
    assert "4 samples voted: " in voted
    assert ", weight 0." in voted
