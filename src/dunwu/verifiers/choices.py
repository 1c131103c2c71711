"""Letters of options: which of them an answer chooses, in a sentence, in a row, or in front of the option's text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from dunwu.verifiers.lead_ins import HAN_LETTER_SENTENCE, LETTER_LEAD_IN, LETTER_SENTENCE
from dunwu.verifiers.math.brackets import find_closing, split_at
from dunwu.verifiers.math.reading import read_answer_tokens
from dunwu.verifiers.math.tokens import Token
from dunwu.verifiers.math.wording import LISTING, read_conjunctions

LONGEST_SENTENCE = 200
"""Characters of a sentence that is looked into."""
CHOICES = re.compile("[A-J]")
OPTION = re.compile(r"both|all|option|choice|选项?|本题选?|项|答案?|(?:选?项)?[均都]?(?:是|为)?(?:正确|对)的?", re.I)
"""Words beside the letters of a choice that say nothing more."""
DENIALS = frozenset("not no incorrect wrong false or and but 不 不是 错 错误 不对 非".split())  # noqa: SIM905
"""Words behind a letter that take it back, or add another."""
CHOICE_DENIED = re.compile(r"错|误|不[对选是正]|排除|\b(?:not|incorrect|wrong|false|except|neither|nor)\b|n't\b", re.I)
"""Words that deny the letters of a choice, anywhere beside them: A项错误."""
AFFIRMED = re.compile(
    r"(?:(?:is|are|both|all)\s+)*(?:the\s+)?(?:correct|right|true)(?:\s+(?:answer|choice|option)s?)?\.?\s*\Z", re.I
)
ALONE = re.compile("[a-j](?: (?:or|and|,) [a-j])*", re.I)
"""The subject of a sentence that is letters and nothing else."""
LETTER_ENDS = (":", ".", ")", "，")
"""What parts a letter from the text of its option."""
AROUND = {"(": ")", "[": "]", "\\{": "\\}", "{": "}", "【": "】"}
NUMBERED = dict(zip("123456789", "①②③④⑤⑥⑦⑧⑨", strict=True))
DECORATION = re.compile(
    r"\\(?:text|mathrm|mathbf|textbf|textit|textrm|boxed)(?![a-z])|[\\$*`\"'“”()\[\]{}【】〖〗]", re.I
)
MARK = re.compile(
    r"(?<![^\W_])([A-J])(?:\s*[.．](?=[\s$]*\.?\d)|\s*[、；;](?!\s*[A-J](?![a-z\u3400-\u9fff]))|\s*[—–]+|\s+-\s)\s*"
)
"""What parts an option's letter from its text, where a number's point or a list's comma could be meant."""


def find_named_letter(text: str) -> str | None:
    """Return the letter, in upper case, of the option that a sentence names: 故本题选B, "Option (b) is correct".

    None where the sentence says anything besides, or is the letter alone.
    """
    if len(text) > LONGEST_SENTENCE:
        return None
    said = DECORATION.sub("", unicodedata.normalize("NFKC", text)).replace("。", ".").replace("、", ",")
    said = " ".join(said.casefold().split())
    match = HAN_LETTER_SENTENCE.fullmatch(said) or LETTER_SENTENCE.fullmatch(said)
    return match["letter"].upper() if match and (match["name"] or match["praise"]) else None


def strip_name(text: str) -> str:
    """Return ``text`` without the words that name the letter behind them: 故选B. 20, "The answer is (B) 20"."""
    before = LETTER_LEAD_IN.match(text.replace("：", ":").replace("，", ","))
    return text[before.end() :] if before else text


def separate_letter(text: str) -> str:
    """Return ``text`` with one full stop and a space behind the letter that begins it: B.20, B、20, B — 20 as B. 20."""
    return MARK.sub(r"\1. ", text, count=1)


def find_chosen_letters(text: str, alone: bool) -> frozenset[str] | None:
    """Return the letters that an answer chooses, in a sentence or parted in any way; see ``read_letters``."""
    spellings = dict.fromkeys((find_named_letter(text) or text, separate_letter(text)))
    found = (read_letters(spelling, alone) for spelling in spellings)
    return next((letters for letters in found if letters is not None), None)


