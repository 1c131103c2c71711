"""``dunwu chat``: questions from a terminal or a pipe, answers as they are written."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from rich.console import Console

from dunwu.errors import Fault, UserError
from dunwu.serve.answering import Answerer, Order
from dunwu.serve.ballot import Vote
from dunwu.serve.records import ChatRequest, Choice
from dunwu.serve.terminal.conversation import Conversation, Settings
from dunwu.serve.terminal.screen import Screen, hide_control_keys

PROMPT = "> "


def converse(answerer: Answerer, settings: Settings, read_line: Callable[[], str] | None = None) -> None:
    """Talk to a model until the user leaves; from a pipe, answer what it holds.

    Args:
        answerer: who answers.
        settings: how questions are asked at first.
        read_line: asks for the next line; None: all of stdin is one question.

    Raises:
        UserError: a pipe holds no question, or one that cannot be asked.
        Fault: the service failed.
    """
    conversation = Conversation(settings, answerer.service.model.takes_turns, answerer.guide is not None)
    screen = Screen(Console(highlight=False), Console(stderr=read_line is None, highlight=False))
    if read_line is None:
        question = clean_input(sys.stdin.read() if sys.stdin else "").strip()
        if not question:
            raise UserError("is empty: nothing was asked", file="stdin")
        first = question.splitlines()[0]
        if conversation.knows(first):
            screen.say(f"{first:.20} is asked, not obeyed: stdin is one question; options: --help")
        _answer(answerer, conversation, screen, question)
        return
    if not conversation.takes_turns:
        screen.say("this model was trained on single questions: each is asked by itself")
    while not conversation.over:
        try:
            line = clean_input(read_line()).strip()
        except EOFError:
            return
        except KeyboardInterrupt:
            screen.say("\n/quit or Ctrl-D leaves")
            continue
        try:
            if line.startswith("/"):
                screen.say(conversation.obey(line))
            elif line:
                with hide_control_keys(sys.stdin):
                    _answer(answerer, conversation, screen, line)
        except KeyboardInterrupt:
            screen.say("stopped")
        except (UserError, Fault) as error:
            screen.complain(str(error))


def _answer(answerer: Answerer, conversation: Conversation, screen: Screen, question: str) -> None:
    """Ask, show the answer, and keep it."""
    request, seed = conversation.ask(question)
    more = dict[str, Any]()
    if conversation.order.is_sample:
        reply = answerer.service.submit(request)
        screen.show_reply(reply.wait(), folds=conversation.settings.folds)
        (choice,) = reply.collect()
    else:
        choice, more = _answer_whole(answerer, conversation.order, screen, request)
    if choice.finish == "length":
        part = "answer" if choice.content else "reasoning"
        screen.say(f"the {part} was cut off after {choice.tokens:,} tokens")
    elif choice.closed:
        screen.say("the budget closed the reasoning")
    screen.say(f"seed {seed}, {choice.tokens:,} tokens, {choice.thinking_tokens:,} of them thinking")
    conversation.keep(question, choice, seed, more)


def _answer_whole(
    answerer: Answerer, order: Order, screen: Screen, request: ChatRequest
) -> tuple[Choice, dict[str, Any]]:
    """Show an answer that was chosen of several, and what that took; return it, and the same as fields."""
    votes = list[Vote]()
    answer = answerer.answer(request, order, report=votes.append)
    if votes:
        screen.show_vote(votes[-1])
    if "guidance" in answer.more:
        screen.show_guidance(**answer.more["guidance"], tokens=answer.tokens)
    screen.show_whole(answer.choice)
    return answer.choice, answer.more


def clean_input(text: str) -> str:
    """Return a text that every tokenizer reads: bytes that were no UTF-8 become replacement characters."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def read_from_terminal() -> str:
    """Read a line with editing and the arrow keys' history; a backslash at its end joins the next.

    Returns:
        The line.

    Raises:
        EOFError: the user has left.
    """
    with suppress(ImportError):  # a Python without it reads lines all the same
        import readline  # noqa: F401 -- input() uses it
    line = input(PROMPT)
    while line.endswith("\\"):
        line = line[:-1] + "\n" + input("  ")
    return line
