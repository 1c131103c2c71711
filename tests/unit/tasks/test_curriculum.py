"""Variations: the same kind, never held out, never twice; and a source of them that a resumed run finds as it was."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Set
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.tasks.known import CELLS, GENERATORS
from tests.unit.tasks.oracles import ORACLES

from dunwu.config.schema import RewardSpec
from dunwu.errors import UserError
from dunwu.sandbox import choose
from dunwu.tasks import curriculum
from dunwu.tasks.curriculum import FrontierProblems, hash_content, make_variations, measure_distance
from dunwu.tasks.task import Draft, GeneratedTask, Generator, is_held_out
from dunwu.types import Completion, Message, Problem
from dunwu.verifiers import RewardGrader

SHARE = 0.3


@pytest.fixture(scope="module")
def grader() -> Iterator[RewardGrader]:
    sandbox, _ = choose(1)
    with sandbox, RewardGrader(RewardSpec(format_rule="none"), sandbox) as grader:
        yield grader


def problems(
    name: str, count: int, level: int | None = None, language: str = "en", generator: Generator | None = None
) -> list[Problem]:
    levels = () if level is None else (level,)
    found = generator or GENERATORS[name]
    task = GeneratedTask(name, found, 5, levels=levels, languages=(language,), held_out_share=SHARE)
    return [task.get_problem(index) for index in range(count)]


def vary(problem: Problem, count: int, seed: int, *, seen: Set[int] = frozenset()) -> tuple[Problem, ...]:
    """Variations from the problem's own generator."""
    return make_variations(problem, GENERATORS[problem.task], count, seed, held_out_share=SHARE, seen=seen)


def frontier(*names: str, seed: int = 0, **fields: Any) -> FrontierProblems:
    """The state before the first rollout of a stage with these tasks, of which some may have no generator."""
    generators = {name: GENERATORS[name] for name in names if name in GENERATORS}
    return FrontierProblems(seed=seed, generators=generators, held_out=dict.fromkeys(names, SHARE), **fields)


def question(problem: Problem) -> str:
    return problem.messages[0].content


@pytest.mark.parametrize(("name", "level"), CELLS)
def test_variations_are_of_the_same_kind_and_never_held_out(name: str, level: int, grader: RewardGrader) -> None:
    keys: dict[str, str] = {}

    def recorded(rng: random.Random, level: int, language: str) -> Draft:
        draft = GENERATORS[name].draft(rng, level, language)
        keys[draft.question] = draft.key
        return draft

    watched = replace(GENERATORS[name], draft=recorded)
    for language in ("en", "zh"):
        (source,) = problems(name, 1, level, language, watched)
        made = make_variations(source, watched, 3, 7, held_out_share=SHARE)
        assert len(made) == 3
        assert {(p.task, p.level, p.language) for p in made} == {(name, level, language)}
        assert not any(is_held_out(keys[question(p)], SHARE) for p in made)
        assert len({hash_content(p) for p in (source, *made)}) == 4
        contents = {keys[question(p)] for p in (source, *made)}
        assert len(contents) == 4 or name == "ranking"  # taller and shorter are other words for one content
        for problem in made:
            empty = np.zeros(0)
            text = f"<answer>{problem.gold}</answer>"
            said = Completion(token_ids=empty, logprobs=empty, text=text, finish="stop")
            assert grader.score(problem, said).parts.get("accuracy") == (None if problem.kind == "open" else 1)
            if name in ORACLES and (name, level) != ("zebra", 4):  # which takes a second each
                answer = ORACLES[name](question(problem))[1]
                assert answer == ("True" if problem.kind == "expression" else problem.gold)


def test_variations_are_a_function_of_the_arguments() -> None:
    source, other = problems("countdown", 2)
    first = vary(source, 4, 1)
    assert first == vary(source, 4, 1)
    assert first != vary(source, 4, 2)
    assert first != vary(other, 4, 1)
    assert vary(source, 0, 1) == ()


def test_what_was_seen_does_not_come_again() -> None:
    (source,) = problems("countdown", 1)
    seen = {hash_content(p) for p in vary(source, 5, 1)}
    again = {hash_content(p) for p in vary(source, 5, 1, seen=seen)}
    assert len(again) == 5
    assert not again & seen


def test_the_nearest_are_taken() -> None:
    """Half of all problems of this level sort, a quarter pick the largest; variations do what the source does."""
    alike = 0
    for source in problems("ordering", 20):
        made = vary(source, 2, 3)
        distances = [measure_distance(source, problem) for problem in made]
        assert distances == sorted(distances)
        alike += sum(words == 0 for words, _ in distances)
    assert alike >= 38


def written(text: str) -> Problem:
    messages = (Message(role="user", content=text),)
    return Problem(id=text, task="countdown", kind="number", level=3, language="en", messages=messages, gold="")


