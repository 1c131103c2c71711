"""Reward models at work: a number for each completion of a group, in a few passes that share the prompt."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from dunwu.algorithms.batching import make_buckets, pad_rows
from dunwu.config.schema import JudgeSpec
from dunwu.execution.executor import Executor
from dunwu.models import packing
from dunwu.models.policy import Policy
from dunwu.models.scalar_head import score_sequences
from dunwu.models.templates import Template
from dunwu.types import Message, RolloutGroup
from dunwu.verifiers.format import READS


class ReadingCost(NamedTuple):
    """What a reward model has read: seconds, and the length of every text in tokens."""

    seconds: float
    lengths: list[int]


class RewardModel:
    """Scores the completions of a group: the conversation with each as its last message.

    Args:
        scorer: see ``models.load.load_scorer``; computed by prefix trees from here on.
        template: the one that it was trained with.
        read: the part of a completion's text that it reads.
        probability: gives the sigmoid of the score.
        tokens_per_pass: that a pass holds at most, padding included.
    """

    def __init__(
        self,
        scorer: Policy,
        template: Template,
        *,
        read: Callable[[str], str],
        probability: bool,
        tokens_per_pass: int,
    ) -> None:
        packing.enable(scorer.model)
        self.model, self._template, self._read = scorer.model, template, read
        self._probability, self._budget = probability, tokens_per_pass
        self._seconds, self._lengths = 0.0, list[int]()

    def __call__(self, group: RolloutGroup) -> list[float]:
        """Score each completion, in their order. Raises UserError where the template refuses the problem."""
        problem = group.prompt.problem
        return self.score(problem.id, problem.messages, [completion.text for completion in group.completions])

    def score(self, name: str, asked: Sequence[Message], answers: Sequence[str]) -> list[float]:
        """Score answers to a conversation.

        Args:
            name: of the conversation, for errors.
            asked: the turns before the answers.
            answers: with their reasoning.

        Raises:
            UserError: the template refuses the conversation.
        """
        began = time.perf_counter()
        rows = [self._template.encode_answer(name, asked, self._read(answer)) for answer in answers]
        found = [0.0] * len(rows)
        lengths = [len(row) for row in rows]
        with torch.no_grad():
            for part in make_buckets(lengths, [0] * len(rows), self._budget):
                token_ids = pad_rows([rows[i] for i in part], torch.int64).to(self.model.device)
                ends = torch.tensor([lengths[i] for i in part], device=self.model.device)
                scores = score_sequences(self.model, token_ids, ends)
                for i, score in zip(part, (scores.sigmoid() if self._probability else scores).tolist(), strict=True):
                    found[i] = score
        self._seconds += time.perf_counter() - began
        self._lengths += lengths
        return found

    def take_cost(self) -> ReadingCost:
        """Return what was read since this was last asked."""
        cost, self._seconds, self._lengths = ReadingCost(self._seconds, self._lengths), 0.0, []
        return cost


def open_reward_model(part: JudgeSpec, source: str, longest: int, executor: Executor) -> RewardModel:
    """Open a reward model.

    Args:
        part: what it reads and gives, of the recipe.
        source: where it lies.
        longest: tokens of the texts that it reads.
        executor: of whoever asks it.

    Raises:
        UserError: it cannot be used.
    """
    scorer = executor.open_scorer(source, longest=longest)
    return RewardModel(
        scorer,
        Template(part.prompt, scorer.tokenizer),
        read=READS[part.input],
        probability=part.output == "probability",
        tokens_per_pass=part.tokens_per_pass,
    )
