"""Several ways to run one recipe, each under several seeds: what they reach and what they cost, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dunwu.analysis.comparison_table import (
    ComparisonRow,
    ComparisonTable,
    average_over_seeds,
    build_rows,
    describe_interval,
    find_bounds,
)
from dunwu.analysis.results import find_last_evaluations
from dunwu.errors import UserError
from dunwu.metrics import estimate_mean
from dunwu.runs import BASE, TRAINED, RunReader
from dunwu.runs.run_reader import read_times

MINUTES, SECONDS_AN_UPDATE, MEMORY = "minutes a run", "seconds an update", "GiB at most"
"""What a run cost, as rows are called."""


@dataclass(frozen=True, slots=True)
class Variant:
    """Runs of one recipe, alike but for their seeds."""

    name: str
    runs: Sequence[RunReader]


def read_variant(name: str, folder: Path) -> Variant:
    """Read a variant: one run, or every run in a folder, as ``dunwu reproduce`` leaves them.

    Args:
        name: What tables and figures call it.
        folder: The run or the folder.

    Raises:
        UserError: There is no run, one is not done, or two have the same seed.
    """
    own = (folder / "manifest.json").exists()
    folders = [folder] if own else sorted(path.parent for path in folder.glob("*/manifest.json"))
    if not folders:
        raise UserError("holds no run, and is none", file=folder)
    runs = [RunReader(one) for one in folders]
    for run in runs:
        if run.read_summary() is None:
            raise UserError("is not done: finish it first", file=run.directory)
    by_seed = {run.seed: run for run in runs}
    for run in runs:
        if by_seed[run.seed] is not run:
            text = f"has seed {run.seed}, as {run.directory} has: of one variant each seed counts once"
            raise UserError(text, file=by_seed[run.seed].directory)
    return Variant(name, runs)


def compare_variants(variants: Sequence[Variant]) -> list[ComparisonTable]:
    """Tabulate what trained models reach, and what it cost.

    Args:
        variants: At least two. The first is the one that the others are compared with.

    Returns:
        Means over seeds beside the base's, and the differences from the first variant over the seeds that both have.

    Raises:
        UserError: A file of a run is damaged (named).
    """
    first, counts = variants[0].name, ", ".join(f"{len(variant.runs)} of {variant.name}" for variant in variants)
    tables = {variant.name: {run.seed: _tabulate(run) for run in variant.runs} for variant in variants}
    sides, changes = [], []
    for row in average_over_seeds(list(tables[first].values())):
        if TRAINED not in row.values:
            continue
        reached = {name: _find_values(by_seed, row) for name, by_seed in tables.items()}
        bounds = find_bounds(row)
        base = {BASE: row.values[BASE]} if BASE in row.values else {}
        means = {name: estimate_mean(list(found.values()), **bounds) for name, found in reached.items() if found}
        sides.append(replace(row, values=base | means))
        pairs = {
            name: [found[seed] - reached[first][seed] for seed in sorted(found.keys() & reached[first].keys())]
            for name, found in reached.items()
            if name != first
        }
        changes.append(
            replace(row, values={name: estimate_mean(pair) for name, pair in pairs.items() if pair}, change=True)
        )
    return [
        ComparisonTable(
            title="Trained models beside each other",
            note=f"{describe_interval('over seeds')} Seeds: {counts}.",
            rows=sides,
        ),
        ComparisonTable(
            title=f"Against {first}, seed by seed",
            note=f"{describe_interval('over the seeds that both have')} Above 0: more than {first}.",
            rows=[row for row in changes if row.values],
        ),
    ]


def _find_values(by_seed: Mapping[int, Sequence[ComparisonRow]], wanted: ComparisonRow) -> dict[int, float]:
    """Return what each seed's trained model reached of what a row shows."""
    return {
        seed: row.values[TRAINED].value
        for seed, rows in by_seed.items()
        for row in rows
        if (row.benchmark, row.quantity) == (wanted.benchmark, wanted.quantity) and TRAINED in row.values
    }


def _tabulate(run: RunReader) -> list[ComparisonRow]:
    evaluated = find_last_evaluations(run)
    rows = build_rows(evaluated[1]) if evaluated else []
    return [*rows, *_list_costs(run)]


def _list_costs(run: RunReader) -> Iterator[ComparisonRow]:
    times = read_times(run.directory)
    costs = {
        SECONDS_AN_UPDATE: _average_update(run),
        MINUTES: times["seconds"] / 60 if "seconds" in times else None,
        MEMORY: times["peak_bytes"] / 2**30 if "peak_bytes" in times else None,
    }
    for quantity, value in costs.items():
        if value is not None:
            yield ComparisonRow(benchmark="", quantity=quantity, values={TRAINED: estimate_mean([value])})


def _average_update(run: RunReader) -> float | None:
    """Return the seconds of an update of the last stage that has any, its share of the rollout with it."""
    for stage in reversed(run.stages):
        if rows := run.stage(stage).read_timings():
            return sum(sum(row.values()) - row["step"] for row in rows) / rows[-1]["step"]
    return None
