r"""Thousands of answers of every kind that real use brought, made anew: right renderings earn, wrong ones do not."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from tests.unit.verifiers.conftest import make_completion, make_problem
from tests.unit.verifiers.math import makers, makers_of_forms, makers_of_names, makers_of_words
from tests.unit.verifiers.math.makers import Case

from dunwu.verifiers import RewardGrader

SEED = 20261129
ROUNDS = 40
MAKERS = (
    makers.two_letter_words,
    makers.times,
    makers.ratios,
    makers.money,
    makers.groups,
    makers.names,
    makers.solutions,
    makers.intervals,
    makers.matrices,
    makers.notations,
    makers.letters,
    makers.units,
    makers.choices,
    makers.lines,
    makers.traps,
    makers.sentences,
    makers_of_forms.conditions,
    makers_of_forms.constants,
    makers_of_forms.vectors,
    makers_of_forms.rows_of_conditions,
    makers_of_forms.phrases,
    makers_of_names.roundings,
    makers_of_names.names,
    makers_of_names.members,
    makers_of_names.memberships,
    makers_of_names.fonts,
    makers_of_names.hedges,
    makers_of_forms.school,
    makers_of_words.chosen,
    makers_of_words.counted,
    makers_of_words.measured,
    makers_of_words.restated,
    makers_of_words.labelled,
    makers_of_words.habits,
)


@pytest.mark.parametrize("make", MAKERS)
def test_neighbours_of_each_kind(grader: RewardGrader, make: Callable[[random.Random], Iterator[Case]]) -> None:
    rng = random.Random(f"{SEED} {make.__name__}")
    wrong = []
    for gold, answer, right in (case for _ in range(ROUNDS) for case in make(rng)):
        score = grader.score(make_problem("math", gold), make_completion(f"<answer>{answer}</answer>"))
        if (score.status, score.parts.get("accuracy")) != ("graded", float(right)):
            wrong.append((gold, answer, right, score.reason))
    assert wrong == []


def test_there_are_thousands_of_both_sorts() -> None:
    count = Counter(right for make in MAKERS for _ in range(ROUNDS) for *_, right in make(random.Random(0)))
    assert count[True] >= 3000
    assert count[False] >= 3000
