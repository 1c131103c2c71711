r"""Text to tokens, of TeX, plain text and Chinese alike.

Decoration goes (fonts, sizes, colours, ``\left``, math delimiters); what stood between two tokens stays as a ``gap``,
because spaces mean something in plain text: ``2, 144`` is a list, ``10 000`` a number, ``5 7`` neither. Digits in
groups become one number here, while it is still known how they were parted.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from dunwu.verifiers.math.characters import encloses_digits, spell
from dunwu.verifiers.math.commands import (
    DROPPED,
    INLINE,
    RENAMED,
    ROMAN,
    SIGN_COMMANDS,
    THIN,
    TRANSPARENT,
    WIDE,
    WITH_ARGUMENT,
)

LONGEST_ANSWER = 1000
"""Characters of an answer that is looked into; longer ones can only equal the gold letter by letter."""

Spacing = Literal["", "thin", "space"]


@dataclass(frozen=True, slots=True)
class Token:
    r"""A piece of an answer.

    Attributes:
        kind: number, word (Latin letters), han (Chinese characters), command, sign, mark (①), begin or end (of an
            environment).
        text: Its digits, letters, name or sign.
        spacing: What stands before it: nothing, a thin space of TeX, or a space.
        roman: Whether it stands in ``\text{}`` or the like.
    """

    kind: Literal["number", "word", "han", "command", "sign", "mark", "begin", "end"]
    text: str
    spacing: Spacing = ""
    roman: bool = False

    def __str__(self) -> str:
        return "\\" + self.text if self.kind == "command" else self.text


CONJUNCTIONS = {
    "或者": "or", "或": "or", "和": "and", "与": "and", "且": "and", "并且": "and", "以及": "and", "及": "and",
    "根号": "√", "根号下": "√",
}  # fmt: skip
CONJUNCTION = re.compile("(或者|并且|以及|[或和与且及]|根号下?)")
TOKEN = re.compile(
    r"(?P<scientific>[0-9]+(?:\.[0-9]+)?[eE][+-]?[0-9]{1,3}(?![a-zA-Z0-9_.]))"
    r"|(?P<number>[0-9]+(?:\.[0-9]+)*\.?|\.[0-9]+)"
    r"|(?P<han>[\u3400-\u9fff〇]+)"
    r"|(?P<word>[^\W\d_\u2460-\u24ff\u2776-\u2793\u3400-\u9fff]+)"
    r"|(?P<sign>\{,\}|<=>|===|<=|>=|=>|->|!=|==|\*\*|<>|\.\.\.|'|\S)"
)
COMMAND = re.compile(r"\\([a-zA-Z]+|.)\*?", re.DOTALL)
HARD_COMMA = re.compile(r"(?:\\text|\\mathrm|\\mathord|\\mathpunct)?\{,\}\s*|,\\!\s*")
"""Commas that TeX sets without a space behind them: they part digits, never members of a list."""
OUTER_EMPHASIS = re.compile(r"(`{1,3}|\*{1,3}|_{1,3})(?=[^\s*_`])([^*_`]*|.*\\.*)(?<=\S)\1")
"""Emphasis of Markdown around the whole."""
NEGATIONS = {"=": "\\ne ", "\\in": "\\notin "}
CROSSED = re.compile(r"\\not\s*(=|\\in)(?![a-zA-Z])")
"""A sign that is struck through: ``\\not=``."""
TIMES_TEN = re.compile(r"(?<=\d) ?[xX] ?(?=10 ?\^)")
SPACED_POWER = re.compile(r"(?<=[\w)}\]]) \*\* (?=[\w({\\-])")
HABITS: tuple[tuple[str, re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    ("10", TIMES_TEN, r" \\times "),
    (",", HARD_COMMA, "{,}"),
    ("**", SPACED_POWER, "**"),
    (r"\not", CROSSED, lambda found: NEGATIONS[found[1]]),
    ("\\", re.compile(r"(?<!\\)((?:\\\\)*)\\[()\[\]]"), r"\1 "),
)
"""What is written in another way first: a sign that it has, how it looks, and what it becomes."""
EMPHASIZED = re.compile(r"(?:\A|.)\*\*(?![\w({\\-])|(?:\A|[^\w)}\]])\*\*", re.DOTALL)
"""Two stars that raise nothing: something is missing in front of them or behind."""
RAISED_DIGITS = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ]{2,}")
DOLLAR = re.compile(r"(?<!\\)\$\$?")
OPENING, CLOSING = ("(", "[", "\\{", "⟨"), (")", "]", "\\}", "⟩")


def tokenize(text: str) -> tuple[Token, ...]:
    """Return the tokens of ``text``; of more than ``LONGEST_ANSWER`` characters only the first are looked at."""
    text = text[: LONGEST_ANSWER + 1]
    if not text.isascii():
        text = RAISED_DIGITS.sub(lambda run: f"^{{{unicodedata.normalize('NFKC', run[0])}}}", text)
        text = text.replace("³√", "∛").replace("⁴√", "∜")
    spelled = text if text.isascii() and text.isprintable() else "".join(map(spell, text))
    return tuple(_join_groups(_Scanner(_strip_delimiters(spelled)).scan(roman=False)))


def _strip_delimiters(text: str) -> str:
    r"""Strip ``$ ... $``, ``\( \)``, ``\[ \]`` and emphasis around the whole; a dollar alone is money."""
    for sign, habit, meant in HABITS:
        if sign in text:
            text = habit.sub(meant, text)
    text = text.strip()
    emphasis = OUTER_EMPHASIS.fullmatch(text)
    text = emphasis[2] if emphasis else text
    dollars = list(DOLLAR.finditer(text)) if "$" in text else []
    if len(dollars) % 2 == 0:
        return DOLLAR.sub("", text) if dollars else text
    return DOLLAR.sub(r"\\$", text)


class _Scanner:
    """One text, read once from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.spacing: Spacing = ""
        self.opened = 0
        """Braces that ``_scan_opened`` has yielded."""

    def scan(self, roman: bool, nested: bool = False) -> Iterator[Token]:
        """Yield the tokens up to the end or, where ``nested``, up to the brace that closes."""
        depth = 0
        while self.at < len(self.text):
            char = self.text[self.at]
            if char.isspace() or (char == "~" and self._is_between()):
                self.spacing = "space" if char.isspace() else self.spacing or "thin"
                self.at += 1
            elif char == "*" and EMPHASIZED.match(self.text, max(0, self.at - 1)):
                self.at += 2  # of Markdown
            elif char == "\\" and self.at + 1 < len(self.text):
                before = self.opened
                yield from self._scan_command(roman)
                depth += self.opened - before
            elif nested and char == "}" and depth == 0:
                self.at += 1
                return
            else:
                token = self._take_plain(roman)
                depth += (token.text == "{") - (token.text == "}")
                yield token

    def _is_between(self) -> bool:
        """Return whether a ``~`` stands between two things, where it is TeX's space and not "about"."""
        before, after = self.text[self.at - 1 : self.at], self.text[self.at + 1 : self.at + 2]
        return bool(before.strip() and after.strip())

    def _make_token(self, kind: str, text: str, roman: bool) -> Token:
        spacing, self.spacing = self.spacing, ""
        return Token(kind, text, spacing, roman)  # type: ignore[arg-type]

    def _take_plain(self, roman: bool) -> Token:
        if self.text[self.at] > "\x7f" and encloses_digits(self.text[self.at]):
            self.at += 1
            return self._make_token("mark", self.text[self.at - 1], roman)
        match = TOKEN.match(self.text, self.at)
        assert match, "spaces are taken before"
        kind, text = match.lastgroup, match[0]
        if kind == "scientific":
            self.at = match.end()
            mantissa, _, exponent = text.lower().partition("e")
            return self._make_token("number", f"{mantissa}e{int(exponent)}", roman)
        if kind == "han":
            return self._take_han(text, roman)
        if kind == "number":
            text = self._cut_digits(text, match.end())
        self.at += len(text)
        return (
            self._make_token("command", "ldots", roman) if text == "..." else self._make_token(str(kind), text, roman)
        )

    def _cut_digits(self, text: str, end: int) -> str:
        """Take a run of digits and points without the full stop behind it; of 1.2.3, which is no number, the first."""
        text = text[:-1] if text.endswith(".") and not self._recurs(end) else text
        return text[: text.index(".")] if text.count(".") > 1 else text

    def _recurs(self, end: int) -> bool:
        return bool(re.match(r"\\(?:overline|bar|dot)(?![a-zA-Z])", self.text[end:]))

    def _take_han(self, run: str, roman: bool) -> Token:
        """Take the first piece of a run: a conjunction is a sign."""
        piece = next(filter(None, CONJUNCTION.split(run)))
        self.at += len(piece)
        return self._make_token("sign" if piece in CONJUNCTIONS else "han", CONJUNCTIONS.get(piece, piece), roman)

    def _scan_command(self, roman: bool) -> Iterator[Token]:
        match = COMMAND.match(self.text, self.at)
        assert match, "a backslash that is not the last character"
        name = match[1]
        self.at = match.end() if name.isalpha() or name == "\\" else match.start() + 2
        if name == "!":
            self._skip_spaces()
        elif name in THIN:
            self.spacing = self.spacing or "thin"
            self._skip_spaces()
        elif name in WIDE:
            self.spacing = "space"
        elif name in DROPPED:
            if name in ("left", "right", "middle") and self.text.startswith(".", self.at):
                self.at += 1
        elif name in WITH_ARGUMENT:
            self._take_argument()
        elif name in ROMAN:
            yield from self._scan_inside(roman=True)
        elif name in INLINE:
            yield from self._scan_inside(roman=roman)
        elif name in ("begin", "end"):
            yield self._take_environment(name, roman)
        elif name in TRANSPARENT:
            yield from self._scan_opened(roman)
        else:
            if name == "\\":
                self._skip_option()
            yield self._make_named(name, roman)

    def _scan_opened(self, roman: bool) -> Iterator[Token]:
        """Take the brace of an argument that is kept as a group; marked as ``roman``, so that it is no set's."""
        self._skip_spaces()
        if self.text.startswith("{", self.at):
            self.opened += 1
            yield replace(self._take_plain(roman), roman=True)

    def _make_named(self, name: str, roman: bool) -> Token:
        if name == "mathbb":
            return self._make_token("command", "mathbb" + self._take_argument().strip(), roman)
        if name in SIGN_COMMANDS:
            return self._make_token("sign", SIGN_COMMANDS[name], roman)
        if name == "ell":
            return self._make_token("word", "l", roman)
        return self._make_token("command", RENAMED.get(name, name), roman)

    def _take_environment(self, name: str, roman: bool) -> Token:
        kind = self._take_argument().strip().rstrip("*")
        if name == "begin":
            self._skip_option()
            if kind in ("array", "tabular", "alignedat"):
                self._take_argument()
        return self._make_token(name, kind, roman)

    def _scan_inside(self, roman: bool) -> Iterator[Token]:
        """Take the tokens of an argument, without its braces; its borders part numbers."""
        self._skip_spaces()
        if not self.text.startswith("{", self.at):
            return
        self.at += 1
        self._part_border()
        yield from self.scan(roman, nested=True)
        self._part_border()

    def _part_border(self) -> None:
        """Part what stands on the two sides of the border of a text."""
        self.spacing = self.spacing or "thin"

    def _take_argument(self) -> str:
        """Take the text of a group that begins here, or of one character."""
        self._skip_spaces()
        if not self.text.startswith("{", self.at):
            self.at += 1
            return self.text[self.at - 1 : self.at]
        depth, start = 0, self.at + 1
        while self.at < len(self.text):
            char = self.text[self.at]
            self.at += 2 if char == "\\" else 1
            depth += (char == "{") - (char == "}")
            if depth == 0:
                break
        return self.text[start : self.at - 1]

    def _skip_option(self) -> None:
        match = re.compile(r"\s*\[[^\[\]]*\]").match(self.text, self.at)
        if match and re.search(r"pt|em|ex|cm|mm|\A\s*\[[tcb]\]", match[0]):
            self.at = match.end()

    def _skip_spaces(self) -> None:
        while self.text[self.at : self.at + 1].isspace():
            self.at += 1


