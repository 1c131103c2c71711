"""From problems and conversations to the tokens that a model reads."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
from jaxtyping import Int32

from dunwu.config.schema import PromptSpec
from dunwu.errors import UserError
from dunwu.models.chat_templates import render_chat, write_turn
from dunwu.models.literal_text import ControlTokens, LiteralTexts
from dunwu.types import Example, Message, Problem, Prompt, TokenizedExample

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
OPENED: Final = re.compile(r"(?:<think>\s*|(?:<think>\s*)?</think>\s*)\Z")
"""At a prompt's end: reasoning that it begins, or leaves out."""
NOTHING: Final = re.compile(r"\s*(?:<think>\s*)?</think>\s*")
"""Reasoning that is none, where an answer begins."""
CHAT_TEMPLATE: Final = "chat_template.jinja"
"""The file of a model's folder that holds its chat template."""
ORIGINAL_TEMPLATE: Final = "original"
"""The chat template that a tokenizer came with, where a stage has put the one that it trained with before it."""
STAND_IN: Final = "ANSWER"
"""An answer that templates leave as it is."""


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
        """Make the prompt.

        Raises:
            PromptTooLong: it has more than ``max_tokens``.
            UserError: the chat template refuses these messages; some know no system role.
        """
        asked = self._write_prompt(problem.messages, f"problem {problem.id}")
        token_ids = self._encode(asked.text)
        if len(token_ids) > self._max_tokens:
            raise PromptTooLong(problem, len(token_ids), self._max_tokens)
        return Prompt(problem=problem, token_ids=np.array(token_ids, dtype=np.int32), opening=asked.opening)

    def encode_conversation(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()
    ) -> tuple[Int32[np.ndarray, " P"], str]:
        """Make the prompt of a stranger's conversation, in which control tokens are text, see ``literal_text.py``.

        Args:
            messages: the turns so far.
            tools: functions that the chat template may tell of.

        Returns:
            The prompt's tokens, and its end that is the answer's already (``Prompt.opening``).

        Raises:
            UserError: as ``encode`` does; several turns, or tools, where the template has no room for them.
        """
        known = str(self._tokenizer.chat_template or "" if self._text is None else "")
        if tools and "tools" not in known:
            raise UserError("the model's template knows no tools", field="tools")
        if "tool" not in known and any(message.calls or message.role == "tool" for message in messages):
            raise UserError("the model's template knows no tools", field="messages")
        literal = LiteralTexts(self._tokenizer, self._control, [[*map(write_turn, messages)], [*tools]])
        asked = self._write_prompt(messages, "the conversation", tools, literal.mark)
        special = self._text is not None
        token_ids = literal.encode(asked.text, special=special) if literal.needed else self._encode(asked.text)
        return np.array(token_ids, dtype=np.int32), asked.opening

    def tokenize_example(self, example: Example) -> Iterator[TokenizedExample]:
        """Tokenize a conversation to learn from: its prompts as at rollout, and each answer as it stands, with its end.

        An answer begins behind what its prompt has already written of it, and ends with the chat template's own end of
        turn. A template that rewrites earlier turns (Qwen3 and R1 drop their reasoning) would ask for the next answer
        after another text than was learnt: each such answer is then an example of its own, so that all are learnt once.

        Raises:
            UserError: the conversation does not end with the assistant; it has several turns and the template is no
                chat template; the chat template refuses it; an answer brings reasoning, and its prompt leaves it out.
        """
        if not example.messages or example.messages[-1].role != "assistant":
            raise UserError(f"{example.id} does not end with the assistant's message", field="data")
        token_ids, mask = list[int](), list[bool]()
        for place, message in enumerate(example.messages):
            if message.role != "assistant":
                continue
            self._check_thought(example.messages[:place], message.content, example.id)
            prompt, answer = self._encode_turn(example.messages[:place], message.content, example.id)
            if prompt[: len(token_ids)] != token_ids:
                yield _as_example(token_ids, mask)
                token_ids, mask = [], []
            mask += [False] * (len(prompt) - len(token_ids)) + [True] * len(answer)
            token_ids = [*prompt, *answer]
        yield _as_example(token_ids, mask)

    def encode_answer(self, name: str, asked: Sequence[Message], answer: str) -> Int32[np.ndarray, " L"]:
        """Tokenize a conversation with an answer at its end.

        Args:
            name: of the conversation, for errors.
            asked: the turns before the answer.
            answer: as it stands.

        Raises:
            UserError: see ``tokenize_example``.
        """
        prompt, ending = self._encode_turn(asked, answer, name)
        return np.array([*prompt, *ending], dtype=np.int32)

    @cached_property
    def _control(self) -> ControlTokens:
        return ControlTokens(self._tokenizer, str(self._tokenizer.chat_template) if self._text is None else self._text)

    @cached_property
    def opening(self) -> str:
        """What every prompt has already written of its answer: think tags with the white space behind them, or "".

        Raises:
            UserError: the chat template refuses a plain question.
        """
        return self._write_prompt([Message(role="user", content="?")], "a question").opening

    @property
    def lead(self) -> str:
        """What answers begin with that no prompt has written, white space aside. Raises as ``find_chat_frame``."""
        return self._frame.lead.strip()

    @property
    def end(self) -> tuple[int, ...]:
        """The tokens that end every answer. Raises as ``find_chat_frame``."""
        return self._frame.end

    @cached_property
    def _frame(self) -> Frame:
        if self._tokenizer.eos_token is None:
            raise UserError("the tokenizer has no eos_token: answers could never end", field="prompt.template")
        if self._text is None:
            return find_chat_frame(self._tokenizer)
        return Frame("", (self._tokenizer.eos_token_id,))

    def _write_prompt(
        self,
        messages: Sequence[Message],
        name: str,
        tools: Sequence[Mapping[str, Any]] = (),
        mark: Callable[[Any, str], Any] = lambda value, role: value,
    ) -> _PromptText:
        """Write the prompt for what follows ``messages``, each ``mark``-ed, and find what of it is the answer's."""
        if self._text is None:
            text = render(self._tokenizer, messages, name, tools=tools, mark=mark)
            return _PromptText(text, find_opening(text))
        if any(message.role == "assistant" for message in messages):
            raise UserError(f"{name} has several turns, which takes a chat template", field="prompt.template")
        question = mark("\n".join(message.content for message in messages), "user")
        return _PromptText(self._text.replace("{prompt}", question), find_opening(self._text.rpartition("{prompt}")[2]))

    def _write_answer(self, answer: str, opening: str) -> str:
        """Write an answer from behind what the prompt has written of it.

        One without reasoning ends the reasoning at once, as R1 does where there is nothing to think about.
        """
        if not opening:
            lead = self._frame.lead
            is_led = answer.startswith(lead.strip()) if lead.strip() else answer[:1].isspace()
            return answer if is_led else lead + answer
        if answer.startswith(opening):
            return answer.removeprefix(opening)
        if is_closed(opening):
            nothing = NOTHING.match(answer)
            return answer[nothing.end() :] if nothing else answer
        if answer.lstrip().startswith("<think>"):
            return answer.lstrip().removeprefix("<think>")
        return answer if "</think>" in answer else f"\n</think>\n\n{answer}"

    def _check_thought(self, messages: Sequence[Message], answer: str, name: str) -> None:
        """Raise UserError where an answer brings reasoning behind a prompt that leaves it out."""
        opening = self._write_prompt(messages, name).opening
        if is_closed(opening) and "</think>" in self._write_answer(answer, opening):
            text = f"{name} has reasoning in its answer, and the template's prompt leaves reasoning out ({opening!r})"
            raise UserError(text, field="data")

    def _encode_turn(self, messages: Sequence[Message], answer: str, name: str) -> tuple[list[int], list[int]]:
        """Encode the prompt for what follows ``messages``, and an answer to it with its end.

        The answer is tokenized behind its prompt: by itself its first word might get a space of the tokenizer's. Where
        tokens would lie across the border it is tokenized by itself all the same, since a prompt stands first.
        """
        asked = self._write_prompt(messages, name)
        prompt, written = self._encode(asked.text), self._write_answer(answer, asked.opening)
        whole = self._encode(asked.text + written)
        continued = whole[: len(prompt)] == prompt
        behind = whole[len(prompt) :] if continued else tokenize(self._tokenizer, written)
        return prompt, [*behind, *self._frame.end]

    def _encode(self, text: str) -> list[int]:
        """Tokenize from the beginning; a chat template writes its special tokens itself."""
        return tokenize(self._tokenizer, text, special=self._text is not None)


