r"""Answers brought to one spelling, and taken apart: ``\dfrac12`` and ½ are ``\frac{1}{2}``, digits are ASCII.

Nothing here decides what is right; ``answers.py`` does. No function looks at more than ``LONGEST`` characters.
"""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction

from dunwu.verifiers.arithmetic import NotArithmetic, evaluate

LONGEST = 1000
"""Characters of an answer that is looked into; longer ones can only equal the gold letter by letter."""

SYMBOLS = {
    "√": r"\sqrt", "π": r"\pi", "∞": r"\infty", "×": r"\times", "÷": r"\div", "·": r"\cdot", "⋅": r"\cdot", "−": "-",
    "–": "-", "≤": r"\le", "≥": r"\ge", "≠": r"\ne", "≈": r"\approx", "∪": r"\cup", "∩": r"\cap", "∈": r"\in",
    "±": r"\pm", "∓": r"\mp", "∖": r"\setminus",
    "ℝ": r"\mathbb{R}", "∅": r"\emptyset", "…": r"\ldots", "θ": r"\theta", "％": "%", "，": ",", "、": ",", "；": ";",
    "。": ".", "￥": r"\$", "¥": r"\$",
}  # fmt: skip
MATRICES = {"(": "pmatrix", ")": "pmatrix", "[": "bmatrix", "]": "bmatrix", "|": "vmatrix"}
RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻]{2,}")
SPELLINGS = (
    (re.compile(r"\\(?:left|right|middle|[bB]igg?[lr]?|displaystyle|limits)(?![a-zA-Z])\.?"), ""),
    (re.compile(r"\\f?box(?:ed)?\s*\{([^{}]*)\}"), r" \1 "),
    (re.compile(r"(?<!\\)\$((?:\\\$|[^$])+)(?<!\\)\$"), r" \1 "),
    (re.compile(r"\\!\s*"), ""),
    (re.compile(r"(?<=\d)(?:\\,|\{,\})(?=\d{3})"), ","),
    (re.compile(r"(?<!\\)\\[,;: ]|(?<=\S)~(?=\S)|\\q?quad(?![a-zA-Z])"), " "),
    (re.compile(r"~"), r"\\sim "),
    (re.compile(r"(?<=[\w)}])\*\*(?=[\w({\\-])"), "^"),
    (re.compile(r"\\[dtc]frac(?![a-zA-Z])"), r"\\frac"),
    (re.compile(r"\\(?:textbf|textrm|textit|textnormal|mathrm|mathbf|mbox)(?![a-zA-Z])"), r"\\text"),
    (re.compile(r"\\geq(?:slant)?(?![a-zA-Z])"), r"\\ge"),
    (re.compile(r"\\leq(?:slant)?(?![a-zA-Z])"), r"\\le"),
    (re.compile(r"\\neq(?![a-zA-Z])"), r"\\ne"),
    (re.compile(r"(?<![<>=])>=(?![<>=])"), r"\\ge "),
    (re.compile(r"(?<![<>=])<=(?![<>=])"), r"\\le "),
    (re.compile(r"\\(?:c|l|)dots[cbmi]?(?![a-zA-Z])|\.\.\."), r"\\ldots"),
    (re.compile(r"\\varnothing(?![a-zA-Z])"), r"\\emptyset"),
    (re.compile(r"\\lor(?![a-zA-Z])"), r"\\text{ or }"),
    (re.compile(r"\\lbrace(?![a-zA-Z])"), r"\\{"),
    (re.compile(r"\\rbrace(?![a-zA-Z])"), r"\\}"),
    (re.compile(r"\^\s*\{?\s*\\(?:circ|degree)(?![a-zA-Z])\s*\}?|\\degree(?![a-zA-Z])"), "°"),
    (re.compile(r"\\%"), "%"),
    (re.compile(r"\\dot\s*\{(\d)\}"), r"\\dot \1"),
    (re.compile(r"(?<=\.)(\d*)\\dot ?(\d)(?:(\d*)\\dot ?(\d))?"), r"\1\\overline{\2\3\4}"),
    (re.compile(r"\\frac(?:\s*(\d)|\s+(\w))\s*(\w)"), r"\\frac{\1\2}{\3}"),
    (re.compile(r"\\frac\s*(\w)\s*\{"), r"\\frac{\1}{"),
    (re.compile(r"\\frac\s*(\{[^{}]*\})\s*(\w)"), r"\\frac\1{\2}"),
    (re.compile(r"(?<![a-zA-Z\\])(sqrt|pi|infty|infinity)(?![a-zA-Z])"), r"\\\1"),
    (re.compile(r"\\infinity"), r"\\infty"),
    (re.compile(r"\\sqrt\s*(\d+|[a-zA-Z])"), r"\\sqrt{\1}"),
    (re.compile(r"\\sqrt\s*\(([^()]*)\)"), r"\\sqrt{\1}"),
    (
        re.compile(r"(?<![\d,.(\[{])(\d{1,3})((?:,\d{3})+)(?![\d,)\]}])"),
        lambda match: match[1] + match[2].replace(",", ""),
    ),
    (re.compile(r"([_^])\{(\w)\}(?!\w)"), r"\1\2"),
    (re.compile(r"\s+"), " "),
    (re.compile(r" (?=\W)|(?<=[^\w}]) "), ""),
    (re.compile(r"\\log_(\w) (?=\w)"), r"\\log_{\1}"),
    (
        re.compile(r"[(\[|]\\begin\{(?:array\}\{[clr|]*\}|matrix\})((?:(?!\\end).)*)\\end\{(?:array|matrix)\}[)\]|]"),
        lambda match: rf"\begin{{{MATRICES[match[0][0]]}}}{match[1]}\end{{{MATRICES[match[0][-1]]}}}",
    ),
)
WRAPPERS = (("**", "**"), ("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"))
FRACTION = re.compile(r"\\frac\{([^{}]*)\}\{([^{}]*)\}")
MIXED = re.compile(r"(?<![\w.^}).])(\d+) ?(?:\\frac\{(\d+)\}\{(\d+)\}|(?<= )(\d+)/(\d+)(?!\d))")
SAME_SIGN = ("<wide>", "<narrow>", "<font>", "<noBreak>")
"""Compatibility forms that read as their plain sign."""
RECURRING = re.compile(r"(\d*)\.(\d*)\\(?:overline|bar)\{(\d+)\}", re.ASCII)
SCIENTIFIC = re.compile(r"(-?\d+(?:\.\d+)?)[eE]([+-]?\d{1,3})", re.ASCII)
RATIO = re.compile(r"(\d+(?:\.\d+)?):(\d+(?:\.\d+)?)", re.ASCII)
LITERAL = re.compile(r"-?(?:\d+\.?\d*|\.\d+|\d+/\d+)", re.ASCII)
COMMA = re.compile(",")
CLOSERS = {"(": ")", "[": "]", "{": "}"}


