"""Words, sequences, sets and choices."""

from __future__ import annotations

import pytest

from dunwu.verifiers.choices import named
from dunwu.verifiers.math.answers import same
from dunwu.verifiers.texts import chosen, same_choice, same_sequence, same_set, same_text

OPTIONS = ("red", "blue", "dark green")


@pytest.mark.parametrize(
    ("answer", "right"), [("HELLO", True), (" “hello”. ", True), ("ＨＥＬＬＯ", True), ("hell", False), ("", False)]
)
def test_text(answer: str, right: bool) -> None:
    assert same_text("hello", answer) == right


def test_raised_and_lowered_digits_are_no_plain_ones() -> None:
    assert not same_text("12", "1²")
    assert not same_sequence("12, 3", "1², 3")
    assert same_text("1011_2", "1011₂")
    assert same_text("x^2", "x²")


def test_a_circled_digit_is_no_plain_one() -> None:
    assert not same_text("12", "1②")


def test_what_follows_a_long_gap_counts() -> None:
    gap = " " * 2000
    assert not same_text("Paris", f"Paris{gap}London")
    assert not same_choice(("x", "y", "z"), "B", f"B{gap}or C")
    assert not same_set("1,2,3", f"1,2,3{gap}4")
    assert not same_sequence("1,2,3", "1,2,3" + "," * 2000 + "9")
    assert same_text("a" * 3000, "a" * 3000)


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("3, 5, 9", True),
        ("[3,5,9]", True),
        ("3 5 9", True),
        ("3、5、9。", True),
        ("3 < 5 < 9", True),
        ("3, 5 and 9", True),
        ("3, 9, 5", False),
        ("3, 5", False),
        ("3, 5, 9, 9", False),
        ("359", False),
        ("−3, 5, 9", False),
        ("", False),
    ],
)
def test_sequence(answer: str, right: bool) -> None:
    assert same_sequence("3, 5, 9", answer) == right


@pytest.mark.parametrize(
    ("gold", "answer", "right"),
    [
        ("3, 2, 1", "3 > 2 > 1", True),
        ("3, 2, 1", "3 < 2 < 1", False),
        ("3, 2, 1", "3 > 2 < 1", False),
        ("3, 2, 1", "3 > 2, 1", False),
        ("1/2, 2/3", r"\frac{1}{2}, \frac{2}{3}", True),
        ("1/2, 2/3", r"$\dfrac12$, $\dfrac23$", True),
        ("1/2, 2/3", r"\frac{1}{2} < \frac{2}{3}", True),
        ("1/2, 2/3", r"\frac{1}{2}, \frac{3}{2}", False),
        ("1/2, 2/3", "0.5, 0.667", False),
        ("9.11, 9.9", "9.11, 9.90", True),
        ("9.9, 9.11", "9.9 < 9.11", False),
        ("(3, -2)", r"\left(3, -2\right)", True),
        ("1, 24", "1,024", False),
        ("cat, dog", "cat < dog", False),
        ("cat, dog", r"\{cat, dog\}", True),
    ],
)
def test_members_that_are_numbers_compare_by_value(gold: str, answer: str, right: bool) -> None:
    assert same_sequence(gold, answer) == right
    assert same_sequence(gold, gold)


@pytest.mark.parametrize("wrapper", [r"\text{%s}", r"\textbf{%s}", r"\text {%s}", r"$\mathrm{%s}$", r"\TEXT{%s}"])
def test_a_math_wrapper_is_no_part_of_words(wrapper: str) -> None:
    assert same_text("APPLE ARROW", wrapper % "Apple arrow")
    assert same_choice(OPTIONS, "B", wrapper % "B")
    assert same_choice(OPTIONS, "B", wrapper % "(B)" + r" \text{blue}")
    assert same_sequence("Ann, Bob", wrapper % "Ann" + ", " + wrapper % "Bob")
    assert not same_text("APPLE ARROW", wrapper % "Apple")


def test_set() -> None:
    assert same_set("Ann, Bob", "bob and Ann")
    assert same_set("小明和小红", "小红、小明")
    assert not same_set("Ann, Bob", "Ann")
    assert not same_set("Ann, Bob", "Ann, Bob, Bob")
    assert not same_set("Ann", "")


@pytest.mark.parametrize("answer", ["B", "b", "(B)", "B.", "B. blue", "(b) Blue", "选项B", "Option B", "blue", "BLUE."])
def test_choices_of_the_second_option(answer: str) -> None:
    assert same_choice(OPTIONS, "B", answer)


