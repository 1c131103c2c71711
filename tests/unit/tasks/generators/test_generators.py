"""Every generator: right golds, one content in both languages, and sides that never meet."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.tasks.known import CELLS, GENERATORS
from tests.unit.tasks.oracles import ORACLES

from dunwu.config.schema import RewardSpec
from dunwu.errors import UserError
from dunwu.sandbox import choose
from dunwu.tasks.generators.game24 import can_avoid_division
from dunwu.tasks.task import Draft, GeneratedTask
from dunwu.types import Completion, Problem
from dunwu.verifiers import RewardGrader

RULED = [(name, level) for name, level in CELLS if GENERATORS[name].draft(random.Random(0), level, "en").gold]
"""Whose answers are right or wrong."""
READ = [(name, level) for name, level in CELLS if name in ORACLES]
cells = pytest.mark.parametrize(("name", "level"), CELLS)
ruled_cells = pytest.mark.parametrize(("name", "level"), RULED)
read_cells = pytest.mark.parametrize(("name", "level"), READ)


@pytest.fixture(scope="module")
def grader() -> Iterator[RewardGrader]:
    sandbox, _ = choose(1)
    with sandbox, RewardGrader(RewardSpec(format_rule="none"), sandbox) as grader:
        yield grader


def accuracy(grader: RewardGrader, problem: Problem, answer: str) -> float:
    text = f"<answer>{answer}</answer>"
    empty = Completion(token_ids=np.zeros(0, np.int32), logprobs=np.zeros(0, np.float32), text=text, finish="stop")
    return grader.score(problem, empty).parts["accuracy"]


def test_every_generator_with_right_answers_but_countdown_has_an_oracle() -> None:
    assert {*ORACLES, "countdown", "talk", "harmful", "harmless"} == {*GENERATORS}


class Narrow(random.Random):
    """Dice of few sides, so that one problem is drawn again and again."""

    def randint(self, a: int, b: int) -> int:
        return super().randint(max(a, -2), min(b, 3))


def keys_of(name: str, level: int, read: Callable[[str], object]) -> dict[object, set[str]]:
    """What is read in a question -> the keys under which it was drawn."""
    rng, keys = Narrow(1), defaultdict(set)
    for _ in range(1500):
        draft = GENERATORS[name].draft(rng, level, "en")
        keys[read(draft.question)].add(draft.key)
    return keys


def drafts(name: str, count: int) -> list[Draft]:
    return [GENERATORS[name].draft(random.Random(seed), 1, "en") for seed in range(count)]


@pytest.mark.parametrize("level", [2, 3])
def test_one_written_calculation_has_one_key(level: int) -> None:
    keys = keys_of("arithmetic", level, str)
    assert 50 < len(keys) < 1200
    assert {text: found for text, found in keys.items() if len(found) > 1} == {}


def test_a_sum_has_one_key_in_addition_and_arithmetic() -> None:
    sums = {draft.question: draft.key for draft in drafts("addition", 2000)}
    shared = [draft for draft in drafts("arithmetic", 2000) if draft.question in sums]
    assert len(shared) > 50
    assert all(sums[draft.question] == draft.key for draft in shared)
    assert sums["Compute 51 + 99."] == sums["Compute 99 + 51."]


def test_an_equation_turned_round_has_the_same_key() -> None:
    keys = keys_of("equations", 2, lambda text: frozenset(text.removeprefix("Solve for x: ")[:-1].split(" = ")))
    assert 50 < len(keys) < 1200
    assert {sides: found for sides, found in keys.items() if len(found) > 1} == {}


@read_cells
def test_golds_agree_with_the_oracle_in_both_languages(name: str, level: int) -> None:
    keys: dict[object, str] = {}
    for seed in range({"zebra": 12 // level, "game24": 20}.get(name, 60)):
        readings = []
        for language in ("en", "zh"):
            draft = GENERATORS[name].draft(random.Random(seed), level, language)
            facts, answer = ORACLES[name](draft.question)
            assert answer == ("True" if draft.kind == "expression" else draft.gold), draft.question
            assert keys.setdefault(facts, draft.key) == draft.key, "one content has two keys"
            readings.append((facts, draft.key))
        assert readings[0] == readings[1]


@ruled_cells
def test_gold_scores_one_and_a_neighbour_zero(name: str, level: int, grader: RewardGrader) -> None:
    task = GeneratedTask(name, GENERATORS[name], 3, levels=(level,), languages=("en", "zh"))
    problems = [task.get_problem(index) for index in range(10)]
    for problem in problems:
        assert accuracy(grader, problem, problem.gold) == 1
        assert accuracy(grader, problem, "") == 0
        assert accuracy(grader, problem, problem.messages[0].content) == 0
        wrong = {p.gold for p in problems if p.kind == problem.kind} - {problem.gold}
        rights = sum(accuracy(grader, problem, other) for other in wrong)
        assert rights <= (len(wrong) if problem.kind == "expression" else 0)


@cells
@settings(max_examples=4, deadline=None)
@given(seeds=st.lists(st.integers(0, 2**63), min_size=2, max_size=2, unique=True))
def test_train_and_held_out_never_meet(name: str, level: int, seeds: list[int]) -> None:
    keys: dict[str, str] = {}

    def recorded(rng: random.Random, level: int, language: str) -> Draft:
        draft = GENERATORS[name].draft(rng, level, language)
        keys[draft.question] = draft.key
        return draft

    watched = replace(GENERATORS[name], draft=recorded)
    tasks = [
        GeneratedTask(name, watched, seed, levels=(level,), languages=(language,), held_out_share=0.3)
        for seed in seeds
        for language in ("en", "zh")
    ]
    kept = {keys[p.messages[0].content] for task in tasks for p in task.get_held_out(10)}
    drawn = {keys[task.get_problem(index).messages[0].content] for task in tasks for index in range(20)}
    assert len(kept) >= 10
    assert len(drawn) >= 10
    assert not kept & drawn


@cells
def test_the_same_seed_gives_the_same_problems_and_another_seed_others(name: str, level: int) -> None:
    first, again, other = (GeneratedTask(name, GENERATORS[name], seed, levels=(level,)) for seed in (1, 1, 2))
    drawn = [first.get_problem(index) for index in range(8)]
    assert drawn == [again.get_problem(index) for index in reversed(range(8))][::-1]
    assert drawn != [other.get_problem(index) for index in range(8)]
    assert first.get_held_out(6) == other.get_held_out(6) == other.get_held_out(9)[:6]
    assert len({problem.id for problem in first.get_held_out(9)}) == 9


def test_levels_and_languages_take_turns() -> None:
    task = GeneratedTask("arithmetic", GENERATORS["arithmetic"], 0, levels=(1, 4), languages=("en", "zh"))
    drawn = [task.get_problem(index) for index in range(8)]
    assert [(p.level, p.language) for p in drawn] == [(1, "en"), (4, "en"), (1, "zh"), (4, "zh")] * 2
    assert all(sum(sign in p.messages[0].content for sign in "+-×÷") >= (p.level > 1) for p in drawn)


def test_a_level_that_is_not_there_is_named() -> None:
    with pytest.raises(UserError, match="levels: zebra has no level 9; it has 1, 2, 3, 4"):
        GeneratedTask("zebra", GENERATORS["zebra"], 0, levels=(9,))


def test_more_held_out_than_there_are_is_an_error() -> None:
    with pytest.raises(UserError, match="held_out: game24, level 3: 400 held-out problems wanted"):
        GeneratedTask("game24", GENERATORS["game24"], 0, levels=(3,), held_out_share=0.1).get_held_out(400)


def test_what_is_said_is_whole_sentences() -> None:
    questions = [GENERATORS["knights"].draft(random.Random(seed), 4, "en").question for seed in range(60)]
    said = [sentence for question in questions for sentence in re.findall('"(.+?)"', question)]
    assert all(sentence[0].isupper() and sentence.endswith(".") for sentence in said)
    assert {"Exactly 1 of us is a knight.", "Exactly 2 of us are knights."} <= set(said)
    assert not any("1 of us are" in sentence for sentence in said)


def test_puzzles_say_what_belongs_to_what() -> None:
    zebra = GENERATORS["zebra"].draft(random.Random(0), 1, "zh").question
    listing = "编号1到3，每座住一个人、养一种宠物，互不相同。人：甲、乙、丙；宠物：猫、狗、鱼。"
    assert listing in zebra
    cipher = GENERATORS["ciphers"].draft(random.Random(0), 3, "en").question
    assert re.search(r"each letter of A[B-Y]+Z was replaced by the letter at the same place in [A-Z]{26}\. ", cipher)


def test_the_hard_level_of_game24_needs_division() -> None:
    assert can_avoid_division((1, 2, 3, 4))  # 1*2*3*4
    assert not can_avoid_division((8, 9, 10, 12))  # 12*(10+8)/9
    for seed in range(20):
        draft = GENERATORS["game24"].draft(random.Random(seed), 3, "en")
        assert "/" in draft.gold
