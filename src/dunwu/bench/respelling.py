"""Right answers in other spellings, and wrong ones that are a small change away from right ones.

What a perturbation makes is wrong: a digit, a sign, a bracket, an order or a unit is another one.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping

CHANGING_WORDS = (
    "hundred", "thousand", "million", "dozen", "pairs", "squared", "cubed", "doubled", "halved", "backwards", "fives",
    "or so", "minus one", "and a half", "point five", "percent", "basis points", "below zero", "something", "nope",
    "万", "千", "亿", "左右", "多", "余", "倍", "半", "折", "成", "打", "分之一", "又1/2",
)  # fmt: skip
"""After a number, they make it another one, or none."""


def change_digit(rng: random.Random, gold: str) -> str | None:
    """Replace one digit by another one."""
    places = [match.start() for match in re.finditer(r"\d", gold)]
    if not places:
        return None
    place = rng.choice(places)
    return gold[:place] + rng.choice([digit for digit in "0123456789" if digit != gold[place]]) + gold[place + 1 :]


def add_digit(rng: random.Random, gold: str) -> str | None:
    """Put one digit more in front of a number."""
    places = [match.start() for match in re.finditer(r"(?<![\d.,!_^{\\])\d", gold)]
    return gold[: (place := rng.choice(places))] + rng.choice("123456789") + gold[place:] if places else None


def change_scalar(rng: random.Random, gold: str) -> str | None:
    """Give a number or root another sign, factor, power or unit of counting."""
    if not re.fullmatch(r"-?(?:\d+|\\frac\{\d+\}\{\d+\}|\d*\\sqrt\{\d+\}|\d* ?\\pi)", gold) or gold in ("0", "1"):
        return None
    minus = gold[1:] if gold.startswith("-") else "-" + gold
    factors = [rf"{gold}\sqrt{{2}}", rf"{gold}\pi", f"{gold}i", f"{gold}x", rf"{gold}+1", rf"\frac{{1}}{{{gold}0}}"]
    wholes = [f"{gold}\\%", f"{gold}.5", f"{gold}/7", f"{gold} {rng.choice(CHANGING_WORDS)}"] if gold.isdigit() else []
    factorials = [f"{gold}!"] if gold.isdigit() and int(gold) > 2 else []
    return rng.choice([minus, f"({gold})^2", *factors, *wholes, *factorials])


def change_brackets(rng: random.Random, gold: str) -> str | None:
    """Put another kind of bracket around a collection."""
    match = re.fullmatch(r"(?:\\left)?([(\[])(.*,.*?)(?:\\right)?([)\]])", gold)
    if match is None or "\\cup" in gold:
        return None
    kinds = [("(", ")"), ("[", "]"), ("(", "]"), ("[", ")"), (r"\{", r"\}")]
    opening, closing = rng.choice([kind for kind in kinds if kind != (match[1], match[3])])
    return opening + match[2] + closing


def change_items(rng: random.Random, gold: str) -> str | None:
    """Swap the items of a tuple, drop one, or add one."""
    match = re.fullmatch(r"\(([^()\[\]]*,[^()\[\]]*)\)", gold)
    items = match[1].split(",") if match else []
    if len({item.strip() for item in items}) < 2:
        return None
    others = [list(reversed(items)), items[:-1], [*items, "1"], [*items, items[0]]]
    chosen = rng.choice([other for other in others if [o.strip() for o in other] != [i.strip() for i in items]])
    return f"({','.join(chosen)})"


def change_rows(rng: random.Random, gold: str) -> str | None:
    """Turn the rows of a matrix round, or drop one of them."""
    match = re.fullmatch(r"\\begin\{pmatrix\}(.*)\\end\{pmatrix\}", gold)
    rows = match[1].split(r"\\") if match else []
    if len({row.strip() for row in rows}) < 2:
        return None
    other = rng.choice([rows[::-1], rows[:-1]])
    return r"\begin{pmatrix}" + r"\\".join(other) + r"\end{pmatrix}" if other != rows else None


PERTURBATIONS: Mapping[str, Callable[[random.Random, str], str | None]] = {
    "digit changed": change_digit,
    "digit added": add_digit,
    "scalar changed": change_scalar,
    "brackets changed": change_brackets,
    "items changed": change_items,
    "row changed": change_rows,
}
"""By kind; each gives a wrong answer, or None where it does not apply."""
RENDERINGS: Mapping[str, Callable[[str], str]] = {
    "bare": lambda gold: gold,
    "dollars": lambda gold: f"${gold}$",
    "boxed": lambda gold: rf"\boxed{{{gold}}}",
    "emphasis": lambda gold: f"**{gold}**",
    "full stop": lambda gold: f"{gold}.",
    "sentence": lambda gold: f"The answer is {gold}.",
    "Chinese sentence": lambda gold: f"答案是{gold}。",
    "spaces": lambda gold: re.sub(r"(?<=[\d}])([+=])", r" \1 ", gold),
    "sized brackets": lambda gold: gold if r"\left" in gold else gold.replace("(", r"\left(").replace(")", r"\right)"),
    "dfrac": lambda gold: re.sub(r"\\[dt]?frac(?=\{)", r"\\dfrac", gold),
    "name": lambda gold: gold if re.search(r"[=,<>\\a-zA-Z]|\d_", gold) else f"x = {gold}",
    "thousands": lambda gold: f"{int(gold):,}" if re.fullmatch(r"\d{4,15}", gold) else gold,
    "decimal": lambda gold: f"{gold}.0" if re.fullmatch(r"-?\d+", gold) else gold,
    "unit": lambda gold: rf"{gold}\text{{ cm}}" if re.fullmatch(r"\d+|\d*\\sqrt\{\d+\}", gold) else gold,
    "font": lambda gold: rf"\mathbf{{{gold}}}" if re.fullmatch(r"-?\d+", gold) else gold,
}
"""By kind; each means what the gold means."""


def make_near_misses(rng: random.Random, gold: str, draws: int) -> dict[str, str]:
    """Make near misses of a right answer.

    Args:
        rng: Decides digits and places.
        gold: The right answer.
        draws: How often each perturbation is tried.

    Returns:
        Wrong answers, with the kind of change that made each.
    """
    found: dict[str, str] = {}
    for kind, perturb in PERTURBATIONS.items():
        for _ in range(draws):
            miss = perturb(rng, gold)
            if miss is not None and miss != gold:
                found.setdefault(miss, kind)
    return found
