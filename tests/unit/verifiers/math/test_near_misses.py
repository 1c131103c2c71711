"""Answers that are certainly wrong, made from right ones by a small change: none is accepted.

Each perturbation is one that changes the meaning whatever the rest says: a digit, a sign, a bracket, an order, a unit.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest
from tests.unit.verifiers.conftest import SETS, file_of, golds

from dunwu.bench.respelling import CHANGING_WORDS, PERTURBATIONS
from dunwu.types import Completion, Problem
from dunwu.verifiers import RewardGrader
from dunwu.verifiers.math.numerals import spell_number

Pair = tuple[str, str]

SEED = 20240613
FAST = 400
UNITS = (
    "cm",
    "m",
    "km",
    "inches",
    "feet",
    "kg",
    "grams",
    "hours",
    "minutes",
    "dollars",
    "cents",
    "元",
    "英里",
    "吨",
    "天",
)
"""No two of them are one unit."""


def of_data(rng: random.Random) -> Iterator[Pair]:
    """Real golds and what the perturbations make of them."""
    for name in filter(lambda name: file_of(name).exists(), SETS):
        for gold in dict.fromkeys(golds(name)):
            misses = {perturb(rng, gold) for perturb in PERTURBATIONS.values() for _ in range(2)}
            yield from ((gold, miss) for miss in sorted(misses - {None, gold}, key=str) if miss)


def intervals(rng: random.Random) -> Iterator[Pair]:
    """An endpoint moved, a bracket turned, the union for the hull, the relation of another sign."""
    low = rng.randint(-20, 20)
    high = low + rng.randint(2, 20)
    opening, closing = rng.choice("(["), rng.choice(")]")
    gold = f"{opening}{low},{high}{closing}"
    turned = {"(": "[", "[": "(", ")": "]", "]": ")"}
    yield gold, f"{turned[opening]}{low},{high}{closing}"
    yield gold, f"{opening}{low},{high}{turned[closing]}"
    yield gold, f"{opening}{low - 1},{high}{closing}"
    yield gold, f"{opening}{low},{high + 1}{closing}"
    yield gold, f"{opening}{low},\\infty)"
    yield gold, f"\\{{{low},{high}\\}}"
    yield gold, f"{low},{high}"
    yield gold, f"{opening}{low},{low + 1}{closing}\\cup[{high - 1},{high}{closing}" if high - low > 2 else f"{low}"
    left, right = (r"\le" if opening == "(" else "<"), (r"\le " if closing == "]" else "<")
    yield gold, f"{low}{left} x{right}{high}"


def unions(rng: random.Random) -> Iterator[Pair]:
    """Two rays: a bound moved, a ray turned, one dropped, closed for open."""
    low = rng.randint(-9, 9)
    high = low + rng.randint(1, 9)
    gold = rf"(-\infty,{low})\cup({high},\infty)"
    yield gold, rf"(-\infty,{low})\cup({high + 1},\infty)"
    yield gold, rf"(-\infty,{low}]\cup({high},\infty)"
    yield gold, rf"(-\infty,{low})"
    yield gold, rf"({low},{high})"
    yield gold, rf"x<{low} \text{{ or }} x>{high + 1}"
    yield gold, rf"x<{low} \text{{ or }} x\ge {high}"
    yield gold, rf"x>{low} \text{{ and }} x<{high}"


def sets(rng: random.Random) -> Iterator[Pair]:
    """A member dropped, added, doubled, changed; a tuple for the set."""
    members = rng.sample(range(-30, 30), rng.randint(2, 5))
    text = ",".join(map(str, members))
    gold = rng.choice([text, rf"\{{{text}\}}"])
    yield gold, ",".join(map(str, members[:-1]))
    yield gold, text + f",{max(members) + 1}"
    yield gold, text + f",{members[0]}"
    yield gold, ",".join(map(str, [*members[:-1], members[-1] + 100]))
    yield gold, f"({text})"
    yield gold, f"[{text}]"
    yield gold, str(members[0])
    yield gold, str(sum(members))


def tuples(rng: random.Random) -> Iterator[Pair]:
    """Coordinates swapped, one changed, dropped, added; a set for the tuple; named coordinates in the wrong order."""
    members = rng.sample(range(-30, 30), rng.randint(2, 4))
    text = ",".join(map(str, members))
    gold = f"({text})"
    yield gold, f"({','.join(map(str, members[::-1]))})"
    yield gold, f"({','.join(map(str, [*members[:-1], members[-1] + 1]))})"
    yield gold, f"({','.join(map(str, members[:-1]))})"
    yield gold, f"({text},0)"
    yield gold, rf"\{{{text}\}}"
    yield gold, text
    yield gold, f"(x,y)=({members[1]},{members[0]})"
    yield f"(x,y)=({members[0]},{members[1]})", f"(y,x)=({members[0]},{members[1]})"
    yield f"x={members[0]},y={members[1]}", f"x={members[1]},y={members[0]}"


def matrices(rng: random.Random) -> Iterator[Pair]:
    """Transposed, an entry changed, the determinant's bars, the determinant itself, a row less."""
    a, b, c, d = rng.sample(range(-9, 10), 4)
    gold = rf"\begin{{pmatrix}}{a}&{b}\\{c}&{d}\end{{pmatrix}}"
    yield gold, rf"\begin{{pmatrix}}{a}&{c}\\{b}&{d}\end{{pmatrix}}"
    yield gold, rf"\begin{{bmatrix}}{a}&{b}\\{c}&{d + 1}\end{{bmatrix}}"
    yield gold, rf"\begin{{vmatrix}}{a}&{b}\\{c}&{d}\end{{vmatrix}}"
    yield gold, str(a * d - b * c)
    yield gold, rf"\begin{{pmatrix}}{a}&{b}\end{{pmatrix}}"
    yield gold, rf"\begin{{pmatrix}}{a}\\{b}\\{c}\\{d}\end{{pmatrix}}"
    yield gold, rf"\left(\begin{{array}}{{cc}}{c}&{d}\\{a}&{b}\end{{array}}\right)"


