"""A policy before one service: it looks at questions and answers, has answers derived again, and holds them."""

from __future__ import annotations

import json
from dataclasses import replace
from threading import Event
from typing import Final

from dunwu.rollout.seeds import derive_seed
from dunwu.serve.ballot import read_vote
from dunwu.serve.records import ChatRequest, Choice
from dunwu.serve.review.decision import Decision, Score, decide
from dunwu.serve.review.held_queue import HeldQueue
from dunwu.serve.review.policy import Policy
from dunwu.serve.review.verification import Check, apply_verification, check_by_vote, verify
from dunwu.serve.service import GenerationService
from dunwu.types import ToolCall

SAMPLES: Final = 8
"""Fresh samples of the second verification."""


class Reviewer:
    """See the module.

    Args:
        policy: the rules.
        queue: where answers wait for a person.
        service: derives answers again.
        score: the safety model, if there is one.
        checks: of the second verification, beside the vote of fresh samples.
    """

    def __init__(
        self,
        policy: Policy,
        queue: HeldQueue,
        service: GenerationService,
        score: Score | None = None,
        checks: tuple[Check, ...] = (),
    ) -> None:
        self.queue = queue
        self._policy, self._service, self._score, self._checks = policy, service, score, checks

    def check_question(self, request: ChatRequest) -> Decision | None:
        """Return the decision on a question that is refused whatever the answer would be."""
        decision = decide(self._policy, _write_question(request), score=self._score)
        return decision if decision.action == "refuse" and decision.topics else None

    def check_answer(self, request: ChatRequest, choice: Choice, left: Event | None = None) -> Decision:
        """Decide on an answer: ``answer``, ``hold`` or ``refuse``. What is to be verified is, by fresh samples.

        Args:
            request: what was asked.
            choice: the answer.
            left: set when nobody waits any more.
        """
        question = _write_question(request)
        decision = decide(self._policy, question, choice.reasoning, _write_answer(choice), score=self._score)
        if decision.action != "verify":
            return decision
        vote = check_by_vote(lambda _: self._derive(request, left))
        return apply_verification(decision, verify(question, read_vote(choice.content), (vote, *self._checks)))

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

    def _derive(self, request: ChatRequest, left: Event | None) -> list[str | None]:
        """Sample final answers anew, under seeds that the first answer did not have."""
        seeds = tuple(derive_seed(request.seeds[0], "verification", index) for index in range(SAMPLES))
        temperature = request.temperature or 1.0  # greedy samples would all say the same
        fresh = replace(request, seeds=seeds, temperature=temperature, top_logprobs=None)
        reply = self._service.submit(fresh, streams=False)
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
