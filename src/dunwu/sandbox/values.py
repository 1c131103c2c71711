"""Plain Python values as JSON.

Both ends use this: what leaves the sandbox is data, never code. A value of a subclass (Counter, OrderedDict, a list of
one's own, IntEnum) is written as what its base class holds, and a number of another kind (numpy's) as int, Fraction or
float. So an ``__eq__`` that lies stays inside: what is read outside has exact types.

    None, bool, str, float, list    themselves        int of over 4,000 digits   {"i": hex}
    nan, inf, -inf                  {"f": name}       complex                    {"c": [re, im]}
    tuple, set, frozenset           {"t"|"s"|"z": [...]}                         bytes, bytearray  {"b"|"a": hex}
    dict                            {"d": [[key, value], ...]}                   Fraction, Decimal {"q"|"m": text}
    iterator                        {"g": [...]}

What wraps a list, dict or text (``UserList``, a read-only mapping) is written as that. An iterator, such as a
generator, is read as one over the same members, so it equals no list.
"""

from __future__ import annotations

import json
import math
import numbers
import operator
import re
from collections import Counter, UserDict, UserList, UserString
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from itertools import islice
from types import MappingProxyType
from typing import Any

DEEPEST = 100
LONG_INTEGER = 1 << 13_000
"""Python refuses to read or write decimal integers of more than 4,300 digits."""
LONGEST_TEXT = 4000
"""Characters of a Fraction or Decimal: to reduce a fraction takes the square of its length."""
MOST_MEMBERS = 100_000
"""Members of an iterator, which may have no end."""
COLLISIONS = 1000
"""Pairs of members with one hash that any set or dict may have; see ``_check_hashes``."""
SEQUENCES: dict[type, str] = {tuple: "t", set: "s", frozenset: "z"}
FRACTION = re.compile(r"-?\d+(?:/\d+)?", re.ASCII)
MAKERS = {"t": tuple, "s": set, "z": frozenset}
WRAPPERS: dict[type, type] = {UserList: list, UserDict: dict, MappingProxyType: dict, UserString: str}
BASES = (bool, int, float, complex, str, bytes, bytearray, list, *SEQUENCES, dict, Fraction, Decimal)


class NotPlain(ValueError):  # noqa: N818  -- a finding about a program's value
    """A value that is not plain data, or lies too deep; the message says what it is."""


class IteratorMembers(Iterator[Any]):
    """What an iterator gave, to be gone through once; written the same wherever it lies."""

    def __init__(self, members: list[Any]) -> None:
        self._members = iter(members)

    def __next__(self) -> Any:
        return next(self._members)

    def __repr__(self) -> str:
        return "<iterator>"


def dumps(value: Any) -> str:
    """Write a value as ASCII JSON.

    Raises:
        NotPlain: It is no plain data, or lies too deep.
    """
    return json.dumps(_write(value, 0))


def loads(text: str) -> Any:
    """Read what ``dumps`` wrote, in time linear in its length, however hostile it is.

    Raises:
        NotPlain: It is any other text.
    """
    try:
        return _read(json.loads(text), 0)
    except NotPlain:
        raise
    except (ValueError, TypeError, KeyError, RecursionError, ArithmeticError, AttributeError) as error:
        raise NotPlain(f"not a value: {type(error).__name__}") from None


def _write(value: Any, depth: int) -> Any:
    if depth > DEEPEST:
        raise NotPlain(f"nested deeper than {DEEPEST}")
    if value is None:
        return None
    kind, value = _find_base(value)
    if kind is bool:
        return value
    if kind is str:
        return str.__str__(value)
    if kind is int:
        return int.__index__(value) if abs(int.__index__(value)) < LONG_INTEGER else {"i": hex(int.__index__(value))}
    if kind is float:
        number = float.__float__(value)
        return number if math.isfinite(number) else {"f": repr(number)}
    if kind is complex:
        return {"c": [_write(part, depth) for part in (value.real, value.imag)]}
    if kind in (Fraction, Decimal):
        return {"q" if kind is Fraction else "m": kind.__str__(value)}
    if kind in (bytes, bytearray):
        return {"b" if kind is bytes else "a": kind.hex(value)}
    if kind is dict:
        return {"d": [[_write(key, depth + 1), _write(item, depth + 1)] for key, item in dict.items(value)]}
    if kind is Iterator:
        return {"g": [_write(item, depth + 1) for item in _list_members(value)]}
    members = [_write(item, depth + 1) for item in kind.__iter__(value)]
    return members if kind is list else {SEQUENCES[kind]: members}


