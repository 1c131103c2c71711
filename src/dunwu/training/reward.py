"""Reward models: one number for a text, learnt from pairs or from verdicts (R1, arXiv 2501.12948v2, section 3.1).

pairwise    -log sigmoid(score(chosen) - score(rejected))       Bradley and Terry; the better text scores higher
pointwise   cross-entropy of sigmoid(score) with the verdict    the score is the logit of "good"
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Int32
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from dunwu.algorithms.batching import EMPTY_ROW, make_buckets, pad_rows
from dunwu.config.schema import AdapterSpec, OptimizerSpec, PassSpec
from dunwu.models.policy import Policy
from dunwu.models.scalar_head import score_sequences
from dunwu.training.learner import Learner
from dunwu.training.rank_group import ONE_RANK, RankGroup
from dunwu.types import StepResult

Tokens = Int32[np.ndarray, " L"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairBatch:
    """Better texts, and the worse ones in the same order."""

    chosen: Sequence[Tokens]
    rejected: Sequence[Tokens]

    @property
    def lengths(self) -> list[int]:
        """Tokens of each pair, both texts as long as the longer one."""
        return [2 * max(map(len, pair)) for pair in zip(self.chosen, self.rejected, strict=True)]

    def texts(self, rows: Sequence[int]) -> list[Tokens]:
        """Return what is scored of these pairs: the chosen texts, then the rejected ones."""
        return [*(self.chosen[i] for i in rows), *(self.rejected[i] for i in rows)]

    def loss(self, scores: Float[Tensor, " 2N"], rows: Sequence[int]) -> tuple[Float[Tensor, ""], int]:
        """Return the summed loss of these pairs, and how many are in the right order."""
        margins = scores[: len(rows)] - scores[len(rows) :]
        return -logsigmoid(margins).sum(), int((margins > 0).sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictBatch:
    """Texts, and whether each is good."""

    each: Sequence[Tokens]
    good: Sequence[bool]

    @property
    def lengths(self) -> list[int]:
        """Tokens of each text."""
        return list(map(len, self.each))

    def texts(self, rows: Sequence[int]) -> list[Tokens]:
        """Return these texts."""
        return [self.each[i] for i in rows]

    def loss(self, scores: Float[Tensor, " N"], rows: Sequence[int]) -> tuple[Float[Tensor, ""], int]:
        """Return the summed loss of these texts, and how many verdicts sigmoid(score) > 1/2 gets right."""
        wanted = torch.tensor([float(self.good[i]) for i in rows], device=scores.device)
        summed = binary_cross_entropy_with_logits(scores, wanted, reduction="sum")
        return summed, int(((scores > 0) == (wanted > 0.5)).sum())


class RewardTrainer:
    """One optimizer step at a time, in one process or as one of several ranks.

    Args:
        scorer: a model with a head of one number, see ``models.load.load_scorer``; updated in place.
        optimizer: what updates the weights, and its schedule.
        passes: how a batch is cut into forward and backward passes.
        total_steps: updates in the whole stage, for the schedule.
        adapter: what learns in the place of the weights, beside the head; None: all of them.
        seed: of an adapter's first weights.
        ranks: who holds the model. Every rank gets the whole batch, and takes its share.
    """

    def __init__(
        self,
        scorer: Policy,
        optimizer: OptimizerSpec,
        passes: PassSpec,
        *,
        total_steps: int,
        adapter: AdapterSpec | None = None,
        seed: int = 0,
        ranks: RankGroup = ONE_RANK,
    ) -> None:
        self._learner = Learner(scorer, optimizer, total_steps, passes.gradient_checkpointing, adapter, seed, ranks)
        self._passes, self._ranks = passes, ranks
        self._batch: PairBatch | VerdictBatch = VerdictBatch(each=(), good=())
        self._parts: list[list[int]] = []
        self._loss, self._right = 0.0, 0
        self.export_weights, self.save = self._learner.export_weights, self._learner.save
        self.save_model, self.load = self._learner.save_model, self._learner.load

    @property
    def version(self) -> int:
        """Updates done."""
        return self._learner.version

    def begin_step(self, batch: PairBatch | VerdictBatch) -> int:
        """See ``steps.StepTrainer``. The metric ``accuracy`` is that of the weights before the step."""
        self._learner.zero_grad()
        self._batch = batch
        self._parts = self._ranks.share_buckets(batch.lengths, self._passes.tokens_per_microbatch)
        self._loss, self._right = 0.0, 0
        return len(self._parts)

    def forward_backward(self, part: int) -> None:
        """See ``steps.StepTrainer``."""
        rows = self._parts[part]
        summed, right = self._batch.loss(self._scores(self._batch.texts(rows)), rows)
        place = f"microbatch {part + 1} of {len(self._parts)}"
        self._learner.backward(summed / len(self._batch.lengths), place)
        self._loss, self._right = self._loss + summed.item(), self._right + right

    def optim_step(self, *, at: int) -> StepResult:
        """See ``steps.StepTrainer``."""
        self._learner.check_step()
        count = len(self._batch.lengths)
        losses, rights = zip(*self._ranks.gather((self._loss, self._right)), strict=True)
        metrics = {"loss": sum(losses) / count, "accuracy": sum(rights) / count} | self._learner.optim_step(at)
        return StepResult(policy_version=self.version, metrics=metrics)

    def score(self, texts: Sequence[Tokens]) -> Float32[np.ndarray, " N"]:
        """Score each text, without gradients; every rank scores texts of its own."""
        found = np.zeros(len(texts), dtype=np.float32)
        lengths, budget = list(map(len, texts)), self._passes.tokens_per_microbatch
        with torch.no_grad():
            for part in self._ranks.even_out(make_buckets(lengths, range(len(texts)), budget)):
                found[part] = self._scores([texts[i] for i in part]).cpu().numpy()
        return found

    def _scores(self, texts: Sequence[Tokens]) -> Tensor:
        rows, device = texts or [EMPTY_ROW], self._learner.model.device
        lengths = torch.tensor([len(row) for row in rows], device=device)
        scores = score_sequences(self._learner.model, pad_rows(rows, torch.int64).to(device), lengths)
        return scores[: len(texts)]
