"""Functions of the user's that judge and rewrite, run in this process."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

from dunwu.errors import Interrupted, UserError
from dunwu.types import Problem


def load_function(file: Path, function: str, field: str) -> Callable[..., object]:
    """Load a function of a user's file, to be run in this process with the user's rights.

    Args:
        file: the user's.
        function: its name.
        field: where the recipe names it, for errors.

    Returns:
        The function; called, it raises UserError whenever the user's raises.

    Raises:
        UserError: the file cannot be loaded or has no such function.
    """
    spec = importlib.util.spec_from_file_location(f"dunwu_own_{field}", file)
    try:
        if spec is None or spec.loader is None:
            raise ImportError("is no Python file")
        module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # as an import does it
        spec.loader.exec_module(module)
        found = getattr(module, function)
    except (Interrupted, KeyboardInterrupt):
        raise
    except BaseException as error:  # whatever a file of the user's may raise
        raise UserError(f"{file}: {type(error).__name__}: {error}", field=f"{field}.file") from error

    def call(*given: object) -> object:
        try:
            return found(*given)
        except (Interrupted, KeyboardInterrupt):
            raise
        except BaseException as error:
            about = f" on problem {given[0].id}" if isinstance(given[0], Problem) else ""
            what = f"{file}: {function} raises {type(error).__name__}: {error}{about}"
            raise UserError(what, field=f"{field}.function") from error

    return call


def preview_value(value: object) -> str:
    """Show what a function of the user's returned in a few characters; also what raises when it is looked at."""
    try:
        return f"{value!r:.40}"
    except Exception:
        return type(value).__name__
