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
        self._lengths = {n}

    def add(self, name: str, problems: Sequence[tuple[str, Sequence[str]]], *, whole: bool = False) -> None:
        """A benchmark: of every problem its name, its question, and solutions. ``whole``: all of a text must be
        there, not a run of it, as where a generator poses questions that differ by a number.
        """
        if whole:
            sentences = {" ".join(words_of(text)): problem for problem, texts in problems for text in texts}
            self._known |= {sentence: (name, problem) for sentence, problem in sentences.items() if sentence}
            self._lengths |= {len(sentence.split(" ")) for sentence in sentences if sentence}
            return
        runs = {
            problem: {run for place, text in enumerate(texts) for run in self._runs(text, self._n, short=place == 0)}
            for problem, texts in problems
        }
        common = Counter(run for found in runs.values() for run in found)
        most = max(FEW, self._boilerplate * len(problems))
        for problem, found in runs.items():
            for run in found:
                if common[run] <= most:
                    self._known.setdefault(run, (name, problem))

    def matches(self, texts: Iterable[tuple[str, Sequence[str]]]) -> Iterator[Match]:
        """Of every training text (its name, and its parts) the first match, where it has one."""
        for name, parts in texts:
            runs = (run for part in parts for n in sorted(self._lengths) for run in self._runs(part, n, short=True))
            found = next((run for run in runs if run in self._known), None)
            if found is not None:
                yield Match(name, *self._known[found], found)

    def _runs(self, text: str, n: int, *, short: bool) -> Iterator[str]:
        """``short``: a text of fewer than ``n`` words is a run; a short solution (11, yes) says nothing."""
        words = words_of(text)
        if short and n == self._n and 0 < len(words) < n:
            yield " ".join(words)
        yield from (" ".join(words[start : start + n]) for start in range(len(words) - n + 1))


def words_of(text: str) -> list[str]:
    """In one case and width, without signs."""
    return WORD.findall(unicodedata.normalize("NFKC", text).casefold())
