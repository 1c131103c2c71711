r"""What a chain of thought states in arithmetic, as far as it can be read beyond doubt.

A passage is two or more sides of arithmetic with relations between them (= ≠ < > ≤ ≥, in signs or LaTeX), such as
``2*3 = 6 = 5+1``. Its first and last side stand in prose, which may change what they mean ("50% of 80 = 40", "twice
5 = 10", "7/2 = 3 remainder 1"): a side is left out unless what precedes it is known to be harmless, and where what
follows it is known not to be. Nothing here decides what is right; ``quality.py`` does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

LONGEST_CHAIN = 400_000
"""Characters of a chain that are looked into; 65,536 tokens, R1's longest, are about 260,000."""
NEARBY, JUST_BEFORE = 120, 16
"""Characters before a passage that may say how it is meant; those in which the word before it stands."""

SIGN_TABLE = str.maketrans(
    dict(zip("×·⋅∗÷∕−–＋－＊／（）＝＜＞！？⩽≦⩾≧{}", "****//--+-*/()=<>!?≤≤≥≥()", strict=True))
    | {chr(0xFF10 + digit): str(digit) for digit in range(10)}
    | {"，": ", ", "：": ": ", "²": "^2", "³": "^3", "\u00a0": " ", "\u3000": " "}
)
SPELLINGS = tuple(
    (re.compile(pattern, re.I | re.M), sign)
    for pattern, sign in (
        (r"(?<=\d)[$&]+(?=\d)", "_"),
        (r"\\?[$&]|\\(?:left|right|displaystyle|boxed)(?![a-z])|\\[,;! ]|\\(?=\d)", ""),
        (r"\\\\", "\n"),
        (r"\\[()]", " "),
        (r"\\[\[\]]", ";"),
        (r"\\[dtc]?frac\(([^()]*)\)\(([^()]*)\)", r" ((\1)/(\2))"),
        (r"\\(?:times|cdot)(?![a-z])", "*"),
        (r"\\div(?![a-z])", "/"),
        (r"-{1,2}>|[→⇒⟹]|\\(?:to|implies|rightarrow)(?![a-z])|={3,}", ";"),
        (r">=|\\geq?(?![a-z])", "≥"),
        (r"<=|\\leq?(?![a-z])", "≤"),
        (r"!=|\\neq?(?![a-z])", "≠"),
        (r":=|==", "="),
        (r"(?<=[\w)])\*\*(?=[\w(-])", "^"),
        (r"\*\*", " "),
        (r"(?<=[\d)])\((?=[-\d(])", "*("),
        (r"(?<![\d,.])(\d{1,3}),(\d{3})(?:,(\d{3}))?(?:,(\d{3}))?(?![\d,])", r"\1\2\3\4"),
        (r"\n[ \t]*(?=[=≠≤≥])", " "),
        (r"^[ \t]*(?:[-*+•]|\(?\d{1,3}[.)、])[ \t]+", ";"),
    )
)
"""A fraction gets a space before it: 2\\frac{1}{3} may be a mixed number, and is then not read."""

VARIABLE = r"[A-Za-zα-ω](?:_?\d{1,2}|_[A-Za-z])?"
VARIABLE_NAME = re.compile(VARIABLE)
NUMBER = re.compile(r"\d+(?:\.\d+)?|\.\d+")
OPERAND = (
    rf"(?:(?<!\d)(?>{NUMBER.pattern})(?:[A-Za-zα-ω](?![\w('’]))?(?![A-Za-z_])"
    rf"|(?<![A-Za-z\d_\\'’]){VARIABLE}(?![A-Za-z\d_('’]))"
)
SIDE_OPENING = r"(?:[-(][ \t]*){0,20}"
SCAN = re.compile(
    rf"(?P<side>{SIDE_OPENING}{OPERAND}[ \t)]*(?:[-+*/^][ \t]*{SIDE_OPENING}{OPERAND}[ \t)]*)*)"
    r"|(?P<relation>[=≠<>≤≥])[ \t]*"
)

HARMLESS = re.compile(
    r"""(?:\A|[\n;!?。；！？"“‘(|≈`—=≠<>≤≥]|(?<=\S)\.|(?<!\d):|:(?=[ \t])
    |[以得到即则是么为于算证查果设又再且而但有知先在令试故若当取]
    |\b(?:so|then|thus|therefore|hence|since|because|as|that|but|now|also|again|gets?|got|have|has|is|are|gives?|given|
    means|yields|find|check|verify|compute|calculate|know|see|if|suppose|assume|let|try|say|first|next|finally|actually|
    wait|yes|no|ok|hmm|well|where|when|with|for|which|maybe|perhaps|set|take|case|not|write|note|becomes|equation))
    [ \t]*\Z""",
    re.I | re.X,
)
JOINT = re.compile(r"(?:(?<!\d),|,(?=[ \t])|[、和与]|\b(?:and|or))[ \t]*\Z", re.I)
"""What is harmless before a calculation or a letter, but not before a bare number: "the product of 2 and 5 = 10"."""
CHANGED_BEHIND = re.compile(
    r"""[-+*/^±√π∞%‰°!'’_(\[…]|\\(?!text|mathrm|quad|qquad)|(?<![\s)])[A-Za-z]|[:.,]\d|\.[.\\]|[ \t]*r[ \t]?\d
    |[ \t,(]*(?:(?:times|plus|minus|over|of|divided|multiplied|squared|cubed|to[ ]the|percent|hundred|thousand|million|
    billion|dozen|mod|modulo|remainder|factorial|choose|more|less|half)\b|[的倍百千万亿分余又乘加减除平立次])""",
    re.I | re.X,
)

