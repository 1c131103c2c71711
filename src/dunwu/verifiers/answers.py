r"""Mathematical answers: whether one means the other, and under which key they vote.

Both are read into typed answers (``verifiers/math``) and compared by type. Strict on purpose, because a model learns
whatever a lenient grader lets through:

- a decimal equals a fraction only exactly (0.333 is not 1/3; 0.\overline{3} is);
- 50% is 1/2, not 50;
- 5 meters is not 5 cm, and not 500 cm either: the question named the unit. A unit of the tables (``math/units.py``) on
  one side only is fine, and so is what is counted (``math/counting.py``): 3 bolts, 36 ordered pairs. Any other word
  after a number counts only where both sides have it, because nobody can list all words that change a number (5
  doubled, 5 or so, 5左右). A bare number asks how many there are, not how many for each (12 students per class);
- sets and bare lists have no order, tuples and intervals do, and brackets count: (1,2] is not [1,2), [5] is not 5;
- a ratio has a value, 2:3 is 4:6; what may be a time of the day (3:30) is no quotient;
- "≈" is "=" only between decimals and whole numbers, where the gold is a rounded value itself;
- the letters of a choice that are joined by "or", or taken back, choose nothing;
- an equation in one letter is no answer to what that letter is: 2x = 10 is not x = 5;
- letters are letters: a product of them is no word, and a function of them (gcd(m,n), f(2)) has no value.

Not told apart: an expression and its value (10! for 3628800). Problems that ask for a written number are of kind
``number`` (``same_literal``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

from dunwu.verifiers import choices
from dunwu.verifiers.math.brackets import closing, split_at
from dunwu.verifiers.math.equality import Ask, Comparison
from dunwu.verifiers.math.equations import solution
from dunwu.verifiers.math.exact import Undefined, rational
from dunwu.verifiers.math.quantities import literal
from dunwu.verifiers.math.reading import read, read_tokens, subject_of, tokens_of
from dunwu.verifiers.math.real_sets import is_point
from dunwu.verifiers.math.records import Answer, Collection, Equation, Quantity
from dunwu.verifiers.math.tokens import LONGEST, Token
from dunwu.verifiers.math.tree import dump
from dunwu.verifiers.math.units import PERCENT, leading_currency, split_quantity
from dunwu.verifiers.math.wording import LISTING, bare, spelled, with_signs
from dunwu.verifiers.pool import one_budget

PLAIN = re.compile(r"-?\d+(?:\.\d+)?", re.ASCII)
CHOICES = re.compile("[A-J]")
OPTION = re.compile(r"both|all|option|choice|选项?|本题选?|项|答案?|(?:选?项)?[均都]?(?:是|为)?(?:正确|对)的?", re.I)
"""Words beside the letters of a choice that say nothing more."""
GROUPED = re.compile(r"(?<=\d),(?=\d{3})")
MIXED = re.compile(r"(?<![\d.])(\d+) and (?=\d+/\d|\\[dt]?frac)")
DENIALS = frozenset("not no incorrect wrong false or and but 不 不是 错 错误 不对 非".split())  # noqa: SIM905
"""Behind a letter they take it back, or add another."""
DENIED = re.compile(r"错|误|不[对选是正]|排除|\b(?:not|incorrect|wrong|false|except|neither|nor)\b|n't\b", re.I)
"""Anywhere beside the letters of a choice: A项错误."""
AFFIRMED = re.compile(
    r"(?:(?:is|are|both|all)\s+)*(?:the\s+)?(?:correct|right|true)(?:\s+(?:answer|choice|option)s?)?\.?\s*\Z", re.I
)
MARKS = (":", ".", ")", "，", ",")
"""What parts a letter from the text of its option."""
AROUND = {"(": ")", "[": "]", "\\{": "\\}", "{": "}", "【": "】"}
NUMBERED = dict(zip("123456789", "①②③④⑤⑥⑦⑧⑨", strict=True))


def same(gold: str, answer: str, ask: Ask) -> bool:
    """Return whether ``answer`` means ``gold``. Raises whatever ``ask`` raises."""
    if gold.strip() == answer.strip():
        return True
    if max(len(gold), len(answer)) > LONGEST:
        return False
    if PLAIN.fullmatch(gold) and PLAIN.fullmatch(answer):  # most golds, and most answers to them
        return Decimal(gold) == Decimal(answer)
    subjects = subject_of(gold), subject_of(answer)
    if all(subjects) and subjects[0] != subjects[1]:  # Alice is taller; Bob is taller
        return False
    chosen = chosen_letters(gold, alone=True)
    if chosen:
        several = len(chosen) > 1
        said = answer if several else choices.named(answer) or choices.parted(answer)
        given = chosen_letters(said, alone=several)
        if given is not None or _says_more(answer):
            return given == chosen
    tokens = tokens_of(gold), tokens_of(answer)
    if spelled(tokens[0]) == spelled(tokens[1]) != "":
        return True
    with one_budget(), suppress(Undefined):  # 1/0 equals nothing
        return any(Comparison(ask).equal(*pair) for pair in _readings(gold, answer))
    return False


def _readings(gold: str, answer: str) -> Iterator[tuple[Answer, Answer]]:
    """What both say. Beside a list, commas without spaces part members too: 120,150 and 120, 150.

    Beside a tuple that is no interval, a list in its order needs no brackets.
    """
    yield read(gold), read(answer)
    tokens = tokens_of(answer)
    if tokens and is_point(read(gold)) and not any(token.text in ("=", "(", "[", "\\{") for token in tokens):
        yield read(gold), read_tokens([Token("sign", "("), *tokens, Token("sign", ")")])
    if MIXED.search(answer):  # 2 and 2/3
        yield read(gold), read(MIXED.sub(r"\1 ", answer))
    lists = [isinstance(read(text), Collection) for text in (gold, answer)]
    if lists[0] and not lists[1] and GROUPED.search(answer):
        yield read(gold), read(GROUPED.sub(", ", answer))
    if lists[1] and not lists[0] and GROUPED.search(gold):
        yield read(GROUPED.sub(", ", gold)), read(answer)


def chosen_letters(text: str, alone: bool) -> frozenset[str] | None:
    r"""Return the letters of options that ``text`` chooses: A, (c), ACD, "A, C and D", ①③.

    None where it is no choice; no letters where it leaves open which of them ("A or C"), or takes them back.

    Args:
        text: the answer.
        alone: whether the text of the option may not follow its letter (A: 12).
    """
    tokens = [token for token in tokens_of(AFFIRMED.sub("", text)) if not OPTION.fullmatch(token.text)]
    rest = with_signs(_unwrapped(_with_marks(tokens)))
    open_ = any(token.text == "or" for token in rest)
    marked = [token for token in rest if token.kind == "mark"]
    if marked and all(token.kind == "mark" or token.text in LISTING for token in rest):
        return frozenset() if open_ or DENIED.search(text) else frozenset(token.text for token in marked)
    words = [_letters(item) for item in split_at(_side_by_side(rest), LISTING)]
    if all(words) and len("".join(words)) == len(set("".join(words))):
        return frozenset() if open_ or DENIED.search(text) else frozenset("".join(words))
    first = "" if alone else _first_letter(tokens)
    return frozenset({first}) if first else None


def _says_more(answer: str) -> bool:
    """Whether an answer that is no choice takes a letter back, gives it a unit or a value: A项错误, A°, A=2."""
    said = read(answer)
    another = isinstance(said, Equation) or (isinstance(said, Quantity) and said.unit is not None)
    return another or DENIED.search(answer) is not None


def _with_marks(tokens: Sequence[Token]) -> list[Token]:
    """Digits in parentheses as marks, (1)(3) as ①③, where nothing but marks stands there."""
    found: list[Token] = []
    for token in tokens:
        bracketed = len(found) > 1 and token.text == ")" and found[-2].text == "("
        if bracketed and found[-1].text in NUMBERED and found[-1].kind == "number":
            found[-2:] = [replace(found[-1], kind="mark", text=NUMBERED[found[-1].text])]
        else:
            found.append(token)
    return found


def _unwrapped(tokens: Sequence[Token]) -> list[Token]:
    """Without brackets around the whole, empty ones, and a stop behind: \\{A, B\\}, [B], 【B】, B（）, B:, B)."""
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


def _side_by_side(tokens: Sequence[Token]) -> list[Token]:
    """(A)(C) and A C as (A),(C) and A,C."""
    found: list[Token] = []
    for token in tokens:
        letters = bool(found) and found[-1].kind == token.kind == "word" and len(found[-1].text) == len(token.text) == 1
        if found and ((token.text == "(" and found[-1].text == ")") or (letters and token.gap)):
            found.append(Token("sign", ","))
        found.append(token)
    return found


def _letters(tokens: Sequence[Token]) -> str:
    """The letters of one item: ACD, A, (a), with a full stop; "" where it is something else."""
    rest = [token for token in tokens if token.text != "."]
    bracketed = len(rest) == 3 and rest[0].text == "(" and rest[2].text == ")"
    rest = rest[1:2] if bracketed else rest
    if len(rest) != 1 or rest[0].kind != "word":
        return ""
    text = rest[0].text.upper() if bracketed and len(rest[0].text) == 1 else rest[0].text
    return text if all(map(CHOICES.fullmatch, text)) else ""


def _first_letter(tokens: Sequence[Token]) -> str:
    """The letter in front of the text of its option: (A) 12, A: 12, A. 12."""
    bracketed = len(tokens) > 3 and tokens[0].text == "(" and tokens[2].text == ")"
    parted = len(tokens) > 2 and tokens[1].text in MARKS[:4]
    if len(tokens) > 2 and tokens[1].text == "(" and tokens[1].gap and closing(tokens, 1) == len(tokens) - 1:
        parted = True  # B (12)
    letter, rest = (tokens[1], tokens[3:]) if bracketed else (tokens[0] if parted else None, tokens[2:])
    if letter is None or not CHOICES.fullmatch(letter.text):
        return ""
    others = any(CHOICES.fullmatch(token.text) or token.text.lower() in DENIALS for token in rest)
    return "" if others else letter.text


def same_literal(gold: str, answer: str) -> bool:
    """Return whether ``answer`` is a written number with the value of ``gold``, no operation left to do.

    Units as in ``same``. A fraction for a whole number (24/2 for 12) is a division left to do, unless the gold is
    written so itself.
    """
    if max(len(gold), len(answer)) > LONGEST:
        return False
    left, right = _written(gold), _written(answer)
    if left is None or right is None:
        return False
    undone = left[0].denominator == 1 and gold != answer and any(token.text in ("/", "frac") for token in right[1])
    whole = len(right[1]) > 3 and right[1][0].kind == "number" and right[0].denominator == 1
    return (not undone or whole) and same(gold, answer, lambda *_: False)


def literal_value(text: str) -> Fraction | None:
    """Return the value of the number that ``text`` writes down, its unit and name aside; None for any other text."""
    written = _written(text) if len(text) <= LONGEST else None
    return None if written is None else written[0]


def _written(text: str) -> tuple[Fraction, list[Token]] | None:
    """The value of a written number, and its tokens without name, currency and unit."""
    tokens = list(tokens_of(text))
    said = read(text)
    if isinstance(said, Equation):
        members = split_at(tokens, ("=",))
        if len(members) != 2 or not said.members[0].simple:
            return None
        tokens = bare(members[1])
    sign = tokens[:1] if tokens and tokens[0].text == "-" else []
    currency = leading_currency(tokens[len(sign) :])
    tokens = [*sign, *tokens[len(sign) + currency[1] :]] if currency else tokens
    for end in (len(tokens), *(place for place, _ in split_quantity(tokens))):
        number = literal(tokens[:end])
        if number is not None:
            return number.value, list(tokens[:end])
    return None


def key(answer: str, written: bool = False) -> str:
    """Return the same text for answers that say one thing: as numbers, names and known units aside, or as text.

    Args:
        answer: as it was extracted.
        written: whether only written numbers have a value, as in problems of kind ``number``.
    """
    if len(answer) > LONGEST:
        return answer.strip()
    said = read(answer)
    solved = solution(said) if isinstance(said, Equation) else None
    value = solved[1][0] if solved and len(solved[1]) == 1 else said
    plain = isinstance(value, Quantity) and (value.unit is None or value.unit.known)
    if not isinstance(value, Quantity) or not plain or (written and _written(answer) is None):
        return spelled(tokens_of(answer))
    number = _rational(value)
    percent = value.unit is not None and value.unit.names == PERCENT.names
    return (dump(value.tree) if number is None else str(number)) + ("%" if percent else "")


def _rational(value: Quantity) -> Fraction | None:
    try:
        return rational(value.tree)
    except Undefined:
        return None
