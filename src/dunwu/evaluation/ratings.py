"""How a model stands among people and among models: contest ratings, pairwise judging, Bradley-Terry strengths.

R1 (arXiv 2501.12948v2, supplementary D) reports them for Codeforces, AlpacaEval 2.0 and ArenaHard.

Dimensions: N human ratings or questions, B battles, M models, F features, R rows of a regression, D bootstrap draws.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from scipy.optimize import brentq, minimize
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.special import expit, log_expit

from dunwu.evaluation.estimators import CONFIDENCE, DRAWS, bootstrap_mean, bound_unseen_share
from dunwu.metrics import estimate_mean
from dunwu.types import Estimate

ELO = 400 / math.log(10)
"""Points of a difference of one in log-odds."""
CENTRE = 1000.0
"""The mean strength of the models compared."""
RIDGE = 0.01
"""Penalty of a regression, RIDGE / 2 x the squared length of its coefficients, against a sum over all questions: it
keeps a model that never loses at a finite strength, and moves one that does by far less than its interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """A place among N people who wrote the same contest.

    Attributes:
        rank: 1 above all of them, N + 1 below all; ties share the mean of their places.
        ratings: What the people are rated.
    """

    rank: float
    ratings: Float64[np.ndarray, " N"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A judge's verdicts on our answer to a question against another's, shown in both orders.

    Attributes:
        question: The question's name.
        first: The verdict where ours was shown first: 1 ours, 0 the other's, 0.5 a tie, or the judge's probability that
            ours is better.
        second: The verdict where ours was shown second.
        length: Characters of our answer.
        other_length: Characters of the other.
    """

    question: str
    first: float
    second: float
    length: int
    other_length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WinRate:
    """How often our answer is better.

    Attributes:
        rate: Share of wins, ties counted half.
        inconsistent: Share of questions in which the other order turned the verdict around.
    """

    rate: Estimate
    inconsistent: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Battle:
    """Two models' answers to a question: ``score`` is 1 where the left one is better, 0 the right one, 0.5 a tie."""

    question: str
    left: str
    right: str
    score: float


def solve_rating(rank: float, ratings_N: Float64[np.ndarray, " N"]) -> float:
    """Solve for the rating r whose expected place is ``rank``.

    The expected place is 1 + sum over people of 1 / (1 + 10^((r - r_i) / 400)), Codeforces' own formula of a seed. No
    rating expects the first or the last place, so these count as half a place short of it: the rating that would reach
    it about every second time.

    Args:
        rank: 1 to N + 1.
        ratings_N: The people's ratings.

    Returns:
        The rating in points.

    Raises:
        ValueError: Nobody took part, or the rank is out of range.
    """
    n = len(ratings_N)
    if not n or not 1 <= rank <= n + 1:
        raise ValueError(f"no rank {rank} beside {n} people")
    above = min(max(rank - 1, 0.5), n - 0.5)
    # So far above everybody, fewer than 0.5 people are expected above; so far below, more than n - 0.5.
    reach = ELO * math.log(2 * n) + 1

    def surplus(rating: float) -> float:
        return float(expit((ratings_N - rating) / ELO).sum()) - above

    return float(brentq(surplus, ratings_N.min() - reach, ratings_N.max() + reach, xtol=1e-9))


def estimate_contest_rating(contests: Sequence[Contest]) -> Estimate:
    """Estimate the mean rating over contests, with Student's interval.

    Raises:
        ValueError: There are no contests.
    """
    return estimate_mean([solve_rating(contest.rank, contest.ratings) for contest in contests])


def compute_percentile(rating: float, ratings_N: Float64[np.ndarray, " N"]) -> float:
    """Compute the share of people who are rated lower, those of the same rating counted half.

    Raises:
        ValueError: There are no people.
    """
    if not len(ratings_N):
        raise ValueError("nobody to compare with")
    return float(np.mean((ratings_N < rating) + 0.5 * (ratings_N == rating)))


def estimate_win_rate(comparisons: Sequence[Comparison], seed: int = 0) -> WinRate:
    """Estimate the win rate as the mean over both orders.

    So a judge who takes the first answer whatever it says calls a tie.

    Args:
        comparisons: One a question.
        seed: Of the bootstrap over questions.

    Returns:
        The rate, and how often the order decided.

    Raises:
        ValueError: There are no comparisons.
    """
    turned = [(one.first - 0.5) * (one.second - 0.5) < 0 for one in comparisons]
    return WinRate(
        rate=bootstrap_mean(_average_orders(comparisons), "share", seed),
        inconsistent=bootstrap_mean(np.array(turned, np.float64), "share", seed),
    )


def _average_orders(comparisons: Sequence[Comparison]) -> Float64[np.ndarray, " N"]:
    return np.array([(one.first + one.second) / 2 for one in comparisons], np.float64)


def estimate_length_controlled_win_rate(comparisons: Sequence[Comparison], seed: int = 0) -> Estimate:
    """Estimate the win rate if both answers were equally long (Dubois et al. 2024, arXiv 2404.04475).

    Logistic regression of the preference on a constant (the models) and tanh of the difference in length over its
    standard deviation; the value at no difference. Three things are left out. The difficulty of the question is fitted
    jointly over the models of a leaderboard, and here there is one pair. The weights rest on two baselines prompted to
    write long or short, whose answers exist for AlpacaEval alone. The penalty is ``RIDGE``, not cross-validated. So
    values are near AlpacaEval's, not the same. Where all preferences are equal, length explains nothing and the plain
    win rate is returned.

    Args:
        comparisons: One a question.
        seed: Of the bootstrap over questions (``DRAWS``).

    Returns:
        The rate and its interval.

    Raises:
        ValueError: There are no comparisons.
    """
    preferences_N = _average_orders(comparisons)
    plain = bootstrap_mean(preferences_N, "share", seed)
    if (preferences_N == preferences_N[0]).all():
        return plain
    longer_N = np.array([one.length - one.other_length for one in comparisons], np.float64)
    value = _rate_at_equal_length(preferences_N, longer_N, np.ones(len(comparisons)))
    rates_D = [_rate_at_equal_length(preferences_N, longer_N, weights) for weights in _resample(len(comparisons), seed)]
    low, high = np.quantile(rates_D, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(value=value, low=min(value, float(low)), high=max(value, float(high)))


def _rate_at_equal_length(
    preferences_N: Float64[np.ndarray, " N"], longer_N: Float64[np.ndarray, " N"], weights_N: Float64[np.ndarray, " N"]
) -> float:
    n = weights_N.sum()
    centre = weights_N @ longer_N / n
    deviation = math.sqrt(weights_N @ (longer_N - centre) ** 2 / max(n - 1, 1))
    length_N = np.tanh(longer_N / deviation) if deviation > 0 else np.zeros_like(longer_N)
    features_NF = np.stack([np.ones_like(length_N), length_N], axis=1)
    return float(expit(_fit_logistic(features_NF, weights_N * preferences_N, weights_N * (1 - preferences_N))[0]))


def fit_strengths(battles: Sequence[Battle], seed: int = 0) -> dict[str, Estimate]:
    """Fit Bradley-Terry strengths in Elo points around ``CENTRE``: 400 points are odds of 10 to 1.

    Maximum likelihood with ties as half a win for each (Chiang et al. 2024, arXiv 2403.04132), under ``RIDGE``. The
    intervals are by ``DRAWS`` bootstrap draws of questions, with all battles about each. Where some models only ever
    won against the rest, ``RIDGE`` alone makes their strengths finite and every draw is the same. There the intervals
    reach to where the strengths would be if ``bound_unseen_share`` of those questions went the other way.

    Args:
        battles: Any number about each question.
        seed: Of the bootstrap.

    Returns:
        The strength of each model, the strongest first.

    Raises:
        ValueError: There are no battles, a model meets itself, or no chain of battles joins two models.
    """
    models = sorted({name for battle in battles for name in (battle.left, battle.right)})
    place = {name: row for row, name in enumerate(models)}
    left_B = np.array([place[battle.left] for battle in battles], np.int64)
    right_B = np.array([place[battle.right] for battle in battles], np.int64)
    score_B = np.array([battle.score for battle in battles], np.float64)
    _refuse_disconnected(models, left_B, right_B)
    numbers = {question: number for number, question in enumerate({battle.question: None for battle in battles})}
    question_B = np.array([numbers[battle.question] for battle in battles])

    def fit(scores: Float64[np.ndarray, " B"], weights: Float64[np.ndarray, " B"]) -> Float64[np.ndarray, " M"]:
        return _fit_bradley_terry(left_B, right_B, scores, weights, len(models))

    once_B = np.ones(len(battles))
    values_M = fit(score_B, once_B)
    pulled_M = fit(_pull_one_way_scores(left_B, right_B, score_B, question_B), once_B)
    values_DM = np.array([fit(score_B, weights[question_B]) for weights in _resample(len(numbers), seed)])
    low_M, high_M = np.quantile(values_DM, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    low_M, high_M = np.min([low_M, values_M, pulled_M], axis=0), np.max([high_M, values_M, pulled_M], axis=0)
    return {
        models[m]: Estimate(value=float(values_M[m]), low=float(low_M[m]), high=float(high_M[m]))
        for m in np.argsort(-values_M, kind="stable")
    }


def _pull_one_way_scores(
    left_B: Int64[np.ndarray, " B"],
    right_B: Int64[np.ndarray, " B"],
    score_B: Float64[np.ndarray, " B"],
    question_B: Int64[np.ndarray, " B"],
) -> Float64[np.ndarray, " B"]:
    """Return the scores with ``bound_unseen_share`` of the questions turned around in battles that all went one way.

    These are the battles between models of which the loser beats the winner by no chain of wins: only chains both ways
    make strengths finite (Ford 1957).
    """
    beats = np.concatenate([left_B[score_B > 0], right_B[score_B < 1]])
    beaten = np.concatenate([right_B[score_B > 0], left_B[score_B < 1]])
    models = int(max(beats.max(), beaten.max())) + 1
    graph = csr_array((np.ones(len(beats)), (beats, beaten)), shape=(models, models))
    _, components_M = connected_components(graph, directed=True, connection="strong")
    one_way_B = components_M[left_B] != components_M[right_B]
    turned = min(0.5, bound_unseen_share(max(1, len(np.unique(question_B[one_way_B])))))
    pulled_B: np.ndarray = np.where(one_way_B, score_B + turned * (1 - 2 * score_B), score_B)
    return pulled_B


def _refuse_disconnected(
    models: Sequence[str], left_B: Int64[np.ndarray, " B"], right_B: Int64[np.ndarray, " B"]
) -> None:
    if not len(left_B):
        raise ValueError("no battles: nothing to compare")
    if (left_B == right_B).any():
        raise ValueError(f"{models[left_B[left_B == right_B][0]]} meets itself")
    graph = csr_array((np.ones(len(left_B)), (left_B, right_B)), shape=(len(models), len(models)))
    _, components_M = connected_components(graph, directed=False)
    apart = [name for name, number in zip(models, components_M, strict=True) if number != components_M[0]]
    if apart:
        raise ValueError(f"no battles join {models[0]} and {apart[0]}: their strengths cannot be compared")


def _fit_bradley_terry(
    left_B: Int64[np.ndarray, " B"],
    right_B: Int64[np.ndarray, " B"],
    score_B: Float64[np.ndarray, " B"],
    weights_B: Float64[np.ndarray, " B"],
    models: int,
) -> Float64[np.ndarray, " M"]:
    """Return strengths in Elo points.

    Battles are added up by pair first: there are fewer pairs. They say nothing of the mean, so ``RIDGE`` puts it at
    ``CENTRE``.
    """
    pair_B, cells = left_B * models + right_B, models * models
    wins = np.bincount(pair_B, weights_B * score_B, cells)
    losses = np.bincount(pair_B, weights_B * (1 - score_B), cells)
    met = np.flatnonzero(wins + losses)
    features_RM = np.eye(models)[met // models] - np.eye(models)[met % models]
    strengths_M: np.ndarray = CENTRE + ELO * _fit_logistic(features_RM, wins[met], losses[met])
    return strengths_M


def _fit_logistic(
    features_RF: Float64[np.ndarray, "R F"], yes_R: Float64[np.ndarray, " R"], no_R: Float64[np.ndarray, " R"]
) -> Float64[np.ndarray, " F"]:
    """Fit logit P(yes) = features @ coefficients to the counts, which may be fractions, of yes and no in every row.

    ``RIDGE`` makes the minimum exist and be one.
    """

    def loss(coefficients: Float64[np.ndarray, " F"]) -> tuple[float, Float64[np.ndarray, " F"]]:
        logits = features_RF @ coefficients
        value = -(yes_R @ log_expit(logits) + no_R @ log_expit(-logits)) + RIDGE / 2 * coefficients @ coefficients
        return value, features_RF.T @ ((yes_R + no_R) * expit(logits) - yes_R) + RIDGE * coefficients

    def curvature(coefficients: Float64[np.ndarray, " F"]) -> Float64[np.ndarray, "F F"]:
        chances = expit(features_RF @ coefficients)
        weighted_RF = features_RF * ((yes_R + no_R) * chances * (1 - chances))[:, None]
        hessian_FF: np.ndarray = weighted_RF.T @ features_RF + RIDGE * np.eye(features_RF.shape[1])
        return hessian_FF

    start = np.zeros(features_RF.shape[1])
    found = minimize(loss, start, jac=True, hess=curvature, method="trust-exact", options={"gtol": 1e-8})
    coefficients: np.ndarray = found.x
    return coefficients


def _resample(n: int, seed: int) -> Iterator[Float64[np.ndarray, " N"]]:
    """Yield for every bootstrap draw how often each of n questions comes."""
    rng = np.random.default_rng(seed)
    return (rng.multinomial(n, np.full(n, 1 / n)).astype(np.float64) for _ in range(DRAWS))