class _PromptText(NamedTuple):
    """A prompt's text, and its end that is the answer's already (``Prompt.opening``)."""

    text: str
    opening: str


class Frame(NamedTuple):
    """What a template writes around an answer: what stands before it, and the tokens that end its turn."""

    lead: str
    end: tuple[int, ...]


def find_chat_frame(tokenizer: Any) -> Frame:
    """Find how the tokenizer's chat template frames an answer, by what it makes of a stand-in.

    What it writes before the answer, beyond what asks for one, the model has to write: gpt-oss names a channel.
    Reasoning that is empty, as Qwen3 puts before the last answer, is no part of that: answers are learnt as they stand.
    A turn ends with the first special token behind the answer (``<|im_end|>``, ``<|eot_id|>``, ``<end_of_turn>``,
    ``</s>``); where the template writes none, with the end of sequence behind whatever it writes.

    Raises:
        UserError: the template refuses a question and an answer, or leaves out the answer.
    """
    question, answer = Message(role="user", content="?"), Message(role="assistant", content=STAND_IN)
    asked = render(tokenizer, [question], "a question")
    before, found, after = render(tokenizer, [question, answer], "an answer", asks=False).rpartition(STAND_IN)
    if not found:
        raise UserError("the tokenizer's chat template leaves out what the assistant says", field="prompt.template")
    lead = NOTHING.sub("", before.removeprefix(asked)) if before.startswith(asked) else ""
    special = [str(token) for token in tokenizer.added_tokens_decoder.values() if token.special]
    ended = re.search("|".join(map(re.escape, [tokenizer.eos_token, *special])), after)
    closing = after[: ended.end()] if ended else after.rstrip()
    end = [*tokenize(tokenizer, closing), *([] if ended else [tokenizer.eos_token_id])]
    return Frame(lead, tuple(end))


