"""Votes over the answers to one question: self-consistency, and when enough have been counted.

Answers are grouped by what they mean (``verifiers.math.answers``): 0.5 votes for 1/2. Of tied groups the one that was
there first wins. Sources: Wang et al. 2022, self-consistency; Aggarwal et al. 2023, adaptive consistency.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from dunwu.verifiers.format import extract_answer
from dunwu.verifiers.math.answers import make_key, same_answer


@dataclass(slots=True, kw_only=True)
class Group:
    """Answers that mean the same: as the first wrote it, whose number that is, their votes and their weight."""

    answer: str
    first: int
    votes: int = 0
    weight: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """What a vote came to.

    Attributes:
        winner: the number of the sample that is the reply; None where no sample has an answer.
        groups: the answers, those with most weight first.
        samples: how many were counted.
        wanted: how many would have been, at most.
        tied: another group has as much weight as the winner's.
        weighted: votes counted as much as a guide scored them.
    """

    winner: int | None
    groups: tuple[Group, ...]
    samples: int
    wanted: int
    tied: bool
    weighted: bool = False

    def describe(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        groups = [{"answer": one.answer, "votes": one.votes, "weight": round(one.weight, 6)} for one in self.groups]
        counts = {"samples": self.samples, "wanted": self.wanted, "tied": self.tied, "weighted": self.weighted}
        return {**counts, "groups": groups}


class Ballot:
    """Counts answers in the order of their seeds, so that the same seeds stop at the same place.

    Args:
        wanted: answers at most.
        confidence: that the leader is the majority of all that could be asked, at which counting stops; None: it stops
            when the leader cannot be caught.
        weighted: each vote has a weight of its own, so that the last may overturn any lead; else each counts once.
    """

    def __init__(self, wanted: int, confidence: float | None = None, *, weighted: bool = False) -> None:
        self.wanted, self._confidence, self._weighted = wanted, confidence, weighted
        self._groups: list[Group] = []
        self._keys: dict[str, Group] = {}
        self._counted = 0

    def count(self, content: str, *, cut: bool, weight: float = 1.0) -> Group | None:
        """Count the next reply.

        Args:
            content: without its reasoning.
            cut: the limit of its length ended it: it does not vote.
            weight: of its vote, 0 or more.

        Returns:
            The group that it voted for.
        """
        number, self._counted = self._counted, self._counted + 1
        answer = None if cut else read_vote(content)
        if answer is None:
            return None
        group = self._find_group(answer, number)
        group.votes += 1
        group.weight += weight
        return group

    def _find_group(self, answer: str, number: int) -> Group:
        key = make_key(answer)
        if key not in self._keys:
            same = (one for one in self._groups if same_answer(one.answer, answer, lambda *_: False))
            group = next(same, None) or Group(answer=answer, first=number)
            if group.first == number:
                self._groups.append(group)
            self._keys[key] = group
        return self._keys[key]

    @property
    def is_decided(self) -> bool:
        """Whether no more samples are needed."""
        if self._counted >= self.wanted:
            return True
        leader, second = self._find_leaders()
        if not self._weighted and leader - second > self.wanted - self._counted:
            return True
        return self._confidence is not None and self._counted > 0 and self._estimate_majority() >= self._confidence

    def _estimate_majority(self) -> float:
        """Estimate the chance that the leader beats the second in the long run: Beta(votes + 1, second's + 1) > 1/2."""
        from scipy.special import betainc  # takes long to import, and few ask

        leader, second = self._find_leaders()
        return float(betainc(second + 1, leader + 1, 0.5)) if leader else 0.0

    def _find_leaders(self) -> tuple[int, int]:
        votes = sorted((group.votes for group in self._groups), reverse=True)
        leader, second, *_ = (*votes, 0, 0)
        return leader, second

    def close(self) -> Vote:
        """Return what the vote came to."""
        groups = [replace(one) for one in sorted(self._groups, key=lambda group: (-group.weight, group.first))]
        return Vote(
            winner=groups[0].first if groups else None,
            groups=tuple(groups),
            samples=self._counted,
            wanted=self.wanted,
            tied=len(groups) > 1 and groups[0].weight == groups[1].weight,
            weighted=self._weighted,
        )


def read_vote(content: str) -> str | None:
    r"""Read what a reply votes for: its ``\boxed{}``, or else its last line; None where it says nothing."""
    return extract_answer(content, "boxed") or extract_answer(content, "last-line")
