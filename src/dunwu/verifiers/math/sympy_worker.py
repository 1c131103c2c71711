"""The processes that run sympy: a request a line on stdin, a reply a line on stdout, until stdin ends.

    started as a file: imports, warms up, says "ready"; forks, waits, says what it died of; forks again
      `- fork: reads requests and replies, until one takes more processor time than its budget

    {"gold": tree, "answer": tree, "budget": seconds}  ->  [true | false | null where it was cut, seconds it took]

Started as a file, so that nothing of the parent is imported here. ``SIGPROF`` at its default action cannot be caught by
anything that the fork runs; the next fork is there within milliseconds, where a new process would import for a second.

A tree is JSON, as ``math/tree.py`` dumps it; a relation is ``[sign, tree]``, the tree against zero. The difference of
two numbers must vanish to ``DIGITS`` digits. Two expressions must be equal wherever both are real, at random points: so
sqrt(ab) is sqrt(a) sqrt(b), which are both real for positive letters only, and sqrt(x^2) is not x. Two relations are
one where the ratio of their sides is constant.
"""

import ctypes
import json
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable
from functools import lru_cache
from itertools import islice
from typing import Any, NoReturn, TextIO

import sympy

DIGITS = 100
ENOUGH = 3
"""Points at which both are real: fewer say too little."""
MEMORY_BYTES = 2 << 30
REQUESTS = 2000
"""Then the fork is replaced: sympy's caches only grow."""
RENEWED = 3
CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL)
"""What an answer can make a process die of, by deep recursion for one: like an exception, it equals nothing."""
PR_SET_PDEATHSIG = 1
SIZES = (1, 10, 100)
"""Magnitudes of the points: what |x - 5| and cos(x/2) do is seen beyond their zeros."""
RELATION_SIGNS = ("=", "!=", "<", "<=")
STEP_FUNCTIONS = (sympy.floor, sympy.ceiling)
"""Flat between their jumps: agreeing at points says little."""
SYMPY_CONSTANTS = {"pi": sympy.pi, "e": sympy.E, "i": sympy.I, "oo": sympy.oo}
SYMPY_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "sin": sympy.sin, "cos": sympy.cos, "tan": sympy.tan, "cot": sympy.cot, "sec": sympy.sec, "csc": sympy.csc,
    "arcsin": sympy.asin, "arccos": sympy.acos, "arctan": sympy.atan, "arccot": sympy.acot, "arcsec": sympy.asec,
    "arccsc": sympy.acsc, "sinh": sympy.sinh, "cosh": sympy.cosh, "tanh": sympy.tanh, "coth": sympy.coth,
    "ln": sympy.log, "log": sympy.log, "abs": sympy.Abs, "floor": sympy.floor, "ceil": sympy.ceiling,
    "factorial": sympy.factorial, "binom": sympy.binomial, "gamma": sympy.gamma,
    "sum": lambda body, letter, low, high: sympy.Sum(body, (letter, low, high)).doit(),
    "prod": lambda body, letter, low, high: sympy.Product(body, (letter, low, high)).doit(),
    "int": lambda body, letter, low, high: sympy.integrate(body, (letter, low, high)),
    "lim": lambda body, letter, point: sympy.limit(body, letter, point),
}  # fmt: skip
NUMBER_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "max": sympy.Max, "min": sympy.Min, "gcd": sympy.igcd, "lcm": sympy.ilcm,
}  # fmt: skip
"""Functions of numbers; of letters they are names, since sympy would say that gcd(m, n) is 1."""


def compare(gold: str, answer: str) -> bool:
    """Return whether two trees, or two relations, mean the same; see the module. Raises what comparing may raise."""
    left, right = json.loads(gold), json.loads(answer)
    if left[0] in RELATION_SIGNS or right[0] in RELATION_SIGNS:
        return left[0] == right[0] and same_relation(
            left[0], read_expression(json.dumps(left[1])), read_expression(json.dumps(right[1]))
        )
    return same_expression(read_expression(gold), read_expression(answer))


@lru_cache(maxsize=1000)
def read_expression(text: str) -> Any:
    """Return the sympy expression of a tree, remembered: a gold comes back with every completion of its group."""
    return build_expression(json.loads(text))


