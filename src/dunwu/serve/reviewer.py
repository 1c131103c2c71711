"""A policy before one service: it looks at questions and answers, has answers derived again, and holds them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from threading import Event

from dunwu.errors import Fault
from dunwu.rollout.seeds import derive_seed
from dunwu.serve.ballot import read_vote
from dunwu.serve.records import ChatRequest, Choice
from dunwu.serve.review.decision import Decision, Score, decide
from dunwu.serve.review.held_queue import HeldQueue
from dunwu.serve.review.policy import Policy
from dunwu.serve.review.verification import (
    Check,
    apply_verification,
    check_by_arithmetic,
    check_by_derivation,
    check_by_patterns,
    check_by_vote,
    verify,
)
from dunwu.serve.service import GenerationService
from dunwu.types import ToolCall


class Reviewer:
    """See the module.

    Args:
        policy: the rules.
        queue: where answers wait for a person.
        service: derives answers again, for a vote.
        score: the safety model, if there is one.
        second: derives answers again with the policy's other model; without it, what that should verify is held.
    """

    def __init__(
        self,
        policy: Policy,
        queue: HeldQueue,
        service: GenerationService,
        score: Score | None = None,
        second: GenerationService | None = None,
    ) -> None:
        self.policy, self.queue = policy, queue
        self._service, self._score, self._second = service, score, second

    def check_question(self, request: ChatRequest) -> Decision | None:
        """Return the decision on a question that is refused whatever the answer would be."""
        decision = decide(self.policy, _write_question(request), score=self._score)
        return decision if decision.action == "refuse" and decision.topics else None

    def check_answer(self, request: ChatRequest, choice: Choice, left: Event | None = None) -> Decision:
        """Decide on an answer: ``answer``, ``hold`` or ``refuse``. What is to be verified is, as the policy says.

        Args:
            request: what was asked.
            choice: the answer.
            left: set when nobody waits any more.

        Raises:
            Fault: whoever asked has left, so there is nobody to hold the answer for.
        """
        question = _write_question(request)
        decision = decide(self.policy, question, choice.reasoning, _write_answer(choice), score=self._score)
        if decision.action == "verify":
            found = verify(question, read_vote(choice.content), self._list_checks(request, choice, left))
            decision = apply_verification(decision, found)
        if left is not None and left.is_set():
            raise Fault("whoever asked has left")
        return decision

    def hold(self, request: ChatRequest, choice: Choice, decision: Decision, client: str, webhook: str | None) -> str:
        """Put an answer into the queue, and return the id by which the client asks for it.

        Raises:
            Fault: it could not be kept, and must not be released either.
        """
        return self.queue.hold(
            client,
            _write_question(request),
            choice.reasoning,
            _write_answer(choice),
            topics=decision.topics,
            reasons=decision.reasons,
            webhook=webhook,
        )

    def close(self) -> None:
        """Stop the other model, and close the queue's files."""
        if self._second is not None:
            self._second.stop(0.0)
        self.queue.close()

    def _list_checks(self, request: ChatRequest, choice: Choice, left: Event | None) -> Iterator[Check]:
        """Yield the checks that the policy names, those that cost least first."""
        spec = self.policy.verification
        if spec.must_match or spec.must_not_match:
            yield check_by_patterns(spec.must_match, spec.must_not_match)
        if spec.tool == "arithmetic":
            yield check_by_arithmetic(f"{choice.reasoning}\n{choice.content}")
        if spec.model is not None:
            yield check_by_derivation(f"model {spec.model}", lambda _: self._ask_second(request, left))
        if spec.vote is not None:
            count = spec.vote
            yield check_by_vote(lambda _: self._derive(request, count, left))

    def _derive(self, request: ChatRequest, count: int, left: Event | None) -> list[str | None]:
        """Sample final answers anew, under seeds that the first answer did not have."""
        seeds = tuple(derive_seed(request.seeds[0], "verification", index) for index in range(count))
        temperature = request.temperature or 1.0  # greedy samples would all say the same
        fresh = replace(request, seeds=seeds, temperature=temperature, top_logprobs=None)
        return _sample(self._service, fresh, left)

    def _ask_second(self, request: ChatRequest, left: Event | None) -> str | None:
        """Ask the other model, as it wants to be asked; it gets no tools, which its template may not know."""
        if self._second is None:
            raise Fault("the policy's other model is not open")
        temperature, top_p = self._second.model.sampling
        seeds = (derive_seed(request.seeds[0], "second model", 0),)
        fresh = replace(request, seeds=seeds, temperature=temperature, top_p=top_p, top_logprobs=None, tools=())
        return _sample(self._second, fresh, left)[0]


def _sample(service: GenerationService, request: ChatRequest, left: Event | None) -> list[str | None]:
    """Return the final answer of each sample; None for one that has none."""
    reply = service.submit(request, streams=False)
    reply.join(left)
    return [None if one.finish == "length" else read_vote(one.content) for one in reply.collect()]


def _write_question(request: ChatRequest) -> str:
    """Write all that the model is asked with: turns, calls of earlier ones, and what functions say of themselves."""
    turns = [text for turn in request.messages for text in (turn.content, *map(_write_call, turn.calls)) if text]
    return "\n\n".join([*turns, *(json.dumps(tool, ensure_ascii=False) for tool in request.tools)])


def _write_answer(choice: Choice) -> str:
    return "\n\n".join(text for text in (choice.content, *map(_write_call, choice.calls)) if text)


def _write_call(call: ToolCall) -> str:
    return f"{call.name} {call.arguments}"
