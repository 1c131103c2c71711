"""What rewriters and judges share: functions of the user's, instructions for a model, replies that are read."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

from dunwu.errors import Fault, Interrupted, UserError
from dunwu.rollout.remote import Endpoint
from dunwu.types import Preference, Problem
from dunwu.verifiers.format import extract_summary

T = TypeVar("T")
Item = TypeVar("Item")
GAP = re.compile(r"\{([a-z]+)\}")
TRIES, LONGEST = 3, 10_000
"""Of a model whose reply cannot be read, and characters of what it says after its reasoning that are read."""


def question_of(record: Problem | Preference) -> str:
    """What was asked, as one text."""
    return "\n".join(message.content for message in record.messages)


def ask_until_read(endpoint: Endpoint, told: str, read: Callable[[str], T | None], wanted: str) -> T:
    """Ask a model until ``read`` finds something in what it says after its reasoning, and return that.

    Args:
        endpoint: the model.
        told: the question.
        read: what there is in a reply; None: nothing.
        wanted: what the judge does where nothing is found, for the error.

    Raises:
        UserError: the endpoint refuses.
        Fault: it gives no answer, or none that can be read.
    """
    reply = ""
    for _ in range(TRIES):
        reply = endpoint.ask(told)
        found = read(extract_summary(reply)[:LONGEST])
        if found is not None:
            return found
    raise Fault(f"the judge {wanted} in {TRIES} tries; it says {json.dumps(reply[:80])}")


def side_by_side(work: Callable[[Item], T], items: Sequence[Item], at_once: int) -> Iterator[T]:
    """``work`` on every item, in their order, in so many threads. An exception ends it, and nothing more is begun; what
    is under way then is not waited for, not even by the end of the process."""
    if at_once == 1:
        yield from map(work, items)
        return
    futures = [Future[T]() for _ in items]
    waiting, lock = list(zip(futures, items, strict=True))[::-1], threading.Lock()

    def take() -> None:
        while True:
            with lock:
                if not waiting:
                    return
                future, item = waiting.pop()
            try:
                future.set_result(work(item))
            except BaseException as error:  # raised again where the result is read
                future.set_exception(error)

    for _ in range(min(at_once, len(items))):
        threading.Thread(target=take, name="helper", daemon=True).start()
    try:
        for future in futures:
            yield future.result()
    finally:
        with lock:
            waiting.clear()


def shown(value: object) -> str:
    """What a function of the user's returned, in a few characters; also of what raises when it is looked at."""
    try:
        return f"{value!r:.40}"
    except Exception:
        return type(value).__name__


def filled(instruction: str, **gaps: str) -> str:
    """An instruction with its gaps filled in one pass, so that no gap in what a model wrote is filled; braces around
    other words stay."""
    return GAP.sub(lambda gap: gaps.get(gap[1], gap[0]), instruction)


def own_function(file: Path, function: str, field: str) -> Callable[..., object]:
    """A function of a user's file, run in this process with the user's rights; ``field`` is for errors.

    Raises:
        UserError: the file cannot be loaded or has no such function; later, whenever it raises.
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
