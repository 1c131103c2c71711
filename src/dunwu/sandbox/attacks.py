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
    """A program that must not get through.

    Attributes:
        name: Its heading in the sheet.
        source: What runs first.
        later: What runs after it as the next completion's program; "" where nothing does.
        hangs: Whether it is through where it outlives its time by far.
        as_root: Whether it needs root to succeed where nothing stops it.
    """

    name: str
    source: str
    later: str
    hangs: bool
    as_root: bool

    def fill_bait(self, bait: Mapping[str, str]) -> list[str]:
        """Return the programs, with what ``preflight.lay_bait`` laid out."""
        return [_Baited(source).safe_substitute(bait) for source in (self.source, self.later) if source]


class _Baited(string.Template):
    delimiter = "%"


def read_sections(sheet: Path) -> dict[str, tuple[frozenset[str], str]]:
    """Read a sheet of programs.

    Returns:
        The flags in brackets behind each heading, and the text below it. A flag that is a section's name puts that
        section's text first.
    """
    _, *parts = HEADING.split(sheet.read_text(encoding="utf-8"))
    texts = dict(zip(parts[::3], parts[2::3], strict=True))
    flags = {name: frozenset(re.findall(r"\w+", found)) for name, found in zip(parts[::3], parts[1::3], strict=True)}
    heads = {name: "".join(texts[flag] for flag in sorted(found & texts.keys())) for name, found in flags.items()}
    shared = frozenset[str]().union(*flags.values())
    return {
        name: (flags[name], LATER.join(heads[name] + part for part in text.split(LATER)))
        for name, text in texts.items()
        if name not in shared
    }


def read_attacks() -> tuple[Attack, ...]:
    """Read all attacks, in the order of the sheet."""
    found = []
    for name, (flags, text) in read_sections(SHEET).items():
        source, _, later = text.partition(LATER)
        found.append(Attack(name=name, source=source, later=later, hangs="hangs" in flags, as_root="root" in flags))
    return tuple(found)
