"""Grammars as llguidance reads them, and what it says of them as people read it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from llguidance import LLMatcher

from dunwu.errors import UserError
from dunwu.serve.records import Format
from dunwu.serve.schema_checks import check_length, prepare_schema

if TYPE_CHECKING:  # of the library's stubs alone
    from llguidance._lib import JsonCompileOptions

ASSERTIONS: Final = {"Start": "an anchor ^ inside", "End": "an anchor $ inside", "Word": "a word boundary"}
"""What no grammar holds in a pattern, by how the library's names for it begin."""


def write_grammar(form: Format) -> str:
    """Write the grammar of a form.

    Args:
        form: of answers; none of calls, which have theirs.

    Returns:
        What ``LLMatcher`` takes.

    Raises:
        UserError: it is none, or too long; the message says why.
    """
    value = prepare_schema(form.value, form.field) if form.kind == "json_schema" else form.value
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        text.encode()
    except UnicodeEncodeError:
        raise UserError("it is no valid Unicode: a lone surrogate", field=form.field) from None
    except ValueError:
        raise UserError("it has a number that JSON has not: NaN or an infinite one", field=form.field) from None
    if form.kind != "json_schema":
        check_length(text, form.field)
    if form.kind == "regex":
        if (len(value) - len(value.rstrip("\\"))) % 2:
            raise UserError("the pattern ends in a backslash that escapes nothing", field=form.field)
        return str(LLMatcher.grammar_from_regex(value))
    if form.kind == "choice":
        if not value:
            raise UserError("there is nothing to choose from", field=form.field)
        return str(LLMatcher.grammar_from_lark("start: " + " | ".join(quote(choice) for choice in value)))
    # Blanks between parts would let a small model write them for ever.
    options: JsonCompileOptions = {"whitespace_flexible": False}
    try:
        return str(LLMatcher.grammar_from_json_schema(text, defaults=options))
    except ValueError as error:
        raise UserError(explain_error(str(error)), field=form.field) from None


def quote(text: str) -> str:
    """Write a text as grammars have it."""
    return json.dumps(text, ensure_ascii=False)


def explain_error(error: str) -> str:
    """Return what the library says in one line, without where in its own files it says so."""
    if found := re.search(r"lookarounds not supported yet; (\w+)", error):
        what = next((text for name, text in ASSERTIONS.items() if found[1].startswith(name)), found[1])
        return f"the pattern has {what}, which is not supported"
    if found := re.search(r"regex parse error:\s+(.*)\n(?:.*\n)*?\s*error: (.*)", error):
        return f"the pattern {found[1]:.60}: {found[2]}"
    kept = re.split(r"<state>| Enable '", error)[0].splitlines()
    lines = [line.strip() for line in kept if line.strip() and not line.lstrip().startswith(("<", "at "))]
    return " ".join(lines)[:300] or "it cannot be compiled"