def build_expression(tree: list[Any]) -> Any:
    """Build the sympy expression of a tree."""
    head, *rest = tree
    if head == "number":
        return sympy.Rational(rest[0])
    if head == "symbol":
        return SYMPY_CONSTANTS.get(rest[0]) or sympy.Symbol(rest[0])
    if head == "call":
        name, arguments = rest[0], [build_expression(argument) for argument in rest[1:]]
        if name in NUMBER_FUNCTIONS and all(argument.is_number for argument in arguments):
            return NUMBER_FUNCTIONS[name](*arguments)
        return SYMPY_FUNCTIONS[name](*arguments) if name in SYMPY_FUNCTIONS else sympy.Function(name)(*arguments)
    parts = [build_expression(part) for part in rest]
    if head == "power":
        return raise_real(*parts)
    return sympy.Add(*parts) if head == "sum" else sympy.Mul(*parts)


def raise_real(base: Any, exponent: Any) -> Any:
    """Return a power; an odd root of a negative number is the real one."""
    if base.is_negative and exponent.is_Rational and exponent.q % 2:
        return (-1) ** (exponent.p % 2) * (-base) ** exponent
    return base**exponent


def same_expression(left: Any, right: Any) -> bool:
    """Return whether two expressions are equal wherever both are real."""
    if not left.free_symbols and not right.free_symbols:
        return same_number(left, right)
    if sympy.expand(left - right) == 0:
        return True
    if left.has(*STEP_FUNCTIONS) or right.has(*STEP_FUNCTIONS):
        return bool(sympy.simplify(left - right) == 0)
    strict = takes_either_sign(left) != takes_either_sign(right)  # ln|x| is more than ln x
    at_points = [same_at(left, right, point, strict) for point in draw_points(left, right, forced=not strict)]
    verdicts = [verdict for verdict in at_points if verdict is not None]
    if len(verdicts) >= ENOUGH or False in verdicts:
        return all(verdicts)
    if any(side.has(sympy.log) or find_roots(side) for side in (left, right)):
        return False  # too few points say anything, and complex ones would say something else
    return all(same_number(left.subs(point), right.subs(point)) for point in draw_points(left, right, imaginary=True))


def find_roots(value: Any) -> list[Any]:
    """Find the roots in an expression."""
    return [part for part in value.atoms(sympy.Pow) if part.exp.is_Rational and part.exp.q > 1]


def takes_either_sign(value: Any) -> bool:
    """Return whether a logarithm is taken of an absolute value or an even power.

    Both signs of what is in it are meant then.
    """
    within = [part.args[0] for part in value.atoms(sympy.log)]
    return any(
        one.has(sympy.Abs) or any(one.has(x) and sympy.expand(one.subs(x, -x) - one) == 0 for x in one.free_symbols)
        for one in within
    )


def same_at(left: Any, right: Any, point: dict[Any, Any], strict: bool) -> bool | None:
    """Return whether two expressions are equal at a point.

    Args:
        left: A sympy expression.
        right: Another.
        point: A value for each letter.
        strict: Whether both must be real at the same points.

    Returns:
        None where a root, a logarithm or the whole is no real number.
    """
    real = [
        all(is_real(part.subs(point)) for part in (side, *side.atoms(sympy.Pow, sympy.log))) for side in (left, right)
    ]
    if not all(real):
        return False if strict and any(real) else None
    return same_number(left.subs(point), right.subs(point))


def is_real(value: Any) -> bool:
    """Return whether a constant is a real number."""
    near = sympy.N(value, 15, maxn=DIGITS)
    return bool(near.is_finite) and bool(abs(sympy.im(near)) <= 1e-9 * max(1, abs(near)))


def same_number(left: Any, right: Any) -> bool:
    """Return whether the difference is zero, as far as ``DIGITS`` digits can tell; 1/0 equals nothing."""
    left, right = left.doit(), right.doit()
    if not all(sympy.N(value, 2, maxn=DIGITS).is_finite for value in (left, right)):
        return bool(left == right and left in (sympy.oo, -sympy.oo))
    difference = left - right
    if difference.is_Rational:
        return bool(difference == 0)
    rest = difference.evalf(2, maxn=DIGITS)
    noise = [part._prec == 1 for part in rest.as_real_imag() if part != 0]  # 1 bit: all digits cancelled
    size = abs(sympy.N(left, 2, maxn=DIGITS))
    return all(noise) or bool(abs(rest) < size * sympy.Float(10) ** (20 - DIGITS))


