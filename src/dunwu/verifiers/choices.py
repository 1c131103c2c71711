"""How a sentence names the option that it chooses, and how a letter is parted from its option's text."""

from __future__ import annotations

import re
import unicodedata

LONGEST = 200
"""Characters of a sentence that is looked into."""
DECORATION = re.compile(
    r"\\(?:text|mathrm|mathbf|textbf|textit|textrm|boxed)(?![a-z])|[\\$*`\"'“”()\[\]{}【】〖〗]", re.I
)
SO = r"(?:(?:综上(?:所述|可知)?|由此可[知得]|因此|所以|因而|从而|可知|故|则|so|thus|therefore|hence|then)[,:]? ?)*+"
HAN_NAME = r"(?:本题|此题|该题|我们?|最终|最后|正确|的|答案|选项|结果|应该?|应当|可以|就|[是为选择项:]) ?"
HAN_PRAISE = r" ?(?:选项?|项)? ?(?:(?:的说法|的描述)?[是为]?(?:正确|对|符合题意|符合要求)的?(?:选项|答案)?)?"
NAME = (
    r"(?:(?:the|my|our) )?(?:(?:final|best|correct|right) )*(?:answer|option|choice)(?: (?:is|would be|must be))?:? ?"
    r"(?:(?:option|choice|letter) )?"
    r"|i(?: would|'d|d)? (?:choose|pick|select|go with) (?:option )?|(?:choose|pick|select) (?:option )?"
    r"|its |it is |it's "
)
PRAISE = r"(?: is (?:the )?(?:correct|right|best|true)(?: (?:answer|option|choice|one))?)?"
# Possessive, because 选项 is also 选 and 项: no text may be tried in more than one way.
HAN_SENTENCE = re.compile(rf"{SO}(?P<name>(?:{HAN_NAME})*+)(?P<letter>[a-z])(?P<praise>{HAN_PRAISE})[.!]*")
SENTENCE = re.compile(rf"{SO}(?P<name>(?:{NAME})?)(?P<letter>[a-z])(?P<praise>{PRAISE})[.!]*")
MARK = re.compile(
    r"(?<![^\W_])([A-J])(?:\s*[.．](?=[\s$]*\.?\d)|\s*[、；;](?!\s*[A-J](?![a-z\u3400-\u9fff]))|\s*[—–]+|\s+-\s)\s*"
)
"""What parts an option's letter from its text, where a number's point or a list's comma could be meant."""


def named(text: str) -> str | None:
    """Return the letter, in upper case, of the option that a sentence names: 故本题选B, "Option (b) is correct."

    None where the sentence says anything besides, or is the letter alone.
    """
    if len(text) > LONGEST:
        return None
    said = DECORATION.sub("", unicodedata.normalize("NFKC", text)).replace("。", ".").replace("、", ",")
    said = " ".join(said.casefold().split())
    match = HAN_SENTENCE.fullmatch(said) or SENTENCE.fullmatch(said)
    return match["letter"].upper() if match and (match["name"] or match["praise"]) else None


def parted(text: str) -> str:
    """Return ``text`` with one full stop and a space behind the letter that begins it: B.20, B、20, B — 20 as B. 20."""
    return MARK.sub(r"\1. ", text, count=1)
