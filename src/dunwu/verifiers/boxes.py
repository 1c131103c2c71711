r"""Answers in boxes of TeX: ``\boxed{5}``, its like, and how they are escaped."""

from __future__ import annotations

import re
from string import punctuation, whitespace
from typing import NamedTuple

from dunwu.verifiers.lead_ins import HOPE

BOX_OPTIONS = r"(?:\s*\[[^\[\]{}\\]{0,60}\]){0,2}"
"""What brackets behind a box's name say: its width, its border."""
FRAMED = rf"(?:[bB]oxed|fbox|framebox){BOX_OPTIONS}"
PAINTED = (
    rf"(?:bbox|ovalbox|shadowbox|doublebox|tcbox|colorbox\s*\{{[^{{}}\\]{{0,60}}\}}"
    rf"|fcolorbox(?:\s*\{{[^{{}}\\]{{0,60}}\}}){{2}}|enclose\s*\{{[^{{}}\\]{{0,60}}\}}){BOX_OPTIONS}"
)
"""What colours or decorates, and may stand around anything: only where nothing is framed."""
BARE = re.compile(r"\\(?:boxed|fbox)(?![a-zA-Z\s])\s*|\\(?:boxed|fbox)\s+(?![a-z]+(?:[\s.,;:]|\Z))")
BARE_CONTENT = re.compile(r"\\[a-zA-Z]+(?:\s{0,3}\{[^{}\\]{0,60}\}){1,2}|\\[a-zA-Z]+ ?\d+|[^\s{}\\$\[\]()`'\"]+")
r"""What a box without braces holds: ``\boxed 5``, ``\boxed\frac12``."""
TEX_CHARACTER = re.compile(r"\\.|.", re.DOTALL)
TEX_SPACES = frozenset({"~", ",", ";", "，", "；", "\\ ", "\\\n", "\\,", "\\;", "\\:", "\\!", "\\>"})
"""Spaces of TeX, which say nothing around an answer, beside white space and marks that nobody sees."""
INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff"
BACKSLASHES = re.compile(r"\\+")
DOUBLED = re.compile(r"\\\\[a-zA-Z{}%$!,]")
SENTENCE_BREAK = re.compile(r"\n|[.。!！?？](?=[\s$*\\]|\Z)")
BEFORE_BOX = re.compile(
    r"(?:[^\W\d_]{2,}+(?:['’][a-z]{1,2}+)?|[Ia](?![^\W\d_])|[^\W\d_](?=\s*=)"
    r"|\\{1,2}(?:[a-z]*box(?:ed)?|text[a-z]*|math(?:bf|rm)|q?quad|therefore|implies|Rightarrow|displaystyle|huge|large"
    r"|begin\{[a-z]+\*?\}|[()\[\],;:! ])|^\s*[-*+>]\s|</?[a-z]+>"
    r"|[\s$:：,，=&*_`\"'“”‘’(（\[【】\]{}#∴⇒→✅])*+"
)
r"""What may lead to a box in its sentence: words, the name of a value (``x =``), marks; no other value."""
BEHIND_BOX = re.compile(
    r"(?:[\s$.。．,，;；!！*_`\"'“”‘’)）\]】}~]|\\{1,2}[)\],;: ]|\\end\{[a-z]+\*?\}|</[a-z]+>"
    r"|\b(?:is|as|the|final|correct|right|best|answer|required|desired|needed|" + HOPE + r")\b"
    r"|[是为]?正确的?(?:答案|结果)?|[是为]答案)*+",
    re.I,
)
"""What may stand behind a box: marks, and praise."""
BOX_DENIED = re.compile(
    r"\b(?:not|never|nor|neither|incorrect|wrong|false|except|instead|unless|cannot|without|or|but|worst|maybe"
    r"|perhaps|possibly)\b|n['’]t\b|[错误未非否没或]|不(?![难妨同断])|排除|可能",
    re.I,
)
"""Words in the sentence of a box that take it back, or leave it open."""
QUALIFIER = re.compile(
    r"(?:\b(?:not|or|and|than|least|most|about|around|nearly|almost|approximately|roughly|between|no"
    r"|twice|half|double|times|plus|minus|negative)|[不无或和与约近负]|大于|小于|至少|至多|超过)\Z",
    re.I,
)
"""Words at once in front of a box: what is in it is not all that is said."""
LONGEST_QUALIFIER = 20
"""Characters of such a word."""
BOX_PUNCTUATION = punctuation + whitespace + "，。：、"
"""Signs and spaces between words and a box."""
LONGEST_CONTENT = 10_000
"""Characters of a content that is looked into."""


