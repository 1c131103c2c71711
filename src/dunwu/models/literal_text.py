"""Texts of strangers in a prompt: what looks like a special token in them stays text.

A chat template writes special tokens, and a tokenizer finds them wherever they stand, in what a user wrote too: who
writes ``<|im_end|>`` would end the turn. So such texts get a mark inside before the template sees them, and after it
what is not marked is the template's own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SIGNS = "\ue000\uf8ff\U000f0000"
"""Characters of no meaning of their own, one of which a conversation will not hold."""


def find_special(tokenizer: Any) -> dict[str, int]:
    """Return the texts of a tokenizer's special tokens, and their numbers."""
    return {str(token): number for number, token in tokenizer.added_tokens_decoder.items() if token.special}


def make_plain_tokenizer(tokenizer: Any) -> Tokenizer:
    """Make the same tokenizer once more, to which special tokens are text."""
    from tokenizers import Tokenizer  # few prompts need it

    plain = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    plain.encode_special_tokens = True
    return plain


class LiteralTexts:
    """Marks special tokens in the texts of one conversation, and reads the prompt that they come to.

    Args:
        tokenizer: of transformers, or a ``SavedTokenizer``.
        values: the turns of the conversation and all else that strangers wrote, of types that JSON knows.
        make_plain: gives the tokenizer that knows no special tokens, see ``make_plain_tokenizer``.
    """

    def __init__(self, tokenizer: Any, values: Any, make_plain: Callable[[], Tokenizer]) -> None:
        self._tokenizer, self._make_plain = tokenizer, make_plain
        self._special = find_special(tokenizer)
        wanted = sorted(self._special, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, wanted))) if wanted else None
        texts = list(_find_texts(values))
        self.needed = self._pattern is not None and any(self._pattern.search(text) for text in texts)
        self._mark = next((mark for mark in SIGNS if not any(mark in text for text in texts)), SIGNS[0])

    def mark(self, value: Any) -> Any:
        """Return a value in whose texts special tokens are none any more; itself where there were none."""
        if not self.needed:
            return value
        if isinstance(value, str):
            return self._mark_text(value)
        if isinstance(value, Mapping):
            return {self.mark(key): self.mark(one) for key, one in value.items()}
        return [self.mark(one) for one in value] if isinstance(value, list | tuple) else value

    def _mark_text(self, text: str) -> str:
        assert self._pattern is not None
        text = text.replace(self._mark, "")
        return self._pattern.sub(lambda found: found[0][0] + self._mark + found[0][1:], text)

    def encode(self, prompt: str, *, special: bool) -> list[int]:
        """Tokenize a prompt that holds marked texts.

        Args:
            prompt: as the template wrote it.
            special: the tokenizer adds its special tokens at both ends.
        """
        assert self._pattern is not None
        plain = self._make_plain()
        token_ids, end = list[int](), 0
        for found in self._pattern.finditer(prompt):
            token_ids += self._encode_text(plain, prompt[end : found.start()])
            token_ids.append(self._special[found[0]])
            end = found.end()
        token_ids += self._encode_text(plain, prompt[end:])
        return self._frame(token_ids) if special else token_ids

    def _encode_text(self, plain: Tokenizer, text: str) -> list[int]:
        found: list[int] = plain.encode(text.replace(self._mark, ""), add_special_tokens=False).ids
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
