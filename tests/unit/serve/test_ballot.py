"""Votes: equivalent answers are one, ties go to the first, counting stops when it may and no sooner."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from dunwu.serve.ballot import Ballot, Vote


def hold(replies: Sequence[str], wanted: int = 0, **options: float) -> Vote:
    ballot = Ballot(wanted or len(replies), **options)  # type: ignore[arg-type]
    for reply in replies:
        if ballot.is_decided:
            break
        ballot.count(reply, cut=False)
    return ballot.close()


def test_answers_that_mean_the_same_are_one_group() -> None:
    vote = hold([r"\boxed{1/2}", "The answer is 0.5.", r"so $\frac{1}{2}$", "0.6", "二分之一"], 20)
    assert [(group.answer, group.votes, group.first) for group in vote.groups] == [("1/2", 4, 0), ("0.6", 1, 3)]
    assert (vote.winner, vote.samples, vote.tied) == (0, 5, False)


def test_the_first_of_tied_groups_wins() -> None:
    vote = hold(["7", "8", "8", "7"])
    assert (vote.winner, vote.tied) == (0, True)
    assert vote.describe()["groups"][0] == {"answer": "7", "votes": 2, "weight": 2.0}


@pytest.mark.parametrize(
    ("replies", "samples"),
    [
        (["7"] * 16, 9),  # 9 of 16 cannot be caught
        (["7", "8"] * 8, 16),
        (["7"] * 8 + ["8"] * 8, 16),  # a tie is still possible until the last
        (["8", *["7"] * 15], 10),
    ],
)
def test_counting_stops_when_the_leader_cannot_be_caught(replies: list[str], samples: int) -> None:
    assert hold(replies).samples == samples


def test_adaptive_consistency_stops_at_its_confidence() -> None:
    # Beta(v + 1, 1) > 1/2 with chance 1 - 2^-(v + 1): 0.9375 after three, 0.96875 after four.
    assert hold(["7"] * 16, confidence=0.95).samples == 4
    assert hold(["7"] * 16, confidence=0.93).samples == 3
    # Five to one: P(Beta(6, 2) > 1/2) = 15/16; six to one: 247/256.
    assert hold(["8", *["7"] * 15], confidence=0.93).samples == 6
    assert hold(["8", *["7"] * 15], confidence=0.95).samples == 7


def test_who_says_nothing_or_is_cut_off_does_not_vote() -> None:
    ballot = Ballot(4)
    for reply, cut in (("", False), ("7", True), ("8", False), ("", False)):
        ballot.count(reply, cut=cut)
    vote = ballot.close()
    assert ballot.is_decided
    assert (vote.winner, vote.samples, [group.votes for group in vote.groups]) == (2, 4, [1])
    assert Ballot(3).close().winner is None


def test_weights_decide_where_there_are_any() -> None:
    ballot = Ballot(3, weighted=True)
    for reply, weight in (("7", 0.2), ("7", 0.2), ("8", 0.9)):
        assert not ballot.is_decided, "weights may overturn any lead"
        ballot.count(reply, cut=False, weight=weight)
    vote = ballot.close()
    assert (vote.winner, vote.weighted) == (2, True)
    assert [(group.votes, group.weight) for group in vote.groups] == [(1, 0.9), (2, 0.4)]


def test_a_report_does_not_change_afterwards() -> None:
    ballot = Ballot(3)
    ballot.count("7", cut=False)
    early = ballot.close()
    ballot.count("7", cut=False)
    assert early.groups[0].votes == 1