@pytest.mark.parametrize(
    "answer",
    [
        "The answer is B",
        "the correct answer is (B).",
        "Answer: B. blue",
        "答案是B。",
        "答案：选项Ｂ",
        "选 b",
        "（B）",
        "Ｂ",
    ],
)
def test_a_lead_in_is_no_part_of_the_choice(answer: str) -> None:
    assert same_choice(OPTIONS, "B", answer)


@pytest.mark.parametrize("answer", ["The answer is not B", "答案不是B", "the answer is A", "option", "答案是"])
def test_a_lead_in_chooses_nothing(answer: str) -> None:
    assert not same_choice(OPTIONS, "B", answer)


@pytest.mark.parametrize("answer", ["A", "red", "B. red", "A or B", "AB", "", "the second", "Bluebird", "D", "Z. blue"])
def test_choices_of_something_else(answer: str) -> None:
    assert not same_choice(OPTIONS, "B", answer)


@pytest.mark.parametrize(
    ("options", "answer", "letter"),
    [
        (("$5", "5", "€5", "6"), "5", "B"),
        (("$5", "5", "€5", "6"), " $5 ", "A"),
        (("$5", "5", "€5", "6"), "5.", None),
        (("$5", "5", "€5", "6"), "B. 5", "B"),
        (("Mm", "mm", "cm"), "mm", "B"),
        (("Mm", "mm", "cm"), "MM", None),
        (("Mm", "mm", "cm"), "CM", "C"),
        (("no", "no", "yes"), "no", None),
    ],
)
def test_options_that_fold_together_are_told_apart_by_their_exact_text(
    options: tuple[str, ...], answer: str, letter: str | None
) -> None:
    assert chosen(options, answer) == letter


def test_the_letter_chosen() -> None:
    assert chosen(OPTIONS, "dark green") == "C"
    assert chosen((), "(d) whatever") == "D"
    assert chosen(OPTIONS, "B. red") is None


PHYSICS = ("10 m/s", "20 m/s", "Only the lighter ball", r"$3.2\times10^{4}$", r"\frac{1}{2}", "0.75", "-5")
PARTS = """
{}. {}
{}.{}
{}．{}
{}、{}
{}: {}
{}；{}
{} — {}
{} – {}
{} - {}
{} = {}
{}) {}
({}) {}
（{}）{}
【{}】{}
[{}] {}
{} ({})
**{}.** {}
{} -> {}
Answer: {}. {}
选项{}：{}
{}: "{}"
\\textbf{{({})}} {}
{}. ${}$
{} {}
""".strip().splitlines()


@pytest.mark.parametrize("form", PARTS)
@pytest.mark.parametrize("place", range(len(PHYSICS)))
def test_a_letter_goes_with_the_text_of_its_own_option(form: str, place: int) -> None:
    """However the two are parted; with any other option's text it chooses nothing."""
    letter, text = "ABCDEFG"[place], PHYSICS[place].strip("$")
    if form == "{} - {}" and text.startswith("-"):
        pytest.skip("two dashes")
    assert chosen(PHYSICS, form.format(letter, text)) == letter
    for other in PHYSICS:
        if other != PHYSICS[place]:
            assert chosen(PHYSICS, form.format(letter, other.strip("$"))) is None


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("A.12", "A"),
        ("B.3/4", "B"),
        ("C.0.5", "C"),
        ("D..5", None),
        (r"\boxed{A.12}", "A"),
        ("**A.12**", "A"),
        ("A.1/2", None),
        ("A -12", None),
        ("D -12", "D"),
        ("D. -12", "D"),
        ("A. -12", None),
        ("A-12", "A"),
        ("12", "A"),
        ("-12", "D"),
        (".5", "C"),
        (r"\frac34", "B"),
        ("0.75", "B"),
        ("75%", None),
        ("12 m", None),
    ],
)
def test_a_point_behind_a_letter_is_no_decimal_point(answer: str, letter: str | None) -> None:
    assert chosen(("12", "3/4", "0.5", "-12"), answer) == letter


@pytest.mark.parametrize("times", [r"\times", r"\cdot", "*", "×", "·", " x "])
def test_signs_of_multiplication_are_one(times: str) -> None:
    assert chosen(PHYSICS, f"D. 3.2{times}10^4") == "D"
    assert chosen(PHYSICS, f"D. 3.2{times}10^5") is None


