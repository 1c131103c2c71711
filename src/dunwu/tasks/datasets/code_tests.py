"""Tests of programs as data sets write them, in the shapes of ``dunwu.verifiers.code``.

- HumanEval, HumanEval+: ``prompt``, ``test`` (a function ``check`` that takes the candidate), ``entry_point``.
- MBPP, MBPP+: ``code``, and ``test_list`` (assertions, after ``test_setup_code`` or ``test_imports``) or ``test``
  (a program); the function that they call is the one of theirs that ``code`` defines.
- LiveCodeBench: ``input``, ``output`` and ``testtype``: ``stdin``, or ``functional`` with an argument a line in JSON
  and the name of the function in the row's metadata, which is empty for whole programs.
- our own shapes, as they are.
"""

from __future__ import annotations

import ast
import builtins
import json
import symtable
import sys
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from dunwu.sandbox.filesystem import PACKAGES

SHAPES = (("stdin", "stdout"), ("call", "args", "result"), ("test", "entry", "candidate"))
TEXTS = ("stdin", "stdout", "call", "test", "entry", "candidate", "prelude")
NAMES = ("call", "entry", "candidate")
RULES = ("livecodebench",)
"""Graders whose rules a test may want."""


class NotATestError(ValueError):
    """A test is none; the message says why."""


def make_humaneval_test(row: Mapping[str, Any]) -> str:
    """Make the one test of a row of HumanEval.

    Raises:
        NotATestError: A column is missing or malformed.
    """
    prompt, test, name = (_get_text(row, column) for column in ("prompt", "test", "entry_point"))
    return _check({"test": f"{prompt}\n{test}", "entry": "check", "candidate": name, "prelude": prompt})


def make_mbpp_test(row: Mapping[str, Any]) -> str:
    """Make the one test of a row of MBPP, of its sanitized form, or of MBPP+.

    Raises:
        NotATestError: A column is missing or malformed, or the tests call more than one function of the solution.
    """
    solution = _parse(_get_text(row, "code"), "code")
    if isinstance(row.get("test"), str):
        source = str(row["test"])
    else:
        # Tests may count on what the solution imports.
        imports = [ast.unparse(node) for node in solution.body if isinstance(node, ast.Import | ast.ImportFrom)]
        setup = [*_get_lines(row, "test_imports"), str(row.get("test_setup_code") or "")]
        source = "\n".join([*imports, *setup, *_get_lines(row, "test_list")])
    called = _find_free_names(_parse(source, "test_list"))
    defined = {node.name for node in solution.body if isinstance(node, ast.FunctionDef)}
    if len(called) != 1 or not called <= defined:
        names = ", ".join(sorted(called)) or "nothing"
        raise NotATestError(f"its tests use {names}; they can be given one function of its 'code', and nothing else")
    _check_imports(source, "its test_list")
    check = f"def check(candidate):\n    exec({source!r}, globals())"
    return _check({"test": check, "entry": "check", "candidate": called.pop()})


