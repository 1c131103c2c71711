"""Training texts that share a run of words with a benchmark (R1, arXiv 2501.12948v2: any 10-gram of a question or
solution), or are nearly the same text.

Dimensions: T texts, P permutations, W words, S shingles, B bands.
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
"""Problems of a benchmark that may share a run of words before it counts as boilerplate."""
NEAR = 0.8
"""Jaccard similarity from which two texts are near-duplicates."""
SHINGLE, HAN_SHINGLE = 3, 5
"""Words, or characters of a text that is mostly Chinese, whose runs two near-duplicates have in common."""
TELLING = 10
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
"""Of every training text its name and its parts; of every problem its name, its question, and solutions."""


class Match(NamedTuple):
    """A training text, the benchmark's problem, and the words that both have."""

    text: str
    benchmark: str
    problem: str
    words: str


class Near(NamedTuple):
    """A training text, the benchmark's problem, and the Jaccard similarity of their most similar parts."""

    text: str
    benchmark: str
    problem: str
    similarity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """How many training texts match a benchmark, how many of its problems they match, both as shares in [0, 1], and
    the first ``EXAMPLES`` matches."""

    texts: int
    problems: int
    share_of_texts: float
    share_of_problems: float
    examples: tuple[Match | Near, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkOverlap:
    """A benchmark of so many problems: ``runs`` of words that it shares with training texts, and ``near`` ones."""

    benchmark: str
    problems: int
    runs: Overlap
    near: Overlap


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
        self._known: dict[str, list[tuple[str, str]]] = {}
        self._lengths = {n}

    def add(self, name: str, problems: Sequence[tuple[str, Sequence[str]]], *, whole: bool = False) -> None:
        """A benchmark: of every problem its name, its question, and solutions. ``whole``: all of a text must be
        there, not a run of it, as where a generator poses questions that differ by a number.
        """
        if whole:
            sentences = {" ".join(words_of(text)): problem for problem, texts in problems for text in texts}
            for sentence, problem in sentences.items():
                if sentence:
                    self._known.setdefault(sentence, []).append((name, problem))
                    self._lengths.add(len(sentence.split(" ")))
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
                    self._known.setdefault(run, []).append((name, problem))

    def matches(self, texts: Iterable[tuple[str, Sequence[str]]]) -> Iterator[Match]:
        """Of every training text (its name, and its parts) the first match, where it has one."""
        for name, parts in texts:
            first = next(self._found(name, parts), None)
            if first is not None:
                yield first

    def every(self, texts: Iterable[tuple[str, Sequence[str]]]) -> Iterator[Match]:
        """Of every training text one match with each problem that it shares words with."""
        for name, parts in texts:
            yield from {(match.benchmark, match.problem): match for match in self._found(name, parts)}.values()

    def _found(self, text: str, parts: Sequence[str]) -> Iterator[Match]:
        runs = (run for part in parts for n in sorted(self._lengths) for run in self._runs(part, n, short=True))
        return (Match(text, *problem, run) for run in runs for problem in self._known.get(run, ()))

    def _runs(self, text: str, n: int, *, short: bool) -> Iterator[str]:
        """``short``: a text of fewer than ``n`` words is a run; a short solution (11, yes) says nothing."""
        words = words_of(text)
        if short and n == self._n and 0 < len(words) < n:
            yield " ".join(words)
        yield from (" ".join(words[start : start + n]) for start in range(len(words) - n + 1))


class NearDuplicates:
    """Questions and solutions of benchmarks, to look up training texts in that are nearly the same.

    Every part of a training text (a question, an answer) is held against every question, and every solution of
    ``TELLING`` words. MinHash signatures (Broder 1997) of word shingles, in bands (Leskovec et al. 2020, 3.4), propose
    pairs; the exact Jaccard similarity of their shingles decides. Texts of fewer words than a shingle match nothing.

    Args:
        threshold: Jaccard similarity from which two texts are near-duplicates, in (0, 1].
    """

    def __init__(self, threshold: float = NEAR) -> None:
        self._threshold = threshold
        self._problems: list[tuple[str, str, frozenset[tuple[str, ...]]]] = []
        self._banded: dict[int, list[int]] = {}

    def add(self, name: str, problems: Texts) -> None:
        """A benchmark. One whose questions a generator made does not belong here: they are alike by design."""
        for problem, texts in problems:
            for place, text in enumerate(texts):
                words = words_of(text)
                if len(words) < _width(words) or (place and len(words) < TELLING):
                    continue
                for key in _band_keys([words])[0].tolist():
                    self._banded.setdefault(key, []).append(len(self._problems))
                self._problems.append((name, problem, shingles(words)))

    def matches(self, texts: Iterable[tuple[str, Sequence[str]]]) -> Iterator[Near]:
        """Of every training text each problem that it is nearly the same as, in a question or a solution."""
        known = np.array(sorted(self._banded), np.uint64)
        left = iter(texts)
        while chunk := list(islice(left, CHUNK)):
            yield from self._among(chunk, known)

    def _among(self, texts: Texts, known: UInt64[np.ndarray, " K"]) -> Iterator[Near]:
        """``known``: the sorted keys of all bands."""
        parts = [
            (name, words) for name, parts in texts for words in map(words_of, parts) if len(words) >= _width(words)
        ]
        if not parts:
            return
        keys_TB = _band_keys([words for _, words in parts])
        shared_TB = np.isin(keys_TB, known)
        best: dict[tuple[str, str, str], float] = {}
        for row in np.flatnonzero(shared_TB.any(axis=1)).tolist():
            name, words = parts[row]
            found = shingles(words)
            for number in {one for key in keys_TB[row, shared_TB[row]].tolist() for one in self._banded[key]}:
                benchmark, problem, asked = self._problems[number]
                pair = (name, benchmark, problem)
                best[pair] = max(best.get(pair, 0.0), len(found & asked) / len(found | asked))
        yield from (Near(*pair, similarity) for pair, similarity in best.items() if similarity >= self._threshold)


def overlaps(
    texts: Texts, benchmarks: Mapping[str, Texts], *, n: int, boilerplate: float, threshold: float = NEAR
) -> list[BenchmarkOverlap]:
    """What a training set has in common with each benchmark: runs of ``n`` words (``Benchmarks``), and near-duplicates.

    A text counts for every benchmark and every problem that it matches.
    """
    runs, near = Benchmarks(n, boilerplate), NearDuplicates(threshold)
    for name, problems in benchmarks.items():
        runs.add(name, problems)
        near.add(name, problems)
    sharing, alike = list(runs.every(texts)), list(near.matches(texts))
    return [
        BenchmarkOverlap(
            benchmark=name,
            problems=len(problems),
            runs=_overlap([match for match in sharing if match.benchmark == name], len(texts), len(problems)),
            near=_overlap([match for match in alike if match.benchmark == name], len(texts), len(problems)),
        )
        for name, problems in benchmarks.items()
    ]


def _overlap(matches: Sequence[Match | Near], texts: int, problems: int) -> Overlap:
    matching, matched = len({match.text for match in matches}), len({match.problem for match in matches})
    return Overlap(
        texts=matching,
        problems=matched,
        share_of_texts=matching / max(texts, 1),
        share_of_problems=matched / max(problems, 1),
        examples=tuple(matches[:EXAMPLES]),
    )


def shingles(words: Sequence[str]) -> frozenset[tuple[str, ...]]:
    """All runs of ``SHINGLE`` words, or of ``HAN_SHINGLE`` where more than half of them are Han characters."""
    width = _width(words)
    return frozenset(zip(*(words[start:] for start in range(width)), strict=False))


def _width(words: Sequence[str]) -> int:
    han = sum("\u3400" <= word <= "\u9fff" or "\uf900" <= word <= "\ufaff" for word in words)
    return HAN_SHINGLE if 2 * han > len(words) else SHINGLE


def _band_keys(texts: Sequence[Sequence[str]]) -> UInt64[np.ndarray, "T B"]:
    """What the bands of each text's MinHash signature hash to: equal keys are equal bands. Every text has a shingle at
    least."""
    hashes = [_shingle_hashes(words) for words in texts]
    lengths = np.array([len(each) for each in hashes])
    hashes_S, starts_T = np.concatenate(hashes), np.cumsum(lengths) - lengths
    keys_TB = np.zeros((len(texts), PERMUTATIONS // BAND), np.uint64)
    for permutation, (factor, offset) in enumerate(PERMUTED):
        minima_T = np.minimum.reduceat(hashes_S * factor + offset, starts_T)
        band_T = keys_TB[:, permutation // BAND]
        band_T *= MIX
        band_T += minima_T
    return keys_TB


def _shingle_hashes(words: Sequence[str]) -> UInt64[np.ndarray, " S"]:
    """The same in every process, which Python's own are not."""
    width = _width(words)
    words_W = np.fromiter((zlib.crc32(word.encode()) for word in words), np.uint64, len(words))
    hashes_S = np.zeros(len(words) - width + 1, np.uint64)
    for place in range(width):
        hashes_S = hashes_S * MIX + words_W[place : len(words) - width + 1 + place]
    return hashes_S ^ (hashes_S >> np.uint64(32))


def words_of(text: str) -> list[str]:
    """In one case and width, without signs."""
    return WORD.findall(unicodedata.normalize("NFKC", text).casefold())
