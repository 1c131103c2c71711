"""The process that runs functions of users' files: loads them as the first line asks, then answers a line each.

[number, [[file, function], ...]]                              ->  [number, [what is wrong with it, or null, ...]]
[number, {"function": place, "problem": {...}, "text": str, "budget": seconds}]
                                                               ->  [number, {"value": ...} | {"error": text}]

``SIGPROF`` ends it where a function takes more processor time than the budget.
"""

from __future__ import annotations

import importlib.util
import json
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dunwu.types import Message, Problem

Function = Callable[[Problem, str], Any]
FILES: set[str] = set()
"""Paths of the users'."""


def load(file: str, function: str) -> Function:
    """Load a function of a file, which may import what lies beside it.

    Raises:
        BaseException: Whatever loading raises.
    """
    spec = importlib.util.spec_from_file_location(f"custom_{Path(file).stem}", file)
    if spec is None or spec.loader is None:
        raise ImportError("is no Python file")
    FILES.add(file)
    sys.path.append(str(Path(file).parent))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    found: Function | None = getattr(module, function, None)
    if found is None:
        raise ImportError(f"defines no {function}")
    return found


def serve() -> None:
    """Answer lines until stdin ends."""
    if sys.platform == "linux":
        end_with_parent()
    replies, process = os.fdopen(os.dup(1), "w", encoding="ascii"), os.getpid()
    os.dup2(2, 1)  # what a user's function prints is no reply
    functions: list[Function] = []
    for line in sys.stdin:
        number, request = json.loads(line)
        reply = call(functions, request) if functions else load_all(functions, request)
        if os.getpid() != process:  # a user's function forked, and this is what came back twice
            os._exit(0)
        print(json.dumps([number, reply]), file=replies, flush=True)


def end_with_parent() -> None:
    """Leave a process behind that ends this one when its parent is gone: it may be deep in a user's function then."""
    parent, own = os.pidfd_open(os.getppid()), os.pidfd_open(os.getpid())
    if os.fork():
        os.close(parent)
        os.close(own)
        return
    os.closerange(0, 3)
    ready, _, _ = select.select([parent, own], [], [])
    if parent in ready:
        signal.pidfd_send_signal(own, signal.SIGKILL)
    os._exit(0)


def load_all(functions: list[Function], wanted: list[tuple[str, str]]) -> list[str | None]:
    """Load functions.

    Args:
        functions: Where they are added.
        wanted: File and name of each.

    Returns:
        What is wrong with each; None where nothing is.
    """
    found: list[str | None] = []
    for file, function in wanted:
        try:
            functions.append(load(file, function))
            found.append(None)
        except BaseException as error:  # whatever a file raises when it is loaded, sys.exit too
            found.append(f"cannot be loaded: {describe(error)}")
    return found


def call(functions: list[Function], request: dict[str, Any]) -> dict[str, Any]:
    """Call the function that a request names, and return its value, or what went wrong in it."""
    fields = request["problem"]
    fields |= {
        "messages": tuple(Message(**message) for message in fields["messages"]),
        "tests": tuple(fields["tests"]),
    }
    signal.setitimer(signal.ITIMER_PROF, request["budget"])
    try:
        value = functions[request["function"]](Problem(**fields), request["text"])
        if not hasattr(value, "__float__"):
            return {"error": f"returned {value!r:.40}, no number"}
        return {"value": float(value)}
    except BaseException as error:  # whatever a user's function raises, or returns
        return {"error": f"raised {describe(error)}"}
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def describe(error: BaseException) -> str:
    """Say kind and message of an error, and the last line of a user's file on the way there."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in FILES]
    place = f" (line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{place}"


if __name__ == "__main__":
    serve()
