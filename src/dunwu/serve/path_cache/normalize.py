"""Questions as keys: which two are one, and which differ by their numbers alone.

Two questions share a key only if no answer could tell them apart, so little is changed:

- canonical Unicode (NFC), and full-width letters, digits and some signs as half-width ones;
- runs of spaces, spaces around lines, and spaces between Chinese characters and letters or digits;
- one full stop or question mark behind a sentence that asks;
- the capital of a question word that comes first.

A question about its own characters is taken as it stands: code, tables, and whoever speaks of spaces, letters or signs.
Case, quotes, minus signs, spaces between digits, and commas between digits are kept, because each can mean something.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dunwu.serve.path_cache.numbers import find_numbers, replace_numbers

LONGEST: Final = 50_000
"""Characters of a question that is looked into; longer ones are keys as they stand."""
LITERAL: Final = re.compile(
    r"[`\t\v\f]|\n +\S|\S {3,}\S"
    r"|\b(?:spac(?:e|es|ing)|white ?space|characters?|letters?|bytes?|strings?|sentences?|commas?|periods?|full stops?"
    r"|punctuat\w*|capital\w*|(?:upper|lower) ?-?case|(?:full|half)[- ]width|unicode|ascii|utf|indent\w*|regex\w*"
    r"|regular expression|code|python|program|json|print|translat\w*|quot\w*|repeat|repl(?:y|ies)|cop(?:y|ies)"
    r"|rewrite|continue|complete the|spell\w*|question marks?|dots?|tokens?|words?)\b"
    r"|空格|字[符母节]|标点|句|逗号|问号|全角|半角|大写|小写|编码|代码|程序|翻译|重复|续写|改写|引号|字数|几个字|词",
    re.IGNORECASE,
)
"""What a question has that may be about its own characters."""
HALF_WIDTH: Final = {
    ord(wide): chr(ord(wide) - 0xFEE0)
    for wide in (
        *map(chr, (*range(0xFF10, 0xFF1A), *range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B))),
        *"！％（）＋－．／：；＜＝＞？",
    )
}
"""The full-width comma is not among them: 1，200 are two numbers."""
HAN: Final = r"[\u3400-\u4dbf\u4e00-\u9fff]"
NUMERAL: Final = "[零〇一二两三四五六七八九十百千万亿]"
WIDE_COMMA: Final = re.compile(r"(?<!\d)，|，(?!\d)")
WIDE: Final = "\u00a0\u2000-\u200a\u202f\u3000"
WIDE_SPACES: Final = re.compile(rf"(?<![\d {WIDE}])[{WIDE}]+|[{WIDE}]+(?![\d {WIDE}])")
RUNS: Final = re.compile(r"(?<![\d ]) {2,}| {2,}(?![\d ])")
AROUND_LINES: Final = re.compile(r" *\n *")
HAN_SPACE: Final = re.compile(rf"(?<=(?!{NUMERAL}){HAN}) (?=[A-Za-z0-9])|(?<=[A-Za-z0-9,;:?!)]) (?=(?!{NUMERAL}){HAN})")
SENTENCE_END: Final = re.compile(r"[.?!]\s|[。？！\n]")
OPENERS: Final = (
    "what|how|which|who|whose|when|where|why|find|compute|calculate|solve|determine|evaluate|simplify|express|if"
)
CAPITAL: Final = re.compile(rf"(?:{'|'.join(word.title() for word in OPENERS.split('|'))})\b")
ASKS: Final = re.compile(
    rf"\s*(?:and |then |in |to |by |at |for |on )?(?:{OPENERS}|is|are|was|were|do|does|did|can|could|will|would)\b"
    r"|.*\b(?:how (?:many|much|far|long|old|often)|what(?:'s| is| was| are| were| will| would| percent\w*))\b"
    r"|.*(?:多少|几|什么|吗|哪|谁|怎|是否|何)|\s*(?:求|计算|解方程|化简)",
    re.IGNORECASE,
)
"""At the beginning of a sentence that asks. Behind others, a question mark would be what makes them ask."""
ORDERS: Final = re.compile(
    rf"\s*(?:{OPENERS})\b|.*\b(?:how (?:many|much|far|long|old)|what(?:'s| is| was| are))\b"
    r"|.*多少|\s*(?:求|计算|解方程|化简)",
    re.IGNORECASE,
)
"""The same where a full stop ends it: 他有几个苹果。 says something, and 他有几个苹果？ asks."""
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
    template = replace_numbers(text, lambda number: f"⟦{number.kind}⟧")
    return NormalizedQuestion(
        exact=_write_key(earlier, {**last, "content": text}),
        template=_write_key(earlier, {**last, "content": template}),
        numbers=tuple(number.text for number in find_numbers(text)),
    )


def _write_key(earlier: Sequence[Mapping[str, object]], last: Mapping[str, object]) -> str:
    """Write messages as canonical JSON; half a surrogate pair stays an escape, so that any key can be stored."""
    return json.dumps([dict(message) for message in (*earlier, last)], sort_keys=True, separators=(",", ":"))


def _normalize_text(text: str) -> str:
    if LITERAL.search(text):
        return text
    text = unicodedata.normalize("NFC", text).replace("\r\n", "\n")
    text = WIDE_COMMA.sub(",", text.translate(HALF_WIDTH))
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
    asks = ASKS if mark[1] == "?" else ORDERS
    return rest if asks.match(sentence) else text
