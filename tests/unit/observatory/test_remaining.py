"""The time left, worked out by hand: rollouts, evaluations, later stages."""

from __future__ import annotations

import pytest

from dunwu.observatory.remaining import TimeLeft


def test_evaluations_that_are_still_to_come_count() -> None:
    left = TimeLeft()
    left.begin("zero", 0, 0.0, lambda step: 40 if step < 8 else 20)
    left.evaluation_started(10, 0.0)
    left.evaluation_ended(5.0)  # half a second an answer
    assert left.row(4, 12, 15.0, responses=8) == pytest.approx(8 * 10 / 4 + 40 * 0.5)
    assert left.row(8, 12, 29.0, responses=8) == pytest.approx(4 * (10 / 4 + 14 / 4) / 2 + 20 * 0.5)
    assert not left.at_least


def test_longer_answers_take_longer_and_small_evaluations_say_little() -> None:
    left = TimeLeft()
    left.begin("zero", 0, 0.0, lambda step: 100)
    left.evaluation_started(50, 0.0)
    left.evaluation_ended(10.0, length=20.0)  # a hundredth of a second a token
    left.evaluation_started(5, 10.0)
    left.evaluation_ended(20.0, length=20.0)
    assert left.row(4, 8, 24.0, responses=8, length=60.0) == pytest.approx(4 + 100 * 60 * 0.01)


def test_before_the_first_evaluation_an_answer_takes_what_a_rollouts_do() -> None:
    left = TimeLeft()
    left.begin("zero", 4, 0.0, lambda step: 40)  # resumed
    assert left.row(8, 12, 16.0, responses=8) == pytest.approx(16 + 40 * 2.0)
    assert left.row(12, 12, 32.0) == 0.0


def test_later_stages_take_their_plan_at_this_ones_pace() -> None:
    left = TimeLeft()
    left.plan({"first": None, "zero": 100.0, "last": 50.0})
    left.begin("zero", 0, 10.0, lambda step: 0)
    # A quarter took 5 s, so the whole takes a fifth of its plan; so will the last stage.
    assert left.row(1, 4, 15.0) == pytest.approx(15 + 50 * 0.2)
    assert left.row(4, 4, 30.0) == pytest.approx(50 * 0.2), "the pace is kept when nothing is left of the stage"
    left.begin("last", 0, 30.0, lambda step: 0)
    assert left.row(1, 2, 36.0) == pytest.approx(6)


def test_what_is_not_known_is_said() -> None:
    left = TimeLeft()
    left.plan({"zero": 100.0, "mystery": None, "last": 100.0})
    left.begin("zero", 0, 0.0, lambda step: 0)
    assert left.row(2, 4, 10.0) == pytest.approx(10 + 100 * 0.2)
    assert left.at_least
