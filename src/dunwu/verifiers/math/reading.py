r"""Tokens to a typed answer. What a text is decides itself from the outside in:

lead-in, numerals        "the answer is", 答案是, 五分之二
or, and, commas          unions and lists; conditions in one letter are sets of reals
= < > in (mod)           equations, inequalities, membership, congruences
: / - of numbers         times, ratios, dates
brackets, rows           tuples, intervals, sets, matrices
number and unit          quantities
all else                 words
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache

from dunwu.verifiers.math.brackets import Unreadable, closing, matrix_rows, nesting, split_at
from dunwu.verifiers.math.cursor import DEEPEST
from dunwu.verifiers.math.grammar import parse
from dunwu.verifiers.math.moments import SLASHED, read_date, read_time
from dunwu.verifiers.math.numerals import read_digits
from dunwu.verifiers.math.quantities import read_compound, read_quantity
from dunwu.verifiers.math.records import (
    Answer,
    Collection,
    Congruence,
    Equation,
    Inequality,
    Matrix,
    Member,
    Quantity,
    Ratio,
    Region,
    Rounded,
    Words,
)
from dunwu.verifiers.math.tokens import Token, tokenize
from dunwu.verifiers.math.tree import CONSTANTS, INFINITY, Number, Product, Sum, Symbol, Tree, negative
from dunwu.verifiers.math.wording import LISTING, bare, lead, spelled, with_signs, words

MOST_ITEMS = 32
"""Members of a list; a longer one is compared as text."""
ORDER = {"<", "<=", ">", ">=", "!="}
RELATIONS = ("=", "<", "<=", ">", ">=", "!=", "~=", "in")
FOREIGN = {"~", "===", "=>", "<=>", "->", "cong", "notin", "==", "<>"}
"""Signs of relations that nothing is known of."""
SYSTEMS = frozenset({"cases", "aligned", "align", "array", "gathered", "dcases", "rcases", "split", "eqnarray"})
MATRICES = frozenset({"matrix", "pmatrix", "bmatrix", "Bmatrix", "smallmatrix", "array"})


@lru_cache(maxsize=4096)
def tokens_of(text: str) -> tuple[Token, ...]:
    """Return the tokens of the answer that ``text`` gives: see ``wording.lead``."""
    return tuple(lead(tokenize(text)))


@lru_cache(maxsize=4096)
def read(text: str) -> Answer:
    """Return what ``text`` says, as one of the types of ``records``."""
    tokens = tokens_of(text)
    return words(tokens) if nesting(tokens) > DEEPEST else read_tokens(tokens)


def read_tokens(tokens: Sequence[Token]) -> Answer:
    """Return what these tokens say."""
    rest = bare(tokens)
    if len(rest) == 1 and rest[0].kind == "number":
        return read_quantity(rest) or words(rest)
    if any(token.text == "ldots" for token in rest):
        return words(rest)
    for reader in READERS:
        answer = reader(rest)
        if answer is not None:
            return answer
    return words(rest)


# Several things


def _system(tokens: Sequence[Token]) -> Answer | None:
    r"""``\begin{cases} x=1 \\ y=2 \end{cases}``: a list of its rows."""
    rest = list(tokens[1:]) if tokens and tokens[0].text == "\\{" else list(tokens)
    if not rest or rest[0].kind != "begin" or rest[0].text not in SYSTEMS or rest[-1].kind != "end":
        return None
    try:
        rows, end = matrix_rows(rest, 0)
    except Unreadable:
        return None
    if end != len(rest) or (rest[0].text == "array" and len(rest) == len(tokens)):
        return None
    joined = [[token for cell in row for token in cell] for row in rows]
    items = [row[:-1] if row and row[-1].text in (",", ";", ".", "，") else row for row in joined]
    return Collection("", tuple(read_tokens(item) for item in items if item))


def _alternatives(tokens: Sequence[Token]) -> Answer | None:
    """Conditions and intervals joined by "or" and "and": sets of reals."""
    for signs, kind in ((("or", "∨"), "union"), (("and", "∧"), "intersection")):
        parts = split_at(with_signs(tokens), signs)
        if 1 < len(parts) <= MOST_ITEMS and all(parts):
            answers = tuple(map(read_tokens, parts))
            conditions = all(isinstance(answer, (Inequality, Region)) for answer in answers)
            if all(map(_is_region, answers)) and (
                conditions if kind == "intersection" else any(map(_is_condition, answers))
            ):
                return Region(kind, answers)  # type: ignore[arg-type]
    return None


def _is_condition(answer: Answer) -> bool:
    """Whether this can be no point: two points may be joined by "and" as well as two intervals."""
    if isinstance(answer, Collection):
        ends = [item.tree for item in answer.items if isinstance(item, Quantity)]
        return answer.brackets != "()" or INFINITY in ends or negative(INFINITY) in ends
    return True


def _is_region(answer: Answer) -> bool:
    interval = isinstance(answer, Collection) and len(answer.items) == 2 and answer.ordered
    return interval or isinstance(answer, (Region, Inequality))


def _list(tokens: Sequence[Token]) -> Answer | None:
    """A bare list, or both values of ``\\pm``."""
    items = split_at(with_signs(tokens), LISTING)
    if len(items) > 1 and not items[-1] and tokens[-1].text in (",", ";"):
        return None
    members = [member for item in items for member in _both_signs(item)]
    if len(members) < 2 or len(members) > MOST_ITEMS or not all(members):
        return None
    return Collection("", tuple(read_tokens(read_digits(member)) for member in members))


def _both_signs(tokens: list[Token]) -> list[list[Token]]:
    r"""The two values of an item with ``\pm``, the upper signs first."""
    if not any(token.text in ("pm", "mp") and token.kind == "sign" for token in tokens):
        return [tokens]
    pairs = [("+", "-"), ("-", "+")]
    return [
        [
            replace(token, text=upper if token.text == "pm" else lower) if token.text in ("pm", "mp") else token
            for token in tokens
        ]
        for upper, lower in pairs
    ]


def _sets(tokens: Sequence[Token]) -> Answer | None:
    r"""Unions, intersections and differences, ``\mathbb{R}``, and sets that a condition tells."""
    text = spelled(tokens).lower()
    if text in (
        "\\mathbbr",
        "all real numbers",
        "all reals",
        "real numbers",
        "全体实数",
        "一切实数",
        "任意实数",
        "实数集",
    ):
        return Region("reals")
    if text in ("\\emptyset", "empty set", "the empty set", "空集"):
        return Collection("{}", ())
    spaced = [_cup(token, tokens, place) for place, token in enumerate(tokens)]
    for sign, kind in (("cup", "union"), ("cap", "intersection"), ("setminus", "difference")):
        parts = split_at(spaced, (sign,))
        if len(parts) > 1 and all(parts) and len(parts) <= MOST_ITEMS:
            answers = tuple(map(read_tokens, parts))
            known = all(_is_region(one) or isinstance(one, Collection) for one in answers)
            return Region(kind, answers) if known else None  # type: ignore[arg-type]
    return None


def _cup(token: Token, tokens: Sequence[Token], place: int) -> Token:
    """The letter U between two intervals is a union."""
    between = 0 < place < len(tokens) - 1
    if token.text == "U" and between and tokens[place - 1].text in (")", "]") and tokens[place + 1].text in ("(", "["):
        return replace(token, kind="sign", text="cup")
    return token


def _builder(tokens: Sequence[Token]) -> Answer | None:
    if not tokens or tokens[0].text not in ("{", "\\{") or closing(tokens, 0) != len(tokens) - 1:
        return None
    inside = tokens[1:-1]
    for place, token in enumerate(inside[:6]):
        if token.text in ("|", ":") and place >= 1 and inside[0].kind == "word" and len(inside[0].text) == 1:
            typed = place == 1 or (inside[1].text == "in" and inside[place - 1].text == "mathbbR")
            condition = read_tokens(inside[place + 1 :])
            return condition if typed and isinstance(condition, (Inequality, Region, Equation)) else None
    return None


# Relations


def _congruence(tokens: Sequence[Token]) -> Answer | None:
    r"""``x \equiv 3 \pmod 5``, ``x ≡ 3 (mod 5)``, ``3 \mod 7``."""
    place = next((at for at, token in enumerate(tokens) if token.text in ("pmod", "bmod", "mod", "Mod")), None)
    if not place:
        return None
    start = place - 1 if tokens[place - 1].text in ("(", "[") else place
    modulus = list(tokens[place + 1 :])
    if start < place:
        if closing(tokens, start) != len(tokens) - 1:
            return None
        modulus = modulus[:-1]
    sides = split_at(tokens[:start], ("===", "="))
    if len(sides) > 2 or not all(sides):
        return None
    try:
        name = "" if len(sides) == 1 else spelled(sides[0])
        return Congruence(name, parse(sides[-1]), parse(bare_group(modulus)))
    except Unreadable:
        return None


def bare_group(tokens: Sequence[Token]) -> list[Token]:
    """Return tokens without the braces of a group around them."""
    whole = len(tokens) > 2 and tokens[0].text == "{" and closing(tokens, 0) == len(tokens) - 1
    return list(tokens[1:-1]) if whole else list(tokens)


def _relation(tokens: Sequence[Token]) -> Answer | None:
    rest = _factorials(tokens)
    sides = split_at(rest, (*RELATIONS, *FOREIGN))
    if len(sides) < 2:
        return None
    signs = _signs(rest)
    if set(signs) & FOREIGN or len(sides) > MOST_ITEMS:
        return words(tokens)
    if set(signs) == {"~="}:
        return _rounded(sides)
    if not all(sides):
        return words(tokens)
    if set(signs) == {"="}:
        return Equation(tuple(_member(side, last=place == len(sides) - 1) for place, side in enumerate(sides)))
    if signs == ["in"]:
        value = read_tokens(sides[1])
        return value if _is_name(sides[0]) and not isinstance(value, Words) else words(tokens)
    if set(signs) <= ORDER:
        try:
            return Inequality(tuple(map(parse, sides)), tuple(signs))
        except Unreadable:
            return words(tokens)
    return words(tokens)


def _factorials(tokens: Sequence[Token]) -> list[Token]:
    """With "!=" behind a number or a bracket as a factorial that equals something: 5!=120."""
    found: list[Token] = []
    for token in tokens:
        behind = found and (found[-1].kind == "number" or found[-1].text in (")", "}", "!"))
        if token.text == "!=" and token.kind == "sign" and behind and not token.gap and token not in found[:1]:
            found += [replace(token, text="!"), replace(token, text="=")]
        else:
            found.append(token)
    return found


def _signs(tokens: Sequence[Token]) -> list[str]:
    """The signs of relation at the top level, in order."""
    found = []
    rest: list[Token] = []
    for token in tokens:
        rest.append(token)
        if token.kind == "sign" and token.text in (*RELATIONS, *FOREIGN) and len(split_at(rest, (token.text,))) > 1:
            found.append(token.text)
            rest = []
    return found


def _about(tokens: Sequence[Token]) -> Answer | None:
    """约5.2, "about 5.2": a rounded value."""
    if len(tokens) > 1 and tokens[0].kind == "word" and tokens[0].text.lower() in ("about", "approximately", "around"):
        return Rounded(read_tokens(tokens[1:]))
    if tokens and tokens[0].kind == "han" and tokens[0].text in ("约", "大约", "约为", "约等于") and len(tokens) > 1:
        return Rounded(read_tokens(tokens[1:]))
    return None


def _rounded(sides: list[list[Token]]) -> Answer:
    name, value = sides[0], sides[-1]
    letter = len(name) == 1 and name[0].kind == "word" and len(name[0].text) == 1 and name[0].text != "e"
    whole = [token for side in sides for token in side]
    return Rounded(read_tokens(value)) if len(sides) == 2 and value and (not name or letter) else words(whole)


def _member(tokens: list[Token], last: bool) -> Member:
    answer = read_tokens(read_digits(tokens)) if last or not _is_name(tokens) else _name(tokens)
    return Member(spelled(tokens).casefold() if _spoken(tokens) else spelled(tokens), answer, _is_name(tokens))


def _spoken(tokens: Sequence[Token]) -> bool:
    return any(len(token.text) > 2 for token in tokens if token.kind == "word")


def _name(tokens: list[Token]) -> Answer:
    """What a name says as a member of a relation: its letter, if it is one."""
    try:
        return Quantity(parse(tokens))
    except Unreadable:
        return read_tokens(tokens) if tokens[0].text == "(" else words(tokens)


def _is_name(tokens: Sequence[Token]) -> bool:
    r"""Whether tokens are a name: x, x_1, f(2), f'(1), AB, ``\angle ABC``, P(A), area, (x,y), ``\frac{dy}{dx}``."""
    if not tokens:
        return False
    if tokens[0].text == "(" and closing(tokens, 0) == len(tokens) - 1:
        return all(_is_name(part) for part in split_at(tokens[1:-1], (",", "，"))) and len(tokens) > 4
    if any(token.kind == "word" and token.roman and len(token.text) > 1 for token in tokens) and len(tokens) < 6:
        return all(token.kind in ("word", "han") for token in tokens)
    if all(token.kind in ("word", "han") for token in tokens):
        return len(tokens) < 6 and not (len(tokens) == 1 and tokens[0].text in ("e", "pi", "i"))
    try:
        tree = parse(tokens)
    except Unreadable:
        first = tokens[0]
        return first.kind in ("word", "han") and len(tokens) > 2 and tokens[1].text in ("(", "_", "'")
    known = isinstance(tree, Symbol) and tree not in CONSTANTS
    called = not isinstance(tree, (Symbol, Number, Sum, Product)) and getattr(tree, "name", "") not in CALCULATED
    return known or (called and hasattr(tree, "name")) or _is_product_of_capitals(tree)


