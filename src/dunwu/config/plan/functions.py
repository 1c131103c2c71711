"""Whether a file of the user's defines the function that a recipe names, read off its source: nothing is run."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from pathlib import Path

from dunwu.config.findings import Finding, near
from dunwu.config.schema import OwnPart, RLStage


def own_obstacles(name: str, stage: RLStage) -> Iterator[Finding]:
    """A part of one's own must be a Python file with a function of two arguments at its top level."""
    for index, part in enumerate(stage.reward.own):
        place = f"stages.{name}.reward.own.{index}"
        try:
            tree = _parsed(part.file)
        except ValueError as error:
            yield Finding(f"{place}.file", f"{error}: {part.file}")
            continue
        if wrong := _wrong(tree, part):
            yield Finding(f"{place}.function", wrong)


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


def _wrong(tree: ast.Module, part: OwnPart) -> str | None:
    """What is wrong with the function; None also where only running the file would tell."""
    found = next((statement for statement in reversed(tree.body) if part.function in _bound(statement)), None)
    if found is None and not any("*" in _bound(statement) for statement in tree.body):
        known = [name for statement in tree.body for name in _bound(statement)]
        return f"{part.file} defines no {part.function!r} at its top level{near(part.function, known)}"
    if isinstance(found, ast.AsyncFunctionDef):
        return f"{part.function!r} of {part.file} is async; a plain function is wanted"
    if isinstance(found, ast.ClassDef):
        return f"{part.function!r} of {part.file} is a class, not a function"
    if isinstance(found, ast.FunctionDef) and not found.decorator_list and not _takes_two(found.args):
        return f"{part.function!r} of {part.file} cannot be called with two arguments, problem and text"
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


def _takes_two(arguments: ast.arguments) -> bool:
    positional = [*arguments.posonlyargs, *arguments.args]
    needed = len(positional) - len(arguments.defaults)
    enough = len(positional) >= 2 or arguments.vararg is not None
    return needed <= 2 and enough and all(default is not None for default in arguments.kw_defaults)
