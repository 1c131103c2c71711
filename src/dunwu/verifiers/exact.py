"""Answers that are words: one text, a sequence, a set, or the letter of a choice."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

from dunwu.verifiers.answers import OPTION, literal_value
from dunwu.verifiers.math.brackets import closing
from dunwu.verifiers.math.characters import encloses_digits
from dunwu.verifiers.math.tokens import LONGEST as MOST_TOKENIZED
from dunwu.verifiers.math.tokens import Token, tokenize
from dunwu.verifiers.math.wording import bare, lead, spelled

LONGEST = 2000
"""Characters of an answer that is looked into."""
SEPARATOR = re.compile(r"\s*(?:[,;、]|\band\b|和|\s)\s*")
NUMBER = re.compile(r"-?\d+(?:/\d+)?", re.ASCII)
ZERO_FIRST = re.compile(r"-?0\d")
"""024 is what splitting leaves of 1,024: no 24."""
PARTING = (".", ":", ")", "，", ",", "-")
LETTER = re.compile(
    r"(?:(?:the (?:correct )?answer is|answer:|答案[是为:]|option|choice|选项|选)\s*)*"
    r"[(\[]?\s*([a-z])\s*[)\]]?(?:\s*[.:、)]\s*(?P<text>.*)|\s*)",
    re.I | re.DOTALL,
)

MOVED = str.maketrans(
    {char: f"^{digit}" for digit, char in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")}
    | {char: f"_{digit}" for digit, char in enumerate("₀₁₂₃₄₅₆₇₈₉")}
)
"""Before NFKC, which would make 12 of 1²."""


def folded(text: str) -> str:
    """One form, case, width and spacing; no math wrapper, no outer quotes or full stop."""
    if len(text) > LONGEST:
        return text  # equal letter by letter or not at all
    text = "".join(map(_plain, text.translate(MOVED))).casefold().replace("−", "-")
    text = re.sub(r"\\(?:text(?:bf|rm|it)?|math(?:bf|rm|it))\s?\{([^{}]*)\}", r"\1", text)
    return " ".join(text.split()).strip(" .。\"'“”‘’$*`")


def _plain(char: str) -> str:
    return char if encloses_digits(char) else unicodedata.normalize("NFKC", char)


def same_text(gold: str, answer: str) -> bool:
    """Equal after ``folded``."""
    return bool(folded(answer)) and folded(gold) == folded(answer)


def items(text: str) -> list[str]:
    r"""The members of a list separated by commas, spaces, "and" or their Chinese forms, outer brackets dropped.

    Numbers stand as their exact values (9.90 and \frac{99}{10} are one). A chain 3 < 5 < 9 or 9 > 5 > 3 is a list where
    it is true; otherwise it is one member.
    """
    if len(text) > LONGEST:
        return [text]
    bare = re.sub(r"\\(?:left|right)(?![a-z])", "", folded(text)).strip("[]()")
    bare = bare.strip("\\{}") if bare.startswith(("{", "\\{")) else bare
    chain = [sign for sign in "<>" if sign in bare]
    if not chain:
        return [_member(item) for item in SEPARATOR.split(bare) if item.strip("$")]
    members = [_member(item) for item in bare.split(chain[0])]
    values = [Fraction(member) for member in members if NUMBER.fullmatch(member)]
    rising = sorted(set(values), reverse=chain[0] == ">")
    return members if len(values) == len(members) and values == rising else [bare]


def _member(text: str) -> str:
    text = text.strip(" $")
    value = None if ZERO_FIRST.match(text) else literal_value(text)
    return text if value is None else str(value)


def same_sequence(gold: str, answer: str) -> bool:
    """The same members in the same order."""
    return bool(items(answer)) and items(gold) == items(answer)


def same_set(gold: str, answer: str) -> bool:
    """The same members, each as often, in any order."""
    return bool(items(answer)) and Counter(items(gold)) == Counter(items(answer))


def same_choice(options: tuple[str, ...], gold: str, answer: str) -> bool:
    """Whether ``answer`` names the option of letter ``gold``: by letter ("B", "(b)", "B. text") or by its whole text.

    A letter with a text must go with that option's text. Where no ``options`` are known only the letter counts. Of
    options that are one after ``folded`` (5 and $5, mm and Mm) only the exact text chooses.
    """
    return chosen(options, answer) == gold.strip().upper()


def chosen(options: tuple[str, ...], answer: str) -> str | None:
    """The upper-case letter that ``answer`` chooses, None where it chooses none, or a letter with another's text."""
    if len(answer) > LONGEST:
        return None
    texts = [folded(option) for option in options]
    given = folded(answer)
    exact = [place for place, option in enumerate(options) if option.strip() == answer.strip()]
    places = exact or [place for place, text in enumerate(texts) if text == given]
    if places:
        return chr(ord("A") + places[0]) if len(places) == 1 else None
    letter, text = _letter_and_text(answer)
    if letter is None:
        said = _spelled(answer)
        places = [place for place, option in enumerate(options) if said and _spelled(option) == said]
        return chr(ord("A") + places[0]) if len(places) == 1 else None
    place = ord(letter) - ord("A")
    agrees = not text or not options or (place < len(options) and text in (texts[place], _spelled(options[place])))
    return letter if agrees else None


def _letter_and_text(answer: str) -> tuple[str | None, str]:
    """The letter that an answer begins with, and the text behind it: "B. 20 m/s", "B (20 m/s)", "(b)", "B 20 m/s"."""
    match = LETTER.fullmatch(folded(answer))
    if match and not match["text"]:
        return match[1].upper(), ""
    tokens = lead(tokenize(answer))
    while len(tokens) > 1 and OPTION.fullmatch(tokens[0].text):
        tokens = tokens[1:]
    bracketed = len(tokens) > 2 and tokens[0].text in ("(", "[") and tokens[2].text in (")", "]")
    letter, rest = (tokens[1], tokens[3:]) if bracketed else (tokens[0] if tokens else None, tokens[1:])
    if letter is None or letter.kind != "word" or len(letter.text) > 1 or not (letter.text.isupper() or bracketed):
        return (match[1].upper(), folded(match["text"])) if match else (None, "")
    while rest and rest[0].text in PARTING:
        rest = rest[1:]
    if len(rest) > 2 and rest[0].text == "(" and closing(rest, 0) == len(rest) - 1:
        rest = rest[1:-1]
    return letter.text.upper(), _without_gaps(rest)


def _spelled(text: str) -> str:
    """A text in the one spelling of its tokens, without spaces and case."""
    return _without_gaps(bare(tokenize(text))) if len(text) <= MOST_TOKENIZED else folded(text)


def _without_gaps(tokens: Sequence[Token]) -> str:
    return spelled(tokens).replace(" ", "").casefold()
