"""Tokens as text: what stands around an answer goes, what is no mathematics gets one spelling."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from dunwu.verifiers.lead_ins import CHOSEN, GENERIC, HAN_MODIFIERS, MODIFIERS, TOKEN_LEAD_IN
from dunwu.verifiers.math.brackets import find_closing, split_at
from dunwu.verifiers.math.counting import NUMBER_CHANGERS
from dunwu.verifiers.math.numerals import UNITS_AND_TENS, read_digits
from dunwu.verifiers.math.records import Words
from dunwu.verifiers.math.tokens import Token
from dunwu.verifiers.math.unit_tables import CURRENCIES

SHORT_WORDS = frozenset(
    """
    ad ah am an as at aw ax be by do ed eg eh em en er et go ha he hi hm ho id if in is it la lo ma me mi mm mu my
    na ne no nu of oh ok om on op or os ow ox oy pa pi re sh so ta ti to tv uh um un up us vs we wo ye yo
    """.split()  # noqa: SIM905  -- a page of words, not of quotes
)
MOST_WORDS = 16
"""Words of a sentence before its verb."""
VERBS = frozenset({"is", "equals", "are", "has", "have", "takes", "took", "costs", "needs", "earns"})
HAN_QUANTITY = re.compile("最[大小]值|面积|周长|体积|概率|离心率")
HAN_VERB = re.compile(r"[^零〇一二两三四五六七八九十百千万亿分]*(?:等于|[为是有]|需要?)(.*)")
HAN_NAMED_VALUE = re.compile(r"([\u3400-\u9fff]*?值|[\u3400-\u9fff]+?(?=等于|[为是]))(?:等于|[为是])?")
"""What a value in a list is said to be: 最大值为3，最小值为1."""
DOING = frozenset(
    "has have takes take needs need pays pay costs cost earns earn makes make spends spend".split()  # noqa: SIM905
)
"""Verbs in front of a number: she has 36 apples left."""
LONGEST_SUBJECT = 5
"""Words in front of such a verb, or of a colon."""
LABEL_WORDS = frozenset({"of", "the", "to", "in", "a", "an"})
SPOILING = frozenset(
    """
    not no none nobody nothing never wrong worst incorrect false except but neither nor without doubt rejected reject
    impossible invalid extraneous unlikely almost twice thrice half double triple squared cubed reciprocal opposite
    negative inverse more less fewer than where when if unless maybe
    """.split()  # noqa: SIM905  -- a page of words, not of quotes
)
"""Words of a subject that make something else of what is said of it: twice the answer, the wrong one."""
HAN_DENIED = re.compile("[不非否没无约错]|未必|舍去|排除")
HAN_DERIVED = re.compile("平方|立方|倒数|相反数|一半|[两二三四五六七八九十]倍|绝对值")
"""What stands in front of a verb and is not the thing itself."""
SUBJECT_ENDS = ("=", "<", ">", "<=", ">=", "!=", "~=", ":", ",", ";")
"""Signs that make more than a name of what stands in front of a verb."""
LEAD_INS = 3
"""One after the other: "so the answer is", "x equals"."""
LONGEST_LEAD_IN = 12
"""Tokens in which a lead-in ends."""
STOPS = (",", ";", ".", "，", "；")
LISTING = (",", "，", ";", "and", "or")


def strip_lead_in(tokens: Sequence[Token]) -> list[Token]:
    """Return the tokens of the answer itself: without a lead-in, outer braces and a full stop; a numeral in digits."""
    rest = strip_tokens(tokens)
    if len(rest) > 1 and rest[-1].kind == "sign" and rest[-1].text in (",", "，", ";"):
        rest.pop()
    rest = _strip_label(_split_sentence(rest)[1])
    for _ in range(LEAD_INS):
        if not rest or not (rest[0].kind in ("word", "han") or rest[0].text in ("=", ":")):
            break
        joined, ends = _join_tokens(rest)
        match = CHOSEN.match(joined) or TOKEN_LEAD_IN.match(joined)
        taken = len(joined[: match.end() if match else 0].rstrip())
        count = sum(end <= taken for end in ends)
        left = taken - (ends[count - 1] if count else 0)
        cut = rest[count] if left and count < len(rest) else None
        if not taken or count == len(rest) or (cut and cut.kind != "han"):  # all of it, or it ends within a word
            break
        rest = strip_tokens([replace(cut, text=cut.text[left:]), *rest[count + 1 :]] if cut else rest[count:])
    return read_digits(rest)


def find_subject(tokens: Sequence[Token]) -> str:
    """Return of what a sentence says something, "area" in "the area is 5"; "" where of nothing but "the answer"."""
    named, _ = _split_sentence(strip_tokens(tokens))
    words = [str(token).lower() for token in named if token.text.lower() not in MODIFIERS or token.text == "A"]
    text = HAN_MODIFIERS.sub("", " ".join(words))
    return "" if text in GENERIC else text


def _split_sentence(tokens: list[Token]) -> tuple[list[Token], list[Token]]:
    """Return of what a sentence says something, and what: "the area of it is 25", 最小值为5.

    Words and letters alone stand before its verb.
    """
    kinds = {token.kind for token in tokens}
    if not kinds & {"word", "han"}:
        return [], tokens
    if "han" in kinds and any(
        part and HAN_NAMED_VALUE.fullmatch(part[0].text) for part in split_at(tokens, LISTING)[1:]
    ):
        return [], tokens  # each of several has a name
    if len(tokens) > 1 and HAN_QUANTITY.fullmatch(tokens[0].text) and tokens[1].kind != "sign":
        return tokens[:1], tokens[1:]
    for place, token in enumerate(tokens[:MOST_WORDS]):
        before = tokens[:place]
        if any(one.kind not in ("word", "han", "sign") or one.text in (*SUBJECT_ENDS, "(", "[") for one in before):
            return [], tokens
        if before and token.kind == "word" and token.text.lower() in VERBS:
            return ([], tokens) if any(map(_spoils, before)) else (before, strip_tokens(tokens[place + 1 :]) or tokens)
        if token.text.lower() in DOING and 0 < place <= LONGEST_SUBJECT and _is_amount(tokens[place + 1 :]):
            changed = any(one.text.lower() in NUMBER_CHANGERS for one in before)
            return ([], tokens) if changed else (before, strip_tokens(tokens[place + 1 :]))
        if token.kind == "han" and (match := HAN_VERB.fullmatch(token.text)) and not HAN_DENIED.search(token.text):
            if HAN_DERIVED.search(token.text[: match.start(1)]) or any(map(_spoils, before)):
                return [], tokens
            rest = [replace(token, text=match[1]), *tokens[place + 1 :]] if match[1] else tokens[place + 1 :]
            return [*before, replace(token, text=token.text[: match.start(1)])], strip_tokens(rest) or tokens
    return [], tokens


def _spoils(token: Token) -> bool:
    """Return whether a word of a subject is a number, or makes something else of it."""
    word = token.text.lower()
    return word in SPOILING or word in UNITS_AND_TENS or (token.kind == "han" and bool(HAN_DENIED.search(word)))


def is_spoilt(text: str) -> bool:
    """Return whether words that name something make another thing of it, or deny it: "not x", "twice the answer"."""
    return any(word in SPOILING for word in re.findall("[a-z]+", text.lower())) or bool(
        HAN_DENIED.search(text) or HAN_DERIVED.search(text)
    )


def _is_amount(tokens: Sequence[Token]) -> bool:
    return bool(tokens) and (tokens[0].kind == "number" or tokens[0].text in CURRENCIES)


def _strip_label(tokens: list[Token]) -> list[Token]:
    """Strip a label, Total cost: 36; the parts of a ratio, and of a list with labels, are none."""
    place = next((at for at, token in enumerate(tokens) if token.text == ":" and token.kind == "sign"), 0)
    label, rest = tokens[:place], tokens[place + 1 :]
    if (
        not 0 < place <= LONGEST_SUBJECT
        or not rest
        or not all(map(_is_label, label))
        or label[-1].text.lower() in LABEL_WORDS
    ):
        return tokens
    word = rest[0].kind == "han" or (rest[0].kind == "word" and len(rest[0].text) > 1)
    again = any(before.kind in ("word", "han") and sign.text == ":" for before, sign in pairwise(rest))
    return tokens if word or again else strip_tokens(rest)


def _is_label(token: Token) -> bool:
    if token.kind == "han":
        return len(token.text) > 1 and not HAN_DENIED.search(token.text) and not HAN_DERIVED.search(token.text)
    text = token.text.lower()
    return (
        token.kind == "word"
        and not _spoils(token)
        and (text in LABEL_WORDS or (len(text) > 2 and text not in NUMBER_CHANGERS))
    )


def _join_tokens(tokens: Sequence[Token]) -> tuple[str, list[int]]:
    """Join the first tokens to text, words parted by spaces; return where each of them ends too."""
    text, ends = "", []
    for token in tokens[:LONGEST_LEAD_IN]:
        spacing = " " if text and token.kind in ("word", "number", "command") and text[-1:].isascii() else ""
        text += spacing + str(token).lower()
        ends.append(len(text))
    return text, ends


def strip_tokens(tokens: Sequence[Token]) -> list[Token]:
    """Return tokens without emphasis, outer braces and full stops around them."""
    rest = list(tokens)
    while rest:
        if rest[-1].text in (".", "。", "**", '"', "\\\\") and rest[-1].kind == "sign":
            rest.pop()
        elif rest[0].text in ("**", '"') and rest[0].kind == "sign":
            rest.pop(0)
        elif rest[0].text == "{" and find_closing(rest, 0) == len(rest) - 1 and (rest[0].roman or not _is_set(rest)):
            rest = rest[1:-1]
        else:
            break
    return rest


def _is_set(tokens: Sequence[Token]) -> bool:
    r"""Return whether braces around the whole are meant as ``\{ \}``: they hold a list, or a condition."""
    inside = tokens[1:-1]
    return len(split_at(inside, LISTING)) > 1 or len(split_at(inside, ("|", ":"))) == 2


def strip_stops(tokens: Sequence[Token]) -> list[Token]:
    """Return tokens without the signs behind them that part one item from the next."""
    rest = list(tokens)
    while rest and rest[-1].text in STOPS:
        rest.pop()
    return rest


def to_words(tokens: Sequence[Token]) -> Words:
    """Return tokens as text: case does not count in words, nor do spaces but between words and numbers."""
    text = spell_tokens(tokens).replace("^°", "°")
    return Words(text if "\\" in text else re.sub(r"[^\W\d_]{2,}", lambda word: _fold(word[0]), text))


def _fold(word: str) -> str:
    """Return a word in lower case.

    One of mixed case (AaBb) stays, and of two letters one that may be an element (Co).
    """
    if len(word) == 2 and word.istitle() and word.lower() not in SHORT_WORDS:
        return word
    return word.casefold() if word.islower() or word.isupper() or word.istitle() else word


def spell_tokens(tokens: Sequence[Token]) -> str:
    """Return tokens in one spelling."""
    text = ""
    before: Token | None = None
    for token in _strip_single_braces(tokens):
        solid = before is not None and not {"sign", "command"} & {before.kind, token.kind}
        parted = before is not None and solid and bool(token.spacing or before.kind == token.kind)
        text += (" " if parted else "") + str(token)
        before = token
    return text


def _strip_single_braces(tokens: Sequence[Token]) -> list[Token]:
    """Drop the braces around one token: x_{1} is x_1, but x^{2y} is not x^2y."""
    rest: list[Token] = []
    for token in tokens:
        rest.append(token)
        if token.text == "}" and len(rest) > 2 and rest[-3].text == "{" and rest[-3].kind == "sign":
            rest[-3:] = [rest[-2]]
    return rest


def read_conjunctions(tokens: Sequence[Token]) -> list[Token]:
    """Return tokens with the words "or" and "and" as signs; a comma before them goes."""
    found: list[Token] = []
    for token in tokens:
        word = token.kind == "word" and token.text.lower() in ("or", "and")
        if word and found and found[-1].text == ",":
            found.pop()
        found.append(replace(token, kind="sign", text=token.text.lower()) if word else token)
    return found if len(found) > 1 else list(tokens)
