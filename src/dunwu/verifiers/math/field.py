r"""What a tree is worth in a finite field: whether two expressions are equal, at once and without rounding.

Take a prime p. Whole numbers are residues modulo p, so are fractions, letters are random residues, and so are pi, e and
the logarithms of primes, of which no relation is known. As p leaves the rest 3 modulo 4, no residue squares to -1, and
a + bi with residues a, b is a field with an imaginary unit. Roots of rational numbers are roots of their primes there,
chosen once, so that sqrt(8) is 2 sqrt(2). All this keeps sums, products and quotients: equal expressions have equal
values, and unequal ones of a thousand characters differ but for one prime in about 2^100. The prime is drawn from the
two expressions, so nobody can write one that vanishes modulo p.

What has no such value (the sine of a letter, the root of a sum, a limit) is ``Undecided``, and the worker's to compare.
"""

from __future__ import annotations

import hashlib
import math
import random
from fractions import Fraction
from functools import cache, lru_cache
from itertools import product

from dunwu.verifiers.math.exact import LARGEST_FACTORIAL, Undefined, evaluate_exactly
from dunwu.verifiers.math.tree import (
    EULER,
    EVALUABLE,
    IMAGINARY,
    INFINITY,
    ONE,
    PI,
    Call,
    Number,
    Power,
    Product,
    Sum,
    Symbol,
    Tree,
    dump,
    find_letters,
    list_children,
    substitute,
)

BITS = 127
PRIMES = 16
ODD_ROOTS = 3 * 5 * 7 * 11 * 13
"""No factor of p - 1: each residue has one root of such an index."""
MOST_TERMS = 500
MOST_NODES = 20_000
"""Nodes that one evaluation looks at, sums and products unrolled; powers and roots count for many."""
POWER_STEPS, ROOT_STEPS = 20, 100
MOST_EXPONENT_LETTERS = 4
TRIAL_DIVISORS = 1_000

Element = tuple[int, int]
"""a + bi, both modulo p."""
Draw = tuple[int, tuple[tuple[str, int], ...]]
"""Which values the letters have: a number, and of letters in exponents whether they are even or odd."""


class Undecided(Exception):  # noqa: N818  -- a finding, not a failure
    """The tree has no value here."""


def same_value(left: Tree, right: Tree) -> bool:
    """Return whether two trees are equal.

    Raises:
        Undecided: One of them has no value in a field.
    """
    try:
        exact = evaluate_exactly(left), evaluate_exactly(right)
        if None not in exact:
            return exact[0] == exact[1]
        prime = _choose_prime(left, right)
        return all(evaluate(left, prime, draw) == evaluate(right, prime, draw) for draw in _list_draws(left, right))
    except Undefined:
        return False


def find_constant_factor(left: Tree, right: Tree) -> Fraction | None:
    """Return the rational number that ``left`` is times ``right`` whatever the letters are; None where there is none.

    Raises:
        Undecided: One of them has no value in a field, or the factor is no small fraction.
    """
    prime = _choose_prime(left, right)
    try:
        factors = []
        for draw in (*_list_draws(left, right), *_list_draws(left, right, number=1)):
            above, below = evaluate(left, prime, draw), evaluate(right, prime, draw)
            if above[1] or below[1]:
                raise Undecided
            factors.append(above[0] * pow(below[0], -1, prime) % prime)
    except (Undefined, ValueError):
        return None
    return _reconstruct_fraction(factors[0], prime) if len(set(factors)) == 1 else None


def _list_draws(left: Tree, right: Tree, number: int = 0) -> list[Draw]:
    """List a draw for each way in which the letters in exponents may be even and odd: (-1)^n is no constant."""
    names = sorted(find_exponent_letters(left) | find_exponent_letters(right))
    if len(names) > MOST_EXPONENT_LETTERS:
        raise Undecided
    return [(number, tuple(zip(names, parity, strict=True))) for parity in product((0, 1), repeat=len(names))]


def find_exponent_letters(tree: Tree) -> set[str]:
    """Return the letters that stand in exponents of ``tree``."""
    own = find_letters(tree.exponent) if isinstance(tree, Power) else set()
    return own.union(*map(find_exponent_letters, list_children(tree)))


