"""Training texts that share a run of words with a benchmark (R1, arXiv 2501.12948v2: any 10-gram of a question or
solution)."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

WORD = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]|[^\W_\u3400-\u9fff\uf900-\ufaff]+")
"""A run of letters and digits, or one Han character."""
FEW = 3
"""Problems of a benchmark that may share a run of words before it counts as boilerplate."""


class Match(NamedTuple):
    """A training text, the benchmark's problem, and the words that both have."""

    text: str
    benchmark: str
    problem: str
    words: str


class Benchmarks:
    """Runs of ``n`` words of benchmarks' questions and solutions, to look training texts up in.

    What more than ``boilerplate`` of a benchmark's problems have in common (and more than a few) is the wording of its
    task, and matches nothing. A question of fewer than ``n`` words matches a text that is the same word by word.

    Args:
        n: words in a run.
        boilerplate: a share of a benchmark's problems.
    """

    def __init__(self, n: int, boilerplate: float) -> None:
        self._n, self._boilerplate = n, boilerplate
        self._known: dict[str, tuple[str, str]] = {}

    def add(self, name: str, problems: Sequence[tuple[str, Sequence[str]]]) -> None:
        """A benchmark: of every problem its name, and its question and solution."""
        runs = {problem: {run for text in texts for run in self._runs(text)} for problem, texts in problems}
        common = Counter(run for found in runs.values() for run in found)
        most = max(FEW, self._boilerplate * len(problems))
        for problem, found in runs.items():
            for run in found:
                if common[run] <= most:
                    self._known.setdefault(run, (name, problem))

    def matches(self, texts: Iterable[tuple[str, Sequence[str]]]) -> Iterator[Match]:
        """Of every training text (its name, and its parts) the first match, where it has one."""
        for name, parts in texts:
            found = next((run for part in parts for run in self._runs(part) if run in self._known), None)
            if found is not None:
                yield Match(name, *self._known[found], found)

    def _runs(self, text: str) -> Iterator[str]:
        words = WORD.findall(unicodedata.normalize("NFKC", text).casefold())
        if 0 < len(words) < self._n:
            yield " ".join(words)
        yield from (" ".join(words[start : start + self._n]) for start in range(len(words) - self._n + 1))
