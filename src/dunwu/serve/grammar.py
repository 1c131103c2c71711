"""Grammars that hold an answer to a JSON schema, a pattern or a choice, by llguidance.

Of the libraries that do this, llguidance has no dependencies, wheels for all platforms that Dunwu runs on, and needs no
table that is computed before the first token.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from jaxtyping import Bool
from llguidance import LLMatcher, LLTokenizer
from torch import Tensor

from dunwu.errors import UserError
from dunwu.serve.records import Format

if TYPE_CHECKING:  # of the library's stubs alone
    from llguidance._lib import JsonCompileOptions

LONGEST_SCHEMA: Final = 1 << 18
"""Characters of a schema or pattern; compiling takes time in proportion."""
LONGEST_ENDING: Final = 512
"""Tokens of a way to the end that are looked ahead."""
MARGIN: Final = 8
"""Tokens more than that way has, at which it is taken: a step may open another object before it is looked at again."""


class Grammars:
    """Compiles the grammars of requests for one tokenizer.

    Args:
        tokenizer: of transformers, or a ``SavedTokenizer``.
        eos_ids: tokens that end an answer.
        rows: of the logits: tokens that the model knows.
    """

    def __init__(self, tokenizer: Any, eos_ids: tuple[int, ...], rows: int) -> None:
        self._core, self._eos_ids, self._rows = tokenizer.backend_tokenizer, eos_ids, rows

    @cached_property
    def _tokens(self) -> LLTokenizer:
        known = self._core.get_vocab_size(with_added_tokens=True)
        return LLTokenizer(self._core.to_str(), n_vocab=max(self._rows, known), eos_token=list(self._eos_ids))

    @cached_property
    def _endings(self) -> Endings:
        return Endings.find(self._tokens, self._eos_ids, self._rows)

    def compile(self, form: Format) -> Grammar:
        """Make the grammar of a format.

        Raises:
            UserError: it is none, or no answer can satisfy it; the message says why.
        """
        field = "response_format"
        text = _write_grammar(form)
        if len(text) > LONGEST_SCHEMA:
            raise UserError(f"the grammar has {len(text):,} characters, more than {LONGEST_SCHEMA:,}", field=field)
        matcher = LLMatcher(self._tokens, text, log_level=0)
        if matcher.is_error():
            raise UserError(_explain(matcher.get_error()), field=field)
        grammar = Grammar(matcher, self._endings)
        if not bool(grammar.find_allowed(LONGEST_ENDING).any()):
            raise UserError("no answer can satisfy it", field=field)
        return grammar


@dataclass(frozen=True, slots=True, kw_only=True)
class Endings:
    """The tokens that bring an answer to its end, by the character that they begin with.

    Attributes:
        rows: tokens that the model knows.
        end: those that end a completion.
        letter: one that stands in texts and nowhere else in JSON.
        quotes: those that end a text, or begin one.
        brackets: those that end a list or an object.
        commas: those that end a number.
    """

    rows: int
    end: Bool[Tensor, " V"]
    letter: int | None
    quotes: Bool[Tensor, " V"]
    brackets: Bool[Tensor, " V"]
    commas: Bool[Tensor, " V"]

    @classmethod
    def find(cls, tokens: LLTokenizer, eos_ids: tuple[int, ...], rows: int) -> Endings:
        """Find them in a vocabulary."""
        texts = [tokens.decode_bytes([number]) for number in range(min(rows, tokens.vocab_size))]

        def mark(beginnings: tuple[bytes, ...]) -> Bool[Tensor, " V"]:
            marked = torch.zeros(rows, dtype=torch.bool)
            marked[[number for number, text in enumerate(texts) if text.startswith(beginnings)]] = True
            return marked

        end = torch.zeros(rows, dtype=torch.bool)
        end[list(eos_ids)] = True
        letter = texts.index(b"Q") if b"Q" in texts else None
        return cls(
            rows=rows,
            end=end,
            letter=letter,
            quotes=mark((b'"',)),
            brackets=mark((b"}", b"]")),
            commas=mark((b",", b":")),
        )

    def prefer(self, allowed_V: Bool[Tensor, " V"]) -> Bool[Tensor, " V"]:
        """Keep of the tokens that may come those that end most: the answer; a text; a list or an object; a value."""
        in_text = self.letter is not None and bool(allowed_V[self.letter])
        ranks = (self.end, self.quotes) if in_text else (self.end, self.brackets, self.quotes, self.commas)
        return next((kept_V for rank in ranks if (kept_V := allowed_V & rank).any()), allowed_V)


class Grammar:
    """Where one answer stands in its grammar.

    Args:
        matcher: of llguidance.
        endings: of the vocabulary.
    """

    def __init__(self, matcher: LLMatcher, endings: Endings) -> None:
        self._matcher, self._endings = matcher, endings
        self._check_at = LONGEST_ENDING
        self._hurries = False

    @cached_property
    def shortest(self) -> int:
        """Tokens of a short answer, if nothing has been written yet."""
        return self._count_ending()

    def copy(self) -> Grammar:
        """Return the same for another answer."""
        return Grammar(self._matcher.deep_copy(), self._endings)

    def find_allowed(self, left: int) -> Bool[Tensor, " V"]:
        """Find the tokens that may come next; the end of the answer is one where it is whole.

        Args:
            left: tokens that may still be written. Where they become few, only what leads to an end may come.
        """
        if not self._hurries and left <= self._check_at:
            spare = left - self._count_ending() - MARGIN
            self._hurries = spare <= 0
            self._check_at = left - max(1, spare // 2)
        allowed_V = self._compute_mask()
        return self._endings.prefer(allowed_V) if self._hurries else allowed_V

    def advance(self, token_id: int) -> bool:
        """Take a token that was written, and tell whether the answer is whole and cannot go on."""
        self._matcher.consume_token(token_id)
        return bool(self._matcher.is_stopped())

    def _count_ending(self) -> int:
        """Count the tokens that lead to an end from here, by what ends most; at most ``LONGEST_ENDING``."""
        other = self.copy()
        for count in range(LONGEST_ENDING):
            allowed_V = self._endings.prefer(other._compute_mask())
            if not bool(allowed_V.any()) or other.advance(int(allowed_V.to(torch.uint8).argmax())):
                return count
        return LONGEST_ENDING

    def _compute_mask(self) -> Bool[Tensor, " V"]:
        mask = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        rows = self._endings.rows
        bits = np.unpackbits(mask, bitorder="little")[:rows].view(np.bool_)
        return torch.from_numpy(np.pad(bits, (0, rows - len(bits))))


def _write_grammar(form: Format) -> str:
    if form.kind == "regex":
        return str(LLMatcher.grammar_from_regex(form.value))
    if form.kind == "choice":
        choices = " | ".join(json.dumps(choice, ensure_ascii=False) for choice in form.value)
        return str(LLMatcher.grammar_from_lark(f"start: {choices}"))
    # Blanks between parts would let a small model write them for ever.
    options: JsonCompileOptions = {"whitespace_flexible": False}
    try:
        return str(LLMatcher.grammar_from_json_schema(json.dumps(form.value), defaults=options))
    except ValueError as error:
        raise UserError(_explain(str(error)), field="response_format") from None


def _explain(error: str) -> str:
    """Return what the library says in one line, without where in its own files it says so."""
    lines = [line.strip() for line in error.splitlines() if line.strip() and not line.lstrip().startswith(("<", "at "))]
    return " ".join(lines)[:300] or "it cannot be compiled"
