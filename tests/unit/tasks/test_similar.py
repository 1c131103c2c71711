"""Variations: the same kind, never held out, never twice; and a source of them that a resumed run finds as it was."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.tasks.oracles import ORACLES

from dunwu.config.schema import RewardSpec
from dunwu.errors import UserError
from dunwu.sandbox import choose
from dunwu.tasks import FAMILIES, curriculum
from dunwu.tasks.curriculum import HalfSolved, distance, mark, variations
from dunwu.tasks.task import Draft, Family, GeneratedTask, is_held_out
from dunwu.types import Completion, Message, Problem
from dunwu.verifiers import Grader

CELLS = [(family, level) for family in FAMILIES.values() for level in family.levels]
cells = pytest.mark.parametrize(("family", "level"), CELLS, ids=[f"{f.name}-{level}" for f, level in CELLS])
SHARE = 0.3


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    sandbox, _ = choose(1)
    with sandbox, Grader(RewardSpec(format_rule="none"), sandbox) as grader:
        yield grader


def problems(family: str, count: int, level: int | None = None, language: str = "en") -> list[Problem]:
    levels = () if level is None else (level,)
    task = GeneratedTask(FAMILIES[family], 5, levels=levels, languages=(language,), held_out_share=SHARE)
    return [task.problem(index) for index in range(count)]


def question(problem: Problem) -> str:
    return problem.messages[0].content


@cells
def test_variations_are_of_the_same_kind_and_never_held_out(
    family: Family, level: int, grader: Grader, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: dict[str, str] = {}

    def recorded(rng: random.Random, level: int, language: str) -> Draft:
        draft = family.draft(rng, level, language)
        keys[draft.question] = draft.key
        return draft

    monkeypatch.setitem(FAMILIES, family.name, replace(family, draft=recorded))
    for language in ("en", "zh"):
        (source,) = problems(family.name, 1, level, language)
        made = variations(source, 3, 7, held_out_share=SHARE)
        assert len(made) == 3
        assert {(p.task, p.level, p.language) for p in made} == {(family.name, level, language)}
        assert not any(is_held_out(keys[question(p)], SHARE) for p in made)
        assert len({mark(p) for p in (source, *made)}) == 4
        contents = {keys[question(p)] for p in (source, *made)}
        assert len(contents) == 4 or family.name == "ranking"  # taller and shorter are other words for one content
        for problem in made:
            empty = np.zeros(0)
            text = f"<answer>{problem.gold}</answer>"
            said = Completion(token_ids=empty, logprobs=empty, text=text, finish="stop")
            assert grader.score(problem, said).parts.get("accuracy") == (None if problem.kind == "open" else 1)
            if family.name in ORACLES and (family.name, level) != ("zebra", 4):  # which takes a second each
                answer = ORACLES[family.name](question(problem))[1]
                assert answer == ("True" if problem.kind == "expression" else problem.gold)


def test_variations_are_a_function_of_the_arguments() -> None:
    source, other = problems("countdown", 2)
    first = variations(source, 4, 1, held_out_share=SHARE)
    assert first == variations(source, 4, 1, held_out_share=SHARE)
    assert first != variations(source, 4, 2, held_out_share=SHARE)
    assert first != variations(other, 4, 1, held_out_share=SHARE)
    assert variations(source, 0, 1, held_out_share=SHARE) == ()


def test_what_was_seen_does_not_come_again() -> None:
    (source,) = problems("countdown", 1)
    seen = {mark(p) for p in variations(source, 5, 1, held_out_share=SHARE)}
    again = {mark(p) for p in variations(source, 5, 1, held_out_share=SHARE, seen=seen)}
    assert len(again) == 5
    assert not again & seen


def test_the_nearest_are_taken() -> None:
    """Half of all problems of this level sort, a quarter pick the largest; variations do what the source does."""
    alike = 0
    for source in problems("ordering", 20):
        made = variations(source, 2, 3, held_out_share=SHARE)
        distances = [distance(source, problem) for problem in made]
        assert distances == sorted(distances)
        alike += sum(words == 0 for words, _ in distances)
    assert alike >= 38


def written(text: str) -> Problem:
    messages = (Message(role="user", content=text),)
    return Problem(id=text, task="countdown", kind="number", level=3, language="en", messages=messages, gold="")


def test_words_count_before_numbers_and_their_order_within_a_list_not_at_all() -> None:
    first = written("Use 1, 2 and 3 to make 6.")
    assert mark(first) == mark(written("Use 3, 1 and 2 to make 6."))
    assert mark(first) != mark(written("Use 1, 2 and 3 to make 7."))
    assert mark(written("Use 7, 2 and 12 to make 10.")) != mark(written("Use 10, 12 and 2 to make 7."))
    assert mark(written("7、2和12，得到10")) == mark(written("12、7和2，得到10"))
    assert mark(written("sort 1/2, 3/4")) == mark(written("sort 3/4, 1/2")) != mark(written("sort 1/4, 3/2"))
    assert mark(written("Compute 3 + 14.")) == mark(written("Compute 14 + 3."))
    assert mark(written("Compute 3 - 14.")) != mark(written("Compute 14 - 3."))
    assert mark(written("用1、23得到4。")) != mark(written("用12、3得到4。"))
    assert distance(first, first) == (0, 0)
    assert distance(first, written("Use 1, 2 and 3 to make 7."))[1] == pytest.approx(np.log(8 / 7))
    assert distance(first, written("Use 1, 2, 3 and 3 to make 6."))[0] == 2  # a comma and a number
    far, near = written("Use 1, 2 and 3 to make 99."), written("Use 1, 2 and 3 to get 6.")
    assert distance(first, far) < distance(first, near)


def test_a_small_family_ends_with_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = 0

    def draft(rng: random.Random, level: int, language: str) -> Draft:
        nonlocal drawn
        drawn += 1
        number = rng.randrange(10)
        return Draft(question=f"{language} {number}?", gold=str(number), kind="number", key=str(number))

    monkeypatch.setitem(FAMILIES, "tiny", Family(name="tiny", levels=(1,), draft=draft))
    train = {str(number) for number in range(10) if not is_held_out(str(number), SHARE)}
    (source,) = problems("tiny", 1)
    drawn = 0
    made = variations(source, 20, 1, held_out_share=SHARE)
    assert {p.gold for p in made} == train - {source.gold}
    assert drawn < 20 * curriculum.DRAWS * 3  # a held-out draw is made again
    assert variations(source, 3, 1, held_out_share=SHARE, seen={mark(p) for p in made}) == ()
    source_of_all = HalfSolved(seed=1, held_out={"tiny": SHARE}).told([(source, 0.5)])
    assert len(source_of_all.offer(50)) == len(train) - 1


def test_problems_without_a_generator_are_refused() -> None:
    gsm8k = replace(written("How many apples are left?"), task="gsm8k")
    with pytest.raises(
        UserError, match="gsm8k has no generator, so no similar problems can be made; these have: count"
    ):
        variations(gsm8k, 1, 0, held_out_share=0.1)
    with pytest.raises(UserError, match="made by generators, of which gsm8k, math has none"):
        HalfSolved(seed=0, held_out={"gsm8k": 0.1, "math": 0.1})
    mixed = HalfSolved(seed=0, held_out={"gsm8k": 0.1, "countdown": SHARE}).told([(gsm8k, 0.5)])
    assert mixed.sources == ()
    assert mixed.seen == {mark(gsm8k)}


@pytest.mark.parametrize("bounds", [(0.5, 0.5), (-0.1, 0.5), (0.5, 1.1), (0.7, 0.3)])
def test_bounds_are_bounds(bounds: tuple[float, float]) -> None:
    with pytest.raises(UserError, match="bounds: accuracies between"):
        HalfSolved(seed=0, held_out={"countdown": SHARE}, bounds=bounds)


def test_half_solved_is_strictly_between_the_bounds_the_most_evenly_first() -> None:
    drawn = problems("countdown", 6)
    accuracies = [0.25, 0.7, 0.3125, 0.5, 0.75, 1.0]
    told = HalfSolved(seed=0, held_out={"countdown": SHARE}).told(zip(drawn, accuracies, strict=True))
    assert told.sources == (drawn[3], drawn[2], drawn[1])
    assert told.seen == {mark(p) for p in drawn}
    wide = replace(told, bounds=(0.0, 1.0)).told(zip(drawn, accuracies, strict=True))
    assert set(wide.sources) == set(drawn[:5])
    assert told.told([]).sources == ()
    assert told.told([]).seen == told.seen


def test_an_offer_is_shared_out_evenly_and_holds_nothing_twice() -> None:
    drawn = [*problems("countdown", 2), *problems("divisors", 1)]
    source = HalfSolved(seed=0, held_out={"countdown": SHARE, "divisors": SHARE}).told((p, 0.5) for p in drawn)
    assert source.offer(0) == ()
    assert [p.task for p in source.offer(2)] == ["countdown"] * 2
    offered = source.offer(8)
    assert [p.task for p in offered] == ["countdown"] * 6 + ["divisors"] * 2
    assert offered == source.offer(8)
    assert len({mark(p) for p in (*drawn, *offered)}) == 11
    assert HalfSolved(seed=0, held_out={"countdown": SHARE}).offer(4) == ()


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**63), broken=st.integers(0, 5), lots=st.randoms(use_true_random=False))
def test_a_run_that_is_resumed_draws_the_same(seed: int, broken: int, lots: random.Random) -> None:
    """Six rollouts at one go, and once more with one broken off, forgotten, and begun again from the state as JSON."""
    fresh = HalfSolved(seed=seed, held_out={"game24": SHARE, "divisors": SHARE})
    mixture = [*problems("game24", 24), *problems("divisors", 24)]
    accuracies = [lots.randint(0, 8) / 8 for _ in range(6 * 12)]

    def rollout(source: HalfSolved, number: int) -> tuple[HalfSolved, tuple[Problem, ...]]:
        drawn = source.offer(4)
        drawn += tuple(mixture[8 * number + len(drawn) - 4 : 8 * number + 8])
        return source.told(zip(drawn, accuracies[12 * number :], strict=False)), drawn

    whole, resumed, seen = fresh, fresh, set[int]()
    for number in range(6):
        whole, drawn = rollout(whole, number)
        if number == broken:
            rollout(resumed, number)
            resumed = fresh.load(json.loads(json.dumps(resumed.state())))
        resumed, again = rollout(resumed, number)
        assert drawn == again
        offered = [mark(p) for p in drawn if p not in mixture]
        assert len(set(offered) - seen) == len(offered)
        seen |= {mark(p) for p in drawn}
    assert resumed == whole
