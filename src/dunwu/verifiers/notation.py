r"""Notation: what every language writes alike, found by its form and by what stands beside it.

Taken out of a text: code between backticks and in fenced blocks, mathematics between dollars or ``\( \)`` and
``\[ \]``, the names of LaTeX's commands and environments and of HTML's tags, URLs. What stands in ``\text{...}`` stays.

Of the rest a run of Latin letters is notation by its form where it has no vowel (kx, bcd), is a formula of chemistry
(NaHCO3, Fe), a function with its argument (sinAcosB, lnx), follows the alphabet (abc), or is short and has a capital
inside (eV, nRT); and by its neighbours where it is short and touches an operator, a relation, a bracket of a formula, a
digit or a Greek letter: F=ma, ab+bc, {an}, dp[i], ∫xdx. A word of English (``ENGLISH``) is neither, but for those of
two letters beside an operator (v=at).

Nobody hides words so: where the English words among the unknown names or among the runs beside operators are many,
all of these are words (``\wait \let \me``, so=then=the).
"""

from __future__ import annotations

import re
from collections.abc import Set
from functools import lru_cache
from pathlib import Path

from dunwu.verifiers.fences import BLOCK

LATIN = "A-Za-zªº\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02af\u0300-\u036f\u1e00-\u1eff\uff21-\uff3a\uff41-\uff5a"
"""Latin letters, with the marks that stand on them."""
ENGLISH = frozenset(Path(__file__).with_name("english.txt").read_text(encoding="utf-8").split())
"""The words that English is full of, in small letters: no English runs on without them."""
KNOWN = frozenset(
    """
    above all and because begin below big choose end in it large left line list mid not over point right set small text
    therefore times to top
    """.split()  # noqa: SIM905  -- readable as a block
)
"""Words of ``ENGLISH`` that are commands of LaTeX as well."""
MANY = 3
"""Different English words that are no accident, if they are a third of the names as well."""
ALIKE = frozenset(
    """
    sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln lg exp sqrt max min sup inf lim mod gcd lcm det
    arg deg dim ord sgn argmax argmin nm mm cm dm km mg kg ml mL kB Hz Pa mol cal kcal atm rad Rt
    """.split()  # noqa: SIM905  -- readable as a block
)
"""Functions and units."""
ELEMENTS = (
    "A[cglmrstu]|B[aeihkr]?|C[adeflmnorsu]?|D[bsy]|E[rsu]|F[elmr]?|G[ade]|H[efgos]?|I[nr]?|Kr?|L[airuv]|M[cdgnot]|"
    "N[abdehiop]?|O[gs]?|P[abdmortu]?|R[abefghnu]|S[bcegimnr]?|T[abcehilms]|U|V|W|Xe|Yb?|Z[nr]"
)
FORMULA = re.compile(
    rf"(?=.[A-Za-z]*[A-Z\d])(?=.*[a-z\d])(?:(?:{ELEMENTS})\d*)+"
    rf"|(?!(?:A[mst]|Be|Es|Er|He|In|La|N[eo]|Os|Se|Te)\Z)(?:{ELEMENTS})"
)
"""A formula of chemistry: element symbols with a capital inside or a digit; or one symbol that is no word."""
LONGEST_RUN = 16
"""Letters of a run that may be notation; in longer ones the patterns would have too many ways."""
FUNCTION_NAME = "(?:arc)?(?:sin|cos|tan|cot|sec|csc|ln|lg|log)"
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
FORMS = re.compile(
    rf"(?:[A-Za-z]{{0,3}}?{FUNCTION_NAME}[A-Z]{{1,4}})+|[a-z]?(?:{FUNCTION_NAME}[xy])+"  # absinC, sinAcosB, xlnx
    "|(?:[A-Z]['’])+[A-Z]"  # A'B'C'
    "|(?i:[b-df-hj-np-tv-xz]{2,4}|[xyz]{2,3}|(?:d[xyz])+)"  # kx, bcd, html: no vowel
    r"|(?=.{2,4}\Z)(?=.*[a-z])[A-Za-z]+[A-Z][A-Za-z]*"  # eV, nRT, GMm
)
"""A run that is no word of any language, but for those in ``ENGLISH``."""
PRODUCT = re.compile(
    rf"[A-Za-z]{{2,3}}|(?![A-Za-z][a-z]*[aeiou][a-z]+\Z)[A-Za-z]{{4}}|[a-z]['’][a-z]"  # mgh, abcd, but not area; f'g
    rf"|(?:[A-Za-z]{{0,3}}?{FUNCTION_NAME}[A-Za-z]{{0,3}})+"  # mgsin, sinxdx
)
"""A run that is notation where it touches an operator: a short one, four letters only where they do not sound like a
word, or a product with functions."""
FORMULA_SIGNS = (
    "=+^{}|<>＝＋＜＞｜·×÷±²³¹°µ\u0370-\u03ff\u2032\u2070-\u209f\u2190-\u22ff\u25a0-\u25ff\u27c0-\u27ff\u2a00-\u2aff"
)
"""Operators, relations, braces, indices, Greek letters: what makes a formula of the letters that touch it."""
SPACED = "=＝+·×÷±\u2200-\u2233\u2236-\u22ff"
"""Signs of a formula that do so over a space."""
START = rf"(?=[A-Za-z])(?<![{LATIN}0-9_'’])"
LETTER_RUN = rf"(?:[A-Za-z]{{2,{LONGEST_RUN}}}|[a-z]['’][a-z])(?![{LATIN}0-9_])"
NEAR_OPERATORS = re.compile(
    rf"{START}(?:(?:(?<=[{FORMULA_SIGNS}])|(?<=[{SPACED}] )|(?<=[\w)] [<>] )"
    rf"|(?<=[{FORMULA_SIGNS})][-−/])|(?<=[0-9A-Za-z)]\*)"
    rf"|(?<=[…⋯.][,，、])|(?<=[…⋯.][,，、] )|(?<=[(（])(?={LETTER_RUN}[)）])){LETTER_RUN}"
    rf"|{LETTER_RUN}(?:(?=[{FORMULA_SIGNS}\[])|(?= [{SPACED}])|(?= [<>] [\w(])|(?=[-−/][(（√∠△])|(?=\*[0-9A-Za-z(])))"
)
CALLED_FUNCTION = re.compile(rf"{START}[A-Za-z]{{2,4}}(?=\((?!e?s\)))")
"""A function before its bracket, rank(A), but not the plural of cat(s)."""
COUNTED_PRODUCT = re.compile(rf"(?<![{LATIN}0-9_])[0-9]++([A-Za-z]{{2,3}})(?![{LATIN}0-9_])")
"""A product with its number: 2ab."""
JOINED = re.compile(rf"(?<![{LATIN}0-9_'’])[A-Za-z0-9]{{1,3}}(?: ?[-−/] ?[A-Za-z0-9]{{1,3}}(?![{LATIN}0-9_]))+")
"""Short runs with nothing but strokes between: ab-bc-ca, dy/dx, but not x-axis."""
SHORT_RUN = re.compile("[A-Za-z]{2,3}")
BACKSLASH = r"(?<!\\)\\++"
NAMED_COMMANDS = r"begin|end|color|textcolor|operatorname|math[a-z]+|label|ref|eqref"
REMOVED = re.compile(
    rf"{BLOCK.pattern}|"
    r"(?<!`)(?P<ticks>`{3,}+).*?(?<!`)(?P=ticks)(?!`)|(?<!`)(?P<tick>``?+)(?!`)[^\n]*?(?<!`)(?P=tick)(?!`)"
    r"|\$\$.*?\$\$|\$(?<!\\\$)(?=[^\s$])[^$\n]*(?<=[^\s\\])\$(?!\d)"
    r"|\\\[(?:(?!\\[\[\]]).)*\\\]|\\\((?:(?!\\[()]).)*\\\)"
    rf"|{BACKSLASH}(?:{NAMED_COMMANDS})\*?\{{(?P<argument>[A-Za-z]+)\*?\}}"
    rf"|{BACKSLASH}(?:text[a-z]*|emph|[mhf]box)\{{(?P<text>[^{{}}]*)\}}"
    rf"|{BACKSLASH}(?P<command>[A-Za-z]+)|</?(?:think|answer)>"
    r"|</?(?P<tag>[A-Za-z]+)\d?(?:\s+[\w-]+=\"[^\"<>\n]*\")*\s*/?>"
    r"|https?://[!-~]*|www\.[!-~]*",
    re.DOTALL,
)
"""Every part ends where the next of its kind begins, so that no text makes it slow. A dollar before a space, or after
one, is a price (so is one before a digit, at the end)."""
DELIMITERS = ("`", "~~~", "$", "\\", "<", "http", "www.")
"""Of these one stands in every part."""


