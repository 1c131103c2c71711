"""Stop strings, across token borders and broken UTF-8."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Int32

_BROKEN = "�"


class StopStrings:
    """Ends a completion as soon as its text holds one of the strings.

    A text is decoded only after a token that can finish a stop string: one whose own text holds the last character of
    one, or a broken piece of UTF-8. Where a stop string ends in white space, which tokenizers move about: every token.
    """

    def __init__(self, tokenizer: Any, stop: tuple[str, ...]) -> None:
        self._tokenizer = tokenizer
        self._stop = stop
        self._tail = 4 * max(map(len, stop)) + 4
        ends = tuple({string[-1] for string in stop} | {_BROKEN})
        always = any(end.isspace() for end in ends)
        pieces = (decode(tokenizer, [token]) for token in range(len(tokenizer)))
        self.candidates: Bool[np.ndarray, " V"] = np.array([always or any(e in p for e in ends) for p in pieces])

    def hit(self, token_ids: Int32[np.ndarray, " C"]) -> bool:
        """Say whether the text ends in, or with its last token runs past, a stop string.

        A string of n characters has at most 4 n bytes, so at most as many tokens.
        """
        text = decode(self._tokenizer, token_ids[-self._tail :].tolist())
        return any(string in text for string in self._stop)


def cut(text: str, stop: Sequence[str]) -> str:
    """Return the text up to and with the first stop string that ends in it."""
    ends = [text.find(string) + len(string) for string in stop if string in text]
    return text[: min(ends)] if ends else text


def decode(tokenizer: Any, token_ids: list[int]) -> str:
    """Decode tokens, special ones included, with nothing tidied."""
    text: str = tokenizer.decode(token_ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return text
