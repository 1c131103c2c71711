"""The processes that run sympy and math-verify: a request a line on stdin, a reply a line on stdout, until stdin ends.

    started as a file: imports, warms up, says "ready"; forks, waits, says what it died of; forks again
      `- fork: reads requests and replies, until one takes more processor time than its budget

    {"gold": str, "answer": str, "budget": seconds}  ->  [true | false | null where it was cut, seconds it took]

Started as a file, so that nothing of the parent is imported here. ``SIGPROF`` at its default action cannot be caught by
anything that the fork runs; the next fork is there within milliseconds, where a new process would import for a second.

math-verify alone accepts wrong answers (it compares absolute differences, drops what it cannot read, and unifies sets
with tuples), and rejects right ones. So the difference of two numbers must vanish to ``DIGITS`` digits, that of two
expressions at random points, two relations are compared by the ratio of their sides, and only what is left is asked of
math-verify; of the sets that it takes for equal the symmetric difference must be empty.
"""

import ctypes
import json
import os
import random
import resource
import signal
import sys
import time
from functools import lru_cache
from itertools import islice
from typing import Any, NoReturn, TextIO

import sympy
from latex2sympy2_extended import NormalizationConfig, latex2sympy
from latex2sympy2_extended.latex2sympy2 import ConversionConfig
from math_verify import verify

DIGITS = 100
PROBES = 4
MEMORY_BYTES = 2 << 30
REQUESTS = 2000
"""Then the fork is replaced: sympy's caches only grow."""
RENEWED = 3
CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL)
"""What an answer can make a process die of, by deep recursion for one: like an exception, it equals nothing."""
PR_SET_PDEATHSIG = 1
IMAGINARY = sympy.Symbol("i")
STEPS = (sympy.floor, sympy.ceiling, sympy.Max, sympy.Min)
"""Flat between their jumps: agreeing at points says little."""
SIDES = {
    sympy.Eq: ("=", 1),
    sympy.Ne: ("!=", 1),
    sympy.StrictLessThan: ("<", 1),
    sympy.StrictGreaterThan: ("<", -1),
    sympy.LessThan: ("<=", 1),
    sympy.GreaterThan: ("<=", -1),
}
READING = NormalizationConfig(
    basic_latex=True, units=False, malformed_operators=False, nits=False, boxed="none", equations=False
)

LETTERS = ConversionConfig(lowercase_symbols=False)


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
        if not left.has(*STEPS) and not right.has(*STEPS):
            return same(left, right)
    return bool(verify(left, right, allow_set_relation_comp=True, timeout_seconds=None)) and same(left, right)


@lru_cache(maxsize=1000)
def read(text: str) -> Any:
    """LaTeX to sympy: decimals exact, ``i`` the imaginary unit where no other letter stands.

    Remembered, because reading takes longer than comparing and a gold comes back with every completion of its group.
    """
    parsed = latex2sympy(text, normalization_config=READING, conversion_config=LETTERS)
    if not hasattr(parsed, "free_symbols"):
        raise ValueError("not an expression")
    floats = {number: sympy.Rational(str(number)) for number in parsed.atoms(sympy.Float)}
    parsed = parsed.xreplace(floats)
    return parsed.xreplace({IMAGINARY: sympy.I}) if parsed.free_symbols == {IMAGINARY} else parsed


def is_number(value: Any) -> bool:
    """An expression without letters; no set, relation or matrix."""
    return isinstance(value, sympy.Expr) and not value.free_symbols and not isinstance(value, sympy.MatrixExpr)


def same_number(left: Any, right: Any) -> bool:
    """Whether the difference is zero, as far as ``DIGITS`` digits can tell; 1/0 equals nothing."""
    left, right = left.doit(), right.doit()
    if not all(sympy.N(value, 2, maxn=DIGITS).is_finite for value in (left, right)):
        return bool(left == right and left in (sympy.oo, -sympy.oo))
    difference = left - right
    if difference.is_Rational:
        return bool(difference == 0)
    rest = difference.evalf(2, maxn=DIGITS)
    noise = [part._prec == 1 for part in rest.as_real_imag() if part != 0]  # 1 bit: all digits cancelled
    size = abs(sympy.N(left, 2, maxn=DIGITS))
    return all(noise) or bool(any(noise) and abs(rest) < size * sympy.Float(10) ** (20 - DIGITS))


def same(left: Any, right: Any) -> bool:
    """Whether two readings of one kind are equal; False for any that are of two kinds."""
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
    if isinstance(value, sympy.Expr):  # a letter alone is a condition too, to sympy
        return None
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
    ratios = [a.subs(point) / b.subs(point) for point in points(left, right)]
    constant = all(same_number(ratios[0], ratio) for ratio in ratios)
    directed = left_name in ("=", "!=") or bool(sympy.re(ratios[0]) > 0)
    return left_name == right_name and constant and ratios[0] != 0 and directed


def serve() -> None:
    """Keeps a fork that answers requests until stdin ends. ``ready`` says that everything is imported and warm."""
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    replies = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # what libraries print is no reply
    judge(r"\frac{\sqrt{2}}{2}+x", r"x+\frac{1}{\sqrt{2}}")
    print('"ready"', file=replies, flush=True)
    while True:
        parent, fork = os.getpid(), os.fork()
        if not fork:
            end_with(parent)
            answer(replies)
        _, status = os.waitpid(fork, 0)
        code = os.waitstatus_to_exitcode(status)
        if code == -signal.SIGPROF or -code in CRASHES:
            print(json.dumps([None if code == -signal.SIGPROF else False, 0.0]), file=replies, flush=True)
        elif code != RENEWED:  # stdin has ended, or something from outside killed it
            sys.exit(code != 0)


def end_with(parent: int) -> None:
    """A fork whose worker is killed ends too (Linux); otherwise it would serve on, with nobody to replace it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was killed before that
        os._exit(1)


def answer(replies: TextIO) -> NoReturn:
    """Answers up to ``REQUESTS`` requests, then ends the process: with ``RENEWED`` where there may be more."""
    served = 0
    for line in islice(sys.stdin, REQUESTS):
        served += 1
        request, start = json.loads(line), time.process_time()
        signal.setitimer(signal.ITIMER_PROF, request["budget"])
        try:
            equal = judge(request["gold"], request["answer"])
        except (
            Exception
        ):  # what cannot be read, or makes sympy raise, equals nothing (latex2sympy raises the bare class)
            equal = False
        signal.setitimer(signal.ITIMER_PROF, 0)
        print(json.dumps([equal, time.process_time() - start]), file=replies, flush=True)
    os._exit(RENEWED if served == REQUESTS else 0)


if __name__ == "__main__":
    serve()
