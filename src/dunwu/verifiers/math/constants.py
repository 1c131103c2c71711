"""Constants of integration: letters that stand for any number, so that their names say nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import permutations

from dunwu.verifiers.math.tree import EULER, Call, Power, Product, Sum, Symbol, Tree, find_letters, substitute

CONSTANT = re.compile(r"[Cc](?:_\d)?|K|[AB]")
ANY = re.compile(r"[Cc](?:_\d)?")
MOST = 3


def rename_constants(gold: Tree, answer: Tree) -> Iterator[Tree]:
    """Yield ``answer`` with its constants of integration named as those of ``gold``, in each order.

    A and B are such constants only beside the C_1 and C_2 of the other.
    """
    wanted, given = ([name for name in sorted(find_letters(one)) if CONSTANT.fullmatch(name)] for one in (gold, answer))
    if not wanted or len(wanted) != len(given) or len(wanted) > MOST:
        return
    plain = any(all(map(ANY.fullmatch, names)) for names in (wanted, given))
    others = find_letters(gold) - set(wanted) == find_letters(answer) - set(given)
    if not plain or not others or not _are_free(gold, wanted) or not _are_free(answer, given):
        return
    for order in permutations(wanted):
        if list(order) != given:
            yield _rename(answer, dict(zip(given, order, strict=True)))


def _are_free(tree: Tree, names: list[str]) -> bool:
    """Return whether each of the letters is a term of its own, or the factor of an exponential, a sine or a cosine."""
    terms = tree.terms if isinstance(tree, Sum) else (tree,)
    return all(any(_is_free(term, name) for term in terms) for name in names)


def _is_free(term: Tree, name: str) -> bool:
    if not isinstance(term, Product):
        return term == Symbol(name) and name != "A"
    solution = any(isinstance(one, Power) and one.base == EULER for one in term.factors)
    solution = solution or any(isinstance(one, Call) and one.name in ("sin", "cos") for one in term.factors)
    return Symbol(name) in term.factors and solution


def _rename(tree: Tree, names: dict[str, str]) -> Tree:
    for name in names:
        tree = substitute(tree, name, Symbol(f"#{name}"))
    for name, other in names.items():
        tree = substitute(tree, f"#{name}", Symbol(other))
    return tree
