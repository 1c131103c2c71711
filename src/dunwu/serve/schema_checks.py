"""What a JSON schema is refused for, or loses, before a grammar is made of it.

The library that compiles it takes no notice of recursion without an end: a node that must have a node has no finite
value, and a model would write until its tokens end. Such parts become ``false`` here, so that others can be chosen;
``schema_recursion`` finds them. Nor does it know in which years there is a 29th of February: dates get a pattern, too.
"""

from __future__ import annotations

import json
import math
from typing import Any, Final

from dunwu.errors import UserError
from dunwu.serve.records import FIELDS
from dunwu.serve.schema_parts import Parts, find_reference
from dunwu.serve.schema_recursion import find_endless

LONGEST: Final = 1 << 18
"""Characters of a schema, a pattern or a grammar; compiling takes time in proportion."""
DEEPEST: Final = 100
"""Levels of objects and lists in a schema."""
LARGEST_MULTIPLE: Final = 20_000
"""Of what all ``multipleOf`` in a schema divide: compiling takes time in proportion."""
MOST_PARTS: Final = 3000
"""Parts of a schema: compiling takes more than time in proportion."""
SETTINGS: Final = "x-guidance"
"""Where a schema could change how the library compiles it."""
YEAR: Final = "(?:[1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"
LEAP_YEAR: Final = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
DATE: Final = f"^(?:{YEAR}-(?:(?:0[13-9]|1[0-2])-|02-(?:[01][0-9]|2[0-8]))|{LEAP_YEAR}-02-29)"
"""How a date begins, beside what the library holds the formats to."""
DATES: Final = ("date", "date-time")


def prepare_schema(schema: Any, field: str = FIELDS["json_schema"]) -> Any:
    """Return a schema without the parts that have no finite value, and with days that there are.

    Args:
        schema: as it came.
        field: of the body in which it stands.

    Returns:
        A copy without settings of the library. One that nothing satisfies though it refers to nothing is left to the
        library, which knows why.

    Raises:
        UserError: it is too long, nested too deep, its multiples are too large, its parts refer to each other in too
            many ways, or no finite answer satisfies it.
    """
    _check_depth(schema, field)
    check_length(json.dumps(schema, ensure_ascii=False), field)
    if isinstance(schema, dict):
        schema = {key: value for key, value in schema.items() if key != SETTINGS}
    schema = _replace(schema, set())
    parts = Parts(schema)
    if len(parts.all) > MOST_PARTS:
        raise UserError(f"it has {len(parts.all):,} parts, more than {MOST_PARTS:,}", field=field)
    if math.lcm(*parts.multiples) > LARGEST_MULTIPLE:
        raise UserError(f"its multipleOf are too large: together beyond {LARGEST_MULTIPLE:,}", field=field)
    try:
        endless = find_endless(parts) if any(map(find_reference, parts.all)) else set()  # most refer to nothing
    except UserError as error:
        raise UserError(error.message, field=field) from None
    if id(schema) not in endless:
        for part in parts.all:
            _name_days(part)
        return _replace(schema, endless)
    through = next((name for part in parts.all if id(part) in endless and (name := find_reference(part))), None)
    if through is None:
        return schema
    text = f"no finite answer satisfies it: what $ref {through!r:.80} needs would have to hold itself, or is false"
    raise UserError(text, field=field)


def check_length(text: str, field: str) -> None:
    """Check how long a schema, a pattern or a grammar is.

    Args:
        text: the whole of it.
        field: of the request that asks for it.

    Raises:
        UserError: it is too long.
    """
    if len(text) > LONGEST:
        raise UserError(f"it has {len(text):,} characters, more than {LONGEST:,}", field=field)


def _name_days(part: dict[str, Any]) -> None:
    """Hold the dates of a part to days that there are."""
    if part.get("format") not in DATES:
        return
    if "pattern" not in part:
        part["pattern"] = DATE
    elif isinstance(others := part.setdefault("allOf", []), list):
        others.append({"pattern": DATE})


def _check_depth(value: Any, field: str) -> None:
    level = [value]
    for _ in range(DEEPEST):
        inner = (one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list))
        level = [one for some in inner for one in some]
        if not level:
            return
    raise UserError(f"it is nested more than {DEEPEST} deep", field=field)


def _replace(value: Any, endless: set[int]) -> Any:
    """Copy a schema with ``false`` in the place of parts."""
    if id(value) in endless:
        return False
    if isinstance(value, dict):
        return {key: _replace(one, endless) for key, one in value.items()}
    return [_replace(one, endless) for one in value] if isinstance(value, list) else value
