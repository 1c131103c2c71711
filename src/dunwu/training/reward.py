"""Reward models: one number for a text, learnt from pairs or from verdicts (R1, arXiv 2501.12948v2, section 3.1).

pairwise    -log sigmoid(score(chosen) - score(rejected))       Bradley and Terry; the better text scores higher
pointwise   cross-entropy of sigmoid(score) with the verdict    the score is the logit of "good"
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float32, Int32
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from dunwu.algorithms.batching import buckets, pad
from dunwu.config.schema import OptimizerSpec, PassSpec
from dunwu.models.load import Policy
from dunwu.models.scores import sequence_scores
from dunwu.training.learner import Learner
from dunwu.types import StepResult

Tokens = Int32[np.ndarray, " L"]
Check = Callable[[float], None]


class RewardTrainer:
    """One device, one optimizer step at a time.

    Args:
        scorer: a model with a head of one number, see ``models.load.load_scorer``; updated in place.
        optimizer: what updates the weights, and its schedule.
        passes: how a batch is cut into forward and backward passes.
        total_steps: updates in the whole stage, for the schedule.
    """

    def __init__(self, scorer: Policy, optimizer: OptimizerSpec, passes: PassSpec, *, total_steps: int) -> None:
        self._learner = Learner(scorer, optimizer, total_steps, passes.gradient_checkpointing)
        self._passes = passes
        self.weights, self.save = self._learner.weights, self._learner.save
        self.save_model, self.load = self._learner.save_model, self._learner.load

    @property
    def version(self) -> int:
        """Updates done."""
        return self._learner.version

    def step_pairs(
        self, chosen: Sequence[Tokens], rejected: Sequence[Tokens], *, at: int, check: Check = lambda share: None
    ) -> StepResult:
        """One update on pairs; ``accuracy`` is the share in which the chosen text scored higher before it.

        Args:
            chosen: the better texts.
            rejected: the worse ones, in the same order.
            at: the batch's place in the schedule of the learning rate, counted from 0.
            check: called with the share of the step that is done; may raise to give it up, weights untouched.

        Raises:
            Fault: a loss or a gradient is not finite; weights untouched.
        """

        def loss(part: list[int]) -> tuple[Tensor, int]:
            both = self._scores([*(chosen[i] for i in part), *(rejected[i] for i in part)])
            margins = both[: len(part)] - both[len(part) :]
            return -logsigmoid(margins).sum(), int((margins > 0).sum())

        lengths = [2 * max(map(len, pair)) for pair in zip(chosen, rejected, strict=True)]
        return self._step(lengths, loss, at, check)

    def step_verdicts(
        self, texts: Sequence[Tokens], good: Sequence[bool], *, at: int, check: Check = lambda share: None
    ) -> StepResult:
        """One update on verdicts; ``accuracy`` is the share that sigmoid(score) > 1/2 got right before it."""

        def loss(part: list[int]) -> tuple[Tensor, int]:
            scores = self._scores([texts[i] for i in part])
            wanted = torch.tensor([float(good[i]) for i in part], device=scores.device)
            summed = binary_cross_entropy_with_logits(scores, wanted, reduction="sum")
            return summed, int(((scores > 0) == (wanted > 0.5)).sum())

        return self._step(list(map(len, texts)), loss, at, check)

    def scores(self, texts: Sequence[Tokens]) -> Float32[np.ndarray, " N"]:
        """The score of each text, without gradients."""
        found = np.zeros(len(texts), dtype=np.float32)
        with torch.no_grad():
            for part in self._parts(list(map(len, texts))):
                found[part] = self._scores([texts[i] for i in part]).cpu().numpy()
        return found

    def _step(
        self, lengths: Sequence[int], loss: Callable[[list[int]], tuple[Tensor, int]], at: int, check: Check
    ) -> StepResult:
        self._learner.zero_grad()
        parts, total, right = list(self._parts(lengths)), 0.0, 0
        for index, part in enumerate(parts):
            check(index / len(parts))
            summed, correct = loss(part)
            self._learner.backward(summed / len(lengths), f"microbatch {index + 1} of {len(parts)}")
            total, right = total + summed.item(), right + correct
        metrics = {"loss": total / len(lengths), "accuracy": right / len(lengths)}
        return StepResult(policy_version=self.version + 1, metrics=metrics | self._learner.step(at))

    def _parts(self, lengths: Sequence[int]) -> Iterator[list[int]]:
        yield from buckets(lengths, range(len(lengths)), self._passes.tokens_per_microbatch)

    def _scores(self, texts: Sequence[Tokens]) -> Tensor:
        device = self._learner.model.device
        lengths = torch.tensor([len(text) for text in texts], device=device)
        return sequence_scores(self._learner.model, pad(texts, torch.int64).to(device), lengths)
