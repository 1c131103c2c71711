"""A chat template as Ollama has it: in Go, which knows nothing of Jinja.

A template of a recipe is written from its text. A model's own is a program, so what it does is looked at: it is asked
for a few conversations, and what stands between the messages becomes the template, if it is the same everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dunwu.errors import UserError
from dunwu.exporting.sources import END_THINK, THINK, ExportedModel
from dunwu.models.templates import render
from dunwu.types import Message

SYSTEM, USER, ANSWER, LAST = "[SYSTEM]", "[USER]", "[ANSWER]", "[LAST]"
"""Messages that a template is looked at with; none of them is a part of another."""
THOUGHT: Final = "{{ if .Thinking }}" + THINK + "{{ .Thinking }}" + END_THINK + "{{ end }}"
"""By it Ollama knows that a model thinks, and which tags it writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """What a chat template writes around messages.

    Attributes:
        head: Before the first message, where it is the user's.
        system: Before and after the system's message, at the beginning.
        user: Before and after a user's.
        answer: Before and after the assistant's; what stands before it asks for an answer, too.
    """

    head: str
    system: tuple[str, str]
    user: tuple[str, str]
    answer: tuple[str, str]

    def render(self, messages: Sequence[Message]) -> str:
        """Write a conversation that asks for an answer."""
        frames = {"system": self.system, "user": self.user, "assistant": self.answer}
        texts = [content.join(frames[role]) for role, content in ((one.role, one.content) for one in messages)]
        head = "" if messages[0].role == "system" else self.head
        return head + "".join(texts) + self.answer[0]


def make_go_template(model: ExportedModel) -> str | None:
    """Make the template of a model.

    Args:
        model: What is exported.

    Returns:
        The template; None where the model has none.

    Raises:
        UserError: Its chat template cannot be said in Go.
    """
    if model.trained_template is not None:
        return _from_text(model, model.trained_template)
    if model.chat_template is None:
        return None
    turns = read_turns(model)
    thought = THOUGHT if model.thinks else ""
    system, user, answer = (tuple(map(_quote, frame)) for frame in (turns.system, turns.user, turns.answer))
    return "".join(
        [
            *("{{- range $i, $m := .Messages }}", "{{- if and (eq $i 0) (ne .Role `system`) }}", _quote(turns.head)),
            *("{{- end }}", "{{- if eq .Role `system` }}", system[0], "{{ .Content }}", system[1]),
            *("{{- else if eq .Role `user` }}", user[0], "{{ .Content }}", user[1]),
            *("{{- else if eq .Role `assistant` }}", answer[0], thought, "{{ .Content }}", answer[1]),
            *("{{- end }}", "{{- end }}", answer[0]),
        ]
    )


def _from_text(model: ExportedModel, text: str) -> str:
    """Write a recipe's template: messages stand one a line in the place of its prompt, up to an answer."""
    parts = text.split("{prompt}")
    if len(parts) != 2:
        raise UserError("has its prompt in several places, which Ollama's template cannot say", field="prompt.template")
    before, after = map(_quote, parts)
    thought = THOUGHT if model.thinks else ""
    return "".join(
        [
            *("{{- $open := false }}", "{{- range .Messages }}", "{{- if eq .Role `assistant` }}"),
            *("{{ if not $open }}", before, "{{ end }}", after, thought, "{{ .Content }}"),
            *(_quote(model.tokenizer.eos_token), "{{- $open = false }}"),
            *("{{- else }}", "{{ if $open }}", _quote("\n"), "{{ else }}", before, "{{ end }}", "{{ .Content }}"),
            *("{{- $open = true }}", "{{- end }}", "{{- end }}", "{{ if $open }}", after, "{{ end }}"),
        ]
    )


def read_turns(model: ExportedModel) -> Turns:
    """Read off a chat template what it writes around messages.

    Args:
        model: What is exported.

    Returns:
        What stands around each message.

    Raises:
        UserError: It writes other things around other messages, or knows no system's message.
    """
    tokenizer = model.tokenizer
    system, user = Message(role="system", content=SYSTEM), Message(role="user", content=USER)
    answer, last = Message(role="assistant", content=ANSWER), Message(role="user", content=LAST)
    whole = render(tokenizer, [system, user, answer, last], "a conversation")
    asked, stated = (render(tokenizer, [user], "a question", asks=asks) for asks in (True, False))
    ended = render(tokenizer, [user, answer], "an answer", asks=False).partition(ANSWER)[2]
    begin, between, before_answer, behind_answer, end = _cut(whole, (SYSTEM, USER, ANSWER, LAST))
    after_user = stated.partition(USER)[2]
    start_user = behind_answer.removeprefix(ended)
    turns = Turns(
        head=asked.partition(USER)[0].removesuffix(start_user),
        system=(begin, between.removesuffix(start_user)),
        user=(start_user, after_user),
        answer=(end.removeprefix(after_user), ended),
    )
    if before_answer != turns.user[1] + turns.answer[0]:
        raise _refuse("asks for an answer otherwise than it writes one down")
    for messages in ([user], [system, user, answer, last], [user, answer, last], [system, user]):
        if turns.render(messages) != render(tokenizer, messages, "a conversation"):
            raise _refuse("writes other things around other messages")
    return _without_begin(model, turns)


def _cut(text: str, stand_ins: Sequence[str]) -> list[str]:
    """Cut a text at its stand-ins."""
    parts = []
    for stand_in in stand_ins:
        before, found, text = text.partition(stand_in)
        if not found:
            raise _refuse("leaves out a message")
        parts.append(before)
    return [*parts, text]


def _without_begin(model: ExportedModel, turns: Turns) -> Turns:
    """Leave out what begins every text: llama.cpp adds it where the file says so."""
    begin = model.tokenizer.bos_token
    adds = begin is not None and model.tokenizer.encode("a")[:1] == [model.tokenizer.bos_token_id]
    if not adds:
        return turns
    system = (turns.system[0].removeprefix(begin), turns.system[1])
    return Turns(head=turns.head.removeprefix(begin), system=system, user=turns.user, answer=turns.answer)


def _refuse(text: str) -> UserError:
    return UserError(
        f"the chat template {text}, so Ollama's cannot be written: export a GGUF file, and write a TEMPLATE"
    )


def _quote(text: str) -> str:
    """Write a text as an expression of Go, which keeps white space and braces as they are."""
    if not text:
        return ""
    if text in (THINK, END_THINK) or (text.isprintable() and "{{" not in text and text.strip() == text):
        return text
    escaped = (
        text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
    )
    return f'{{{{ "{escaped}" }}}}'