def _join_groups(tokens: Iterator[Token]) -> Iterator[Token]:
    """Join digits in groups: 1 234 567, and outside of brackets 1,234 and 12,34,567."""
    rest, depth, place = list(tokens), 0, 0
    if sum(token.kind == "number" for token in rest) < 2:
        yield from rest
        return
    braces: list[bool] = []
    while place < len(rest):
        token = rest[place]
        depth += (token.text in OPENING) - (token.text in CLOSING)
        if token.text == "{":
            braces.append(not token.roman and not _takes_argument(rest[:place]))
            depth += braces[-1]
        elif token.text == "}" and braces:
            depth -= braces.pop()
        length = _measure_run(rest, place) if token.kind == "number" else 1
        group = rest[place : place + length]
        if length > 1 and _is_group(group, depth):
            digits = "".join(piece.text for piece in group if piece.kind == "number")
            yield replace(token, text=digits)
        else:
            yield from group
        place += length


def _takes_argument(before: Sequence[Token]) -> bool:
    """Return whether a brace behind these tokens opens an argument; otherwise ``{1,234}`` may be a set."""
    last = before[-1] if before else None
    return last is not None and (last.kind in ("command", "word") or last.text in ("^", "_", "}", "]"))


def _measure_run(tokens: Sequence[Token], start: int) -> int:
    """Count the tokens from ``start`` that are digits and what may part their groups."""
    place = start
    while parting := _find_separator(tokens, place + 1):
        place += parting[1]
    return place - start + 1


