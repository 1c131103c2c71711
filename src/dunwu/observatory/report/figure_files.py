"""The figures of a run as files, for papers and slides: SVG, and PNG at twice the size."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import resvg_py

from dunwu.analysis.stage_data import StageData
from dunwu.errors import Fault
from dunwu.observatory import figures
from dunwu.observatory.charts import Chart, draw_panels
from dunwu.runs import RunReader
from dunwu.runs.atomic import atomic_write, make_directory

FAMILIES = ("DejaVu Sans", "Liberation Sans", "Noto Sans", "Arial", "Helvetica", "Segoe UI", "Roboto", "FreeSans")
"""Any of them draws labels; the first that a machine has."""
PROBE = '<svg xmlns="http://www.w3.org/2000/svg" width="20" height="20">{}</svg>'


def write_figures(run_dir: Path, folder: Path | None = None) -> list[Path]:
    """Write STAGE-TITLE.svg and .png for every figure of the report.

    Args:
        run_dir: The run.
        folder: Where to; DIR/figures where it is None.

    Returns:
        The paths of what was written.

    Raises:
        UserError: The folder holds no run, or one of its files is damaged (named).
        Fault: A file cannot be written, or this machine has no font to write labels with.
    """
    run, folder = RunReader(run_dir), folder or run_dir / "figures"
    check_fonts()
    make_directory(folder)
    return [path for stage in run.stages for path in _write_stage(folder, StageData.read(run, stage))]


def check_fonts() -> None:
    """Check that labels can be drawn.

    Raises:
        Fault: A PNG would have no labels.
    """
    if _find_family() is None:
        text = "no font is installed, so PNG files would have no labels (Debian: apt-get install fonts-dejavu-core)"
        raise Fault(text)


def write_chart(folder: Path, chart: Chart, prefix: str = "") -> list[Path]:
    """Write a figure as SVG and PNG, named by its title; nothing where no curve has points.

    Args:
        folder: Where to.
        chart: The figure.
        prefix: What the names begin with.

    Returns:
        The paths of what was written.

    Raises:
        Fault: A file cannot be written.
    """
    return write_panels(folder, [chart], f"{prefix}{figures.make_slug(chart.title)}")


def write_panels(folder: Path, charts: Sequence[Chart], name: str) -> list[Path]:
    """Write figures side by side as NAME.svg and NAME.png; nothing where no curve has points.

    Args:
        folder: Where to.
        charts: The figures, from the left.
        name: Of the files.

    Returns:
        The paths of what was written.

    Raises:
        Fault: A file cannot be written.
    """
    svg = draw_panels(charts)
    files = {folder / f"{name}.svg": svg.encode(), folder / f"{name}.png": _rasterize(svg)} if svg else {}
    for path, content in files.items():
        atomic_write(path, content)
    return list(files)


def _write_stage(folder: Path, data: StageData) -> list[Path]:
    return [path for chart in _plot_stage(data) for path in write_chart(folder, chart, f"{data.name}-")]


def _plot_stage(data: StageData) -> list[Chart]:
    levels = [chart for verdict in figures.LEVEL_TITLES.values() for chart in figures.plot_levels(data, verdict)]
    chosen, others = figures.plot_metrics(data)
    return [*figures.plot_learning(data), *levels, *chosen, *others, *figures.plot_test_time_compute(data)]


def _rasterize(svg: str) -> bytes:
    return bytes(resvg_py.svg_to_bytes(svg_string=svg, sans_serif_family=_find_family()))


@cache
def _find_family() -> str | None:
    """Find a family that draws something: by itself resvg takes a sans-serif font to be Arial, and no other."""

    def draw(content: str) -> bytes:
        return bytes(resvg_py.svg_to_bytes(svg_string=PROBE.format(content)))

    blank = draw("")
    return next((name for name in FAMILIES if draw(f'<text y="15" font-family="{name}">M</text>') != blank), None)
