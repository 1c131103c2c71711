"""The mixture: exact shares, a pure function of position, finite tasks once an epoch. And tasks by name."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dunwu import registry
from dunwu.config.schema import TaskSpec
from dunwu.errors import UserError
from dunwu.tasks import Mixture, build_mixture, build_task
from dunwu.types import Message, Problem

weights = st.lists(st.floats(0.01, 100), min_size=1, max_size=5)


@dataclass
class Counting:
    """A task whose problems are numbers; with a size, it walks round."""

    name: str
    size: int | None = None

    def get_problem(self, index: int) -> Problem:
        text = str(index % self.size if self.size else index)
        message = Message(role="user", content=text)
        return Problem(id=text, task=self.name, kind="math", level=0, language="en", messages=(message,), gold=text)

    def get_held_out(self, count: int) -> tuple[Problem, ...]:
        raise AssertionError(f"a mixture asks for no held-out problems ({count})")


def mixture(shares: list[float], seed: int) -> Mixture:
    return Mixture([Counting(str(place)) for place in range(len(shares))], shares, seed)


@settings(deadline=None)  # the machine may be busy
@given(shares=weights, seed=st.integers(0, 2**32), start=st.integers(0, 10**9), cut=st.integers(0, 60))
def test_the_problem_at_a_position_depends_on_nothing_else(
    shares: list[float], seed: int, start: int, cut: int
) -> None:
    whole = mixture(shares, seed).draw(start, 60)
    assert whole == mixture(shares, seed).draw(start, cut) + mixture(shares, seed).draw(start + cut, 60 - cut)
    assert len(whole) == 60


@settings(deadline=None)  # the machine may be busy
@given(shares=weights, seed=st.integers(0, 2**32))
def test_shares_are_kept_at_every_position_and_no_problem_is_skipped(shares: list[float], seed: int) -> None:
    seen: Counter[str] = Counter()
    for drawn, problem in enumerate(mixture(shares, seed).draw(0, 300), start=1):
        assert problem.gold == str(seen[problem.task])
        seen[problem.task] += 1
        for place, share in enumerate(shares):
            assert abs(seen[str(place)] - drawn * share / sum(shares)) <= place + 1 + 1e-6


def test_decimal_weights_are_exact_over_whole_cycles() -> None:
    for start in (0, 7, 10**9):
        drawn = Counter(problem.task for problem in mixture([0.1, 0.7, 0.2], 5).draw(start, 1000))
        assert all(abs(drawn[task] - count) <= 1 for task, count in {"0": 100, "1": 700, "2": 200}.items())
    assert Counter(problem.task for problem in mixture([1, 3], 5).draw(12, 400)) == {"0": 100, "1": 300}


def test_a_finite_task_gives_each_problem_once_an_epoch() -> None:
    finite = Mixture([Counting("small", 7), Counting("endless")], [1, 2], 0).draw(0, 63)
    assert Counter(problem.gold for problem in finite if problem.task == "small") == {str(n): 3 for n in range(7)}


def test_the_seed_decides_who_comes_first() -> None:
    assert {mixture([1, 1], seed).draw(0, 1)[0].task for seed in range(20)} == {"0", "1"}


@pytest.mark.parametrize("shares", [[], [1.0, 0.0], [1.0, -1.0]])
def test_weights_that_are_none(shares: list[float]) -> None:
    with pytest.raises(ValueError, match="positive weights"):
        mixture(shares, 0)


def test_names_are_generators_and_data_sets() -> None:
    assert registry.tasks.builtin[:2] == ("countdown", "game24")
    assert {*registry.GENERATORS, *registry.DATA_SETS, "gym"} == {*registry.tasks.builtin}
    assert len(registry.tasks.builtin) == 34


def test_an_unknown_task_is_named_with_the_known_ones() -> None:
    with pytest.raises(
        UserError,
        match=r"no task is called 'countdwn'; did you mean countdown\?; there are countdown, .*, file, gym; a name",
    ):
        build_task(TaskSpec(task="countdwn"), 0)


def test_training_from_what_is_wholly_held_out_is_an_error() -> None:
    spec = TaskSpec(task="countdown", levels=(3,), held_out=1.0)
    with pytest.raises(UserError, match="held_out: countdown: 1 leaves nothing to train on"):
        build_mixture([spec], 0)
    assert len(build_task(spec, 0).get_held_out(20)) == 20


def test_two_entries_of_one_task_draw_different_problems() -> None:
    specs = [TaskSpec(task="arithmetic", levels=(3,)), TaskSpec(task="arithmetic", levels=(3,), weight=2)]
    drawn = build_mixture(specs, 4).draw(0, 90)
    assert len({problem.id for problem in drawn}) > 85
    assert drawn == build_mixture(specs, 4).draw(0, 90)
    assert drawn != build_mixture(specs, 5).draw(0, 90)


def test_the_held_out_side_is_that_of_the_recipe_entry() -> None:
    spec = TaskSpec(task="ordering", levels=(2,), languages=("zh",), held_out=0.5)
    assert build_task(spec, 0).get_held_out(30) == build_task(spec, 99).get_held_out(30)
    assert {(p.level, p.language) for p in build_task(spec, 0).get_held_out(5)} == {(2, "zh")}
