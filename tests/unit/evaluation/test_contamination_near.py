"""Near-duplicates of a benchmark's texts, and what a report says of a training set."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np

from dunwu.evaluation.contamination import (
    NearDuplicate,
    NearDuplicateIndex,
    NGramIndex,
    find_overlaps,
    make_shingles,
    split_words,
)

QUESTION = "A farmer has seventeen sheep and all but nine of them run away how many are left"
LAST = QUESTION.replace("left", "gone")  # 17 words, 15 shingles, of which one differs: 14 of 16
MIDDLE = QUESTION.replace("nine", "eight")  # three shingles differ: 12 of 18


def near(problems: list[tuple[str, list[str]]], threshold: float = 0.8) -> NearDuplicateIndex:
    made = NearDuplicateIndex(threshold)
    made.add("bench", problems)
    return made


def test_shingles_are_counted_exactly() -> None:
    known = near([("p", [QUESTION])])
    assert [tuple(match) for match in known.find_all([("t", [LAST.upper() + "?"]), ("u", [MIDDLE])])] == [
        ("t", "bench", "p", 14 / 16)
    ]
    (match,) = near([("p", [QUESTION])], threshold=12 / 18).find_all([("u", [MIDDLE])])
    assert match.similarity == 12 / 18


def test_five_characters_of_chinese() -> None:
    question = "小明有十七只羊，除了九只以外全部跑掉了，请问还剩下几只羊？"
    other = question.replace("小明", "小红")
    assert len(make_shingles(split_words(question))) == 26 - 5 + 1
    # The second character is in two shingles: 20 of 24.
    (match,) = near([("p", [question])]).find_all([("t", ["你好"]), ("u", [other])])
    assert match == ("u", "bench", "p", 20 / 24)


def test_parts_are_compared_with_questions_and_telling_solutions() -> None:
    solution = "first take nine from seventeen and then count those that ran away"
    known = near([("p", [QUESTION, solution, "the answer is eight"])])
    dialogue = ("t", ["Hello!", solution, LAST, "the answer is eight"])
    assert [match.similarity for match in known.find_all([dialogue])] == [1.0]  # the most similar part
    assert (
        list(known.find_all([("t", ["the answer is eight"]), ("u", [LAST + " " + solution]), ("v", ["", "?"])])) == []
    )
    assert list(known.find_all([("t", ["", "?"])])) == []


def test_a_short_question_is_compared_where_it_has_a_shingle() -> None:
    known = near([("p", ["What is 2+2?"]), ("q", ["2+2?"])])
    assert [(m.text, m.problem) for m in known.find_all([("t", ["what is 2 + 2"]), ("u", ["2 2"])])] == [("t", "p")]


def test_a_text_matches_every_problem_that_it_is_near() -> None:
    known = near([("p", [QUESTION]), ("q", [LAST])])
    assert {(m.problem, m.similarity) for m in known.find_all([("t", [QUESTION])])} == {("p", 1.0), ("q", 14 / 16)}


def test_bands_miss_nothing_that_comparing_all_pairs_finds() -> None:
    rng = np.random.default_rng(0)
    vocabulary = [f"w{n}" for n in range(300)]
    problems = [(f"p{n}", [" ".join(rng.choice(vocabulary, 40))]) for n in range(60)]
    texts = []
    for n in range(600):  # copies with 0 to 5 words changed, more texts than a chunk
        words = problems[n % 60][1][0].split()
        for place in rng.integers(40, size=n % 6):
            words[place] = str(rng.choice(vocabulary))
        texts.append((f"t{n}", [" ".join(words)]))
    found = {(match.text, match.problem): match.similarity for match in near(problems).find_all(texts)}
    pairs = {}
    for text, (part,) in texts:
        for problem, (question,) in problems:
            one, other = make_shingles(part.split()), make_shingles(question.split())
            if len(one & other) / len(one | other) >= 0.8:
                pairs[text, problem] = len(one & other) / len(one | other)
    assert found == pairs
    assert 150 < len(pairs) < 500


def test_signatures_are_the_same_in_every_process() -> None:
    code = (
        "from dunwu.evaluation.contamination import _hash_bands; print(_hash_bands([list('abcdef')])[0, :3].tolist())"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1


def test_every_problem_that_shares_words() -> None:
    known = NGramIndex(10, 0.5)
    known.add("one", [("p", [QUESTION]), ("q", ["Well " + QUESTION])])
    known.add("two", [("p", [QUESTION])])
    found = [
        (match.text, match.benchmark, match.problem) for match in known.find_all([("fine", ["x"]), ("t", [QUESTION])])
    ]
    assert sorted(found) == [("t", "one", "p"), ("t", "one", "q"), ("t", "two", "p")]
    assert len(list(known.find_first([("t", [QUESTION])]))) == 1


def test_a_report_counts_texts_and_problems_of_each_benchmark() -> None:
    benchmarks = {
        "sheep": [("p", [QUESTION]), ("q", ["How many legs does a spider have when it has lost one of them?"])],
        "other": [("p", [LAST])],
        "twice": [("p", [QUESTION]), ("q", [QUESTION])],
        "none": [("p", ["Name a colour."])],
    }
    texts = [("t1", [QUESTION]), ("t2", [MIDDLE]), ("t3", ["nothing"]), ("t4", [QUESTION, "with an answer"])]
    sheep, other, twice, none = find_overlaps(texts, benchmarks, n=10, boilerplate=0.02)
    assert (sheep.benchmark, sheep.problems) == ("sheep", 2)
    # t2 shares "a farmer ... but" and "of them ... left" with the question: eight words each.
    assert (sheep.runs.texts, sheep.runs.problems) == (2, 1)
    assert (sheep.runs.share_of_texts, sheep.runs.share_of_problems) == (0.5, 0.5)
    assert [match.text for match in sheep.near.examples] == ["t1", "t4"]
    assert (other.runs.texts, other.near.texts) == (2, 2)
    assert other.near.examples[0] == NearDuplicate("t1", "other", "p", 14 / 16)
    assert [(found.texts, found.problems) for found in (twice.runs, twice.near)] == [(2, 2), (2, 2)]
    assert (none.runs.texts, none.near.texts, none.near.examples) == (0, 0, ())


def test_a_report_of_nothing() -> None:
    (found,) = find_overlaps([], {"bench": []}, n=10, boilerplate=0.02)
    assert (found.near.texts, found.runs.share_of_texts, found.runs.share_of_problems) == (0, 0.0, 0.0)