def read_test(value: Any, entry: str | None = None) -> str:
    """Read one test of any of the forms above.

    Args:
        value: An object, or its JSON.
        entry: The function that it calls, where the test does not name it.

    Returns:
        The test as ``dunwu.verifiers.code`` takes it, as JSON.

    Raises:
        NotATestError: It has none of the forms.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise NotATestError(f"{value!r:.40} is no JSON") from None
    if not isinstance(value, dict):
        raise NotATestError(f"{value!r:.40} is no object")
    value = _drop_nulls(value)
    if "testtype" not in value:
        return _check({"call": entry, **value} if entry and "result" in value else value)
    stdin, stdout = _get_text(value, "input"), _get_text(value, "output")
    if value["testtype"] != "functional":
        return _check({"stdin": stdin, "stdout": stdout, "rules": "livecodebench"})
    if entry is None:
        raise NotATestError("is functional and has no function: name its column as entry (LiveCodeBench: metadata)")
    try:
        args, result = [json.loads(line) for line in stdin.split("\n") if line.strip()], json.loads(stdout)
    except (ValueError, RecursionError):
        raise NotATestError("a functional test's input or output is no JSON") from None
    return _check({"call": entry, "args": args, "result": result, "rules": "livecodebench"})


def _drop_nulls(test: Mapping[str, Any]) -> dict[str, Any]:
    """Drop what is null: tables give each test the fields of all others. The result of a call may be None."""
    return {name: value for name, value in test.items() if value is not None or _is_result(name, test)}


def _is_result(name: str, test: Mapping[str, Any]) -> bool:
    return name == "result" and test.get("args") is not None


def find_function_name(text: str) -> str | None:
    """Find the function's name in a column that holds it, or in LiveCodeBench's metadata (a method of ``Solution``).

    Returns:
        The name; None where there is none, and the program is a whole one.
    """
    try:
        metadata = json.loads(text)
    except (ValueError, RecursionError):
        return text.strip() or None
    if not isinstance(metadata, dict):
        return text
    name = metadata.get("func_name")
    return f"Solution.{name}" if name else None


def _check(found: Mapping[str, Any]) -> str:
    for shape in SHAPES:
        if found.keys() - {"prelude", "rules"} == set(shape):
            break
    else:
        known = "; or ".join(", ".join(shape) for shape in SHAPES)
        raise NotATestError(f"has the fields {', '.join(map(str, found)) or 'none'}; a test has {known}")
    for name in TEXTS:
        if name in found and not isinstance(found[name], str):
            raise NotATestError(f"{name!r} is {type(found[name]).__name__}, not text")
    if found.get("rules", RULES[0]) not in RULES:
        raise NotATestError(f"'rules' is {found['rules']!r:.40}, none of {', '.join(RULES)}")
    for name in NAMES:
        if name in found and not all(part.isidentifier() for part in found[name].split(".")):
            raise NotATestError(f"{name!r} is {found[name]!r:.40}, not the name of a function")
    if not isinstance(found.get("args", []), list):
        raise NotATestError("'args' is no list")
    if "test" in found:
        _check_source(found["test"], found["entry"])
        _check_imports(found["test"], "its source")
    if "prelude" in found:
        _check_imports(found["prelude"], "its prelude")
    return json.dumps(found)


def _check_source(source: str, entry: str) -> None:
    """Refuse a source that does not compile or define its entry; it is not run. What fails here fails every answer."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a data set's style is its own
            compile(source, "test", "exec")
            table = symtable.symtable(source, "test", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise NotATestError(f"its source is no Python: {str(error) or 'nested too deep'}") from None
    if entry not in table.get_identifiers() or not table.lookup(entry).is_assigned():
        raise NotATestError(f"its source defines no {entry!r}")


def _check_imports(source: str, what: str) -> None:
    """Refuse imports that programs do not find: they would fail with every answer.

    A source that is none by itself, as the head of a function may be, is passed over; so are imports whose failure is
    handled.
    """
    try:
        tree = _parse(source, what)
    except NotATestError:
        return
    for module in _iterate_imports(tree):
        if module not in sys.stdlib_module_names and module not in PACKAGES:
            known = f"the standard library and {', '.join(PACKAGES)}"
            raise NotATestError(f"{what} imports {module!r}, which programs do not find: they find {known}")


def _iterate_imports(tree: ast.Module) -> Iterator[str]:
    """Yield the outermost packages that a source imports, but for what is tried with a handler."""
    nodes: list[ast.AST] = [tree]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield str(node.module).partition(".")[0]
        tried = node.body if isinstance(node, ast.Try) and node.handlers else []
        nodes.extend(child for child in ast.iter_child_nodes(node) if child not in tried)


def _find_free_names(tree: ast.Module) -> set[str]:
    """Return the names that a source uses, and neither binds nor finds among the builtins."""
    used, bound = set[str](), set(dir(builtins))
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.alias):
            bound.add(node.asname or node.name.partition(".")[0])
        elif isinstance(node, ast.ExceptHandler) and node.name:
            bound.add(node.name)
    return used - bound


def _parse(source: str, what: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a data set's style is its own
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise NotATestError(f"{what} is no Python: {str(error) or 'nested too deep'}") from None


def _get_lines(row: Mapping[str, Any], name: str) -> list[str]:
    """Return a column of lines of source, which may be written as JSON, or missing."""
    found = row.get(name) or []
    if isinstance(found, str):
        try:
            found = json.loads(found)
        except (ValueError, RecursionError):
            found = [found]
    if not isinstance(found, list) or not all(isinstance(line, str) for line in found):
        raise NotATestError(f"{name!r} is no list of lines")
    return found


def _get_text(row: Mapping[str, Any], name: str) -> str:
    if not isinstance(row.get(name), str):
        raise NotATestError(f"{name!r} is missing or no text")
    return str(row[name])
