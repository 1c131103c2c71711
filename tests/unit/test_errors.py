"""The package's own exceptions: they say one line, and pass from process to process."""

from __future__ import annotations

import ast
import builtins
import importlib
import inspect
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

import dunwu
from dunwu.errors import NotInstalled
from dunwu.rollout.remote.exchange import Reply

PACKAGE = Path(dunwu.__file__).parent
BUILT_IN = {
    name for name, value in vars(builtins).items() if inspect.isclass(value) and issubclass(value, BaseException)
}
ARGUMENTS = {"Problem": type("Named", (), {"id": "p"})(), "Reply": Reply(400, "Bad", b"{}"), "int": 3}
"""What an exception is made of, by the annotation of its parameter; all others are texts."""


Name = tuple[str, str]
"""A module, and what it calls a class."""


def _bases(file: Path) -> Iterator[tuple[Name, set[Name]]]:
    """Every class at the top of a file, and its bases: two modules may call different things by one name."""
    module = ".".join(("dunwu", *file.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
    body = ast.parse(file.read_text(encoding="utf-8")).body
    known = {name: ("builtins", name) for name in BUILT_IN}
    known |= {node.name: (module, node.name) for node in body if isinstance(node, ast.ClassDef)}
    for node in body:
        if isinstance(node, ast.ImportFrom) and node.module:
            known |= {one.asname or one.name: (node.module, one.name) for one in node.names}
    for node in body:
        if isinstance(node, ast.ClassDef):
            names = [base.id for base in node.bases if isinstance(base, ast.Name)]
            yield (module, node.name), {known[name] for name in names if name in known}


def _exceptions() -> list[Name]:
    """Every exception of the package."""
    classes = [found for file in sorted(PACKAGE.rglob("*.py")) for found in _bases(file)]
    known, found = {("builtins", name) for name in BUILT_IN}, list[Name]()
    while more := [name for name, bases in classes if bases & known and name not in known]:
        known |= set(more)
        found += more
    return found


def _made(kind: type[BaseException]) -> BaseException:
    if not inspect.isfunction(kind.__init__):
        return kind("the message")
    needed = [
        one
        for one in inspect.signature(kind).parameters.values()
        if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD
    ]
    return kind(*(ARGUMENTS.get(str(one.annotation), f"the {one.name}") for one in needed))


@pytest.mark.parametrize(("module", "name"), _exceptions())
def test_every_exception_passes_from_process_to_process(module: str, name: str) -> None:
    """What a worker raises, its parent must be able to read."""
    error = _made(getattr(importlib.import_module(module), name))
    back = pickle.loads(pickle.dumps(error))
    assert (type(back), str(back), back.args, vars(back)) == (type(error), str(error), error.args, vars(error))


def test_all_exceptions_are_looked_at() -> None:
    names = {name for _, name in _exceptions()}
    assert {"UserError", "NotInstalled", "Interrupted", "Fault", "Refused", "PromptTooLong", "WorkerLost"} <= names


def test_a_user_error_keeps_its_file_and_field() -> None:
    error = NotInstalled("datasets", "data", file="x.parquet", field="path")
    back = pickle.loads(pickle.dumps(error))
    assert (back.file, back.field, str(back)) == ("x.parquet", "path", str(error))
