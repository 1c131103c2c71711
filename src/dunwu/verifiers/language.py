r"""Language consistency: words of the target language / words of the chain of thought (R1 2501.12948v2, section 3.2.1).

What every language writes alike is no word and counts on neither side: code, mathematics, formulas, chemistry, commands
of LaTeX, tags, URLs, digits, single Latin or Greek letters, functions and units; ``notation`` says how it is found.

Of names with a digit or an underscore the parts of up to three letters are no words (x1, a_max; "let_me_compute" has
one). Up to four capitals are names (ABCD, DNA), as are more in the alphabet's order (ABCDEF): of points, segments,
angles and figures in any number. Only where a text has many different ones (``words.NAMES``) and their letters are
those of words, they are words in capitals.

A word is a run of letters of one script, except that Chinese and Japanese are written without spaces: there every Han
character is a word, and every run of kana. No segmenter is asked. A Chinese word has about 1.5 characters, so in a
mixed text Chinese weighs more than its words would: of as many Chinese words as English ones it has about 0.6.

The script decides the language. Han characters are Japanese in a sentence with kana and Chinese in one without.
py3langid distinguishes languages that share a script, and only where rivals of that script are named. It must be sure
of another language (``EVIDENCE``): what it cannot distinguish ("No.") is taken for the target, whatever the rivals.

What remains: text inside code, mathematics and URLs is not judged, in whatever language it is; nor are words that are
spelled in single letters, and short ones beside operators. Names and terms in Latin letters (Newton, Python) are words.
"""

from __future__ import annotations

import importlib
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Set
from functools import lru_cache

from dunwu.errors import NotInstalled, UserError
from dunwu.verifiers.notation import remove_notation
from dunwu.verifiers.words import TOKENS, count_scripts, count_words, find_latin_words

LANGUAGES = {
    "zh": "han",
    "ja": "kana",
    "ko": "hangul",
    **dict.fromkeys(("ru", "uk", "bg"), "cyrillic"),
    **dict.fromkeys(("ar", "fa", "ur"), "arabic"),
    **dict.fromkeys(("en", "de", "fr", "es", "it", "pt", "nl", "sv", "pl", "cs", "tr", "id", "vi"), "latin"),
}
"""Languages that may be a target, by the script that marks them."""
SCRIPTS = {
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


def measure_consistency(text: str, target: str, rivals: tuple[str, ...] = ()) -> float:
    """Measure the share of a text's words that are of a language, as :func:`measure_share` does.

    A text without words has 0, so that an empty chain earns nothing.
    """
    return measure_share(text, target, rivals) or 0.0


def measure_share(text: str, target: str, rivals: tuple[str, ...] = ()) -> float | None:
    """Measure the share of a text's words that are of a language.

    Args:
        text: A chain of thought.
        target: The language, one of ``LANGUAGES``.
        rivals: Other languages that may occur. Those of the target's script are distinguished from it sentence by
            sentence, where there is evidence; the rest by their script anyway.

    Returns:
        The share, from 0 to 1; None where the text has no words.

    Raises:
        UserError: A language is not known, or takes py3langid, which is not installed.
    """
    for language in (target, *rivals):
        if language not in LANGUAGES:
            raise UserError(f"no language is called {language!r}; there are {', '.join(LANGUAGES)}")
    text = remove_notation(text)
    script = LANGUAGES[target]
    counts, symbols = count_scripts(text)
    total = sum(counts.values())
    if total == 0:
        return None
    own = counts[script]
    close = tuple(sorted({rival for rival in rivals if LANGUAGES[rival] == script and rival != target}))
    if close and own:
        own = _count_in_language(text, target, close, symbols)
    if counts["han"] and target in ("zh", "ja"):
        japanese = count_words("\n".join(_find_kana_sentences(text)), "han") if counts["kana"] else 0
        own += japanese if target == "ja" else -japanese
    return own / total


def is_written_in(text: str, language: str) -> bool:
    """Return whether a text as a whole is in a language.

    It is where more than half of its letters are of the language's script, and py3langid is not sure of another
    language of that script in ``SCRIPTS``. Japanese has a tenth of kana, Chinese less. Code and mathematics count too:
    JSON in Hindi is in Hindi. A text without letters is in no language.

    Args:
        text: The whole text.
        language: One of ``SCRIPTS``.

    Raises:
        UserError: The language is not known, or takes py3langid, which is not installed.
    """
    if language not in SCRIPTS:
        raise UserError(f"no language is called {language!r}; there are {', '.join(SCRIPTS)}")
    letters = Counter(unicodedata.name(char, "").partition(" ")[0] for char in text if char.isalpha())
    own, kana = sum(letters[script] for script in SCRIPTS[language]), letters["HIRAGANA"] + letters["KATAKANA"]
    if 2 * own <= letters.total():
        return False
    if language in ("zh", "ja"):
        return (10 * kana >= own) == (language == "ja")
    rivals = tuple(sorted(other for other in SCRIPTS if SCRIPTS[other] == SCRIPTS[language]))
    return len(rivals) == 1 or _may_be(text, language, rivals)


def _find_kana_sentences(text: str) -> Iterator[str]:
    return (sentence for sentence in SENTENCE.findall(text) if TOKENS["kana"].search(sentence))


def _count_in_language(text: str, target: str, rivals: tuple[str, ...], symbols: Set[str]) -> int:
    """Count the words of the target's script in sentences that may be of the target language."""
    languages, script = (target, *rivals), LANGUAGES[target]
    own, waiting = 0, list[str]()
    for sentence in SENTENCE.findall(text):
        for token in TOKENS[script].findall(sentence):
            waiting += find_latin_words(token, symbols) if script == "latin" else [token]
        if len(waiting) >= SURE:
            own += len(waiting) * _may_be(" ".join(waiting), target, languages)
            waiting = []
    return own + (len(waiting) * _may_be(" ".join(waiting), target, languages) if waiting else 0)


def _may_be(text: str, target: str, languages: tuple[str, ...]) -> bool:
    """Return whether no other of ``languages`` is likelier than ``target`` by ``EVIDENCE``."""
    likelihood = _load_identifier(languages)(text)
    return max(likelihood.values()) - likelihood[target] < EVIDENCE


@lru_cache(maxsize=8)
def _load_identifier(languages: tuple[str, ...]) -> Callable[[str], Mapping[str, float]]:
    """Return a function from a text to the log-likelihood of each language. Loading takes about half a second."""
    try:
        langid = importlib.import_module("py3langid.langid")
    except ModuleNotFoundError:
        raise NotInstalled(f"py3langid, which tells {' and '.join(languages)} apart,", "language") from None
    identifier = langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE)
    identifier.set_languages(list(languages))
    return lambda text: dict(identifier.rank(text))
