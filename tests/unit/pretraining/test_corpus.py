"""The corpus: its arithmetic is true, its comparisons are right, and held-out problems are not in it."""

from __future__ import annotations

import re
from itertools import islice

import pytest

from dunwu.analysis.reasoning.reflection import count_reflections
from dunwu.config import check_tasks
from dunwu.pretraining.countdown_corpus import CountdownSpec, Document, generate_documents
from dunwu.pretraining.world_corpus import WorldSpec
from dunwu.tasks.generators.countdown import make_key
from dunwu.tasks.task import is_held_out
from dunwu.verifiers.expression import check
from dunwu.verifiers.format import extract_answer, follows_format

STEP = re.compile(r"(\d+)([-+*/])(\d+)=(\d+)")


@pytest.fixture(scope="module")
def sample() -> list[Document]:
    return list(islice(generate_documents(CountdownSpec(), seed=3), 4000))


def facts(document: Document) -> tuple[str, ...] | None:
    """(target, numbers...) of a question, None for a drill."""
    if not document.prompt:
        return None
    *numbers, target = re.findall(r"\d+", document.prompt)
    return (target, *numbers)


def drilled(document: Document) -> list[tuple[tuple[int, ...], int]]:
    """(numbers, target) of each line of a drill of last steps."""
    lines = re.findall(r"([\d, 、]+)(?: and |和)(\d+)(?: to make |得到)(\d+)(?:: |：)", document.completion)
    return [((*map(int, re.findall(r"\d+", few)), int(last)), int(target)) for few, last, target in lines]


def right(document: Document) -> bool:
    tests, answer = facts(document), extract_answer(document.completion, "answer-tag")
    return bool(tests and answer) and follows_format(document.completion) and check(tests or (), answer or "").is_right


def test_the_same_seed_gives_the_same_corpus(sample: list[Document]) -> None:
    assert list(islice(generate_documents(CountdownSpec(), seed=3), 300)) == sample[:300]
    assert list(islice(generate_documents(CountdownSpec(), seed=4), 300)) != sample[:300]


def test_every_step_of_arithmetic_is_true(sample: list[Document]) -> None:
    steps = [step for document in sample for step in STEP.findall(document.completion)]
    assert len(steps) > 10_000
    for left, op, right_, result in steps:
        a, b = int(left), int(right_)
        assert int(result) == {"+": a + b, "-": a - b, "*": a * b, "/": a // b}[op]
        assert op != "/" or a % b == 0


def test_every_comparison_is_right(sample: list[Document]) -> None:
    target_of_a_line = r"(?: to make |得到)(\d+)(?:: |：)"
    comparison = r"=(\d+)(?:, |，|\. check: |。检查：)(too big|太大|too small|太小|yes|对)(?=[.,，。])"
    verdicts = re.compile(f"{target_of_a_line}|{comparison}")
    seen = 0
    for document in sample:
        if "so done" in document.completion or "好了" in document.completion:
            continue
        tests = facts(document)
        target = int((tests or "0")[0])
        for drill_target, value, verdict in verdicts.findall(document.completion):
            if drill_target:
                target = int(drill_target)
                continue
            expected = ("too big", "太大") if int(value) > target else ("too small", "太小")
            careless = "对" if tests else ""  # careless writers call anything right
            assert verdict in (("yes", "对") if int(value) == target else (*expected, careless))
            seen += 1
    assert seen > 4000


def test_held_out_problems_are_not_in_the_corpus(sample: list[Document]) -> None:
    for tests in filter(None, map(facts, sample)):
        assert not is_held_out(make_key(tuple(map(int, tests[1:])), int(tests[0])), 0.1)
    lines = [line for document in sample if not document.prompt for line in drilled(document)]
    assert len(lines) > 4000
    for numbers, target in lines:
        assert len(numbers) == 2 or not is_held_out(make_key(numbers, target), 0.1)


def test_evaluations_may_use_what_the_corpus_leaves_out() -> None:
    assert CountdownSpec().held_out == check_tasks.CORPORA["countdown-traces"].left_out
    assert WorldSpec().held_out == WorldSpec().puzzles.held_out == check_tasks.CORPORA["world"].left_out


def test_the_skill_is_there_and_the_habit_is_rare(sample: list[Document]) -> None:
    level_3 = [d for d in sample if len(facts(d) or ()) == 4]
    assert 0.08 < sum(map(right, level_3)) / len(level_3) < 0.25
    assert 0.05 < sum(count_reflections(d.completion) > 0 for d in level_3) / len(level_3) < 0.25
    assert 0.75 < sum(follows_format(d.completion) for d in level_3) / len(level_3) < 0.95


def test_careful_writers_go_on_until_it_fits_and_never_try_the_same_twice() -> None:
    spec = CountdownSpec(drills=0.0, careful=1.0, quitters=0.0, levels=((3, 1.0),))
    sample = list(islice(generate_documents(spec, seed=1), 300))
    assert sum(map(right, sample)) / len(sample) > 0.98
    for document in sample:
        thought = document.completion.split("verify")[0].split("验证")[0]
        firsts = [step for i, step in enumerate(STEP.findall(thought)) if i % 2 == 0]
        assert len(set(firsts)) == len(firsts)
