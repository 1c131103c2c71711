"""Calls of functions as Qwen's models write them (the format of Hermes), one after another behind the answer's text.

    <tool_call>
    {"name": "find_weather", "arguments": {"city": "Bonn"}}
    </tool_call>

White space is free, arguments may be left out where there are none, and the closing tag may be missing at the end of a
reply. No other form is read. What is no JSON of this shape, or names a function that nobody offered, stays text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

from llguidance import LLMatcher

from dunwu.errors import UserError
from dunwu.serve.records import ChatRequest, Format
from dunwu.serve.schema_checks import prepare_schema
from dunwu.verifiers.format import TAGS

OPEN: Final = "<tool_call>"
CLOSE: Final = "</tool_call>"
CALL_TAGS: Final = (OPEN, CLOSE)
BORDERS: Final = re.compile(rf'\\.|["\n]|{CLOSE}')
"""What decides whether a tag stands in a text of JSON; such a text has no line break."""
CLOSE_SPELLING: Final = {"whitespace_flexible": False}
"""JSON without blanks, as all answers under a schema have it."""
SPELLING: Final = {**CLOSE_SPELLING, "item_separator": ", ", "key_separator": ": "}
"""JSON as templates write calls, so that models know it."""
NOTHING: Final = {"properties": {}, "additionalProperties": False}
"""The schema of a function that says nothing of arguments."""


class Called(NamedTuple):
    """A function's name, and its arguments as JSON."""

    name: str
    arguments: str


class CallGrammar(NamedTuple):
    """A grammar as llguidance takes it, and what calls begin with: one may be longer than another by any number."""

    grammar: str
    heads: tuple[str, ...]


class CallEnd:
    """Finds where a call ends that is written piece by piece: at the closing tag, but for one in a text of its JSON."""

    def __init__(self) -> None:
        self._looked_at, self._in_text = 0, False

    def find(self, written: str) -> int | None:
        """Return where the closing tag begins; None where it has not come.

        Args:
            written: everything behind the opening tag so far.
        """
        for mark in BORDERS.finditer(written, self._looked_at):
            if mark[0] == CLOSE and not self._in_text:
                return mark.start()
            if mark[0] in '"\n':
                self._in_text = mark[0] == '"' and not self._in_text
            self._looked_at = mark.end()
        self._looked_at = max(self._looked_at, len(written) - len(CLOSE) + 1)
        return None


def read_call(text: str, functions: Collection[str]) -> Called | None:
    """Read what stands between the tags.

    Args:
        text: JSON, if it is a call.
        functions: names of those that may be called.

    Returns:
        The call; None where it is none of these functions, or no JSON: infinite numbers are none.
    """
    try:
        found = json.loads(text)
        if not isinstance(found, dict) or found.get("name") not in functions:
            return None
        arguments = found.get("arguments", {})
        written = json.dumps(arguments, ensure_ascii=False, allow_nan=False)
        written.encode()
    except (ValueError, TypeError, RecursionError):  # lone surrogates, infinite numbers and unhashable names among them
        return None
    return Called(found["name"], written) if isinstance(arguments, dict) else None


def drop_tags(text: str) -> str:
    """Return a text without tags of reasoning, answers and calls."""
    return re.sub("|".join((*TAGS, *CALL_TAGS)), "", text)


def list_functions(tools: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the schemas of arguments, objects all of them, by the names of their functions.

    Args:
        tools: as OpenAI writes them.
    """
    functions = [tool["function"] for tool in tools]
    return {one["name"]: {"type": "object", **(one.get("parameters") or NOTHING)} for one in functions}


def name_field(number: int) -> str:
    """Return the field of a request in which the arguments of a function have their schema.

    Args:
        number: of the function among the tools.
    """
    return f"tools.{number}.function.parameters"


def write_form(request: ChatRequest, special: Collection[str]) -> Format | None:
    """Return the form of a request's answer: that of calls where one has to come, or may come in place of a schema.

    Args:
        request: whose tools are calls' functions.
        special: which of ``CALL_TAGS`` a grammar has to name as tokens, see ``Grammars.find_special``.

    Returns:
        The form; None where the answer is free.

    Raises:
        UserError: the answer has a form that leaves no room for calls, or no finite answer satisfies a schema.
    """
    form = request.format
    if not request.tools or (form is None and not request.must_call):
        return form
    if form is not None and not request.must_call and form.kind != "json_schema":
        raise UserError("this form leaves no room for calls: leave out tools", field=form.field)
    functions = list_functions(request.tools)
    wanted = {n: name for n, name in enumerate(functions) if not request.must_call or name in request.must_call}
    opened, closed = (tag if tag in special else json.dumps(tag) for tag in CALL_TAGS)
    lines = [
        f'call: {opened} "\\n" ({" | ".join(f"call{number}" for number in wanted)}) "\\n" {closed}',
        "calls: call" if request.one_call else 'calls: call ("\\n" call)*',
    ]
    for number, name in wanted.items():
        schema = _write_schema(functions[name], SPELLING, name_field(number))
        lines.append(f'call{number}: {json.dumps(_write_head(name))} arguments{number} "}}"')
        lines.append(f"arguments{number}: %json {schema}")
    if form is not None and not request.must_call:
        lines += ["start: calls | answer", f"answer: %json {_write_schema(form.value, CLOSE_SPELLING, form.field)}"]
    else:
        lines.append("start: calls")
    grammar = str(LLMatcher.grammar_from_lark("\n".join(lines)))
    heads = tuple(f"{OPEN}\n{_write_head(name)}" for name in wanted.values())
    return Format(kind="calls", value=CallGrammar(grammar, heads))


def _write_head(name: str) -> str:
    return f'{{"name": {json.dumps(name)}, "arguments": '


def _write_schema(schema: Mapping[str, Any], spelling: Mapping[str, Any], field: str) -> str:
    return json.dumps({**prepare_schema(schema, field), "x-guidance": spelling}, ensure_ascii=False)
