"""The commands about recipes themselves: which there are, a copy to edit, what their fields mean."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from dunwu.cli.application import AsJson, complete_recipe, main
from dunwu.cli.printing import print_fields, print_json, print_rows
from dunwu.errors import UserError


@main.command()
def recipes(as_json: AsJson = False) -> None:
    """List the recipes that come with Dunwu.

    The commands run, plan, init and reproduce take their names.
    """
    from dunwu.config.packaged import list_packaged_recipes, read_recipe_summary

    found = {name: read_recipe_summary(path) for name, path in list_packaged_recipes().items()}
    if as_json:
        print_json(found)
    else:
        print_rows("recipes, for dunwu run NAME and dunwu init NAME", found.items())


@main.command()
def init(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A recipe, e.g. nano/r1-zero.", autocompletion=complete_recipe)
    ],
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="The copy; NAME.toml here if not given.")] = None,
) -> None:
    """Copy a recipe to a file of your own, to edit and run."""
    from dunwu.config.packaged import find_recipe_file

    source = find_recipe_file(name)
    copy = file or Path(source.name)
    try:
        with copy.open("x", encoding="utf-8") as out:
            out.write(source.read_text(encoding="utf-8"))
    except FileExistsError:
        raise UserError("is there already; name another file", file=copy) from None
    except OSError as error:
        raise UserError(f"cannot be written: {error.strerror}", file=copy) from None
    typer.echo(f"{copy}: edit it; then: dunwu plan {copy}, dunwu run {copy}; dunwu schema FIELD says what a field does")


@main.command()
def schema(
    field: Annotated[
        str, typer.Argument(metavar="FIELD", help="E.g. stages.zero.rollout or group_size; else the top of a recipe.")
    ] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object; without FIELD a JSON schema, for editors.")
    ] = False,
) -> None:
    """Explain the fields of a recipe: type, default, meaning."""
    from dunwu.config.fields import find_fields, make_json_schema

    if as_json and not field:
        typer.echo(json.dumps(make_json_schema(), indent=2, ensure_ascii=False))
    elif as_json:
        print_json([asdict(found) for found in find_fields(field)])
    else:
        print_fields(find_fields(field))
