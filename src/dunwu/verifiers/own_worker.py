"""The process that runs functions of users' files: loads them as the first line asks, then answers a line each.

[[file, function], ...]                              ->  [what is wrong with it, or null, ...]
{"part": index, "problem": {...}, "text": str}       ->  {"value": what was returned} | {"error": text}
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dunwu.types import Message, Problem


def load(file: str, function: str) -> Callable[[Problem, str], Any]:
    """The function of a file. Raises whatever loading raises, AttributeError where there is no such function."""
    spec = importlib.util.spec_from_file_location(f"own_{Path(file).stem}", file)
    if spec is None or spec.loader is None:
        raise ImportError("is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    found: Callable[[Problem, str], Any] = getattr(module, function)
    return found


def serve() -> None:
    """Until stdin ends."""
    replies = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # what a user's function prints is no reply
    functions: list[Any] = []
    found: list[str | None] = []
    for file, function in json.loads(sys.stdin.readline()):
        try:
            functions.append(load(file, function))
            found.append(None)
        except Exception as error:  # whatever a file raises when it is loaded
            found.append(f"cannot be loaded: {type(error).__name__}: {error}")
    print(json.dumps(found), file=replies, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        fields = request["problem"]
        fields |= {
            "messages": tuple(Message(**message) for message in fields["messages"]),
            "tests": tuple(fields["tests"]),
        }
        try:
            reply = json.dumps({"value": functions[request["part"]](Problem(**fields), request["text"])})
        except Exception as error:  # whatever a user's function raises, or returns
            reply = json.dumps({"error": f"raised {type(error).__name__}: {error}"})
        print(reply, file=replies, flush=True)


if __name__ == "__main__":
    serve()
