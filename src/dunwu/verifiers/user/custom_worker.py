"""The process that runs functions of users' files: loads them as the first line asks, then answers a line each.

[number, [[file, function], ...]]                              ->  [number, [what is wrong with it, or null, ...]]
[number, {"part": index, "problem": {...}, "text": str, "budget": seconds}]
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
"""The users'."""


def load(file: str, function: str) -> Function:
    """The function of a file, which may import what lies beside it. Raises whatever loading raises."""
    spec = importlib.util.spec_from_file_location(f"own_{Path(file).stem}", file)
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
    """Until stdin ends."""
    if sys.platform == "linux":
        watch()
    replies, process = os.fdopen(os.dup(1), "w", encoding="ascii"), os.getpid()
    os.dup2(2, 1)  # what a user's function prints is no reply
    functions: list[Function] = []
    for line in sys.stdin:
        number, request = json.loads(line)
        reply = score(functions, request) if functions else loaded(functions, request)
        if os.getpid() != process:  # a user's function forked, and this is what came back twice
            os._exit(0)
        print(json.dumps([number, reply]), file=replies, flush=True)


def watch() -> None:
    """Leaves a process behind that ends this one when its parent is gone: it may be deep in a user's function then."""
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


def loaded(functions: list[Function], wanted: list[tuple[str, str]]) -> list[str | None]:
    """What is wrong with each file."""
    found: list[str | None] = []
    for file, function in wanted:
        try:
            functions.append(load(file, function))
            found.append(None)
        except BaseException as error:  # whatever a file raises when it is loaded, sys.exit too
            found.append(f"cannot be loaded: {told(error)}")
    return found


def score(functions: list[Function], request: dict[str, Any]) -> dict[str, Any]:
    """What a function returns, or what went wrong in it."""
    fields = request["problem"]
    fields |= {
        "messages": tuple(Message(**message) for message in fields["messages"]),
        "tests": tuple(fields["tests"]),
    }
    signal.setitimer(signal.ITIMER_PROF, request["budget"])
    try:
        value = functions[request["part"]](Problem(**fields), request["text"])
        if not hasattr(value, "__float__"):
            return {"error": f"returned {value!r:.40}, no number"}
        return {"value": float(value)}
    except BaseException as error:  # whatever a user's function raises, or returns
        return {"error": f"raised {told(error)}"}
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def told(error: BaseException) -> str:
    """Kind and message, and the last line of a user's file on the way there."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in FILES]
    place = f" (line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{place}"


if __name__ == "__main__":
    serve()