def _list_members(members: Iterator[Any]) -> list[Any]:
    found = list(islice(members, MOST_MEMBERS + 1))
    if len(found) > MOST_MEMBERS:
        raise NotPlain(f"an iterator of more than {MOST_MEMBERS} members")
    return found


def _find_base(value: Any) -> tuple[Any, Any]:
    """Find the type as which a value is written, and the value as that. Raises NotPlain."""
    kind = type(value)
    if kind in BASES:
        return kind, value
    for base in BASES:
        if issubclass(kind, base):
            return base, value
    for wrapper, base in WRAPPERS.items():
        if issubclass(kind, wrapper):
            return base, base(value)
    if issubclass(kind, Iterator):
        return Iterator, value
    if issubclass(kind, numbers.Integral):
        return int, operator.index(value)
    if issubclass(kind, numbers.Rational):
        return Fraction, Fraction(value.numerator, value.denominator)
    if issubclass(kind, numbers.Real):
        return float, float(value)
    if (kind.__module__, kind.__name__) in (("numpy", "bool"), ("numpy", "bool_")):
        return bool, bool(value)
    raise NotPlain(f"a value of type {kind.__name__}")


def _read(data: Any, depth: int) -> Any:
    if depth > DEEPEST:
        raise NotPlain(f"nested deeper than {DEEPEST}")
    if isinstance(data, list):
        return [_read(item, depth + 1) for item in data]
    if not isinstance(data, dict):
        return data
    ((tag, inner),) = data.items()
    if tag in MAKERS and isinstance(inner, list):
        members = [_read(item, depth + 1) for item in inner]
        return tuple(members) if tag == "t" else MAKERS[tag](_check_hashes(members))
    if tag == "g" and isinstance(inner, list):
        return IteratorMembers([_read(item, depth + 1) for item in inner])
    if tag == "d":
        pairs = [(_read(key, depth + 1), _read(item, depth + 1)) for key, item in inner]
        _check_hashes([key for key, _ in pairs])
        return dict(pairs)
    if tag == "i":
        return int(inner, 16)
    if tag == "f":
        return float(inner)
    if tag == "c":
        real, imaginary = (_read(part, depth) for part in inner)
        return complex(real, imaginary)
    if tag in ("q", "m"):
        return _read_exact(tag, inner)
    return {"b": bytes.fromhex, "a": bytearray.fromhex}[tag](inner)


def _check_hashes(members: list[Any]) -> list[Any]:
    """Return the members of a set or the keys of a dict, unless they were chosen to share their hashes.

    Each member is compared with every earlier one of its hash, so that those would take the square of their number.
    """
    if sum(count * count for count in Counter(map(hash, members)).values()) > COLLISIONS + 10 * len(members):
        raise NotPlain("a collection whose members share their hashes")
    return members


def _read_exact(tag: str, text: str) -> Fraction | Decimal:
    if len(text) > LONGEST_TEXT:
        raise NotPlain(f"a number of more than {LONGEST_TEXT} characters")
    if tag == "q":
        if not FRACTION.fullmatch(text):  # digits and a stroke alone
            raise NotPlain("not a fraction")
        return Fraction(text)
    number = Decimal(text)
    if not number.is_finite():  # one that signals would raise where it is compared
        raise NotPlain(f"the decimal {number}")
    return number
