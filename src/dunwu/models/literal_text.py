"""Texts of strangers in a prompt: what looks like a token of the template in them stays text.

A chat template writes control tokens, and a tokenizer finds them wherever they stand, in what a user wrote too: who
writes ``<|im_end|>`` would end the turn. So such texts get a mark inside before the template sees them, and after it
what is not marked is the template's own.

Special tokens are control tokens, and so are tags among the other added ones that the template names, with their
partners: Qwen3's ``<think>`` and ``<tool_response>`` are not flagged as special. The latter are text in what users
write, tools give back and functions are described by. In the turns of the system and the assistant, which whoever runs
the conversation writes, they stay what training made of them: templates look for ``</think>`` there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SIGNS = "\ue000\uf8ff\U000f0000"
"""Characters of no meaning of their own, one of which a conversation will not hold."""
TAG: Final = re.compile(r"<[^\s<>]+>")
OWN_ROLES: Final = ("system", "assistant")
"""Whose turns may hold tags that are no special tokens."""


class ControlTokens:
    """The tokens by which a template divides a prompt.

    Args:
        tokenizer: of transformers, or a ``SavedTokenizer``.
        template: its chat template, or the text that stands for one.
    """

    def __init__(self, tokenizer: Any, template: str) -> None:
        self._core = tokenizer.backend_tokenizer
        added = self._core.get_added_tokens_decoder()
        self.ids: dict[str, int] = {
            token.content: number
            for number, token in added.items()
            if token.special or _is_named(token.content, template)
        }
        """Of each text its token."""
        tokens = [token for token in added.values() if token.content in self.ids]
        tokens.sort(key=lambda token: len(token.content), reverse=True)
        self.all = _match_any(re.escape(token.content) for token in tokens)
        """Finds them in what strangers wrote."""
        self.special = _match_any(re.escape(token.content) for token in tokens if token.special)
        """Finds those that are flagged as special."""
        self.in_prompts = _match_any(_escape_with_blanks(token) for token in tokens)
        """Finds them with the white space around that a tokenizer drops."""

    @cached_property
    def plain(self) -> Tokenizer:
        """The same tokenizer once more, to which they are text."""
        from tokenizers import Tokenizer  # few prompts need it

        state = json.loads(self._core.to_str())
        for token in state["added_tokens"]:
            token["special"] = token["content"] in self.ids
        plain = Tokenizer.from_str(json.dumps(state))
        plain.encode_special_tokens = True
        return plain


def _is_named(text: str, template: str) -> bool:
    """Tell whether a text is a tag that a template names, or begins or ends one."""
    if not TAG.fullmatch(text):
        return False
    partner = text.replace("</", "<", 1) if text.startswith("</") else text.replace("<", "</", 1)
    return text in template or partner in template


def _match_any(patterns: Iterator[str]) -> re.Pattern[str]:
    return re.compile("|".join(patterns) or r"(?!)")


def _escape_with_blanks(token: Any) -> str:
    text: str = token.content
    return (r"\s*" if token.lstrip else "") + re.escape(text) + (r"\s*" if token.rstrip else "")


class LiteralTexts:
    """Marks control tokens in the texts of one conversation, and reads the prompt that they come to.

    Args:
        tokenizer: of transformers, or a ``SavedTokenizer``.
        control: its control tokens.
        values: the turns of the conversation and all else that strangers wrote, of types that JSON knows.
    """

    def __init__(self, tokenizer: Any, control: ControlTokens, values: Any) -> None:
        self._tokenizer, self._control = tokenizer, control
        texts = list(_find_texts(values))
        self.needed = any(control.all.search(text) for text in texts)
        self._mark = next((mark for mark in SIGNS if not any(mark in text for text in texts)), SIGNS[0])

    def mark(self, value: Any, role: str) -> Any:
        """Return a value in whose texts control tokens are none any more; itself where there were none.

        Args:
            value: of types that JSON knows.
            role: who wrote it, see ``OWN_ROLES``.
        """
        if not self.needed:
            return value
        if isinstance(value, str):
            return self._mark_text(value, self._control.special if role in OWN_ROLES else self._control.all)
        if isinstance(value, Mapping):
            return {self.mark(key, role): self.mark(one, role) for key, one in value.items()}
        return [self.mark(one, role) for one in value] if isinstance(value, list | tuple) else value

    def _mark_text(self, text: str, pattern: re.Pattern[str]) -> str:
        text = text.replace(self._mark, "")
        while pattern.search(text):  # one may stand inside another, or begin where it ends
            text = pattern.sub(lambda found: found[0][0] + self._mark + found[0][1:], text)
        return text

    def encode(self, prompt: str, *, special: bool) -> list[int]:
        """Tokenize a prompt that holds marked texts.

        Args:
            prompt: as the template wrote it.
            special: the tokenizer adds its special tokens at both ends.
        """
        token_ids, end, ids = list[int](), 0, self._control.ids
        for found in self._control.in_prompts.finditer(prompt):
            token_ids += self._encode_text(prompt[end : found.start()])
            token_ids.append(ids[found[0] if found[0] in ids else found[0].strip()])
            end = found.end()
        token_ids += self._encode_text(prompt[end:])
        return self._frame(token_ids) if special else token_ids

    def _encode_text(self, text: str) -> list[int]:
        found: list[int] = self._control.plain.encode(text.replace(self._mark, ""), add_special_tokens=False).ids
        return found

    def _frame(self, token_ids: list[int]) -> list[int]:
        """Add what the tokenizer puts around every text."""
        inside: list[int] = self._tokenizer.encode("a", add_special_tokens=False)
        around: list[int] = self._tokenizer.encode("a", add_special_tokens=True)
        start = next(place for place in range(len(around)) if around[place : place + len(inside)] == inside)
        return [*around[:start], *token_ids, *around[start + len(inside) :]]


def _find_texts(value: Any) -> Iterator[str]:
    """Yield all texts in a value of types that JSON knows, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _find_texts(key)
            yield from _find_texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _find_texts(one)
