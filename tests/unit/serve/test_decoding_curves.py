"""Curves of a pool: votes, best-of-n and ceilings as a small pool counted by hand has them."""

from __future__ import annotations

from dunwu.serve.decoding_curves import (
    DecodingPoint,
    GradedSample,
    compute_adaptive_curve,
    compute_best_curve,
    compute_ceiling,
    compute_vote_curve,
    compute_weighted_curve,
    group_answers,
)


def sample(
    answer: str, *, right: bool = False, tokens: int = 10, score: float = 0.5, cut: bool = False
) -> GradedSample:
    return GradedSample(
        content=answer, cut=cut, right=right, tokens=tokens, scores={"guide": score}, read={"guide": 2 * tokens}
    )


POOL = [
    # three of four say 12, and 22 is right, which the guide knows
    [sample("12"), sample("11+1"), sample("22", right=True, tokens=30, score=2.0), sample("12")],
    # one is right, and the only one that votes
    [sample("", tokens=2), sample("22", right=True), sample("9", cut=True), sample("", tokens=8)],
]


def values(points: list[DecodingPoint]) -> dict[str, tuple[float, float]]:
    return {point.setting: (round(point.accuracy.value, 6), point.tokens) for point in points}


def test_answers_that_mean_the_same_vote_together() -> None:
    assert group_answers(POOL[0]) == ["12", "12", "22", "12"]
    assert group_answers(POOL[1]) == [None, "22", None, None]


def test_votes_are_the_mean_over_all_choices() -> None:
    # A single one: 1/4 each. Two: of the first, half are 12 and 12, half a tie with 22; of the second, half hold it.
    assert values(compute_vote_curve(POOL)) == {
        "1": (0.25, 11.25),
        "2": ((0.25 + 0.5) / 2, 22.5),
        "4": (0.5, 45.0),
    }


def test_the_ceiling_is_one_of_n() -> None:
    assert values(compute_ceiling(POOL)) == {"1": (0.25, 11.25), "2": (0.5, 22.5), "4": (1.0, 45.0)}


def test_the_best_of_n_goes_by_the_guide() -> None:
    points = compute_best_curve(POOL, "guide")
    # The second's are equal: which one is taken is chance.
    assert values(points) == {"2": ((0.5 + 0.25) / 2, 22.5), "4": ((1.0 + 0.25) / 2, 45.0)}
    assert [point.guidance_share for point in points] == [0.5, 0.75]
    assert [point.read for point in points] == [45.0, 90.0]
    assert points[0].method == "best of n, guide"


def test_weights_can_outvote_a_majority() -> None:
    points = compute_weighted_curve(POOL, "guide")
    # Pairs as they come: (12, 12) and (22, 12), won by weight; (-, 22) and (-, -).
    assert values(points) == {"2": ((0.5 + 0.5) / 2, 22.5), "4": (1.0, 45.0)}


def test_an_adaptive_vote_stops_and_says_what_it_took() -> None:
    sure = [[sample("7", right=True)] * 16]
    found = values(compute_adaptive_curve(sure))
    # Beta(v + 1, 1) > 1/2 with chance 1 - 2^-(v + 1).
    assert found == {
        "0.6": (1.0, 10.0),
        "0.7": (1.0, 10.0),
        "0.8": (1.0, 20.0),
        "0.9": (1.0, 30.0),
        "0.95": (1.0, 40.0),
        "0.99": (1.0, 60.0),
    }
    # Too few to be sure. One of the four orders of the first begins 12, 12, 12, which nobody can catch.
    assert values(compute_adaptive_curve(POOL))["0.99"] == (0.5, ((3 * 60 + 30) / 4 + 30) / 2)
