"""The built-in rollout engine: continuous batching over a key-value cache, on a CPU or one GPU."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from dunwu.errors import UserError
from dunwu.models.policy import Policy
from dunwu.models.weights import WeightUpdate, check_update
from dunwu.rollout.builtin.batch import Batch, Written
from dunwu.rollout.builtin.decoder import make_decoder
from dunwu.rollout.builtin.scheduler import SequenceState
from dunwu.rollout.builtin.stop_strings import cut, decode
from dunwu.rollout.engine import Sample
from dunwu.types import Completion, GenerationRequest, Sampling, VersionSpan


class TorchEngine:
    """See ``engine.Engine``. Keeps its own copy of the policy's weights.

    Args:
        policy: model and tokenizer; the device of the model is the engine's.
        max_sequences: completions that decode at once; halved for good when the device runs out of memory.
        version: what the first completions carry.

    Raises:
        UserError: the model's state is more than keys and values.
    """

    def __init__(self, policy: Policy, *, max_sequences: int, version: int = 0) -> None:
        self.policy_version = version
        self._tokenizer, self._eos_ids = policy.tokenizer, frozenset(policy.eos_ids)
        self._max_positions: int | None = getattr(policy.model.config, "max_position_embeddings", None)
        self._batch = Batch(make_decoder(policy.model), policy, max_sequences=max_sequences)

    @property
    def max_sequences(self) -> int:
        """Completions that decode at once."""
        return self._batch.max_sequences

    def update_weights(self, update: WeightUpdate) -> None:
        """See ``engine.Engine``."""
        places = self._batch.decoder.parameters
        check_update(update, places)
        with torch.inference_mode():
            for name, tensor in update.read():
                places[name].copy_(tensor)
        self.policy_version = update.version

    def close(self) -> None:
        """See ``engine.Engine``."""
        self._batch.allocate(0)

    def generate(
        self, requests: Sequence[GenerationRequest], sampling: Sampling
    ) -> Iterator[tuple[Sample, Completion]]:
        """See ``engine.Engine``.

        Raises:
            UserError: a prompt and its completion cannot fit the model's positions.
        """
        for finished in self.generate_by_step(requests, sampling):
            yield from finished

    def generate_by_step(
        self, requests: Sequence[GenerationRequest], sampling: Sampling
    ) -> Iterator[list[tuple[Sample, Completion]]]:
        """Yield what each decoder step finished, as ``generate`` does; mostly that is nothing."""
        self._check(requests, sampling)
        batch = self._batch
        batch.clear()
        batch.add(
            SequenceState(key=Sample(number, index), prompt=request.prompt.token_ids, seed=seed, sampling=sampling)
            for number, request in enumerate(requests)
            for index, seed in enumerate(request.seeds)
        )
        while batch.unfinished:
            written: list[Written] = []
            try:
                written = batch.step()
            except RuntimeError as error:
                if batch.max_sequences == 1 or not out_of_memory(error):
                    raise
                batch.allocate(batch.max_sequences // 2)
            yield [(one.state.key, self._complete(one)) for one in written]

    def _complete(self, written: Written) -> Completion:
        token_ids, stop = written.token_ids, written.state.sampling.stop
        words = token_ids[:-1] if token_ids[-1] in self._eos_ids else token_ids
        text = decode(self._tokenizer, words.tolist())
        return Completion(
            token_ids=token_ids,
            logprobs=written.logprobs,
            text=cut(text, stop),
            finish=written.finish,
            version_spans=(VersionSpan(version=self.policy_version, start=0, end=len(token_ids)),),
        )

    def _check(self, requests: Sequence[GenerationRequest], sampling: Sampling) -> None:
        longest = max((len(request.prompt.token_ids) for request in requests), default=0)
        if self._max_positions is not None and longest + sampling.max_new_tokens > self._max_positions:
            raise UserError(
                f"a prompt of {longest} tokens and {sampling.max_new_tokens} new ones exceed the model's "
                f"{self._max_positions} positions",
                field="rollout.max_new_tokens",
            )


def out_of_memory(error: RuntimeError) -> bool:
    """Whether the device, or the host that is the device, ran out of memory; for the host torch has no class."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)
