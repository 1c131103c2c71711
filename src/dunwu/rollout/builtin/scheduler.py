"""Which samples wait, which rows decode, and which are finished.

S rows at most, B rows that decode (always the first B), C tokens of a completion.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float32, Int32, Int64
from torch import Tensor

from dunwu.rollout.engine import Sample
from dunwu.rollout.seeds import derive_stream_keys, to_tensor
from dunwu.types import Completion, GenerationRequest


class Scheduler:
    """The queue of samples, and what is finished of them."""

    def __init__(self, requests: Sequence[GenerationRequest]) -> None:
        self._requests = requests
        self._waiting = deque(Sample(r, i) for r, request in enumerate(requests) for i in range(len(request.seeds)))
        self._unfinished = len(self._waiting)
        self._finished: list[tuple[Sample, Completion]] = []

    @property
    def unfinished(self) -> int:
        """Samples that wait or decode."""
        return self._unfinished

    @property
    def waiting(self) -> int:
        """Samples that have no row yet."""
        return len(self._waiting)

    def admit(self, rows: int, tokens: int) -> list[Sample]:
        """Take up to ``rows`` samples whose different prompts, padded, hold at most ``tokens``; at least one."""
        admitted: list[Sample] = []
        prompts, longest = 0, 0
        while self._waiting and len(admitted) < rows:
            sample = self._waiting[0]
            prompts += not admitted or admitted[-1].request != sample.request
            longest = max(longest, len(self._requests[sample.request].prompt.token_ids))
            if admitted and prompts * longest > tokens:
                break
            admitted.append(self._waiting.popleft())
        return admitted

    def requeue(self, samples: Sequence[Sample]) -> None:
        """Put samples that lost their rows before those that wait: they start again."""
        self._waiting.extendleft(reversed(samples))

    def finish(self, sample: Sample, completion: Completion) -> None:
        """Record a completion."""
        self._unfinished -= 1
        self._finished.append((sample, completion))

    def take_finished(self) -> list[tuple[Sample, Completion]]:
        """Return what was finished since the last call."""
        finished, self._finished = self._finished, []
        return finished


class Rows:
    """The samples that decode, and what each has written so far.

    On the device, for the next step: ``last`` token, its ``positions``, the random stream's ``keys``, and ``counts`` of
    tokens drawn, all i64[S]. On the host the tokens and log-probabilities.
    """

    def __init__(self, size: int, device: torch.device) -> None:
        self.samples: list[Sample] = []
        self.state: Int64[Tensor, "4 S"] = torch.zeros(4, size, dtype=torch.int64, device=device)
        self.last, self.positions, self.keys, self.counts = self.state
        self._tokens = np.empty((size, 0), dtype=np.int32)
        self._logprobs = np.empty((size, 0), dtype=np.float32)
        self._lengths = np.zeros(size, dtype=np.int64)
        self._prompt_lengths = np.zeros(size, dtype=np.int64)
        self._requests = np.zeros(size, dtype=np.int64)

    def clear(self, max_new_tokens: int) -> None:
        """Empty all rows, with room for so many tokens in each."""
        size = len(self._lengths)
        self.samples = []
        self._tokens = np.empty((size, max_new_tokens), dtype=np.int32)
        self._logprobs = np.empty((size, max_new_tokens), dtype=np.float32)

    def enter(self, samples: Sequence[Sample], requests: Sequence[GenerationRequest]) -> None:
        """Add new rows behind the others; their first token is not drawn yet."""
        rows = slice(len(self.samples), len(self.samples) + len(samples))
        self.samples.extend(samples)  # first of all: what the scheduler gave must not be lost where memory runs out
        lengths = [len(requests[sample.request].prompt.token_ids) for sample in samples]
        seeds = [requests[sample.request].seeds[sample.index] for sample in samples]
        self.positions[rows] = torch.tensor(lengths, device=self.state.device)
        self.keys[rows] = derive_stream_keys(to_tensor(seeds, self.state.device))
        self.counts[rows] = 0
        self._lengths[rows] = 0
        self._prompt_lengths[rows] = lengths
        self._requests[rows] = [sample.request for sample in samples]

    def measure(self) -> tuple[int, bool]:
        """Return how many positions the next step attends to, and whether rows differ in them."""
        rows = len(self.samples)
        held = self._prompt_lengths[:rows] + self._lengths[:rows]
        longest = int(held.max())
        return longest, bool(held.min() != longest)

    def find_shared(self) -> Int32[Tensor, "B 2"]:
        """Find for each row the first one with the same prompt, and that prompt's length."""
        rows = len(self.samples)
        _, first, of_row = np.unique(self._requests[:rows], return_index=True, return_inverse=True)
        return torch.from_numpy(np.stack((first[of_row], self._prompt_lengths[:rows]), axis=1).astype(np.int32))

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

    def count_tokens(self, first: int) -> Int64[np.ndarray, " R"]:
        """Return how many tokens each row from ``first`` on has written."""
        return self._lengths[first : len(self.samples)]

    def copy_row(self, row: int) -> tuple[Int32[np.ndarray, " C"], Float32[np.ndarray, " C"]]:
        """Copy a row's tokens and log-probabilities."""
        length = self._lengths[row]
        return self._tokens[row, :length].copy(), self._logprobs[row, :length].copy()

    def leave(self, dead: Int64[np.ndarray, " R"]) -> tuple[Int64[Tensor, " M"], Int64[Tensor, " M"]]:
        """Remove rows; the last living ones fill the holes.

        Returns:
            The moves: (source, target).
        """
        remaining = len(self.samples) - len(dead)
        target = dead[dead < remaining]
        source = np.setdiff1d(np.arange(remaining, len(self.samples)), dead)
        for array in (self._lengths, self._prompt_lengths, self._requests):
            array[target] = array[source]
        written = int(self._lengths[target].max(initial=0))
        self._tokens[target, :written] = self._tokens[source, :written]
        self._logprobs[target, :written] = self._logprobs[source, :written]
        for hole, row in zip(target.tolist(), source.tolist(), strict=True):
            self.samples[hole] = self.samples[row]
        del self.samples[remaining:]
        moves = torch.from_numpy(np.stack((source, target))).to(self.state.device)
        self.state[:, moves[1]] = self.state[:, moves[0]]
        return moves[0], moves[1]
