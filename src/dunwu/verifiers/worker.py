"""The process that runs sympy and math-verify: a request a line on stdin, a reply a line on stdout, until stdin ends.

It is started as a file, so that nothing of the parent is imported here, and it ends itself when a request takes more
processor time than its budget (``SIGPROF`` at its default action cannot be caught by anything it runs).

    {"gold": str, "answer": str, "budget": seconds}  ->  true | false

math-verify alone accepts wrong answers (it compares absolute differences, drops what it cannot read, and unifies sets
with tuples). So its yes is not the verdict: numbers are compared to ``DIGITS`` digits *relative* to their size,
expressions at random points, sets by their symmetric difference. Its no is not the verdict either where two relations
differ by a factor alone: they are compared by the ratio of their sides.
"""

import json
import os
import random
import resource
import signal
import sys
from functools import lru_cache
from typing import Any

import sympy
from latex2sympy2_extended import NormalizationConfig, latex2sympy
from math_verify import verify

DIGITS = 50
PROBES = 4
MEMORY_BYTES = 4 << 30
IMAGINARY = sympy.Symbol("i")
SIDES = {
    sympy.Eq: ("=", 1),
    sympy.StrictLessThan: ("<", 1),
    sympy.StrictGreaterThan: ("<", -1),
    sympy.LessThan: ("<=", 1),
    sympy.GreaterThan: ("<=", -1),
}
READING = NormalizationConfig(
    basic_latex=True, units=False, malformed_operators=False, nits=False, boxed="none", equations=False
)


def judge(gold: str, answer: str) -> bool:
    """Whether two LaTeX texts mean the same; see the module. Raises what reading and comparing may raise."""
    left, right = read(gold), read(answer)
    if is_number(left) and is_number(right):
        return same_number(left, right)
    if isinstance(left, sympy.Rel) and isinstance(right, sympy.Rel):
        return same_relation(left, right)
    if isinstance(left, sympy.Expr) and isinstance(right, sympy.Expr):
        if sympy.expand(left - right) == 0:
            return True
        if not same(left, right):
            return False
    return bool(verify(left, right, allow_set_relation_comp=True, timeout_seconds=None)) and same(left, right)


@lru_cache(maxsize=1000)
def read(text: str) -> Any:
    """LaTeX to sympy: decimals exact, ``i`` the imaginary unit where no other letter stands.

    Remembered, because reading takes longer than comparing and a gold comes back with every completion of its group.
    """
    parsed = latex2sympy(text, normalization_config=READING)
    if not hasattr(parsed, "free_symbols"):
        raise ValueError("not an expression")
    floats = {number: sympy.Rational(str(number)) for number in parsed.atoms(sympy.Float)}
    parsed = parsed.xreplace(floats)
    return parsed.xreplace({IMAGINARY: sympy.I}) if parsed.free_symbols == {IMAGINARY} else parsed


def is_number(value: Any) -> bool:
    """An expression without letters; no set, relation or matrix."""
    return isinstance(value, sympy.Expr) and not value.free_symbols and not isinstance(value, sympy.MatrixExpr)


def same_number(left: Any, right: Any) -> bool:
    """Equal to ``DIGITS`` digits relative to the larger; what vanishes is decided symbolically."""
    if left == right:
        return True
    a, b = (sympy.N(value.doit(), DIGITS + 10, maxn=1000) for value in (left, right))
    if not (a.is_finite and b.is_finite):
        return bool(a == b and a in (sympy.oo, -sympy.oo))
    size = max(abs(a), abs(b))
    if size < sympy.Float(10) ** -DIGITS:
        return bool(sympy.simplify(left - right) == 0)
    return bool(abs(a - b) < size * sympy.Float(10) ** -DIGITS)


def same(left: Any, right: Any) -> bool:
    """The closer look at two readings that math-verify takes for equal."""
    if isinstance(left, sympy.MatrixBase) and isinstance(right, sympy.MatrixBase):
        return left.shape == right.shape and all(map(same, left, right))
    if isinstance(left, sympy.Tuple) and isinstance(right, sympy.Tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, sympy.Rel) and isinstance(right, sympy.Rel):
        return same_relation(left, right)
    sets = [as_set(value) for value in (left, right)]
    if all(value is not None for value in sets):
        return bool(sets[0] == sets[1] or sets[0].symmetric_difference(sets[1]).is_empty)
    if not isinstance(left, sympy.Expr) or not isinstance(right, sympy.Expr):
        return False
    return all(same_number(left.subs(point), right.subs(point)) for point in points(left, right))


def as_set(value: Any) -> Any:
    """A set, or the solutions of relations in one variable; None for anything else."""
    if isinstance(value, sympy.Set):
        return value
    if isinstance(value, sympy.logic.boolalg.Boolean) and len(value.free_symbols) == 1:
        return value.as_set()
    return None


def points(left: Any, right: Any) -> list[dict[Any, Any]]:
    """Fixed random values for the letters of both, complex ones among them, so that sqrt(x^2) and x differ."""
    rng = random.Random(0)
    ordered = sorted(left.free_symbols | right.free_symbols, key=str)

    def coordinate(imaginary: int) -> Any:
        return sympy.Rational(rng.randint(-997, 997), 331) + imaginary * sympy.I * sympy.Rational(
            rng.randint(1, 997), 449
        )

    return [{symbol: coordinate(probe % 2) for symbol in ordered} for probe in range(PROBES)]


def same_relation(left: Any, right: Any) -> bool:
    """The same relation up to moving terms and a factor: constant, and positive where there is a direction."""
    if type(left) not in SIDES or type(right) not in SIDES:
        return False
    (left_name, left_sign), (right_name, right_sign) = SIDES[type(left)], SIDES[type(right)]
    a, b = left_sign * (left.lhs - left.rhs), right_sign * (right.lhs - right.rhs)
    ratios = [sympy.N(a.subs(point) / b.subs(point), DIGITS + 10) for point in points(left, right)]
    constant = all(same_number(ratios[0], ratio) for ratio in ratios)
    directed = left_name == "=" or bool(sympy.re(ratios[0]) > 0)
    return left_name == right_name and constant and ratios[0] != 0 and directed


def serve() -> None:
    """Answers requests until stdin ends. A reply ``ready`` says that everything is imported and warm."""
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    replies = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # what libraries print is no reply
    judge(r"\frac{\sqrt{2}}{2}+x", r"x+\frac{1}{\sqrt{2}}")
    print('"ready"', file=replies, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, request["budget"])
        try:
            equal = judge(request["gold"], request["answer"])
        except (
            Exception
        ):  # what cannot be read, or makes sympy raise, equals nothing (latex2sympy raises the bare class)
            equal = False
        signal.setitimer(signal.ITIMER_PROF, 0)
        print(json.dumps(equal), file=replies, flush=True)


if __name__ == "__main__":
    serve()
