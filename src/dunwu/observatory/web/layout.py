"""What all pages have around their content: title, tabs, the run's name, keys, and where a change is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dunwu.observatory.web.watched_runs import WatchedRuns

TABS = (("", "Overview"), ("/curves", "Curves"), ("/rollouts", "Rollouts"), ("/paths", "Paths"))
"""Of a run: what follows its address, and what it is called. The keys 1 to 4 open them, 5 the comparison."""
KEYS = (
    ("1 to 5", "overview, curves, rollouts, paths, compare"),
    ("j and k", "next and previous rollout"),
    ("Enter", "open the rollout"),
    ("[ and ]", "previous and next of the group"),
    ("u", "back to the list"),
    ("/", "search"),
    ("t", "light, dark, or as the system has it"),
    ("?", "these shortcuts"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """An address, what it is called, and whether it is where the reader is; ``key`` opens it."""

    href: str
    label: str
    is_current: bool = False
    key: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What stands around a page.

    Attributes:
        title: The page's title.
        run_name: The run; "" where there is one run, or the page is of several.
        tabs: The links of the head.
        change_address: Where it is asked whether the page would look different.
        keys: The keys, and what each does.
    """

    title: str
    run_name: str
    tabs: Sequence[Link]
    change_address: str
    keys: Sequence[tuple[str, str]] = KEYS


def make_layout(runs: WatchedRuns, place: int | None, tab: str, title: str) -> Layout:
    """Lay out what stands around a page.

    Args:
        runs: The runs that are watched.
        place: Which run the page is of; None for a page of several.
        tab: What follows the run's address (``TABS``), or ``/compare``.
        title: The page's title.

    Returns:
        The record.
    """
    run = 0 if place is None else place  # a page of several leads back to the first
    tabs = [(f"/runs/{run}{address}", name, place is not None and address == tab) for address, name in TABS]
    tabs = [*(tabs if tab or place is not None else ()), ("/compare", "Compare", tab == "/compare")]
    first = 2 + len(TABS) - len(tabs)
    return Layout(
        title=title,
        run_name=runs[place].name if place is not None and len(runs.runs) > 1 else "",
        tabs=[
            Link(href=href, label=label, is_current=here, key=number)
            for number, (href, label, here) in enumerate(tabs, start=first)
        ],
        change_address="/change-token" if place is None else f"/runs/{place}/change-token",
    )
