r"""Language consistency: words of the target language / words of the chain of thought (R1 2501.12948v2, section 3.2.1).

What every language writes alike is no word and counts on neither side: digits and operators, mathematics between
dollars or ``\( \)`` and ``\[ \]``, the LaTeX commands of a table, code between backticks (a fence at the beginning of a
line that never closes runs to the end, as in Markdown), URLs, single Latin or Greek letters, functions and units
(``ALIKE``), and of names with a digit or an underscore the parts of up to three letters (x1, a_max; "let_me_compute"
has one word). Up to four capitals are names (ABCD, DNA), as are more in the alphabet's order (ABCDEF): of points,
segments, angles and figures in any number. Only where a text has many different ones (``NAMES``) and their letters are
those of words, they are words in capitals.

A word is a run of letters of one script, except that Chinese and Japanese are written without spaces: there every Han
character is a word, and every run of kana. No segmenter is asked. A Chinese word has about 1.5 characters, so in a
mixed text Chinese weighs more than its words would: of as many Chinese words as English ones it has about 0.6.

The script decides the language. Han characters are Japanese in a sentence with kana and Chinese in one without.
Languages that share a script are told apart by py3langid, and only where rivals of that script are named. It must be
sure of another language (``EVIDENCE``): what it cannot tell apart ("No.") is taken for the target, whatever the rivals.

What remains: text inside code, mathematics and URLs is not judged, in whatever language it is; nor are words that are
spelled in single letters.
"""

from __future__ import annotations

import importlib
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Set
from functools import lru_cache

from dunwu.errors import NotInstalled, UserError
from dunwu.verifiers.math.grammar import COMMANDS

