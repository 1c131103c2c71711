"""Write the reference of the command line: what each command prints when it is asked for help."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer
from typer.testing import CliRunner

from dunwu.cli import main

PLACE = "reference/commands.md"
WIDTH = 96
START = """# Commands

This page is made from the commands themselves: it shows what `dunwu COMMAND --help` prints.
Every command ends with one of these exit codes.

| code | means |
|---|---|
| 0 | done |
| 1 | something failed; one line on stderr says what |
| 2 | an argument, a recipe or a file is wrong; one line names it |
| 3 | stopped; `--resume` goes on |
| 130 | Ctrl-C in a command that has nothing to go on with |

"""


def page() -> str:
    """Return the Markdown of the page."""
    sections = (f"## dunwu {' '.join(words)}\n\n```text\n{help_of(words)}\n```\n" for words in command_names())
    return START + "\n".join(sections)


def command_names() -> Iterator[list[str]]:
    """Yield the words of each command, ``["sandbox", "check"]``."""
    root: Any = typer.main.get_command(main)
    for name, command in root.commands.items():
        inner = getattr(command, "commands", None)
        yield from ([name, below] for below in inner) if inner else [[name]]


def help_of(words: list[str]) -> str:
    """Return what a command prints when it is asked for help."""
    result = CliRunner().invoke(main, [*words, "--help"], env={"COLUMNS": str(WIDTH)}, terminal_width=WIDTH)
    return result.stdout.strip()


def on_files(files: Any, config: Any) -> Any:
    """Add the page to the site (called by mkdocs)."""
    from mkdocs.structure.files import File

    files.append(File.generated(config, PLACE, content=page()))
    return files
