r"""Letters and names in an expression: indices, primes, ``f(2)``, ``C_5^2``, ``\overline{AB}``, words as products.

Each reader takes the parser where it stands, and leaves it behind what belongs to the letter.
"""

from __future__ import annotations

import re
from dataclasses import replace

from dunwu.verifiers.math.brackets import Unreadable, find_closing, join_text, split_at
from dunwu.verifiers.math.constructs import FUNCTION_NAMES, read_function
from dunwu.verifiers.math.cursor import Parser
from dunwu.verifiers.math.tokens import Token
from dunwu.verifiers.math.tree import EULER, IMAGINARY, INFINITY, PI, Call, Number, Product, Symbol, Tree, divide

GREEK = frozenset(
    """
    alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau upsilon varphi chi psi omega
    Alpha Beta Gamma Delta Epsilon Zeta Eta Theta Iota Kappa Lambda Mu Nu Xi Pi Rho Sigma Tau Upsilon Phi Chi Psi Omega
    ell hbar varsigma varpi
    """.split()  # noqa: SIM905  -- a page of words, not of quotes
)
CONSTANT_NAMES = {
    "pi": PI,
    "infty": INFINITY,
    "infinity": INFINITY,
    "inf": INFINITY,
    "Infinity": INFINITY,
    "oo": INFINITY,
}
DECORATIONS = frozenset(
    """
    overline bar vec hat widehat tilde widetilde dot ddot overset angle measuredangle triangle odot overarc wideparen
    """.split()  # noqa: SIM905  -- a page of words, not of quotes
)
FUNCTION_LETTERS = frozenset("fghFGHPEQ")
"""Letters that are functions where a bracket follows; any other is a factor, unless the bracket holds one thing."""
UNIT_VECTORS = {"i": "i", "j": "j", "k": "k", "\\imath": "i", "\\jmath": "j"}
REVERSIBLE = {"overline": 2, "angle": 3}
"""Names that say the same from behind, with so many letters: a segment, an angle."""
ABBREVIATIONS = frozenset("mph kph rpm hrs mrs pts lbs yds nth mth kth hmm pct vs".split())  # noqa: SIM905
"""Abbreviations without a vowel."""
FAMILIES = ("abcd", "xyzw", "pqrst", "mnkl", "uvw", "efgh", "ijk", "ABCDEFGHOPQRSTXYZMNK")
"""Three letters or more are a product only where they are of one family: words are none."""
SPLIT_FUNCTION = re.compile(
    rf"([a-zA-Z]|[b-df-hj-np-tv-z]{{2}})?({'|'.join(sorted(FUNCTION_NAMES, key=len, reverse=True))})([a-zA-Z]?)"
)


def read_word(parser: Parser) -> Tree:
    """Read a word: a function, the name of a letter, or letters that are multiplied."""
    token = parser.take_token()
    if token.text in FUNCTION_NAMES:
        return read_function(parser, FUNCTION_NAMES[token.text])
    if token.text in CONSTANT_NAMES:
        return CONSTANT_NAMES[token.text]
    if token.text in GREEK and len(token.text) > 2:
        return read_indexed(parser, Symbol(token.text))
    pieces = split_functions(token.text)
    if pieces:
        parser.tokens[parser.at - 1 : parser.at] = [replace(token, text=one, spacing="") for one in pieces]
        parser.at -= 1
        return parser.read_power()
    if not is_letter_product(token):
        raise Unreadable(f"the word {token.text}")
    return read_letter(parser, token)


def read_letter(parser: Parser, token: Token) -> Tree:
    """Read the first letter of a word, the only one with its index and primes; the others follow as factors."""
    if len(token.text) > 1:
        parser.tokens.insert(parser.at, replace(token, text=token.text[1:], spacing=""))
        return make_letter(token.text[0])
    tree = read_indexed(parser, make_letter(token.text))
    return read_called(parser, tree) if isinstance(tree, Symbol) and tree not in (IMAGINARY, EULER) else tree


def read_indexed(parser: Parser, tree: Symbol) -> Tree:
    """Read the index and primes of a letter; C_5^2 is a binomial coefficient, A_5^2 counts arrangements."""
    name = tree.name
    if parser.take("_"):
        index = parser.take_argument(short=True)
        if not index:
            raise Unreadable("an empty index")
        if name in ("C", "A", "P") and parser.peek_sign() == "^" and (chosen := _read_coefficient(parser, name, index)):
            return chosen
        name += f"_{join_text(index)}"
    elif tree not in (IMAGINARY, EULER) and _is_index(parser.peek()):
        name += f"_{parser.take_token().text}"
    while parser.take("'"):
        name += "'"
    return Symbol(name) if name != tree.name else tree