RANGES = {
    "han": "々〇\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff",
    "kana": "\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f",
    "hangul": "\u1100-\u11ff\u3131-\u318e\ua960-\ua97f\uac00-\ud7ff",
    "cyrillic": "\u0400-\u0482\u0487-\u052f\u1c80-\u1c8f\u2de0-\u2dff\ua640-\ua69f",
    "arabic": "\u0610-\u061a\u0620-\u065f\u066e-\u06d3\u06d5-\u06dc\u06e1-\u06e8\u06ea-\u06ef\u06fa-\u06ff\u0750-\u077f"
    "\u08a0-\u08ff\ufb50-\ufdff\ufe70-\ufefc",
    "latin": "A-Za-zªº\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02af\u0300-\u036f\u1e00-\u1eff\uff21-\uff3a\uff41-\uff5a",
}
"""The letters of each script, with the marks that stand on them."""
MATHEMATICAL = "\U0001d400-\U0001d7ff"
LANGUAGES = {
    "zh": "han",
    "ja": "kana",
    "ko": "hangul",
    **dict.fromkeys(("ru", "uk", "bg"), "cyrillic"),
    **dict.fromkeys(("ar", "fa", "ur"), "arabic"),
    **dict.fromkeys(("en", "de", "fr", "es", "it", "pt", "nl", "sv", "pl", "cs", "tr", "id", "vi"), "latin"),
}
"""Languages that may be a target, by the script that marks them."""
ALIKE = frozenset(
    """
    sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln lg exp sqrt max min sup inf lim mod gcd lcm det
    nm mm cm dm km mg kg ml mL kB Hz kHz MHz GHz Pa kPa kW kWh mol Rt
    """.split()  # noqa: SIM905  -- readable as a block
)
NOTATION = re.compile(
    r"(?:arc)?(?:sin|cos|tan|cot|sec|csc)(?:[A-Z]{1,4}|[xy])|(?:ln|lg|log)(?:[A-Z]|[xy])|(?:[A-Z]['’])+[A-Z]"
)
"""A function with its argument (sinA, cosBAC, lnx; cost is a word), and names of primed points (A'B'C')."""
NAMES = 12
"""Different runs of capitals that are names whatever their letters; in a text with over four times as many words, a
quarter of those."""
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
POINTS, WORDS, VOWELS = frozenset("BCDFGPQ"), frozenset("TSRILUWYKV"), frozenset("AEIOUY")
"""Letters that are oftener in names of points than in English words, and those with which it is the reverse: of both
together, a quarter are of the first kind in running English, and nearly all in a figure with the points A to H."""
LATEX = frozenset(
    """
    begin end left right middle big Big bigg Bigg bigl bigr Bigl Bigr displaystyle textstyle limits nolimits
    text textbf textit textrm texttt textnormal mathrm mathbf mathit mathsf mathcal mathfrak mathscr boldsymbol
    operatorname mbox boxed fbox dfrac tfrac cfrac dbinom tbinom over choose quad qquad hspace vspace hfill
    overline underline overbrace underbrace overrightarrow widehat widetilde tilde dot ddot stackrel overset underset
    ldots cdots vdots ddots dots star ast circ bullet degree prime backslash
    leq geq leqslant geqslant neq ll gg approx equiv sim simeq cong propto parallel perp mid nmid vert lVert rVert
    notin ni subset subseteq supset supseteq subsetneq bigcup bigcap varnothing complement
    land lor lnot neg wedge vee forall exists nexists therefore because implies iff
    rightarrow leftarrow leftrightarrow Rightarrow Leftarrow Leftrightarrow longrightarrow Longrightarrow mapsto
    uparrow downarrow triangle angle measuredangle square blacksquare nabla partial oplus otimes odot
    iint iiint oint coprod arg sup inf liminf limsup lg det dim ker hom Pr mod bmod pmod lcm coth
    langle rangle lbrace rbrace lbrack rbrack varrho varsigma Upsilon ell hbar imath jmath Re Im aleph
    label tag ref eqref hline cline item newline
    """.split()  # noqa: SIM905  -- a page of words, not of quotes
)
"""Commands that may stand outside of mathematics, beside those of ``math.grammar``; any other is its letters."""
ENVIRONMENTS = (
    "(?:[bpvBV]?matrix|smallmatrix|array|cases|(?:align|equation|gather|multline)(?:ed)?|split|tabular|center|"
    r"itemize|enumerate)\*?"
)
SKIPPED = re.compile(
    r"(?m:^)[ \t]*```.*?(?:```|\Z)|```.*?```|`[^`\n]*`"
    r"|\$\$.*?\$\$|\$(?<!\\\$)(?=[^\s$])[^$\n]*(?<=[^\s\\])\$(?!\d)"
    r"|\\\[(?:(?!\\[\[\]]).)*\\\]|\\\((?:(?!\\[()]).)*\\\)|\\(?:begin|end)\{"
    + ENVIRONMENTS
    + r"\}|\\(?P<command>[A-Za-z]+)"
    r"|https?://[!-~]*|www\.[!-~]*",
    re.DOTALL,
)
"""Every part ends where the next of its kind begins, so that no text makes it slow. A dollar before a space, or after
one, is a price (so is one before a digit, at the end)."""
TOKENS = {
    "han": re.compile(f"[{RANGES['han']}]"),
    "latin": re.compile(rf"[{RANGES['latin']}0-9_]+(?:['’][{RANGES['latin']}]+)*"),
    **{script: re.compile(f"[{RANGES[script]}]+") for script in ("kana", "hangul", "cyrillic", "arabic")},
    "": re.compile(rf"[^\W\d_{MATHEMATICAL}{''.join(RANGES.values())}]+"),
}
"""Words by script; of the Latin ones some are symbols, and "" is every other script."""
WRITTEN = {
    "zh": ("CJK",),
    "ja": ("HIRAGANA", "KATAKANA", "CJK"),
    "ko": ("HANGUL",),
    **dict.fromkeys(("ru", "uk", "bg"), ("CYRILLIC",)),
    **dict.fromkeys(("ar", "fa", "ur"), ("ARABIC",)),
    **dict.fromkeys(("hi", "ne", "mr"), ("DEVANAGARI",)),
    "bn": ("BENGALI",),
    "th": ("THAI",),
    "ta": ("TAMIL",),
    "te": ("TELUGU",),
    "he": ("HEBREW",),
    "kn": ("KANNADA",),
    "gu": ("GUJARATI",),
    "pa": ("GURMUKHI",),
    "ml": ("MALAYALAM",),
    **dict.fromkeys((*(name for name, script in LANGUAGES.items() if script == "latin"), "fi", "sw"), ("LATIN",)),
}
"""Languages that a whole text may be in, by how the Unicode names of their letters begin."""
SENTENCE = re.compile(r"[^\n.!?。！？]+")
SURE = 8
"""Words that py3langid is asked about at least: shorter sentences go together with the next."""
EVIDENCE = 3.0
"""Nats (odds of 20 to 1) by which another language must be likelier than the target."""


def consistency(text: str, target: str, rivals: tuple[str, ...] = ()) -> float:
    """The share of the words of ``text`` that are of the language ``target``, in [0, 1].

    A text without words has 0, so that an empty chain earns nothing. ``rivals``: other languages that may occur; those
    of the target's script are told apart from it sentence by sentence, where there is evidence, the rest by their
    script anyway.

    Raises:
        UserError: a language that is not known, or one that takes py3langid where that is not installed.
    """
    for language in (target, *rivals):
        if language not in LANGUAGES:
            raise UserError(f"no language is called {language!r}; there are {', '.join(LANGUAGES)}")
    text = SKIPPED.sub(_without, text)
    script = LANGUAGES[target]
    symbols = _symbols(text)
    counts = {name: _count(text, name, symbols) for name in TOKENS}
    total = sum(counts.values())
    if total == 0:
        return 0.0
    own = counts[script]
    close = tuple(sorted({rival for rival in rivals if LANGUAGES[rival] == script and rival != target}))
    if close and own:
        own = _identified(text, target, close, symbols)
    if counts["han"] and target in ("zh", "ja"):
        japanese = _count("\n".join(_with_kana(text)), "han") if counts["kana"] else 0
        own += japanese if target == "ja" else -japanese
    return own / total


def has_words(text: str) -> bool:
    """Whether ``text`` has a word of any language."""
    text = SKIPPED.sub(_without, text)
    symbols = _symbols(text)
    return any(_count(text, script, symbols) for script in TOKENS)


