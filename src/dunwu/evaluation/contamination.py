"""Training texts that share a run of words with a benchmark, or are nearly the same text.

R1 (arXiv 2501.12948v2) leaves out texts with any 10-gram of a question or solution.

Dimensions: T texts, W words, S shingles, B bands, K known bands.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt64

WORD = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]|[^\W_\u3400-\u9fff\uf900-\ufaff]+")
"""A run of letters and digits, or one Han character."""
FEW = 3
"""Problems of a benchmark that may share an n-gram before it counts as boilerplate."""
NEAR = 0.8
"""Jaccard similarity from which two texts are near-duplicates."""
SHINGLE, HAN_SHINGLE = 3, 5
"""Words of a shingle, or characters where a text is mostly Chinese."""
LONG_ENOUGH = 10
"""Words of a solution from which it says anything."""
PERMUTATIONS, BAND = 128, 4
"""Minima of a signature, and how many of them make a band. Texts of similarity s share a band with chance
1 - (1 - s^4)^32: all but 5e-8 at 0.8, 5 % at 0.2."""
CHUNK = 256
"""Texts whose signatures are computed at a time: their shingles fill some MB."""
EXAMPLES = 10
"""Matches of each kind that a report holds of a benchmark."""
MIX = np.uint64(0x9E3779B97F4A7C15)
"""An odd number with bits all over: 2^64 / the golden ratio."""
PERMUTED = np.random.default_rng(0).integers(2**64, size=(PERMUTATIONS, 2), dtype=np.uint64) | np.uint64(1)
"""Odd factors and offsets: x -> factor x + offset permutes the numbers below 2^64."""

Texts = Sequence[tuple[str, Sequence[str]]]
"""(name, parts): the parts of a training text; of a problem its question, then its solutions."""


class NGramMatch(NamedTuple):
    """A training text, the benchmark's problem, and the words that both have."""

    text: str
    benchmark: str
    problem: str
    words: str