def _is_index(token: Token | None) -> bool:
    """Return whether digits behind a letter are its index: x1."""
    return token is not None and token.text.isdigit() and not token.spacing and not token.roman


def _read_coefficient(parser: Parser, name: str, index: list[Token]) -> Tree | None:
    start, parser.at = parser.at, parser.at + 1
    try:
        n, k = parser.read_inside(index), parser.read_inside(parser.take_argument(short=True))
    except Unreadable:
        parser.at = start
        return None
    numbers = [one.value for one in (n, k) if isinstance(one, Number)]
    counted = len(numbers) == 2 and numbers[0] >= numbers[1] >= 0
    if name == "C" and (counted or (isinstance(n, Symbol) and n.name in "nmkN")):
        return Call("binom", (n, k))
    if name in ("A", "P") and counted:
        return divide(Call("factorial", (n,)), Call("factorial", (Number(numbers[0] - numbers[1]),)))
    parser.at = start
    return None


def read_called(parser: Parser, tree: Symbol) -> Tree:
    """Read ``f(x)``, ``f^{-1}(x)``, ``y(0)``: a function of which only the name is known. ``x(x+1)`` is a product."""
    start, above = parser.at, ""
    known = tree.name.rstrip("'")[:1] in FUNCTION_LETTERS
    if known and parser.take("^"):
        text = join_text(parser.take_argument(short=True))
        above = text if set(text) == {"'"} else f"^{text}"
    end = find_closing(parser.tokens, parser.at) if parser.peek_sign() == "(" else -1
    content = parser.tokens[parser.at + 1 : end] if end > 0 else []
    alone = len(content) == 1 or any(token.text in (",", "，") for token in content)
    if not content or not (known or alone):
        parser.at = start
        return tree
    parser.at = end + 1
    arguments = tuple(parser.read_inside(part) for part in split_at(content, (",", "，", ";")))
    return Call("binom" if tree.name == "C" and len(arguments) == 2 else tree.name + above, arguments)


def read_prescript(parser: Parser) -> Tree:
    """Read ``{}_5C_2``: the index stands in front."""
    parser.at += 1
    n, name = parser.read_inside(parser.take_argument(short=True)), parser.take_token().text
    if name not in ("C", "P", "A") or not parser.take("_"):
        raise Unreadable("an index in front of nothing")
    k = parser.read_inside(parser.take_argument(short=True))
    chosen = Call("binom", (n, k))
    return chosen if name == "C" else Product((chosen, Call("factorial", (k,))))


def read_decorated(parser: Parser, name: str) -> Tree:
    r"""Read ``\overline{AB}``, ``\angle ABC``: one name."""
    content = parser.take_argument(short=True)
    if not content:
        raise Unreadable(f"nothing behind {name}")
    text = join_text(content)
    if name == "hat" and text in UNIT_VECTORS:
        return make_letter(UNIT_VECTORS[text])
    if text.isupper() and len(text) == REVERSIBLE.get(name):
        text = min(text, text[::-1])
    return read_indexed(parser, Symbol(f"\\{name} {text}"))


def make_letter(name: str) -> Symbol:
    """Return the symbol of one letter: e and i are constants."""
    return {"e": EULER, "i": IMAGINARY}.get(name, Symbol(name))


def is_letter_product(token: Token) -> bool:
    """Return whether a word in an expression is a product of its letters: xy and abc, but no longer word."""
    text = token.text
    if len(text) <= 2 and not (token.roman and len(text) > 1 and not text.isupper()):
        return text.isascii()
    family = any(set(text) <= set(one) for one in FAMILIES)
    return text.isascii() and (family or (not token.roman and is_formula(text)))


def split_functions(text: str) -> list[str]:
    """Return the functions and letters of a word that is made of them: xsin, lnx, sinxcosx; none of any other."""
    pieces: list[str] = []
    while text:
        match = SPLIT_FUNCTION.match(text)
        if match is None:
            return []
        pieces += filter(None, match.groups())
        text = text[match.end() :]
    return pieces


def is_family(text: str) -> bool:
    """Return whether letters of one family stand together that make no word: xyz, abc."""
    family = text.islower() and any(set(text) <= set(one) for one in FAMILIES)
    return len(text) > 2 and family and (set(text) >= set("abc") or not set(text) & set("aeiou"))


def is_formula(text: str) -> bool:
    """Return whether three letters or four can be no word: they have no vowel, and are no abbreviation (mgh, qvB)."""
    return (
        len(text) in (3, 4)
        and text.lower() not in ABBREVIATIONS
        and not set(text.lower()) & set("aeiouy")
        and not text.isupper()
    )