@lru_cache(maxsize=4096)  # a gold is asked about for every answer to it
def read_letters(text: str, alone: bool = True) -> frozenset[str] | None:
    r"""Return the letters of options that ``text`` chooses: A, (c), ACD, "A, C and D", ①③.

    None where it is no choice; no letters where it leaves open which of them ("A or C"), or takes them back.

    Args:
        text: The answer.
        alone: Whether the text of the option may not follow its letter (A: 12).
    """
    tokens = [token for token in read_answer_tokens(AFFIRMED.sub("", text)) if not OPTION.fullmatch(token.text)]
    rest = read_conjunctions(_unwrap(_circle_digits(tokens)))
    open_ = any(token.text == "or" for token in rest)
    marked = [token for token in rest if token.kind == "mark"]
    if marked and all(token.kind == "mark" or token.text in LISTING for token in rest):
        return frozenset() if open_ or CHOICE_DENIED.search(text) else frozenset(token.text for token in marked)
    words = [_read_item(item) for item in split_at(_separate(rest), LISTING)]
    if all(words) and len("".join(words)) == len(set("".join(words))):
        return frozenset() if open_ or CHOICE_DENIED.search(text) else frozenset("".join(words))
    first = "" if alone else _read_first_letter(tokens)
    return frozenset({first}) if first else None


def _circle_digits(tokens: Sequence[Token]) -> list[Token]:
    """Read digits in parentheses as marks, (1)(3) as ①③, where nothing but marks stands there."""
    found: list[Token] = []
    for token in tokens:
        bracketed = len(found) > 1 and token.text == ")" and found[-2].text == "("
        if bracketed and found[-1].text in NUMBERED and found[-1].kind == "number":
            found[-2:] = [replace(found[-1], kind="mark", text=NUMBERED[found[-1].text])]
        else:
            found.append(token)
    return found


def _unwrap(tokens: Sequence[Token]) -> list[Token]:
    r"""Drop brackets around the whole, empty ones, and a stop behind: \{A, B\}, [B], 【B】, B（）, B:, B)."""
    rest = list(tokens)
    while len(rest) > 1:
        if AROUND.get(rest[-2].text) == rest[-1].text:
            rest = rest[:-2]
        elif AROUND.get(rest[0].text) == rest[-1].text and all(one.text not in AROUND for one in rest[1:]):
            rest = rest[1:-1]
        elif rest[-1].text in (":", ".", "，", ",") or (rest[-1].text == ")" and len(rest) == 2):
            rest = rest[:-1]
        else:
            break
    return rest


def _separate(tokens: Sequence[Token]) -> list[Token]:
    """Put commas between letters side by side: (A)(C) and A C become (A),(C) and A,C."""
    found: list[Token] = []
    for token in tokens:
        letters = bool(found) and found[-1].kind == token.kind == "word" and len(found[-1].text) == len(token.text) == 1
        if found and ((token.text == "(" and found[-1].text == ")") or (letters and token.spacing)):
            found.append(Token("sign", ","))
        found.append(token)
    return found


def _read_item(tokens: Sequence[Token]) -> str:
    """Read the letters of one item: ACD, A, (a), with a full stop; "" where it is something else."""
    rest = [token for token in tokens if token.text != "."]
    bracketed = len(rest) == 3 and rest[0].text == "(" and rest[2].text == ")"
    rest = rest[1:2] if bracketed else rest
    if len(rest) != 1 or rest[0].kind != "word":
        return ""
    text = rest[0].text.upper() if bracketed and len(rest[0].text) == 1 else rest[0].text
    return text if all(map(CHOICES.fullmatch, text)) else ""


def _read_first_letter(tokens: Sequence[Token]) -> str:
    """Read the letter in front of the text of its option: (A) 12, A: 12, A. 12."""
    bracketed = len(tokens) > 3 and tokens[0].text == "(" and tokens[2].text == ")"
    parted = len(tokens) > 2 and tokens[1].text in LETTER_ENDS
    if len(tokens) > 2 and tokens[1].text == "(" and tokens[1].spacing and find_closing(tokens, 1) == len(tokens) - 1:
        parted = True  # B (12)
    letter, rest = (tokens[1], tokens[3:]) if bracketed else (tokens[0] if parted else None, tokens[2:])
    if letter is None or not CHOICES.fullmatch(letter.text):
        return ""
    return "" if takes_back(rest) else letter.text


def takes_back(tokens: Sequence[Token]) -> bool:
    """Return whether what stands behind a letter takes it back or names another."""
    return any(CHOICES.fullmatch(token.text) or token.text.lower() in DENIALS for token in tokens)


def names_others(subject: str, chosen: frozenset[str]) -> bool:
    """Return whether the subject of a sentence is letters of options, and none of the ``chosen``."""
    match = ALONE.fullmatch(subject)
    return match is not None and not set(match[0].upper()) & chosen