def _reconstruct_fraction(residue: int, prime: int) -> Fraction:
    """Find the fraction of small numbers that a residue is (Wang's reconstruction)."""
    bound = math.isqrt(prime // 2)
    (high, low), (before, behind) = (prime, residue), (0, 1)
    while low > bound:
        whole = high // low
        high, low = low, high - whole * low
        before, behind = behind, before - whole * behind
    if behind == 0 or abs(behind) > bound or math.gcd(low, behind) != 1:
        raise Undecided
    return Fraction(low, behind)


def _choose_prime(left: Tree, right: Tree) -> int:
    return find_primes()[int.from_bytes(_digest(dump(left) + dump(right))[:4], "big") % PRIMES]


@lru_cache(maxsize=4096)
def evaluate(tree: Tree, prime: int, draw: Draw) -> Element:
    """Return the value of ``tree`` in a field, for one draw of its letters.

    Args:
        tree: An expression.
        prime: The field's.
        draw: Which values the letters have.

    Raises:
        Undecided: It has no value there.
        Undefined: It divides by zero.
    """
    return _Field(prime, draw).evaluate(tree)


@cache
def find_primes() -> tuple[int, ...]:
    """Return primes of ``BITS`` bits that leave 3 modulo 4, where every odd root of a small index is one."""
    rng = random.Random("fields for mathematical answers")
    found: list[int] = []
    while len(found) < PRIMES:
        candidate = rng.getrandbits(BITS) | (1 << (BITS - 1)) | 3
        if math.gcd(candidate - 1, ODD_ROOTS) == 1 and _is_prime(candidate):
            found.append(candidate)
    return tuple(found)


def _is_prime(number: int) -> bool:
    """Test a number as Miller and Rabin do, with the first primes as witnesses: one in 4^12 composites passes."""
    odd = (number - 1) >> 1
    witnesses = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)
    return all(pow(base, odd, number) in (1, number - 1) for base in witnesses)  # number - 1 is twice an odd number


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=32).digest()


