"""Self-consistency over the service: samples are asked a few at a time, until the vote is decided."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Event
from typing import Final

from dunwu.serve.ballot import Ballot, Vote
from dunwu.serve.records import Busy, ChatRequest, Choice
from dunwu.serve.reply import Reply
from dunwu.serve.service import GenerationService

IN_FLIGHT: Final = 8
"""Samples that are written at once where all may be needed."""
FEW_IN_FLIGHT: Final = 4
"""The same where a few may be enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Voted:
    """What was voted on: the choices in the order of their seeds, the vote, and what it took.

    Attributes:
        choices: those that were counted.
        vote: what it came to.
        prompt_tokens: of one sample.
        tokens: written in all, also for samples that were given up when the vote was decided.
        thinking_tokens: of these, the reasoning's.
    """

    choices: tuple[Choice, ...]
    vote: Vote
    prompt_tokens: int
    tokens: int
    thinking_tokens: int

    @property
    def chosen(self) -> Choice:
        """The reply: the first that voted for the winner; where nobody voted, the first."""
        return self.choices[self.vote.winner or 0]


def vote(
    service: GenerationService,
    request: ChatRequest,
    *,
    confidence: float | None = None,
    weight_of: Callable[[Choice], float] | None = None,
    report: Callable[[Vote], None] = lambda _: None,
    left: Event | None = None,
) -> Voted:
    """Ask for as many samples as the request has seeds, until they are decided.

    Args:
        service: what generates.
        request: with a seed for each sample.
        confidence: see ``Ballot``.
        weight_of: the weight of each sample's vote; None: each counts once.
        report: is called with the vote so far after each sample.
        left: set when nobody waits any more.

    Raises:
        UserError: see ``GenerationService.submit``.
        Fault: the service failed, or whoever asked has left.
    """
    ballot = Ballot(len(request.seeds), confidence, weighted=weight_of is not None)
    waiting = [replace(request, seeds=(seed,)) for seed in request.seeds]
    asked: list[Reply] = []
    choices: list[Choice] = []
    width = IN_FLIGHT if confidence is None else FEW_IN_FLIGHT
    try:
        while not ballot.is_decided:
            _fill(service, waiting, asked, width + len(choices))
            asked[len(choices)].join(left)
            (choice,) = asked[len(choices)].collect()
            choices.append(choice)
            weight = weight_of(choice) if weight_of is not None else 1.0
            ballot.count(choice.content, cut=choice.finish == "length", weight=weight)
            report(ballot.close())
    finally:
        for reply in asked[len(choices) :]:
            reply.cancel()
    for reply in asked[len(choices) :]:
        reply.settle()
    counts = [reply.count_tokens() for reply in asked]
    return Voted(
        choices=tuple(choices),
        vote=ballot.close(),
        prompt_tokens=asked[0].prompt_tokens,
        tokens=sum(tokens for tokens, _ in counts),
        thinking_tokens=sum(thinking for _, thinking in counts),
    )


def _fill(service: GenerationService, waiting: list[ChatRequest], asked: list[Reply], width: int) -> None:
    """Ask for more samples; where the queue is full, those that are asked for already have to do for now."""
    while waiting and len(asked) < width:
        try:
            asked.append(service.submit(waiting[0], streams=False))
        except Busy:
            if all(reply.is_finished for reply in asked):
                raise
            return
        del waiting[0]
