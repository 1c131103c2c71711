"""Reward-guided decoding over the service: best of n whole replies, and a beam search over their steps.

best_of         n replies -> the guide takes one
search          a step after another: the policy's own where it is sure, else candidates; the guide takes the best
make_weight_of  a reply -> how much its vote counts

A step is a clause: it ends with a sentence, a comma or a line outside numbers, or with the reasoning.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from threading import Event
from typing import Any, Final

import numpy as np

from dunwu.errors import Fault
from dunwu.rollout.seeds import derive_seed
from dunwu.serve.chat_model import ChatModel
from dunwu.serve.guides import Draft, Guide, to_weight
from dunwu.serve.records import Busy, ChatRequest, Choice, Finish, derive_seeds
from dunwu.serve.reply import Reply
from dunwu.serve.service import GenerationService

STEP_END: Final = re.compile(r"(?<!\d)[.,!?;:]|[.,!?;:](?=[^\d])|[\n。！？；，：]|</think>")
"""Behind a digit it takes the next sign to tell a comma from the middle of a number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchLimits:
    """How a search goes.

    Attributes:
        width: candidates for a step of which the policy is not sure, its own among them.
        beams: drafts that are kept.
        sure: each token of the policy's own step has more than this probability: it is taken as it is.
        step_tokens: of a step, at most.
    """

    width: int = 4
    beams: int = 1
    sure: float = 0.9
    step_tokens: int = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Guided:
    """What a guide chose, and what it took.

    Attributes:
        chosen: the reply.
        score: what the guide gave it.
        prompt_tokens: of the conversation.
        tokens: written in all, also what was dropped.
        thinking_tokens: of these, the reasoning's.
        guidance_share: of the tokens, what was dropped.
        choices: how often the guide was asked to choose.
    """

    chosen: Choice
    score: float
    prompt_tokens: int
    tokens: int
    thinking_tokens: int
    guidance_share: float
    choices: int

    def describe(self, method: str) -> dict[str, Any]:
        """Return what it took as JSON has it; the method is what the request called it."""
        share = round(self.guidance_share, 6)
        return {"method": method, "score": round(self.score, 6), "share": share, "choices": self.choices}


def best_of(service: GenerationService, request: ChatRequest, guide: Guide, left: Event | None = None) -> Guided:
    """Write as many replies as the request has seeds, and return the one that the guide scores highest.

    Of equals the first is taken.

    Args:
        service: what generates.
        request: with a seed for each reply.
        guide: what chooses.
        left: set when nobody waits any more.

    Raises:
        UserError: see ``GenerationService.submit``.
        Fault: the service failed, or whoever asked has left.
    """
    reply = service.submit(request, streams=False)
    reply.join(left)
    choices = reply.collect()
    _, opening = service.model.encode(request.messages, request.tools)
    scores = guide.score(request.messages, [to_draft(service.model, opening, one, one.finish) for one in choices])
    best = int(np.argmax(scores))
    tokens = sum(choice.tokens for choice in choices)
    return Guided(
        chosen=choices[best],
        score=scores[best],
        prompt_tokens=reply.prompt_tokens,
        tokens=tokens,
        thinking_tokens=sum(choice.thinking_tokens for choice in choices),
        guidance_share=1 - choices[best].tokens / tokens,
        choices=1,
    )


def search(
    service: GenerationService,
    request: ChatRequest,
    guide: Guide,
    limits: SearchLimits = SearchLimits(),
    left: Event | None = None,
) -> Guided:
    """Write a reply step by step: greedy where the policy is sure, guided where it is not.

    The same seed gives the same reply, whoever else asks.

    Args:
        service: what generates.
        request: temperature and top-p are those of the candidates; its first seed makes theirs.
        guide: what chooses.
        limits: how wide and how far.
        left: set when nobody waits any more.

    Raises:
        UserError: see ``GenerationService.submit``.
        Fault: the service failed, or whoever asked has left.
    """
    running = _Search(service, request, guide, limits, left)
    while any(beam.finish is None for beam in running.beams):
        running.advance()
    return running.close()


@dataclass(frozen=True, slots=True)
class _Beam:
    """A draft: the reply so far, with all of its tokens and the log-probabilities of its last step; and its end."""

    choice: Choice
    finish: Finish | None = None

    def is_sure(self, threshold: float) -> bool:
        """Whether each token of its last step has more than this probability."""
        return min(self.choice.token_logprobs) > math.log(threshold)


