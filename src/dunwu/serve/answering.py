"""One whole answer, with all that stands around the model: policy, cache, vote, second verification, people.

question   refused by the policy?          -> the refusal
           answered before?                -> that answer, if the policy still lets it out
           solved with other numbers?      -> that path as a hint
answer     a single sample, a vote, or what a guide makes of several
           the policy: let out, verified, held for a person, refused
           kept, if a majority voted for it, or a second verification derived it again
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from threading import Event
from typing import Any

from dunwu.errors import UserError
from dunwu.serve.ballot import Vote
from dunwu.serve.guided import Guided, SearchLimits, best_of, make_weight_of, search
from dunwu.serve.guides import Guide
from dunwu.serve.path_cache.records import Hit
from dunwu.serve.path_memory import PathMemory, describe_hit, to_choice
from dunwu.serve.records import ChatRequest, Choice, Finish
from dunwu.serve.review.decision import Decision
from dunwu.serve.reviewer import Reviewer
from dunwu.serve.service import GenerationService
from dunwu.serve.voting import vote


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """How a request is to be answered, beside what is asked.

    Attributes:
        votes: whether its seeds are samples that vote; else it has one.
        confidence: see ``Ballot``.
        weighted: a vote counts as much as the guide scores its sample.
        best_of: its seeds are samples of which the guide takes the best.
        search: how the guide leads a search; None: it does not.
        remembers: whether the cache may be read and written.
        stored: what the cache has of it, see ``Answerer.find_stored``.
        client: the name of who asks, under which a held answer waits.
        webhook: where that client wants to hear of it.
    """

    votes: bool = False
    confidence: float | None = None
    weighted: bool = False
    best_of: bool = False
    search: SearchLimits | None = None
    remembers: bool = True
    stored: Hit | None = None
    client: str = "local"
    webhook: str | None = None

    @property
    def is_sample(self) -> bool:
        """Whether the answers are single samples: nothing is chosen or counted."""
        return not (self.votes or self.best_of or self.search)

    @property
    def guided_field(self) -> str | None:
        """The field of a request that wants a guide; None: it needs none."""
        wanted = {"vote_weighted": self.weighted, "best_of": self.best_of, "guided": self.search}
        return next((field for field, wants in wanted.items() if wants), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What comes of a request.

    Attributes:
        choice: what the client gets: no content where it is held, the refusal where it is refused.
        finish: ``content_filter`` where the policy kept the model's answer back.
        prompt_tokens: of one sample; 0 where none was asked.
        tokens: written in all.
        thinking_tokens: of these, the reasoning's.
        more: fields of the reply beside OpenAI's: ``cache``, ``review``, ``vote``, ``guidance``.
        derived_by: see ``Decision``.
    """

    choice: Choice
    finish: Finish
    prompt_tokens: int = 0
    tokens: int = 0
    thinking_tokens: int = 0
    more: dict[str, Any] = field(default_factory=dict)
    derived_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    """What the model answered, before anybody has looked at it."""

    choice: Choice
    prompt_tokens: int = 0
    tokens: int = 0
    thinking_tokens: int = 0
    vote: Vote | None = None
    guidance: Mapping[str, Any] | None = None

    def describe(self) -> dict[str, Any]:
        """Return how it was made, as fields of the reply."""
        vote = {"vote": self.vote.describe()} if self.vote else {}
        return vote | ({"guidance": dict(self.guidance)} if self.guidance else {})