def polynomials(rng: random.Random) -> Iterator[Pair]:
    """A coefficient, an exponent, a sign, a letter changed; an equation for the polynomial."""
    a, b, c = (rng.randint(2, 9) for _ in range(3))
    gold = f"{a}x^2-{b}x+{c}"
    yield gold, f"{a + 1}x^2-{b}x+{c}"
    yield gold, f"{a}x^3-{b}x+{c}"
    yield gold, f"{a}x^2+{b}x+{c}"
    yield gold, f"{a}x^2-{b}x-{c}"
    yield gold, f"{a}x^2-{b}x"
    yield gold, f"{a}y^2-{b}y+{c}"
    yield gold, f"{a}X^2-{b}x+{c}"
    yield gold, f"{a}x^2-{b}x+{c}=0"
    yield f"({gold})(x-{a})", f"({gold})(x+{a})"
    yield f"x={a}", f"{b}x={a * b}"
    yield f"y={a}x+{b}", f"y={b + 10}x+{a}"
    yield f"y={a}x+{b}", f"{a}x+y+{b}=0"
    yield f"x^2+y^2={a}", f"x^2+y^2={a + 1}"
    yield f"x>{a}", f"-x>-{a}"
    yield f"x>{a}", rf"x\ge {a}"


def roots(rng: random.Random) -> Iterator[Pair]:
    """Surds, logarithms, powers, factorials, binomials, complex and transcendental numbers, slightly off."""
    a, b = rng.randint(2, 9), rng.choice([2, 3, 5, 6, 7, 10, 11, 13])
    n = rng.randint(20, 3000)
    yield rf"{a}\sqrt{{{b}}}", rf"{a + 1}\sqrt{{{b}}}"
    yield rf"{a}\sqrt{{{b}}}", rf"{a}\sqrt[3]{{{b}}}"
    yield rf"{a}\sqrt{{{b}}}", f"{a * b**0.5:.12f}"
    yield rf"{a}+\sqrt{{{b}}}", rf"{a}-\sqrt{{{b}}}"
    yield rf"{a}\pm\sqrt{{{b}}}", rf"{a}+\sqrt{{{b}}}"
    yield str(a), rf"{a}\sqrt{{2}}"
    yield rf"\frac{{1}}{{{n}!}}", rf"\frac{{1}}{{{n + 2}!}}"
    yield rf"\frac{{1}}{{2^{{{n}}}}}", rf"\frac{{1}}{{2^{{{n - 1}}}}}"
    yield f"{n}!", f"{n}!+1"
    yield rf"\binom{{{n}}}{{{a}}}", rf"\binom{{{n}}}{{{a + 1}}}"
    yield rf"1-\frac{{{a}}}{{e}}", rf"1+\frac{{{a}}}{{e}}"
    yield rf"\log_{{{a}}}{{{n}}}", rf"\log_{{{a + 1}}}{{{n}}}"
    yield rf"\ln {n}", rf"\log {n}"
    yield f"{a}+{b}i", f"{a}-{b}i"
    yield rf"\frac{{{a}\pi}}{{{b + 10}}}", rf"\frac{{{a}}}{{{b + 10}}}"
    yield rf"{a}\pi", f"{a * 3.141592653589793}"
    yield rf"\sin {a}", rf"\cos {a}"
    yield f"e^{{{a}}}", f"e^{{-{a}}}"
    yield f"{n}_{{{a + 1}}}", f"{n}_{{{a + 2}}}"
    yield f"{n}", f"{n}_{{{a + 1}}}"
    yield rf"1,2,\ldots,{n}", rf"1,3,\ldots,{2 * n - 1}"


