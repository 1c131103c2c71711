"""Hold the prose of the pages to at most 25 words a sentence and 100 characters a line.

``python -m tests.docs.prose [FILE...]`` names file, line and sentence, and ends with 1 where there is one too long.
Tables, code, headings and the targets of links do not count; a span of code counts as one word.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.docs.pages import PAGES, name_of, prose_lines

MOST_WORDS: Final = 25
MOST_CHARACTERS: Final = 100
NOT_PROSE: Final = re.compile(r"\s*(\||#|<|!\[|!!!|\?\?\?|===|\[[^\]]+\]:|---)|.* < ")
"""Lines of tables, headings, HTML, pictures, the heads of admonitions and tabs, targets of links, rules, and orders."""
STARTS_ANEW: Final = re.compile(r"^\s*([-*+]|\d+\.|:) ")
"""The first line of an entry of a list or of a definition."""
TARGET: Final = re.compile(r"\]\([^)]*\)")
CODE: Final = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)")
ABBREVIATION: Final = re.compile(r"\b(e\.g|i\.e|et al|vs|Fig|Sec|No)\.")
SENTENCE_END: Final = re.compile(r"[.!?][)\"'*_]*(?=\s)")
WORD: Final = re.compile(r"\S*\w\S*")


def long_lines(page: Path) -> Iterator[str]:
    """Yield a message for each line of prose that is too long."""
    for number, line in prose_lines(page):
        length = len(TARGET.sub("]", line))
        if length > MOST_CHARACTERS and not NOT_PROSE.match(line):
            yield f"{name_of(page)}:{number}: {length} characters, at most {MOST_CHARACTERS}: {line.strip()[:60]} ..."


def long_sentences(page: Path) -> Iterator[str]:
    """Yield a message for each sentence that has too many words."""
    for start, paragraph in _paragraphs(page):
        place, words = start, list[str]()
        for number, word, ends in _words(start, paragraph):
            place = place if words else number
            words.append(word)
            if ends:
                if len(words) > MOST_WORDS:
                    yield f"{name_of(page)}:{place}: {len(words)} words, at most {MOST_WORDS}: {' '.join(words)}"
                words = []


def _paragraphs(page: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the first line's number and the lines of each paragraph, entry of a list, or definition."""
    start, lines = 0, list[str]()
    for number, line in prose_lines(page):
        if lines and (not line.strip() or NOT_PROSE.match(line) or STARTS_ANEW.match(line)):
            yield start, lines
            lines = []
        if line.strip() and not NOT_PROSE.match(line):
            start = start if lines else number
            lines.append(line)
    if lines:
        yield start, lines


def _words(start: int, lines: list[str]) -> Iterator[tuple[int, str, bool]]:
    """Yield the line, each word, and whether it ends its sentence."""
    text = "\n".join(STARTS_ANEW.sub("", line) for line in lines)
    text = CODE.sub(lambda code: "CODE" + "\n" * code[0].count("\n"), TARGET.sub("]", text))
    text = ABBREVIATION.sub(lambda found: found[1].replace(".", ""), text) + "\n"
    words = list(WORD.finditer(text))
    for word, after in zip(words, [*(word.start() for word in words[1:]), len(text)], strict=False):
        number = start + text.count("\n", 0, word.start())
        ends = after == len(text) or any(word.start() < end.end() <= after for end in SENTENCE_END.finditer(text))
        yield number, word[0], ends


def main() -> None:
    """Print what is too long in the named pages, or in all of them."""
    pages = [Path(name).resolve() for name in sys.argv[1:]] or PAGES
    found = [line for page in pages for check in (long_lines, long_sentences) for line in check(page)]
    print("\n".join(found))
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
