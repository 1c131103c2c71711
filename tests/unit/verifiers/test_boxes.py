"""Boxes of TeX: what is in them, and whether that is all an answer says."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dunwu.verifiers.boxes import find_last_boxed
from dunwu.verifiers.format import extract_answer
from dunwu.verifiers.math.answers import same_answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("so \\boxed{5}.", "5"),
        ("\\boxed{1} then \\boxed{2}", "2"),
        ("\\boxed {\\sqrt{1+\\frac{1}{2}}}", "\\sqrt{1+\\frac{1}{2}}"),
        ("\\boxed{\\{1, 2\\}}", "\\{1, 2\\}"),
        ("\\boxed{\\left\\{ x \\right.}", "\\left\\{ x \\right."),
        ("\\boxed{5} and \\boxed{6", "5"),
        ("{ \\boxed{5}", "5"),
        ("} \\boxed{5}", "5"),
        ("\\boxed{outer \\boxed{inner}}", "inner"),
        ("\\boxed{}", None),
        ("nothing", None),
    ],
)
def test_boxed(text: str, answer: str | None) -> None:
    assert extract_answer(text, "boxed") == answer


@settings(deadline=None)  # the machine may be busy
@given(st.text(st.sampled_from("\\{}boxed x"), max_size=60))
def test_a_boxed_answer_is_balanced_text_of_its_source(text: str) -> None:
    found = find_last_boxed(text)
    assert found is None or ("\\boxed" in text and found in text and found == found.strip() != "")


def test_a_hundred_thousand_open_boxes_are_read_in_one_pass() -> None:
    assert find_last_boxed("\\boxed{" * 100_000 + "5}") == "5"


COMMANDS = ["\\frac{1}{2}", "\\sqrt{2}", "3\\pi", "\\text{B}", "120^\\circ", "50\\%", "\\{1,2\\}", "1,\\!000", "\\$5"]
ROWS = ["\\begin{pmatrix}a\\\\b\\end{pmatrix}", "\\begin{cases}x=1\\\\y=2\\end{cases}", "\\frac12\\\\x"]


@pytest.mark.parametrize("content", [*COMMANDS, *ROWS])
def test_a_box_may_have_doubled_backslashes(content: str) -> None:
    """Doubled as a whole it says the same; rows that end in single ones stay."""
    boxed = f"so ${{}}\\boxed{{{content}}}$"
    assert extract_answer(boxed, "boxed") == content
    assert extract_answer(boxed.replace("\\", "\\\\"), "boxed") == content
    assert extract_answer(f"x = 2 \\\\\\boxed{{{content}}}", "boxed") == content


@pytest.mark.parametrize("content", COMMANDS[:4])
def test_doubled_backslashes_show_by_their_commands(content: str) -> None:
    assert (
        extract_answer(f"\\boxed{{{content}}}".replace("{" + content, "{" + content.replace("\\", "\\\\")), "boxed")
        == content
    )
    assert extract_answer(f"<answer>{content}</answer>".replace("\\", "\\\\"), "answer-tag") == content
    assert extract_answer(f"<answer>{content}</answer>".replace("\\", "\\\\"), "answer-tag", raw=True) != content


@pytest.mark.parametrize("space", ["~", "\\ ", "\\,", "\\;", " ", "\u200b", "~\\ "])
def test_spaces_within_a_box_say_nothing(space: str) -> None:
    assert extract_answer(f"\\boxed{{{space}5{space}}}", "boxed") == "5"
    assert extract_answer(f"\\boxed{{{space}}}", "boxed") is None


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("\\boxed{5,}", "5"),
        ("\\boxed{(5,)}", "(5,)"),
        ("\\boxed5", "5"),
        ("so \\boxed 5, done", "5"),
        ("\\boxed\\frac12 it is", "\\frac12"),
        ("\\boxed \\frac{1}{2}", "\\frac{1}{2}"),
        ("\\boxed{5} is in \\boxed as asked", "5"),
        ("\\boxed{5}, in `\\boxed{}`", "5"),
        ("\\boxed{5} then \\boxed{ } and \\boxed{\u200b}", "5"),
        ("\\framebox[2cm]{5}", "5"),
        ("\\framebox[2cm][c]{5}", "5"),
        ("\\bbox[5px,border:2px solid red]{5}", "5"),
        ("\\colorbox{yellow}{5}", "5"),
        ("\\fcolorbox{red}{white}{5}", "5"),
        ("\\boxed{5}, \\colorbox{yellow}{as shown}", "5"),
        ("\\boxedfive", None),
        ("\\boxed", None),
        ("a box {5}", None),
    ],
)
def test_boxes_of_other_forms(text: str, answer: str | None) -> None:
    assert extract_answer(text, "boxed") == answer


def test_a_program_may_print_a_box() -> None:
    program = "```python\nprint('\\\\boxed{4}')\n```\nThis prints $\\boxed{4}$."
    assert extract_answer(f"<answer>\n{program}\n</answer>", "answer-tag", raw=True) == program
    assert extract_answer(f"<answer>\n{program}\n</answer>", "answer-tag") == "4"


SOLE = r"""
\boxed{5}
The answer is $\boxed{5}$.
We add 2 and 3. So it is \boxed{5}.
$x = \boxed{5}$
\text{The answer is }\boxed{5}
\[\boxed{5}\]
**\boxed{5}**
- \boxed{5}
\boxed{\boxed{5}}
\begin{aligned}&\boxed{5}\end{aligned}
Let's see, it's \boxed{5}.
∴ \boxed{5}
<b>\boxed{5}</b>
答案是\boxed{5}。
所以可以得到\boxed{5}
It is equal to \boxed{5}
The answer is below: \boxed{5}
$\boxed{5}$ is the correct answer!
It is \boxed{5} as required.
The answer is \boxed 5
""".strip().splitlines()
BESIDE = r"""
not {}
5 is not {}
It isn't {}
{} is wrong
5 or {}
{} or 5
5, {}
{}, 5
x, {}
C is {}
\boxed{5} or {}
{}, \boxed{5}
\boxed{\text{not }{}}
-{}
negative {}
2{}
\sqrt{{}}
{}5
{}^2
{}\%
{} cm
at most {}
about {}
{} or so
{}. No, 5.
答案不是{}
未必是{}
五或{}
{}错误
""".strip().splitlines()


@pytest.mark.parametrize("text", SOLE)
@pytest.mark.parametrize("where", ["answer-tag", "last-line"])
def test_a_box_that_is_all_an_answer_says_is_unwrapped(text: str, where: Literal["answer-tag", "last-line"]) -> None:
    assert extract_answer(f"<answer>{text}</answer>", where) == "5"


@pytest.mark.parametrize("form", BESIDE)
@pytest.mark.parametrize("where", ["answer-tag", "last-line"])
def test_an_answer_that_says_more_than_its_box_stays(form: str, where: Literal["answer-tag", "last-line"]) -> None:
    """The verifier reads it as it stands."""
    for box in ("\\boxed{6}", "$\\boxed{6}$", "\\fbox{6}"):
        text = form.replace("{}", box)
        found = extract_answer(f"<answer>{text}</answer>", where)
        assert found is not None
        assert found.rstrip(".") == text.rstrip(".")


@pytest.mark.parametrize(
    "text", ["not \\boxed{6}", "5 is not \\boxed{6}", "5 or \\boxed{6}", "\\boxed{6} or 5", "-\\boxed{6}"]
)
def test_a_box_that_is_denied_or_one_of_several_is_no_right_answer(text: str) -> None:
    found = extract_answer(f"<answer>{text}</answer>", "answer-tag")
    assert found is not None
    assert not same_answer("6", found, lambda *_: False)


@pytest.mark.parametrize("between", [" ", "\n", "\n$$\n", ":\n\n"])
def test_a_denial_on_the_line_before_a_box_counts(between: str) -> None:
    text = f"The answer is not{between}\\boxed{{6}}"
    assert extract_answer(f"<answer>{text}</answer>", "answer-tag") == text
    assert extract_answer(f"<answer>It is not 5. It is{between}\\boxed{{6}}</answer>", "answer-tag") == "6"


@pytest.mark.parametrize(
    "piece", ["x ", "x  ", "word", "it's ", "\\text{", "<b", "- ", "not ", ". ", "is ", "是", "，"]
)
def test_what_stands_beside_a_box_is_read_in_one_pass(piece: str) -> None:
    for text in (piece * 20_000 + "\\boxed{6}", "\\boxed{6}" + piece * 20_000 + "5"):
        assert extract_answer(f"<answer>{text}</answer>", "answer-tag") in (text, text.strip(), "6")
