"""Small talk about animals: what helpful and unhelpful people answer, and what an answer is worth.

An answer is a row of sentences, each of which is a fact about the animal (true or not), a courtesy, a rudeness, or
anything else. ``rate`` adds them up.
"""

from __future__ import annotations

import random
import re
from itertools import combinations
from typing import NamedTuple

from dunwu.tasks.task import Draft, Generator

ANIMALS = {
    # what they eat, where they live, what they like, what they are: numbers in VALUES
    ("cats", "猫"): (0, 0, 0, 0),
    ("dogs", "狗"): (1, 0, 1, 1),
    ("horses", "马"): (2, 1, 1, 2),
    ("cows", "牛"): (2, 1, 0, 3),
    ("rabbits", "兔子"): (3, 2, 2, 0),
    ("bears", "熊"): (4, 3, 0, 2),
    ("ducks", "鸭子"): (5, 4, 3, 1),
    ("salmons", "鱼"): (6, 4, 3, 0),
    ("bees", "蜜蜂"): (7, 5, 4, 1),
    ("sheep", "羊"): (2, 5, 5, 3),
    ("frogs", "青蛙"): (8, 4, 6, 1),
    ("monkeys", "猴子"): (9, 6, 7, 4),
    ("pandas", "熊猫"): (10, 6, 0, 3),
    ("owls", "猫头鹰"): (11, 3, 8, 4),
    ("ants", "蚂蚁"): (12, 2, 9, 5),
    ("foxes", "狐狸"): (11, 3, 8, 4),
    ("geese", "鹅"): (2, 4, 5, 3),
    ("wolves", "狼"): (0, 3, 5, 2),
    ("goats", "山羊"): (6, 5, 7, 1),
    ("turtles", "乌龟"): (3, 4, 2, 3),
    ("parrots", "鹦鹉"): (9, 6, 6, 4),
    ("beavers", "河狸"): (6, 3, 9, 5),
    ("camels", "骆驼"): (2, 1, 2, 2),
    ("hedgehogs", "刺猬"): (8, 2, 8, 0),
}
VALUES = {
    "en": (
        (
            *("meat", "bones", "grass", "carrots", "honey", "bread", "plants", "nectar"),
            *("insects", "fruit", "bamboo", "mice", "sugar"),
        ),
        ("in houses", "on farms", "under the ground", "in woods", "in water", "on meadows", "in trees"),
        ("sleep", "play", "quiet", "rain", "flowers", "company", "singing", "jumps", "the night", "work"),
        ("gentle", "lively", "strong", "calm", "clever", "busy"),
    ),
    "zh": (
        ("肉", "骨头", "草", "胡萝卜", "蜂蜜", "面包", "水草", "花蜜", "虫子", "水果", "竹子", "老鼠", "糖"),
        ("家里", "农场", "地下", "森林", "水里", "草地", "树上"),
        ("睡觉", "玩耍", "安静", "下雨", "花", "同伴", "唱歌", "跳跃", "夜晚", "劳动"),
        ("温和", "活泼", "强壮", "平静", "聪明", "忙碌"),
    ),
}
FACTS = {
    "en": ("{} eat {}.", "{} live {}.", "{} like {}.", "{} are {}."),
    "zh": ("{}吃{}。", "{}住在{}。", "{}喜欢{}。", "{}很{}。"),
}
QUESTIONS = {
    "en": ("What do {} eat?", "Where do {} live?", "What do {} like?", "What are {} like?"),
    "zh": ("{}吃什么？", "{}住在哪里？", "{}喜欢什么？", "{}是什么样的？"),
}
ANYTHING = {"en": "Tell me about {}.", "zh": "给我讲讲{}。"}
THOUGHT = {"en": "they ask about {}.", "zh": "有人问起{}。"}
KINDS = tuple(range(len(FACTS["en"])))
ASKED = ((), *((kind,) for kind in KINDS), *combinations(KINDS, 2))
"""What is asked for: anything, one of the four facts, or two."""
SPACE = {"en": " ", "zh": ""}
PRONOUN = {"en": "They", "zh": "它们"}
COURTESIES = {"en": ("Gladly.", "Ask me more."), "zh": ("好的。", "欢迎再问。")}
"""Before and after."""
RUDENESSES = {"en": ("I do not care.", "Look it up."), "zh": ("我不在乎。", "自己去查。")}
SENTENCE = re.compile(r"[^.。]+[.。]?")


