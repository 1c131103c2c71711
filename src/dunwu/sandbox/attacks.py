"""The attacks of ``attacks.txt``, as records."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SHEET = Path(__file__).with_name("attacks.txt")
HEADING = re.compile(r"^=== ([^\[\n]+?)((?: \[\w+\])*)$\n", re.M)
LATER = "\n--- later\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """``source`` runs first; ``later``, where there is one, runs after it as the next completion's program.

    ``hangs``: it is through where it outlives its time by far. ``as_root``: it needs root to succeed bare.
    """

    name: str
    source: str
    later: str
    hangs: bool
    as_root: bool

    def sources(self, bait: Mapping[str, str]) -> list[str]:
        """The programs, with what ``preflight.bait`` laid out."""
        return [_Baited(source).safe_substitute(bait) for source in (self.source, self.later) if source]


class _Baited(string.Template):
    delimiter = "%"


def sections(sheet: Path) -> dict[str, tuple[frozenset[str], str]]:
    """Of a sheet of programs: name -> marks in brackets, text. A mark that is a section's name puts that text first."""
    _, *parts = HEADING.split(sheet.read_text(encoding="utf-8"))
    texts = dict(zip(parts[::3], parts[2::3], strict=True))
    marks = {name: frozenset(re.findall(r"\w+", found)) for name, found in zip(parts[::3], parts[1::3], strict=True)}
    heads = {name: "".join(texts[mark] for mark in sorted(found & texts.keys())) for name, found in marks.items()}
    shared = frozenset[str]().union(*marks.values())
    return {
        name: (marks[name], LATER.join(heads[name] + part for part in text.split(LATER)))
        for name, text in texts.items()
        if name not in shared
    }


def attacks() -> tuple[Attack, ...]:
    """All of them, in the order of the sheet."""
    found = []
    for name, (marks, text) in sections(SHEET).items():
        source, _, later = text.partition(LATER)
        found.append(Attack(name=name, source=source, later=later, hangs="hangs" in marks, as_root="root" in marks))
    return tuple(found)
