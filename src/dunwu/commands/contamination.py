"""``dunwu contamination``: what a training file has in common with benchmarks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dunwu.commands.evaluate import blame_options, make_task, match_files
from dunwu.config.schema import DecontaminationSpec, TaskSpec
from dunwu.errors import UserError, counted
from dunwu.evaluation.benchmarks import BENCHMARKS
from dunwu.evaluation.contamination import Overlap, find_overlaps
from dunwu.tasks.datasets.files import read_problem_texts
from dunwu.tasks.datasets.readers import read_rows
from dunwu.tasks.datasets.rows import Row

LONGEST = 2**26
"""Bytes of a row."""


def find_contamination(
    train: Path, benchmarks: Sequence[str], data: Sequence[Path], log: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Find what a training file has in common with benchmarks.

    Args:
        train: JSON lines, CSV or Parquet; all texts of a row count, messages and columns alike.
        benchmarks: Benchmarks that are read from a file, by name.
        data: Their files, in this order.
        log: Takes a line once the benchmarks are read, and the longer work begins.

    Returns:
        ``{"train", "texts", "unreadable", "words", "benchmarks": {NAME: {"problems", "runs": {"texts", "problems",
        "share_of_texts", "share_of_problems", "examples"}, "near": {...}}}}``; shares lie in [0, 1].

    Raises:
        UserError: A file cannot be read, or holds no text; a benchmark is unknown or generated.
    """
    spec, known = DecontaminationSpec(), dict[str, list[tuple[str, list[str]]]]()
    for name, path in match_files(benchmarks, data):
        if name not in BENCHMARKS:
            raise UserError(
                f"{name} generates its problems: there is no file to hold anything against", field="--bench"
            )
        if name in known:
            raise UserError(f"{name} is named twice: its problems would be counted together", field="--bench")
        with blame_options(columns=False):
            known[name] = list(read_problem_texts(TaskSpec.model_validate(make_task(name, path))).items())
    log(f"reading {train}: {counted(sum(map(len, known.values())), 'benchmark problem')} to look for")
    texts, unreadable = list[tuple[str, list[str]]](), 0
    for row in read_rows(train, LONGEST):
        found = list(_read_texts(list(row.values.values()))) if isinstance(row, Row) else []
        unreadable += not found
        texts += [(f"line {row.line}", found)] if found else []
    if not texts:
        raise UserError("holds no text", file=train, field="--train")
    shared = find_overlaps(texts, known, n=spec.words, boilerplate=spec.boilerplate)
    return {
        "train": str(train),
        "texts": len(texts),
        "unreadable": unreadable,
        "words": spec.words,
        "benchmarks": {
            one.benchmark: {"problems": one.problems, "runs": _to_json(one.runs), "near": _to_json(one.near)}
            for one in shared
        },
    }


def format_contamination(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield label and text of what :func:`find_contamination` found."""
    if found["unreadable"]:
        yield "not looked at", f"{counted(found['unreadable'], 'row')} without text, or unreadable"
    for name, one in found["benchmarks"].items():
        for kind, shared in (("runs", f"share {found['words']} words in a row"), ("near", "are nearly the same")):
            part = one[kind]
            shares = f"{part['texts']:,} of {found['texts']:,} texts {shared}, with {part['problems']:,} of "
            yield f"{name}, {kind}", f"{shares}{one['problems']:,} problems ({part['share_of_problems']:.1%})"
            for example in part["examples"][:3]:
                said = repr(example["words"]) if "words" in example else f"similarity {example['similarity']:.2f}"
                yield f"  {example['text']}", f"{example['problem']}: {said}"


def _read_texts(value: object) -> Iterator[str]:
    """Yield every text in a row, in its order; of messages the content alone. A list may be written as JSON."""
    if isinstance(value, str) and value.lstrip().startswith("[{"):
        with suppress(ValueError, RecursionError):
            value = json.loads(value)
    if isinstance(value, str) and value.strip():
        yield value
    elif isinstance(value, dict):
        yield from _read_texts(value["content"] if "role" in value and "content" in value else list(value.values()))
    elif isinstance(value, list):
        for entry in value:
            yield from _read_texts(entry)


def _to_json(overlap: Overlap) -> dict[str, Any]:
    return asdict(overlap) | {"examples": [one._asdict() for one in overlap.examples]}
