"""Whether a file of the user's defines the function that a recipe names, read off its source: nothing is run."""

from __future__ import annotations

import ast
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from dunwu.config.issues import Issue
from dunwu.config.schema import StageSpec
from dunwu.errors import did_you_mean
from dunwu.registry import rewards

COUNTED = {2: "two", 3: "three"}


def check_functions(name: str, stage: StageSpec) -> Iterator[Issue]:
    """Check the functions that a stage names, and that the environment has the keys of its endpoints.

    Each must stand at the top level of a Python file, and take so many arguments.
    """
    inputs = stage.inputs
    for function in inputs.functions:
        place = f"stages.{name}.{function.field}"
        if function.file is not None:
            yield from _check_function(place, function.file, function.name, function.arguments)
        elif problem := rewards.problem_with(function.name):
            yield Issue(f"{place}.function", f"{problem}; or say a file")
    for place, endpoint in inputs.endpoints.items():
        variable = endpoint.key_variable
        if variable is not None and not os.environ.get(variable):
            yield Issue(f"stages.{name}.{place}.key_variable", f"the environment has no {variable}")


def _check_function(place: str, file: Path, function: str, given: Sequence[str]) -> Iterator[Issue]:
    try:
        tree = _parsed(file)
    except ValueError as error:
        yield Issue(f"{place}.file", f"{error}: {file}")
        return
    if wrong := _wrong(tree, file, function, given):
        yield Issue(f"{place}.function", wrong)


def _parsed(file: Path) -> ast.Module:
    """Raises ValueError with what is wrong with the file."""
    try:
        if file.is_dir():
            raise ValueError("is a folder, not a Python file")
        if not file.exists():
            raise ValueError("no such file")
        if file.suffix != ".py":
            raise ValueError("is no Python file (.py)")
        return _tree(file)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None


def _tree(file: Path) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Python thinks of the user's style, it says when the file is loaded
            tree = ast.parse(file.read_bytes(), file.name)
            compile(tree, file.name, "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"is no Python: {str(error) or 'nested too deep'}") from None
    return tree


def _wrong(tree: ast.Module, file: Path, function: str, given: Sequence[str]) -> str | None:
    """What is wrong with the function; None also where only running the file would tell."""
    found = next((statement for statement in reversed(tree.body) if function in _bound(statement)), None)
    if found is None and not any("*" in _bound(statement) for statement in tree.body):
        known = [name for statement in tree.body for name in _bound(statement)]
        return f"{file} defines no {function!r} at its top level{did_you_mean(function, known)}"
    if isinstance(found, ast.AsyncFunctionDef):
        return f"{function!r} of {file} is async; a plain function is wanted"
    if isinstance(found, ast.ClassDef):
        return f"{function!r} of {file} is a class, not a function"
    if isinstance(found, ast.FunctionDef) and not found.decorator_list and not _takes(found.args, len(given)):
        told = f"{', '.join(given[:-1])} and {given[-1]}"
        return f"{function!r} of {file} cannot be called with {COUNTED[len(given)]} arguments, {told}"
    return None


def _bound(statement: ast.stmt) -> set[str]:
    """Names that a statement of the top level binds, and a few more: what stands in its comprehensions."""
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
