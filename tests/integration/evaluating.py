"""``dunwu eval`` as tests call it."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner, Result

from dunwu.cli import main


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["eval", *map(str, arguments)])


def asking(files: dict[str, Path], *names: str) -> list[str]:
    """The options that measure these."""
    return [part for name in names for part in ("--bench", name, "--data", str(files[name]))]