CLAUSE_ENDS = re.compile(r"[.,;:!?\n。；！？]")
SENTENCE_ENDS = re.compile(r"[.;!?\n。；！？]")
SUPPOSED = re.compile(r"\b(?:if|suppos\w+|assum\w+|whether|unless|imagine|pretend)\b|如果|假设|假如|若|要是|是否", re.I)
LEFT_OPEN = re.compile(r"\b(?:when|case|for|or|either|maybe|perhaps|possibl[ey]|could|might)\b|当|或|可能|也许", re.I)
ANEW = re.compile(
    r"\b(?:let|set|take|try|put|choose|pick|now|instead|otherwise|say|again|where)\b|设|令|取|试|现在|改|换", re.I
)
STATEMENT_DENIED = re.compile(r"\b(?:not|never|no|cannot|without)\b|n['’]t\b|[不没非]", re.I)
REASON = re.compile(r"\b(?:because|since|as)\b|因为|由于|既然", re.I)
ASKED = re.compile(r"[ \t)\"'”]*\?")
SEVERAL = re.compile(r"[ \t,]*(?:\\text\( *)?(?:\bor\b|或|(?:\band\b|,|和)[ \t)]*[-(]*\d)", re.I)
REJECTED = re.compile(
    r"""[^\w\n]{0,5}(?:(?:but|hmm|oh|wait|actually|that|this|it|which|is|was|s|这|那|等等|但|可是|其实|是)[^\w\n]{0,3}){0,6}
    (?:no|nope|wrong|incorrect|false|mistake\w*|impossible|not[ ](?:right|correct|true|equal|possible)|
    isn['’]t[ ](?:right|correct|true)|✗|✘|❌|不对|不是|不行|不成立|错)(?![a-z])""",
    re.I | re.X,
)


@dataclass(frozen=True, slots=True)
class Passage:
    """Sides of arithmetic, the relations between them, and what the words around say.

    Attributes:
        sides: Without spaces.
        relations: One between each two sides.
        asserted: Not supposed or denied in its clause, and not asked.
        rejected: Called wrong right after.
        reason: Given as one.
        letters: Whether a letter may ``keep`` the value that it has, gets one ``anew``, or gets ``none``, as where the
            sentence has a condition or there are several values.
    """

    sides: tuple[str, ...]
    relations: tuple[str, ...]
    asserted: bool
    rejected: bool
    reason: bool
    letters: Literal["keep", "anew", "none"]


def read_passages(chain: str) -> Iterator[Passage]:
    """Yield every passage of a chain that can be read, in its order."""
    text = chain[:LONGEST_CHAIN].translate(SIGN_TABLE)
    for pattern, sign in SPELLINGS:
        text = pattern.sub(sign, text)
    run: list[re.Match[str]] = []
    for match in SCAN.finditer(text):
        if run and (run[-1].end() < match.start() or run[-1].lastgroup == match.lastgroup):
            yield from _read_run(text, run)
            run = []
        if run or match["side"]:
            run.append(match)
    yield from _read_run(text, run)


def _read_run(text: str, run: list[re.Match[str]]) -> Iterator[Passage]:
    """Read the passage in a run of side, relation, side, ...; none where too little of it is left."""
    run = run[: len(run) - (len(run) + 1) % 2]
    if len(run) < 3:
        return
    end, before = run[-1].end(), text[max(0, run[0].start() - NEARBY) : run[0].start()]
    sides = ["".join(match[0].split()) for match in run[::2]]
    relations = [match[0].strip() for match in run[1::2]]
    if CHANGED_BEHIND.match(text, end):
        sides, relations = sides[:-1], relations[:-1]
    dash = re.match(r"-[ \t]", run[0][0])
    if dash or not (
        HARMLESS.search(before[-JUST_BEFORE:])
        or (JOINT.search(before[-JUST_BEFORE:]) and not NUMBER.fullmatch(sides[0]))
    ):
        sides, relations = sides[1:], relations[1:]
    if not relations:
        return
    sides[0], sides[-1] = _strip_excess(sides[0], "("), _strip_excess(sides[-1], ")")
    clause, sentence = CLAUSE_ENDS.split(before)[-1], SENTENCE_ENDS.split(before)[-1]
    asserted = not (SUPPOSED.search(clause) or STATEMENT_DENIED.search(clause) or ASKED.match(text, end))
    rejected = bool(REJECTED.match(text, end))
    letters: Literal["keep", "anew", "none"] = "keep"
    if not asserted or rejected or SUPPOSED.search(sentence) or LEFT_OPEN.search(sentence) or SEVERAL.match(text, end):
        letters = "none"
    elif ANEW.search(sentence) or text[end : end + 1] == ":":
        letters = "anew"
    yield Passage(tuple(sides), tuple(relations), asserted, rejected, bool(REASON.search(clause)), letters)


def _strip_excess(side: str, bracket: Literal["(", ")"]) -> str:
    """Drop the brackets at a side's outer end that have no partner in it: they are the sentence's."""
    excess = max(0, (side.count("(") - side.count(")")) * (1 if bracket == "(" else -1))
    if bracket == "(":
        return side[min(excess, len(side) - len(side.lstrip("("))) :]
    return side[: len(side) - min(excess, len(side) - len(side.rstrip(")")))]
