"""Accuracy against tokens of ways to answer: from one pool of samples, what any number of them is worth.

Every sample of a problem is in the pool once, with its grade and with what each guide says of it. Votes and best-of-n
are averaged over all choices of n samples where that can be counted, else over a few; none is sampled anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from dunwu.evaluation.best_of import average_best
from dunwu.evaluation.estimators import bootstrap_mean, estimate_pass_at_k
from dunwu.evaluation.votes import average_vote
from dunwu.serve.ballot import Ballot
from dunwu.serve.guides import to_weight
from dunwu.types import Estimate

CONFIDENCES: Final = (0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
"""At which an adaptive vote stops."""
ORDERS: Final = 8
"""In which a pool is voted on where no average over all can be counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GradedSample:
    """A reply of the pool.

    Attributes:
        content: what it answered.
        cut: the limit of its length ended it.
        right: whether the answer is right.
        tokens: written.
        scores: what each guide says of it, by the guide's name.
        read: tokens that each guide read for that.
    """

    content: str
    cut: bool
    right: bool
    tokens: int
    scores: dict[str, float]
    read: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodingPoint:
    """What a way to answer reaches, and what it costs.

    Attributes:
        method: the way.
        setting: its number: samples, confidence or width; "" where it has none.
        tokens: written for a problem, what was dropped included; the mean.
        read: tokens that a reward model read for a problem; the mean.
        accuracy: the share of right answers, with its interval over problems.
        guidance_share: of the tokens written, those that a guide dropped; None where there was no guide.
    """

    method: str
    setting: str
    tokens: float
    read: float
    accuracy: Estimate
    guidance_share: float | None = None


Pool = Sequence[Sequence[GradedSample]]
"""The samples of each problem."""


def make_point(
    method: str,
    setting: str,
    right: Sequence[float],
    tokens: Sequence[float],
    read: Sequence[float] = (0.0,),
    guidance_share: float | None = None,
) -> DecodingPoint:
    """Make a point of what each problem came to: its share of right answers, its tokens, and what a guide read."""
    return DecodingPoint(
        method=method,
        setting=setting,
        tokens=float(np.mean(tokens)),
        read=float(np.mean(read)),
        accuracy=bootstrap_mean(np.array(right), "share"),
        guidance_share=guidance_share,
    )


def list_counts(pool: Pool) -> list[int]:
    """List 1, 2, 4, ... up to the samples of a problem."""
    return [2**power for power in range(min(map(len, pool)).bit_length())]


def compute_vote_curve(pool: Pool) -> list[DecodingPoint]:
    """Compute majority votes of n samples, as a server holds them; of one sample first."""
    keys = [group_answers(samples) for samples in pool]
    right = [[one.right for one in samples] for samples in pool]
    return [
        make_point(
            "vote",
            str(n),
            [average_vote(*votes, n) for votes in zip(keys, right, strict=True)],
            [n * _mean_tokens(samples) for samples in pool],
        )
        for n in list_counts(pool)
    ]


def compute_ceiling(pool: Pool) -> list[DecodingPoint]:
    """Compute how often one of n samples is right: what nobody can beat who chooses among them."""
    counts = [(sum(one.right for one in samples), len(samples)) for samples in pool]
    return [
        make_point(
            "one of n is right",
            str(n),
            [estimate_pass_at_k(right, k, n) for right, k in counts],
            [n * _mean_tokens(samples) for samples in pool],
        )
        for n in list_counts(pool)
    ]


def compute_best_curve(pool: Pool, guide: str) -> list[DecodingPoint]:
    """Compute the best of n samples by a guide's scores."""
    return [
        make_point(
            f"best of n, {guide}",
            str(n),
            [
                average_best([one.scores[guide] for one in samples], [one.right for one in samples], n)
                for samples in pool
            ],
            [n * _mean_tokens(samples) for samples in pool],
            [n * float(np.mean([one.read[guide] for one in samples])) for samples in pool],
            1 - 1 / n,
        )
        for n in list_counts(pool)[1:]
    ]


def compute_weighted_curve(pool: Pool, guide: str) -> list[DecodingPoint]:
    """Compute votes of n samples that count as much as a guide scores them; the mean over the pool cut into n each."""
    keys = [group_answers(samples) for samples in pool]
    points = []
    for n in list_counts(pool)[1:]:
        right = [
            float(np.mean([_wins(samples[at : at + n], votes[at : at + n], guide) for at in _cut(samples, n)]))
            for samples, votes in zip(pool, keys, strict=True)
        ]
        tokens = [n * _mean_tokens(samples) for samples in pool]
        read = [n * float(np.mean([one.read[guide] for one in samples])) for samples in pool]
        points.append(make_point(f"vote weighted by {guide}", str(n), right, tokens, read))
    return points


def compute_adaptive_curve(pool: Pool) -> list[DecodingPoint]:
    """Compute votes that stop at a confidence; samples are asked one by one, in ``ORDERS`` orders."""
    points = []
    for confidence in CONFIDENCES:
        held = [
            [_hold_vote((*samples[start:], *samples[:start]), confidence) for start in _cut(samples, _share(samples))]
            for samples in pool
        ]
        right = [float(np.mean([good for good, _ in votes])) for votes in held]
        tokens = [float(np.mean([cost for _, cost in votes])) for votes in held]
        points.append(make_point("adaptive vote", f"{confidence:g}", right, tokens))
    return points


def group_answers(samples: Sequence[GradedSample]) -> list[str | None]:
    """Return what each sample votes for, the same text for answers that mean the same; None: it does not vote."""
    ballot = Ballot(len(samples))
    groups = [ballot.count(one.content, cut=one.cut) for one in samples]
    return [None if group is None else group.answer for group in groups]


def _hold_vote(samples: Sequence[GradedSample], confidence: float) -> tuple[bool, int]:
    """Vote until it is decided; return whether the winner is right, and the tokens of those who were asked."""
    ballot, tokens = Ballot(len(samples), confidence), 0
    for sample in samples:
        if ballot.is_decided:
            break
        ballot.count(sample.content, cut=sample.cut)
        tokens += sample.tokens
    winner = ballot.close().winner
    return winner is not None and samples[winner].right, tokens


def _wins(samples: Sequence[GradedSample], votes: Sequence[str | None], guide: str) -> bool:
    """Whether the first sample of the answer with most weight is right."""
    weights: dict[str, float] = {}
    for sample, vote in zip(samples, votes, strict=True):
        if vote is not None:
            weights[vote] = weights.get(vote, 0.0) + to_weight(sample.scores[guide])
    return bool(weights) and samples[votes.index(max(weights, key=weights.__getitem__))].right


def _mean_tokens(samples: Sequence[GradedSample]) -> float:
    return float(np.mean([one.tokens for one in samples]))


def _cut(samples: Sequence[GradedSample], n: int) -> range:
    """Return where parts of n samples begin."""
    return range(0, len(samples) - n + 1, n)


def _share(samples: Sequence[GradedSample]) -> int:
    return max(1, len(samples) // ORDERS)