def _is_group(tokens: Sequence[Token], depth: int) -> bool:
    """Return whether a run of digits is one number in groups.

    All are parted alike, three by three or, in India, by lakhs.
    """
    numbers = [token.text for token in tokens if token.kind == "number"]
    styles, place = set(), 0
    while parting := _find_separator(tokens, place + 1):
        styles.add(parting[0])
        place += parting[1]
    if len(styles) != 1 or any("e" in number for number in numbers):
        return False
    style = styles.pop()
    if "." in numbers[0]:  # 3.141 59
        return style == "thin" and all(number.isdigit() for number in numbers[1:])
    wholes = [*numbers[:-1], numbers[-1].partition(".")[0]]
    if (style == "comma" and depth > 0) or not all(map(str.isdigit, wholes)) or numbers[0].startswith("0"):
        return False
    lengths = [len(whole) for whole in wholes]
    thousands = lengths[0] <= 3 and set(lengths[1:]) == {3}
    lakhs = style == "comma" and len(lengths) > 2 and lengths[0] <= 2 and set(lengths[1:-1]) == {2} and lengths[-1] == 3
    return thousands or lakhs


def _find_separator(tokens: Sequence[Token], place: int) -> tuple[str, int] | None:
    """Return what parts the digits before ``place`` from the next ones, and how many tokens further those stand."""
    first = tokens[place] if place < len(tokens) else None
    second = tokens[place + 1] if place + 1 < len(tokens) else None
    if first is None:
        return None
    if first.kind == "number" and first.spacing and first.roman == tokens[place - 1].roman:
        return first.spacing, 1
    if second is None or second.kind != "number":
        return None
    if first.text == "{,}":
        return "hard", 2
    if first.text == "," and not first.spacing and not second.spacing:
        return "comma", 2
    if first.text == "'" and not first.spacing and not second.spacing:
        return "apostrophe", 2
    return ("underscore", 2) if first.text == "_" and len(second.text.partition(".")[0]) == 3 else None
