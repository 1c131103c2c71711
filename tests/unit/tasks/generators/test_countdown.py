"""Countdown: problems are solvable, golds are right, the split is blind to order and wording."""

from __future__ import annotations

import random

import pytest

from dunwu.tasks.generators.countdown import (
    COUNTDOWN,
    Move,
    draft,
    find_reachable,
    list_moves,
    make_key,
    solve,
    write_expression,
    write_question,
)
from dunwu.tasks.task import GeneratedTask
from dunwu.verifiers.expression import check


def test_moves_of_a_pair_are_all_its_positive_integers() -> None:
    assert {f"{m.left}{m.op}{m.right}={m.result}" for m in list_moves((4, 12))} == {
        "12+4=16",
        "12*4=48",
        "12-4=8",
        "12/4=3",
    }
    assert {m.op for m in list_moves((5, 5))} == {"+", "*", "/"}  # 5-5=0 is no positive integer
    assert {m.op for m in list_moves((3, 7))} == {"+", "*", "-"}  # 7/3 is no integer
    assert {m.op for m in list_moves((1, 7))} == {"+", "*", "-"}  # 7/1 says nothing that 7*1 does not


def test_a_move_keeps_the_unused_numbers_sorted() -> None:
    assert Move(7, "*", 5, 35, (3, 35)) in list_moves((3, 5, 7))
    assert len(list_moves((5, 5, 5))) == 3


def test_reachable_agrees_with_counting_by_hand() -> None:
    assert find_reachable((1, 2)) == {3, 2, 1}
    assert find_reachable((2, 2, 2)) == {2, 3, 6, 8, 1}  # 4*2, 4+2, 4-2, 4/2, (2/2)+2, 2-(2/2); 0 is never used


@pytest.mark.parametrize("level", [3, 4, 5, 6])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_gold_passes_the_verifier(level: int, language: str) -> None:
    for seed in range(40):
        made = draft(random.Random(seed), level, language)
        assert len(made.tests) == level + 1
        assert check(made.tests, made.gold) == (True, f"reaches {made.tests[0]}")
        assert 1 <= int(made.tests[0]) <= 99


def test_expression_nests_steps_and_tells_equal_numbers_apart() -> None:
    first, second = Move(5, "+", 3, 8, (8, 8)), Move(8, "*", 8, 64, (64,))
    assert write_expression([first, second]) == "(5+3)*8"
    assert write_expression(
        [Move(3, "+", 1, 4, (2, 4, 7)), Move(7, "-", 2, 5, (4, 5)), Move(5, "*", 4, 20, (20,))]
    ) == ("(7-2)*(3+1)")


def test_solve_says_when_there_is_no_way() -> None:
    assert solve((1, 1, 1), 99) == []
    assert write_expression(solve((3, 5, 7), 56)) == "(5+3)*7"


def test_wordings_name_the_numbers_in_the_order_shown() -> None:
    assert write_question((3, 7, 5), 36, "en") == "Use 3, 7 and 5 once each with + - * / to make 36."
    assert write_question((3, 7, 5), 36, "zh") == "用3、7和5各一次，加减乘除，得到36。"


def test_the_key_is_blind_to_order() -> None:
    assert make_key((7, 3, 5), 36) == make_key((3, 5, 7), 36) == "3,5,7=36"


def test_training_never_draws_what_is_held_out() -> None:
    task = GeneratedTask("countdown", COUNTDOWN, 7, levels=(3,), languages=("en", "zh"))
    kept = {(tuple(sorted(p.tests[1:])), p.tests[0]) for p in task.get_held_out(200)}
    drawn = {(tuple(sorted(p.tests[1:])), p.tests[0]) for p in map(task.get_problem, range(2000))}
    assert len(kept) == 200
    assert not kept & drawn