def _is_product_of_capitals(tree: Tree) -> bool:
    return isinstance(tree, Product) and all(isinstance(one, Symbol) and one.name.isupper() for one in tree.factors)


CALCULATED = frozenset(
    [
        "sin",
        "cos",
        "tan",
        "cot",
        "sec",
        "csc",
        "ln",
        "log",
        "abs",
        "factorial",
        "binom",
        "max",
        "min",
        "gcd",
        "lcm",
        "sum",
        "prod",
        "int",
        "lim",
        "floor",
        "ceil",
        "gamma",
    ]
)


# Times, ratios, brackets, rows


def _moment(tokens: Sequence[Token]) -> Answer | None:
    text = "".join((" " if token.gap else "") + str(token) for token in tokens).strip()
    return words(tokens) if SLASHED.fullmatch(text) else read_date(text) or read_time(text)


def _ratio(tokens: Sequence[Token]) -> Answer | None:
    rest = [
        replace(token, kind="sign", text=":") if token.text in ("to", "比") and not token.roman else token
        for token in tokens
    ]
    parts = split_at(rest, (":",))
    if len(parts) < 2 or not all(parts):
        return None
    try:
        trees = tuple(map(parse, parts))
    except Unreadable:
        return None
    return Ratio(trees, _clock(parts))


