"""``dunwu compare``: variants of a recipe, each under several seeds, as one page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dunwu.analysis.variants import compare_variants, read_variant
from dunwu.errors import UserError
from dunwu.monitoring.console import ConsoleProgress
from dunwu.observatory.report.seeds_report import write_variants_report
from dunwu.observatory.terminal_tables import tabulate_models


def compare(folders: Mapping[str, Path], out: Path) -> Path:
    """Compare variants of a recipe: print what they reach and cost, and write OUT/report.html and its figures.

    Args:
        folders: Of each variant by its name: a run, or a folder of runs as ``dunwu reproduce`` leaves it. The others
            are compared with the first.
        out: Where page and figures go.

    Returns:
        The page's path.

    Raises:
        UserError: There are less than two, or a folder holds no finished run.
        Fault: A file cannot be written.
    """
    if len(folders) < 2:
        raise UserError("one variant compares with nothing: name two or more", field="VARIANT")
    variants = [read_variant(name, folder) for name, folder in folders.items()]
    tables = compare_variants(variants)
    console = ConsoleProgress(advises=False).console
    for table in tables:
        console.print()
        console.print(tabulate_models(table, console.width))
    return write_variants_report(out, variants, tables)[0]
