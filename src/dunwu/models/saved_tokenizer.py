"""A tokenizer of transformers without transformers: what prompts, stop strings and chat templates ask of one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from tokenizers import Tokenizer

from dunwu.models.chat_templates import as_text

PROBES = (
    "Question: Compute 12 + 345.\n<think> 12 + 345 = 357 </think>\n<answer> 357 </answer>",
    "  Two  blanks,\ta tab\n\n\nand lines: x² ≥ 0, naïve, «so».",
    "等等，让我重新检查一下：三加四等于七。",
    "def f(x):\n    return {'a': [1, 2.50, -3e8]}  # <|im_end|> </s> <|endoftext|>",
)
"""Texts on which a saved tokenizer is compared with the one that it was saved from."""


class SpecialToken(BaseModel):
    """A token that was added to the vocabulary."""

    text: str
    special: bool

    def __str__(self) -> str:
        return self.text


class TokenizerState(BaseModel):
    """All of a tokenizer but its vocabulary and rules."""

    chat_template: str | None
    special_tokens_map: dict[str, Any]
    eos_token: str
    eos_token_id: int
    pad_token_id: int | None
    all_special_ids: list[int]
    added_tokens_decoder: dict[int, SpecialToken]


class SavedTokenizer:
    """See the module; names and arguments are those of transformers' tokenizers.

    Args:
        path: A file of the package ``tokenizers``.
        state: The rest.

    Raises:
        ValueError: The file is none of its.
    """

    def __init__(self, path: Path, state: TokenizerState) -> None:
        try:
            self.backend_tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the tokenizers library raises plain Exceptions
            raise ValueError(str(error)) from error
        self.chat_template, self.special_tokens_map = state.chat_template, state.special_tokens_map
        self.eos_token, self.eos_token_id, self.pad_token_id = state.eos_token, state.eos_token_id, state.pad_token_id
        self.all_special_ids, self.added_tokens_decoder = state.all_special_ids, state.added_tokens_decoder

    def __len__(self) -> int:
        return int(self.backend_tokenizer.get_vocab_size(with_added_tokens=True))

    def get_chat_template(self) -> str | None:
        """Return the chat template."""
        return self.chat_template

    def encode(self, text: str, *, add_special_tokens: bool = True, verbose: bool = True) -> list[int]:
        """Return a text's tokens; ``verbose`` changes nothing, since no length is warned of."""
        token_ids: list[int] = self.backend_tokenizer.encode(text, add_special_tokens=add_special_tokens).ids
        return token_ids

    def decode(
        self,
        token_ids: Sequence[int],
        *,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool = False,
    ) -> str:
        """Return the text of tokens; there is no tidying of spaces."""
        text: str = self.backend_tokenizer.decode(list(token_ids), skip_special_tokens=skip_special_tokens)
        return text


def save_tokenizer(tokenizer: Any, path: Path) -> TokenizerState | None:
    """Write a tokenizer of transformers so that ``SavedTokenizer`` reads it.

    Args:
        tokenizer: Of transformers.
        path: Where its vocabulary and rules go.

    Returns:
        The rest; None where the tokenizer is of a kind that cannot be read so, or reads differently.
    """
    core, template = getattr(tokenizer, "backend_tokenizer", None), tokenizer.chat_template
    plain = template is None or isinstance(template, str)
    if core is None or not plain or getattr(tokenizer, "split_special_tokens", False):
        return None
    core.save(str(path))
    state = TokenizerState(
        chat_template=template,
        special_tokens_map={name: as_text(token) for name, token in tokenizer.special_tokens_map.items()},
        eos_token=str(tokenizer.eos_token),
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        all_special_ids=list(tokenizer.all_special_ids),
        added_tokens_decoder={
            number: SpecialToken(text=str(token), special=token.special)
            for number, token in tokenizer.added_tokens_decoder.items()
        },
    )
    return state if _reads_alike(tokenizer, SavedTokenizer(path, state)) else None


def _reads_alike(one: Any, other: Any) -> bool:
    plain = {"skip_special_tokens": False, "clean_up_tokenization_spaces": False}
    added = " and ".join(str(token) for token in one.added_tokens_decoder.values())
    for text in (*PROBES, added):
        for special in (True, False):
            token_ids = one.encode(text, add_special_tokens=special, verbose=False)
            if other.encode(text, add_special_tokens=special) != token_ids:
                return False
            if other.decode(token_ids, **plain) != one.decode(token_ids, **plain):
                return False
    return len(one) == len(other)
