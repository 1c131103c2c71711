r"""Answers in boxes of TeX: ``\boxed{5}``, its like, and how they are escaped."""

from __future__ import annotations

import re

OPTIONS = r"(?:\s*\[[^\[\]{}\\]{0,60}\]){0,2}"
"""In brackets behind a box's name: its width, its border."""
FRAMED = rf"(?:[bB]oxed|fbox|framebox){OPTIONS}"
PAINTED = (
    rf"(?:bbox|ovalbox|shadowbox|doublebox|tcbox|colorbox\s*\{{[^{{}}\\]{{0,60}}\}}"
    rf"|fcolorbox(?:\s*\{{[^{{}}\\]{{0,60}}\}}){{2}}|enclose\s*\{{[^{{}}\\]{{0,60}}\}}){OPTIONS}"
)
"""What colours or decorates, and may stand around anything: only where nothing is framed."""
BARE = re.compile(r"\\(?:boxed|fbox)(?![a-zA-Z\s])\s*|\\(?:boxed|fbox)\s+(?![a-z]+(?:[\s.,;:]|\Z))")
BARE_CONTENT = re.compile(r"\\[a-zA-Z]+(?:\s{0,3}\{[^{}\\]{0,60}\}){1,2}|\\[a-zA-Z]+ ?\d+|[^\s{}\\$\[\]()`'\"]+")
r"""Behind a box without braces: ``\boxed 5``, ``\boxed\frac12``."""
PIECE = re.compile(r"\\.|.", re.DOTALL)
SPACES = frozenset({"~", ",", ";", "，", "；", "\\ ", "\\\n", "\\,", "\\;", "\\:", "\\!", "\\>"})
"""Around an answer they say nothing, beside white space and marks that nobody sees."""
INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff"
RUN = re.compile(r"\\+")
DOUBLED = re.compile(r"\\\\[a-zA-Z{}%$!,]")
LONGEST = 10_000
"""Characters of a content that is looked into."""


def last_boxed(text: str) -> str | None:
    r"""Return the content of the last ``\boxed{...}`` that shows something, or None where there is none.

    Also of ``\fbox`` and ``\framebox``, with or without braces; where there is none of these, of a coloured or
    decorated box (``\colorbox``, ``\bbox``). Braces must close; an empty box is none, so that an earlier one stands.
    Where somebody escaped the whole (``\\boxed{\\frac{1}{2}}``) its backslashes are halved.
    """
    if "box" not in text.lower() and "enclose" not in text:
        return None
    return _last(text, FRAMED) or _last(text, PAINTED)


def _last(text: str, names: str) -> str | None:
    """The content of the last box of these names, in one pass, so that no text makes it slow."""
    pieces = re.compile(rf"(?P<box>\\{{1,2}}{names}\s*\{{)|\\.|[{{}}]", re.DOTALL)
    opened: list[tuple[int, bool, bool]] = []
    last, found = -1, None
    for match in pieces.finditer(text):
        if match["box"] or match[0] == "{":
            opened.append((match.end(), match["box"] is not None, match[0].startswith("\\\\")))
        elif match[0] == "}" and opened:
            start, boxed, escaped = opened.pop()
            content = clean(text[start : match.start()], escaped) if boxed and start > last else ""
            if content:
                last, found = start, content
    return _bare_after(text, last) or found if names is FRAMED else found


def _bare_after(text: str, start: int) -> str | None:
    """The content of the last box without braces, where one stands behind ``start``."""
    found = None
    for match in BARE.finditer(text, max(start, 0)):
        content = BARE_CONTENT.match(text, match.end())
        found = clean(content[0], False) if content else found
    return found


def clean(content: str, escaped: bool) -> str:
    """Return an answer without the spaces of TeX around it, its backslashes single.

    Args:
        content: what stands in a box.
        escaped: whether the box itself was written with two backslashes.
    """
    if len(content) > LONGEST:
        return content.strip()
    content = unescape(content, escaped)
    if content.count("$") == 1 and "\\$" not in content:
        content = content.replace("$", "")
    pieces = PIECE.findall(content)
    shown = [place for place, piece in enumerate(pieces) if not (piece in SPACES or not piece.strip(INVISIBLE).strip())]
    return "".join(pieces[shown[0] : shown[-1] + 1]) if shown else ""


def unescape(text: str, escaped: bool = False) -> str:
    r"""Return ``text`` with ``\\`` for ``\`` halved, where all of its backslashes stand in pairs and it shows.

    It shows by a command behind a pair (``\\frac``), or is known (``escaped``). A row's end beside single commands
    (``\begin{pmatrix}a\\b\end{pmatrix}``) is none.
    """
    runs = RUN.findall(text)
    doubled = runs and all(len(run) % 2 == 0 for run in runs)
    return text.replace("\\\\", "\\") if doubled and (escaped or DOUBLED.search(text)) else text