def _clock(parts: list[list[Token]]) -> tuple[int, ...] | None:
    """The numbers of what may be a time of the day: 8:40, 12:05:30, but not 12:5."""
    digits = [part[0].text for part in parts if len(part) == 1 and part[0].text.isdigit()]
    if len(digits) < len(parts) or len(parts) > 3 or len(digits[0]) > 2 or int(digits[0]) > 24:
        return None
    return tuple(map(int, digits)) if all(len(one) == 2 and int(one) < 60 for one in digits[1:]) else None


PAIRS = {"(": ")", "[": "]", "\\{": "\\}", "{": "}", "⟨": "⟩"}


def _bracketed(tokens: Sequence[Token]) -> Answer | None:
    """A tuple, an interval in any notation, a set; a bracket around one thing is only a bracket, but [5] is not 5."""
    if len(tokens) < 2 or str(tokens[0]) not in (*PAIRS, "]") or str(tokens[-1]) not in (*PAIRS.values(), "["):
        return None
    opening, ending, inside = tokens[0].text, tokens[-1].text, list(tokens[1:-1])
    turned = opening == "]" or ending == "["
    if not turned and closing(tokens, 0) != len(tokens) - 1:
        return None
    items = (
        [] if not inside else split_at(inside, (",", "，", ";", "and") if opening in ("{", "\\{") else (",", "，", ";"))
    )
    if turned:
        brackets = {"]": "(", "[": "["}.get(opening, opening) + {"[": ")", "]": "]"}.get(ending, ending)
        return Collection(brackets, tuple(map(read_tokens, items))) if len(items) == 2 and all(items) else None
    if not all(items) or len(items) > MOST_ITEMS:
        return None
    if opening in ("{", "\\{") and ending == PAIRS[opening]:
        members = [member for item in items for member in _both_signs(item)]
        return Collection("{}", tuple(read_tokens(read_digits(member)) for member in members))
    if len(items) < 2:
        single = opening == "(" and ending == ")" and items
        return (
            read_tokens(read_digits(items[0]))
            if single
            else Collection("[]", tuple(map(read_tokens, items)))
            if items
            else None
        )
    brackets = "()" if opening == "⟨" else opening + ending
    return Collection(brackets, tuple(read_tokens(read_digits(item)) for item in items))


