"""Grammars that hold an answer to a JSON schema, a pattern or a choice, by llguidance.

Of the libraries that do this, llguidance has no dependencies, wheels for all platforms that Dunwu runs on, and needs no
table that is computed before the first token.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, lru_cache, partial
from time import thread_time
from typing import Any, Final, TypeVar

from llguidance import LLMatcher, LLTokenizer

from dunwu.errors import UserError
from dunwu.rollout.builtin.scheduler import Allowed
from dunwu.serve.endings import LONGEST_ENDING, PATIENCE, Endings
from dunwu.serve.grammar_texts import explain_error, quote, write_grammar
from dunwu.serve.records import Format
from dunwu.serve.schema_checks import check_length, prepare_schema
from dunwu.serve.token_masks import (
    TokenSet,
    drop_tokens,
    find_first,
    find_only,
    has_token,
    list_tokens,
    read_mask,
    write_mask,
)

FEW: Final = 16
"""Tokens that are looked at one by one, where no more may come."""
MARGIN: Final = 8
"""Tokens that an answer has more than it needs, at which it can but end."""
ROOM: Final = 32
"""Tokens more than those that a single token is known to make necessary, when it opens a part."""
GROWTH: Final = 8
"""Tokens that one more makes necessary, on average at most: one may open several parts, ``[[{"``."""
Found = TypeVar("Found")
KEPT: Final = 64
"""Compiled formats that are kept: many requests ask for the same."""


class Grammars:
    """Compiles the grammars of requests for one tokenizer.

    Args:
        tokenizer: of transformers, or a ``SavedTokenizer``.
        eos_ids: tokens that end an answer.
        rows: of the logits: tokens that the model knows.
    """

    def __init__(self, tokenizer: Any, eos_ids: tuple[int, ...], rows: int) -> None:
        self._core, self._eos_ids, self._rows = tokenizer.backend_tokenizer, eos_ids, rows
        self._find = lru_cache(KEPT)(partial(_or_error, self._compile_text))
        self._look = lru_cache(KEPT)(partial(_or_error, self._check_text))

    @cached_property
    def _tokens(self) -> LLTokenizer:
        known = self._core.get_vocab_size(with_added_tokens=True)
        return LLTokenizer(self._core.to_str(), n_vocab=max(self._rows, known), eos_token=list(self._eos_ids))

    @cached_property
    def _specials(self) -> list[str]:
        """The texts of special tokens: where a text is forced, the library takes the token for it, and fails.

        See findings/llguidance-tag-tokens.sh.
        """
        added = self._core.get_added_tokens_decoder().items()
        return [quote(token.content)[1:-1] for token_id, token in added if self._tokens.is_special_token(token_id)]

    @cached_property
    def _endings(self) -> Endings:
        return Endings.find(self._tokens, self._eos_ids)

    def compile(self, form: Format) -> Grammar:
        """Make the grammar of a format.

        Args:
            form: the format.

        Returns:
            One of the answer's own; compiling is done once for all that ask for the same.

        Raises:
            UserError: it is none, or no answer can satisfy it; the message says why.
        """
        if form.kind == "calls":
            return _raise_error(self._find(form.value.grammar, form.field, form.value.heads)).copy()
        text = write_grammar(form)
        self._check_special(text, form.field)
        return _raise_error(self._find(text, form.field, ())).copy()

    def find_special(self, texts: Iterable[str]) -> set[str]:
        """Find which texts are tokens that no text of a grammar allows, and its names of special tokens do.

        Beside special tokens they are all that were added to a vocabulary and look like tags.

        Args:
            texts: any texts.
        """
        places = {text: self._core.token_to_id(text) for text in texts}
        return {text for text, n in places.items() if n is not None and self._tokens.is_special_token(n)}

    def check_schema(self, schema: Mapping[str, Any], field: str, *, lenient: bool) -> None:
        """Check that an object can satisfy a schema.

        Args:
            schema: of a function's arguments.
            field: in which it stands.
            lenient: keywords that no grammar can hold an answer to are let pass.

        Raises:
            UserError: none can; the message says why.
        """
        if schema.get("type", "object") != "object":
            raise UserError("arguments are an object: its type is to be object", field=field)
        prepared = prepare_schema({**schema, "type": "object"}, field)
        text = json.dumps({**prepared, "x-guidance": {"lenient": lenient}}, ensure_ascii=False)
        _raise_error(self._look(text, field))

    def _check_text(self, schema: str, field: str) -> None:
        check_length(schema, field)
        self._check_special(schema, field)
        self._match(LLMatcher.grammar_from_json_schema(schema), field)

    def _check_special(self, text: str, field: str) -> None:
        if special := next((one for one in self._specials if one in text), None):
            raise UserError(
                f"it has the text of the special token {special:.40}, which no answer can spell", field=field
            )

    def _measure(self, matcher: LLMatcher, head: str) -> int:
        """Return the tokens of a short answer that begins so."""
        token_ids = self._core.encode(head, add_special_tokens=False).ids
        other = matcher.deep_copy()
        other.consume_tokens(token_ids)
        return len(token_ids) + len(self._endings.find_way(other) or ())

    def _match(self, text: str, field: str) -> LLMatcher:
        matcher = LLMatcher(self._tokens, text, log_level=0)
        if matcher.is_error():
            raise UserError(explain_error(matcher.get_error()), field=field)
        if not _goes_on(matcher, self._endings.end):
            raise UserError("no answer can satisfy it, or it is too large", field=field)
        return matcher

    def _compile_text(self, text: str, field: str, heads: tuple[str, ...]) -> Grammar:
        check_length(text, field)
        began = thread_time()
        matcher = self._match(text, field)
        way = self._endings.find_way(matcher)
        jump = self._endings.find_jump(matcher, way) if way else 0
        jump = max([jump, *(self._measure(matcher, head) for head in heads)])
        if thread_time() - began > PATIENCE:
            raise UserError("it is too large: each token of an answer would take too long", field=field)
        return Grammar(matcher, self._endings, way, jump)


class Grammar:
    """Where one answer stands in its grammar.

    Args:
        matcher: of llguidance.
        endings: of the vocabulary.
        way: tokens that lead from here to an end, as far as one is known.
        jump: by how much it becomes longer where a part is opened.

    Attributes:
        shortest: tokens of a short answer; None where no way to its end is known.
    """

    def __init__(self, matcher: LLMatcher, endings: Endings, way: list[int] | None, jump: int) -> None:
        self._matcher, self._endings = matcher, endings
        self.shortest = len(way) if way else None
        self._start, self._way, self._leads = way, list(way or ()), True
        self._jump = jump
        self._look_at = LONGEST_ENDING

    def copy(self) -> Grammar:
        """Return the same for another answer, of which nothing is written yet."""
        return Grammar(self._matcher.deep_copy(), self._endings, self._start, self._jump)

    def find_allowed(self, left: int) -> TokenSet:
        """Find the tokens that may come next; the end of the answer is one where it is whole.

        Args:
            left: tokens that may still be written. Where they become few, only what leads to an end may come.

        Returns:
            At least one token.
        """
        found = read_mask(self._matcher.compute_bitmask())
        # What ends a completion may have a text that the form has: it may come where the answer is whole.
        dropped = self._endings.tags if self._matcher.is_accepting() else self._endings.special
        allowed = drop_tokens(found, dropped) or found  # the format itself may have a tag
        return self._keep_what_fits(allowed, left) if self._is_near(left) else allowed

    def refuse(self, token_id: int, left: int) -> Allowed | None:
        """Say what may come in the place of a token that may not; None where it may.

        To ask for one token takes a part of the time that a mask takes, and most tokens of a model may come.

        Args:
            token_id: the token.
            left: see ``find_allowed``.

        Returns:
            The mask of what may come, or its only token.
        """
        is_known = not has_token(self._endings.special, token_id) and not self._is_near(left)
        if is_known and self._matcher.validate_tokens([token_id]):
            return None
        allowed = self.find_allowed(left)
        if has_token(allowed, token_id):
            return None
        only = find_only(allowed)
        return write_mask(allowed, self._endings.width) if only is None else only

    def advance(self, token_id: int) -> bool:
        """Take a token that was written.

        Args:
            token_id: the token.

        Returns:
            Whether the answer cannot go on: it is whole, or ``find_error`` says why not.
        """
        if self._way and self._way[0] == token_id:
            del self._way[0]
        else:
            self._leads = False
        self._matcher.consume_token(token_id)
        return bool(self._matcher.is_stopped())

    def find_error(self) -> str | None:
        """Say why the library gave up amid the answer, which ends then; None where it did not.

        A grammar may come to a limit of the library with any token, which no look at it beforehand can tell.
        """
        return explain_error(self._matcher.get_error()) if self._matcher.is_error() else None

    def _is_near(self, left: int) -> bool:
        """Tell whether so few tokens are left that not every one leaves room for an end."""
        if left > self._look_at:
            return False
        self._find_way()
        spare, room = left - len(self._way), self._jump + ROOM
        if not self._way:
            self._look_at = left // 2  # to look takes hundreds of masks
        elif spare > room:
            self._look_at = left - max(1, (spare - room) // (1 + GROWTH))
        return bool(self._way) and spare <= room

    def _keep_what_fits(self, allowed: TokenSet, left: int) -> TokenSet:
        """Keep of the tokens that may come those after which the answer can still end in time.

        Where there are too many to look at each, parts of JSON begin and end as the known way has it, and texts and
        numbers stay free.
        """
        kept = 1 << self._way[0]
        if left - len(self._way) <= MARGIN:
            return kept
        if allowed.bit_count() > FEW:
            return kept | drop_tokens(allowed, self._endings.parts)
        fitting = (token_id for token_id in list_tokens(allowed) if self._can_end(token_id, left - 1 - MARGIN))
        return kept | sum(1 << token_id for token_id in fitting)

    def _can_end(self, token_id: int, left: int) -> bool:
        """Tell whether so many tokens are enough after this one."""
        ways = (rest for rest in (self._way, self._way[1:]) if rest and len(rest) <= left)
        if any(self._ends([token_id, *rest]) for rest in ways):
            return True
        other = self._matcher.deep_copy()
        other.consume_token(token_id)
        found = [] if other.is_stopped() else self._endings.find_way(other)
        return found is not None and len(found) <= left

    def _find_way(self) -> None:
        """See to it that the known way leads from here to an end; it is empty where none is found."""
        if self._leads:
            return
        known = [rest for rest in (self._way, self._way[1:]) if rest and self._ends(rest)]
        self._way = known[0] if known else self._endings.find_way(self._matcher) or []
        self._leads = True

    def _ends(self, tokens: list[int]) -> bool:
        """Tell whether all these tokens may come next, and the end behind them."""
        end = find_first(self._endings.end)
        assert end is not None, "a model has a token that ends completions"
        whole = tokens if has_token(self._endings.end, tokens[-1]) else [*tokens, end]
        return bool(self._matcher.validate_tokens(whole) == len(whole))


def _or_error(find: Callable[..., Found], *arguments: Any) -> Found | UserError:
    """Return what a function finds, or its refusal, which is to be kept as well: it took as long."""
    try:
        return find(*arguments)
    except UserError as error:
        return error


def _raise_error(found: Found | UserError) -> Found:
    if isinstance(found, UserError):
        raise UserError(found.message, file=found.file, field=found.field)
    return found


def _goes_on(matcher: LLMatcher, end: TokenSet) -> bool:
    """Tell whether an answer can begin: what is too large fails with the first token, or behind it."""
    allowed = read_mask(matcher.compute_bitmask())
    first = find_first(allowed if matcher.is_accepting() else drop_tokens(allowed, end))
    if first is None or matcher.is_error():
        return False
    other = matcher.deep_copy()
    other.consume_token(first)
    if not other.is_stopped():
        other.compute_bitmask()
    return not other.is_error()