class _Search:
    """The beams of one search, and what they cost. See ``search``."""

    def __init__(
        self, service: GenerationService, request: ChatRequest, guide: Guide, limits: SearchLimits, left: Event | None
    ) -> None:
        self._service, self._request, self._guide, self._limits, self._left = service, request, guide, limits, left
        prompt, self._opening = service.model.encode(request.messages, request.tools)
        self._prompt_tokens = len(prompt)
        self._most = service.model.plan_sampling(request, len(prompt)).max_new_tokens
        self.beams = [_Beam(Choice(reasoning="", content="", finish="length", tokens=0, thinking_tokens=0))]
        self._tokens = self._thinking_tokens = self._choices = self._round = 0

    def advance(self) -> None:
        """Write the next step of each beam that is not finished, and keep the best."""
        whole = [beam for beam in self.beams if beam.finish is not None]
        going = [beam for beam in self.beams if beam.finish is None]
        greedy = self._write(going, [(0,) for _ in going], temperature=0.0)
        unsure = [
            place
            for place, (own,) in enumerate(greedy)
            if self._limits.width > 1 and not own.is_sure(self._limits.sure)
        ]
        seeds = [self._derive_seeds(place) for place in unsure]
        sampled = self._write([going[place] for place in unsure], seeds, self._request.temperature)
        others = dict(zip(unsure, sampled, strict=True))
        grown = [beam for place, own in enumerate(greedy) for beam in (*own, *others.get(place, ()))]
        self.beams = self._choose([*whole, *grown])
        self._round += 1

    def close(self) -> Guided:
        """Return the best of what is finished."""
        scores = self._score(self.beams)
        best = int(np.argmax(scores))
        choice = self.beams[best].choice
        return Guided(
            chosen=replace(choice, token_logprobs=()),
            score=scores[best],
            prompt_tokens=self._prompt_tokens,
            tokens=self._tokens,
            thinking_tokens=self._thinking_tokens,
            guidance_share=1 - len(choice.token_ids) / self._tokens,
            choices=self._choices,
        )

    def _derive_seeds(self, place: int) -> tuple[int, ...]:
        """Derive the seeds of a beam's candidates in this round; its own step takes none."""
        return derive_seeds(derive_seed(self._request.seeds[0], "step", self._round, place), self._limits.width - 1)

    def _write(self, beams: Sequence[_Beam], seeds: Sequence[tuple[int, ...]], temperature: float) -> list[list[_Beam]]:
        """Write a step behind each beam, once for each of its seeds."""
        replies = list[Reply]()
        try:
            for beam, own in zip(beams, seeds, strict=True):
                replies.append(self._ask(beam, own, temperature))
            for reply in replies:
                reply.join(self._left)
        finally:
            for reply in replies:
                reply.cancel()
        return [
            [self._grow(beam, choice) for choice in reply.collect()] for beam, reply in zip(beams, replies, strict=True)
        ]

    def _ask(self, beam: _Beam, seeds: tuple[int, ...], temperature: float) -> Reply:
        begun = beam.choice.token_ids
        request = replace(
            self._request,
            seeds=seeds,
            temperature=temperature,
            max_tokens=min(self._limits.step_tokens, self._most - len(begun)),
            begun=begun,
            until=ends_step,
        )
        while True:
            try:
                return self._service.submit(request, streams=False)
            except Busy:
                if self._round == 0:
                    raise
            self._wait_for_room(len(seeds))

    def _wait_for_room(self, count: int) -> None:
        """Wait until so many answers may wait: what a search has written is worth more than its turn."""
        service = self._service
        gone = self._left or Event()
        service.wait_until(lambda: service.waiting + count <= service.limits.queue or gone.is_set())
        if gone.is_set():
            raise Fault("whoever asked has left")

    def _grow(self, beam: _Beam, step: Choice) -> _Beam:
        self._tokens += len(step.token_ids)
        self._thinking_tokens += step.thinking_tokens - beam.choice.thinking_tokens
        choice = replace(step, token_ids=(*beam.choice.token_ids, *step.token_ids))
        is_over = step.finish != "length" or len(choice.token_ids) >= self._most
        return _Beam(choice, step.finish if is_over else None)

    def _choose(self, beams: Sequence[_Beam]) -> list[_Beam]:
        """Keep the best of the different ones; of equals the first."""
        different = list({beam.choice.token_ids: beam for beam in reversed(beams)}.values())[::-1]
        if len(different) <= self._limits.beams:
            return different
        self._choices += 1
        scores = self._score(different)
        order = sorted(range(len(different)), key=lambda place: -scores[place])
        return [different[place] for place in order[: self._limits.beams]]

    def _score(self, beams: Sequence[_Beam]) -> list[float]:
        model = self._service.model
        drafts = [to_draft(model, self._opening, beam.choice, beam.finish) for beam in beams]
        return self._guide.score(self._request.messages, drafts)


def make_weight_of(service: GenerationService, request: ChatRequest, guide: Guide) -> Callable[[Choice], float]:
    """Return what says how much a reply's vote counts: as much as the guide scores all of it.

    Args:
        service: whose replies vote.
        request: what was asked.
        guide: what scores.
    """
    _, opening = service.model.encode(request.messages, request.tools)

    def weight_of(choice: Choice) -> float:
        (score,) = guide.score(request.messages, [to_draft(service.model, opening, choice, choice.finish)])
        return to_weight(score)

    return weight_of


def ends_step(text: str) -> bool:
    """Tell whether a step has ended in what was written since the last."""
    return STEP_END.search(text) is not None


def to_draft(model: ChatModel, opening: str, choice: Choice, finish: Finish | None) -> Draft:
    """Return a reply as guides read it.

    Args:
        model: whose reply it is.
        opening: what the prompt had written of it.
        choice: the reply, with all of its tokens.
        finish: why it ended; None: it goes on.
    """
    return Draft(
        text=opening + model.decode(choice.token_ids),
        reasoning=choice.reasoning,
        answer=choice.content or None,
        finish=finish,
    )
