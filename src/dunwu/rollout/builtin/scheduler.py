"""Which sequences wait, and which rows decode.

S rows at most, B rows that decode (always the first B), C tokens of a completion.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int32, Int64, UInt8
from torch import Tensor

from dunwu.rollout.builtin.cache import KnownPrefix
from dunwu.rollout.seeds import derive_stream_keys, to_tensor
from dunwu.types import Sampling

Mask = UInt8[np.ndarray, " W"]
"""A bit for each token, the lowest first."""
Allowed = int | Mask
"""What may come next: a single token, or those of a mask."""


class Steering(Protocol):
    """Follows a completion while it is written: it may refuse the token that comes next, and ends it.

    Attributes:
        reads_logits: ``follow`` gets the logits that its token was drawn from.
    """

    reads_logits: bool

    def restrict(self, token_id: int) -> Allowed | None:
        """Say what may come next in the place of a token that may not; None where it may."""

    def follow(self, token_id: int, logits_V: Float[Tensor, " V"] | None) -> bool:
        """Take the token that was written.

        Args:
            token_id: the token.
            logits_V: before any restriction; None where they are not read.

        Returns:
            Whether the completion ends with it.
        """


@dataclass(slots=True, eq=False, kw_only=True)
class SequenceState:
    """A completion that waits or decodes.

    Attributes:
        key: what the caller knows it by.
        prompt: its tokens; sequences that hold the same array are read once.
        seed: of its random stream.
        sampling: how its tokens are drawn.
        steering: who follows it, if anybody does.
        known: what of the prompt has been read already.
    """

    key: Any
    prompt: Int32[np.ndarray, " P"]
    seed: int
    sampling: Sampling
    steering: Steering | None = None
    known: KnownPrefix | None = None

    @property
    def longest(self) -> int:
        """Tokens of prompt and completion, at most."""
        return len(self.prompt) + self.sampling.max_new_tokens


class Scheduler:
    """The queue of sequences that have no row yet."""

    def __init__(self) -> None:
        self.waiting: deque[SequenceState] = deque()

    def add(self, states: Iterable[SequenceState]) -> None:
        """Put sequences behind those that wait."""
        self.waiting.extend(states)

    def requeue(self, states: Sequence[SequenceState]) -> None:
        """Put sequences before those that wait."""
        self.waiting.extendleft(reversed(states))

    def drop(self, states: Collection[SequenceState]) -> None:
        """Take sequences out."""
        self.waiting = deque(state for state in self.waiting if state not in states)

    def admit(self, free: int, tokens: int, rows: Rows, room: int | None) -> list[SequenceState]:
        """Take sequences for free rows.

        Args:
            free: rows that are free.
            tokens: of different prompts, padded, at most; but for the first sequence.
            rows: those that decode.
            room: positions that all rows may need, each as many as the longest; but for a single row. None: any number.
        """
        decoding, longest = len(rows.states), rows.find_longest()
        admitted: list[SequenceState] = []
        prompts, width = 0, 0
        while self.waiting and len(admitted) < free:
            state = self.waiting[0]
            prompts += not admitted or admitted[-1].prompt is not state.prompt
            width = max(width, len(state.prompt))
            longest = max(longest, state.longest)
            if admitted and prompts * width > tokens:
                break
            count = decoding + len(admitted)
            if room is not None and count and (count + 1) * longest > room:
                break
            admitted.append(self.waiting.popleft())
        return admitted


class Rows:
    """The sequences that decode, and what each has written so far.

    On the device, for the next step: ``last`` token, the random stream's ``keys``, the last token's ``positions``, and
    ``counts`` of tokens drawn, all i64[S]. On the host the tokens and log-probabilities.
    """

    def __init__(self, size: int, device: torch.device) -> None:
        self.states: list[SequenceState] = []
        self.state: Int64[Tensor, "4 S"] = torch.zeros(4, size, dtype=torch.int64, device=device)
        self.last, self.keys, self.positions, self.counts = self.state
        self._tokens = np.empty((size, 0), dtype=np.int32)
        self._logprobs = np.empty((size, 0), dtype=np.float32)
        self._lengths = np.zeros(size, dtype=np.int64)
        self._prompt_lengths = np.zeros(size, dtype=np.int64)
        self._caps = np.zeros(size, dtype=np.int64)
        self._prompts = np.zeros(size, dtype=np.int64)
        self._kinds = np.zeros(size, dtype=np.int64)
        self._steered = np.zeros(size, dtype=np.bool_)
        self._samplings: dict[Sampling, int] = {}

    def clear(self) -> None:
        """Empty all rows."""
        self.states = []
        self._samplings = {}

    def enter(self, states: Sequence[SequenceState]) -> None:
        """Add new rows behind the others; their first token is not drawn yet."""
        rows = slice(len(self.states), len(self.states) + len(states))
        if not self.states:
            self._samplings = {}
        self.states.extend(states)  # first of all: what the scheduler gave must not be lost where memory runs out
        lengths = [len(state.prompt) for state in states]
        self.positions[rows] = torch.tensor(lengths, device=self.state.device) - 1
        self.keys[rows] = derive_stream_keys(to_tensor([state.seed for state in states], self.state.device))
        self.counts[rows] = 0
        self._lengths[rows] = 0
        self._prompt_lengths[rows] = lengths
        self._caps[rows] = [state.sampling.max_new_tokens for state in states]
        self._prompts[rows] = [id(state.prompt) for state in states]
        self._kinds[rows] = [self._samplings.setdefault(s.sampling, len(self._samplings)) for s in states]
        self._steered[rows] = [state.steering is not None for state in states]
        self._widen(int(self._caps[rows].max()))

    def _widen(self, tokens: int) -> None:
        """Make room for so many tokens in each row."""
        more = tokens - self._tokens.shape[1]
        if more > 0:
            self._tokens = np.pad(self._tokens, ((0, 0), (0, more)))
            self._logprobs = np.pad(self._logprobs, ((0, 0), (0, more)))

    def advance(self, first: int, tokens_R: Int64[Tensor, " R"]) -> None:
        """Take the tokens drawn for the rows from ``first`` on, as the next step needs them."""
        rows = slice(first, first + len(tokens_R))
        self.last[rows] = tokens_R
        self.state[2:, rows].add_(1)

    def measure(self) -> tuple[int, bool]:
        """Return how many positions the next step attends to, and whether rows differ in them."""
        rows = len(self.states)
        held = self._prompt_lengths[:rows] + self._lengths[:rows]
        longest = int(held.max())
        return longest, bool(held.min() != longest)

    def find_longest(self) -> int:
        """Find how many positions the longest row may come to need; 0 where there is none."""
        rows = len(self.states)
        return int((self._prompt_lengths[:rows] + self._caps[:rows]).max(initial=0))

    def find_shared(self) -> Int32[Tensor, "B 2"]:
        """Find for each row the first one with the same prompt, and that prompt's length."""
        rows = len(self.states)
        _, first, of_row = np.unique(self._prompts[:rows], return_index=True, return_inverse=True)
        return torch.from_numpy(np.stack((first[of_row], self._prompt_lengths[:rows]), axis=1).astype(np.int32))

    def find_kinds(self, first: int) -> list[tuple[Sampling, Int64[np.ndarray, " R"] | None]]:
        """Find which samplings the rows from ``first`` on have, and which rows, counted from there; None: all."""
        kinds = self._kinds[first : len(self.states)]
        samplings = list(self._samplings)
        if (kinds == kinds[0]).all():
            return [(samplings[kinds[0]], None)]
        return [(samplings[kind], np.flatnonzero(kinds == kind)) for kind in np.unique(kinds)]

    def find_steered(self, first: int) -> list[tuple[int, Steering]]:
        """Find the rows from ``first`` on that somebody follows, counted from there."""
        rows = np.flatnonzero(self._steered[first : len(self.states)]).tolist()
        found = ((row, self.states[first + row].steering) for row in rows)
        return [(row, steering) for row, steering in found if steering is not None]

    def record(self, first: int, tokens: Int64[np.ndarray, " R"], logprobs: Float32[np.ndarray, " R"]) -> None:
        """Append one token to each row from ``first`` on.

        Args:
            first: a row.
            tokens: one for each row.
            logprobs: of the tokens.
        """
        rows = np.arange(first, first + len(tokens))
        self._tokens[rows, self._lengths[rows]] = tokens
        self._logprobs[rows, self._lengths[rows]] = logprobs
        self._lengths[rows] += 1

    def find_full(self, first: int) -> Bool[np.ndarray, " R"]:
        """Find which rows from ``first`` on have written as many tokens as they may."""
        rows = slice(first, len(self.states))
        return self._lengths[rows] >= self._caps[rows]

    def copy_row(self, row: int) -> tuple[Int32[np.ndarray, " C"], Float32[np.ndarray, " C"]]:
        """Copy a row's tokens and log-probabilities."""
        length = self._lengths[row]
        return self._tokens[row, :length].copy(), self._logprobs[row, :length].copy()

    def leave(self, dead: Int64[np.ndarray, " R"]) -> tuple[Int64[Tensor, " M"], Int64[Tensor, " M"]]:
        """Remove rows; the last living ones fill the holes.

        Returns:
            The moves: (source, target).
        """
        remaining = len(self.states) - len(dead)
        target = dead[dead < remaining]
        lives = np.ones(len(self.states), dtype=np.bool_)
        lives[dead] = False
        source = remaining + np.flatnonzero(lives[remaining:])
        columns = (self._lengths, self._prompt_lengths, self._caps, self._prompts, self._kinds, self._steered)
        for array in columns:
            array[target] = array[source]
        written = int(self._lengths[target].max(initial=0))
        self._tokens[target, :written] = self._tokens[source, :written]
        self._logprobs[target, :written] = self._logprobs[source, :written]
        for hole, row in zip(target.tolist(), source.tolist(), strict=True):
            self.states[hole] = self.states[row]
        del self.states[remaining:]
        moves = torch.from_numpy(np.stack((source, target))).to(self.state.device)
        self.state[:, moves[1]] = self.state[:, moves[0]]
        return moves[0], moves[1]
