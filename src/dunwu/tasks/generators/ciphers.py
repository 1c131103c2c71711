"""Ciphers to undo. Levels: 1 Caesar, shift given; 2 Atbash; 3 substitution, key given; 4 Caesar, one word given."""

from __future__ import annotations

import random
import string

from dunwu.tasks.task import Draft, Generator

LETTERS = string.ascii_uppercase
WORDS = tuple(
    """
    APPLE ARROW BREAD BRIDGE BRIGHT CANDLE CASTLE CLOUD COPPER CROWN DESERT DRAGON EAGLE EARTH FIELD FLAME FOREST
    GARDEN GOLDEN GRAPE HARBOR HONEY HORSE ISLAND JUNGLE KITTEN LADDER LEMON LIGHT MARBLE MEADOW MIRROR MOUNTAIN NIGHT
    OCEAN ORANGE PALACE PAPER PEARL PLANET QUIET RABBIT RAVEN RIVER SCHOOL SHADOW SILVER SPRING STONE STORM SUMMER TABLE
    THUNDER TIGER TRAVEL VALLEY VIOLET WATER WINDOW WINTER YELLOW ZEBRA
    """.split()  # noqa: SIM905  -- readable as a block
)
WORDINGS = {
    (
        1,
        "en",
    ): "Each letter of a message was moved {key} places forward in the alphabet (Z is followed by A). It became "
    "{cipher}. What was the message?",
    (
        2,
        "en",
    ): "In a message A was swapped with Z, B with Y, C with X and so on (Atbash). It became {cipher}. What was the "
    "message?",
    (
        3,
        "en",
    ): "In a message each letter of {plain} was replaced by the letter at the same place in {key}. It became "
    "{cipher}. What was the message?",
    (
        4,
        "en",
    ): "Each letter of a message was moved equally far in the alphabet (Z is followed by A). {sample} became {key}. "
    "The message became {cipher}. What was the message?",
    (1, "zh"): "一句话的每个字母在字母表中后移{key}位（Z之后是A），变成{cipher}。原话是什么？",
    (2, "zh"): "一句话中A与Z互换，B与Y互换，C与X互换，依此类推（埃特巴什码），变成{cipher}。原话是什么？",
    (3, "zh"): "一句话中{plain}的每个字母换成{key}中同一位置的字母，变成{cipher}。原话是什么？",
    (
        4,
        "zh",
    ): "一句话的每个字母在字母表中移动相同的位数（Z之后是A）。{sample}变成{key}。这句话变成{cipher}。原话是什么？",
}


def rotate(shift: int) -> str:
    """Return the alphabet from its letter number ``shift`` on."""
    return LETTERS[shift:] + LETTERS[:shift]


def draw_alphabet(rng: random.Random, level: int) -> tuple[str, str]:
    """Draw what stands for A to Z; return it with the name of the key."""
    if level == 2:
        return LETTERS[::-1], "atbash"
    if level == 3:
        mixed = "".join(rng.sample(LETTERS, 26))
        return mixed, mixed
    shift = rng.randint(1, 25)
    return rotate(shift), str(shift)


def draft(rng: random.Random, level: int, language: str) -> Draft:
    """Draft two words under a cipher."""
    first, second, sample = rng.sample(WORDS, 3)
    message = f"{first} {second}"
    shown, key = draw_alphabet(rng, level)
    table = str.maketrans(LETTERS, shown)
    question = WORDINGS[level, language].format(
        cipher=message.translate(table),
        key=sample.translate(table) if level == 4 else key,
        plain=LETTERS,
        sample=sample,
    )
    return Draft(question=question, gold=message, kind="text", key=f"{key}:{message}")


CIPHERS = Generator(draft, levels=(1, 2, 3, 4))