class Answerer:
    """See the module.

    Args:
        service: what generates.
        memory: the cache; None: there is none.
        reviewer: the policy; None: answers go out as they are.
        guide: chooses between replies, or steps of one; None: nobody does.
    """

    def __init__(
        self,
        service: GenerationService,
        memory: PathMemory | None = None,
        reviewer: Reviewer | None = None,
        guide: Guide | None = None,
    ) -> None:
        self.service, self.memory, self.reviewer, self.guide = service, memory, reviewer, guide

    def answer(
        self,
        request: ChatRequest,
        order: Order,
        *,
        report: Callable[[Vote], None] = lambda _: None,
        left: Event | None = None,
    ) -> Answer:
        """Answer a request.

        Args:
            request: with one seed, or one for each sample that votes.
            order: how.
            report: is called with a vote so far after each sample.
            left: set when nobody waits any more.

        Raises:
            UserError: the request cannot be answered by this model.
            Fault: the service failed, whoever asked has left, or an answer could not be held.
        """
        self._check_order(request, order)
        refused = self.reviewer.check_question(request) if self.reviewer else None
        if refused is not None:
            return _refuse(refused, {})
        if order.stored is not None:
            stored = _Draft(choice=to_choice(order.stored))
            return self._review(request, stored, order, {"cache": describe_hit(order.stored, None)}, left)
        hinted, more = self.prepare(request, order)
        shown = report if self.reviewer is None else _show_nothing  # a vote's answers are answers
        draft = self._write(hinted, order, shown, left)
        answer = self._review(request, draft, order, more, left)
        if self.memory and order.remembers and answer.finish == "stop":
            self.memory.keep(request, draft.choice, draft.vote, answer.derived_by)
        return answer

    def check(self, request: ChatRequest, order: Order) -> None:
        """Raise UserError where ``answer`` would, but for the queue: before an answer is promised that comes later."""
        self._check_order(request, order)
        if order.stored is None:
            once = replace(request, seeds=request.seeds[:1]) if order.votes else request  # votes are asked one by one
            self.service.check(once)

    def _check_order(self, request: ChatRequest, order: Order) -> None:
        if order.guided_field is not None and self.guide is None:
            raise UserError("there is no guide here: start with --guide GUIDE", field=order.guided_field)
        if self.reviewer is not None and len(request.seeds) > 1 and order.is_sample:
            raise UserError("answers are reviewed here one by one: ask for one", field="n")
        if order.best_of:
            self.service.check_room(len(request.seeds), "best_of")
        if order.search is not None:
            self.service.check_room(order.search.width - 1, "guided.width")  # the first candidate is asked alone

    def close(self) -> None:
        """Stop what generates, and close the files of cache and queue."""
        self.service.stop(0.0)
        if self.memory is not None:
            self.memory.cache.close()
        if self.reviewer is not None:
            self.reviewer.close()

    def find_stored(self, request: ChatRequest) -> Hit | None:
        """Find what the cache has of a request."""
        return self.memory.find(request) if self.memory is not None else None

    def prepare(self, request: ChatRequest, order: Order) -> tuple[ChatRequest, dict[str, Any]]:
        """Return a request with a hint where there is one, and fields of its reply."""
        if not order.remembers or self.memory is None:
            return request, {}
        hinted, path = self.memory.hint(request)
        return hinted, {"cache": describe_hit(None, path)}

    def _write(self, request: ChatRequest, order: Order, report: Callable[[Vote], None], left: Event | None) -> _Draft:
        if order.votes:
            weight_of = make_weight_of(self.service, request, self.guide) if order.weighted and self.guide else None
            voted = vote(
                self.service, request, confidence=order.confidence, weight_of=weight_of, report=report, left=left
            )
            return _Draft(
                choice=voted.chosen,
                prompt_tokens=voted.prompt_tokens,
                tokens=voted.tokens,
                thinking_tokens=voted.thinking_tokens,
                vote=voted.vote,
            )
        if self.guide is not None and order.search is not None:
            return _to_draft(search(self.service, request, self.guide, order.search, left), "guided")
        if self.guide is not None and order.best_of:
            return _to_draft(best_of(self.service, request, self.guide, left), "best_of")
        reply = self.service.submit(request, streams=False)
        reply.join(left)
        (choice,) = reply.collect()
        return _Draft(
            choice=choice,
            prompt_tokens=reply.prompt_tokens,
            tokens=choice.tokens,
            thinking_tokens=choice.thinking_tokens,
        )

    def _review(
        self, request: ChatRequest, draft: _Draft, order: Order, more: dict[str, Any], left: Event | None
    ) -> Answer:
        """Let an answer out with how it was voted for, or keep all of it back."""
        derived_by: tuple[str, ...] = ()
        if self.reviewer is not None:
            decision = self.reviewer.check_answer(request, draft.choice, left)
            more, derived_by = more | {"review": _describe(decision)}, decision.derived_by
            if decision.action == "refuse":
                return _refuse(decision, more, draft)
            if decision.action != "answer":
                held = self.reviewer.hold(request, draft.choice, decision, order.client, order.webhook)
                more["review"] |= {"id": held, "poll": f"/v1/held/{held}"}
                return _keep_back(decision.refusal, more, draft)
        return Answer(
            choice=draft.choice,
            finish=draft.choice.finish,
            prompt_tokens=draft.prompt_tokens,
            tokens=draft.tokens,
            thinking_tokens=draft.thinking_tokens,
            more=more | draft.describe(),
            derived_by=derived_by,
        )


def _to_draft(found: Guided, method: str) -> _Draft:
    return _Draft(
        choice=found.chosen,
        prompt_tokens=found.prompt_tokens,
        tokens=found.tokens,
        thinking_tokens=found.thinking_tokens,
        guidance=found.describe(method),
    )


def _show_nothing(_: Vote) -> None:
    """Report a vote to nobody."""


def _describe(decision: Decision) -> dict[str, Any]:
    """Return a decision as JSON has it; the client learns the topics, and not which words gave it away."""
    return {"action": decision.action, "topics": list(decision.topics)}


def _refuse(decision: Decision, more: dict[str, Any], draft: _Draft | None = None) -> Answer:
    return _keep_back(decision.refusal, more | {"review": _describe(decision)}, draft)


def _keep_back(content: str, more: dict[str, Any], draft: _Draft | None) -> Answer:
    """Answer without the model's words, its chain among them."""
    choice = Choice(reasoning="", content=content, finish="stop", tokens=0, thinking_tokens=0)
    return Answer(
        choice=choice,
        finish="content_filter",
        prompt_tokens=draft.prompt_tokens if draft else 0,
        tokens=draft.tokens if draft else 0,
        thinking_tokens=draft.thinking_tokens if draft else 0,
        more=more,
    )
