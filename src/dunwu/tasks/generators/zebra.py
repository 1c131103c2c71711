"""Small zebra puzzles: who lives where in a row of houses, from clues.

Levels: 1 three houses with a person and a pet each, 2 the same with a drink, 3 and 4 the same with four houses.

The clues leave exactly one of all arrangements (they are enumerated), and none of them can be missed. The
key is blind to which category is asked for.
"""

from __future__ import annotations

import random
from functools import lru_cache
from itertools import permutations, product
from typing import NamedTuple

from dunwu.tasks.task import Draft, Generator

SHAPES = {1: (3, 2), 2: (3, 3), 3: (4, 2), 4: (4, 3)}
"""Houses and categories."""
ITEMS = {
    "en": (("Ann", "Bob", "Cleo", "Dan"), ("cat", "dog", "fish", "bird"), ("tea", "milk", "juice", "water")),
    "zh": (("甲", "乙", "丙", "丁"), ("猫", "狗", "鱼", "鸟"), ("茶", "牛奶", "果汁", "水")),
}
PERSON = {"en": ("{}", "the owner of the {}", "the drinker of {}"), "zh": ("{}", "养{}的人", "喝{}的人")}
CATEGORY = {"en": ("people", "pets", "drinks"), "zh": ("人", "宠物", "饮料")}
HABITS = ("住一个人", "养一种宠物", "喝一种饮料")
CLUES = {
    ("at", "en"): "{} lives in house {}.",
    ("same", "en"): "{} is {}.",
    ("left", "en"): "{} lives directly to the left of {}.",
    ("next", "en"): "{} lives next to {}.",
    ("at", "zh"): "{}住{}号房。",
    ("same", "zh"): "{}就是{}。",
    ("left", "zh"): "{}住在{}左边紧邻的房子里。",
    ("next", "zh"): "{}和{}住在相邻的房子里。",
}
FORMS = ("at", "same", "left", "next", "next")

World = tuple[tuple[int, ...], ...]
"""``world[category][item]`` is the house of an item, from 0."""


class Clue(NamedTuple):
    """What is said of two items, each (category, number); for ``at`` the second number is the house."""

    form: str
    first: tuple[int, int]
    second: tuple[int, int]

    def holds(self, world: World) -> bool:
        """Return whether it is true in a world."""
        (c, i), (d, j) = self.first, self.second
        here = world[c][i]
        if self.form == "at":
            return here == j
        there = world[d][j]
        if self.form == "next":
            return abs(here - there) == 1
        return here == there if self.form == "same" else here + 1 == there

    def write(self, language: str) -> str:
        """Write the clue in words."""
        (c, i), (d, j) = self.first, self.second
        first = PERSON[language][c].format(ITEMS[language][c][i])
        second = j + 1 if self.form == "at" else PERSON[language][d].format(ITEMS[language][d][j])
        text = CLUES[self.form, language].format(first, second)
        return text[0].upper() + text[1:]


@lru_cache(maxsize=len(SHAPES))
def list_worlds(houses: int, categories: int) -> tuple[World, ...]:
    """List every arrangement."""
    return tuple(product(permutations(range(houses)), repeat=categories))


@lru_cache(maxsize=4096)
def find_worlds(houses: int, categories: int, clue: Clue) -> int:
    """Find the worlds in which a clue holds.

    Args:
        houses: How many there are.
        categories: Of items.
        clue: What is said.

    Returns:
        One bit a world, the first of ``list_worlds`` highest.
    """
    bits = "".join("01"[clue.holds(world)] for world in list_worlds(houses, categories))
    return int(bits, 2)


def draw_clue(rng: random.Random, houses: int, categories: int) -> Clue:
    """Draw a clue, true or not, about this many houses and categories."""
    form = rng.choice(FORMS)
    items = list(product(range(categories), range(houses)))
    if form == "at":
        return Clue(form, rng.choice(items), (0, rng.randrange(houses)))
    first, second = rng.sample(items, 2)
    if form == "same":
        c, d = sorted(rng.sample(range(categories), 2))
        first, second = (c, first[1]), (d, second[1])
    elif form == "next":
        first, second = sorted((first, second))
    return Clue(form, first, second)


def draw_clues(rng: random.Random, houses: int, categories: int) -> tuple[World, list[Clue]]:
    """Draw a world, and clues that leave no other.

    Args:
        rng: The draft's.
        houses: How many there are.
        categories: Of items.

    Returns:
        The world, and true clues of which none can be missed.
    """
    every = list_worlds(houses, categories)
    everything = (1 << len(every)) - 1
    world, clues, left = rng.choice(every), list[Clue](), everything
    while left.bit_count() > 1:
        clue = draw_clue(rng, houses, categories)
        narrowed = left & find_worlds(houses, categories, clue)
        if clue.holds(world) and narrowed != left:
            clues.append(clue)
            left = narrowed
    for clue in list(clues):
        left = everything
        for other in clues:
            if other != clue:
                left &= find_worlds(houses, categories, other)
        if left.bit_count() == 1:
            clues.remove(clue)
    rng.shuffle(clues)
    return world, clues


def draft(rng: random.Random, level: int, language: str) -> Draft:
    """Draft a puzzle; the gold lists one category's items from the first house to the last."""
    houses, categories = SHAPES[level]
    world, clues = draw_clues(rng, houses, categories)
    asked = rng.randrange(categories)
    items = [ITEMS[language][c][:houses] for c in range(categories)]
    said = [clue.write(language) for clue in clues]
    if language == "zh":
        habits = "、".join(HABITS[:categories])
        listed = "；".join(f"{name}：{'、'.join(row)}" for name, row in zip(CATEGORY["zh"], items, strict=False))
        question = f"从左到右有{houses}座房子，编号1到{houses}，每座{habits}，互不相同。{listed}。{''.join(said)}"
        question += f"从1号房到{houses}号房依次列出{CATEGORY['zh'][asked]}。"
    else:
        listed = "; ".join(f"{name}: {', '.join(row)}" for name, row in zip(CATEGORY["en"], items, strict=False))
        question = (
            f"{houses} houses stand in a row, numbered 1 to {houses} from left to right, each with its own of these. "
        )
        question += f"{listed[0].upper()}{listed[1:]}. {' '.join(said)} "
        question += f"List the {CATEGORY['en'][asked]} from house 1 to house {houses}."
    gold = ", ".join(sorted(items[asked], key=lambda item: world[asked][items[asked].index(item)]))
    key = f"{level}/{' '.join(sorted(clue.write('en') for clue in clues))}"
    return Draft(question=question, gold=gold, kind="sequence", key=key)


ZEBRA = Generator(draft, levels=(1, 2, 3, 4))
