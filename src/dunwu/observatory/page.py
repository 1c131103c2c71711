"""The report as a web page: one file, no scripts, nothing loaded from anywhere, whatever a model wrote escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from importlib import resources

from dunwu.observatory import reflection
from dunwu.observatory.wording import plain

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""What a browser may load for this page: nothing. A second wall behind the escaping of what models wrote."""


def text(content: object) -> str:
    """Any content as harmless HTML text; a number stays with its per cent sign."""
    return escape(plain(str(content))).replace(" %", "&nbsp;%")


def page(title: str, sections: Iterable[str]) -> str:
    """The whole document."""
    style = (resources.files("dunwu") / "assets" / "report.css").read_text(encoding="utf-8")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(title)}</title><style>{style}</style></head><body><main>{''.join(sections)}</main></body></html>\n"
    )


def grid(blocks: Sequence[str], note: str = "") -> str:
    """Blocks side by side where the page is wide enough, those that came out empty left out."""
    drawn = [block for block in blocks if block]
    if not drawn:
        return ""
    return f'<div class="grid">{"".join(drawn)}</div>' + (f'<p class="note">{text(note)}</p>' if note else "")


def table(caption: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; header and caption are text, cells are HTML."""
    heads = "".join(f"<th>{text(cell)}</th>" for cell in header)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f'<div class="scroll"><table><caption>{text(caption)}</caption><thead><tr>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def highlighted(content: str) -> str:
    """A model's text, its words of reflection marked."""
    shown, parts, end = plain(content), [], 0
    for start, stop in reflection.spans(shown):
        parts.append(f"{escape(shown[end:start])}<mark>{escape(shown[start:stop])}</mark>")
        end = stop
    return "".join(parts) + escape(shown[end:])


def answer(heading: str, content: str, *, right: bool | None, told: str) -> str:
    """One completion in a box, with its verdict; None where no answer is right."""
    told_right, told_wrong = '<span class="right">right</span>', '<span class="wrong">wrong</span>'
    verdict = "open question" if right is None else told_right if right else told_wrong
    body = f"<pre>{highlighted(content.strip())}</pre>"
    return f'<article class="answer"><header>{text(heading)}: {verdict}, {text(told)}</header>{body}</article>'