def normal(text: str) -> str:
    """One spelling: ASCII symbols, canonical commands, no decoration, no spaces that mean nothing."""
    text = RAISED.sub(lambda run: f"^{{{unicodedata.normalize('NFKC', run[0])}}}", text[: LONGEST + 1])
    text = "".join(_spelled(char) if char >= " " else " " for char in text).strip()
    text = _unwrapped(text)
    for pattern, spelling in SPELLINGS:
        text = pattern.sub(spelling, text)
    return _ungrouped(text.strip().removesuffix(".").strip())


def _spelled(char: str) -> str:
    if char < "\x80":
        return char
    if char in SYMBOLS:
        symbol = SYMBOLS[char]
        return symbol + " " if symbol[-1:].isalpha() and char != "√" else symbol
    if encloses_digits(char):
        return char
    form, _, digits = unicodedata.decomposition(char).partition(" ")
    plain = unicodedata.normalize("NFKC", char)
    if form == "<fraction>" and digits:
        above, _, below = plain.partition("⁄")
        return rf"\frac{{{above}}}{{{below}}}"
    return {"<super>": f"^{{{plain}}}", "<sub>": f"_{{{plain}}}"}.get(form, char if char == "°" else plain)


def reads_as_another(char: str) -> bool:
    """Whether this is a compatibility form whose plain form is another sign: of 1² and ① the plain form is a number."""
    form = unicodedata.decomposition(char).partition(" ")[0]
    return form.startswith("<") and form not in SAME_SIGN


