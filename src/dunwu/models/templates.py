"""From problems and conversations to the tokens that a model reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from jaxtyping import Int32

from dunwu.config.schema import PromptSpec
from dunwu.errors import UserError
from dunwu.models.chat import render_chat
from dunwu.types import Example, Lesson, Message, Problem, Prompt

R1_ZERO: Final = (
    "A conversation between User and Assistant. The user asks a question, and the Assistant solves it. The assistant "
    "first thinks about the reasoning process in the mind and then provides the user with the answer. The reasoning "
    "process and answer are enclosed within <think> </think> and <answer> </answer> tags, respectively, i.e., "
    "<think> reasoning process here </think> <answer> answer here </answer>. User: {prompt}. Assistant:"
)
"""R1, table 1 (arXiv 2501.12948)."""
NANO: Final = "User: {prompt} Assistant:"
"""The one line that the nano base's corpus is written in; its completions begin with a space."""
NAMED: Final = {"r1-zero": R1_ZERO, "nano": NANO}


class PromptTooLong(UserError):  # noqa: N818  -- an outcome: whoever encodes leaves the problem out and counts it
    """A problem whose prompt exceeds ``max_tokens``: it has ``tokens``."""

    def __init__(self, problem: Problem, tokens: int, max_tokens: int) -> None:
        self.tokens = tokens
        super().__init__(f"problem {problem.id}: {tokens} tokens, more than {max_tokens}", field="prompt.max_tokens")


class Template:
    """Encodes problems the way ``spec.template`` says.

    ``r1-zero``, ``nano`` and texts of one's own take the content of all messages, a line break between them, and get
    the tokenizer's usual special tokens; ``chat`` gives the messages to the tokenizer's chat template.

    Raises:
        UserError: ``chat`` for a tokenizer without a chat template; a text without {prompt}.
    """

    def __init__(self, spec: PromptSpec, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._max_tokens = spec.max_tokens
        self._text = None if spec.template == "chat" else NAMED.get(spec.template, spec.template)
        if self._text is None and not getattr(tokenizer, "chat_template", None):
            raise UserError("the tokenizer has no chat template; take r1-zero or a text", field="prompt.template")
        if self._text is not None and "{prompt}" not in self._text:
            known = ", ".join([*NAMED, "chat"])
            raise UserError(f"neither one of {known} nor a text with {{prompt}}", field="prompt.template")

    def encode(self, problem: Problem) -> Prompt:
        """The prompt.

        Raises:
            PromptTooLong: it has more than ``max_tokens``.
            UserError: the chat template refuses these messages; some know no system role.
        """
        asked = problem.messages
        token_ids = self._ids(self._chat(asked, f"problem {problem.id}")) if self._text is None else self._asked(asked)
        if len(token_ids) > self._max_tokens:
            raise PromptTooLong(problem, len(token_ids), self._max_tokens)
        return Prompt(problem=problem, token_ids=np.array(token_ids, dtype=np.int32))

    def lesson(self, example: Example) -> Lesson:
        """The whole conversation. Each turn is tokenized alone, as at rollout: what is asked there is what was learnt.

        Raises:
            UserError: the conversation does not end with the assistant; it has several turns and the template is no
                chat template; the chat template refuses it, drops part of an answer, or changes what stood before it.
        """
        if not example.messages or example.messages[-1].role != "assistant":
            raise UserError(f"{example.id} does not end with the assistant's message", field="data")
        pieces = [self._turn(example)] if self._text is not None else list(self._turns(example))
        token_ids = [token_id for prompt, answer in pieces for token_id in (*prompt, *answer)]
        mask = [written for prompt, answer in pieces for written in (*[False] * len(prompt), *[True] * len(answer))]
        return Lesson(token_ids=np.array(token_ids, dtype=np.int32), loss_mask=np.array(mask, dtype=np.bool_))

    def answered(self, name: str, asked: Sequence[Message], answer: str) -> Int32[np.ndarray, " L"]:
        """The tokens of a conversation with an answer at its end; ``name`` is for errors, as for ``lesson``."""
        messages = (*asked, Message(role="assistant", content=answer))
        return self.lesson(Example(id=name, category="", language="", messages=messages)).token_ids

    def _turn(self, example: Example) -> tuple[list[int], list[int]]:
        *asked, answer = example.messages
        if any(message.role == "assistant" for message in asked):
            raise UserError(f"{example.id} has several turns, which takes a chat template", field="prompt.template")
        return self._asked(asked), [*self._ids(answer.content), self._tokenizer.eos_token_id]

    def _turns(self, example: Example) -> Iterator[tuple[list[int], list[int]]]:
        """What comes before each of the assistant's messages, and the message with its end."""
        told = ""
        for place, message in enumerate(example.messages):
            if message.role != "assistant":
                continue
            asked = self._chat(example.messages[:place], example.id)
            whole = self._chat(example.messages[: place + 1], example.id, asks=False)
            if not (asked.startswith(told) and whole.startswith(asked)):
                text = f"the tokenizer's chat template changes the turns before an answer of {example.id}"
                raise UserError(text, field="prompt.template")
            if message.content.strip() not in whole.removeprefix(asked):
                text = f"the tokenizer's chat template drops part of the answer of {example.id}; take another template"
                raise UserError(text, field="prompt.template")
            answer = self._ids(whole.removeprefix(asked).rstrip())
            eos = self._tokenizer.eos_token_id
            yield self._ids(asked.removeprefix(told)), answer if answer[-1:] == [eos] else [*answer, eos]
            told = whole.rstrip()

    def _asked(self, messages: Sequence[Message]) -> list[int]:
        assert self._text is not None
        question = "\n".join(message.content for message in messages)
        return self._ids(self._text.replace("{prompt}", question), special=True)

    def _ids(self, text: str, special: bool = False) -> list[int]:
        """Without a warning where a text is longer than the model knows: whoever asked says what becomes of it."""
        token_ids: list[int] = self._tokenizer.encode(text, add_special_tokens=special, verbose=False)
        return token_ids

    def _chat(self, messages: Sequence[Message], name: str, *, asks: bool = True) -> str:
        turns = [{"role": message.role, "content": message.content} for message in messages]
        return render_chat(self._tokenizer, turns, asks=asks, name=name)


def positions(model: Any) -> int:
    """How many tokens a model of transformers can read; a number past all texts where it does not say."""
    return int(getattr(model.config, "max_position_embeddings", None) or 2**31)
