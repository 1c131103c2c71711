"""``dunwu report``: a run as one HTML file."""

from __future__ import annotations

from pathlib import Path

from dunwu.api.run import Run
from dunwu.errors import Fault
from dunwu.observatory.report.report import write_report


def report(run: Run | Path | str, out: Path | str | None = None) -> Path:
    """Write the report of a run, finished or not, as one HTML file that opens offline.

    Args:
        run: The run, or its directory.
        out: Where to; None: report.html in the run directory.

    Returns:
        The file.

    Raises:
        UserError: The folder holds no run.
        Fault: The file cannot be written.
    """
    directory = run.directory if isinstance(run, Run) else Path(run)
    try:
        return write_report(directory, None if out is None else Path(out))
    except Fault as error:
        raise error if out else Fault(f"{error}; --out FILE writes it elsewhere") from error
