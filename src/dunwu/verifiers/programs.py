"""The program in an answer: which of its fenced blocks it is, and where that begins and ends."""

from __future__ import annotations

import re

from dunwu.verifiers.fences import read_blocks

OPENING_FENCE = re.compile(
    r"[ \t]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)?(?P<fence>`{3,}(?=[^`]*$)|~{3,})(?P<info>.*)", re.DOTALL
)
"""A line that opens a block, perhaps behind the mark of a list's item: the fence and the info string."""
BEHIND_WORDS = re.compile(r"(?P<fence>`{3,})(?P<info>[\w.+#-]+)[ \t]*")
"""A block that opens at the end of a line of words; it must say its language."""
CLOSED_BY_WORDS = re.compile(r"[ \t]*(`{3,}|~{3,})[^`~\w]*[^\W\d_][^\s`~]*[ \t]+[^`~]*")
"""A closing fence with a sentence behind it; a language alone would open a block within the block."""
PYTHON = re.compile(r"\W*[ic]?py(?:thon|con|py)?(?![a-z])", re.IGNORECASE)
"""An info string that says Python: py3, python3.11, {.python}, python:a.py, ipython, pycon, but not pytb."""
PROMPT = re.compile(r"(?:>>>|\.\.\.)(?: |$)")
MBPP_PROGRAM = re.compile(r"\[(BEGIN|PYTHON)\]\s*?\n(.*?)(?:\[DONE\]|\[/PYTHON\]|\Z)", re.DOTALL)
"""How MBPP's prompt shows programs."""
MBPP_END = re.compile(r"\[(?:DONE|/PYTHON)\]")


def find_program(answer: str, entry: str = "") -> str:
    """Return the program of an answer.

    Of the fenced blocks it is the last that says it is Python; else the last that says nothing; else the last. Where
    functions are tested, a block that defines ``entry`` comes before those that do not: a later one may show its use.
    Without a block it is what stands between MBPP's ``[BEGIN]`` and ``[DONE]``, or the whole answer.

    Fences are read line by line, as Markdown does; one that is never closed ends with the answer. What is typed at an
    interpreter's prompt is taken without its prompts and replies.

    Args:
        answer: The answer as it was extracted.
        entry: The function or ``Class.method`` that tests call; "" where they run whole programs.
    """
    blocks = list(read_blocks("\n".join(_tidy_fences(answer))))
    python = [source for info, source in blocks if PYTHON.match(info)]
    plain = [source for info, source in blocks if not info]
    found = python or plain or [source for _, source in blocks]
    if not found:
        return _read_mbpp(answer)
    likely = plain + python if entry else []
    defining = [source for source in likely if _defines(source, entry)]
    return _strip_prompts((defining or found)[-1])


def _defines(source: str, entry: str) -> bool:
    """Return whether a line defines a function or class of these names, or gives one of them a value."""
    names = "|".join(map(re.escape, {entry.partition(".")[0], entry.rpartition(".")[2]}))
    definition = rf"^[ \t>.]*(?:(?:async[ \t]+)?(?:def|class)[ \t]+(?:{names})\b|(?:{names})[ \t]*=(?!=))"
    return re.search(definition, source, re.MULTILINE) is not None


def _read_mbpp(answer: str) -> str:
    """Read the first program that MBPP's marks enclose; the prompt may have opened it."""
    marked, done = MBPP_PROGRAM.search(answer), MBPP_END.search(answer)
    if marked and not (done and done.start() < marked.start()):
        return marked[2].rstrip()
    return answer[: done.start()].rstrip() if done else answer


def _tidy_fences(answer: str) -> list[str]:
    """Return the lines of an answer, every fence of a block on a line of its own, as Markdown wants it."""
    lines, fence, start = list[str](), "", 0
    for line in answer.split("\n"):
        opening = _find_opening(line, fence) if not fence or len(lines) == start else None
        if opening and fence:
            continue  # the same fence twice
        if opening:
            words = line[: opening.start()]
            lines += [words, line[opening.start() :]] if words else [line]
            fence, start = opening["fence"], len(lines)
        elif fence and _closes(line, fence):
            lines += [fence, line.strip().lstrip(fence[0])]
            fence = ""
        else:
            lines.append(line)
    return lines[:start] + _close_block(lines[start:], fence) if fence else lines


def _find_opening(line: str, fence: str) -> re.Match[str] | None:
    """Find the fence that opens a block; directly below one that opened (``fence``) only one that says its language."""
    match = OPENING_FENCE.fullmatch(line)
    if fence:
        return match if match and match["info"].strip() and match["fence"] == fence else None
    words = line.find("```")
    return match or (BEHIND_WORDS.fullmatch(line, words) if words > 0 else None)


def _closes(line: str, fence: str) -> bool:
    bare = line.strip()
    return bare.startswith(fence) and (not bare.strip(fence[0]) or CLOSED_BY_WORDS.fullmatch(line) is not None)


def _close_block(lines: list[str], fence: str) -> list[str]:
    """Return the lines of a block that no line closes, up to a fence at the end of one."""
    end = next((place for place, line in enumerate(lines) if line.rstrip().endswith(fence)), None)
    return lines if end is None else [*lines[:end], lines[end].rstrip().rstrip(fence[0]), fence, *lines[end + 1 :]]


def _strip_prompts(source: str) -> str:
    if not source.lstrip().startswith(">>> "):
        return source
    lines = (line.strip() for line in source.split("\n"))
    return "\n".join(line[4:] for line in lines if PROMPT.match(line))
