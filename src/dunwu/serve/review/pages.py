"""What reviewers see: HTML from templates, in which whatever a model or a client wrote is text."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from dunwu.observatory.rendering import Verbatim, finalize
from dunwu.serve.review.keys import Key
from dunwu.serve.review.records import STATES, HeldAnswer

OPENING = 160
"""Characters of a question in the list."""


def show_sign_in(*, failed: bool = False) -> str:
    """Show the form that takes a reviewer's key."""
    return _render("sign_in.html", title="Sign in", key=None, failed=failed)


def show_list(key: Key, waiting: Sequence[HeldAnswer], count: int, decided: str, now: float) -> str:
    """Show what waits.

    Args:
        key: Who looks.
        waiting: The answers that wait longest.
        count: How many wait in all.
        decided: What was just done, as a state; anything else is not shown.
        now: Seconds of the epoch.

    Returns:
        The page.
    """
    note = decided if decided in STATES.values() else ""
    rows = [(answer, _describe_wait(now - answer.created), _describe_claim(answer, key, now)) for answer in waiting]
    return _render("list.html", title="Waiting", key=key, rows=rows, count=count, note=note, opening=OPENING)


def show_answer(key: Key, answer: HeldAnswer, now: float) -> str:
    """Show one answer, with what the reviewer can do about it.

    Args:
        key: Who looks.
        answer: What is shown.
        now: Seconds of the epoch.

    Returns:
        The page.
    """
    return _render(
        "answer.html",
        title="An answer to review",
        key=key,
        held=answer,
        wait=_describe_wait(now - answer.created),
        claim=_describe_claim(answer, key, now),
        is_mine=answer.state == "held" and answer.claimed_by == key.name,
    )


def show_error(text: str, key: Key | None) -> str:
    """Show what went wrong."""
    return _render("error.html", title="That did not work", key=key, text=text)


def _describe_wait(seconds: float) -> str:
    minutes = max(0, int(seconds // 60))
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // (24 * 60)} days"


def _describe_claim(answer: HeldAnswer, key: Key, now: float) -> str:
    """Say who has an answer; "" where it is free."""
    if answer.claimed_by == key.name:
        return "yours"
    free = answer.claimed_by is None or answer.claimed_until <= now
    return "" if free else f"{answer.claimed_by}, until {time.strftime('%H:%M', time.localtime(answer.claimed_until))}"


def _render(template: str, **records: object) -> str:
    return _make_environment().get_template(template).render(records)


@cache
def _make_environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("dunwu", "serve/review/templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["verbatim"] = Verbatim
    return environment