class _Field:
    """The field of one prime, for one tree."""

    def __init__(self, prime: int, draw: Draw) -> None:
        self.prime = prime
        self.draw, self.parities = draw[0], dict(draw[1])
        self.steps = 0

    def evaluate(self, tree: Tree) -> Element:
        self.charge(1)
        match tree:
            case Number(number):
                return self.to_residue(number), 0
            case Symbol():
                return self.evaluate_symbol(tree)
            case Sum(terms):
                real, imaginary = zip(*map(self.evaluate, terms), strict=True)
                return sum(real) % self.prime, sum(imaginary) % self.prime
            case Product(factors):
                product = (1, 0)
                for factor in factors:
                    product = self.multiply(product, self.evaluate(factor))
                return product
            case Power(base, exponent):
                return self.evaluate_power(base, exponent)
            case Call(name, arguments):
                return self.evaluate_call(tree, name, arguments)

    def multiply(self, left: Element, right: Element) -> Element:
        (a, b), (c, d) = left, right
        return (a * c - b * d) % self.prime, (a * d + b * c) % self.prime

    def invert(self, element: Element) -> Element:
        a, b = element
        norm = (a * a + b * b) % self.prime
        if norm == 0:
            raise Undefined
        inverse = pow(norm, -1, self.prime)
        return a * inverse % self.prime, -b * inverse % self.prime

    def to_residue(self, number: Fraction) -> int:
        return number.numerator * pow(number.denominator, -1, self.prime) % self.prime

    def evaluate_symbol(self, tree: Symbol) -> Element:
        if tree == INFINITY:
            raise Undecided
        return (0, 1) if tree == IMAGINARY else (self.draw_integer(tree.name) % self.prime, 0)

    def draw_integer(self, name: str) -> int:
        """Return the whole number that stands for a letter: as a residue in a base, and in an exponent."""
        value = int.from_bytes(_digest(f"{self.prime} {self.draw} {name}"), "big")
        return value if name not in self.parities else value - value % 2 + self.parities[name]

    def evaluate_power(self, base: Tree, exponent: Tree) -> Element:
        number = evaluate_exactly(exponent)
        if number is None:
            if not is_letter_exponent(exponent):
                raise Undecided
            element, power = self.evaluate(base), self.evaluate_exponent(exponent)
            if element[1] or not element[0]:
                raise Undecided
            return pow(element[0], power, self.prime), 0
        if number.denominator == 1:
            return self.raise_element(self.evaluate(base), int(number))
        exact = evaluate_exactly(base)
        if exact is None:
            raise Undecided
        return self.take_root(exact, number)

    def charge(self, steps: int) -> None:
        """Count work that is no look at a node."""
        self.steps += steps
        if self.steps > MOST_NODES:
            raise Undecided

    def raise_element(self, element: Element, exponent: int) -> Element:
        self.charge(POWER_STEPS)
        if exponent < 0:
            element, exponent = self.invert(element), -exponent
        if element[1] == 0:
            return pow(element[0], exponent, self.prime), 0
        result, exponent = (1, 0), exponent % (self.prime**2 - 1) if any(element) else exponent
        while exponent:
            if exponent & 1:
                result = self.multiply(result, element)
            element, exponent = self.multiply(element, element), exponent >> 1
        return result

    def evaluate_exponent(self, tree: Tree) -> int:
        """Return an exponent modulo p - 1: letters are whole numbers in it."""
        order = self.prime - 1
        self.charge(POWER_STEPS)
        match tree:
            case Number(number):
                if math.gcd(number.denominator, order) != 1:
                    raise Undecided
                return number.numerator * pow(number.denominator, -1, order) % order
            case Symbol(name) if tree not in (PI, EULER, IMAGINARY, INFINITY):
                return self.draw_integer(name) % order
            case Sum(terms):
                return sum(map(self.evaluate_exponent, terms)) % order
            case Product(factors):
                return math.prod(map(self.evaluate_exponent, factors)) % order
            case Power(base, Number(number)) if number.denominator == 1 and 0 <= number <= MOST_TERMS:
                return pow(self.evaluate_exponent(base), int(number), order)
        raise Undecided

    def take_root(self, base: Fraction, exponent: Fraction) -> Element:
        """Take a root of a rational number; of a negative one the real root, or with an even index i times a root."""
        index, odd = exponent.denominator, exponent.denominator
        if index % 2 == 0:
            odd = index // 2
        if odd % 2 == 0 or math.gcd(odd, self.prime - 1) != 1:
            raise Undecided
        if base == 0:
            return 0, 0
        result = (1, 0)
        self.charge(ROOT_STEPS)
        for prime, times in _factorize(base):
            root = self.take_prime_root(prime, index, odd)
            result = self.multiply(result, self.raise_element(root, times * exponent.numerator))
        if base < 0:
            unit = (-1 % self.prime, 0) if index % 2 else self.raise_element((0, 1), pow(odd, -1, 4))
            result = self.multiply(result, self.raise_element(unit, exponent.numerator))
        return result

    def take_prime_root(self, prime: int, index: int, odd: int) -> Element:
        """Take the root of a prime. Where it is no square here, minus it is one: its root is i times that root."""
        down = pow(odd, -1, self.prime - 1)
        if index % 2:
            return pow(prime, down, self.prime), 0
        square = pow(prime, (self.prime - 1) // 2, self.prime) == 1
        half = pow(prime if square else -prime, (self.prime + 1) // 4, self.prime)
        real = pow(half, down, self.prime)
        return (real, 0) if square else self.multiply((real, 0), self.raise_element((0, 1), pow(odd, -1, 4)))

    def evaluate_call(self, tree: Call, name: str, arguments: tuple[Tree, ...]) -> Element:
        exact = evaluate_exactly(tree) if name not in ("sum", "prod", "int", "lim") else None
        if exact is not None:
            return self.to_residue(exact), 0
        if name == "factorial" or name == "binom":
            return self.evaluate_large(name, arguments)
        if name in ("sum", "prod"):
            return self.evaluate_series(name, arguments)
        if name in ("ln", "log"):
            below = self.take_logarithm(arguments[1]) if name == "log" else 1
            return self.take_logarithm(arguments[0]) * self.invert((below, 0))[0] % self.prime, 0
        if name in EVALUABLE:
            raise Undecided
        known = " ".join(str(self.evaluate(argument)) for argument in arguments)
        return self.draw_integer(f"{name}({known})") % self.prime, 0

    def evaluate_large(self, name: str, arguments: tuple[Tree, ...]) -> Element:
        """Evaluate a factorial or binomial coefficient that is too large to be written."""
        exact = [evaluate_exactly(argument) for argument in arguments]
        numbers = [int(one) for one in exact if one is not None and one.denominator == 1]
        if len(numbers) < len(exact) or not 0 <= numbers[-1] <= numbers[0] <= LARGEST_FACTORIAL:
            raise Undecided
        return (math.factorial(numbers[0]) if name == "factorial" else math.comb(*numbers)) % self.prime, 0

    def evaluate_series(self, name: str, arguments: tuple[Tree, ...]) -> Element:
        body, variable, *bounds = arguments
        low, high = map(evaluate_exactly, bounds)
        if low is None or high is None or low.denominator != 1 or high.denominator != 1 or high - low > MOST_TERMS:
            raise Undecided
        assert isinstance(variable, Symbol)
        terms = tuple(
            substitute(body, variable.name, Number(Fraction(place))) for place in range(int(low), int(high) + 1)
        )
        return self.evaluate(Sum((Number(Fraction(0)), *terms)) if name == "sum" else Product((ONE, *terms)))

    def take_logarithm(self, tree: Tree) -> int:
        """Take the logarithm of a positive rational number, from those of its primes; of e it is 1."""
        if tree == EULER:
            return 1
        self.charge(ROOT_STEPS)
        exact = evaluate_exactly(tree)
        if exact is None or exact <= 0:
            raise Undecided
        return sum(times * self.draw_integer(f"ln {prime}") for prime, times in _factorize(exact)) % self.prime


def is_letter_exponent(tree: Tree) -> bool:
    """Return whether an exponent is made of letters, whole numbers, sums and products."""
    if isinstance(tree, Call) or tree in (PI, EULER, IMAGINARY, INFINITY):
        return False
    return all(map(is_letter_exponent, list_children(tree)))


@lru_cache(maxsize=1024)
def _factorize(number: Fraction) -> tuple[tuple[int, int], ...]:
    """Return the primes of a rational number with their multiplicities, negative below the stroke."""
    found = []
    for part, sign in ((abs(number.numerator), 1), (number.denominator, -1)):
        rest = part
        divisor = 2
        while divisor <= TRIAL_DIVISORS and divisor * divisor <= rest:
            times = 0
            while rest % divisor == 0:
                rest, times = rest // divisor, times + 1
            if times:
                found.append((divisor, sign * times))
            divisor += 1 + (divisor > 2)
        if rest > 1:
            if rest > TRIAL_DIVISORS**2:
                raise Undecided
            found.append((rest, sign))
    return tuple(found)
