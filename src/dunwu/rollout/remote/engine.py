"""An engine whose model is behind an OpenAI-compatible server; only evaluations have one.

Several questions wait for their answers at a time, each in a thread of its own. The messages are sent as they are: the
server applies the model's chat template.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Any

import numpy as np

from dunwu.config.schema import ServedModel
from dunwu.models.weights import WeightUpdate
from dunwu.rollout.builtin.stop_strings import cut
from dunwu.rollout.engine import Sample
from dunwu.rollout.remote import Server
from dunwu.rollout.remote.replies import ChatReply, read_reply
from dunwu.rollout.remote.request_fields import NEUTRAL
from dunwu.runs.server_records import ServerRecord
from dunwu.types import Completion, Finish, GenerationRequest, Problem, Sampling

UNNAMED = -1
"""In ``token_ids``: a token of which a server says that it was written, not which it is."""
BYTES_A_TOKEN = 4
"""Of a text whose tokens the server does not count: the field's rule of thumb."""
MOST_TOKENS = 2**20
"""Of a completion, whatever a server says."""
SEEDS = 2**31
"""Some servers keep a seed in 32 bits, with a sign."""

Done = tuple[Sample, Completion] | BaseException | None


class EndpointEngine:
    """See ``engine.Engine``.

    ``token_ids`` are as many ``UNNAMED`` as the server says that it wrote (``usage.completion_tokens``), or as the text
    has bytes / 4 where it does not say, or says more than it was allowed and than the text has bytes; ``logprobs`` are
    NaN. Reasoning that a server gives apart stands before the answer, in think tags. Every end but ``length`` counts as
    a stop. Most servers leave a stop string out of the text; where one says which it was (``stop_reason``), it is put
    back. Sampling is temperature and top-p alone: what else a server may do by itself is sent as switched off. Each
    sample sends its seed: a server that refuses seeds gives something else each time.

    Args:
        spec: the model and how it is asked.
        place: where it stands in its stage, for errors.

    Raises:
        UserError: the recipe names a variable for the key that is not set.
    """

    policy_version = 0

    def __init__(self, spec: ServedModel, place: str) -> None:
        self._server, self._at_once = Server(spec, place), spec.concurrency

    @property
    def record(self) -> ServerRecord | None:
        """See ``Server.record``."""
        return self._server.record

    def reach(self) -> None:
        """Look whether anybody is at the address.

        Raises:
            UserError: nobody is.
        """
        self._server.reach()

    def generate(
        self, requests: Sequence[GenerationRequest], sampling: Sampling
    ) -> Iterator[tuple[Sample, Completion]]:
        """See ``engine.Engine``. The first error ends all of it; what is under way then is not waited for.

        Raises:
            UserError: the server refuses.
            Fault: it gives no answer.
        """
        waiting, done, stop = SimpleQueue[tuple[Sample, Problem, int]](), SimpleQueue[Done](), Event()
        wanted = 0
        for number, request in enumerate(requests):
            for index, seed in enumerate(request.seeds):
                waiting.put((Sample(number, index), request.prompt.problem, seed))
                wanted += 1
        for _ in range(min(self._at_once, wanted)):
            Thread(target=self._work, args=(waiting, sampling, done, stop), name="endpoint", daemon=True).start()
        try:
            for _ in range(wanted):
                result = done.get()
                if isinstance(result, BaseException):
                    raise result
                assert result is not None
                yield result
        finally:
            stop.set()

    def update_weights(self, update: WeightUpdate) -> None:
        """Refuse: a server's weights are its own."""
        raise AssertionError("nothing trains a model behind a server")

    def close(self) -> None:
        """Do nothing: there is nothing to give back."""

    def _work(
        self,
        waiting: SimpleQueue[tuple[Sample, Problem, int]],
        sampling: Sampling,
        done: SimpleQueue[Done],
        stop: Event,
    ) -> None:
        """Answer sample after sample while there are any: one thread."""
        while not stop.is_set():
            try:
                sample, problem, seed = waiting.get_nowait()
            except Empty:  # another thread was quicker
                return
            try:
                done.put((sample, self._ask(problem, seed, sampling)))
            except BaseException as error:  # raised again where the completions are read
                done.put(error)
                return

    def _ask(self, problem: Problem, seed: int, sampling: Sampling) -> Completion:
        body: dict[str, Any] = {
            "messages": [{"role": message.role, "content": message.content} for message in problem.messages],
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            **NEUTRAL,
            "max_tokens": sampling.max_new_tokens,
            **({"stop": list(sampling.stop)} if sampling.stop else {}),
            "seed": seed % SEEDS,
        }
        return self._server.complete(body, lambda reply: _completion(read_reply(reply), sampling))


def _completion(reply: ChatReply, sampling: Sampling) -> Completion:
    text = reply.text
    if reply.ended in sampling.stop and not text.endswith(str(reply.ended)):
        text += str(reply.ended)
    whole, text = text, cut(text, sampling.stop)  # not every server knows stop strings
    most = max(sampling.max_new_tokens, len(whole.encode()))
    tokens = reply.tokens if reply.tokens is not None and reply.tokens <= most else _estimate_tokens(whole)
    return make_unnamed_completion(text, reply.finish if text == whole else "stop", min(tokens, MOST_TOKENS))


def make_unnamed_completion(text: str, finish: Finish, tokens: int) -> Completion:
    """Make a completion whose tokens nobody names.

    Args:
        text: what was written.
        finish: why it ended.
        tokens: how many.
    """
    return Completion(
        token_ids=np.full(tokens, UNNAMED, np.int32),
        logprobs=np.full(tokens, np.nan, np.float32),
        text=text,
        finish=finish,
    )


def _estimate_tokens(text: str) -> int:
    return -(-len(text.encode()) // BYTES_A_TOKEN)
