"""What a task is, and the frame that turns a generator into one.

A generator is a pure function (rng, level, language) -> Draft. The frame adds seeds, levels, languages and the split.
A problem is held out by the hash of its key (``Draft.key``), so the same content is on the same side of the split in
every wording, language, level and seed.
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

    def get_problem(self, index: int) -> Problem:
        """Return training problem number ``index``: a pure function of (task, seed, index), never a held-out one.

        Args:
            index: At least 0.

        Raises:
            UserError: No training problem is left.
        """

    def get_held_out(self, count: int) -> tuple[Problem, ...]:
        """Return the first ``count`` held-out problems.

        They are distinct, the same for every seed, and a prefix of any longer request.

        Raises:
            UserError: Fewer than ``count`` exist.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A problem as a function of yours makes it; the task adds name, split and language.

    The smallest task is a function that draws from ``rng`` alone. Named in a recipe as ``task = "doubling.py:double"``,
    or registered with ``@dunwu.register.task("double")``, it has a training side and a held-out side::

        def double(rng, level, language):
            number = rng.randrange(10**level)
            return Draft(question=f"What is twice {number}?", gold=str(2 * number))

    A function of a row reads your own layout of a file, where the recipe says ``path`` too::

        def read(row):
            return Draft(question=row["prompt"], gold=row["solution"]["final"])

    Attributes:
        question: What the user says.
        gold: The right answer, as the verifier reads it.
        kind: The verifier that decides; "": the one that the recipe's ``kind`` names (``math`` by default).
        key: The content, by whose hash the problem is held out: equal for two drafts exactly where they pose the same
            problem, in whatever wording or language, such as sorted numbers and a target. "": the question.
        tests: The facts that the verifier needs: an expression's target and numbers, a program's tests.
        level: The difficulty of a row; a generator's is the one that it was asked for.
        subject: What a row is about, for results by subject.
    """

    question: str
    gold: str
    kind: str = ""
    key: str = ""
    tests: tuple[str, ...] = ()
    level: int = 0
    subject: str = ""


DraftFunction = Callable[[random.Random, int, str], Draft]
"""(rng, level, language) -> a draft that depends on nothing else."""


@dataclass(frozen=True, slots=True)
class Generator:
    """A function that drafts problems, and its difficulty levels.

    Attributes:
        draft: The function.
        levels: Those that it knows, easiest first; empty: any from 1 on.
    """

    draft: DraftFunction
    levels: tuple[int, ...] = ()


def hash_text(text: str) -> int:
    """Return 64 bits that depend on the text alone: the same on every machine and Python."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def is_held_out(key: str, share: float) -> bool:
    """Return whether content with this key is held out, where that side has this share (0 to 1) of all content.

    Sides nest: what is held out at a share is held out at every larger one.
    """
    return hash_text("split/" + key) < share * 2**64


def normalize_question(question: str) -> str:
    """Return the key of a question that has no other: its twins in other case, width or spacing have the same."""
    return " ".join(unicodedata.normalize("NFKC", question).casefold().split())


class GeneratedTask:
    """A generator as an endless task.

    Args:
        name: The task's.
        generator: Drafts the problems.
        seed: Of the training side; the held-out side does not depend on it.
        levels: Drawn evenly, in turn; empty: the lowest.
        languages: Drawn evenly, in turn.
        held_out_share: Share of the contents, by hash, that training never draws.
        kind: The verifier of drafts that name none.

    Raises:
        UserError: The generator does not have one of the levels.
    """

    size: int | None = None

    def __init__(
        self,
        name: str,
        generator: Generator,
        seed: int,
        *,
        levels: tuple[int, ...] = (),
        languages: tuple[str, ...] = ("en",),
        held_out_share: float = 0.1,
        kind: str = "math",
    ) -> None:
        known = generator.levels
        if unknown := sorted(level for level in levels if (level not in known if known else level < 1)):
            text = ", ".join(map(str, known)) or "any from 1 on"
            raise UserError(f"{name} has no level {unknown[0]}; it has {text}", field="levels")
        if not languages:
            raise UserError(f"{name} needs a language: en or zh", field="languages")
        self.name = name
        self._draft_problem = generator.draft
        self._seed = seed
        self._share = held_out_share
        self._kind = kind
        self._cells = tuple((level, language) for language in languages for level in levels or known[:1] or (1,))

    def get_problem(self, index: int) -> Problem:
        """Return training problem number ``index``; see ``Task.get_problem``."""
        if index < 0:
            raise ValueError(f"problem index {index} is negative")
        level, language = self._cells[index % len(self._cells)]
        for attempt in range(TRAIN_ATTEMPTS):
            draft = self._draft(f"train/{self._seed}/{index}/{attempt}", level, language)
            if not is_held_out(_key_of(draft), self._share):
                return self._finish(draft, level, language)
        raise UserError(f"{self.name}, level {level}: no training problems are left; lower held_out", field="held_out")

    def get_held_out(self, count: int) -> tuple[Problem, ...]:
        """Return the first ``count`` held-out problems; see ``Task.get_held_out``."""
        found: dict[str, Problem] = {}
        stream = 0
        while len(found) < count:
            level, language = self._cells[len(found) % len(self._cells)]
            for stream in range(stream, stream + HELD_OUT_ATTEMPTS):  # noqa: B020  -- goes on where it stopped
                draft = self._draft(f"held-out/{stream}", level, language)
                key = _key_of(draft)
                if is_held_out(key, self._share) and key not in found:
                    found[key] = self._finish(draft, level, language)
                    break
            else:
                message = f"{self.name}, level {level}: {count} held-out problems wanted, {len(found)} found"
                raise UserError(f"{message}; raise held_out, ask for fewer, or add levels", field="held_out")
            stream += 1
        return tuple(found.values())

    def _draft(self, stream: str, level: int, language: str) -> Draft:
        return self._draft_problem(random.Random(f"{self.name}/{level}/{stream}"), level, language)

    def _finish(self, draft: Draft, level: int, language: str) -> Problem:
        return Problem(
            id=f"{self.name}-{level}-{language}-{hash_text(draft.question):016x}",
            task=self.name,
            kind=draft.kind or self._kind,
            level=level,
            language=language,
            messages=(Message(role="user", content=draft.question),),
            gold=draft.gold,
            tests=draft.tests,
            subject=draft.subject,
        )


def _key_of(draft: Draft) -> str:
    return draft.key or normalize_question(draft.question)