def _point(tokens: Sequence[Token]) -> Answer | None:
    """P(2,3): a point with its name; C(5,2) counts."""
    named = len(tokens) > 4 and tokens[0].kind == "word" and len(tokens[0].text) == 1 and tokens[0].text.isupper()
    if not named or tokens[0].text == "C" or tokens[1].text != "(" or closing(tokens, 1) != len(tokens) - 1:
        return None
    place = _bracketed(tokens[1:])
    if not isinstance(place, Collection):
        return None
    name = Member(tokens[0].text, words(tokens[:1]), simple=True)
    return Equation((name, Member(spelled(tokens[1:]), place, simple=False)))


def _matrix(tokens: Sequence[Token]) -> Answer | None:
    r"""A matrix in any environment or as nested lists, with a factor before it, ``(1,2)^\top``."""
    try:
        return _transposed(tokens) or _nested(tokens) or _environment(tokens)
    except Unreadable:
        return None


def _transposed(tokens: Sequence[Token]) -> Matrix | None:
    rest = [token for token in tokens if token.text not in ("{", "}")]
    if len(rest) < 4 or rest[-2].text != "^" or rest[-1].text not in ("top", "T", "intercal"):
        return None
    inner = _bracketed(rest[:-2]) or _matrix(rest[:-2])
    if isinstance(inner, Matrix):
        return Matrix(tuple(zip(*inner.rows, strict=True)))
    if isinstance(inner, Collection) and inner.ordered and all(isinstance(one, Quantity) for one in inner.items):
        return Matrix(tuple((one.tree,) for one in inner.items if isinstance(one, Quantity)))
    return None