def quantities(rng: random.Random) -> Iterator[Pair]:
    """Units, percent, mixed numbers, ratios, Chinese numerals."""
    n = rng.randint(2, 9999)
    unit, other = rng.sample(UNITS, 2)
    word = rng.choice(CHANGING_WORDS)
    yield f"{n} {unit}", f"{n} {other}"
    yield f"{n} {unit}", f"{n + 1} {unit}"
    yield f"{n} {unit}", f"{n} {unit}^2"
    yield f"{n}\\text{{ {unit}}}", f"{n} {unit} per hour"
    yield str(n), f"{n} {word}"
    yield f"{n}\\%", str(n)
    yield f"{n}\\%", f"0.{n:04d}\\%"
    yield str(n), f"{n}\\%"
    yield rf"{n}\frac{{1}}{{3}}", rf"\frac{{{n}}}{{3}}"
    yield rf"{n}\frac{{1}}{{3}}", f"{n}.333333"
    yield f"{n}:7", f"7:{n}" if n != 7 else "7:8"
    yield str(n), spell_number(n + 1)
    yield str(n), spell_number(n) + rng.choice("万亿多余半几")
    yield rf"\frac{{{n}}}{{{n + 7}}}", f"{spell_number(n)}分之{spell_number(n + 7)}"
    yield f"{n}\\%", f"百分之{spell_number(n + 10)}"
    yield str(n), f"百分之{spell_number(n)}"
    yield f"{n}元", f"{spell_number(n)}角"
    yield str(n), f"不是{n}"
    yield str(n), f"{n}或{n + 1}"
    yield f"{n / 8}", rf"\approx {n / 8 + 0.5}"
    yield str(n), rf"\approx {n + 1}"


MAKERS = (intervals, unions, sets, tuples, matrices, polynomials, roots, quantities)


def made_up(rng: random.Random, rounds: int) -> list[Pair]:
    """``rounds`` of every maker's golds and misses."""
    return [pair for _ in range(rounds) for make in MAKERS for pair in make(rng)]


@pytest.fixture
def accepted(
    grader: RewardGrader, problem: Callable[..., Problem], completion: Callable[..., Completion]
) -> Callable[[list[Pair]], list[Pair]]:
    """The pairs that score, or that nothing decided."""

    def accepts(pair: Pair) -> bool:
        score = grader.score(problem("math", pair[0]), completion(f"<answer>{pair[1]}</answer>"))
        assert score.status == "graded"
        return score.value != 0.0 or not score.reason.startswith("does not equal")

    return lambda pairs: [pair for pair in pairs if accepts(pair)]


def test_a_sample_of_made_up_near_misses(accepted: Callable[[list[Pair]], list[Pair]]) -> None:
    pairs = made_up(random.Random(SEED), 5)
    assert len(pairs) >= FAST
    assert accepted(pairs) == []
    assert accepted([(miss, gold) for gold, miss in pairs]) == []


def test_near_misses_of_real_golds(accepted: Callable[[list[Pair]], list[Pair]]) -> None:
    pairs = list(of_data(random.Random(SEED)))
    assert len(pairs) >= (2000 if all(file_of(name).exists() for name in SETS) else 200)
    assert accepted(pairs) == []


@pytest.mark.slow
def test_thousands_of_made_up_near_misses(accepted: Callable[[list[Pair]], list[Pair]]) -> None:
    pairs = made_up(random.Random(SEED + 1), 40)
    assert len(pairs) >= 3000
    assert accepted(pairs) == []
    assert accepted([(miss, gold) for gold, miss in pairs]) == []
