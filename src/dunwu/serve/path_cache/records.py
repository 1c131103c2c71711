"""What the cache stores and finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Why an answer is believed.

    Attributes:
        kind: A rule has ``verified`` it, or samples have ``voted``.
        by: The rule's name, or what makes two voted answers one.
        votes: Samples that gave this answer.
        samples: Samples that were drawn.
    """

    kind: Literal["verified", "voted"]
    by: str
    votes: int = 0
    samples: int = 0

    @property
    def is_trusted(self) -> bool:
        """Whether a rule is named, or more than half of at least two samples agree."""
        return bool(self.by) and (self.kind == "verified" or (self.samples > 1 and 2 * self.votes > self.samples))


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A finished chain, as it is stored.

    Attributes:
        question: The exact key, see ``NormalizedQuestion``.
        reasoning: The chain, without tags.
        answer: What follows it, whole.
        final_answer: What was verified or voted on.
        provenance: Why it is believed.
        tokens: What the whole cost to generate.
    """

    question: str
    reasoning: str
    answer: str
    final_answer: str
    provenance: Provenance
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """An entry that was asked for again.

    Attributes:
        entry: What is stored.
        created: Seconds since 1970.
        age_s: Seconds since then.
        uses: How often it was found before.
        last_used: Seconds since 1970; ``created`` where it was not.
    """

    entry: Entry
    created: float
    age_s: float
    uses: int
    last_used: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasoningPath:
    """How a question with other numbers was solved; neither its numbers nor its answer are in it.

    Attributes:
        text: The chain, with ``[A]`` for the first number of its question, ``[B]`` for the second, and so on.
        provenance: Why its answer is believed.
        age_s: Seconds since it was stored.
    """

    text: str
    provenance: Provenance
    age_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheStats:
    """What is in the cache, and what it did since it was opened.

    Attributes:
        entries: Chains stored.
        file_bytes: The file and its log.
        max_bytes: Its bound.
        hits: Exact questions found.
        paths: Paths of questions with other numbers found.
        misses: Exact questions not found.
        refused: Chains that were not stored.
        evicted: Chains that made room.
        tokens_saved: What the hits' chains had cost.
    """

    entries: int
    file_bytes: int
    max_bytes: int
    hits: int
    paths: int
    misses: int
    refused: int
    evicted: int
    tokens_saved: int
