"""The application, and the arguments that several commands share."""

from __future__ import annotations

import os
from glob import escape, glob
from pathlib import Path
from typing import Annotated

import typer

from dunwu.cli.command_line import RESUMABLE, CommandLine
from dunwu.cli.exits import DONE, ExitCodes
from dunwu.cli.signals import let_signals_kill
from dunwu.version import __version__

main = CommandLine(
    name="dunwu",
    help="Grow reasoning in language models the way DeepSeek-R1 did.",
    cls=ExitCodes,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def complete_recipe(incomplete: str) -> list[str]:
    """Return the recipes that come with Dunwu, TOML files and folders whose names begin so."""
    from dunwu.config.packaged import list_packaged_recipes

    names = [name for name in list_packaged_recipes() if name.startswith(incomplete)]
    begun = sorted(glob(f"{escape(incomplete)}*"))
    return [*names, *(f"{path}/" for path in begun if os.path.isdir(path)), *(p for p in begun if p.endswith(".toml"))]


RecipeName = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE",
        help="A TOML file, or a recipe that comes with Dunwu by its name: nano/r1-zero; dunwu recipes lists them.",
        autocompletion=complete_recipe,
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Override a field, e.g. stages.zero.steps=160. Repeatable."),
]
MOST_SAMPLES = 65_536
"""Samples of a problem, at most; a typing error would fill the memory before anything is printed."""
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


def parse_folder(text: str) -> Path:
    """Return the folder that an option names.

    Raises:
        BadParameter: The name is empty.
    """
    if not text:
        raise typer.BadParameter("the name is empty")
    return Path(text)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"dunwu {__version__}")
        raise typer.Exit(DONE)


@main.callback()
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print version.")
    ] = False,
) -> None:
    """Grow reasoning in language models the way DeepSeek-R1 did."""
    if context.invoked_subcommand not in RESUMABLE:
        let_signals_kill()
