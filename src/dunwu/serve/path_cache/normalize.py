"""Questions as keys: which two are one, and which differ by their numbers alone.

Two questions share a key only if no answer could tell them apart, so little is changed:

- canonical Unicode (NFC), and full-width letters, digits and some signs as half-width ones;
- runs of spaces, spaces around lines, and spaces between Chinese characters and letters or digits;
- one full stop or question mark behind a sentence that asks;
- the capital of a question word that comes first.

A question about its own characters is taken as it stands: code, tables, quotes, and whoever speaks of letters or signs.
Case, minus signs, and spaces and commas between digits are kept, because each can mean something.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dunwu.serve.path_cache.numbers import WrittenNumber, replace_numbers

LONGEST: Final = 50_000
"""Characters of a question that is looked into; longer ones are keys as they stand."""
LITERAL: Final = re.compile(
    r"[`\t\v\f\"“”„«「『]|(?<![\w)\]}])['‘]|\n +\S|\S {3,}\S"
    r"|\b(?:spac(?:e|es|ing)|white ?space|characters?|letters?|bytes?|strings?|sentences?|commas?|periods?|full stops?"
    r"|punctuat\w*|capital\w*|(?:upper|lower) ?-?case|(?:full|half)[- ]width|unicode|ascii|utf|indent\w*|regex\w*"
    r"|regular expression|code|python|program|json|print|translat\w*|quot\w*|repeat|repl(?:y|ies)|cop(?:y|ies)"
    r"|rewrite|continue|complete the|spell\w*|question marks?|dots?|tokens?|words?|paragraphs?|poems?|verses?|blanks?"
    r"|hash\w*|md5|sha\d*|base ?64|(?:en|de)cod\w*|(?:en|de)crypt\w*|ciphers?|checksum|anagram|palindrome|reverse)\b"
    r"|空格|字[符母节]|标点|句|逗号|问号|全角|半角|大写|小写|编码|代码|程序|翻译|重复|续写|改写|引号|字数|几个字|词|空行|段落",
    re.IGNORECASE,
)
"""What a question has that may be about its own characters."""
COLUMNS: Final = re.compile(r"\S {2,}\S")
"""Of a table, where there are several lines: an empty cell is spaces alone."""
HALF_WIDTH: Final = {
    ord(wide): chr(ord(wide) - 0xFEE0)
    for wide in (
        *map(chr, (*range(0xFF10, 0xFF1A), *range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B))),
        *"％（）＋－／：；＜＝＞？",
    )
}
"""Not among them: 1，200 are two numbers, 1．5 may be item 1 with a 5, and 3！ is no factorial."""
HAN: Final = r"[\u3400-\u4dbf\u4e00-\u9fff]"
NUMERAL: Final = "[零〇一二两三四五六七八九十百千万亿]"
WIDE_COMMA: Final = re.compile(r"(?<!\d)，|，(?!\d)")
WIDE: Final = "\u00a0\u2000-\u200a\u202f\u3000"
WIDE_SPACES: Final = re.compile(rf"(?<![ {WIDE}])[{WIDE}]++(?!\d)|(?<![\d {WIDE}])[{WIDE}]++")
RUNS: Final = re.compile(r"(?<! ) {2,}+(?!\d)|(?<![\d ]) {2,}+")
"""Of spaces, but for those between two digits."""
AROUND_LINES: Final = re.compile(r" *\n *")
HAN_SPACE: Final = re.compile(
    rf"(?<=(?!{NUMERAL}){HAN}) (?=[A-Za-z0-9])|(?<=[A-Za-z0-9,;:?!)]) (?=(?!{NUMERAL}){HAN})|(?<=\w) (?=[,;:?]{HAN})"
)
SENTENCE_END: Final = re.compile(r"[.?!]\s|[。？！\n]")
CAPITAL: Final = re.compile(
    r"(?:What|How|Which|Who|When|Where|Why|Find|Compute|Calculate|Solve|Determine|Evaluate|If)\b"
)
ORDERS: Final = (
    r"\s*(?:find|compute|calculate|solve|determine|evaluate|simplify|express)\b"
    r"|.*\b(?:how (?:many|much|far|long|old)|what(?:'s|’s| is| was| are| were))\b|.*多少|\s*(?:求|计算|解方程|化简)"
)
STATES_NOTHING: Final = re.compile(ORDERS, re.IGNORECASE)
"""Of a sentence that asks even with a full stop: 他有几个苹果。 says something, and 他有几个苹果？ asks."""
ASKS: Final = re.compile(
    ORDERS
    + r"|\s*(?:(?:and|then|in|to|by|at|for|on) )?(?:what|how|which|who|whose)\b|.*\bwhat (?:will|would|percent\w*)\b"
    r"|\s*(?:(?:when|where|why) )?(?:is|are|was|were|does|did|can|could|would)\b"
    r"|.*(?:几[个只本页人天元岁次分点条张块]|是什么|为什么|哪[个些里天]|吗|是否)",
    re.IGNORECASE,
)
"""Of a sentence that asks without a mark. Behind others, the question mark would be what makes them ask."""
FINAL_MARK: Final = re.compile(r"(?<=[\w)\]}$%]) ?([.?。])\Z")


@dataclass(frozen=True, slots=True)
class NormalizedQuestion:
    """A conversation up to its open question, as keys.

    Attributes:
        exact: The key of exact hits; it covers every field of every message.
        template: The same with each number of the last message replaced by a blank, such as ``⟦number⟧``.
        numbers: What stood there, in order, as written.
    """

    exact: str
    template: str
    numbers: tuple[str, ...]


def normalize_question(text: str) -> NormalizedQuestion:
    """Make the keys of a question that is a whole conversation."""
    return normalize_conversation([{"role": "user", "content": text}])


def normalize_conversation(messages: Sequence[Mapping[str, object]]) -> NormalizedQuestion:
    """Make the keys of a conversation; all messages but the last are taken as they stand.

    Args:
        messages: With ``role``, ``content`` and whatever else they have, of types that JSON knows.

    Returns:
        The keys. Where the last content is no text, the template is the exact key and there are no numbers.
    """
    *earlier, last = messages
    content = last.get("content")
    if not isinstance(content, str) or len(content) > LONGEST:
        exact = _write_key(earlier, last)
        return NormalizedQuestion(exact, exact, ())
    text = _normalize_text(content)
    numbers: list[str] = []

    def blank(number: WrittenNumber) -> str:
        numbers.append(number.text)
        return f"⟦{number.kind}⟧"

    template = replace_numbers(text, blank)
    return NormalizedQuestion(
        exact=_write_key(earlier, {**last, "content": text}),
        template=_write_key(earlier, {**last, "content": template}),
        numbers=tuple(numbers),
    )


def _write_key(earlier: Sequence[Mapping[str, object]], last: Mapping[str, object]) -> str:
    """Write messages as canonical JSON; half a surrogate pair stays an escape, so that any key can be stored."""
    return json.dumps([dict(message) for message in (*earlier, last)], sort_keys=True, separators=(",", ":"))


def _normalize_text(text: str) -> str:
    composed = unicodedata.normalize("NFC", text).replace("\r\n", "\n")
    if LITERAL.search(composed) or ("\n" in composed and COLUMNS.search(composed)):
        return text
    text = WIDE_COMMA.sub(",", composed.translate(HALF_WIDTH))
    text = RUNS.sub(" ", WIDE_SPACES.sub(" ", text)).strip(" \n")
    text = re.sub(r"\n{2,}", "\n\n", AROUND_LINES.sub("\n", text))
    text = HAN_SPACE.sub("", text)
    if opener := CAPITAL.match(text):
        text = opener[0].lower() + text[opener.end() :]
    return _strip_final_mark(text)


def _strip_final_mark(text: str) -> str:
    """Strip one full stop or question mark behind a sentence that asks with it or without; never ``!`` or ``...``."""
    mark = FINAL_MARK.search(text)
    if not mark:
        return text
    rest = text[: mark.start()]
    sentence = SENTENCE_END.split(rest)[-1]
    asks = ASKS if mark[1] == "?" else STATES_NOTHING
    return rest if asks.match(sentence) else text
