"""Plain Python values as JSON, with their exact types.

Both ends use this: what leaves the sandbox is data, never code, and a class that pretends to be an int does not pass,
because only exact types are written.

    None, bool, str, float, list    themselves        int of over 4,000 digits   {"i": hex}
    nan, inf, -inf                  {"f": name}       complex                    {"c": [re, im]}
    tuple, set, frozenset           {"t"|"s"|"z": [...]}                         bytes, bytearray  {"b"|"a": hex}
    dict                            {"d": [[key, value], ...]}
"""

from __future__ import annotations

import json
import math
from typing import Any

DEEPEST = 100
LONG_INTEGER = 1 << 13_000
"""Python refuses to read or write decimal integers of more than 4,300 digits."""
SEQUENCES: dict[type, str] = {tuple: "t", set: "s", frozenset: "z"}
MAKERS = {"t": tuple, "s": set, "z": frozenset}


class NotPlain(ValueError):  # noqa: N818  -- a finding about a program's value
    """A value that is not plain data, or lies too deep; the message says what it is."""


def dumps(value: Any) -> str:
    """ASCII JSON of ``value``. Raises NotPlain."""
    return json.dumps(_written(value, 0))


def loads(text: str) -> Any:
    """What ``dumps`` was given. Raises NotPlain for any other text, however hostile."""
    try:
        return _read(json.loads(text), 0)
    except NotPlain:
        raise
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError, AttributeError) as error:
        raise NotPlain(f"not a value: {type(error).__name__}") from None


def _written(value: Any, depth: int) -> Any:
    if depth > DEEPEST:
        raise NotPlain(f"nested deeper than {DEEPEST}")
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return value
    if kind is int:
        return value if abs(value) < LONG_INTEGER else {"i": hex(value)}
    if kind is float:
        return value if math.isfinite(value) else {"f": repr(value)}
    if kind is complex:
        return {"c": [_written(value.real, depth), _written(value.imag, depth)]}
    if kind is bytes or kind is bytearray:
        return {"b" if kind is bytes else "a": value.hex()}
    if kind is list:
        return [_written(item, depth + 1) for item in value]
    if kind in SEQUENCES:
        return {SEQUENCES[kind]: [_written(item, depth + 1) for item in value]}
    if kind is dict:
        return {"d": [[_written(key, depth + 1), _written(item, depth + 1)] for key, item in value.items()]}
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
        return MAKERS[tag](_read(item, depth + 1) for item in inner)
    if tag == "d":
        return {_read(key, depth + 1): _read(item, depth + 1) for key, item in inner}
    if tag == "i":
        return int(inner, 16)
    if tag == "f":
        return float(inner)
    if tag == "c":
        real, imaginary = (_read(part, depth) for part in inner)
        return complex(real, imaginary)
    return {"b": bytes.fromhex, "a": bytearray.fromhex}[tag](inner)
