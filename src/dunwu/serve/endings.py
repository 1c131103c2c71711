"""The ways by which an answer under a grammar comes to its end.

No grammar says which of its tokens lead there, so a way is looked for greedily: what closes comes first, then a few
characters that numbers, dates and addresses go on with. It is short, and not always the shortest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from time import thread_time
from typing import Final

from llguidance import LLMatcher, LLTokenizer

from dunwu.serve.token_masks import (
    BITS,
    TokenSet,
    drop_tokens,
    find_first,
    find_only,
    has_token,
    mark_tokens,
    read_mask,
)
from dunwu.verifiers.format import TAGS

LONGEST_ENDING: Final = 512
"""Tokens of a way to the end that are looked ahead."""
PATIENCE: Final = 2.0
"""Seconds of a thread's own time that looking for ways may take; an ordinary schema takes hundredths."""
LONGEST_WALK: Final = 96
"""Tokens of the walk that looks for parts which take long to close."""
CLOSING: Final = (b"}]", b'"', b",:")
"""What ends most: a list or an object; a text, or it begins one; a value or a key."""
OPENING: Final = b"{[,"
"""What opens another part."""
GOING_ON: Final = b"1@0.:-/na"
"""What numbers, dates and addresses go on with where nothing can end, and what null begins with."""
PARTS: Final = b'{}[],:"'
"""What parts of JSON begin and end with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endings:
    """The tokens of a vocabulary that bring an answer to its end.

    Attributes:
        end: those that end a completion.
        closing: by ``CLOSING``: the tokens that begin so.
        opening: by ``OPENING``: the token that is this character, where there is one.
        going_on: by ``GOING_ON``: the token that is this character, where there is one.
        letter: one that stands in texts and nowhere else in JSON, where there is one.
        parts: those with one of ``PARTS`` in them.
        tags: those with a tag of reasoning or answer in them, which would be read as one.
        special: tags and ends.
        width: bytes of a mask of this vocabulary.
    """

    end: TokenSet
    closing: tuple[TokenSet, ...]
    opening: tuple[int, ...]
    going_on: tuple[int, ...]
    letter: int | None
    parts: TokenSet
    tags: TokenSet
    special: TokenSet
    width: int

    @classmethod
    def find(cls, tokens: LLTokenizer, eos_ids: tuple[int, ...]) -> Endings:
        """Find them in a vocabulary.

        Args:
            tokens: the vocabulary.
            eos_ids: tokens that end a completion.
        """
        texts = [tokens.decode_bytes([number]) for number in range(tokens.vocab_size)]
        places = {text: number for number, text in reversed(list(enumerate(texts))) if len(text) == 1}
        width = len(LLMatcher(tokens, LLMatcher.grammar_from_regex("a")).compute_bitmask())

        def mark(token_ids: Sequence[int]) -> TokenSet:
            return read_mask(mark_tokens(token_ids, width * BITS).tobytes())

        end = mark(eos_ids)
        tags = mark([number for number, text in enumerate(texts) if any(tag.encode() in text for tag in TAGS)])
        return cls(
            end=end,
            closing=tuple(mark([n for n, text in enumerate(texts) if text[:1] and text[0] in of]) for of in CLOSING),
            opening=tuple(places[bytes([char])] for char in OPENING if bytes([char]) in places),
            going_on=tuple(places[bytes([char])] for char in GOING_ON if bytes([char]) in places),
            letter=places.get(b"Q"),
            parts=mark([number for number, text in enumerate(texts) if any(char in PARTS for char in text)]),
            tags=tags,
            special=tags | end,
            width=width,
        )

    def find_way(self, matcher: LLMatcher) -> list[int] | None:
        """Find tokens that lead from here to an end; None where ``LONGEST_ENDING`` of them do not.

        Args:
            matcher: where it stands; nothing of it is used up.
        """
        other, way = matcher.deep_copy(), list[int]()
        visits: Counter[bytes] = Counter()  # of places that look the same, since something closed
        latest = thread_time() + PATIENCE
        while len(way) < LONGEST_ENDING and thread_time() < latest:
            packed = other.compute_bitmask()
            allowed = read_mask(packed)
            if not other.is_accepting():
                allowed = drop_tokens(allowed, self.end)
            closing = self._find_closing(allowed)
            token_id = self._go_on(allowed, visits[packed]) if closing is None else closing
            if token_id is None:
                return None
            way.append(token_id)
            if has_token(self.end, token_id):
                return way
            other.consume_token(token_id)
            if other.is_stopped():
                return None if other.is_error() else way
            visits[packed] += 1
            if closing is not None:
                visits.clear()
        return None

    def find_jump(self, matcher: LLMatcher, way: list[int]) -> int:
        """Find how much longer the way to the end becomes by one token, on a walk that opens whatever it can.

        Args:
            matcher: where it stands; nothing of it is used up.
            way: from here to an end.

        Returns:
            Tokens; 0 where no step makes it longer.
        """
        other, jump = matcher.deep_copy(), 0
        visits: Counter[bytes] = Counter()
        latest = thread_time() + PATIENCE
        for _ in range(LONGEST_WALK):
            packed = other.compute_bitmask()
            allowed = read_mask(packed)
            opening = [token_id for token_id in self.opening if has_token(allowed, token_id)]
            choices = [*opening, way[0]]
            token_id = choices[visits[packed] % len(choices)]
            visits[packed] += 1
            if has_token(self.end, token_id):
                break
            other.consume_token(token_id)
            rest = way[1:] if token_id == way[0] else self.find_way(other)
            if not rest or other.is_stopped() or thread_time() > latest:
                break
            jump, way = max(jump, len(rest) - len(way)), rest
        return jump

    def _find_closing(self, allowed: TokenSet) -> int | None:
        """Find the token that ends most; in a text brackets and commas end nothing."""
        if (only := find_only(allowed)) is not None:
            return only if any(has_token(rank, only) for rank in (self.end, *self.closing)) else None
        in_text = self.letter is not None and has_token(allowed, self.letter)
        ranks = (self.end, self.closing[1]) if in_text else (self.end, *self.closing)
        return next((found for rank in ranks if (found := find_first(allowed & rank)) is not None), None)

    def _go_on(self, allowed: TokenSet, visits: int) -> int | None:
        """Find a token to go on with: another one at each visit, because the last did not help."""
        known = [token_id for token_id in self.going_on if has_token(allowed, token_id)]
        return known[visits % len(known)] if known else find_first(allowed)