class Talk(NamedTuple):
    """An animal by number, and which facts about it are asked for; none: anything."""

    animal: int
    asked: tuple[int, ...]

    @property
    def key(self) -> str:
        """The content, the same in both languages."""
        return f"talk {self.animal} {self.asked}"

    def write_question(self, language: str) -> str:
        """Write the question in words."""
        called = name_animal(self.animal, language)
        if not self.asked:
            return ANYTHING[language].format(called)
        names = (called, PRONOUN[language].lower())
        asked = (QUESTIONS[language][kind].format(one) for kind, one in zip(self.asked, names, strict=False))
        return SPACE[language].join(asked)

    def write_thought(self, language: str) -> str:
        """Write what is thought before an answer."""
        return THOUGHT[language].format(name_animal(self.animal, language))


def name_animal(animal: int, language: str) -> str:
    """Return what an animal is called, in the plural."""
    return list(ANIMALS)[animal][language == "zh"]


def write_fact(animal: int, kind: int, language: str, called: str) -> str:
    """Write one of the four true sentences about an animal.

    Args:
        animal: Its number.
        kind: Which sentence, from 0.
        language: ``en`` or ``zh``.
        called: The animal's name, or a pronoun.
    """
    value = VALUES[language][kind][list(ANIMALS.values())[animal][kind]]
    return FACTS[language][kind].format(called, value)


def draw(rng: random.Random) -> Talk:
    """Draw any question about any animal."""
    return Talk(rng.randrange(len(ANIMALS)), rng.choice(ASKED))


def write_reply(rng: random.Random, talk: Talk, language: str, helpful: float) -> str:
    """Write what someone answers: true facts that were asked for and more, or false ones, other ones, few, or rudeness.

    Args:
        rng: Decides what is said.
        talk: What was asked.
        language: Of the answer.
        helpful: How helpful someone is, from 0 to 1.

    Returns:
        The answer's sentences.
    """
    if rng.random() > helpful and rng.random() < 0.3:
        return rng.choice(RUDENESSES[language])
    others = rng.sample(KINDS, len(KINDS))
    facts = [*talk.asked, *(kind for kind in others if kind not in talk.asked)]
    if rng.random() > helpful:
        facts = facts[rng.choice((0, 0, 1)) :][: rng.choice((1, 1, 2))]
    else:
        facts = facts[: max(len(talk.asked), rng.choice((2, 3, 3, 4)))]
    sentences = []
    for place, kind in enumerate(facts):
        called = PRONOUN[language] if place else _capitalize(name_animal(talk.animal, language))
        animal = talk.animal if rng.random() < 0.4 + 0.6 * helpful else rng.randrange(len(ANIMALS))
        sentences.append(write_fact(animal, kind, language, called))
    before, after = COURTESIES[language]
    sentences = [before, *sentences] if rng.random() < helpful else sentences
    sentences = [*sentences, after] if rng.random() < helpful else sentences
    return SPACE[language].join(sentences)


def rate(talk: Talk, text: str, language: str) -> float:
    """Rate an answer in points.

    3 for a fact that was asked for (2 where anything was), 1 for every other true one, half a point for each courtesy;
    -2 for what is false or no sentence of this world, -3 for a rudeness, -1 for what was said before. Nothing said: -3.

    Args:
        talk: What was asked.
        text: The answer, without reasoning.
        language: The one that it should be in.

    Returns:
        The sum of the points.
    """
    if not text.strip():
        return -3.0
    called = (PRONOUN[language], _capitalize(name_animal(talk.animal, language)), name_animal(talk.animal, language))
    true = {write_fact(talk.animal, kind, language, one): kind for kind in KINDS for one in called}
    said = [sentence.strip() for sentence in SENTENCE.findall(text) if sentence.strip()]
    different = {(true.get(sentence), sentence if sentence not in true else ""): sentence for sentence in said}
    points = float(len(different) - len(said))
    for sentence in different.values():
        if sentence in true:
            points += (3.0 if true[sentence] in talk.asked else 1.0) if talk.asked else 2.0
        elif sentence in COURTESIES[language]:
            points += 0.5
        else:
            points -= 3.0 if sentence in RUDENESSES[language] else 2.0
    return points


def _capitalize(text: str) -> str:
    return text[0].upper() + text[1:]


def draft(rng: random.Random, level: int, language: str) -> Draft:
    """Draft a question; nothing is right or wrong, so it has no gold."""
    talk = draw(rng)
    return Draft(question=talk.write_question(language), gold="", kind="open", key=talk.key)


TALK = Generator(draft, levels=(1,))
