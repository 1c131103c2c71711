"""Functions of a module's weights, called as its forward pass is.

Whoever reads weights past ``forward`` passes by the hooks of a module. One whose weights lie in several processes
(``training.sharded``) gathers them in such a hook, and frees them behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")
METHOD = "call_function"
"""The method of a module that calls a function of it as a forward pass; a module without hooks has none."""


def call_with_weights(module: Any, function: Callable[..., ResultT], *arguments: Any) -> ResultT:
    """Return ``function(module, *arguments)``, called as a forward pass of the module.

    Args:
        module: whose weights the function reads.
        function: returns a tensor or a tuple of them: hooks do not look into other objects.
        arguments: tensors with a gradient stand here by themselves, for the same reason.
    """
    call: Callable[..., ResultT] | None = getattr(module, METHOD, None)
    return function(module, *arguments) if call is None else call(function, *arguments)


def add_method(module: Any) -> None:
    """Give a module the method, so that whoever spreads its weights can put hooks around it."""
    setattr(module, METHOD, MethodType(_call, module))


def _call(module: Any, function: Callable[..., ResultT], *arguments: Any) -> ResultT:
    return function(module, *arguments)
