"""Who is the tallest? People by height, described neighbour by neighbour. The level counts the people, 3 to 6."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import NamedTuple

from dunwu.tasks.task import Draft, Generator

NAMES = {"en": ("Ann", "Bob", "Cleo", "Dan", "Eve", "Finn"), "zh": ("甲", "乙", "丙", "丁", "戊", "己")}
WORDINGS = {
    ("taller", "en"): "{} is taller than {}. ",
    ("shorter", "en"): "{} is shorter than {}. ",
    ("taller", "zh"): "{}比{}高。",
    ("shorter", "zh"): "{}比{}矮。",
}
ASKED = {
    "en": ("Who is the tallest?", "Who is the second tallest?", "Who is the shortest?"),
    "zh": ("谁最高？", "谁第二高？", "谁最矮？"),
}
PLACES = (0, 1, -1)
"""Where in the order, tallest first, the one who is asked for stands."""


class Ranking(NamedTuple):
    """People by number, and what is said of them.

    Attributes:
        order: The people, tallest first.
        clues: (one, other, form) for each pair of neighbours.
        asked: Which of ``PLACES`` is asked for.
    """

    order: tuple[int, ...]
    clues: tuple[tuple[int, int, str], ...]
    asked: int

    def write_question(self, language: str) -> str:
        """Write the question in words."""
        names = NAMES[language]
        said = "".join(WORDINGS[form, language].format(names[one], names[other]) for one, other, form in self.clues)
        return said + ASKED[language][self.asked]

    def find_answer(self, order: tuple[int, ...], language: str) -> str:
        """Find the name that is asked for, if the people stood in this order."""
        return NAMES[language][order[min(PLACES[self.asked], len(order) - 1)]]

    @property
    def key(self) -> str:
        """The content, the same for every wording and every order of the clues."""
        return f"{self.order} {self.asked}"


def draw(rng: random.Random, people: int) -> Ranking:
    """Draw a row of people, with one clue for every neighbouring pair."""
    order = tuple(rng.sample(range(len(NAMES["en"])), people))
    pairs = list(pairwise(order))
    rng.shuffle(pairs)
    clues = [(a, b, "taller") if rng.random() < 0.5 else (b, a, "shorter") for a, b in pairs]
    return Ranking(order, tuple(clues), rng.randrange(len(PLACES)))


def draft(rng: random.Random, level: int, language: str) -> Draft:
    """Draft a question about ``level`` people; the gold is a name."""
    ranking = draw(rng, level)
    gold = ranking.find_answer(ranking.order, language)
    return Draft(question=ranking.write_question(language), gold=gold, kind="text", key=ranking.key)


RANKING = Generator(draft, levels=(3, 4, 5, 6))
