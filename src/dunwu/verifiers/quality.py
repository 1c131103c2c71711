"""Reasoning quality, an option that is not R1's: logic, efficiency and novelty of a chain, each in [0, 1].

``logic`` evaluates what the chain itself states; ``2*3 = 6 = 5+1`` is two statements (``statements.py`` reads them).

- A statement of numbers is right where it holds exactly; a decimal that is the other side rounded to two places or more
  is neither right nor wrong. Each counts once, however often it is written.
- ``x = 5`` gives a letter its value and is itself no statement; ``x = 7`` after it is a wrong one, ``x = 2+3`` a right
  one. Not so where x is set anew ("let", "try", "now", "x = 7:") or its value was conditional ("if", "when", "or"),
  asked or rejected. Other statements with letters are equations to be solved as often as claims, and not judged.
- Not judged: what is supposed ("if 1 = 2") or denied ("not", 不) in its clause, what a question mark ends, and what is
  wrong and rejected right after ("3+4=8, no"); nor a side next to a word that is not known to be harmless, since it may
  mean "twice 5 = 10". Words only exempt; none of them makes a statement right. So "zzz 2+2=5" is exempt too: it earns
  what its absence would.
- Circular, and so wrong: letters that get no value and are defined by each other alone (a = b+1, b = a-1), and a
  statement that is its own reason ("x > 3 because x > 3", "since 5 = 5"). Equal sides are otherwise no statement.

A chain that states nothing has 0: silence is never better than stating, and where a problem has no arithmetic all of a
group have the same. Trivial truths earn no more than an honest chain, because the share ends at 1, and hide little,
because at most ``MOST_RIGHT`` of them count beside what is wrong. What remains: one trivial truth is as good as many
true ones, and prose is not judged.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from dunwu.verifiers.arithmetic import NotArithmetic, evaluate
from dunwu.verifiers.statements import NUMBER, VARIABLE_NAME, Passage, read_passages

MOST_RIGHT = 20
"""Right statements that count beside the wrong ones."""
STEP_LENGTH = 200
"""Characters of a step: a longer sentence is several."""
STEP_ENDS = re.compile(r"[.!?](?=\s)|[\n。！？；;]")
STEP_CLAUSE_ENDS = re.compile(r"[,:](?=\s)|[，：]")
ROUNDED = re.compile(r"-?\d*\.\d{2,}")
OPERATORS: Mapping[str, Callable[[Fraction, Fraction], object]] = {
    "=": operator.eq,
    "≠": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "≤": operator.le,
    "≥": operator.ge,
}


def measure_logic(chain: str) -> float:
    """Measure the share of the chain's statements that are right; 0 where it states nothing. See the module."""
    found = read_statements(chain)
    right = min(found.right, MOST_RIGHT)
    return right / (right + found.wrong) if right else 0.0


def measure_steps(chain: str) -> float:
    """Measure efficiency as 1 / number of steps; 0 for a chain without any.

    A step is a sentence or a line with a letter or digit in it. One with several relations (=), or several clauses of
    two numbers and more ("3 and 4 make 7, 7 and 2 make 9"), is as many steps, one of more than ``STEP_LENGTH``
    characters as many as it has beginnings of such; a repeated step counts again.
    """
    pieces = [piece for piece in STEP_ENDS.split(chain) if re.search(r"\w", piece)]
    count = sum(map(_count_steps, pieces))
    return 1 / count if count else 0.0


