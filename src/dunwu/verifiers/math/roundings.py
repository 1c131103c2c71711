r"""Rounded values: ``\approx 3.14``, "about 5.2", and exact values with their rounding: ``\pi \approx 3.14``."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from dunwu.verifiers.math.brackets import find_closing, split_at
from dunwu.verifiers.math.exact import evaluate_exactly
from dunwu.verifiers.math.real_sets import NoSet, approximate
from dunwu.verifiers.math.records import Answer, Approximated, Equation, Quantity, Read, Rounded
from dunwu.verifiers.math.tokens import Token
from dunwu.verifiers.math.units import PERCENT
from dunwu.verifiers.math.wording import LISTING, read_conjunctions, to_words

ABOUT = frozenset({"about", "approximately", "around", "roughly", "approx", "约", "大约", "约为", "约等于", "大约是"})
MOST_PLACES = 31
"""Decimals of a rounded value."""
LEAST_ZEROS = 3
"""Zeros at the end of a whole number; with fewer it is rounded to ones."""


def read_rounded(tokens: Sequence[Token], read: Read) -> Answer | None:
    """Read a rounded value, alone, with its name or behind the exact one; None where nothing says "about"."""
    place = next((at for at, token in enumerate(tokens) if _says_about(token)), None)
    if place is None or place + 1 == len(tokens):
        return None
    exact, value = _strip_connector(tokens[:place]), list(tokens[place + 1 :])
    if any(len(split_at(read_conjunctions(side), LISTING)) > 1 for side in (exact, value)):
        return None
    if (
        exact
        and exact[-1].text == "("
        and value[-1].text == ")"
        and find_closing(tokens, len(exact) - 1) == len(tokens) - 1
    ):
        exact, value = exact[:-1], value[:-1]
    if value and value[0].text == "." and len(value) > 1:  # approx. 5
        value = value[1:]
    if any(map(_says_about, value)) or not value:
        return to_words(tokens)
    if not exact or _is_one_letter(exact):
        return Rounded(read(value))
    return _join_rounding(read(exact), read(value)) or to_words(tokens)


def _says_about(token: Token) -> bool:
    return (token.kind == "sign" and token.text == "~=") or (
        token.kind in ("word", "han") and token.text.lower() in ABOUT
    )


def _strip_connector(tokens: Sequence[Token]) -> list[Token]:
    """Return the tokens in front, without what leads to a rounding: "or", a comma, "which is"."""
    rest = list(tokens)
    while rest and (rest[-1].text.lower() in ("or", "which", "is", "equals") or rest[-1].text in (",", "，")):
        rest.pop()
    return rest


def _is_one_letter(tokens: Sequence[Token]) -> bool:
    return len(tokens) == 1 and tokens[0].kind == "word" and len(tokens[0].text) == 1 and tokens[0].text != "e"


def _join_rounding(exact: Answer, value: Answer) -> Answer | None:
    """Join a value and its rounding to one answer.

    Returns:
        None where the one is not the other, rounded or cut, or nobody can tell.
    """
    last = exact.members[-1].answer if isinstance(exact, Equation) else exact
    if not isinstance(last, Quantity) or not isinstance(value, Quantity):
        return None
    given = evaluate_exactly(value.tree)
    step = None if given is None else _find_last_place(given)
    try:
        number = Fraction(approximate(last.tree))
    except (NoSet, OverflowError):
        return None
    if given is None or step is None or number * given < 0:
        return None
    hundredths = value.unit is not None and value.unit.names == PERCENT.names and last.unit is None
    left = abs(number) * (100 if hundredths else 1) - abs(given)
    near = abs(left) <= step / 2 + abs(given) / 10**12 or (step < 1 and 0 <= left < step)
    if not near:
        return None
    said = evaluate_exactly(last.tree)  # 14 ≈ 10 is 14 alone: a written number needs no rounding
    return Approximated(exact, value) if value.decimal and (said is None or _find_last_place(said) is None) else exact


def _find_last_place(value: Fraction) -> Fraction | None:
    """Return what the last digit of a decimal counts, 1/100 in 3.14 and 1000 in 9000; None of what has no last one."""
    places = next((places for places in range(MOST_PLACES) if 10**places % value.denominator == 0), None)
    if places is None:
        return None
    zeros = len(digits := str(value.numerator)) - len(digits.rstrip("0")) if value else 0
    return Fraction(10) ** (-places if places else zeros if zeros >= LEAST_ZEROS else 0)
