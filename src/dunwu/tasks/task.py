"""What a task is, and the frame that turns a generator into one.

A generator is a pure function (rng, level, language) -> Draft. The frame adds seeds, levels, languages and the split:
a problem belongs to the held-out share by the hash of its canonical content (``Draft.key``), so that the same content
is on the same side in every wording, language, level and seed.
"""

from __future__ import annotations

import hashlib
import random
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from dunwu.errors import UserError
from dunwu.types import Message, Problem

TRAIN_ATTEMPTS = 1000
HELD_OUT_ATTEMPTS = 5000


class Task(Protocol):
    """A source of problems with a training side and a held-out side that never meet."""

    @property
    def name(self) -> str:
        """The task's name, as in the recipe."""

    @property
    def size(self) -> int | None:
        """Number of training problems in one epoch; None where they never end."""

    def problem(self, index: int) -> Problem:
        """Training problem number ``index`` >= 0: a pure function of (task, seed, index), never a held-out one.

        Raises:
            UserError: no training problem is left.
        """

    def held_out(self, count: int) -> tuple[Problem, ...]:
        """The first ``count`` held-out problems: distinct, the same for every seed, a prefix of any longer request.

        Raises:
            UserError: fewer than ``count`` exist.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a generator makes.

    ``key`` is the canonical content: equal for two drafts exactly where they pose the same problem, whatever the
    wording or language (sorted numbers and target, say). ``kind`` names the verifier; ``tests`` are its facts.
    """

    question: str
    gold: str
    kind: str
    key: str
    tests: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A generator with its name and its difficulty levels, easiest first."""

    name: str
    levels: tuple[int, ...]
    draft: Callable[[random.Random, int, str], Draft]


def fingerprint(text: str) -> int:
    """64 bits that depend on the text alone: the same on every machine and Python."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def is_held_out(key: str, share: float) -> bool:
    """Whether content with this key is on the held-out side, where that side has this share (0 to 1) of all content.

    Sides nest: what is held out at a share is held out at every larger one.
    """
    return fingerprint("split/" + key) < share * 2**64


def side(question: str) -> str:
    """What decides on which side of the split a question falls: its twins in other case, width or spacing go along."""
    return " ".join(unicodedata.normalize("NFKC", question).casefold().split())


class GeneratedTask:
    """A family as an endless task.

    Args:
        family: the generator.
        seed: the seed of the training side; the held-out side does not depend on it.
        levels: drawn evenly, in turn; empty: the lowest.
        languages: drawn evenly, in turn.
        held_out_share: share of the contents, by hash, that training never draws.

    Raises:
        UserError: a level that the family does not have.
    """

    size: int | None = None

    def __init__(
        self,
        family: Family,
        seed: int,
        *,
        levels: tuple[int, ...] = (),
        languages: tuple[str, ...] = ("en",),
        held_out_share: float = 0.1,
    ) -> None:
        unknown = sorted(set(levels) - set(family.levels))
        if unknown:
            known = ", ".join(map(str, family.levels))
            raise UserError(f"{family.name} has no level {unknown[0]}; it has {known}", field="levels")
        if not languages:
            raise UserError(f"{family.name} needs a language: en or zh", field="languages")
        self.name = family.name
        self._family = family
        self._seed = seed
        self._share = held_out_share
        self._cells = tuple((level, language) for language in languages for level in levels or family.levels[:1])

    def problem(self, index: int) -> Problem:
        """Training problem number ``index``; see ``Task.problem``."""
        if index < 0:
            raise ValueError(f"problem index {index} is negative")
        level, language = self._cells[index % len(self._cells)]
        for attempt in range(TRAIN_ATTEMPTS):
            draft = self._draft(f"train/{self._seed}/{index}/{attempt}", level, language)
            if not is_held_out(draft.key, self._share):
                return self._finish(draft, level, language)
        raise UserError(f"{self.name}, level {level}: no training problems are left; lower held_out", field="held_out")

    def held_out(self, count: int) -> tuple[Problem, ...]:
        """The first ``count`` held-out problems; see ``Task.held_out``."""
        found: dict[str, Problem] = {}
        stream = 0
        while len(found) < count:
            level, language = self._cells[len(found) % len(self._cells)]
            for stream in range(stream, stream + HELD_OUT_ATTEMPTS):  # noqa: B020  -- goes on where it stopped
                draft = self._draft(f"held-out/{stream}", level, language)
                if is_held_out(draft.key, self._share) and draft.key not in found:
                    found[draft.key] = self._finish(draft, level, language)
                    break
            else:
                message = f"{self.name}, level {level}: {count} held-out problems wanted, {len(found)} found"
                raise UserError(f"{message}; raise held_out, ask for fewer, or add levels", field="held_out")
            stream += 1
        return tuple(found.values())

    def _draft(self, stream: str, level: int, language: str) -> Draft:
        return self._family.draft(random.Random(f"{self.name}/{level}/{stream}"), level, language)

    def _finish(self, draft: Draft, level: int, language: str) -> Problem:
        return Problem(
            id=f"{self.name}-{level}-{language}-{fingerprint(draft.question):016x}",
            task=self.name,
            kind=draft.kind,
            level=level,
            language=language,
            messages=(Message(role="user", content=draft.question),),
            gold=draft.gold,
            tests=draft.tests,
        )
