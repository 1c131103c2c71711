"""Variants of a recipe side by side: numbers over seeds, differences seed by seed, costs, page and figures."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tests.made_runs import RECIPE, STAGE
from typer.testing import CliRunner

from dunwu.analysis.variants import MEMORY, MINUTES, SECONDS_AN_UPDATE, compare_variants, read_variant
from dunwu.cli import main
from dunwu.runs import BASE, TRAINED, RunWriter
from dunwu.types import Estimate


def made(folder: Path, seed: int, right: float, *, gib: float = 2.0, done: bool = True) -> None:
    """A run whose trained model has this share of right answers, after four updates of three seconds."""
    versions = {"dunwu": "0.1.0", "python": "3.11.7", "torch": "2.13.0"}
    recipe = RECIPE | {"seed": seed}
    with RunWriter.create(folder, recipe_text="", recipe_json=recipe, seed=seed, versions=versions) as run:
        stage = run.stage(STAGE)
        for checkpoint, value in ((BASE, 0.2), (TRAINED, right)):
            stage.write_evaluation(
                checkpoint, "countdown", [], {"pass@1": Estimate(value=value, low=value, high=value)}
            )
        for step in (2, 4):
            stage.append(step, {"accuracy": right / 4 * step}, {"rollout": 4.0, "update": 2.0})
        if done:
            run.write_summary({"seed": seed, "seconds": 1.0, "results": {}})
    times = {"seconds": 120.0, "began": 0.0, "ended": 1.0, "peak_bytes": gib * 2**30}
    (folder / "timings.json").write_text(json.dumps(times))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed, right in enumerate((0.5, 0.6, 0.7), start=1):
        made(tmp_path / "full" / f"seed-{seed}", seed, right)
    for seed, right in enumerate((0.55, 0.65, 0.75, 0.95), start=1):
        made(tmp_path / "small" / f"seed-{seed}", seed, right, gib=1.5)
    made(tmp_path / "one", 3, 0.9)
    return tmp_path


def test_means_over_seeds_and_differences_seed_by_seed(folder: Path) -> None:
    variants = [read_variant(name, folder / name) for name in ("full", "small", "one")]
    sides, changes = compare_variants(variants)
    rows = {row.label: row.values for row in sides.rows}
    right = rows["countdown %"]
    assert list(right) == ["base", "full", "small", "one"]
    assert [right[name].value for name in right] == pytest.approx([0.2, 0.6, 0.725, 0.9])
    assert right["full"].high - 0.6 == pytest.approx(4.303 * 0.1 / 3**0.5, rel=1e-3), "Student's, of three seeds"
    assert right["one"].low == right["one"].high
    assert {name: rows[SECONDS_AN_UPDATE][name].value for name in ("full", "small", "one")} == dict.fromkeys(
        ("full", "small", "one"), 3.0
    )
    assert rows[MINUTES]["full"].value == 2.0
    assert [rows[MEMORY][name].value for name in ("full", "small", "one")] == [2.0, 1.5, 2.0]
    assert "3 of full, 4 of small, 1 of one" in sides.note
    differences = {row.label: row.values for row in changes.rows}["countdown %"]
    assert differences["small"].value == pytest.approx(0.05), "over the seeds that both have: 1, 2 and 3"
    assert differences["small"].high - differences["small"].low == pytest.approx(0.0, abs=1e-12)
    assert differences["one"].value == pytest.approx(0.2)


def test_page_figures_and_table(folder: Path) -> None:
    variants = [f"{name}={folder / name}" for name in ("full", "small")]
    result = CliRunner().invoke(main, ["compare", *variants, "--out", str(folder / "out")])
    assert result.exit_code == 0, result.output
    page = (folder / "out" / "report.html").read_text()
    assert "3, 4 seeds" in page
    assert "Against full, seed by seed" in result.output
    svg = (folder / "out" / "right-answers-training-problems.svg").read_text()
    assert "small, 4: 72.5 % (" in svg
    assert (folder / "out" / "right-answers-training-problems.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["full={}/full"], "VARIANT: one variant compares with nothing"),
        (["full={}/full", "{}/small"], "write NAME=PATH, each name once"),
        (["full={}/full", "full={}/small"], "write NAME=PATH, each name once"),
        (["full={}/full", "small={}/empty"], "holds no run, and is none"),
        (["full={}/full", "small={}/begun"], "is not done: finish it first"),
        (["full={}/full", "small={}/twice"], "has seed 1, as .*a has: of one variant each seed counts once"),
    ],
)
def test_what_cannot_be_compared(arguments: list[str], message: str, folder: Path) -> None:
    (folder / "empty").mkdir()
    made(folder / "begun" / "a", 1, 0.5, done=False)
    for name in "ab":
        made(folder / "twice" / name, 1, 0.5)
    result = CliRunner().invoke(main, ["compare", *(text.format(folder) for text in arguments)])
    assert result.exit_code == 2
    assert re.search(message, result.output), result.output
