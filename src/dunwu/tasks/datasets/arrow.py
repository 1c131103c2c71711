"""Rows of Arrow tables (Parquet, what ``datasets`` holds) with the values that JSON lines would give.

Arrow knows types that JSON does not. ``datasets`` 5 writes a column whose values are of several types as JSON text
under the extension type ``arrow.json``, and texts that look like dates as timestamps. So what a value means is decided
by its column's type, never by its looks: a column of texts that look like JSON is one of texts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, time
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from dunwu.tasks.datasets.rows import BadRow, MalformedError, Row, parse_json

UNREADABLE = (OSError, OverflowError, pa.ArrowException, ValueError)
"""What reading a table raises: a file that is none, dates beyond Python's, nanoseconds where pandas is not there."""
Decode = Callable[[Any], Any]
EXTENSIONS: dict[str, Decode] = {"arrow.json": parse_json, "arrow.uuid": str}
"""Decoders of extension types by name; other types are read as they are stored. What other programs mark as JSON in a
Parquet file is ``arrow.json`` too."""


def iterate_rows(tables: Iterable[Any]) -> Iterator[Row | BadRow]:
    """Yield the rows of tables (``RecordBatch`` or ``Table``) that follow each other, numbered from 1.

    A row in which a column of JSON holds something else is a ``BadRow``.
    """
    number = 0
    for table in tables:
        decoders = {field.name: decode for field in table.schema if (decode := make_decoder(field.type))}
        for values in table.to_pylist():
            number += 1
            yield _decode(number, values, decoders)


def _decode(number: int, values: dict[str, Any], decoders: dict[str, Decode]) -> Row | BadRow:
    for name, decode in decoders.items():
        try:
            values[name] = _unless_null(decode, values[name])
        except MalformedError as error:
            return BadRow(number, f"{name!r} {error}")
    return Row(number, values)


def make_decoder(kind: Any) -> Decode | None:
    """Make what turns Python's values of an Arrow type into JSON's; None where they are JSON's already."""
    if isinstance(kind, pa.BaseExtensionType):
        return EXTENSIONS.get(kind.extension_name)
    if pa.types.is_timestamp(kind):
        return _format_timestamp
    if pa.types.is_date(kind) or pa.types.is_time(kind):
        return _format_iso
    if pa.types.is_decimal(kind):
        return _convert_decimal
    if pa.types.is_float32(kind):
        return lambda value: _round_to_width(np.float32(value))
    if pa.types.is_float16(kind):
        return lambda value: _round_to_width(np.float16(value))
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return make_decoder(kind.value_type)
    if pa.types.is_struct(kind):
        return _decode_struct({field.name: decode for field in kind if (decode := make_decoder(field.type))})
    if pa.types.is_nested(kind) and hasattr(kind, "value_type") and not pa.types.is_map(kind):
        return _decode_list(make_decoder(kind.value_type))
    return None


def _decode_struct(decoders: dict[str, Decode]) -> Decode | None:
    if not decoders:
        return None

    def decode(values: dict[str, Any]) -> dict[str, Any]:
        found = {name: _unless_null(decode, values[name]) for name, decode in decoders.items()}
        return {**values, **found}

    return decode


def _decode_list(decode: Decode | None) -> Decode | None:
    return decode and (lambda values: [_unless_null(decode, value) for value in values])


def _unless_null(decode: Decode, value: Any) -> Any:
    return None if value is None else decode(value)


def _format_timestamp(value: datetime) -> str:
    """Format a time stamp; at midnight it is a date, since what was inferred from dates has no other form."""
    return value.date().isoformat() if value.timetz() == time(0) else value.isoformat()


def _format_iso(value: Any) -> str:
    return str(value.isoformat())


def _round_to_width(value: np.floating[Any]) -> float:
    """Return the shortest decimal of this width: 3.14 was written, not 3.140000104904175."""
    return float(str(value))


def _convert_decimal(value: Decimal) -> int | str:
    """Return whole numbers as such, others as they are written, since a float may not hold them."""
    return int(value) if value == value.to_integral_value() else str(value)
