"""Runs of words that training texts share with benchmarks."""

from __future__ import annotations

from dunwu.evaluation.contamination import NGramIndex

QUESTION = "A farmer has seventeen sheep and all but nine of them run away how many are left"


def benchmarks(problems: list[tuple[str, list[str]]], n: int = 10, boilerplate: float = 0.0) -> NGramIndex:
    made = NGramIndex(n, boilerplate)
    made.add("bench", problems)
    return made


def test_ten_words_in_a_row_match_whatever_case_and_signs() -> None:
    known = benchmarks([("p", [QUESTION])])
    inside = "Once: SEVENTEEN sheep, and all but nine of them run away!"
    (match,) = known.find_first([("fine", ["seventeen sheep and all but nine of them run"]), ("bad", ["", inside])])
    assert match == ("bad", "bench", "p", "seventeen sheep and all but nine of them run away")


def test_solutions_count_and_full_width_letters_are_letters() -> None:
    known = benchmarks([("p", ["short question", "first add the two numbers then divide all of it by ten"])])
    (match,) = known.find_first([("t", ["ｆｉｒｓｔ add the two numbers then divide all of it and two"])])
    assert match.problem == "p"


def test_a_han_character_is_a_word() -> None:
    known = benchmarks([("p", ["小明有十七只羊，跑了八只，还剩几只？"])])
    assert [
        match.text
        for match in known.find_first([("bad", ["问：小明有十七只羊跑了八只"]), ("fine", ["小明有十七只羊"])])
    ] == ["bad"]


def test_a_short_question_matches_itself_alone() -> None:
    known = benchmarks([("p", ["What is 2+2?"])])
    texts = [("same", ["what is 2 + 2"]), ("longer", ["what is 2 + 2 + 3"]), ("empty", ["?"])]
    assert [match.text for match in known.find_first(texts)] == ["same"]


def test_the_wording_of_a_task_is_boilerplate() -> None:
    tail = " answer with one of the letters A B C or D and nothing else"
    questions = [(f"p{n}", [f"unlike {n} all others" + tail]) for n in range(100)]
    text = [("t", ["Please" + tail])]
    assert list(benchmarks(questions, boilerplate=0.5).find_first(text)) == []
    assert list(benchmarks(questions, boilerplate=1.0).find_first(text))
    few = questions[:3]
    assert list(benchmarks(few, boilerplate=0.5).find_first(text)), "what three problems share is no boilerplate yet"


def test_what_a_generator_asks_must_be_there_whole() -> None:
    made = NGramIndex(10, 0.02)
    made.add("bench", [("p", ["Use 5, 3 and 3 once each with + - * / to make 24."])], whole=True)
    texts = [
        ("other", ["Use 5, 3 and 3 once each with + - * / to make 18."]),
        ("same", ["Well: use 5, 3 and 3 once each with + - * / to make 24. Go on."]),
    ]
    assert [match.text for match in made.find_first(texts)] == ["same"]


def test_a_short_solution_is_no_question() -> None:
    known = benchmarks([("p", ["How many sheep are left of the seventeen when all but nine ran?", "11"])])
    assert list(known.find_first([("t", ["Which number follows ten?", "11"])])) == []
