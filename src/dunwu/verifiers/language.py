r"""Language consistency: words of the target language / words of the chain of thought (R1 2501.12948v2, section 3.2.1).

What every language writes alike is no word and counts on neither side: digits and operators, mathematics between
dollars or ``\( \)`` and ``\[ \]``, LaTeX commands, code between backticks, URLs, single Latin or Greek letters, names
with a digit or an underscore (x1, step_2), up to four capitals (ABCD, DNA), functions and units (``ALIKE``).

A word is a run of letters of one script, except that Chinese and Japanese are written without spaces: there every Han
character is a word, and every run of kana. No segmenter is asked. A Chinese word has about 1.5 characters, so in a
mixed text Chinese weighs more than its words would: of as many Chinese words as English ones it has about 0.6.

The script decides the language. Han characters are Japanese in a sentence with kana and Chinese in one without.
Languages that share a script are told apart by py3langid, and only where rivals of that script are named.

What remains: text inside code and mathematics is not judged, in whatever language it is.
"""

from __future__ import annotations

import importlib
import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache

from dunwu.errors import UserError

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
    nm mm cm dm km mg kg ml mL kB Hz kHz MHz GHz Pa kPa kW kWh mol
    """.split()  # noqa: SIM905  -- readable as a block
)
SKIPPED = re.compile(
    r"```.*?```|`[^`\n]*`"
    r"|\$\$.*?\$\$|\$(?<!\\\$)(?=[^\s$])[^$\n]*(?<=[^\s\\])\$(?!\d)"
    r"|\\\[(?:(?!\\[\[\]]).)*\\\]|\\\((?:(?!\\[()]).)*\\\)|\\(?:begin|end)\{[a-z*]{0,20}\}|\\[A-Za-z]+"
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
SENTENCE = re.compile(r"[^\n.!?。！？]+")
SURE = 8
"""Words that py3langid is asked about at least: shorter sentences go together with the next."""


def consistency(text: str, target: str, rivals: tuple[str, ...] = ()) -> float:
    """The share of the words of ``text`` that are of the language ``target``, in [0, 1].

    A text without words has 0, so that an empty chain earns nothing. ``rivals``: other languages that may occur; those
    of the target's script are told apart from it sentence by sentence, the rest by their script anyway.

    Raises:
        UserError: a language that is not known, or one that takes py3langid where that is not installed.
    """
    for language in (target, *rivals):
        if language not in LANGUAGES:
            raise UserError(f"no language is called {language!r}; there are {', '.join(LANGUAGES)}")
    text = SKIPPED.sub(" ", text)
    script = LANGUAGES[target]
    counts = {name: _words(text, name) for name in TOKENS}
    total = sum(counts.values())
    if total == 0:
        return 0.0
    own = counts[script]
    close = tuple(sorted({rival for rival in rivals if LANGUAGES[rival] == script and rival != target}))
    if close and own:
        own = _identified(text, target, close)
    if counts["han"] and target in ("zh", "ja"):
        japanese = _words("\n".join(_with_kana(text)), "han") if counts["kana"] else 0
        own += japanese if target == "ja" else -japanese
    return own / total


def _words(text: str, script: str) -> int:
    """How many words of a script stand in a text without mathematics and code."""
    found = TOKENS[script].findall(text)
    if script == "latin":
        return sum(count for token, count in Counter(found).items() if _is_latin_word(token))
    return len(found) if script else sum(len(token) > 1 and token.isalpha() for token in found)


def _is_latin_word(token: str) -> bool:
    """Whether it is more than a symbol: see the module."""
    symbol = len(token) < 2 or (len(token) <= 4 and token.isupper()) or token in ALIKE
    return not symbol and not re.search(r"[0-9_]", token)


def _with_kana(text: str) -> Iterator[str]:
    return (sentence for sentence in SENTENCE.findall(text) if TOKENS["kana"].search(sentence))


def _identified(text: str, target: str, rivals: tuple[str, ...]) -> int:
    """How many words of the target's script stand in sentences that are taken for the target language."""
    identify, script = _identifier((target, *rivals)), LANGUAGES[target]
    own, waiting = 0, list[str]()
    for sentence in SENTENCE.findall(text):
        waiting += [token for token in TOKENS[script].findall(sentence) if script != "latin" or _is_latin_word(token)]
        if len(waiting) >= SURE:
            own += len(waiting) * (identify(" ".join(waiting)) == target)
            waiting = []
    return own + (len(waiting) * (identify(" ".join(waiting)) == target) if waiting else 0)


@lru_cache(maxsize=8)
def _identifier(languages: tuple[str, ...]) -> Callable[[str], str]:
    """Text -> the likeliest of ``languages``. Loading takes about half a second."""
    try:
        langid = importlib.import_module("py3langid.langid")
    except ModuleNotFoundError:
        text = f"telling {' and '.join(languages)} apart needs py3langid: pip install 'dunwu[language]'"
        raise UserError(text) from None
    identifier = langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE)
    identifier.set_languages(list(languages))
    return lambda text: str(identifier.classify(text)[0])
