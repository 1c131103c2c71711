"""Sentences that name, deny or leave open the option that they are about."""

from __future__ import annotations

import pytest

from dunwu.verifiers.choices import find_named_letter
from dunwu.verifiers.math.answers import same_answer
from dunwu.verifiers.texts import find_choice

OPTIONS = ("red", "blue", "dark green")


SENTENCES = """
故选{}
故选：{}。
综上所述，选{}
本题选{}．
故本题选择{}
答案应选{}
应该选 {}
我选{}
{}项
选{}项
{}选项
故{}选项正确
所以{}正确
{}是正确的
【答案】{}
正确答案为 {}。
Hence option {} is correct.
{} is the correct answer.
Option ({}) is correct
I choose {}.
It's {}
The correct option is ${}$.
故选：\\textbf{{{}}}
Answer {}
""".strip().splitlines()
DENIED = """
不选{}
故不选{}
{}不正确
不能选{}
没有选{}
故选不了{}
{} is wrong
not {}
The answer is not {}.
Option {} is incorrect.
{} is not correct
It isn't {}
""".strip().splitlines()


@pytest.mark.parametrize("form", SENTENCES)
def test_a_sentence_that_names_an_option(form: str) -> None:
    for letter in "ABC":
        assert find_choice(OPTIONS, form.format(letter)) == letter
        assert same_answer(letter, form.format(letter), lambda *_: False)
        assert not same_answer("D", form.format(letter), lambda *_: False)
    assert find_choice(OPTIONS, form.format("A或B")) is None
    assert find_choice(OPTIONS, form.format("A or B")) is None


@pytest.mark.parametrize("form", DENIED)
def test_a_sentence_that_denies_an_option(form: str) -> None:
    assert find_named_letter(form.format("B")) is None
    assert find_choice(OPTIONS, form.format("B")) is find_choice(OPTIONS, "B项错误") is None
    assert not same_answer("B", form.format("B"), lambda *_: False)


@pytest.mark.parametrize("answer", ["B.20", "B．20", "B.3/4", "B、20", "B. 20", "(B)20", "B — 20"])
def test_an_option_s_number_in_mathematics(answer: str) -> None:
    assert same_answer("B", answer, lambda *_: False)
    assert not same_answer("C", answer, lambda *_: False)


@pytest.mark.parametrize("answer", ["A、B", "A、B、C", "B、A点和C点"])
def test_commas_of_a_list_part_no_text(answer: str) -> None:
    assert not same_answer("A", answer, lambda *_: False)
    assert not same_answer("B", answer, lambda *_: False)


@pytest.mark.parametrize("piece", ["选项", "所以", "the ", "正确的", "so, ", "A、", "**", "【", "\\text{", "答案 "])
def test_sentences_are_read_in_one_way(piece: str) -> None:
    assert find_named_letter(piece * 60) is None
    assert find_choice(OPTIONS, piece * 60) is None


@pytest.mark.parametrize("answer", ["À. 5", "Б. 1", "Ж 5", "Ω 3", "(é) 5", "À0", "(ß) 5", "Z. 5"])
@pytest.mark.parametrize("options", [("1", "2", "3", "4"), ()])
def test_only_the_letters_of_the_options_choose(options: tuple[str, ...], answer: str) -> None:
    assert find_choice(options, answer) == ("Z" if answer == "Z. 5" and not options else None)


OTHERWISE = """
The wrong answer is B
The worst answer is B
The answer to another question is B
Everything but the answer is B
A or C is B
C is B
错误选项是B
未必是B
排除：B
排除选项B
""".strip().splitlines()


@pytest.mark.parametrize("sentence", OTHERWISE)
@pytest.mark.parametrize("text", ["", ". blue", " (blue)", ": blue"])
def test_a_sentence_that_says_something_else_chooses_nothing(sentence: str, text: str) -> None:
    assert find_named_letter(sentence) is None
    assert find_choice(OPTIONS, sentence + text) is None
    assert find_choice((), sentence + text) is None


NAMES = [
    "The answer is ",
    "Answer: ",
    "**Answer:** ",
    "故选",
    "答案：",
    "So the correct option is ",
    "The solution is ",
]
NAMES += ["Therefore, the answer should be ", "综上所述，选", "Hence, ", "\\textbf{Answer:} ", "【答案】", "It's "]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("text", [". blue", ") blue", " (blue)", ": blue", " - blue", " blue"])
def test_what_names_a_letter_may_stand_before_its_text(name: str, text: str) -> None:
    assert find_choice(OPTIONS, f"{name}B{text}") == "B"
    assert find_choice(OPTIONS, f"{name}A{text}") is None


@pytest.mark.parametrize(
    "praise",
    ["is correct", "is the correct answer.", "is right", "is true", "are both correct", "are the right choices"],
)
def test_praise_behind_several_letters_says_nothing_more(praise: str) -> None:
    assert same_answer("AC", f"A and C {praise}", lambda *_: False)
    assert not same_answer("AB", f"A and C {praise}", lambda *_: False)