def test_words_count_before_numbers_and_their_order_within_a_list_not_at_all() -> None:
    first = written("Use 1, 2 and 3 to make 6.")
    assert hash_content(first) == hash_content(written("Use 3, 1 and 2 to make 6."))
    assert hash_content(first) != hash_content(written("Use 1, 2 and 3 to make 7."))
    assert hash_content(written("Use 7, 2 and 12 to make 10.")) != hash_content(written("Use 10, 12 and 2 to make 7."))
    assert hash_content(written("7、2和12，得到10")) == hash_content(written("12、7和2，得到10"))
    assert (
        hash_content(written("sort 1/2, 3/4"))
        == hash_content(written("sort 3/4, 1/2"))
        != hash_content(written("sort 1/4, 3/2"))
    )
    assert hash_content(written("Compute 3 + 14.")) == hash_content(written("Compute 14 + 3."))
    assert hash_content(written("Compute 3 - 14.")) != hash_content(written("Compute 14 - 3."))
    assert hash_content(written("用1、23得到4。")) != hash_content(written("用12、3得到4。"))
    assert measure_distance(first, first) == (0, 0)
    assert measure_distance(first, written("Use 1, 2 and 3 to make 7."))[1] == pytest.approx(np.log(8 / 7))
    assert measure_distance(first, written("Use 1, 2, 3 and 3 to make 6."))[0] == 2  # a comma and a number
    far, near = written("Use 1, 2 and 3 to make 99."), written("Use 1, 2 and 3 to get 6.")
    assert measure_distance(first, far) < measure_distance(first, near)


def test_a_small_generator_ends_with_what_there_is() -> None:
    drawn = 0

    def draft(rng: random.Random, level: int, language: str) -> Draft:
        nonlocal drawn
        drawn += 1
        number = rng.randrange(10)
        return Draft(question=f"{language} {number}?", gold=str(number), kind="number", key=str(number))

    tiny = Generator(draft)
    train = {str(number) for number in range(10) if not is_held_out(str(number), SHARE)}
    (source,) = problems("tiny", 1, generator=tiny)
    drawn = 0
    made = make_variations(source, tiny, 20, 1, held_out_share=SHARE)
    assert {p.gold for p in made} == train - {source.gold}
    assert drawn < 20 * curriculum.DRAWS * 3  # a held-out draw is made again
    assert make_variations(source, tiny, 3, 1, held_out_share=SHARE, seen={hash_content(p) for p in made}) == ()
    state = FrontierProblems(seed=1, generators={"tiny": tiny}, held_out={"tiny": SHARE}).update([(source, 0.5)])
    assert len(state.offer(50)) == len(train) - 1


def test_problems_without_a_generator_are_refused() -> None:
    gsm8k = replace(written("How many apples are left?"), task="gsm8k")
    with pytest.raises(UserError, match="made by generators, of which gsm8k, math has none"):
        frontier("gsm8k", "math")
    mixed = frontier("gsm8k", "countdown").update([(gsm8k, 0.5)])
    assert mixed.sources == ()
    assert mixed.seen == {hash_content(gsm8k)}


@pytest.mark.parametrize("bounds", [(0.5, 0.5), (-0.1, 0.5), (0.5, 1.1), (0.7, 0.3)])
def test_bounds_are_bounds(bounds: tuple[float, float]) -> None:
    with pytest.raises(UserError, match="bounds: accuracies between"):
        frontier("countdown", bounds=bounds)


def test_the_frontier_is_strictly_between_the_bounds_the_most_evenly_first() -> None:
    drawn = problems("countdown", 6)
    accuracies = [0.25, 0.7, 0.3125, 0.5, 0.75, 1.0]
    state = frontier("countdown").update(zip(drawn, accuracies, strict=True))
    assert state.sources == (drawn[3], drawn[2], drawn[1])
    assert state.seen == {hash_content(p) for p in drawn}
    wide = replace(state, bounds=(0.0, 1.0)).update(zip(drawn, accuracies, strict=True))
    assert set(wide.sources) == set(drawn[:5])
    assert state.update([]).sources == ()
    assert state.update([]).seen == state.seen


def test_an_offer_is_shared_out_evenly_and_holds_nothing_twice() -> None:
    drawn = [*problems("countdown", 2), *problems("divisors", 1)]
    source = frontier("countdown", "divisors").update((p, 0.5) for p in drawn)
    assert source.offer(0) == ()
    assert [p.task for p in source.offer(2)] == ["countdown"] * 2
    offered = source.offer(8)
    assert [p.task for p in offered] == ["countdown"] * 6 + ["divisors"] * 2
    assert offered == source.offer(8)
    assert len({hash_content(p) for p in (*drawn, *offered)}) == 11
    assert frontier("countdown").offer(4) == ()


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**63), broken=st.integers(0, 5), lots=st.randoms(use_true_random=False))
def test_a_run_that_is_resumed_draws_the_same(seed: int, broken: int, lots: random.Random) -> None:
    """Six rollouts at one go, and once more with one broken off, forgotten, and begun again from the state as JSON."""
    fresh = frontier("game24", "divisors", seed=seed)
    mixture = [*problems("game24", 24), *problems("divisors", 24)]
    accuracies = [lots.randint(0, 8) / 8 for _ in range(6 * 12)]

    def rollout(source: FrontierProblems, number: int) -> tuple[FrontierProblems, tuple[Problem, ...]]:
        drawn = source.offer(4)
        drawn += tuple(mixture[8 * number + len(drawn) - 4 : 8 * number + 8])
        return source.update(zip(drawn, accuracies[12 * number :], strict=False)), drawn

    whole, resumed, seen = fresh, fresh, set[int]()
    for number in range(6):
        whole, drawn = rollout(whole, number)
        if number == broken:
            rollout(resumed, number)
            resumed = fresh.load_state(json.loads(json.dumps(resumed.to_state())))
        resumed, again = rollout(resumed, number)
        assert drawn == again
        offered = [hash_content(p) for p in drawn if p not in mixture]
        assert len(set(offered) - seen) == len(offered)
        seen |= {hash_content(p) for p in drawn}
    assert resumed == whole
