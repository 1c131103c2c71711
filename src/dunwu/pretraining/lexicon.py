"""The words of the corpus's writers, in English and in Chinese."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Lexicon:
    """The words and phrases of one language.

    Attributes:
        comma: Between the steps of a thought.
        item: Between the numbers of a list.
        task: A drill's question, with gaps for numbers, the last number and the target.
        stop: At the end of a sentence.
        space: Between sentences.
        big: The verdict on a result above the target.
        small: The verdict on a result below it.
        yes: The verdict on a result that hits.
        check: Before a verdict, instead of a comma.
        verify: Before the expression is written out once more.
        turns: Words of reflection after a miss, with their weights.
        openers: How a thought may begin.
        careless_turns: Before another attempt without a check.
        closers: How a careless thought may end.
    """

    comma: str
    item: str
    task: str
    stop: str
    space: str
    big: str
    small: str
    yes: str
    check: str
    verify: str
    turns: tuple[tuple[str, float], ...]
    openers: tuple[str, ...]
    careless_turns: tuple[str, ...]
    closers: tuple[str, ...]


ENGLISH = Lexicon(
    comma=", ",
    item=", ",
    task="{} and {} to make {}: ",
    stop=".",
    space=" ",
    big="too big",
    small="too small",
    yes="yes",
    check=". check: ",
    verify=". verify: ",
    turns=(
        (". wait, ", 0.5),
        (". however, ", 0.1),
        (", but ", 0.1),
        (". wrong, ", 0.12),
        (". retry: ", 0.08),
        (". mistake, ", 0.1),
    ),
    openers=("try ", "let me try ", "maybe "),
    careless_turns=(". or ", ". maybe "),
    closers=("", ", good", ", done", ", so done"),
)
CHINESE = Lexicon(
    comma="，",
    item="、",
    task="{}和{}得到{}：",
    stop="。",
    space="",
    big="太大",
    small="太小",
    yes="对",
    check="。检查：",
    verify="。验证：",
    turns=(
        ("。等等，", 0.5),
        ("，但是", 0.15),
        ("。不对，", 0.17),
        ("。再试，", 0.08),
        ("。错误，", 0.1),
    ),
    openers=("试", "先试", "也许"),
    careless_turns=("。或者", "。也许"),
    closers=("", "，好了", "，所以好了"),
)
LEXICONS = {"en": ENGLISH, "zh": CHINESE}
