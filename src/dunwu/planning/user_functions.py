"""Whether a file of the user's defines what a recipe names, read off its source: nothing is run."""

from __future__ import annotations

import ast
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from dunwu.config.issues import Issue
from dunwu.config.references import Names, find_references
from dunwu.config.schema import StageSpec
from dunwu.errors import did_you_mean
from dunwu.registry import rewards
from dunwu.user_code import file_of, is_reference, source_file, split_reference

COUNTED = {1: "one argument", 2: "two arguments", 3: "three arguments", 5: "five arguments"}


def check_functions(name: str, stage: StageSpec) -> Iterator[Issue]:
    """Check what of the user's a stage names, and that the environment has the keys of its endpoints.

    A function must stand at the top level of a Python file, and take the arguments that it is called with.
    """
    inputs = stage.inputs
    for function in inputs.functions:
        place = f"stages.{name}.{function.field}"
        if function.file is not None:
            fields = f"{place}.file", f"{place}.function"
            yield from _check_function(fields, function.file, function.name, function.arguments)
        elif problem := rewards.problem_with(function.name):
            yield Issue(f"{place}.function", f"{problem}; or say a file")
        elif is_reference(function.name):
            yield from _check_reference(f"{place}.function", function.name, Names(rewards, function.arguments))
    for field, reference, names in find_references(stage, f"stages.{name}."):
        if names.arguments is not None and is_reference(reference):
            yield from _check_reference(field, reference, names)
    for place, endpoint in inputs.endpoints.items():
        variable = endpoint.key_variable
        if variable is not None and not os.environ.get(variable):
            yield Issue(f"stages.{name}.{place}.key_variable", f"the environment has no {variable}")


def _check_reference(field: str, reference: str, names: Names) -> Iterator[Issue]:
    """Check that the file of a reference is there and defines what it should; that of a module only for being there."""
    module, attribute = split_reference(reference)
    file = file_of(reference)
    if file is not None:
        yield from _check_function((field, field), file, attribute, names.arguments or ())
    elif source_file(reference) is None and module not in sys.builtin_module_names:
        yield Issue(field, f"no module is called {module!r} here; write FILE.py:NAME for a file")


def _check_function(fields: tuple[str, str], file: Path, name: str, arguments: Sequence[str]) -> Iterator[Issue]:
    """Check that a file defines a function that takes these arguments; without any, that it defines the name.

    ``fields``: where the file and the name stand.
    """
    try:
        tree = _parse(file)
    except ValueError as error:
        yield Issue(fields[0], f"{error}: {file}")
        return
    if problem := _find_problem(tree, file, name, arguments):
        yield Issue(fields[1], problem)


def _parse(file: Path) -> ast.Module:
    """Parse a Python file.

    Raises:
        ValueError: Says what is wrong with it.
    """
    try:
        if file.is_dir():
            raise ValueError("is a folder, not a Python file")
        if not file.exists():
            raise ValueError("no such file")
        if file.suffix != ".py":
            raise ValueError("is no Python file (.py)")
        content = file.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Python thinks of the user's style, it says when the file is loaded
            tree = ast.parse(content, file.name)
            compile(tree, file.name, "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"is no Python: {str(error) or 'nested too deep'}") from None
    return tree


def _find_problem(tree: ast.Module, file: Path, name: str, arguments: Sequence[str]) -> str | None:
    """Say what is wrong with a function; None also where only running the file would tell."""
    found = next((statement for statement in reversed(tree.body) if name in _list_names(statement)), None)
    if found is None and not any("*" in _list_names(statement) for statement in tree.body):
        known = [name for statement in tree.body for name in _list_names(statement)]
        return f"{file} defines no {name!r} at its top level{did_you_mean(name, known)}"
    if not arguments:
        return None
    if isinstance(found, ast.AsyncFunctionDef):
        return f"{name!r} of {file} is async; a plain function is wanted"
    if isinstance(found, ast.ClassDef):
        return f"{name!r} of {file} is a class, not a function"
    if isinstance(found, ast.FunctionDef) and not found.decorator_list and not _takes(found.args, len(arguments)):
        listed = " and ".join(filter(None, (", ".join(arguments[:-1]), arguments[-1])))
        return f"{name!r} of {file} cannot be called with {COUNTED[len(arguments)]}, {listed}"
    return None


def _list_names(statement: ast.stmt) -> set[str]:
    """List the names that a statement of the top level binds, and a few more: those in its comprehensions."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    names: set[str] = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.alias):
            names.add(node.asname or node.name.partition(".")[0])
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def _takes(arguments: ast.arguments, given: int) -> bool:
    positional = [*arguments.posonlyargs, *arguments.args]
    needed = len(positional) - len(arguments.defaults)
    enough = len(positional) >= given or arguments.vararg is not None
    return needed <= given and enough and all(default is not None for default in arguments.kw_defaults)
