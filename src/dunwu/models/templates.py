"""From a problem to the tokens that a model reads."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from jinja2 import TemplateError

from dunwu.config.schema import PromptSpec
from dunwu.errors import UserError
from dunwu.types import Problem, Prompt

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
        if self._text is None:
            token_ids = self._tokenizer.encode(self._chat(problem), add_special_tokens=False)
        else:
            question = "\n".join(message.content for message in problem.messages)
            token_ids = self._tokenizer.encode(self._text.replace("{prompt}", question))
        if len(token_ids) > self._max_tokens:
            raise PromptTooLong(problem, len(token_ids), self._max_tokens)
        return Prompt(problem=problem, token_ids=np.array(token_ids, dtype=np.int32))

    def _chat(self, problem: Problem) -> str:
        messages = [{"role": message.role, "content": message.content} for message in problem.messages]
        try:
            text: str = self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        except TemplateError as error:
            raise UserError(
                f"the tokenizer's chat template refuses problem {problem.id}: {error}", field="prompt.template"
            ) from error
        return text
