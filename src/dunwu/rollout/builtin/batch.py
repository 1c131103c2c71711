"""Continuous batching: the sequences that decode together, which come and go one by one.

    schedule     waiting sequences enter free rows, several at a time; prompts are prefilled once
    run          one decoder step over rows 0..B-1: logits, a token drawn for each row, its log-probability
    postprocess  tokens to the host; ends of sequence, stop strings, length caps; the last rows fill ended ones' places

A step over few rows costs nearly as much as over many where the model is small, so rows stay dense.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int32, Int64
from torch import Tensor

from dunwu.models.policy import Policy
from dunwu.rollout.builtin.cache import KnownPrefix, KVCache
from dunwu.rollout.builtin.decoder import Decoder
from dunwu.rollout.builtin.drawing import draw_again, draw_each, find_refused, pick_kinds
from dunwu.rollout.builtin.fused import FusedDecoder
from dunwu.rollout.builtin.graphs import SHORTEST_SPAN, StepGraphs, round_up
from dunwu.rollout.builtin.kernel_decoder import KernelDecoder
from dunwu.rollout.builtin.prefix_store import PrefixStore
from dunwu.rollout.builtin.sampler import draw_tokens
from dunwu.rollout.builtin.scheduler import Rows, Scheduler, SequenceState
from dunwu.rollout.builtin.stop_strings import StopStrings
from dunwu.rollout.seeds import draw_uniforms
from dunwu.types import Finish, Sampling

PREFILL_TOKENS = 8192
FIRST_LENGTH = 256


class Written(NamedTuple):
    """A sequence that has ended, and what it wrote."""

    state: SequenceState
    token_ids: Int32[np.ndarray, " C"]
    logprobs: Float32[np.ndarray, " C"]
    finish: Finish


class Batch:
    """Decodes sequences, each by the same arithmetic whatever stands beside it.

    Args:
        decoder: computes the model; several batches may share one.
        policy: its tokenizer, special tokens and device.
        max_sequences: completions that decode at once.
        room: positions that the key-value cache may hold; None for any number.
        prefill_tokens: of prompts that are read in one step; longer ones are read in pieces, where the decoder can.
        prefixes: prompts that were read, for those that begin alike.
    """

    def __init__(
        self,
        decoder: Decoder,
        policy: Policy,
        *,
        max_sequences: int,
        room: int | None = None,
        prefill_tokens: int = PREFILL_TOKENS,
        prefixes: PrefixStore | None = None,
    ) -> None:
        self.decoder = decoder
        self._tokenizer, self._pad_id = policy.tokenizer, policy.pad_id
        self._eos_ids = np.array(policy.eos_ids)
        self._device: torch.device = policy.model.device
        self._room, self._prefill_tokens, self.prefixes = room, prefill_tokens, prefixes
        self._graphs = StepGraphs(self._step)
        self._graphed = self._device.type == "cuda" and isinstance(decoder, FusedDecoder)
        self._stops: dict[tuple[str, ...], StopStrings] = {}
        self._scheduler = Scheduler()
        self._owes_step = False
        self._limit = 0
        self._ended: list[Written] = []
        self._rows = Rows(0, self._device)
        self.allocate(max_sequences)

    @property
    def max_sequences(self) -> int:
        """Completions that decode at once."""
        return self._cache.rows

    @property
    def states(self) -> list[SequenceState]:
        """The sequences that decode, and those that wait for a row."""
        return [*self._rows.states, *self._scheduler.waiting]

    @property
    def unfinished(self) -> int:
        """How many sequences decode or wait."""
        return len(self._rows.states) + len(self._scheduler.waiting)

    def add(self, states: Iterable[SequenceState]) -> None:
        """Put sequences behind those that wait."""
        self._scheduler.add(states)

    def drop(self, states: Collection[SequenceState]) -> None:
        """Give up sequences, waiting or decoding; their rows are free at once."""
        if not states:
            return
        self._scheduler.drop(states)
        gone = [row for row, state in enumerate(self._rows.states) if state in states]
        if gone:
            self._leave(np.array(gone))

    def clear(self) -> None:
        """Give up everything."""
        self._scheduler = Scheduler()
        self._rows.clear()
        self._ended = []
        self._owes_step = False

    def allocate(self, max_sequences: int) -> None:
        """Make a new, empty cache; the old one is given back first, and what decodes is put before what waits."""
        self._scheduler.requeue(self._rows.states)
        self._graphs.clear()
        self._cache = KVCache(max_sequences, self._room)
        self._rows = Rows(max_sequences, self._device)
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def step(self) -> list[Written]:
        """Read waiting prompts, or decode one token of each row.

        Returns:
            The sequences that ended with this step, and with one before it that failed after they had.
        """
        self._take_step()
        ended, self._ended = self._ended, []
        return ended

    @torch.inference_mode()
    def _take_step(self) -> None:
        rows = self._rows
        first = len(rows.states)
        free = self.max_sequences - first
        wanted = min(len(self._scheduler.waiting), max(1, self.max_sequences // 8))
        admitted: list[SequenceState] = []
        if 0 < wanted <= free and not (self._owes_step and first):
            admitted = self._scheduler.admit(free, self._prefill_tokens, rows, self._room)
        if (admitted and self._read_piece(admitted)) or not (admitted or first):
            return
        self._owes_step = False
        self._limit = max(self._limit if first else 0, *(state.longest for state in admitted), 0)
        if admitted:
            rows.enter(admitted)
            tokens, logprobs = self._prefill(first, admitted)
        else:
            first = 0
            tokens, logprobs = self._decode()
        written = tokens.cpu().numpy()
        rows.record(first, written, logprobs.cpu().numpy())
        self._retire(first, written)

    def _read_piece(self, admitted: list[SequenceState]) -> bool:
        """Read a piece of a prompt that is too long for one step, and put all back; or say that there is none."""
        state = admitted[0]
        self._find_known(state)
        done = state.known.length if state.known else 0
        if not isinstance(self.decoder, KernelDecoder) or len(state.prompt) - done <= self._prefill_tokens:
            return False
        self._scheduler.requeue(admitted)
        self._owes_step = True
        piece = state.prompt[: done + self._prefill_tokens]
        _, layers = self._read([piece], [state.known])
        state.known = KnownPrefix.of_prompt(layers, 0, len(piece))
        return True

    def _find_known(self, state: SequenceState) -> None:
        if self.prefixes is not None and state.known is None:
            state.known = self.prefixes.find(state.prompt)

    def _prefill(
        self, first: int, states: Sequence[SequenceState]
    ) -> tuple[Int64[Tensor, " R"], Float32[Tensor, " R"]]:
        """Read each prompt once, copy it to its rows, and draw their first tokens."""
        of_prompt = {id(state.prompt): state for state in states}
        order = list(of_prompt)
        for state in of_prompt.values():
            self._find_known(state)
        prompts = [state.prompt for state in of_prompt.values()]
        logits_NV, layers = self._read(prompts, [state.known for state in of_prompt.values()])
        prompt_of_row = torch.tensor([order.index(id(state.prompt)) for state in states], device=self._device)
        longest = max(map(len, prompts))
        self._reserve(max(longest, min(self._limit, FIRST_LENGTH)), len(self._rows.states))
        self._cache.insert(first, layers, prompt_of_row)
        self._cache.shared = self._rows.find_shared()
        for state in states:
            state.known = None
        if self.prefixes is not None:
            for number, prompt in enumerate(prompts):
                self.prefixes.keep(prompt, layers, number)
        return self._draw(first, logits_NV[prompt_of_row])

    def _read(
        self, prompts: Sequence[Int32[np.ndarray, " P"]], known: Sequence[KnownPrefix | None]
    ) -> tuple[Float[Tensor, "N V"], list[tuple[Tensor, Tensor]]]:
        lengths = [len(prompt) for prompt in prompts]
        padded = np.full((len(prompts), max(lengths)), self._pad_id, dtype=np.int64)
        for line, prompt in zip(padded, prompts, strict=True):
            line[: len(prompt)] = prompt
        tokens_NP = torch.from_numpy(padded).to(self._device)
        last_N = torch.tensor(lengths, device=self._device) - 1
        if any(known) and isinstance(self.decoder, KernelDecoder):
            return self.decoder.continue_prefill(tokens_NP, last_N, known)
        return self.decoder.prefill(tokens_NP, last_N)

    def _decode(self) -> tuple[Int64[Tensor, " B"], Float32[Tensor, " B"]]:
        """Draw one more token for every row."""
        count = len(self._rows.states)
        span, ragged = self._rows.measure()
        kinds = self._rows.find_kinds(0)
        if not self._graphed or len(kinds) > 1 or self._rows.find_steered(0):
            self._reserve(span, count)
            return self._step(count, span, ragged, None)
        self._reserve(round_up(span, self._limit, SHORTEST_SPAN), self.max_sequences)
        span = round_up(span, self._cache.length, SHORTEST_SPAN)
        padded = round_up(count, self.max_sequences)
        tokens, logprobs = self._graphs.run(padded, span, kinds[0][0], self._rows.state)
        return tokens[:count], logprobs[:count]

    def _step(
        self, count: int, span: int, ragged: bool, sampling: Sampling | None
    ) -> tuple[Int64[Tensor, " B"], Float32[Tensor, " B"]]:
        """Decode the first ``count`` rows and draw; by one sampling on the device alone, so that a graph can hold it.

        In a graph some of these rows may be empty: what they hold is kept inside the span, computed, and ignored.
        """
        rows, live = self._rows, slice(0, count)
        positions_B = rows.positions[live].clamp(max=span - 1)
        logits_BV = self.decoder.decode(rows.last[live], positions_B, self._cache, span, ragged)
        if sampling is None:
            return self._draw(0, logits_BV)
        uniforms_B = draw_uniforms(rows.keys[live], rows.counts[live])
        tokens_B, logprobs_B = draw_tokens(logits_BV, uniforms_B, sampling)
        rows.advance(0, tokens_B)
        return tokens_B, logprobs_B

    def _draw(self, first: int, logits_BV: Float[Tensor, "B V"]) -> tuple[Int64[Tensor, " B"], Float32[Tensor, " B"]]:
        """Draw a token for each row from ``first`` on, by its own sampling and under its restrictions.

        A token that may not come is drawn again, of those that may, by another number. So the distribution is that of a
        draw of these alone, and a restriction that refuses nothing changes nothing.
        """
        rows, live = self._rows, slice(first, len(self._rows.states))
        steered = rows.find_steered(first)
        self._logits = logits_BV if any(steering.reads_logits for _, steering in steered) else None
        kinds = rows.find_kinds(first)
        keys_SB = torch.stack((rows.keys[live], ~rows.keys[live])) if steered else rows.keys[live][None]
        uniforms_SB = draw_uniforms(keys_SB, rows.counts[live])
        tokens_B, logprobs_B = draw_each(logits_BV, uniforms_SB[0], kinds)
        refused = find_refused(tokens_B, steered)
        if certain := [(row, allowed) for row, allowed in refused if isinstance(allowed, int)]:
            rows_R, only_R = torch.tensor(certain, device=self._device).T
            tokens_B[rows_R], logprobs_B[rows_R] = only_R, 0.0
        if masks := [(row, allowed) for row, allowed in refused if not isinstance(allowed, int)]:
            again_R = torch.tensor([row for row, _ in masks], device=self._device)
            found = [allowed for _, allowed in masks]
            others_R, their_logprobs_R = draw_again(
                logits_BV[again_R], uniforms_SB[1, again_R], pick_kinds(kinds, again_R), found
            )
            tokens_B[again_R], logprobs_B[again_R] = others_R, their_logprobs_R
        rows.advance(first, tokens_B)
        return tokens_B, logprobs_B

    def _retire(self, first: int, tokens: Int64[np.ndarray, " R"]) -> None:
        """Take out the rows that ended with these tokens."""
        rows = self._rows
        stopped = (tokens[:, None] == self._eos_ids).any(axis=1) | self._find_stopped(first, tokens)
        token_ids = tokens.tolist()
        for row, steering in rows.find_steered(first):
            logits_V = self._logits[row] if self._logits is not None and steering.reads_logits else None
            if steering.follow(token_ids[row], logits_V):
                stopped[row] = True
        ended = np.flatnonzero(stopped | rows.find_full(first))
        self._ended += [
            Written(rows.states[first + row], *rows.copy_row(first + row), "stop" if stopped[row] else "length")
            for row in ended.tolist()
        ]
        if len(ended):
            self._leave(first + ended)

    @torch.inference_mode()
    def _leave(self, dead: Int64[np.ndarray, " R"]) -> None:
        source, target = self._rows.leave(dead)
        if not self._rows.states:
            if self._room is not None:
                self._cache.release()
            return
        if len(source):
            self._cache.move(source, target, self._rows.measure()[0])
        self._cache.shared = self._rows.find_shared()

    def _find_stopped(self, first: int, tokens: Int64[np.ndarray, " R"]) -> Bool[np.ndarray, " R"]:
        """Find which of these rows have just completed a stop string."""
        stopped = np.zeros(len(tokens), dtype=bool)
        for sampling, places in self._rows.find_kinds(first):
            if not sampling.stop:
                continue
            strings = self.find_stop_strings(sampling.stop)
            known = tokens < len(strings.candidates)
            candidates = known & strings.candidates[np.where(known, tokens, 0)]
            for row in np.flatnonzero(candidates) if places is None else places[candidates[places]]:
                stopped[row] = strings.hit(self._rows.copy_row(first + int(row))[0])
        return stopped

    def find_stop_strings(self, stop: tuple[str, ...]) -> StopStrings:
        """Return what finds these strings; made once."""
        if stop not in self._stops:
            self._stops[stop] = StopStrings(self._tokenizer, stop)
        return self._stops[stop]

    def _reserve(self, length: int, rows: int) -> None:
        if self._cache.reserve(length, self._limit, rows):
            self._graphs.clear()