class NearDuplicate(NamedTuple):
    """A training text, the benchmark's problem, and the Jaccard similarity of their most similar parts."""

    text: str
    benchmark: str
    problem: str
    similarity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """How much of a training set matches a benchmark, in one way.

    Attributes:
        texts: Training texts that match.
        problems: Problems that are matched.
        share_of_texts: ``texts`` as a share of all, in [0, 1].
        share_of_problems: ``problems`` as a share of all, in [0, 1].
        examples: The first ``EXAMPLES`` matches.
    """

    texts: int
    problems: int
    share_of_texts: float
    share_of_problems: float
    examples: tuple[NGramMatch | NearDuplicate, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkOverlap:
    """What a training set has in common with a benchmark.

    Attributes:
        benchmark: Its name.
        problems: How many it has.
        runs: Texts that share a run of words with it.
        near: Texts that are nearly the same.
    """

    benchmark: str
    problems: int
    runs: Overlap
    near: Overlap


class NGramIndex:
    """Every n-gram of words of benchmarks' questions and solutions, to look training texts up in.

    What more than a share ``boilerplate`` of a benchmark's problems have in common (and more than ``FEW``) is the
    wording of its task, and matches nothing. A question of fewer than ``n`` words matches a text that is the same word
    by word.

    Args:
        n: Words in a run.
        boilerplate: Share of a benchmark's problems, in [0, 1].
    """

    def __init__(self, n: int, boilerplate: float) -> None:
        self._n, self._boilerplate = n, boilerplate
        self._known: dict[str, list[tuple[str, str]]] = {}
        self._lengths = {n}

    def add(self, name: str, problems: Texts, *, whole: bool = False) -> None:
        """Add a benchmark.

        Args:
            name: The benchmark's.
            problems: Each with its question, then its solutions.
            whole: Whether all of a text must be found, not a run of it. For generated questions, which differ by a
                number.
        """
        if whole:
            sentences = {" ".join(split_words(text)): problem for problem, texts in problems for text in texts}
            for sentence, problem in sentences.items():
                if sentence:
                    self._known.setdefault(sentence, []).append((name, problem))
                    self._lengths.add(len(sentence.split(" ")))
            return
        ngrams = {
            problem: {
                ngram for place, text in enumerate(texts) for ngram in self._split(text, self._n, short=place == 0)
            }
            for problem, texts in problems
        }
        common = Counter(ngram for found in ngrams.values() for ngram in found)
        most = max(FEW, self._boilerplate * len(problems))
        for problem, found in ngrams.items():
            for ngram in found:
                if common[ngram] <= most:
                    self._known.setdefault(ngram, []).append((name, problem))

    def find_first(self, texts: Iterable[tuple[str, Sequence[str]]]) -> Iterator[NGramMatch]:
        """Yield the first match of every training text that has one."""
        for name, parts in texts:
            first = next(self._search(name, parts), None)
            if first is not None:
                yield first

    def find_all(self, texts: Iterable[tuple[str, Sequence[str]]]) -> Iterator[NGramMatch]:
        """Yield one match for every training text and problem that share words."""
        for name, parts in texts:
            yield from {(match.benchmark, match.problem): match for match in self._search(name, parts)}.values()

    def _search(self, text: str, parts: Sequence[str]) -> Iterator[NGramMatch]:
        ngrams = (ngram for part in parts for n in sorted(self._lengths) for ngram in self._split(part, n, short=True))
        return (NGramMatch(text, *problem, ngram) for ngram in ngrams for problem in self._known.get(ngram, ()))

    def _split(self, text: str, n: int, *, short: bool) -> Iterator[str]:
        """Yield the n-grams of a text; ``short``: one of fewer words is one too. A short solution (11) says nothing."""
        words = split_words(text)
        if short and n == self._n and 0 < len(words) < n:
            yield " ".join(words)
        yield from (" ".join(words[start : start + n]) for start in range(len(words) - n + 1))


class NearDuplicateIndex:
    """Questions and solutions of benchmarks, to find training texts that are nearly the same.

    Every part of a training text (a question, an answer) is compared with every question, and every solution of
    ``LONG_ENOUGH`` words. MinHash signatures (Broder 1997) of word shingles, in bands (Leskovec et al. 2020, 3.4),
    propose pairs; the exact Jaccard similarity of their shingles decides. Texts shorter than a shingle match nothing.

    Args:
        threshold: Jaccard similarity from which two texts are near-duplicates, in (0, 1].
    """

    def __init__(self, threshold: float = NEAR) -> None:
        self._threshold = threshold
        self._problems: list[tuple[str, str, frozenset[tuple[str, ...]]]] = []
        self._banded: dict[int, list[int]] = {}

    def add(self, name: str, problems: Texts) -> None:
        """Add a benchmark, but none whose questions a generator made: these are alike by design."""
        for problem, texts in problems:
            for place, text in enumerate(texts):
                words = split_words(text)
                if len(words) < _shingle_width(words) or (place and len(words) < LONG_ENOUGH):
                    continue
                for key in _hash_bands([words])[0].tolist():
                    self._banded.setdefault(key, []).append(len(self._problems))
                self._problems.append((name, problem, make_shingles(words)))

    def find_all(self, texts: Iterable[tuple[str, Sequence[str]]]) -> Iterator[NearDuplicate]:
        """Yield every training text and problem that are nearly the same, in a question or a solution."""
        known = np.array(sorted(self._banded), np.uint64)
        left = iter(texts)
        while chunk := list(islice(left, CHUNK)):
            yield from self._search(chunk, known)

    def _search(self, texts: Texts, known_K: UInt64[np.ndarray, " K"]) -> Iterator[NearDuplicate]:
        """Search some texts; ``known_K`` are the sorted keys of all bands."""
        parts = [
            (name, words)
            for name, parts in texts
            for words in map(split_words, parts)
            if len(words) >= _shingle_width(words)
        ]
        if not parts:
            return
        keys_TB = _hash_bands([words for _, words in parts])
        shared_TB = np.isin(keys_TB, known_K)
        best: dict[tuple[str, str, str], float] = {}
        for row in np.flatnonzero(shared_TB.any(axis=1)).tolist():
            name, words = parts[row]
            found = make_shingles(words)
            for number in {one for key in keys_TB[row, shared_TB[row]].tolist() for one in self._banded[key]}:
                benchmark, problem, known = self._problems[number]
                pair = (name, benchmark, problem)
                best[pair] = max(best.get(pair, 0.0), len(found & known) / len(found | known))
        yield from (
            NearDuplicate(*pair, similarity) for pair, similarity in best.items() if similarity >= self._threshold
        )


def find_overlaps(
    texts: Texts, benchmarks: Mapping[str, Texts], *, n: int, boilerplate: float, threshold: float = NEAR
) -> list[BenchmarkOverlap]:
    """Find what a training set has in common with each benchmark.

    A text counts for every benchmark and every problem that it matches.

    Args:
        texts: The training texts.
        benchmarks: Their problems, by name.
        n: Words in a run that counts (see ``NGramIndex``).
        boilerplate: Share of a benchmark's problems that makes a run the wording of its task.
        threshold: Jaccard similarity of near-duplicates (see ``NearDuplicateIndex``).

    Returns:
        One overlap a benchmark, in their order.
    """
    ngrams, near = NGramIndex(n, boilerplate), NearDuplicateIndex(threshold)
    for name, problems in benchmarks.items():
        ngrams.add(name, problems)
        near.add(name, problems)
    shared, duplicates = list(ngrams.find_all(texts)), list(near.find_all(texts))
    return [
        BenchmarkOverlap(
            benchmark=name,
            problems=len(problems),
            runs=_count([match for match in shared if match.benchmark == name], len(texts), len(problems)),
            near=_count([match for match in duplicates if match.benchmark == name], len(texts), len(problems)),
        )
        for name, problems in benchmarks.items()
    ]


def _count(matches: Sequence[NGramMatch | NearDuplicate], texts: int, problems: int) -> Overlap:
    matching, matched = len({match.text for match in matches}), len({match.problem for match in matches})
    return Overlap(
        texts=matching,
        problems=matched,
        share_of_texts=matching / max(texts, 1),
        share_of_problems=matched / max(problems, 1),
        examples=tuple(matches[:EXAMPLES]),
    )


def make_shingles(words: Sequence[str]) -> frozenset[tuple[str, ...]]:
    """Return all runs of ``SHINGLE`` words, or of ``HAN_SHINGLE`` where more than half of them are Han characters."""
    width = _shingle_width(words)
    return frozenset(zip(*(words[start:] for start in range(width)), strict=False))


def _shingle_width(words: Sequence[str]) -> int:
    han = sum("\u3400" <= word <= "\u9fff" or "\uf900" <= word <= "\ufaff" for word in words)
    return HAN_SHINGLE if 2 * han > len(words) else SHINGLE


def _hash_bands(texts: Sequence[Sequence[str]]) -> UInt64[np.ndarray, "T B"]:
    """Hash the bands of each text's MinHash signature: equal keys, equal bands. Every text needs a shingle."""
    hashes = [_hash_shingles(words) for words in texts]
    lengths = np.array([len(each) for each in hashes])
    hashes_S, starts_T = np.concatenate(hashes), np.cumsum(lengths) - lengths
    keys_TB = np.zeros((len(texts), PERMUTATIONS // BAND), np.uint64)
    for permutation, (factor, offset) in enumerate(PERMUTED):
        minima_T = np.minimum.reduceat(hashes_S * factor + offset, starts_T)
        band_T = keys_TB[:, permutation // BAND]
        band_T *= MIX
        band_T += minima_T
    return keys_TB


def _hash_shingles(words: Sequence[str]) -> UInt64[np.ndarray, " S"]:
    """Hash each shingle, the same in every process, which Python's own hashes are not."""
    width = _shingle_width(words)
    words_W = np.fromiter((zlib.crc32(word.encode()) for word in words), np.uint64, len(words))
    hashes_S = np.zeros(len(words) - width + 1, np.uint64)
    for place in range(width):
        hashes_S = hashes_S * MIX + words_W[place : len(words) - width + 1 + place]
    return hashes_S ^ (hashes_S >> np.uint64(32))


def split_words(text: str) -> list[str]:
    """Split a text into words in one case and width, without signs."""
    return WORD.findall(unicodedata.normalize("NFKC", text).casefold())