def encloses_digits(char: str) -> bool:
    """Whether this is a digit in a circle, in parentheses, with a full stop, or squeezed with others: 5⑥ is not 56."""
    plain = unicodedata.normalize("NFKC", char)
    spelled = unicodedata.decomposition(char).startswith(("<fraction>", "<super>", "<sub>"))
    return reads_as_another(char) and not spelled and any(map(str.isdigit, plain))


def _unwrapped(text: str) -> str:
    r"""Without ``$...$``, ``\(...\)``, ``\[...\]``, ``**...**`` around the whole."""
    for opening, closing in WRAPPERS:
        inner = text[len(opening) : -len(closing)]
        inside = inner.replace("\\$", "")
        long_enough = len(text) > len(opening) + len(closing)
        whole = text.startswith(opening) and text.endswith(closing) and opening not in inside and closing not in inside
        if long_enough and whole and not inner.endswith("\\"):
            return _unwrapped(inner.strip())
    return text


def _ungrouped(text: str) -> str:
    r"""Without the braces of a group around the whole; those of ``{1,2}`` are meant as ``\{1,2\}``."""
    inner = enclosed("(" + text[1:-1] + ")") if text[:1] == "{" and text[-1:] == "}" else None
    if inner is None or not inner[1]:
        return text
    return rf"\{{{inner[1]}\}}" if len(split(inner[1], COMMA)) > 1 else _ungrouped(inner[1])


def rational(text: str) -> Fraction | None:
    """The exact value of normal text that is plain arithmetic (fractions, mixed numbers, powers); None for the rest.

    Recurring decimals, 6.7e-5 and the value of a ratio (3:4 is 3/4) are read too.
    """
    text = RECURRING.sub(_recurring, text)
    text = SCIENTIFIC.sub(r"\1*10^(\2)", text) if SCIENTIFIC.fullmatch(text) else text
    text = RATIO.sub(r"\1/\2", text) if RATIO.fullmatch(text) else text
    text = MIXED.sub(lambda m: f"({m[1]}+({m[2] or m[4]})/({m[3] or m[5]}))", text.removeprefix("+"))
    while FRACTION.search(text):
        text = FRACTION.sub(r"((\1)/(\2))", text)
    text = re.sub(r"\\times ?|\\cdot ?", "*", re.sub(r"\\div ?", "/", text))
    text = re.sub(r"\^\{([^{}]*)\}", r"^(\1)", text)
    try:
        return evaluate(text, powers=True).value
    except NotArithmetic:
        return None


def _recurring(match: re.Match[str]) -> str:
    """0.1(6) as (16 - 1)/90."""
    whole, fixed, period = match.groups()
    shifted, start = int(whole + fixed + period), int((whole + fixed) or 0)
    return f"({shifted - start}/{10 ** (len(fixed) + len(period)) - 10 ** len(fixed)})"


def literal(text: str) -> Fraction | None:
    """The value of normal text that is one written number: integer, decimal, fraction or mixed number."""
    text = re.sub(r"^(-?)\\frac\{(-?)(\d+)\}\{(\d+)\}$", r"\1\2\3/\4", text.removeprefix("+"))
    mixed = MIXED.fullmatch(text.removeprefix("-"))
    if text.startswith("--") or not (mixed or LITERAL.fullmatch(text)):
        return None
    return rational(text)


def split(text: str, separator: re.Pattern[str]) -> list[str]:
    """Splits at matches of ``separator`` that stand outside all brackets."""
    pieces, start, depth = [], 0, 0
    for match in re.finditer(rf"\\?[(\[{{]|\\?[)\]}}]|(?P<separator>{separator.pattern})", text):
        if match["separator"] is None:
            depth += 1 if match[0][-1] in CLOSERS else -1
        elif depth == 0:
            pieces.append(text[start : match.start()].strip())
            start = match.end()
    return [*pieces, text[start:].strip()]


def enclosed(text: str) -> tuple[str, str, str] | None:
    r"""(opening, inside, closing) where one bracket pair, ``\{ \}`` among them, holds the whole text."""
    match = re.match(r"\\\{|[(\[]", text)
    if match is None or text[-1] not in ")]}":
        return None
    depth = 0
    for bracket in re.finditer(r"\\?[(\[{]|\\?[)\]}]", text):
        depth += 1 if bracket[0][-1] in CLOSERS else -1
        if depth == 0:
            if bracket.end() != len(text):
                return None
            return match[0], text[match.end() : bracket.start()].strip(), bracket[0]
    return None
