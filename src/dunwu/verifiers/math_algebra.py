"""What may be given to a computer algebra system, and the comparison by wording of what may not.

It drops or misreads what it does not know (52_8 as 52, "5 7" as a mixed number, f'(x) as f(x), "x ≈ 2" as 2), so this
is a list of what it does know: anything else is compared as text.
"""

from __future__ import annotations

import re

SIGNS = re.compile(r"[a-zA-Z0-9 +\-*/^_=<>()\[\]{}|!.,;\\]*")
COMMANDS = frozenset(
    """
    frac sqrt binom cdot times div pm mp le ge ne lt gt in cup cap setminus mathbb emptyset infty sum prod int lim to
    sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln exp max min gcd lfloor rfloor lceil rceil lvert
    rvert vec hat bar pi alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi
    rho sigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega { }
    """.split()  # noqa: SIM905  -- a page of words, not of quotes
)
COMMAND = re.compile(r"\\([a-zA-Z]+|.)", re.DOTALL)
FUNCTIONS = re.compile(r"sin|cos|tan|cot|sec|csc|arcsin|arccos|arctan|sinh|cosh|tanh|log|exp|max|min|gcd")
WORD = re.compile(r"(?<![a-zA-Z\\])[a-zA-Z]{3,}")
MISREAD = re.compile(
    r"\d_\{?\d|[\d.)}]\s+[\d.(]|\d\.\d+\.|\d[a-zA-Z]\d|!!|[=<>]{2}|\A\[[^,]*\]\Z|,\s*[,)\]}]|[(\[{]\s*,"
)


def only_text(text: str) -> bool:
    """Whether normal ``text`` must not be given to a computer algebra system: it would drop or misread part of it."""
    return (
        not SIGNS.fullmatch(text)
        or not all(command in COMMANDS for command in COMMAND.findall(text))
        or not all(map(FUNCTIONS.fullmatch, WORD.findall(text)))
        or bool(MISREAD.search(text))
    )


def wording(text: str) -> str:
    r"""Words and symbols alone: no ``\text``, no case in words, no outer punctuation, spaces only between words."""
    text = re.sub(r"\\text ?\{([^{}]*)\}", r"\1", text)
    text = text if "\\" in text else re.sub(r"[a-zA-Z]{2,}", lambda word: word[0].casefold(), text)
    return re.sub(r" (?=\W)|(?<=\W) |[.,;: ]+$", "", re.sub(r"\s+", " ", text).strip()).replace("\\", "")


def depth(text: str) -> int:
    """How deep brackets stand inside one another."""
    deepest = level = 0
    for char in text:
        level += (char in "([{") - (char in ")]}")
        deepest = max(deepest, level)
    return deepest
