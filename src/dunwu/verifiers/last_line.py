"""The last line of a text as an answer: what is set around it, led into it and said behind it goes."""

from __future__ import annotations

import re

from dunwu.verifiers.boxes import INVISIBLE
from dunwu.verifiers.lead_ins import LINE_ENDING, LINE_LEAD_IN, LINE_TITLE

LEADING_BULLET = re.compile(r"^(?:[-*+>] +(?=[^\W\d]|[*_#])|#{1,6} +)+")
"""The marks of lists and headings; in front of a number a stroke is a sign."""
GRADE_SCHOOL = re.compile(r"^#{4}(?=[-\d$\\])")
"""GSM8K's mark without its space."""
TAGGED = re.compile(r"</?(?:b|i|strong|em|p|u|span|mark|div|code)>", re.I)
FIRST_EMPHASIS = re.compile(r"^(\*{1,3}|_{1,3})(?=\S)(.+?)(?<=\S)\1")
INNER_EMPHASIS = re.compile(
    r"(?<![\w)*])(?:\*\*(?=\S)(?P<starred>(?:[^*]|\*(?!\*)|\*(?=\*\*(?!\*)))++)(?<=\S)\*\*(?![\w(*])"
    r"|__(?=\S)(?P<lined>(?:[^_]|_(?!_)|_(?=__(?!_)))++)(?<=\S)__(?![\w(*]))"
)
"""Two stars within a line, as ``2*3*4`` has single ones. The next two end it, so that no line makes it slow."""
CLOSER = re.compile(r"(?:[-*_=]{3,}|`{3,}|~{3,}|\\{1,2}[\])]|\$\$?|\\{1,2}end\{[a-z]+\*?\}|</[a-z]+>)[.。．]?", re.I)
"""A line that only ends what stands above it: a rule, a fence, displayed mathematics, an environment."""
ALIGNED = re.compile(r"\\{1,2}end\{(?:align|gather|split|eqnarray|equation)")
TABLE = re.compile(r"\\end\{([a-zA-Z]*matrix|cases|array)\}")


def read_last_line(text: str) -> str | None:
    """Return the answer on the last line that says something, or None where no line does.

    A line that only closes what stands above it says nothing. Of mathematics displayed on several lines the last one
    counts, or all of a matrix.
    """
    lines = [line.strip() for line in text.rstrip().splitlines()]
    end = len(lines)
    while end and (CLOSER.fullmatch(lines[end - 1]) or not lines[end - 1].strip(INVISIBLE + " ")):
        end -= 1
    if not end:
        return None
    line = _join_table(lines, end) or lines[end - 1]
    if any(map(ALIGNED.match, lines[end:])):
        line = line.replace("&", "").removesuffix("\\\\")
    return _strip_lead_in(line)


def _join_table(lines: list[str], end: int) -> str | None:
    """Join the lines of a matrix, or of a system of equations, whose end stands alone at ``end``."""
    closed = TABLE.match(lines[end]) if end < len(lines) else None
    opening = f"\\begin{{{closed[1]}}}" if closed else ""
    start = next((place for place in range(end - 1, -1, -1) if opening in lines[place]), 0) if closed else 0
    return " ".join(lines[start : end + 1]) if closed and opening in lines[start] else None


def _strip_lead_in(line: str) -> str:
    """Strip marks, lead-ins and full stops."""
    line = LINE_ENDING.sub("", _strip_markup(line))
    lead_ins = list(LINE_LEAD_IN.finditer(line))
    line = line[lead_ins[-1].end() :] if lead_ins else LINE_TITLE.sub("", line) if LINE_TITLE.match(line) else line
    return line.rstrip(" .。．" + INVISIBLE)


def _strip_markup(line: str) -> str:
    """Strip marks of Markdown and HTML: bullets, headings, emphasis around the whole or a part."""
    line = LEADING_BULLET.sub("", GRADE_SCHOOL.sub("", TAGGED.sub("", line)))
    calm = line.rstrip("!！")
    if calm.endswith(("$", "*", "`", "”")) or line.endswith("！"):  # behind a number alone it is a factorial
        line = calm
    return INNER_EMPHASIS.sub(r"\g<starred>\g<lined>", FIRST_EMPHASIS.sub(r"\2", line))
