"""The report as a web page: one file, no scripts, nothing loaded from anywhere, whatever a model wrote escaped."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from html import escape
from importlib import resources
from itertools import pairwise

from dunwu.analysis.glosses import gloss
from dunwu.analysis.labels import sanitize
from dunwu.analysis.reasoning import reflection
from dunwu.analysis.reasoning.behaviours import find_behaviours
from dunwu.analysis.reasoning.chain import read_chain
from dunwu.runs import EvaluationRow

MARKS = {
    "reflection": "word of reflection",
    "verification": "checks a result",
    "backtracking": "gives up and goes back",
    "alternatives": "tries another way",
    "subgoals": "solves in parts",
}
"""What is marked in a model's text, and what it is called."""
LONGEST_SHOWN = 100_000
"""Characters of a text that are shown; with many marks they make a page of a megabyte."""
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""What a browser may load for this page: nothing. A second wall behind the escaping of what models wrote."""


def text(content: object) -> str:
    """Any content as harmless HTML text; a number stays with its per cent sign."""
    return escape(sanitize(str(content))).replace(" %", "&nbsp;%")


def headline(content: str) -> str:
    """The sentence that a page opens with; intervals in brackets are not broken over lines."""
    held = re.sub(r"\([^()]*%\)", r'<span class="whole">\g<0></span>', text(content))
    return f'<p class="headline">{held}</p>'


def page(title: str, sections: Iterable[str]) -> str:
    """The whole document."""
    style = (resources.files("dunwu") / "assets" / "report.css").read_text(encoding="utf-8")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(title)}</title><style>{style}</style></head><body>"
        f"<main>{''.join(sections)}</main></body></html>\n"
    )


def grid(blocks: Sequence[str], note: str = "") -> str:
    """Blocks side by side where the page is wide enough, those that came out empty left out."""
    drawn = [block for block in blocks if block]
    if not drawn:
        return ""
    return f'<div class="grid">{"".join(drawn)}</div>' + (f'<p class="note">{text(note)}</p>' if note else "")


def table(caption: str, header: Sequence[str], rows: Iterable[Sequence[str]], *, words: Collection[int] = ()) -> str:
    """A table; header and caption are text, cells are HTML. Columns of ``words`` begin at the left and may wrap; others
    hold numbers."""
    kinds = [' class="words"' if column in words else "" for column in range(len(header))]
    heads = "".join(
        f'<th scope="col"{kind}>{text(cell)}</th>' if cell else f"<td{kind}></td>"
        for kind, cell in zip(kinds, header, strict=True)
    )
    body = "".join(
        f"<tr>{''.join(f'<td{kind}>{cell}</td>' for kind, cell in zip(kinds, row, strict=True))}</tr>" for row in rows
    )
    return (
        f'<div class="scroll" tabindex="0"><table><caption>{text(caption)}</caption><thead><tr>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def facts(items: Iterable[tuple[str, str]]) -> str:
    """What there is to know at a glance: names, and their values."""
    shown = "".join(f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in items)
    return f'<dl class="facts">{shown}</dl>' if shown else ""


def highlighted(content: str) -> str:
    """A model's text, its words of reflection and its behaviours marked. A title says what a mark is."""
    shown, more = sanitize(content[:LONGEST_SHOWN]), len(content) - LONGEST_SHOWN
    spans = [(start, end, "reflection") for start, end in reflection.find_reflections(shown)]
    spans += [(one.start, one.end, one.behaviour) for one in find_behaviours(read_chain(shown))]
    turns = defaultdict[int, Counter[str]](Counter)
    for start, end, kind in spans:
        turns[start][kind] += 1
        turns[end][kind] -= 1
    parts, open_ = list[str](), Counter[str]()
    for start, end in pairwise(sorted({0, len(shown), *turns})):
        open_.update(turns.get(start, {}))
        kinds = [kind for kind in MARKS if open_[kind] > 0]
        written, told = escape(shown[start:end]), ", ".join(MARKS[kind] for kind in kinds)
        parts.append(f'<mark class="{" ".join(kinds)}" title="{told}">{written}</mark>' if kinds else written)
    return "".join(parts) + (f"\n… {more:,} characters more" if more > 0 else "")


def key() -> str:
    """What the colours of ``highlighted`` mean."""
    items = "".join(f'<li><mark class="{kind}">{told}</mark></li>' for kind, told in MARKS.items())
    return f'<ul class="key">{items}</ul>'


def answer(heading: str, content: str, *, right: bool | None, told: str) -> str:
    """One completion in a box, with its verdict; None where no answer is right."""
    told_right, told_wrong = '<span class="right">right</span>', '<span class="wrong">wrong</span>'
    verdict = "open question" if right is None else told_right if right else told_wrong
    body = f'<pre tabindex="0">{highlighted(content.strip())}</pre>'
    return f'<article class="answer"><header>{text(heading)}: {verdict}, {text(told)}</header>{body}</article>'


def in_english(prompt: str) -> str:
    """What a Chinese problem asks, to stand behind it; "" where that is not known, or it is no Chinese."""
    known = gloss(prompt)
    return f' <span class="gloss">In English: {text(known)}</span>' if known else ""


def pair(names: tuple[str, str], rows: tuple[EvaluationRow, EvaluationRow]) -> str:
    """Two answers to the same held-out problem side by side, by whom each is."""
    answers = "".join(
        answer(name, row.text, right=row.right, told=f"{row.tokens:,} tokens, {row.reflections} words of reflection")
        for name, row in zip(names, rows, strict=True)
    )
    problem = f"<p><b>{text(rows[0].prompt)}</b>{in_english(rows[0].prompt)} A right answer: {text(rows[0].gold)}</p>"
    return f'{problem}<div class="pair">{answers}</div>'


def damage_notes(lost: Sequence[str]) -> str:
    """Say on a page what is not there; nothing where everything is."""
    lead = "<b>Not shown, because it cannot be read:</b>"
    return "".join(f'<p class="note">{lead} {text(line)}</p>' for line in lost)
