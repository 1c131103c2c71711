"""Code of the user's: how a reference is read, how its module or file is imported, and what it raised.

``package.module:attribute`` and ``folder/file.py:attribute`` are references. Whatever goes wrong on the way to what one
leads to is one line that names the file.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
import traceback
from functools import reduce
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NoReturn

from dunwu.errors import Interrupted, UserError, did_you_mean

REFERENCE: Final = re.compile(r"(?P<place>.+):(?P<attribute>[^\W\d]\w*(\.[^\W\d]\w*)*)", re.DOTALL)
PACKAGE: Final = Path(__file__).parent
FILE_MODULE: Final = "dunwu_file_"
"""How the names of modules begin that are loaded from a file."""


def is_reference(text: str) -> bool:
    """Whether a text is ``module:attribute`` or ``file.py:attribute``, not a name."""
    return REFERENCE.fullmatch(text) is not None


def split_reference(reference: str) -> tuple[str, str]:
    """Split a reference into its module or file and the attribute."""
    place, _, attribute = reference.rpartition(":")
    return place, attribute


def file_of(reference: str) -> Path | None:
    """Return the Python file that a reference names; None for a module's or a name."""
    place, _ = split_reference(reference)
    return Path(place) if place.endswith(".py") and is_reference(reference) else None


def shorten_reference(reference: str) -> str:
    """Return a reference with its file's name in the place of its path, as people read it."""
    file = file_of(reference)
    return reference if file is None else f"{file.name}:{split_reference(reference)[1]}"


def source_file(reference: str) -> Path | None:
    """Find the file behind ``module:attribute`` or ``file.py:attribute``; None where there is none."""
    if file := file_of(reference):
        return file
    try:
        spec = importlib.util.find_spec(split_reference(reference)[0])
    except (ImportError, ValueError):  # a parent that is not there, or is no package
        return None
    return Path(spec.origin) if spec and spec.has_location and spec.origin else None


def load_reference(reference: str) -> Any:
    """Import the module or the file of a reference, and return its attribute.

    Raises:
        UserError: There is no such module, file or attribute; or the import fails.
    """
    place, attribute = split_reference(reference)
    file = file_of(reference)
    module = _import_module(place) if file is None else import_file(file)
    try:
        return reduce(getattr, attribute.split("."), module)
    except AttributeError:
        hint = did_you_mean(attribute, [name for name in vars(module) if not name.startswith("__")])
        raise UserError(f"defines no {attribute!r}{hint}", file=place) from None


def import_file(path: Path) -> ModuleType:
    """Import a Python file, which may import what lies beside it; again only once it has changed.

    Raises:
        UserError: It is not there, is no Python, or raises as it is imported.
    """
    try:
        path = path.resolve()
        stat = path.stat()
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", file=path) from None
    name = FILE_MODULE + re.sub(r"\W", "_", str(path))
    version = stat.st_mtime_ns, stat.st_size
    known = sys.modules.get(name)
    if known is not None and getattr(known, "__version__", None) == version:
        return known
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UserError("is no Python file (.py)", file=path)
    module = importlib.util.module_from_spec(spec)
    vars(module)["__version__"] = version
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    sys.modules[name] = module  # as an import does it: dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except BaseException as error:  # whatever a file raises as it is imported, sys.exit too
        del sys.modules[name]
        _reraise(error, path)
    return module


def _import_module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise UserError(f"no module is called {name!r} here; write FILE.py:NAME for a file") from None
        _reraise(error, name)
    except BaseException as error:  # whatever a module raises as it is imported
        _reraise(error, name)


def _reraise(error: BaseException, place: Path | str) -> NoReturn:
    if isinstance(error, Interrupted | KeyboardInterrupt | UserError):
        raise error
    file = place if isinstance(place, Path) else None
    raise UserError(f"cannot be imported: {describe_error(error, file)}", file=place) from error


def describe_error(error: BaseException, file: Path | None) -> str:
    """Say in one line what code of the user's raised, and where.

    Args:
        error: What was raised.
        file: The file whose line is wanted, where it was there; else the innermost line that is not ours is said.
    """
    text, ours = f"{type(error).__name__}: {error}", ("<frozen", str(PACKAGE))
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(ours)]
    place = None if file is None else str(file.resolve())
    own = [frame for frame in frames if frame.filename == place] or frames
    if isinstance(error, SyntaxError) or not own:  # a syntax error says its line itself
        return text
    return f"{text} ({Path(own[-1].filename).name}, line {own[-1].lineno})"
