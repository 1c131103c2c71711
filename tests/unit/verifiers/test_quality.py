"""Reasoning quality: what is read as a statement, what is right, and what farming buys."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dunwu.config.schema import RewardSpec
from dunwu.verifiers.quality import MOST_RIGHT, find_signature, measure_logic, measure_novelty, measure_steps
from dunwu.verifiers.statements import read_passages
from dunwu.verifiers.weights import QUALITY, RewardWeights, sum_components


def quality(chain: str, siblings: list[str], **weights: float) -> float:
    """The three components, as they are weighed for a right answer."""
    spec = RewardSpec.model_validate({"accuracy": 0.0, "format": 0.0, "quality": 1.0, **weights})
    parts = {"logic": measure_logic(chain), "steps": measure_steps(chain), "novelty": measure_novelty(chain, siblings)}
    return sum_components(parts, RewardWeights(spec).at("any", 0))


def stated(chain: str) -> list[str]:
    """The passages that were read, each in one piece."""
    return ["".join(map("".join, zip(p.sides, (*p.relations, ""), strict=True))) for p in read_passages(chain)]


@pytest.mark.parametrize(
    ("chain", "read"),
    [
        ("We get 3 + 4 = 7 apples, so 7 > 5.", ["3+4=7", "7>5"]),
        ("2*3=6=5+1", ["2*3=6=5+1"]),
        ("3*4+5\n = 12+5\n = 17", ["3*4+5=12+5=17"]),
        ("Sum = 3 + 4 = 7", ["3+4=7"]),
        ("**3+4=7** and 2**3 = 8", ["3+4=7", "2^3=8"]),
        ("(3 + 4 = 7), (1+2)*3 = 9", ["3+4=7", "(1+2)*3=9"]),
        ("Step 2: 3+4=7\n1. 7*2=14\n- 3 + 4 = 7", ["3+4=7", "7*2=14", "3+4=7"]),
        ("$\\frac{1}{2} + \\frac12 \\times 3 \\le 4$", []),
        ("$\\frac{1}{2} \\times 4 \\leq 3$", ["((1)/(2))*4≤3"]),
        ("\\(3 \\cdot 4 = 12\\) \\[ 5 \\ne 6 \\]", ["3*4=12", "5≠6"]),
        ("3 − 5 = −2，6 ÷ 2 ＝ 3", ["3-5=-2", "6/2=3"]),
        ("所以3×4=12，得到12-2=10。", ["3*4=12", "12-2=10"]),
        ("1,000 + 500 = 1,500", ["1000+500=1500"]),
        ("$5 + $6 = $11", ["5+6=11"]),
        ("\\$5 + \\$6 = \\boxed{11}", ["5+6=(11)"]),
        ("so $5$6 = 56", []),
        ("2(3+4) = 14", ["2*(3+4)=14"]),
        ("x_1 = 3, 2x + y = 5", ["x_1=3", "2x+y=5"]),
        ("3+4=7 => 7*2=14", ["3+4=7", "7*2=14"]),
        ("3+4=7 -> 7*2=14 → 14/2=7", ["3+4=7", "7*2=14", "14/2=7"]),
        ("a >= 3", ["a≥3"]),
    ],
)
def test_what_is_read(chain: str, read: list[str]) -> None:
    assert stated(chain) == read


@pytest.mark.parametrize(
    "chain",
    [
        "50% of 80 = 40",
        "50%的80=40",
        "80 = 50 % of 160",
        "twice 5 = 10",
        "the product of 2 and 5 = 10",
        "7/2 = 3 remainder 1",
        "7 / 2 = 3 R1",
        "7÷2=3余1",
        "10 = 2 times 5",
        "6 = 2 dozen",
        "17 mod 5 = 2",
        "17 = 2 mod 5",
        "sqrt(16) = 4",
        "gcd(12, 18) = 6",
        "f(3) = 9",
        "P(A) = 1/2",
        "log_2 8 = 3",
        "5! = 120",
        "√16 = 4",
        "3:4 = 6:8",
        "13:00-11:00 = 2 hours",
        "1010_2 = 10",
        "2\\frac{1}{3} = 7/3",
        "x = 7 + sqrt(2)",
        "20*90 = 1800kgs",
        "So - 3 + 4 = 7",
        "1 m = 100cm",
        "3 apples + 4 apples = 7 apples",
        "22/7 ≈ 3.14",
        "x = 0.\\overline{3}",
        "<think>3</think> = 4",
        "zzz 2+2 = 5",
    ],
)
def test_what_may_mean_something_else_is_not_read(chain: str) -> None:
    assert measure_logic(chain) == 0
    assert measure_logic(f"{chain}\n1 + 1 = 2") == 1, "and costs nothing"


@pytest.mark.parametrize(
    ("chain", "share"),
    [
        ("3 + 4 = 7", 1.0),
        ("3 + 4 = 8", 0.0),
        ("12 > 5. 12 < 5", 1 / 2),
        ("3 + 4 ≠ 8. 3 + 4 ≠ 7.", 1 / 2),
        ("2 ≤ 2 + 0. 3 ≥ 4. 3 <= 4.", 2 / 3),
        ("2*3 = 6 = 5+1", 1.0),
        ("2*3 = 6 = 5+2", 1 / 2),
        ("0.1 + 0.2 = 0.3", 1.0),
        ("1/3 + 1/6 = 1/2", 1.0),
        ("3+4=7. 3 + 4 = 7. 3 + 4 = 8.", 1 / 2),
        ("1+1=2. 10/3 = 3.33", 1.0),
        ("1+1=2. 10/3 = 3.34", 1 / 2),
        ("1+1=2. 10/3 = 3.3", 1 / 2),
        ("1+1=2. 2^9999999 = 3", 1.0),
        ("1+1=2. 1/0 = 3", 1.0),
        ("2^3 = 8. 2^3 = 9", 1 / 2),
        ("", 0.0),
        ("Knights never lie, so Ann is a knave.", 0.0),
    ],
)
def test_share_of_right_statements(chain: str, share: float) -> None:
    assert measure_logic(chain) == pytest.approx(share)


@pytest.mark.parametrize(
    "chain",
    [
        "3 + 4 = 8? no.",
        "3 + 4 = 8?",
        "3+4=8, no, wrong.",
        "3 + 4 = 8. Wait, that's wrong.",
        "3 + 4 = 8. But that is not right.",
        "3+4=8，不对，",
        "3+4=8（错）",
        "it is not true that 3 + 4 = 8",
        "we don't have 3 + 4 = 8",
        "并不是3+4=8",
        "if 1 = 2 then",
        "Suppose 1 = 2.",
        "如果1=2，",
    ],
)
def test_what_the_chain_does_not_claim_costs_nothing(chain: str) -> None:
    assert measure_logic(chain) == 0
    assert measure_logic(f"1 + 1 = 2. {chain} 2 + 2 = 4.") == 1


def test_rejecting_what_is_right_does_not_make_it_wrong() -> None:
    assert measure_logic("3 + 4 = 7, no, too small. 3 + 4 = 8.") == 1 / 2


@pytest.mark.parametrize(
    ("chain", "share"),
    [
        ("1+1=2. x = 5. So x = 7.", 1 / 2),
        ("1+1=2. x = 5. So 7 = x.", 1 / 2),
        ("1+1=2. x = 5. x = 5.", 1.0),
        ("x = 5. x = 2 + 3.", 1.0),
        ("1+1=2. x = 2 + 3 = 5. x = 7.", 2 / 3),
        ("1+1=2. x = 3. y = x + 1. y = 5.", 1 / 2),
        ("1+1=2. x = 5. y = 7.", 1.0),
        ("1+1=2. x = 5. Now let x = 7.", 1.0),
        ("1+1=2. x = 5. Try x = 7.", 1.0),
        ("1+1=2. 设x=5。令x=7。", 1.0),
        ("1+1=2. x = 5, no, wrong. x = 7.", 1.0),
        ("1+1=2. x = 5? x = 7.", 1.0),
        ("1+1=2. x = 5 or x = 7.", 1.0),
        ("1+1=2. x = 5 or 7. x = 7.", 1.0),
        ("1+1=2. If a > 1, then x = 5. If a < 1, then x = 7.", 1.0),
        ("1+1=2. When a > 1, x = 5. When a < 1, x = 7.", 1.0),
        ("1+1=2. n = 1: fine. n = 2: fine.", 1.0),
        ("1+1=2. x = 5. x = 7. x = 7.", 1 / 2),
        ("1+1=2. x = 5. x = 7. x = 5.", 1 / 3),
        ("1+1=2. Case 1: x = 5. Case 2: x = 7.", 1.0),
        ("1+1=2. x = 5. x > 7. x^2 = 4.", 1.0),
    ],
)
def test_a_letter_keeps_its_value_until_it_is_set_anew(chain: str, share: float) -> None:
    assert measure_logic(chain) == pytest.approx(share)


@pytest.mark.parametrize(
    ("chain", "share"),
    [
        ("1+1=2. a = b + 1, b = a - 1", 1 / 3),
        ("1+1=2. a = b + 1. b = c + 1. c = a - 2.", 1 / 4),
        ("1+1=2. a = b + 1, b = a - 1, b = 3", 1.0),
        ("1+1=2. a = b + 1, b = c", 1.0),
        ("1+1=2. a = b + c, b = a - c", 1.0),
        ("1+1=2. x = y + 1, y = z + 1, z = y - 1, x = 3", 1 / 3),
        ("1+1=2. x = y", 1.0),
        ("1+1=2. x = 2/x - 1", 1.0),
        ("1+1=2. It holds because 5 = 5.", 1 / 2),
        ("1+1=2. 因为5=5，", 1 / 2),
        ("1+1=2. 24 = 24, done.", 1.0),
        ("3 + 4 = 7 because 3 + 4 = 7", 1 / 2),
        ("1+1=2. Since x > 3, x > 3.", 1 / 2),
        ("3 + 4 = 7 because 7 - 4 = 3", 1.0),
    ],
)
def test_going_round_in_circles_costs(chain: str, share: float) -> None:
    assert measure_logic(chain) == pytest.approx(share)


HONEST = "First 3 * 8 = 24. Then 24 + 6 = 30, so the answer is 30."


def test_farming_pays_no_more_than_an_honest_chain() -> None:
    farm = "\n".join(f"{n} + 1 = {n + 1}" for n in range(1000))
    assert measure_logic(farm) == measure_logic(HONEST) == 1.0
    assert quality(farm, [HONEST]) < quality(HONEST, [farm])
    assert measure_logic("1 = 1\n" * 1000) == measure_logic("1 + 1 = 1 + 1\n" * 1000) == 0.0


def test_farming_hides_little_of_what_is_wrong() -> None:
    farm = "\n".join(f"{n} + 1 = {n + 1}" for n in range(1000))
    assert measure_logic(f"3 * 8 = 25. {farm}") == MOST_RIGHT / (MOST_RIGHT + 1)
    assert measure_logic("3 * 8 = 25. " + "1 + 1 = 2. " * 1000) == 1 / 2


@pytest.mark.parametrize(
    ("chain", "count"),
    [
        ("one", 1),
        ("one. two! three? four", 4),
        ("one\n\n  \n---\ntwo", 2),
        ("一。二！三；四", 4),
        ("x = 3.5 and y", 1),
        ("2*3 = 6 = 5+1", 2),
        ("1+1=2, 2+2=4, 4+4=8", 3),
        ("3 plus 4 is 7, 7 times 2 is 14: 14 and 1 make 15", 3),
        ("3加4得7，7乘2得14", 2),
        ("we have 3, 4, and 5 apples, so we add them", 1),
        ("1,000 and 1,500 make 2,500", 1),
        ("again. " * 10, 10),
        ("word " * 100, 3),
        ("甲" * 201, 2),
    ],
)
def test_steps_are_sentences_lines_and_relations(chain: str, count: int) -> None:
    assert measure_steps(chain) == pytest.approx(1 / count)


@pytest.mark.parametrize("chain", ["", " \n.", "...!?", "\u200b"])
def test_a_chain_without_steps_has_no_efficiency(chain: str) -> None:
    assert measure_steps(chain) == 0.0


@pytest.mark.parametrize(
    ("chain", "method"),
    [
        ("3 * 8 = 24", ("n*n",)),
        ("3 * 8 = 24. 24 + 6 = 30", ("n*n", "n+n")),
        ("3 * 8 = 24. 1 + 1 = 2. 24 + 6 = 30", ("n*n", "n+n")),
        ("3 * 8 + 6 = 30", ("n*n+n",)),
        ("30 = 5 * 6", ("n*n",)),
        ("x = 3 * 8. y = x + 6", ("n*n", "n+n")),
        ("3 * 8 = 25", ()),
        ("7 > 5", ()),
        ("no numbers", ()),
    ],
)
def test_the_method_is_what_leads_to_the_last_result(chain: str, method: tuple[str, ...]) -> None:
    assert find_signature(chain) == method


def test_novelty_is_the_share_of_siblings_with_another_method() -> None:
    product, other_product, total = "4 * 6 = 24", "So 3 * 8 = 24.", "20 + 4 = 24"
    assert measure_novelty(total, [product, other_product, total]) == pytest.approx(2 / 3)
    assert measure_novelty(product, [other_product, total]) == pytest.approx(1 / 2)
    assert measure_novelty(product, [other_product]) == 0.0
    assert measure_novelty(product, ["words"]) == 1.0
    assert measure_novelty("words", [product]) == measure_novelty(product, []) == 0.0


def test_quality_weighs_the_parts() -> None:
    chain, siblings = "3 * 8 = 24. 24 + 6 = 31.", ["24 + 6 = 30", "3 * 8 = 24"]
    parts = (measure_logic(chain), measure_steps(chain), measure_novelty(chain, siblings))
    assert parts == (1 / 2, 1 / 2, 1 / 2)
    assert [getattr(RewardSpec(), name).weight for name in QUALITY] == [0.6, 0.3, 0.1]
    assert quality(chain, siblings) == pytest.approx(0.5)
    assert quality(HONEST, [HONEST]) == pytest.approx(0.6 + 0.3 / 2)
    assert quality(HONEST, ["1 + 29 = 30"], logic=0.0, steps=0.0, novelty=1.0) == 1.0


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.tuples(st.integers(0, 99), st.sampled_from("+-*"), st.integers(0, 99)), min_size=1, max_size=15))
def test_sums_that_are_done_right_are_right_and_others_wrong(sums: list[tuple[int, str, int]]) -> None:
    sums = list(dict.fromkeys(sums))
    values = [{"+": a + b, "-": a - b, "*": a * b}[op] for a, op, b in sums]
    written = [f"So {a} {op} {b} = " for a, op, b in sums]
    right = ". ".join(f"{text}{value}" for text, value in zip(written, values, strict=True))
    wrong = ". ".join(f"{text}{value + 1}" for text, value in zip(written, values, strict=True))
    assert measure_logic(right) == 1
    assert measure_logic(wrong) == 0
    assert measure_logic(f"{right}. {wrong}") == pytest.approx(1 / 2)


PIECES = [
    "x",
    "x_1",
    "=",
    " = ",
    "3",
    "4.5",
    "(",
    ")",
    "+",
    "-",
    "^",
    "/",
    "if ",
    "no",
    "?",
    ".",
    "\n",
    "\\frac{",
    "}{",
]
ODD = st.text(st.characters(exclude_categories=()) | st.sampled_from("\0\ud800\u200b=<>12x"), max_size=40)


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.sampled_from(PIECES) | ODD, max_size=30).map("".join), ODD)
def test_any_text_has_a_quality(chain: str, other: str) -> None:
    for part in (measure_logic(chain), measure_steps(chain), measure_novelty(chain, [other]), quality(chain, [other])):
        assert 0 <= part <= 1


@pytest.mark.parametrize("unit", ["(", "<think>", "- ", "1+", "1", "=", "1=1 ", "x=", "8^8^8=1, ", "\n", "\\frac{1}"])
def test_ten_megabytes_are_no_matter(unit: str) -> None:
    text = unit * (10_000_000 // len(unit))
    assert measure_logic(text) == 0
    assert 0 <= measure_steps(text) <= 1


def test_a_letter_for_each_of_thousands_is_linear() -> None:
    names = [f"{letter}{place}" for letter in "abcdefghijklmnopqrstuvw" for place in range(100)]
    random.Random(0).shuffle(names)
    chain = ", ".join(f"{a} = {b} + 1" for a, b in zip(names, names[1:] + names[:1], strict=True))
    assert measure_logic(f"1 + 1 = 2. {chain}") == pytest.approx(1 / (1 + len(names)))