def _count_steps(piece: str) -> int:
    calculations = sum(len(NUMBER.findall(clause)) > 1 for clause in STEP_CLAUSE_ENDS.split(piece))
    return max(piece.count("=") + piece.count("＝"), calculations, -(-len(piece) // STEP_LENGTH))


def measure_novelty(chain: str, siblings: Sequence[str]) -> float:
    """Return the share of a group's other chains that take another method; 0 where there are none.

    A chain without a method (``find_signature``) has 0. Whether its answer is right is not asked here.

    Args:
        chain: The reasoning.
        siblings: The reasoning of the group's other completions.
    """
    own = find_signature(chain)
    return sum(find_signature(other) != own for other in siblings) / len(siblings) if own and siblings else 0.0


def find_signature(chain: str) -> tuple[str, ...]:
    """Return the method: the forms of the operations that lead to the last result, sorted, e.g. ``n*n``, ``n+n``.

    An operation leads there where its result is used by one that does, so what stands beside the way does not count.
    What remains: a chain that ends in an idle calculation has its signature.
    """
    forms: list[str] = []
    wanted: set[Fraction] = set()
    for side, result in reversed(read_statements(chain).operations):
        if not forms or result in wanted:
            wanted |= {Fraction(number) for number in NUMBER.findall(side)}
            forms.append(NUMBER.sub("n", side).replace("(n)", "n"))
    return tuple(sorted(forms))


@dataclass(frozen=True, slots=True)
class Statements:
    """What a chain states: its right operations with their results, in order; and how much is right and wrong."""

    operations: tuple[tuple[str, Fraction], ...]
    right: int
    wrong: int


@lru_cache(maxsize=128)
def read_statements(chain: str) -> Statements:
    """Read what a chain calculates, and calculate it again; once, though all of its group are compared with it."""
    ledger = _Ledger()
    for passage in read_passages(chain):
        ledger.read(passage)
    return Statements(tuple(ledger.operations), ledger.right, ledger.wrong + ledger.count_circular())


class _Ledger:
    """What a chain has stated so far: the values of its letters, and the count."""

    def __init__(self) -> None:
        self.values: dict[str, Fraction] = {}
        self.grounded: set[str] = set()
        self.defined: dict[str, set[str]] = {}
        self.seen: set[str] = set()
        self.last = ("", False)
        self.operations: list[tuple[str, Fraction]] = []
        self.right = self.wrong = 0

    def read(self, passage: Passage) -> None:
        """Judge each pair of sides, and take the values that letters get."""
        if passage.letters != "keep":
            for side in passage.sides:
                self.values.pop(side, None)
        if not passage.asserted:
            return
        for (left, right), relation in zip(pairwise(passage.sides), passage.relations, strict=True):
            stated = f"{left}{relation}{right}"
            own_reason = stated == self.last[0] and (passage.reason or self.last[1])
            self.last = (stated, passage.reason)
            if own_reason or (left == right and passage.reason):
                self.wrong += 1
            elif not VARIABLE_NAME.search(left + right):
                self._compare(left, relation, right, passage.rejected)
            elif relation == "=":
                self._assign(*((left, right) if VARIABLE_NAME.fullmatch(left) else (right, left)), passage)

    def _compare(self, left: str, relation: str, right: str, rejected: bool = False) -> None:
        """Compare two sides without letters; ones that say the same letter by letter state nothing."""
        key, values = f"{left}{relation}{right}", (_evaluate(left), _evaluate(right))
        if left == right or key in self.seen or values[0] is None or values[1] is None:
            return
        self.seen.add(key)
        if OPERATORS[relation](values[0], values[1]):
            self.right += 1
            if relation == "=":
                self._add_operation(left if _operates(left) else right, values[0])
        elif not rejected and not (relation == "=" and (_rounds(left, values[1]) or _rounds(right, values[0]))):
            self.wrong += 1

    def _assign(self, name: str, other: str, passage: Passage) -> None:
        """Take ``name = other``: a definition, or a value to compare with the one that the letter has."""
        if not VARIABLE_NAME.fullmatch(name) or passage.letters == "none" or name == other:
            return
        side = _insert_values(other, self.values)
        value, letters = _evaluate(side), set(VARIABLE_NAME.findall(other)) - {name}
        if value is None:
            self.defined.setdefault(name, set()).update(letters)
            if len(letters) != 1:
                self.grounded.add(name)
        elif name not in self.values:
            self._add_operation(side, value)
        elif not VARIABLE_NAME.search(other):
            self._compare(str(self.values[name]), "=", other)
        if value is not None and (name not in self.values or not VARIABLE_NAME.search(other)):
            self.values[name] = value
            self.grounded.add(name)

    def _add_operation(self, side: str, value: Fraction) -> None:
        if _operates(side):
            self.operations.append((side, value))

    def count_circular(self) -> int:
        """Count the letters that are defined only by letters which come back to them."""
        sorter = TopologicalSorter({name: using - self.grounded for name, using in self.defined.items()})
        with suppress(CycleError):  # what no cycle holds up can be had all the same
            sorter.prepare()
        free: set[str] = set()
        while ready := sorter.get_ready():
            free.update(ready)
            sorter.done(*ready)
        return len(self.defined.keys() - self.grounded - free)


def _insert_values(side: str, values: Mapping[str, Fraction]) -> str:
    """Put the values that are known in place of their letters in a side, and read 2x as 2*x."""
    spelled = re.sub(r"(?<=\d)(?=[A-Za-zα-ω])", "*", side)
    return VARIABLE_NAME.sub(lambda name: f"({values[name[0]]})" if name[0] in values else name[0], spelled)


def _evaluate(side: str) -> Fraction | None:
    try:
        return evaluate(side, powers=True).value
    except NotArithmetic:
        return None


def _rounds(written: str, value: Fraction) -> bool:
    """Return whether a decimal is ``value`` rounded to its places, of which there are two or more."""
    if not ROUNDED.fullmatch(written):
        return False
    places = len(written.partition(".")[2])
    return abs(Fraction(written) - value) <= Fraction(1, 2 * 10**places)


def _operates(side: str) -> bool:
    return bool(re.search(r"[-+*/^]", side.lstrip("-(")))
