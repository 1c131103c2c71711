r"""What must hold for an answer: ``x = k\pi, k \in \mathbb{Z}``, ``a_n = 2n (n \ge 1)``, "where C is a constant".

A letter that runs through the integers is bound: any other letter, counted from any other place, says the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import islice

from dunwu.verifiers.math.brackets import find_closing, has_many_brackets, split_at
from dunwu.verifiers.math.records import (
    Answer,
    Conditional,
    Domain,
    Equation,
    Inequality,
    Read,
    Region,
    Words,
    find_answer_letters,
    substitute_letter,
)
from dunwu.verifiers.math.sets import list_conditions
from dunwu.verifiers.math.tokens import Token
from dunwu.verifiers.math.tree import Number, Product, Sum, Symbol

MOST_CONDITIONS = 16
CUES = frozenset(
    "in < <= > >= != is are all any every each integer integers constant real".split()  # noqa: SIM905
)
HAN_CUE = re.compile("[为是]|任意|整数|常数|实数|自然数")
CONDITION_SEPARATORS = (",", "，", ";")
OPENERS = frozenset({"where", "for", "with", "when", "if", "here"})
HAN_OPENERS = ("其中", "这里", "当", "对任意", "对于任意")
CONDITION_LETTER = r"(?P<letter>\\?[a-zA-Z]+(?: _ \w+)?)"
KIND = (
    r"(?P<kind>(?:positive |negative |non ?-? ?negative |nonzero |non ?-? ?zero |real |natural |whole )?"
    r"(?:integers?|numbers?|constants?|reals?)(?: of integration)?)"
)
PATTERNS = (
    re.compile(rf"(?:all |any |every |each |some )?{CONDITION_LETTER} in (?P<set>.+)"),
    re.compile(rf"{CONDITION_LETTER} (?:is|are)(?: an?| any| some)?(?: arbitrary)? {KIND}"),
    re.compile(rf"(?:for )?(?:all |any |every |each |some |an? )?(?:arbitrary )?{KIND} {CONDITION_LETTER}"),
    re.compile(rf"(?:for )?(?:all|any|every|each) (?:real )?{CONDITION_LETTER}"),
    re.compile(rf"{CONDITION_LETTER} ?(?:[为是取]|∈)?(?:任意|一切)?的?(?P<han>正整数|整数|自然数|非负整数|实数|常数)"),
)
SETS = {
    "Z": "Z", "N": "N", "N*": "N+", "N+": "N+", "Z+": "N+", "Z*": "Z*", "R": "", "整数": "Z", "integer": "Z",
    "positiveinteger": "N+", "正整数": "N+", "自然数": "N", "naturalnumber": "N", "nonnegativeinteger": "N",
    "非负整数": "N", "wholenumber": "N", "real": "", "realnumber": "", "number": "", "实数": "", "常数": "",
    "constant": "", "realconstant": "", "constantofintegration": "",
}  # fmt: skip
"""What says nothing of the letter is ""."""
COUNTING = frozenset("nkmij")
"""Letters that are whole numbers where they have a least value: n >= 1."""
LEAST: dict[tuple[str, Fraction | int], str] = {(">=", 1): "N+", (">", 0): "N+", (">=", 0): "N", (">", -1): "N"}
INTEGERS = frozenset({"Z", "N", "N+"})
SHIFTS = tuple((sign, step) for step in (0, 1, -1, 2, -2) for sign in (1, -1))
"""What k may be replaced by where it runs through the integers."""


def read_conditional(tokens: Sequence[Token], read: Read) -> Answer | None:
    """Read an answer with the conditions behind it; None where there are none."""
    if not any(token.text.lower() in CUES or (token.kind == "han" and HAN_CUE.search(token.text)) for token in tokens):
        return None
    if has_many_brackets(tokens):
        return None
    for place in islice(_find_openings(tokens), MOST_CONDITIONS):
        found = _read_conditions(tokens[place:], read)
        if not found:
            continue
        value = read(tokens[:place])
        others = tuple(one for one in found if not isinstance(one, Domain))
        if isinstance(value, Words) or (others and isinstance(value, (Inequality, Region))):
            return None
        return Conditional(value, tuple(one for one in found if isinstance(one, Domain)), others)
    return None


def _find_openings(tokens: Sequence[Token]) -> Iterator[int]:
    """Yield the places at which conditions may begin: behind the answer, in brackets or parted by a sign or a word."""
    depth = 0
    for place, token in enumerate(tokens):
        sign = token.kind == "sign"
        parts = sign and (
            token.text in CONDITION_SEPARATORS or (token.text == "(" and find_closing(tokens, place) == len(tokens) - 1)
        )
        spoken = token.kind == "word" and token.text.lower() in OPENERS
        if place and depth == 0 and (parts or spoken or (token.kind == "han" and token.text.startswith(HAN_OPENERS))):
            yield place
        depth += (sign and token.text in ("(", "[", "{", "\\{")) + (token.kind == "begin")
        depth -= (sign and token.text in (")", "]", "}", "\\}")) + (token.kind == "end")


def _read_conditions(tokens: Sequence[Token], read: Read) -> list[Domain | Answer]:
    """Read the conditions that these tokens are; none where one of them is something else."""
    rest = list(tokens[1:] if tokens[0].text in CONDITION_SEPARATORS else tokens)
    if rest and rest[0].text == "(" and find_closing(rest, 0) == len(rest) - 1:
        rest = rest[1:-1]
    found: list[Domain | Answer] = []
    waiting: list[str] = []
    pieces = split_at(rest, (*CONDITION_SEPARATORS, "and"))
    if len(pieces) > MOST_CONDITIONS:
        return []
    for piece in pieces:
        words = [token for token in piece if token.text.lower() not in OPENERS and token.text != "forall"]
        if len(words) == 1 and words[0].kind == "word" and len(words[0].text) == 1:  # m, n \in \mathbb{Z}
            waiting.append(words[0].text)
            continue
        condition = _read_domain(words) or _read_inequality(words, read)
        if condition is None or (waiting and not isinstance(condition, Domain)):
            return []
        if isinstance(condition, Domain):
            found += [Domain(letter, condition.kind) for letter in waiting]
        waiting = []
        found.append(condition)
    return [] if waiting else found


def _read_domain(tokens: Sequence[Token]) -> Domain | None:
    text = " ".join(str(token) for token in tokens if token.text not in ("{", "}"))
    for opener in HAN_OPENERS:
        text = text.removeprefix(opener).strip()
    for pattern in PATTERNS:
        match = pattern.fullmatch(text)
        if match:
            parts = match.groupdict()
            named = parts.get("set") or parts.get("kind") or parts.get("han") or "number"
            plain = re.sub(r"\\mathbb|[\s^_{}-]", "", named)
            kind = SETS.get(plain, SETS.get(plain.removesuffix("s").lower()))
            return None if kind is None else Domain(parts["letter"].replace(" ", ""), kind)
    return None


def _read_inequality(tokens: Sequence[Token], read: Read) -> Domain | Answer | None:
    if not tokens or not any(token.text in ("<", "<=", ">", ">=", "!=") for token in tokens):
        return None
    condition = read(tokens)
    if not isinstance(condition, Inequality):
        return condition if list_conditions(condition) else None  # x != 2 and x != -2
    left, right = condition.sides[0], condition.sides[-1]
    if len(condition.signs) == 1 and isinstance(left, Symbol) and left.name in COUNTING and isinstance(right, Number):
        kind = LEAST.get((condition.signs[0], right.value))
        return Domain(left.name, kind) if kind else condition
    return condition


# Comparing


def same_conditional(gold: Answer, answer: Answer, equal: Callable[[Answer, Answer], bool]) -> bool:
    """Return whether two answers are equal, at least one of which has conditions.

    Conditions must agree. The answer may say beside the gold that a letter is an integer, and leave out what the
    index of a sequence is.

    Args:
        gold: The right answer.
        answer: What was answered.
        equal: Decides about the values and the other conditions.
    """
    wanted, given = (one if isinstance(one, Conditional) else Conditional(one) for one in (gold, answer))
    if len(wanted.others) != len(given.others) or not all(map(equal, wanted.others, given.others)):
        return False
    domains = [[one for one in side.domains if one.kind] for side in (wanted, given)]
    if not domains[0] or not domains[1]:
        index = _find_index(wanted.value)
        missing = all(one.letter == index and one.kind in INTEGERS for one in domains[0])
        return missing and all(one.kind in INTEGERS for one in domains[1]) and equal(wanted.value, given.value)
    if [one.kind for one in domains[0]] != [one.kind for one in domains[1]]:
        return False
    value = given.value
    for one, other in zip(*domains, strict=True):
        if one.letter != other.letter:
            if one.letter in find_answer_letters(value):
                return False
            value = substitute_letter(value, other.letter, Symbol(one.letter))
    if equal(wanted.value, value):
        return True
    bound = [one for one in domains[0] if one.kind == "Z"]
    return len(domains[0]) == len(bound) == 1 and _is_shifted(wanted.value, value, bound[0].letter, equal)


def _is_shifted(gold: Answer, answer: Answer, letter: str, equal: Callable[[Answer, Answer], bool]) -> bool:
    """Return whether both are one where the letter is counted from another place: k pi - pi/3 and k pi + 2 pi/3."""
    if letter not in find_answer_letters(gold) or letter not in find_answer_letters(answer):
        return False
    moved = (
        Sum((Product((Number(Fraction(sign)), Symbol(letter))), Number(Fraction(step)))) for sign, step in SHIFTS[1:]
    )
    return any(equal(gold, substitute_letter(answer, letter, tree)) for tree in moved)


def _find_index(answer: Answer) -> str:
    """Find the letter that counts the terms of a sequence which the answer names: n of a_n = 2n."""
    if isinstance(answer, Equation) and answer.members[0].simple:
        _, _, index = answer.members[0].text.partition("_")
        return index.strip("{}")
    return ""
