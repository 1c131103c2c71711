"""``dunwu chat``: questions from a terminal or a pipe, answers as they are written."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress

from rich.console import Console

from dunwu.errors import Fault, UserError
from dunwu.serve.service import GenerationService
from dunwu.serve.terminal.conversation import Conversation, Settings
from dunwu.serve.terminal.screen import Screen
from dunwu.serve.voting import vote

PROMPT = "> "


def converse(service: GenerationService, settings: Settings, read_line: Callable[[], str] | None = None) -> None:
    """Talk to a model until the user leaves; from a pipe, answer what it holds.

    Args:
        service: what generates.
        settings: how questions are asked at first.
        read_line: asks for the next line; None: all of stdin is one question.

    Raises:
        UserError: a pipe holds no question, or one that cannot be asked.
        Fault: the service failed.
    """
    conversation = Conversation(settings, service.model.takes_turns)
    screen = Screen(Console(highlight=False), Console(stderr=read_line is None, highlight=False))
    if read_line is None:
        question = clean_input(sys.stdin.read()).strip()
        if not question:
            raise UserError("is empty: nothing was asked", file="stdin")
        _answer(service, conversation, screen, question)
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
        with suppress(KeyboardInterrupt):
            try:
                if line.startswith("/"):
                    screen.say(conversation.obey(line))
                elif line:
                    _answer(service, conversation, screen, line)
            except (UserError, Fault) as error:
                screen.complain(str(error))


def _answer(service: GenerationService, conversation: Conversation, screen: Screen, question: str) -> None:
    """Ask, show the answer, and keep it."""
    request, seed = conversation.ask(question)
    votes = None
    if len(request.seeds) > 1:
        voted = vote(service, request)
        choice, votes = voted.chosen, voted.vote.describe()
        screen.show_vote(voted.vote)
        screen.show_whole(choice)
    else:
        reply = service.submit(request)
        screen.show_reply(reply.wait(), folds=conversation.settings.folds)
        (choice,) = reply.collect()
    if choice.finish == "length":
        part = "answer" if choice.content else "reasoning"
        screen.say(f"the {part} was cut off after {choice.tokens:,} tokens")
    elif choice.closed:
        screen.say("the budget closed the reasoning")
    screen.say(f"seed {seed}, {choice.tokens:,} tokens, {choice.thinking_tokens:,} of them thinking")
    conversation.keep(question, choice, seed, votes)


def clean_input(text: str) -> str:
    """Return a text that every tokenizer reads: bytes that were no UTF-8 become replacement characters."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def read_from_terminal() -> str:
    """Read a line with editing and the arrow keys' history; a backslash at its end joins the next.

    Raises:
        EOFError: the user has left.
    """
    with suppress(ImportError):  # a Python without it reads lines all the same
        import readline  # noqa: F401 -- input() uses it
    line = input(PROMPT)
    while line.endswith("\\"):
        line = line[:-1] + "\n" + input("  ")
    return line
