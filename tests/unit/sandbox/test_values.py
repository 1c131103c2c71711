"""Plain data keeps its exact types over the wall; nothing else passes, and no text harms the reader."""

from __future__ import annotations

import json
import math
from collections import Counter, OrderedDict, defaultdict
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from typing import Any

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dunwu.sandbox import values

ATOMS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.complex_numbers(allow_nan=False),
    st.text(),
    st.binary(),
)
KEYS = st.one_of(st.integers(), st.text(), st.tuples(st.integers(), st.text()), st.frozensets(st.integers()))
PLAIN = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner), st.lists(inner).map(tuple), st.dictionaries(KEYS, inner), st.sets(KEYS), st.frozensets(KEYS)
    ),
    max_leaves=20,
)


def shape(value: Any) -> Any:
    """The value with all its types, so that 1, 1.0 and True differ."""
    if isinstance(value, dict):
        return dict, [(shape(key), shape(item)) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return type(value), [shape(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return type(value), sorted(map(repr, map(shape, value)))
    return type(value), repr(value)


@settings(deadline=None)
@given(PLAIN)
def test_plain_values_come_back_as_they_were(value: Any) -> None:
    text = values.dumps(value)
    assert text.isascii()
    assert "\n" not in text
    assert shape(values.loads(text)) == shape(value)


def test_numbers_without_a_json_form() -> None:
    assert math.isnan(values.loads(values.dumps(math.nan)))
    assert values.loads(values.dumps([math.inf, -math.inf])) == [math.inf, -math.inf]
    assert values.loads(values.dumps(10**10_000)) == 10**10_000
    assert values.loads(values.dumps(-(7**6_000))) == -(7**6_000)
    assert math.copysign(1.0, values.loads(values.dumps(-0.0))) == -1.0
    assert values.loads(values.dumps("\ud800\0")) == "\ud800\0"


class Colour(IntEnum):
    """An int, but not exactly."""

    RED = 1


class Sly(int):
    """Equals everything."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


@pytest.mark.parametrize("value", [object(), len, [object()], {1: len}, iter([len]), range(3), Colour])
def test_only_plain_data_passes(value: Any) -> None:
    with pytest.raises(values.NotPlain, match="a value of type"):
        values.dumps(value)


def test_an_iterator_is_one_again_and_has_an_end() -> None:
    read = values.loads(values.dumps(x * 2 for x in range(3)))
    assert (repr(read), list(read), list(read), read == [0, 2, 4]) == ("<iterator>", [0, 2, 4], [], False)
    with pytest.raises(values.NotPlain, match="more than 100000 members"):
        values.dumps(iter(int, 1))


class Items(dict[str, int]):
    """Says that it holds something else."""

    def items(self) -> Any:
        return [("b", 2)]


class Words(list[int]):
    """The same."""

    def __iter__(self) -> Any:
        return iter([5])


@pytest.mark.parametrize(
    ("value", "held"),
    [
        (Sly(1), 1),
        (Colour.RED, 1),
        ([Sly(1)], [1]),
        ({Sly(1): Sly(2)}, {1: 2}),
        (Counter("aa"), {"a": 2}),
        (OrderedDict(a=1), {"a": 1}),
        (defaultdict(int, a=1), {"a": 1}),
        (Items(a=1), {"a": 1}),
        (Words([1]), [1]),
        (Fraction(1, 3), Fraction(1, 3)),
        (Decimal("1.50"), Decimal("1.50")),
        (numpy.int8(3), 3),
        (numpy.float32(0.5), 0.5),
        (numpy.complex128(1j), 1j),
        (numpy.bool_(True), True),
        (numpy.str_("a"), "a"),
    ],
)
def test_a_subclass_is_what_its_base_holds(value: Any, held: Any) -> None:
    assert shape(values.loads(values.dumps(value))) == shape(held)


def test_what_shares_its_hashes_by_nature_passes() -> None:
    grid = {(x, y, z) for x in range(-20, 20) for y in range(-20, 20) for z in range(-20, 20)}
    for value in (grid, frozenset(grid), dict.fromkeys(grid, 1), set(range(10**5)), {0.5 * n for n in range(10**5)}):
        assert values.loads(values.dumps(value)) == value


def test_depth_is_bounded_both_ways() -> None:
    nested: Any = 1
    for _ in range(values.DEEPEST + 1):
        nested = [nested]
    with pytest.raises(values.NotPlain, match="deeper"):
        values.dumps(nested)
    cyclic: list[Any] = []
    cyclic.append(cyclic)
    with pytest.raises(values.NotPlain, match="deeper"):
        values.dumps(cyclic)
    with pytest.raises(values.NotPlain, match="deeper"):
        values.loads("[" * 200 + "]" * 200)
    with pytest.raises(values.NotPlain):
        values.loads("[" * 100_000)


# One a word, for they are many.
HOSTILE = """ { {} {"q":1} {"d":1} {"d":[[1]]} {"d":[[[],1]]} {"s":[[]]} {"i":"x"} {"i":1} {"f":[]} {"b":"0"} {"c":[1]}
    {"c":["1+2j",1]} {"t":5} {"t":{"a":1}} {"d":[],"s":[]} ] nul
    {"q":"1e3"} {"q":"1/0"} {"q":1} {"m":"x"} {"m":"sNaN"} {"m":"Infinity"}
    """.split()  # noqa: SIM905


@pytest.mark.parametrize("text", ["", "1" * 5000, json.dumps({"m": "1" * 5000}), *HOSTILE])
def test_hostile_texts_are_no_values(text: str) -> None:
    with pytest.raises(values.NotPlain):
        values.loads(text)


@settings(deadline=None)
@given(
    st.recursive(
        ATOMS.filter(lambda v: isinstance(v, (str, int, type(None)))),
        lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.sampled_from("tszidfcbaqm"), inner, max_size=2)),
    )
)
def test_no_json_text_does_worse_than_not_plain(data: Any) -> None:
    try:
        value = values.loads(json.dumps(data))
    except values.NotPlain:
        return
    assert shape(values.loads(values.dumps(value))) == shape(value)
