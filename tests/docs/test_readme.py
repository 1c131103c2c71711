"""The README fits on a screen before its links; its figures, and those of other pages, stand with the results."""

from __future__ import annotations

import re
from itertools import takewhile

import pytest

import dunwu
from tests.docs.pages import ROOT, blocks_of

README = ROOT / "README.md"
FIGURE = re.compile(r"\d[\d,]*(?:\.\d+)?(?: %)?")


def rows_of(name: str, heading: str) -> list[list[str]]:
    """Return the cells of the tables whose first row begins with a heading."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith(heading)]
    assert starts, heading
    tables = [takewhile(lambda line: line.startswith("|"), lines[start + 2 :]) for start in starts]
    return [[cell.strip() for cell in line.strip("|").split("|")] for table in tables for line in table]


def figures_of(cell: str) -> set[str]:
    """Return the numbers of a cell, each with its per cent sign."""
    return set(FIGURE.findall(cell))


def measured() -> set[str]:
    """Return the numbers on the pages that have a command for each."""
    pages = [
        (ROOT / "docs" / name).read_text(encoding="utf-8")
        for name in ("results.md", "results-real-model.md", "results-serving.md", "benchmarks.md")
    ]
    rows = [line for page in pages for line in page.splitlines() if line.startswith("|")]
    found = {figure for row in rows for figure in FIGURE.findall(row)}
    shares = {f"{figure} %" for row in rows if "%" in row.split("|")[1] for figure in FIGURE.findall(row)}
    return found | shares


def test_all_that_a_newcomer_needs_stands_before_the_links() -> None:
    start = README.read_text(encoding="utf-8").partition("\n## ")[0]
    assert len(start.splitlines()) <= 45
    assert start.count("![") == 1
    assert "make demo " in start
    assert "make test " in start
    (code,) = [block.text for block in blocks_of(README) if block.language == "python"]
    assert len([line for line in code.splitlines() if line]) == 6


@pytest.mark.parametrize("row", rows_of("README.md", "| what you get"), ids=lambda row: row[0])
def test_figures_of_the_readme_were_measured_by_a_command(row: list[str]) -> None:
    _, figures, command = row
    assert figures_of(figures)
    assert figures_of(figures) <= measured()
    assert re.fullmatch(r"`(dunwu|make) [^`]+`", command)


def test_figures_of_the_first_page_are_those_of_the_results() -> None:
    first = {cell for row in rows_of("docs/index.md", "| 500 problems") for cell in row[1:]}
    assert first <= {cell for row in rows_of("docs/results.md", "| | base | trained |") for cell in row[1:]}


def test_ratios_of_the_comparison_were_measured() -> None:
    ratios = {row[2] for row in rows_of("docs/compare.md", "| | against | ratio |")}
    assert len(ratios) == 7
    assert ratios <= set(FIGURE.findall((ROOT / "docs/benchmarks.md").read_text(encoding="utf-8")))


def test_the_comparison_speaks_of_this_version() -> None:
    ((_, version, *others),) = [row for row in rows_of("docs/compare.md", "| | Dunwu |") if row[0] == "read"]
    assert version == dunwu.__version__
    assert all(re.search(r", \d{4}-\d{2}-\d{2}$", other) for other in others)
