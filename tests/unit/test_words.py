"""The words of the house: names that once stood in the code and had a plainer term in the field do not come back."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "dunwu"
FILES = sorted(PACKAGE.rglob("*.py"))

GONE = {
    "anchor": "compute_logprobs",
    "anchored": "scored",
    "lane": "worker thread",
    "lanes": "worker threads",
    "slots": "max_sequences (rows of a cache are slots still: name them rows)",
    "weigh": "score_group",
    "similar": "curriculum",
    "halfsolved": "frontier problems",
    "obstacles": "preflight",
    "authors": "writers",
    "society": "conversations",
    "lesson": "TokenizedExample",
    "lessons": "tokenized examples",
    "judged": "LabelledResponse, or graded",
    "beside": "comparison table",
    "referee": "benchmark judge",
    "judging": "judges",
    "marks": "file_signature",
    "pulse": "change_token",
    "remembering": "caching",
    "readable": "answer_filter, or parse",
    "told": "message, display_name, StageData or update",
    "slip": "error",
    "trouble": "error",
    "gap": "logprob difference",
    "spent": "cost",
    "helped": "record_judges",
    "assembled": "open_rl_system",
    "drawn": "draw",
    "reckoned": "estimate",
    "findings": "issues, or results",
}
"""What must not be part of a name, and what to say for it."""


def room_of(file: Path) -> str:
    """Return the room that a file stands in."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def definitions(source: str) -> Iterator[tuple[int, str]]:
    """Yield (line, name) of every function, class, argument, field and variable that a source defines."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr


def words(name: str) -> set[str]:
    """Split a name in any case into words: ``HalfSolved`` and ``half_solved`` have the same, and ``halfsolved``."""
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", name)
    return {part.lower() for part in parts} | {"".join(parts).lower()}


def test_words_are_split_in_any_case() -> None:
    assert words("HalfSolved") == {"half", "solved", "halfsolved"}
    assert words("old_told_as") == {"old", "told", "as", "oldtoldas"}
    assert words("RLStage") == {"rl", "stage", "rlstage"}


@pytest.mark.parametrize("room", sorted({room_of(file) for file in FILES} - {"__init__", "__main__"}))
def test_words_that_are_gone_stay_gone(room: str) -> None:
    found = [
        f"{file.relative_to(PACKAGE)}:{line}: {name}: say {GONE[word]}"
        for file in FILES
        if room_of(file) == room
        for line, name in definitions(file.read_text(encoding="utf-8"))
        for word in words(name) & GONE.keys()
    ]
    found += [
        f"{file.relative_to(PACKAGE)}:{number}: 'told' in prose"
        for file in FILES
        if room_of(file) == room
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1)
        if re.search(r"\btold\b", line)
    ]
    assert found == []
