"""What the queue of held answers gives out, and how it says no."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from dunwu.errors import UserError

State = Literal["held", "accepted", "edited", "rejected", "released", "expired"]
"""Of a held answer: ``held`` until a verdict, then the verdict until the client has the text."""
Verdict = Literal["accept", "edit", "reject"]
STATES: Final[dict[Verdict, State]] = {"accept": "accepted", "edit": "edited", "reject": "rejected"}
"""The state that a verdict leads to."""
LONGEST_REASON: Final = 2000
"""Characters of a reviewer's reason."""


class UnknownAnswer(UserError):  # noqa: N818 -- what it says, it says by its name
    """There is no such answer, or it is another client's: both say the same, so that nobody learns which."""

    def __init__(self) -> None:
        super().__init__("no such answer")


class Conflict(UserError):  # noqa: N818 -- what it says, it says by its name
    """Somebody else was there first, or the answer is decided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldAnswer:
    """An answer that waits, as reviewers see it.

    Attributes:
        id: Random, so that nobody guesses it.
        client: The name of the key that asked.
        question: What was asked.
        reasoning: The model's chain.
        answer: What the model answered.
        topics: The policy's topics that match.
        reasons: Why it is held, one line each.
        state: Where it stands.
        claimed_by: The reviewer who has it; None for nobody.
        claimed_until: Until when, in seconds of the epoch.
        created: When it was held.
        refusal: What the client reads where it is rejected, and the reviewer writes nothing: a topic's text, or a
            standard line.
    """

    id: str
    client: str
    question: str
    reasoning: str
    answer: str
    topics: tuple[str, ...]
    reasons: tuple[str, ...]
    state: State
    claimed_by: str | None
    claimed_until: float
    created: float
    refusal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What a client gets when it asks.

    Attributes:
        id: Of the held answer.
        state: ``held``, ``released`` or ``expired``.
        verdict: Of the reviewer; None before there is one.
        text: The released text; what stands in the place of a rejected answer; "" before a verdict.
    """

    id: str
    state: Literal["held", "released", "expired"]
    verdict: Verdict | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A webhook that is due.

    Attributes:
        held_id: The answer that it is about; each has one notice, so this is its idempotency key too.
        url: Where it is sent.
        attempts: Tries so far.
        event: What has become of the answer.
    """

    held_id: str
    url: str
    attempts: int
    event: Literal["decided", "expired"]


def check_verdict(verdict: str, text: str, reason: str) -> None:
    """Make sure that a verdict has what it needs.

    Args:
        verdict: What a reviewer decides, as it was written.
        text: What the client shall read.
        reason: Why.

    Raises:
        UserError: It is none, or text or reason are missing or too long.
    """
    if verdict not in STATES:
        raise UserError(f"must be accept, edit or reject, not {verdict!r:.60}", field="verdict")
    if verdict == "edit" and not text.strip():
        raise UserError("an edited answer has a text", field="text")
    if verdict != "accept" and not reason:
        raise UserError("say why", field="reason")
    if len(reason) > LONGEST_REASON:
        raise UserError(f"has {len(reason):,} characters, and may have {LONGEST_REASON:,}", field="reason")
