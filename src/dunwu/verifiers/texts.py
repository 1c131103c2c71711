"""Answers that are words: one text, a sequence, a set, or the letter of a choice."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence, Set
from fractions import Fraction
from string import ascii_uppercase

from dunwu.verifiers import choices
from dunwu.verifiers.math.answers import read_literal_value, same_answer
from dunwu.verifiers.math.brackets import find_closing
from dunwu.verifiers.math.characters import encloses_digits
from dunwu.verifiers.math.tokens import LONGEST_ANSWER as MOST_TOKENIZED
from dunwu.verifiers.math.tokens import Token, tokenize
from dunwu.verifiers.math.wording import spell_tokens, strip_tokens

LONGEST_TEXT = 2000
"""Characters of an answer that is looked into."""
MEMBER_SEPARATOR = re.compile(r"\s*(?:[,;、]|\band\b|和|\s)\s*")
INTEGER_OR_FRACTION = re.compile(r"-?\d+(?:/\d+)?", re.ASCII)
ZERO_FIRST = re.compile(r"-?0\d")
"""024 is what splitting leaves of 1,024: no 24."""
AFTER_LETTER = (".", ":", ")", "，", ",", ";", "；", "—", "=", "->", "=>")
"""Signs between a letter and its option's text; a dash may be another's sign."""
TIMES_SIGN = re.compile(r"×|(?<=\d)x(?=\d)")
LETTER_AND_TEXT = re.compile(r"[(\[]?\s*([a-z])\s*[)\]]?(?:\s*[.:、)]\s*(?P<text>.*)|\s*)", re.DOTALL)
"""The letter of an option, and the text behind it, in a folded text."""

SMALL_DIGITS = str.maketrans(
    {char: f"^{digit}" for digit, char in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")}
    | {char: f"_{digit}" for digit, char in enumerate("₀₁₂₃₄₅₆₇₈₉")}
)
"""Raised and lowered digits, replaced before NFKC, which would make 12 of 1²."""


def fold(text: str) -> str:
    """Return a text in one form, case, width and spacing; no math wrapper, no outer quotes or full stop."""
    if len(text) > LONGEST_TEXT:
        return text  # equal letter by letter or not at all
    text = "".join(map(_normalize, text.translate(SMALL_DIGITS))).casefold().replace("−", "-")
    text = re.sub(r"\\(?:text(?:bf|rm|it)?|math(?:bf|rm|it))\s?\{([^{}]*)\}", r"\1", text)
    return " ".join(text.split()).strip(" .。\"'“”‘’$*`")


def _normalize(char: str) -> str:
    return char if encloses_digits(char) else unicodedata.normalize("NFKC", char)


def same_text(gold: str, answer: str) -> bool:
    """Return whether both are equal after ``fold``, and show something."""
    return bool(fold(answer)) and fold(gold) == fold(answer)


def split_members(text: str) -> list[str]:
    r"""Return the members of a list separated by commas, spaces, "and" or their Chinese forms, outer brackets dropped.

    Numbers stand as their exact values (9.90 and \frac{99}{10} are one). A chain 3 < 5 < 9 or 9 > 5 > 3 is a list where
    it is true; otherwise it is one member.
    """
    if len(text) > LONGEST_TEXT:
        return [text]
    bare = re.sub(r"\\(?:left|right)(?![a-z])", "", fold(text)).strip("[]()")
    bare = bare.strip("\\{}") if bare.startswith(("{", "\\{")) else bare
    chain = [sign for sign in "<>" if sign in bare]
    if not chain:
        return [_read_member(item) for item in MEMBER_SEPARATOR.split(bare) if item.strip("$")]
    members = [_read_member(item) for item in bare.split(chain[0])]
    values = [Fraction(member) for member in members if INTEGER_OR_FRACTION.fullmatch(member)]
    rising = sorted(set(values), reverse=chain[0] == ">")
    return members if len(values) == len(members) and values == rising else [bare]


def _read_member(text: str) -> str:
    text = text.strip(" $")
    value = None if ZERO_FIRST.match(text) else read_literal_value(text)
    return text if value is None else str(value)


def same_sequence(gold: str, answer: str) -> bool:
    """Return whether both have the same members in the same order."""
    return bool(split_members(answer)) and split_members(gold) == split_members(answer)


def same_set(gold: str, answer: str) -> bool:
    """Return whether both have the same members, each as often, in any order."""
    return bool(split_members(answer)) and Counter(split_members(gold)) == Counter(split_members(answer))


def same_choice(options: tuple[str, ...], gold: str, answer: str) -> bool:
    """Return whether an answer names the right option; see ``find_choice``.

    Args:
        options: Their texts, in the order of their letters.
        gold: The letter of the right one.
        answer: The answer as it was extracted.
    """
    return find_choice(options, answer) == gold.strip().upper()


def find_choice(options: tuple[str, ...], answer: str) -> str | None:
    """Return the letter of the option that ``answer`` chooses; None where it chooses none, or more than one.

    By letter ("B", "(b)", "故选B", "B. text") or by its whole text. One capital is a letter, as far as there are
    options, even where another option's text is that capital. A letter with a text must go with that option's text.
    Where no ``options`` are known only the letter counts, unless the text takes it back or names another.

    Args:
        options: Their texts, in the order of their letters.
        answer: The answer as it was extracted.

    Returns:
        The letter in upper case.
    """
    if len(answer) > LONGEST_TEXT:
        return None
    known = frozenset(ascii_uppercase[: len(options)] if options else ascii_uppercase)
    letter, text = _split_letter(answer, known)
    whole = [] if answer.strip() in known else _find_places(options, answer, str.strip)
    if letter and letter in answer and not text and not whole:
        return letter
    places = whole or _find_by_text(options, answer)
    if places:
        return ascii_uppercase[places[0]] if len(places) == 1 else None
    if not (letter and text):
        return letter
    if not options:
        return None if choices.takes_back(tokenize(text)) else letter
    return letter if ascii_uppercase.index(letter) in _find_fitting(options, text) else None


def _find_by_text(options: tuple[str, ...], answer: str) -> list[int]:
    """Find the places of the options whose whole text is ``answer``, in the closest sense in which there are any."""
    senses = (str.strip, fold, _spell_exactly, _spell, _read_number)
    return next(filter(None, (_find_places(options, answer, sense) for sense in senses)), [])


def _find_fitting(options: tuple[str, ...], text: str) -> list[int]:
    """Find the places of the options that a text behind a letter means: by spelling, the case aside, or by value."""
    found = _find_places(options, text, _spell_exactly) or _find_by_text(options, text)
    return found or [place for place, option in enumerate(options) if same_answer(option, text, lambda *_: False)]


def _find_places(options: tuple[str, ...], text: str, sense: Callable[[str], str]) -> list[int]:
    said = sense(text)
    return [place for place, option in enumerate(options) if said and sense(option) == said]


def _split_letter(answer: str, known: Set[str]) -> tuple[str | None, str]:
    """Split the one of the ``known`` letters that an answer begins with from the text behind it: "B. 20 m/s", "(b)"."""
    if name := choices.find_named_letter(answer):
        return (name, "") if name in known else (None, "")
    said = choices.strip_name(answer)
    tokens = strip_tokens(tokenize(choices.separate_letter(said)))
    bracketed = len(tokens) > 2 and choices.AROUND.get(tokens[0].text) == tokens[2].text
    letter, rest = (tokens[1].text.upper(), tokens[3:]) if bracketed else (tokens[0].text if tokens else "", tokens[1:])
    if letter not in known:
        match = LETTER_AND_TEXT.fullmatch(fold(said))
        return (match[1].upper(), match["text"] or "") if match and match[1].upper() in known else (None, "")
    rest = _strip_separator(rest, bracketed)
    if len(rest) > 2 and rest[0].text == "(" and find_closing(rest, 0) == len(rest) - 1:
        rest = rest[1:-1]
    return letter, _join_tokens(strip_tokens(rest))


def _strip_separator(tokens: list[Token], bracketed: bool) -> list[Token]:
    """Return what stands behind a letter, without what parts the two.

    A dash is a number's sign in "B -5" and "(B)-5".
    """
    rest = list(tokens)
    while rest and rest[0].text in AFTER_LETTER:
        rest = rest[1:]
    dash = len(rest) == len(tokens) > 1 and rest[0].text == "-"
    return rest[1:] if dash and (rest[1].spacing or not (rest[0].spacing or bracketed)) else rest


def _join_tokens(tokens: Sequence[Token]) -> str:
    """Join tokens to a text that is read as they were."""
    text = ""
    for token in tokens:
        text += (" " if token.spacing or token.kind == "word" else "") + str(token)
    return text.strip()


def _spell_exactly(text: str) -> str:
    """Return a text in the one spelling of its tokens, without spaces; signs of multiplication are one."""
    if len(text) > MOST_TOKENIZED:
        return text
    return TIMES_SIGN.sub("*", spell_tokens(strip_tokens(tokenize(text))).replace(" ", ""))


def _spell(text: str) -> str:
    return _spell_exactly(text).casefold()


def _read_number(text: str) -> str:
    """Return the value of a written number, "" for any other text: 1/2 is 0.5, 20 is not 20 m/s."""
    tokens = strip_tokens(tokenize(text[:MOST_TOKENIZED]))
    alone = all(token.kind in ("number", "command") or token.text in ("{", "}", "/", "-") for token in tokens)
    value = read_literal_value(text) if alone else None
    return "" if value is None else str(value)
