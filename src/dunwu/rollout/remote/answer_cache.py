"""An engine behind a server that does not ask again what was answered before a stop: answers are paid for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from dunwu.models.weights import WeightUpdate
from dunwu.rollout.engine import Sample
from dunwu.rollout.remote.engine import EndpointEngine, make_unnamed_completion
from dunwu.runs.answer_log import AnswerLog, LoggedAnswer
from dunwu.types import Completion, GenerationRequest, Sampling


class CachingEngine:
    """See ``engine.Engine``. What the file holds comes first; what is new goes into it as it comes."""

    def __init__(self, engine: EndpointEngine, answers: AnswerLog) -> None:
        self._engine, self._answers = engine, answers

    @property
    def policy_version(self) -> int:
        """See ``engine.Engine``."""
        return self._engine.policy_version

    def generate(
        self, requests: Sequence[GenerationRequest], sampling: Sampling
    ) -> Iterator[tuple[Sample, Completion]]:
        """See ``engine.Engine``.

        Raises:
            UserError: the file is damaged, or see ``EndpointEngine``.
            Fault: see ``EndpointEngine``.
        """
        known, left, places = self._answers.read(), list[GenerationRequest](), list[list[Sample]]()
        for number, request in enumerate(requests):
            asked = [(Sample(number, index), seed) for index, seed in enumerate(request.seeds)]
            yield from ((sample, make_unnamed_completion(*known[seed])) for sample, seed in asked if seed in known)
            new = [(sample, seed) for sample, seed in asked if seed not in known]
            left.append(replace(request, seeds=tuple(seed for _, seed in new)))
            places.append([sample for sample, _ in new])
        for found, completion in self._engine.generate(left, sampling):
            answer = LoggedAnswer(completion.text, completion.finish, len(completion.token_ids))
            self._answers.append(left[found.request].seeds[found.index], answer)
            yield places[found.request][found.index], completion

    def update_weights(self, update: WeightUpdate) -> None:
        """See ``EndpointEngine``."""
        self._engine.update_weights(update)

    def close(self) -> None:
        """Do nothing: there is nothing to give back."""
