"""Tests of programs as data sets write them, brought to the shapes of ``dunwu.verifiers.code``.

- HumanEval: ``prompt``, ``test`` (a function ``check`` that takes the candidate), ``entry_point``.
- LiveCodeBench: ``input``, ``output`` and ``testtype``: ``stdin``, or ``functional`` with an argument a line in JSON
  and the name of the function in the row's metadata, which is empty for whole programs.
- our own shapes, as they are.
"""

from __future__ import annotations

import json
import symtable
import warnings
from collections.abc import Mapping
from typing import Any

SHAPES = (("stdin", "stdout"), ("call", "args", "result"), ("test", "entry", "candidate"))
TEXTS = ("stdin", "stdout", "call", "test", "entry", "candidate", "prelude")
NAMES = ("call", "entry", "candidate")


class NotATestError(ValueError):
    """The message says what is wrong."""


def humaneval(row: Mapping[str, Any]) -> str:
    """The one test of a row of HumanEval. Raises NotATestError."""
    prompt, test, name = (_text(row, column) for column in ("prompt", "test", "entry_point"))
    return _checked({"test": f"{prompt}\n{test}", "entry": "check", "candidate": name, "prelude": prompt})


def read_test(value: Any, entry: str | None = None) -> str:
    """One test, an object or its JSON, of any of the forms above; ``entry`` names the function where the test does not.

    Raises:
        NotATestError: it is of none of them.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise NotATestError(f"{value!r:.40} is no JSON") from None
    if not isinstance(value, dict):
        raise NotATestError(f"{value!r:.40} is no object")
    value = _stated(value)
    if "testtype" not in value:
        return _checked({"call": entry, **value} if entry and "result" in value else value)
    stdin, stdout = _text(value, "input"), _text(value, "output")
    if value["testtype"] != "functional":
        return _checked({"stdin": stdin, "stdout": stdout})
    if entry is None:
        raise NotATestError("is functional and has no function: name its column as entry (LiveCodeBench: metadata)")
    try:
        args, result = [json.loads(line) for line in stdin.split("\n") if line.strip()], json.loads(stdout)
    except (ValueError, RecursionError):
        raise NotATestError("a functional test's input or output is no JSON") from None
    return _checked({"call": entry, "args": args, "result": result})


def _stated(test: Mapping[str, Any]) -> dict[str, Any]:
    """A test without what is null: tables give each test the fields of all others. The result of a call may be None."""
    return {name: value for name, value in test.items() if value is not None or _is_result(name, test)}


def _is_result(name: str, test: Mapping[str, Any]) -> bool:
    return name == "result" and test.get("args") is not None


def function_name(text: str) -> str | None:
    """The name in a column that holds it, or in LiveCodeBench's metadata, where it is a method of ``Solution``.

    None where there is none: the program is a whole one.
    """
    try:
        metadata = json.loads(text)
    except (ValueError, RecursionError):
        return text.strip() or None
    if not isinstance(metadata, dict):
        return text
    name = metadata.get("func_name")
    return f"Solution.{name}" if name else None


def _checked(found: Mapping[str, Any]) -> str:
    for shape in SHAPES:
        if found.keys() - {"prelude"} == set(shape):
            break
    else:
        known = "; or ".join(", ".join(shape) for shape in SHAPES)
        raise NotATestError(f"has the fields {', '.join(map(str, found)) or 'none'}; a test has {known}")
    for name in TEXTS:
        if name in found and not isinstance(found[name], str):
            raise NotATestError(f"{name!r} is {type(found[name]).__name__}, not text")
    for name in NAMES:
        if name in found and not all(part.isidentifier() for part in found[name].split(".")):
            raise NotATestError(f"{name!r} is {found[name]!r:.40}, not the name of a function")
    if not isinstance(found.get("args", []), list):
        raise NotATestError("'args' is no list")
    if "test" in found:
        _check_source(found["test"], found["entry"])
    return json.dumps(found)


def _check_source(source: str, entry: str) -> None:
    """A test source compiles and defines its entry; it is not run. Whatever fails here would fail every answer."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a data set's style is its own
            compile(source, "test", "exec")
            table = symtable.symtable(source, "test", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise NotATestError(f"its source is no Python: {str(error) or 'nested too deep'}") from None
    if entry not in table.get_identifiers() or not table.lookup(entry).is_assigned():
        raise NotATestError(f"its source defines no {entry!r}")


def _text(row: Mapping[str, Any], name: str) -> str:
    if not isinstance(row.get(name), str):
        raise NotATestError(f"{name!r} is missing or no text")
    return str(row[name])
