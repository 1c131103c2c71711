r"""One value said several times, in several ways: "3/5 or 0.6", ``\frac35 (60\%)``, "90 minutes (1.5 hours)"."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from dunwu.verifiers.math.brackets import find_closing, has_many_brackets, split_at
from dunwu.verifiers.math.exact import Undefined, evaluate_exactly
from dunwu.verifiers.math.numerals import read_digits
from dunwu.verifiers.math.records import Answer, Approximated, Equation, Quantity, Read
from dunwu.verifiers.math.tokens import Token
from dunwu.verifiers.math.units import PERCENT, Unit, convert_value
from dunwu.verifiers.math.wording import read_conjunctions, spell_tokens, strip_stops

LEADS = ("or", "equivalently", "i", "e", ".", ",", "=", "that", "is", "also", "即", "也就是", "或")
"""What stands in front of a value that is said again."""


def read_repeated(tokens: Sequence[Token], read: Read) -> Answer | None:
    """Read a value and the same value again; None where the second is another, or no value: 2 or 3."""
    pieces = None if has_many_brackets(tokens) else _split(tokens)
    if pieces is None:
        return None
    said = [read(read_digits(piece)) for piece in pieces]
    first, second = map(_to_quantity, said)
    if first is None or second is None or not _is_same(first, second):
        return None
    if tokens[-1].text != ")" and (spell_tokens(pieces[0]) == spell_tokens(pieces[1]) or isinstance(said[0], Equation)):
        return None  # 4 or 4
    return Approximated(first, second)


def _split(tokens: Sequence[Token]) -> tuple[list[Token], list[Token]] | None:
    """Split a value from what stands behind it in parentheses, or behind "or" and "i.e."."""
    rest = list(tokens)
    if len(rest) > 3 and rest[-1].text == ")":
        start = next((at for at in range(1, len(rest)) if find_closing(rest, at) == len(rest) - 1), 0)
        inside = _strip_leads(rest[start + 1 : -1])
        return (rest[:start], inside) if start and rest[start].spacing and inside else None
    said = [token.text.lower() for token in rest]
    if "i" in said[1:-4] and said[said.index("i", 1) :][:4] == ["i", ".", "e", "."]:
        place = said.index("i", 1)
        return strip_stops(rest[:place]), _strip_leads(rest[place:])
    parts = split_at(read_conjunctions(rest), ("or", "∨"))
    if len(parts) != 2 or not all(parts):
        return None
    behind = _strip_leads(parts[1])
    return (strip_stops(parts[0]), behind) if behind else None


def _strip_leads(tokens: list[Token]) -> list[Token]:
    return next((tokens[at:] for at, token in enumerate(tokens) if token.text.lower() not in LEADS), [])


def _to_quantity(answer: Answer) -> Quantity | None:
    """Return the quantity that an answer is, with a name in front or without; None for anything else."""
    if isinstance(answer, Equation) and len(answer.members) == 2 and answer.members[0].simple:
        answer = answer.members[1].answer
    return answer if isinstance(answer, Quantity) else None


def _is_same(first: Quantity, second: Quantity) -> bool:
    """Return whether both are one rational number in one unit, or in two that measure one thing."""
    try:
        values = evaluate_exactly(first.tree), evaluate_exactly(second.tree)
    except Undefined:
        return False
    if values[0] is None or values[1] is None:
        return False
    one, other = first.unit, second.unit
    if one is None or other is None or PERCENT in (one, other):
        return _strip_percent(values[0], one) == _strip_percent(values[1], other)
    return (values[0] == values[1] and one.agrees(other)) or convert_value(values[0], one, other) == values[1]


def _strip_percent(value: Fraction, unit: Unit | None) -> Fraction:
    return value / 100 if unit == PERCENT else value
