"""Questions to models that help: instructions with placeholders, replies that are read, several at the same time."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import TypeVar

from dunwu.errors import Fault
from dunwu.rollout.remote import Endpoint
from dunwu.types import Preference, Problem
from dunwu.verifiers.format import extract_summary

T = TypeVar("T")
Item = TypeVar("Item")
PLACEHOLDER = re.compile(r"\{([a-z]+)\}")
TRIES = 3
"""Of a model whose reply cannot be read."""
LONGEST_REPLY = 10_000
"""Characters of what a model says after its reasoning that are read."""


def join_messages(record: Problem | Preference) -> str:
    """Return what was asked as one text."""
    return "\n".join(message.content for message in record.messages)


def fill_placeholders(instruction: str, **values: str) -> str:
    """Fill an instruction in one pass, so that no placeholder in what a model wrote is filled.

    Braces around other words stay.
    """
    return PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), instruction)


def ask_until_parsed(endpoint: Endpoint, question: str, parse: Callable[[str], T | None], failure: str) -> T:
    """Ask a model until something can be read in what it says after its reasoning.

    Args:
        endpoint: the model.
        question: all that it is asked.
        parse: finds something in a reply; None: there is nothing.
        failure: what the judge does where nothing is found, for the error.

    Returns:
        What was found.

    Raises:
        UserError: the endpoint refuses.
        Fault: it gives no answer, or none that can be read.
    """
    reply = ""
    for _ in range(TRIES):
        reply = endpoint.ask(question)
        found = parse(extract_summary(reply)[:LONGEST_REPLY])
        if found is not None:
            return found
    raise Fault(f"the judge {failure} in {TRIES} tries; it says {json.dumps(reply[:80])}")


def run_concurrently(work: Callable[[Item], T], items: Sequence[Item], concurrency: int) -> Iterator[T]:
    """Do some work on every item, several at the same time.

    An exception ends it, and nothing more is begun. What is under way then is not waited for, not even by the end of
    the process.

    Args:
        work: what is done.
        items: on each of these.
        concurrency: threads; 1: this one.

    Yields:
        The results, in the order of the items.
    """
    if concurrency == 1:
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

    for _ in range(min(concurrency, len(items))):
        threading.Thread(target=take, name="helper", daemon=True).start()
    try:
        for future in futures:
            yield future.result()
    finally:
        with lock:
            waiting.clear()
