"""Words, sequences, sets, and options by their letters and texts."""

from __future__ import annotations

import pytest

from dunwu.verifiers.texts import find_choice, same_choice, same_sequence, same_set, same_text

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
    assert find_choice(options, answer) == letter


def test_the_letter_chosen() -> None:
    assert find_choice(OPTIONS, "dark green") == "C"
    assert find_choice((), "(d) whatever") == "D"
    assert find_choice(OPTIONS, "B. red") is None


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
    assert find_choice(PHYSICS, form.format(letter, text)) == letter
    for other in PHYSICS:
        if other != PHYSICS[place]:
            assert find_choice(PHYSICS, form.format(letter, other.strip("$"))) is None


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
    assert find_choice(("12", "3/4", "0.5", "-12"), answer) == letter


@pytest.mark.parametrize("times", [r"\times", r"\cdot", "*", "×", "·", " x "])
def test_signs_of_multiplication_are_one(times: str) -> None:
    assert find_choice(PHYSICS, f"D. 3.2{times}10^4") == "D"
    assert find_choice(PHYSICS, f"D. 3.2{times}10^5") is None


@pytest.mark.parametrize("answer", ["A. 1/2", r"A. \dfrac{2}{4}", "A. 0.5", "A. ½"])
def test_a_text_behind_a_letter_may_be_the_option_s_value(answer: str) -> None:
    assert find_choice((r"\frac{1}{2}", r"\frac{1}{3}"), answer) == "A"
    assert find_choice((r"\frac{1}{3}", r"\frac{1}{2}"), answer) is None


@pytest.mark.parametrize("size", ["5 mm", "5mm"])
def test_small_letters_of_units_tell_options_apart(size: str) -> None:
    options = ("5 mm", "5 Mm")
    assert [find_choice(options, answer) for answer in (size, f"A. {size}", f"B. {size}")] == ["A", "A", None]


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
    assert find_choice(options, answer) == letter
