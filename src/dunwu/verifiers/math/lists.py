"""Several things in a row: lists, systems, tuples, intervals, sets, points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dunwu.verifiers.math.brackets import PAIRS, Unreadable, find_closing, read_rows, split_at
from dunwu.verifiers.math.equations import name_items, strip_root_index
from dunwu.verifiers.math.numerals import read_digits
from dunwu.verifiers.math.records import Answer, Collection, Equation, Member, Read, Words
from dunwu.verifiers.math.tokens import Token
from dunwu.verifiers.math.wording import LISTING, read_conjunctions, spell_tokens, strip_stops, to_words

MOST_ITEMS = 32
"""Members of a list; a longer one is compared as text."""
UNPLACED = frozenset("CNUX")
"""Capitals that name no point: C(5,2) counts, N(0,1) and U(0,1) are distributions."""
SYSTEMS = frozenset({"cases", "aligned", "align", "array", "gathered", "dcases", "rcases", "split", "eqnarray"})
"""Environments whose rows hold together."""
BRANCHES = frozenset({"if", "when", "for", "otherwise", "else", "当", "若", "其他", "其它", "时"})
"""Words in front of the condition of a branch, or behind it."""
BRANCHING = frozenset({"=", "<", "<=", ">", ">=", "!=", "in"})


def read_system(tokens: Sequence[Token], read: Read) -> Answer | None:
    r"""Read ``\begin{cases} x=1 \\ y=2 \end{cases}`` as a list of its rows; None for anything else."""
    rest = list(tokens[1:]) if tokens and tokens[0].text == "\\{" else list(tokens)
    if not rest or rest[0].kind != "begin" or rest[0].text not in SYSTEMS or rest[-1].kind != "end":
        return None
    try:
        rows, end = read_rows(rest, 0)
    except Unreadable:
        return None
    if end != len(rest) or (rest[0].text == "array" and len(rest) == len(tokens)):
        return None
    items = [_read_row(row, read) for row in rows if any(row)]
    return Collection("", tuple(items))


def _read_row(cells: list[list[Token]], read: Read) -> Answer:
    """Read a row of a system; with a condition behind a value, a branch of a function: (x^2, x > 0)."""
    whole = strip_stops([token for cell in cells for token in cell])
    parts = cells if len(cells) == 2 else split_at(whole, (",", "，"))
    if len(parts) == 2 and all(parts) and not any(token.text in BRANCHING for token in parts[0]):
        value = strip_stops(parts[0])
        condition = [token for token in strip_stops(parts[1]) if token.text.lower() not in BRANCHES]
        if value and (not condition or any(token.text in BRANCHING for token in condition[1:])):
            return Collection("()", (read(value), read(condition) if condition else Words("otherwise")))
    return read(whole)


def read_list(tokens: Sequence[Token], read: Read) -> Answer | None:
    r"""Read a bare list, or both values of ``\pm``; None for anything else."""
    items = split_at(read_conjunctions(tokens), (*LISTING, "\\\\"))
    if len(items) > 1 and not items[-1] and tokens[-1].text in (",", ";"):
        return None
    members = [member for item in items for member in expand_signs(item)]
    if len(members) < 2 or len(members) > MOST_ITEMS or not all(members):
        return None
    found = Collection("", tuple(read(read_digits(member)) for member in members))
    return to_words(tokens) if _alternates(tokens, found) else found


def _alternates(tokens: Sequence[Token], found: Collection) -> bool:
    """Return whether "or" stands between values of different letters: x = 1 or y = 2 is no system."""
    if not any(token.text.lower() == "or" for token in tokens):
        return False
    names = [{strip_root_index(name)} for name, _ in name_items(found) if name]
    sides = [len(split_at(part, LISTING)) for part in split_at(read_conjunctions(tokens), ("or",))]
    return max(sides) == 1 and len(names) == len(found.items) and any(one != names[0] for one in names)


def expand_signs(tokens: list[Token]) -> list[list[Token]]:
    r"""Return the two values of an item with ``\pm``, the upper signs first; any other item alone."""
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


def read_bracketed(tokens: Sequence[Token], read: Read) -> Answer | None:
    """Read a tuple, an interval in any notation, or a set; None for anything else.

    A round bracket around one thing is only a bracket, but [5] is not 5.
    """
    if len(tokens) < 2 or str(tokens[0]) not in (*PAIRS, "]") or str(tokens[-1]) not in (*PAIRS.values(), "["):
        return None
    opening, ending, inside = tokens[0].text, tokens[-1].text, list(tokens[1:-1])
    turned = opening == "]" or ending == "["
    if not turned and find_closing(tokens, 0) != len(tokens) - 1:
        return None
    items = (
        [] if not inside else split_at(inside, (",", "，", ";", "and") if opening in ("{", "\\{") else (",", "，", ";"))
    )
    if turned:
        brackets = {"]": "(", "[": "["}.get(opening, opening) + {"[": ")", "]": "]"}.get(ending, ending)
        return Collection(brackets, tuple(map(read, items))) if len(items) == 2 and all(items) else None
    if not all(items) or len(items) > MOST_ITEMS:
        return None
    if opening == "(" and len(items) > 1 and sum(token.text in ("pm", "mp") for token in inside) == 1:
        return None  # two tuples
    if opening in ("{", "\\{") and ending == PAIRS[opening]:
        members = [member for item in items for member in expand_signs(item)]
        return Collection("{}", tuple(read(read_digits(member)) for member in members))
    if len(items) < 2:
        single = opening == "(" and ending == ")" and items
        return read(read_digits(items[0])) if single else Collection("[]", tuple(map(read, items))) if items else None
    brackets = "()" if opening == "⟨" else opening + ending
    return Collection(brackets, tuple(read(read_digits(item)) for item in items))


def read_point(tokens: Sequence[Token], read: Read) -> Answer | None:
    """Read a point with its name, P(2,3); None for anything else."""
    named = len(tokens) > 4 and tokens[0].kind == "word" and len(tokens[0].text) == 1 and tokens[0].text.isupper()
    if not named or tokens[0].text in UNPLACED or tokens[1].text != "(" or find_closing(tokens, 1) != len(tokens) - 1:
        return None
    place = read_bracketed(tokens[1:], read)
    if not isinstance(place, Collection):
        return None
    name = Member(tokens[0].text, to_words(tokens[:1]), simple=True)
    return Equation((name, Member(spell_tokens(tokens[1:]), place, simple=False)))
