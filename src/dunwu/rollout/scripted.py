"""An engine without a model: completions from a function. What is above the engine is tested with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from dunwu.models.weights import WeightUpdate
from dunwu.rollout.engine import Sample
from dunwu.types import Completion, Finish, GenerationRequest, Problem, Sampling, VersionSpan

Script = Callable[[Problem, int], str]
"""(problem, seed) -> the text of the completion."""


class ScriptedEngine:
    """See ``engine.Engine``.

    A text is tokenized and ended by ``eos_id``; one that does not fit into ``max_new_tokens`` is cut, without it. The
    t-th token's log-probability is -1 / (t + 1). Completions come in reverse order, because any order is allowed.
    """

    def __init__(self, script: Script, tokenizer: Any, *, eos_id: int, version: int = 0) -> None:
        self.policy_version = version
        self._script, self._tokenizer, self._eos_id = script, tokenizer, eos_id

    def generate(
        self, requests: Sequence[GenerationRequest], sampling: Sampling
    ) -> Iterator[tuple[Sample, Completion]]:
        """See ``engine.Engine``."""
        for number, request in reversed(list(enumerate(requests))):
            for index, seed in reversed(list(enumerate(request.seeds))):
                text = self._script(request.prompt.problem, seed)
                yield Sample(number, index), self._complete(text, sampling)

    def update_weights(self, update: WeightUpdate) -> None:
        """Read the weights, as any engine would, and keep the version."""
        for _ in update.read():
            pass
        self.policy_version = update.version

    def close(self) -> None:
        """Do nothing: there is nothing to give back."""

    def _complete(self, text: str, sampling: Sampling) -> Completion:
        token_ids = [*self._tokenizer.encode(text, add_special_tokens=False), self._eos_id]
        finish: Finish = "stop"
        if len(token_ids) > sampling.max_new_tokens:
            token_ids, finish = token_ids[: sampling.max_new_tokens], "length"
            text = self._tokenizer.decode(token_ids)
        return Completion(
            token_ids=np.array(token_ids, dtype=np.int32),
            logprobs=(-1.0 / np.arange(1, len(token_ids) + 1)).astype(np.float32),
            text=text,
            finish=finish,
            version_spans=(VersionSpan(version=self.policy_version, start=0, end=len(token_ids)),),
        )