def remove_notation(text: str) -> str:
    """Remove what is no text: code, mathematics, URLs, and the names of commands and tags.

    Args:
        text: A chain of thought, in Markdown with LaTeX.

    Returns:
        The text with a space in the place of each.
    """
    if not any(delimiter in text for delimiter in DELIMITERS):
        return text
    names = {name for found in REMOVED.finditer(text) if (name := _find_name(found))}
    words = find_hidden_words(names - KNOWN)

    def keep(found: re.Match[str]) -> str:
        name = _find_name(found)
        return f" {name if name in words else found['text'] or ''} "

    return REMOVED.sub(keep, text)


def _find_name(found: re.Match[str]) -> str:
    """Find the name of a command, of an environment or of a tag; "" for anything else."""
    return found["argument"] or found["command"] or found["tag"] or ""


def find_hidden_words(names: Set[str]) -> Set[str]:
    """Find the words among what looks like notation: the English ones, or all where too many are English."""
    english = {name for name in names if name.lower() in ENGLISH}
    return names if len(english) >= MANY and 3 * len(english) >= len(names) else english


@lru_cache(maxsize=2**16)
def has_form(part: str) -> bool:
    """Return whether a run of Latin letters is notation by its form alone, whatever stands beside it."""
    if len(part) > LONGEST_RUN:
        return False
    in_order = len(part) > 2 and part.upper() in ALPHABET and (part.islower() or len(part) > 4)
    return in_order or (FORMS.fullmatch(part) is not None and part.lower() not in ENGLISH)


def is_product(run: str) -> bool:
    """Return whether a run of letters that touches an operator or a digit is notation."""
    return (
        len(run) <= LONGEST_RUN and PRODUCT.fullmatch(run) is not None and (len(run) == 2 or run.lower() not in ENGLISH)
    )


def find_formulas(text: str) -> Set[str]:
    """Find the runs of letters that stand as notation beside an operator somewhere in a text.

    Args:
        text: What ``remove_notation`` has left.

    Returns:
        The runs, none where too many of those beside operators are words of English.
    """
    touching = set(NEAR_OPERATORS.findall(text))
    runs = {run for run in touching if PRODUCT.fullmatch(run)}
    if "(" in text:
        runs.update(CALLED_FUNCTION.findall(text))
    runs.update(run for run in COUNTED_PRODUCT.findall(text) if run.lower() not in ENGLISH)
    for joined in JOINED.findall(text):
        parts = SHORT_RUN.findall(joined)
        runs.update(parts if ENGLISH.isdisjoint(map(str.lower, parts)) else ())
    return runs - find_hidden_words({run for run in touching | runs if len(run) > 2 and not run.isupper()})
