r"""What leads to an answer: "so the answer is", 故答案为, "I choose (B)".

Three readers drop it, each from a text of its own kind, so each has its patterns here:

    last_line       a line as it was written
    choices         a sentence that names an option's letter, in small letters and plain width
    math.wording    the tokens of an answer, joined

They differ on purpose. Before a letter a verb may be missing ("answer B"), before a formula a curve may be named, and
of a line only what cannot be part of the answer goes.
"""

from __future__ import annotations

import re

THEREFORE = "so|thus|therefore|hence"
HAN_THEREFORE = "所以|因此"
NOUNS = "answer|option|choice|solution|result"
"""What an answer is called."""
HOPE = "I hope (?:it|this|that)"
"""How the sentence behind an answer begins that the prompt of Minerva and its followers makes a model say."""

# A line

LINE_LEAD_IN = re.compile(
    rf"(?:(?:{THEREFORE}|{HAN_THEREFORE})[,，]?\s*)?(?:the\s+)?(?:final\s+)?"
    r"(?:(?:[【\[]\s*)?(?:answer|\bans|答案)\s*[】\]]\s*[:：]?|\bans\s*[.:：]"
    r"|(?:answer|答案)\s*(?:is|是|为|[:：=→⇒]|[-=]>)+)\s*",
    re.I,
)
LINE_TITLE = re.compile(
    r"(?:the\s+)?(?:final\s+|最终)?(?:answer|答案)\s+(?=[-+]?[\d$\\(]|[A-J](?:[.。．)]|\Z))",
    re.I,
)
"""A lead-in without a verb, where a number, formula or letter follows at once."""
LINE_ENDING = re.compile(rf"\b{HOPE} is correct\W*\Z", re.I)

# A letter

_SO = rf"(?:(?:综上(?:所述|可知)?|由此可[知得]|{HAN_THEREFORE}|因而|从而|可知|故|则|{THEREFORE}|then)[,:]? ?)*+"
_HAN_NAME = r"(?:本题|此题|该题|我们?|最终|最后|正确|的|答案|选项|结果|应该?|应当|可以|就|[是为选择项:]) ?"
_HAN_PRAISE = r" ?(?:选项?|项)? ?(?:(?:的说法|的描述)?[是为]?(?:正确|对|符合题意|符合要求)的?(?:选项|答案)?)?"
_NAME = (
    rf"(?:(?:the|my|our) )?(?:(?:final|best|correct|right) )*(?:{NOUNS})"
    r"(?: (?:is|was|would be|must be|should be))?:? ?"
    r"(?:(?:option|choice|letter) )?"
    r"|i(?: would|'d|d)? (?:choose|pick|select|go with) (?:option )?|(?:choose|pick|select) (?:option )?"
    r"|its |it is |it's "
)
_PRAISE = r"(?: is (?:the )?(?:(?:correct|right|best|true)(?: (?:answer|option|choice|one))?|answer))?"
# Possessive, because 选项 is also 选 and 项: no text may be tried in more than one way.
HAN_LETTER_SENTENCE = re.compile(rf"{_SO}(?P<name>(?:{_HAN_NAME})*+)(?P<letter>[a-z])(?P<praise>{_HAN_PRAISE})[.!]*")
LETTER_SENTENCE = re.compile(rf"{_SO}(?P<name>(?:{_NAME})?)(?P<letter>[a-z])(?P<praise>{_PRAISE})[.!]*")
LETTER_LEAD_IN = re.compile(
    rf"(?:(?:\\text[a-z]*\{{|[\s*【])*+{_SO}(?:(?:{_HAN_NAME})++|{_NAME})[\s*:}}】]*|{_SO})"
    r"(?=(?:\\[a-z]+)?[\W_]*[a-z](?![^\W_]))",
    re.I,
)
"""What names a letter that its option's text follows."""

# Tokens

TOKEN_LEAD_IN = re.compile(
    rf"(?:(?:{THEREFORE}|then|{HAN_THEREFORE}|因而|从而|故|综上|即|则|得|可得|解得)(?: ?[,，:])? ?)*"
    r"(?:(?:the|our|my)? ?(?:final|correct|right|required|desired|最终的?|最后的?|正确的?)? ?"
    rf"(?:{NOUNS}|value|答案?|结果|解)"
    r"(?: (?:is|are|equals|was|must be|should be)| ?[是为等于:=选]+)+ ?"
    r"|(?:the )?(?:line|curve|circle|parabola|ellipse|hyperbola|plane|equation|function) ?(?=[a-z]? ?[=(^]|-?\d|[xy] )"
    r"|(?:a )?total of ?(?=[\d\\$])"
    r"|(?:他们?|她们?|它们?|我们?|小[明红华刚丽军]|妈妈|爸爸|老师)(?=还剩|一?共有)"
    r"|[=:]|(?:the )?(?:points?|coordinates?|点|坐标) ?(?=\()|一?共有?|总共有?|合计|还剩下?|共计)?",
    re.I,
)
CHOSEN = re.compile(r"(?:故?选择?|应选|答案选)[:项]? ?")
MODIFIERS = frozenset([*THEREFORE.split("|"), *"then the a an our my final correct right value of".split()])  # noqa: SIM905
"""Words of a subject that do not name it."""
HAN_MODIFIERS = re.compile(rf"^(?:{HAN_THEREFORE}|故|最终|正确)+|(?:等于|[为是有]|需要?|的)+$")
GENERIC = frozenset(["", *NOUNS.split("|"), "it", "this", "that", "答案", "答", "结果", "解"])
"""Subjects that name nothing."""