@pytest.mark.parametrize("answer", ["A. 1/2", r"A. \dfrac{2}{4}", "A. 0.5", "A. ½"])
def test_a_text_behind_a_letter_may_be_the_option_s_value(answer: str) -> None:
    assert chosen((r"\frac{1}{2}", r"\frac{1}{3}"), answer) == "A"
    assert chosen((r"\frac{1}{3}", r"\frac{1}{2}"), answer) is None


@pytest.mark.parametrize("size", ["5 mm", "5mm"])
def test_small_letters_of_units_tell_options_apart(size: str) -> None:
    options = ("5 mm", "5 Mm")
    assert [chosen(options, answer) for answer in (size, f"A. {size}", f"B. {size}")] == ["A", "A", None]


@pytest.mark.parametrize(
    ("options", "answer", "letter"),
    [
        (("B", "A", "AB", "O"), "A", "A"),
        (("B", "A", "AB", "O"), "A.", "A"),
        (("B", "A", "AB", "O"), "(B)", "B"),
        (("B", "A", "AB", "O"), "AB", "C"),
        (("B", "A", "AB", "O"), "O", "D"),
        (("B", "A", "AB", "O"), "A. B", "A"),
        (("B", "A", "AB", "O"), "A. A", None),
        (("I", "II", "III"), "I", "A"),
        (("I", "II", "III"), "II", "B"),
        (("Cr", "Cu", "a", "i"), "a", "C"),
        (("Cr", "Cu", "a", "i"), "A", "A"),
        (("Cr", "Cu", "a", "i"), "b", "B"),
        (("Option B", "Option A"), "Option A", "B"),
    ],
)
def test_a_capital_is_a_letter_before_it_is_a_text(options: tuple[str, ...], answer: str, letter: str | None) -> None:
    assert chosen(options, answer) == letter


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
        assert chosen(OPTIONS, form.format(letter)) == letter
        assert same(letter, form.format(letter), lambda *_: False)
        assert not same("D", form.format(letter), lambda *_: False)
    assert chosen(OPTIONS, form.format("A或B")) is None
    assert chosen(OPTIONS, form.format("A or B")) is None


@pytest.mark.parametrize("form", DENIED)
def test_a_sentence_that_denies_an_option(form: str) -> None:
    assert named(form.format("B")) is None
    assert chosen(OPTIONS, form.format("B")) is chosen(OPTIONS, "B项错误") is None
    assert not same("B", form.format("B"), lambda *_: False)


@pytest.mark.parametrize("answer", ["B.20", "B．20", "B.3/4", "B、20", "B. 20", "(B)20", "B — 20"])
def test_an_option_s_number_in_mathematics(answer: str) -> None:
    assert same("B", answer, lambda *_: False)
    assert not same("C", answer, lambda *_: False)


@pytest.mark.parametrize("answer", ["A、B", "A、B、C", "B、A点和C点"])
def test_commas_of_a_list_part_no_text(answer: str) -> None:
    assert not same("A", answer, lambda *_: False)
    assert not same("B", answer, lambda *_: False)


@pytest.mark.parametrize("piece", ["选项", "所以", "the ", "正确的", "so, ", "A、", "**", "【", "\\text{", "答案 "])
def test_sentences_are_read_in_one_way(piece: str) -> None:
    assert named(piece * 60) is None
    assert chosen(OPTIONS, piece * 60) is None


@pytest.mark.parametrize("answer", ["À. 5", "Б. 1", "Ж 5", "Ω 3", "(é) 5", "À0", "(ß) 5", "Z. 5"])
@pytest.mark.parametrize("options", [("1", "2", "3", "4"), ()])
def test_only_the_letters_of_the_options_choose(options: tuple[str, ...], answer: str) -> None:
    assert chosen(options, answer) == ("Z" if answer == "Z. 5" and not options else None)


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
    assert named(sentence) is None
    assert chosen(OPTIONS, sentence + text) is None
    assert chosen((), sentence + text) is None


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
    assert chosen(OPTIONS, f"{name}B{text}") == "B"
    assert chosen(OPTIONS, f"{name}A{text}") is None


@pytest.mark.parametrize(
    "praise",
    ["is correct", "is the correct answer.", "is right", "is true", "are both correct", "are the right choices"],
)
def test_praise_behind_several_letters_says_nothing_more(praise: str) -> None:
    assert same("AC", f"A and C {praise}", lambda *_: False)
    assert not same("AB", f"A and C {praise}", lambda *_: False)