def draw_points(left: Any, right: Any, imaginary: bool = False, forced: bool = True) -> list[dict[Any, Any]]:
    """Draw fixed random values for the letters of both: all positive, all negative, of either sign.

    Args:
        left: A sympy expression.
        right: Another.
        imaginary: Whether the values are complex.
        forced: Whether a letter that must have a sign (``find_sign``) always has it.
    """
    rng = random.Random(0)
    ordered = sorted(left.free_symbols | right.free_symbols, key=str)
    own = {letter: sign for letter in ordered if forced and (sign := find_sign(letter, left, right))}

    def draw_coordinate(sign: int, size: int) -> Any:
        real = sympy.Rational(size * rng.randint(1, 997) * (sign or rng.choice((1, -1))), 331)
        return real + sympy.I * sympy.Rational(rng.randint(1, 997), 449) if imaginary else real

    return [
        {letter: draw_coordinate(own.get(letter, sign), size) for letter in ordered}
        for size in SIZES
        for sign in (1, -1, 0, 1)
    ]


def find_sign(letter: Any, *sides: Any) -> int:
    """Find the sign that a letter must have, because it stands alone in a root or logarithm, not squared and in no sum.

    Of sqrt(2h/g) h and g are positive, of sqrt(-a^3) a is negative; of sqrt(x^2) and sqrt(x + 1) no sign is known: 0.
    """
    within = [part.base for side in sides for part in side.atoms(sympy.Pow) if part.exp.is_Rational and part.exp.q == 2]
    within += [part.args[0] for side in sides for part in side.atoms(sympy.log)]
    for one in within:
        if one.has(letter) and sympy.expand(one.subs(letter, -letter) + one) == 0:
            return 1 if one.subs(dict.fromkeys(one.free_symbols, 1)) >= 0 else -1
    return 0


def same_relation(sign: str, left: Any, right: Any) -> bool:
    """Return whether both are one relation up to a constant factor, which is positive where there is a direction.

    Args:
        sign: Of both relations to 0.
        left: The one's left side.
        right: The other's.
    """
    ratios = [left.subs(point) / right.subs(point) for point in draw_points(left, right)]
    constant = all(same_number(ratios[0], ratio) for ratio in ratios)
    directed = sign in ("=", "!=") or bool(sympy.re(ratios[0]) > 0)
    return constant and ratios[0] != 0 and directed


def serve() -> None:
    """Keep a fork that answers requests until stdin ends. ``ready`` says that everything is imported and warm."""
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    replies = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # what libraries print is no reply
    x = ["symbol", "x"]
    compare(json.dumps(["call", "sin", x]), json.dumps(["power", ["sum", x, ["number", "1"]], ["number", "1/2"]]))
    print('"ready"', file=replies, flush=True)
    while True:
        parent, fork = os.getpid(), os.fork()
        if not fork:
            end_with(parent)
            serve_requests(replies)
        _, status = os.waitpid(fork, 0)
        code = os.waitstatus_to_exitcode(status)
        if code == -signal.SIGPROF or -code in CRASHES:
            print(json.dumps([None if code == -signal.SIGPROF else False, 0.0]), file=replies, flush=True)
        elif code != RENEWED:  # stdin has ended, or something from outside killed it
            sys.exit(code != 0)


def end_with(parent: int) -> None:
    """End this fork when its worker is killed (Linux).

    Otherwise it would serve on, with nobody to replace it.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was killed before that
        os._exit(1)


def serve_requests(replies: TextIO) -> NoReturn:
    """Answer up to ``REQUESTS`` requests, then end the process: with ``RENEWED`` where there may be more."""
    served = 0
    for line in islice(sys.stdin, REQUESTS):
        served += 1
        request, start = json.loads(line), time.process_time()
        signal.setitimer(signal.ITIMER_PROF, request["budget"])
        try:
            equal = compare(request["gold"], request["answer"])
        except Exception:  # what makes sympy raise equals nothing
            equal = False
        signal.setitimer(signal.ITIMER_PROF, 0)
        print(json.dumps([equal, time.process_time() - start]), file=replies, flush=True)
    os._exit(RENEWED if served == REQUESTS else 0)


if __name__ == "__main__":
    serve()