def _nested(tokens: Sequence[Token]) -> Matrix | None:
    if len(tokens) < 4 or tokens[0].text != "[" or tokens[1].text != "[" or closing(tokens, 0) != len(tokens) - 1:
        return None
    rows = [split_at(row[1:-1], (",",)) for row in split_at(tokens[1:-1], (",",)) if row and row[0].text == "["]
    same_length = len({len(row) for row in rows}) == 1 and len(rows) == len(split_at(tokens[1:-1], (",",)))
    return Matrix(tuple(tuple(map(parse, row)) for row in rows)) if same_length else None


def _environment(tokens: Sequence[Token]) -> Matrix | None:
    start = next((place for place, token in enumerate(tokens) if token.kind == "begin"), None)
    if start is None or tokens[start].text not in MATRICES:
        return None
    cells, end = matrix_rows(tokens, start)
    before, behind = list(tokens[:start]), tokens[end:]
    fence = "".join(token.text for token in (*before[-1:], *behind[:1]))
    fenced = fence in ("()", "[]", "\\{\\}") and len(behind) == 1
    before = before[:-1] if fenced else before
    if (behind and not fenced) or (not fenced and tokens[start].text == "array"):
        return None
    rows = [[parse(cell) for cell in row] for row in cells]
    if len({len(row) for row in rows}) != 1:
        return None
    if [token.text for token in before] == ["-"]:
        rows = [[negative(cell) for cell in row] for row in rows]
    elif before:
        factor = parse(before[:-1] if before[-1].text in ("*", "×") else before)
        rows = [[Product((factor, cell)) for cell in row] for row in rows]
    return Matrix(tuple(map(tuple, rows)))


READERS: tuple[Callable[[Sequence[Token]], Answer | None], ...] = (
    _system,
    _about,
    _builder,
    _matrix,
    _bracketed,
    _moment,
    _point,
    read_compound,
    _alternatives,
    _congruence,
    _list,
    _sets,
    _relation,
    _ratio,
    read_quantity,
)
