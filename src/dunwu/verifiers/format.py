"""R1's format rule, and where reasoning and answers stand (arXiv 2501.12948v2, section 2.2 and table 1).

Only the answer is read, never what its prompt quotes. A think tag that the prompt opens belongs to the answer, and
stands at its beginning (``Prompt.opening``).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Literal

from dunwu.verifiers.boxes import find_last_boxed, find_sole_boxed, unescape
from dunwu.verifiers.last_line import read_last_line

TAGS = ("<think>", "</think>", "<answer>", "</answer>")
TAG = re.compile("|".join(TAGS))
FILLERS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and a symbol that show nothing: Hangul fillers and the empty Braille pattern."""
VISIBLE = re.compile("[!-~]")
"""What nearly every text shows; the others are looked up."""


def follows_format(text: str) -> bool:
    """Return whether ``text`` is reasoning in think tags, then an answer in answer tags, and nothing else.

    Each of the four tags stands exactly once, in order; both contents show something; before, between and after them
    there is whitespace only.

    A tag counts wherever it stands, in quotes and in code too. What merely looks like one (another case, full width,
    spaces within) is text, so it can neither stand for a tag nor repeat one. Zero-width and other invisible characters
    are no content, and no whitespace either.
    """
    if any(text.count(tag) != 1 for tag in TAGS):
        return False
    before, rest = text.split("<think>")
    inside, closed, rest = rest.partition("</think>")
    between, opened, rest = rest.partition("<answer>")
    answer, ended, after = rest.partition("</answer>")
    in_order = bool(closed and opened and ended)
    return in_order and _shows(inside) and _shows(answer) and not (before + between + after).strip()


def is_summarized(text: str) -> bool:
    """Return whether ``text`` is reasoning in think tags, then a summary outside of them (R1).

    Both think tags stand exactly once, in order, with nothing but whitespace before them; both parts show something.
    Answer tags, where there are any, stand in pairs in the summary, and every pair shows something.
    """
    if any(text.count(tag) != 1 for tag in ("<think>", "</think>")):
        return False
    before, rest = text.split("<think>")
    inside, closed, after = rest.partition("</think>")
    if not closed or before.strip() or not _shows(inside) or "<answer>" in inside or "</answer>" in inside:
        return False
    tags = re.findall("</?answer>", after)
    if tags != ["<answer>", "</answer>"] * (len(tags) // 2):
        return False
    answers = re.findall("<answer>(.*?)</answer>", after, re.DOTALL)
    return all(map(_shows, answers)) and _shows(TAG.sub(" ", after))


RULES: Mapping[str, Callable[[str], bool]] = {
    "think-answer": follows_format,
    "think-summary": is_summarized,
    "none": lambda text: True,
}
"""The rules by the names that recipes give (``grading.format_rule``)."""


def _shows(text: str) -> bool:
    """Return whether a letter, digit, sign or symbol is in ``text``.

    Spaces, controls, zero-width marks and lone surrogates show nothing.
    """
    return bool(VISIBLE.search(text)) or any(unicodedata.category(char)[0] in "LNPS" for char in set(text) - FILLERS)


def extract_reasoning(text: str) -> str:
    """Return the chain of thought without its tags, and without the answer where tags part the two.

    It begins after the first opening think tag, or with the text, and ends at the last closing think tag after that; at
    the last opening answer tag where there is none; otherwise with the text. So a text without tags is all reasoning,
    and a chain that was cut off counts as far as it goes.
    """
    return TAG.sub(" ", text[find_reasoning(text)])


def find_reasoning(text: str) -> slice:
    """Return where the reasoning stands in a text; see ``extract_reasoning``."""
    start = text.find("<think>") + len("<think>") if "<think>" in text else 0
    ends = (text.rfind(tag, start) for tag in ("</think>", "<answer>"))
    return slice(start, next((end for end in ends if end >= 0), len(text)))


def extract_response(text: str, cut: bool) -> str | None:
    """Return what may hold the answer; None where nothing does, since an answer in the reasoning is none.

    It is what follows the last closing think tag. Reasoning that begins and is never closed ends with the last opening
    answer tag, where the model stopped by itself: base models that learn the format forget the closing tag first.

    Args:
        text: The answer with its reasoning.
        cut: Whether the limit of its length ended it.
    """
    rest = text.rpartition("</think>")[2]
    _, opened, inside = rest.partition("<think>")
    return None if opened and (cut or "<answer>" not in inside) else rest


def extract_summary(text: str) -> str:
    """Return what follows the reasoning, without tags.

    It is empty where the reasoning does not end, and all of the text where there is none.
    """
    _, closed, after = text.rpartition("</think>")
    return "" if "<think>" in text and not closed else TAG.sub(" ", after).strip()


READS: Mapping[str, Callable[[str], str]] = {"summary": extract_summary, "all": str}
"""What a reward model is given of an answer, as its recipe says."""


def extract_answer(
    text: str, where: Literal["answer-tag", "boxed", "last-line", "summary"], *, cut: bool = False, raw: bool = False
) -> str | None:
    r"""Return the answer as written, or None where there is none (or an empty one).

    - ``answer-tag``: the content of the last closed answer tag.
    - ``boxed``: the content of the last complete ``\boxed{}``.
    - ``last-line``: the last line that is not blank, without a lead-in such as "The answer is"; where the text ends
      with an answer tag, the last one in it.
    - ``summary``: all that follows the reasoning, such as a program among words.

    Reasoning holds no answer (``extract_response``). A ``\boxed{}`` that is all that the answer or the line says is
    unwrapped (``find_sole_boxed``), doubled backslashes are halved. An answer on lines of its own keeps what its first
    line is indented by: it may be the body of a function. An answer that shows nothing is none.

    Args:
        text: A completion.
        where: Where the answer stands in it.
        cut: Whether the limit of its length ended the completion.
        raw: Whether to take the answer as it stands, as of a program, which may print a box.
    """
    part = extract_response(text, cut)
    if part is None:
        return None
    if where == "boxed":
        answer = find_last_boxed(part)
    elif where == "summary":
        answer = extract_summary(part)
    else:
        found = _read_last_tag(part) if where == "answer-tag" else read_last_line(_unwrap_last_tag(part))
        answer = None if found is None else _strip(found) if raw else find_sole_boxed(found) or unescape(_strip(found))
    return answer if answer and _shows(answer) else None


def _strip(text: str) -> str:
    """Strip space around a text, but not what indents the first line where it stands on a line of its own."""
    before = len(text) - len(text.lstrip())
    return text[text.rfind("\n", 0, before) + 1 if "\n" in text[:before] else before :].rstrip()


def _read_last_tag(text: str) -> str | None:
    end = text.rfind("</answer>")
    start = text.rfind("<answer>", 0, max(end, 0))
    return None if end < 0 or start < 0 else text[start + len("<answer>") : end]


def _unwrap_last_tag(text: str) -> str:
    """Return what stands in the answer tag with which a text ends, or the text: a tag is no part of a line."""
    body, closed, after = text.rpartition("</answer>")
    return body.rpartition("<answer>")[2] if closed and not after.strip() else text
