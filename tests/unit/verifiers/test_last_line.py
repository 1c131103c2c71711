"""The last line as an answer: what stands around it and leads into it."""

from __future__ import annotations

import pytest

from dunwu.verifiers.format import extract_answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("work\n\nThe answer is 42.\n\n", "42"),
        ("Answer: 7", "7"),
        ("因此，答案是：18。", "18"),
        ("Therefore, the final answer is: $\\boxed{9}$.", "9"),
        ("3+4 = 7", "3+4 = 7"),
        (" \n ", None),
        ("", None),
    ],
)
def test_last_line(text: str, answer: str | None) -> None:
    assert extract_answer(text, "last-line") == answer


LINES = {"math": "5", "tex": "\\frac{1}{2}", "letter": "B"}


@pytest.mark.parametrize("answer", LINES.values())
@pytest.mark.parametrize(
    "form",
    [
        "Final Answer: The final answer is ${}$. I hope it is correct.",
        "The answer is\n\\[\n{}\n\\]",
        "The answer is\n$$\n\\boxed{{{}}}\n$$",
        "$$\n{}\n$$\n",
        "Answer: {}\n\n---",
        "```\nAnswer: {}\n```",
        "\\begin{{align*}}\nx &= 2\\\\\n&{}\\\\\n\\end{{align*}}",
        "【答案】{}",
        "【答案】：{}",
        "[答案] {}",
        "So the answer is ${}$!",
        "Ans: {}",
        "Ans. {}",
        "Answer -> {}",
        "Answer → {}",
        "####{}",
        "Answer: {}\u200b",
        "Answer: {}\n\u200b",
        "<div>Answer: {}</div>",
    ],
)
def test_what_stands_around_the_answer_on_the_last_line(form: str, answer: str) -> None:
    if form == "####{}" and answer == "B":
        pytest.skip("a word behind number signs is a tag")
    found = extract_answer(form.format(answer), "last-line")
    assert found is not None
    assert found.strip("$") == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("**Answer** 5", "5"),
        ("答案 5", "5"),
        ("Final Answer $5$", "$5$"),
        ("Answer B.", "B"),
        ("Answer A is wrong", "Answer A is wrong"),
        ("Answers 5", "Answers 5"),
        ("The answer is not 5", "not 5"),
        ("答案不是5", "答案不是5"),
        ("Answer: 5!", "5!"),
        ("Answer - 5", "Answer - 5"),
        ("$$\n\\begin{pmatrix}\n1\\\\\n2\n\\end{pmatrix}\n$$", "\\begin{pmatrix} 1\\\\ 2 \\end{pmatrix}"),
        ("---\n\\]", None),
    ],
)
def test_lines_with_and_without_a_lead_in(text: str, answer: str | None) -> None:
    assert extract_answer(text, "last-line") == answer


@pytest.mark.parametrize("mark", ["**", "__"])
@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("x %sa%s", "x a"),
        ("x %sa%s, %sb%s", "x a, b"),
        ("x %sa %sb%s", "x %sa b"),
        ("x %sa %sb %sc", "x %sa %sb %sc"),
        ("x %sa%sb", "x %sa%sb"),
    ],
)
def test_emphasis_ends_at_the_next_mark(mark: str, line: str, shown: str) -> None:
    """No mark is looked at twice, so that a line of them takes one pass."""
    assert extract_answer(line.replace("%s", mark), "last-line") == shown.replace("%s", mark)


def test_emphasis_of_three_marks_within_a_line() -> None:
    assert extract_answer("x ***a***", "last-line") == "x *a*"
    assert extract_answer("x ___a___", "last-line") == "x _a_"


@pytest.mark.parametrize("piece", ["__a ", "**a ", "x **", "<a __", "**a*b ", "a**", "** a", "***a "])
def test_a_long_line_of_marks_is_read_in_one_pass(piece: str) -> None:
    assert extract_answer(piece * 100_000, "last-line")
