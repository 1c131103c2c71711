"""Tokens to a typed answer; what a text is decides itself from the outside in.

lead-in, numerals        "the answer is", 答案是, 五分之二
or, and, commas          unions and lists; conditions in one letter are sets of reals
= < > in (mod)           equations, inequalities, membership, congruences
: / - of numbers         times, ratios, dates
brackets, rows           tuples, intervals, sets, matrices
number and unit          quantities
all else                 words
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache

from dunwu.verifiers.math.brackets import Unreadable, measure_depth, split_at
from dunwu.verifiers.math.conditions import read_conditional
from dunwu.verifiers.math.cursor import DEEPEST
from dunwu.verifiers.math.dates import SLASHED, read_date, read_time
from dunwu.verifiers.math.grammar import parse
from dunwu.verifiers.math.lists import read_bracketed, read_list, read_point, read_system
from dunwu.verifiers.math.literals import recurs
from dunwu.verifiers.math.matrices import read_matrix
from dunwu.verifiers.math.parts import read_extreme, read_parts
from dunwu.verifiers.math.phrases import read_phrase
from dunwu.verifiers.math.quantities import read_compound, read_quantity
from dunwu.verifiers.math.records import Answer, Quantity, Ratio, Read
from dunwu.verifiers.math.relations import read_congruence, read_named, read_relation
from dunwu.verifiers.math.repairs import repair
from dunwu.verifiers.math.repeats import read_repeated
from dunwu.verifiers.math.roundings import read_rounded
from dunwu.verifiers.math.sets import read_alternatives, read_builder, read_excepted, read_sets
from dunwu.verifiers.math.tokens import Token, tokenize
from dunwu.verifiers.math.tree import divide
from dunwu.verifiers.math.wording import find_subject, strip_lead_in, strip_tokens, to_words


@lru_cache(maxsize=4096)
def read_answer_tokens(text: str) -> tuple[Token, ...]:
    """Return the tokens of the answer that ``text`` gives: see ``wording.strip_lead_in``."""
    return tuple(strip_lead_in(_tokenize(text)))


@lru_cache(maxsize=4096)
def read_subject(text: str) -> str:
    """Return of what ``text`` says something: see ``wording.find_subject``."""
    return find_subject(_tokenize(text))


@lru_cache(maxsize=4096)
def _tokenize(text: str) -> list[Token]:
    return repair(tokenize(text))


@lru_cache(maxsize=4096)
def read(text: str) -> Answer:
    """Return what ``text`` says, as one of the types of ``records``."""
    tokens = read_answer_tokens(text)
    return to_words(tokens) if measure_depth(tokens) > DEEPEST else read_tokens(tokens)


def read_tokens(tokens: Sequence[Token]) -> Answer:
    """Return what these tokens say."""
    rest = strip_tokens(tokens)
    if len(rest) == 1 and rest[0].kind == "number":
        return read_quantity(rest) or to_words(rest)
    if any(token.text == "ldots" for token in rest[:-1]) or (rest and rest[-1].text == "ldots" and not recurs(rest)):
        return read_phrase(rest, read_tokens) or to_words(rest)
    for reader in READERS:
        answer = reader(rest, read_tokens)
        if answer is not None:
            return answer
    return to_words(rest)


# Times and ratios


def _read_moment(tokens: Sequence[Token], _: Read) -> Answer | None:
    text = "".join((" " if token.spacing else "") + str(token) for token in tokens).strip()
    return to_words(tokens) if SLASHED.fullmatch(text) else read_date(text) or read_time(text)


def _read_share(tokens: Sequence[Token], _: Read) -> Answer | None:
    """Read 1 in 5, 1 out of 5: a fraction."""
    between = " ".join(token.text for token in tokens[1:-1]).lower()
    numbers = len(tokens) > 2 and tokens[0].text.isdigit() and tokens[-1].text.isdigit()
    if not numbers or between not in ("in", "out of"):
        return None
    return Quantity(divide(parse(tokens[:1]), parse(tokens[-1:])))


def _read_ratio(tokens: Sequence[Token], _: Read) -> Answer | None:
    rest = [
        replace(token, kind="sign", text=":") if token.text in ("to", "比") and not token.roman else token
        for token in tokens
    ]
    parts = split_at(rest, (":",))
    if len(parts) < 2 or not all(parts):
        return None
    try:
        trees = tuple(map(parse, parts))
    except Unreadable:
        return None
    return Ratio(trees, _read_clock(parts))


def _read_clock(parts: list[list[Token]]) -> tuple[int, ...] | None:
    """Read the numbers of what may be a time of the day: 8:40, 12:05:30, but not 12:5."""
    digits = [part[0].text for part in parts if len(part) == 1 and part[0].text.isdigit()]
    if len(digits) < len(parts) or len(parts) > 3 or len(digits[0]) > 2 or int(digits[0]) > 24:
        return None
    return tuple(map(int, digits)) if all(len(one) == 2 and int(one) < 60 for one in digits[1:]) else None


READERS: tuple[Callable[[Sequence[Token], Read], Answer | None], ...] = (
    read_system,
    read_parts,
    read_phrase,
    read_repeated,
    read_rounded,
    read_conditional,
    read_builder,
    read_matrix,
    read_bracketed,
    _read_moment,
    read_point,
    lambda tokens, _: read_compound(tokens),
    read_excepted,
    read_alternatives,
    read_congruence,
    read_list,
    read_named,
    read_sets,
    read_relation,
    _read_share,
    _read_ratio,
    read_extreme,
    lambda tokens, _: read_quantity(tokens),
)
