"""The figures of a run as files, for papers and slides: SVG, and PNG at twice the size."""

from __future__ import annotations

from pathlib import Path

import resvg_py

from dunwu.errors import Fault
from dunwu.observatory import figures
from dunwu.observatory.figures import Told
from dunwu.runs import RunReader
from dunwu.runs.atomic import atomic_write, make_directory

PROBE = '<svg xmlns="http://www.w3.org/2000/svg" width="20" height="20">{}</svg>'


def write_figures(run_dir: Path, folder: Path | None = None) -> list[Path]:
    """Write STAGE-TITLE.svg and .png for every figure of the report.

    Args:
        run_dir: the run.
        folder: where to; DIR/figures where it is None.

    Returns:
        The paths of what was written.

    Raises:
        UserError: the folder holds no run, or one of its files is damaged (named).
        Fault: a file cannot be written, or this machine has no font to write labels with.
    """
    run, folder = RunReader(run_dir), folder or run_dir / "figures"
    check_fonts()
    make_directory(folder)
    return [path for stage in run.stages for path in _write(folder, Told.of(run, stage))]


def check_fonts() -> None:
    """Raises Fault where a PNG would have no labels."""
    if _pixels(PROBE.format("")) == _pixels(PROBE.format('<text y="15" font-family="sans-serif">M</text>')):
        text = "no font is installed, so PNG files would have no labels (Debian: apt-get install fonts-dejavu-core)"
        raise Fault(text)


def _write(folder: Path, told: Told) -> list[Path]:
    telling, others = figures.measured(told)
    paths = []
    spent = figures.test_time_compute(told)
    levels = [chart for verdict in figures.LEVEL_BY_LEVEL.values() for chart in figures.by_level(told, verdict)]
    for chart in (*figures.learning(told), *levels, *telling, *others, *spent):
        if drawn := chart.svg():
            name = f"{told.name}-{figures.slug(chart.title)}"
            for path, content in ((folder / f"{name}.svg", drawn.encode()), (folder / f"{name}.png", _pixels(drawn))):
                atomic_write(path, content)
                paths.append(path)
    return paths


def _pixels(drawn: str) -> bytes:
    return bytes(resvg_py.svg_to_bytes(svg_string=drawn))
