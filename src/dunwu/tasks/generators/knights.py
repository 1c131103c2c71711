"""Knights and knaves: knights always tell the truth, knaves always lie; who is a knight? The level counts the people.

Each speaks once. Of all 2^n casts exactly one makes every statement fit its speaker (found by trying them all), and it
has at least one knight. After Smullyan, What Is the Name of This Book? (1978).
"""

from __future__ import annotations

import random
from itertools import product
from typing import NamedTuple

from dunwu.tasks.task import Draft, Generator

NAMES = {"en": ("Ann", "Bob", "Cleo", "Dan", "Eve", "Finn"), "zh": ("甲", "乙", "丙", "丁", "戊", "己")}
RULE = {
    "en": "Knights always tell the truth, knaves always lie. {} are each one or the other. {} Who are the knights?",
    "zh": "骑士总说真话，无赖总说假话。{}各是其中一种。{}哪些人是骑士？",
}
WORDINGS = {
    ("is", "en"): "{a} is a {k}",
    ("same", "en"): "{a} and {b} are of the same kind",
    ("differ", "en"): "{a} and {b} are of different kinds",
    ("or", "en"): "{a} is a {k} or {b} is a {m}",
    ("and", "en"): "{a} is a {k} and {b} is a {m}",
    ("count", "en"): "exactly {n} of us {are}",
    ("is", "zh"): "{a}是{k}",
    ("same", "zh"): "{a}和{b}是同一种人",
    ("differ", "zh"): "{a}和{b}不是同一种人",
    ("or", "zh"): "{a}是{k}，或者{b}是{m}",
    ("and", "zh"): "{a}是{k}，而且{b}是{m}",
    ("count", "zh"): "我们当中恰好有{n}个骑士",
}
FORMS = ("is", "is", "same", "differ", "or", "and", "count")


class Claim(NamedTuple):
    """A statement on people ``a`` and ``b`` (by number), on what each is, and on how many knights there are."""

    form: str
    a: int = 0
    b: int = 0
    a_knight: bool = True
    b_knight: bool = True
    knights: int = 0

    def holds(self, cast: tuple[bool, ...]) -> bool:
        """Return whether it is true where ``cast`` says who is a knight."""
        first, second = cast[self.a] == self.a_knight, cast[self.b] == self.b_knight
        return {
            "is": first,
            "same": cast[self.a] == cast[self.b],
            "differ": cast[self.a] != cast[self.b],
            "or": first or second,
            "and": first and second,
            "count": sum(cast) == self.knights,
        }[self.form]

    def write(self, language: str) -> str:
        """Write the statement in words."""
        names = NAMES[language]
        kinds = {"en": ("knave", "knight"), "zh": ("无赖", "骑士")}[language]
        text = WORDINGS[self.form, language].format(
            a=names[self.a],
            b=names[self.b],
            k=kinds[self.a_knight],
            m=kinds[self.b_knight],
            n=self.knights,
            are="is a knight" if self.knights == 1 else "are knights",
        )
        return text[0].upper() + text[1:]


def draw_claim(rng: random.Random, speaker: int, people: int) -> Claim:
    """Draw a claim that someone makes about others, or about all.

    Args:
        rng: The draft's.
        speaker: The number of the one who speaks.
        people: How many people there are.
    """
    form = rng.choice(FORMS)
    if form == "count":
        return Claim(form, knights=rng.randint(0, people))
    a, b = sorted(rng.sample([person for person in range(people) if person != speaker], 2))
    if form == "is":
        return Claim(form, a, a, *[rng.random() < 0.5] * 2)
    if form in ("same", "differ"):
        return Claim(form, a, b)
    return Claim(form, a, b, rng.random() < 0.5, rng.random() < 0.5)


def find_casts(claims: list[Claim]) -> list[tuple[bool, ...]]:
    """Find every cast in which knights speak the truth and knaves do not; claim i is person i's."""
    return [
        cast
        for cast in product((True, False), repeat=len(claims))
        if all(claim.holds(cast) == knight for claim, knight in zip(claims, cast, strict=True))
    ]


def draft(rng: random.Random, level: int, language: str) -> Draft:
    """Draft statements that settle a cast; the gold lists its knights."""
    while True:
        claims = [draw_claim(rng, speaker, level) for speaker in range(level)]
        fitting = find_casts(claims)
        if len(fitting) == 1 and any(fitting[0]):
            break
    names = NAMES[language][:level]
    if language == "zh":
        people = "、".join(names[:-1]) + "和" + names[-1]
        said = "".join(f"{name}说：“{claim.write('zh')}。”" for name, claim in zip(names, claims, strict=True))
    else:
        people = ", ".join(names[:-1]) + " and " + names[-1]
        said = " ".join(f'{name} says: "{claim.write("en")}."' for name, claim in zip(names, claims, strict=True))
    gold = ", ".join(name for name, knight in zip(names, fitting[0], strict=True) if knight)
    key = "; ".join(claim.write("en") for claim in claims)
    return Draft(question=RULE[language].format(people, said), gold=gold, kind="set", key=key)


KNIGHTS = Generator(draft, levels=(3, 4, 5, 6))
