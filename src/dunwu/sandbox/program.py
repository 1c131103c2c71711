"""What runs inside: a program with a stdin, a function that is called, or a test that calls one.

It is written by whoever wants to be paid, and shares this process with the code below: nothing said here is believed
beyond "this is the value that the program gives". Lines go out on ``SAYING`` and come in on ``HEARING``:

    R             the source has run; calls may come        C value   the test calls the candidate with (args, kwargs)
    V value       what a call returned                      P         the test is through
    E [type, message]   what was raised
"""

from __future__ import annotations

import atexit
import builtins
import io
import json
import os
import random
import sys
import threading
import traceback
from contextlib import suppress
from functools import cache
from typing import Any, NoReturn

from dunwu.sandbox import values

HEARING, SAYING = 3, 4
OUT_OF_MEMORY = 77
"""Exit code where a program ends in MemoryError."""
LONGEST_DETAIL = 500
RECURSION = 50_000
"""Calls in calls; what LiveCodeBench's runner sets."""
STREAMS = ("stdout", "stderr", "__stdout__", "__stderr__")
"""Flushed at the end; the last two also where a program has put others in their place."""
SHOWN_FRAMES = 20
"""The innermost of a traceback: all of a deep recursion would be more output than a program may have."""


def run(mode: str, source: str, entry: str) -> NoReturn:
    """Run a program to its end, or serve calls into it; does not return.

    Args:
        mode: ``program``, a whole one; ``serve``, one that is called; ``test``, one that tests a candidate.
        source: What is run.
        entry: To serve, a function or ``Class.method``, or several such names, of which the first that there is counts.
            To test, a function of the source, which takes the candidate and raises where it is not as it should be,
            and the candidate's name, under which the source may call it too.
    """
    sys.setrecursionlimit(RECURSION)
    _open_streams()
    vars(builtins).update(exit=sys.exit, quit=sys.exit)  # as the site module, which is not loaded, gives them
    random.seed(0)  # forks seed it anew; here a program that runs again shall do again what it did
    try:
        if mode == "program":
            _execute(source, "__main__")
            threading._shutdown()  # type: ignore[attr-defined]  # waits for threads, as the end of a program does
        elif mode == "serve":
            _serve(_execute(source, "candidate"), entry)
        else:
            _test(_execute(source, "test"), entry)
        code = 0
    except SystemExit as stop:
        code = _find_exit_code(stop)
    except MemoryError:
        code = OUT_OF_MEMORY
    except BaseException as error:
        code = 1
        if mode == "program":
            _print_traceback(error)
        else:
            _say("E", json.dumps(_describe(error)))
    _leave(code)


def _execute(source: str, name: str) -> dict[str, Any]:
    module = type(sys)(name)
    sys.modules[name] = module
    exec(compile(source, f"<{name}>", "exec", dont_inherit=True), module.__dict__)
    return module.__dict__


def _serve(scope: dict[str, Any], entry: str) -> None:
    _say("R")
    while line := _hear():
        args, kwargs = values.loads(line)
        try:
            _say("V", values.dumps(_find_entry(scope, entry)(*args, **kwargs)))
        except MemoryError:
            raise
        except Exception as error:
            _say("E", json.dumps(_describe(error)))


def _find_entry(scope: dict[str, Any], entry: str) -> Any:
    names = [name.partition(".") for name in entry.split()]
    first, _, method = next((name for name in names if name[0] in scope), names[0])
    return getattr(scope[first](), method) if method else scope[first]


def _test(scope: dict[str, Any], entry: str) -> None:
    check, name = entry.split()
    scope[name] = _call_candidate
    scope[check](_call_candidate)
    _say("P")


def _call_candidate(*args: Any, **kwargs: Any) -> Any:
    """Call the function under test, which lives in another cell."""
    _say("C", values.dumps((list(args), kwargs)))
    line = _hear()
    if line.startswith("V"):
        return values.loads(line[1:])
    name, message = json.loads(line[1:])
    kind = getattr(builtins, str(name), None)
    if isinstance(kind, type) and issubclass(kind, Exception) and kind not in (AssertionError, StopIteration):
        raise kind(message)
    raise RuntimeError(message)


def _say(tag: str, text: str = "") -> None:
    data = f"{tag}{text}\n".encode("ascii")
    while data:
        data = data[os.write(SAYING, data) :]


def _hear() -> str:
    return _open_hearing().readline().rstrip("\n")


@cache
def _open_hearing() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BufferedReader(io.FileIO(HEARING, closefd=False)), encoding="ascii")


def _describe(error: BaseException) -> list[str]:
    try:
        message = str(error)
    except BaseException:
        message = ""
    return [type(error).__name__, message[:LONGEST_DETAIL].encode("ascii", "backslashreplace").decode()]


def _open_streams() -> None:
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0)), encoding="utf-8", errors="surrogateescape")
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(io.BufferedWriter(io.FileIO(number, "w")), "utf-8", "surrogateescape", write_through=False)
        for number in (1, 2)
    )
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr  # type: ignore[misc]
    sys.argv = ["program"]


def _find_exit_code(stop: SystemExit) -> int:
    if stop.code is None:
        return 0
    if isinstance(stop.code, int):
        return stop.code & 0xFF
    sys.stderr.write(f"{stop.code}\n")
    return 1


def _print_traceback(error: BaseException) -> None:
    try:
        own = error.__traceback__  # two frames of ours stand before the program's
        error = error.with_traceback(own and own.tb_next and own.tb_next.tb_next)
        traceback.print_exception(error, limit=-SHOWN_FRAMES)
    except BaseException:
        os.write(2, type(error).__name__.encode("ascii", "replace") + b"\n")


def _leave(code: int) -> NoReturn:
    with suppress(BaseException):
        atexit._run_exitfuncs()
    for name in STREAMS:
        with suppress(BaseException):
            getattr(sys, name).flush()
    os._exit(code)