def find_last_boxed(text: str) -> str | None:
    r"""Return the content of the last ``\boxed{...}`` that shows something, or None where there is none.

    Also of ``\fbox`` and ``\framebox``, with or without braces; where there is none of these, of a coloured or
    decorated box (``\colorbox``, ``\bbox``). Braces must close; an empty box is none, so that an earlier one stands.
    Where somebody escaped the whole (``\\boxed{\\frac{1}{2}}``) its backslashes are halved.
    """
    box = _find_last_box(text)
    return box.content if box else None


def find_sole_boxed(text: str) -> str | None:
    """Return the content of the last box where it is all that an answer says, or None.

    Its sentence may lead to it with words, and praise it. Where the sentence denies it, leaves it open, or holds
    another value, and where anything else follows, the answer is more than its box.

    Args:
        text: The answer, with or without its working.
    """
    box = _find_last_box(text)
    if box is None:
        return None
    before = SENTENCE_BREAK.split(text[: box.start])[-1]
    changed = BOX_DENIED.search(before) or QUALIFIER.search(
        text[: box.start].rstrip(BOX_PUNCTUATION)[-LONGEST_QUALIFIER:]
    )
    led = BEFORE_BOX.fullmatch(before) and not changed
    return box.content if led and BEHIND_BOX.fullmatch(text, box.end) else None


class _Box(NamedTuple):
    """A box in a text: where its command begins, where it ends, what is in it."""

    start: int
    end: int
    content: str


def _find_last_box(text: str) -> _Box | None:
    """Find the last box that shows something; a coloured one only where nothing is framed."""
    if "box" not in text.lower() and "enclose" not in text:
        return None
    framed = _find_last(text, FRAMED)
    return _find_bare(text, framed.start if framed else 0) or framed or _find_last(text, PAINTED)


def _find_last(text: str, names: str) -> _Box | None:
    """Find the last box of these names, in one pass, so that no text makes it slow."""
    pieces = re.compile(rf"(?P<box>\\{{1,2}}{names}\s*\{{)|\\.|[{{}}]", re.DOTALL)
    opened: list[re.Match[str]] = []
    last, found = -1, None
    for match in pieces.finditer(text):
        if match["box"] or match[0] == "{":
            opened.append(match)
        elif match[0] == "}" and opened:
            opening = opened.pop()
            boxed = opening["box"] and opening.end() > last
            content = clean_content(text[opening.end() : match.start()], opening[0].startswith("\\\\")) if boxed else ""
            if content:
                last, found = opening.end(), _Box(opening.start(), match.end(), content)
    return found


def _find_bare(text: str, start: int) -> _Box | None:
    """Find the last box without braces, where one stands behind ``start``."""
    found = None
    for match in BARE.finditer(text, start):
        content = BARE_CONTENT.match(text, match.end())
        shown = clean_content(content[0], False) if content else ""
        found = _Box(match.start(), content.end(), shown) if content and shown else found
    return found


def clean_content(content: str, escaped: bool) -> str:
    """Return an answer without the spaces of TeX around it, its backslashes single.

    Args:
        content: What stands in a box.
        escaped: Whether the box itself was written with two backslashes.
    """
    if len(content) > LONGEST_CONTENT:
        return content.strip()
    content = unescape(content, escaped)
    if content.count("$") == 1 and "\\$" not in content:
        content = content.replace("$", "")
    pieces = TEX_CHARACTER.findall(content)
    shown = [
        place for place, piece in enumerate(pieces) if not (piece in TEX_SPACES or not piece.strip(INVISIBLE).strip())
    ]
    return "".join(pieces[shown[0] : shown[-1] + 1]) if shown else ""


def unescape(text: str, escaped: bool = False) -> str:
    r"""Return ``text`` with ``\\`` for ``\`` halved, where all of its backslashes stand in pairs and it shows.

    It shows by a command behind a pair (``\\frac``), or is known (``escaped``). A row's end beside single commands
    (``\begin{pmatrix}a\\b\end{pmatrix}``) is none.
    """
    runs = BACKSLASHES.findall(text)
    doubled = runs and all(len(run) % 2 == 0 for run in runs)
    return text.replace("\\\\", "\\") if doubled and (escaped or DOUBLED.search(text)) else text
