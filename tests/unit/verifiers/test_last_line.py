"""The last line as an answer: what stands around it and leads into it."""

from __future__ import annotations

import pytest

from dunwu.verifiers.format import extract


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
    assert extract(text, "last-line") == answer


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
    found = extract(form.format(answer), "last-line")
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
    assert extract(text, "last-line") == answer