def is_written_in(text: str, language: str) -> bool:
    """Whether a text as a whole is in a language: more than half of its letters are of its script, and py3langid is not
    sure of another language of that script in ``WRITTEN``. Japanese has a tenth of kana, Chinese less.

    Code and mathematics count too: JSON in Hindi is in Hindi. A text without letters is in no language.

    Raises:
        UserError: a language that is not known, or one that takes py3langid where that is not installed.
    """
    if language not in WRITTEN:
        raise UserError(f"no language is called {language!r}; there are {', '.join(WRITTEN)}")
    letters = Counter(unicodedata.name(char, "").partition(" ")[0] for char in text if char.isalpha())
    own, kana = sum(letters[script] for script in WRITTEN[language]), letters["HIRAGANA"] + letters["KATAKANA"]
    if 2 * own <= letters.total():
        return False
    if language in ("zh", "ja"):
        return (10 * kana >= own) == (language == "ja")
    rivals = tuple(sorted(other for other in WRITTEN if WRITTEN[other] == WRITTEN[language]))
    return len(rivals) == 1 or _may_be(text, language, rivals)


def _without(skipped: re.Match[str]) -> str:
    r"""Nothing, but the letters of what only looks like a command: ``\wait \let \me``."""
    name = skipped["command"]
    return " " if name is None or name in LATEX or name in COMMANDS else f" {name} "


def _symbols(text: str) -> Set[str]:
    """What is no word in this text: ``ALIKE``, and its runs of capitals unless they are too many to be names."""
    parts = {part for token in set(TOKENS["latin"].findall(text)) for part in _parts(token)}
    symbols = ALIKE | {part for part in parts if NOTATION.fullmatch(part) or (len(part) > 4 and part in ALPHABET)}
    capitals = {part for part in parts if len(part) <= 4 and part.isupper()}
    few = len(capitals) <= NAMES or _are_points(capitals)
    if not few:
        words = sum(_count(text, script, symbols | capitals) for script in TOKENS)
        few = len(capitals) <= words / 4
    return symbols | capitals if few else symbols


def _are_points(names: Set[str]) -> bool:
    """Whether runs of capitals have the letters of points, or no vowels, which words have."""
    letters = Counter("".join(names))
    points, words = (sum(letters[letter] for letter in kind) for kind in (POINTS, WORDS))
    return 3 * points >= 2 * words or 4 * sum(VOWELS.isdisjoint(name) for name in names) >= len(names)


def _count(text: str, script: str, symbols: Set[str] = ALIKE) -> int:
    """How many words of a script stand in a text without mathematics and code."""
    found = TOKENS[script].findall(text)
    if script == "latin":
        return sum(count * len(_latin_words(token, symbols)) for token, count in Counter(found).items())
    return len(found) if script else sum(len(token) > 1 and token.isalpha() for token in found)


def _latin_words(token: str, symbols: Set[str]) -> list[str]:
    """The words in a token: one or none, and in a name with digits or underscores any number."""
    return [part for part in _parts(token) if part not in symbols]


def _parts(token: str) -> list[str]:
    """What may be words in a token, by its letters alone: see the module."""
    parts = re.split("[0-9_]+", token)
    shortest = 2 if len(parts) == 1 else 4
    return [part for part in parts if len(part) >= shortest]


def _with_kana(text: str) -> Iterator[str]:
    return (sentence for sentence in SENTENCE.findall(text) if TOKENS["kana"].search(sentence))


def _identified(text: str, target: str, rivals: tuple[str, ...], symbols: Set[str]) -> int:
    """How many words of the target's script stand in sentences that may be of the target language."""
    languages, script = (target, *rivals), LANGUAGES[target]
    own, waiting = 0, list[str]()
    for sentence in SENTENCE.findall(text):
        for token in TOKENS[script].findall(sentence):
            waiting += _latin_words(token, symbols) if script == "latin" else [token]
        if len(waiting) >= SURE:
            own += len(waiting) * _may_be(" ".join(waiting), target, languages)
            waiting = []
    return own + (len(waiting) * _may_be(" ".join(waiting), target, languages) if waiting else 0)


def _may_be(text: str, target: str, languages: tuple[str, ...]) -> bool:
    """Whether no other of ``languages`` is likelier than ``target`` by ``EVIDENCE``."""
    likelihood = _identifier(languages)(text)
    return max(likelihood.values()) - likelihood[target] < EVIDENCE


@lru_cache(maxsize=8)
def _identifier(languages: tuple[str, ...]) -> Callable[[str], Mapping[str, float]]:
    """Text -> the log-likelihood of each of ``languages``. Loading takes about half a second."""
    try:
        langid = importlib.import_module("py3langid.langid")
    except ModuleNotFoundError:
        raise NotInstalled(f"py3langid, which tells {' and '.join(languages)} apart,", "language") from None
    identifier = langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE)
    identifier.set_languages(list(languages))
    return lambda text: dict(identifier.rank(text))
