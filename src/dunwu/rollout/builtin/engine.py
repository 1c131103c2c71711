"""The built-in rollout engine: continuous batching over a key-value cache, on a CPU or one GPU.

    schedule     finished rows leave, the last rows fill their places, waiting samples enter; prompts are prefilled once
    run          one decoder step over rows 0..B-1: logits, a token drawn for each row, its log-probability
    postprocess  tokens to the host; end of sequence, stop strings, length caps; completions that are finished

A step over few rows costs nearly as much as over many where the model is small, so rows stay dense and samples enter
several at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor

from dunwu.errors import UserError
from dunwu.models.policy import Policy
from dunwu.models.weights import WeightUpdate, check_update
from dunwu.rollout.builtin.cache import KVCache
from dunwu.rollout.builtin.decoder import make_decoder
from dunwu.rollout.builtin.fused import FusedDecoder
from dunwu.rollout.builtin.graphs import SHORTEST_SPAN, StepGraphs, round_up
from dunwu.rollout.builtin.sampler import draw_tokens
from dunwu.rollout.builtin.scheduler import Rows, Scheduler
from dunwu.rollout.builtin.stop_strings import StopStrings, decode
from dunwu.rollout.engine import Sample
from dunwu.rollout.seeds import draw_uniforms
from dunwu.types import Completion, Finish, GenerationRequest, Sampling, VersionSpan

PREFILL_TOKENS = 8192
FIRST_LENGTH = 256


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
        self._tokenizer, self._pad_id = policy.tokenizer, policy.pad_id
        self._eos_ids = frozenset(policy.eos_ids)
        self._device: torch.device = policy.model.device
        self._max_positions: int | None = getattr(policy.model.config, "max_position_embeddings", None)
        self._decoder = make_decoder(policy.model)
        self._graphs = StepGraphs(self._step)
        self._graphed = self._device.type == "cuda" and isinstance(self._decoder, FusedDecoder)
        self._stops: dict[tuple[str, ...], StopStrings] = {}
        self._allocate(max_sequences)

    @property
    def max_sequences(self) -> int:
        """Completions that decode at once."""
        return self._cache.rows

    def update_weights(self, update: WeightUpdate) -> None:
        """See ``engine.Engine``."""
        places = self._decoder.parameters
        check_update(update, places)
        with torch.inference_mode():
            for name, tensor in update.read():
                places[name].copy_(tensor)
        self.policy_version = update.version

    def close(self) -> None:
        """See ``engine.Engine``."""
        self._allocate(0)

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
        scheduler = Scheduler(requests)
        self._rows.clear(sampling.max_new_tokens)
        limit = max((len(request.prompt.token_ids) for request in requests), default=0) + sampling.max_new_tokens
        while scheduler.unfinished:
            try:
                self._advance(scheduler, requests, sampling, limit)
            except RuntimeError as error:
                if self.max_sequences == 1 or not out_of_memory(error):
                    raise
                scheduler.requeue(self._rows.samples)
                self._allocate(self.max_sequences // 2)
                self._rows.clear(sampling.max_new_tokens)
            yield scheduler.take_finished()

    @torch.inference_mode()
    def _advance(
        self, scheduler: Scheduler, requests: Sequence[GenerationRequest], sampling: Sampling, limit: int
    ) -> None:
        """Take one step: schedule, run, postprocess."""
        rows = self._rows
        first = len(rows.samples)
        free = self.max_sequences - first
        if scheduler.waiting and (not first or free >= max(1, self.max_sequences // 8)):
            samples = scheduler.admit(free, PREFILL_TOKENS)
            rows.enter(samples, requests)
            tokens, logprobs = self._prefill(first, samples, requests, sampling, limit)
        else:
            first = 0
            tokens, logprobs = self._decode(sampling, limit)
        written = tokens.cpu().numpy()
        rows.record(first, written, logprobs.cpu().numpy())
        self._retire(first, written, scheduler, sampling)

    def _prefill(
        self,
        first: int,
        samples: Sequence[Sample],
        requests: Sequence[GenerationRequest],
        sampling: Sampling,
        limit: int,
    ) -> tuple[Int64[Tensor, " R"], Float32[Tensor, " R"]]:
        """Read each prompt once, copy it to its rows, and draw their first tokens."""
        order = list(dict.fromkeys(sample.request for sample in samples))
        prompts = [requests[request].prompt.token_ids for request in order]
        lengths = [len(prompt) for prompt in prompts]
        padded = np.full((len(prompts), max(lengths)), self._pad_id, dtype=np.int64)
        for line, prompt in zip(padded, prompts, strict=True):
            line[: len(prompt)] = prompt
        last_N = torch.tensor(lengths, device=self._device) - 1
        logits_NV, layers = self._decoder.prefill(torch.from_numpy(padded).to(self._device), last_N)
        prompt_of_row = torch.tensor([order.index(sample.request) for sample in samples], device=self._device)
        self._reserve(max(max(lengths), min(limit, FIRST_LENGTH)), limit)
        self._cache.insert(first, layers, prompt_of_row)
        self._cache.shared = self._rows.find_shared()
        return self._draw(slice(first, first + len(samples)), logits_NV[prompt_of_row], sampling)

    def _decode(self, sampling: Sampling, limit: int) -> tuple[Int64[Tensor, " B"], Float32[Tensor, " B"]]:
        """Draw one more token for every row."""
        count = len(self._rows.samples)
        span, ragged = self._rows.measure()
        if not self._graphed:
            self._reserve(span, limit)
            return self._step(count, span, ragged, sampling)
        self._reserve(round_up(span, limit, SHORTEST_SPAN), limit)
        span = round_up(span, self._cache.length, SHORTEST_SPAN)
        tokens, logprobs = self._graphs.run(round_up(count, self.max_sequences), span, sampling, self._rows.state)
        return tokens[:count], logprobs[:count]

    def _step(
        self, count: int, span: int, ragged: bool, sampling: Sampling
    ) -> tuple[Int64[Tensor, " B"], Float32[Tensor, " B"]]:
        """Decode the first ``count`` rows and draw; on the device alone, so that a graph can hold it.

        In a graph some of these rows may be empty: what they hold is kept inside the span, computed, and ignored.
        """
        rows, live = self._rows, slice(0, count)
        positions_B = rows.positions[live].clamp(max=span - 1)
        logits_BV = self._decoder.decode(rows.last[live], positions_B, self._cache, span, ragged)
        rows.positions[live] += 1
        return self._draw(live, logits_BV, sampling)

    def _draw(
        self, live: slice, logits_BV: Float[Tensor, "B V"], sampling: Sampling
    ) -> tuple[Int64[Tensor, " B"], Float32[Tensor, " B"]]:
        rows = self._rows
        tokens_B, logprobs_B = draw_tokens(logits_BV, draw_uniforms(rows.keys[live], rows.counts[live]), sampling)
        rows.last[live] = tokens_B
        rows.counts[live] += 1
        return tokens_B, logprobs_B

    def _retire(self, first: int, tokens: Int64[np.ndarray, " R"], scheduler: Scheduler, sampling: Sampling) -> None:
        """Take out the rows that ended with these tokens."""
        rows = self._rows
        by_token = np.isin(tokens, list(self._eos_ids))
        by_text = self._find_stopped(first, tokens, sampling.stop)
        ended = by_token | by_text | (rows.count_tokens(first) >= sampling.max_new_tokens)
        for offset in np.flatnonzero(ended):
            finish: Finish = "stop" if by_token[offset] or by_text[offset] else "length"
            completion = self._completion(int(first + offset), finish, sampling.stop)
            scheduler.finish(rows.samples[first + offset], completion)
        if ended.any():
            source, target = rows.leave(first + np.flatnonzero(ended))
            if len(source):
                self._cache.move(source, target, rows.measure()[0])
            self._cache.shared = rows.find_shared()

    def _find_stopped(
        self, first: int, tokens: Int64[np.ndarray, " R"], stop: tuple[str, ...]
    ) -> Bool[np.ndarray, " R"]:
        """Find which of these rows have just completed a stop string."""
        stopped = np.zeros(len(tokens), dtype=bool)
        if stop:
            if stop not in self._stops:
                self._stops[stop] = StopStrings(self._tokenizer, stop)
            strings = self._stops[stop]
            known = tokens < len(strings.candidates)
            for row in np.flatnonzero(known & strings.candidates[np.where(known, tokens, 0)]):
                stopped[row] = strings.hit(self._rows.copy_row(first + int(row))[0])
        return stopped

    def _completion(self, row: int, finish: Finish, stop: tuple[str, ...]) -> Completion:
        token_ids, logprobs = self._rows.copy_row(row)
        words = token_ids[:-1] if token_ids[-1] in self._eos_ids else token_ids
        text = decode(self._tokenizer, words.tolist())
        return Completion(
            token_ids=token_ids,
            logprobs=logprobs,
            text=self._stops[stop].cut(text) if stop else text,
            finish=finish,
            version_spans=(VersionSpan(version=self.policy_version, start=0, end=len(token_ids)),),
        )

    def _reserve(self, length: int, limit: int) -> None:
        if self._cache.reserve(length, limit):
            self._graphs.clear()

    def _allocate(self, max_sequences: int) -> None:
        """Make a new, empty cache; the old one is given back first."""
        self._graphs.clear()
        self._cache = KVCache(max_sequences)
        self._rows = Rows(max_sequences, self._device)
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

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