def find_end_of_turn(tokenizer: Any) -> int | None:
    """Find the token that ends an answer under the tokenizer's chat template.

    Returns:
        None where there is no chat template, or where it refuses a plain question with an answer.
    """
    if not getattr(tokenizer, "chat_template", None):
        return None
    with suppress(UserError):  # whoever asks with it gets an error
        return find_chat_frame(tokenizer).end[-1]
    return None


def find_opening(prompt: str) -> str:
    """Find the think tags at a prompt's end, with the white space behind them; "" where there are none.

    One that stands open begins the answer's reasoning. Where they are closed (Qwen3 and DeepSeek-V3.1 when they shall
    not think) the answer has none.
    """
    found = OPENED.search(prompt)
    return found[0] if found else ""


def is_closed(opening: str) -> bool:
    """Whether a prompt has ended its answer's reasoning already."""
    return "</think>" in opening


def render(
    tokenizer: Any,
    messages: Sequence[Message],
    name: str,
    *,
    asks: bool = True,
    tools: Sequence[Mapping[str, Any]] = (),
    mark: Callable[[Any, str], Any] = lambda value, role: value,
) -> str:
    """Write messages as the tokenizer's chat template does.

    Args:
        tokenizer: one with a chat template.
        messages: the conversation so far.
        name: what the messages are, for errors.
        asks: adds what comes before an answer.
        tools: functions that the model may call.
        mark: changes what strangers wrote, see ``LiteralTexts``.

    Raises:
        UserError: the template refuses these messages.
    """
    turns = [mark(write_turn(message), message.role) | {"role": message.role} for message in messages]
    return render_chat(tokenizer, turns, asks=asks, name=name, tools=mark(list(tools), "tool"))


def tokenize(tokenizer: Any, text: str, *, special: bool = False) -> list[int]:
    """Tokenize without a warning where a text is longer than the model knows: whoever asked says what becomes of it.

    Args:
        tokenizer: of transformers.
        text: what is tokenized.
        special: the tokenizer adds its special tokens.
    """
    token_ids: list[int] = tokenizer.encode(text, add_special_tokens=special, verbose=False)
    return token_ids


def _as_example(token_ids: Sequence[int], mask: Sequence[bool]) -> TokenizedExample:
    return TokenizedExample(token_ids=np.array(token_ids, dtype=np.int32), loss_mask=np.array(mask, dtype=np.bool_))


def count_positions(model: Any) -> int:
    """Return how many tokens a model of transformers can read; a number past all texts where it does not say."""
    return int(getattr(model.config, "max_position_embeddings", None) or 2**31)
