"""The command that writes a model for other programs. What it does is imported when it is called."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dunwu.cli.application import AsJson, main, parse_folder
from dunwu.cli.printing import print_json, print_rows
from dunwu.machine import keep_freed_memory

if TYPE_CHECKING:
    from dunwu.commands.export import Exported
    from dunwu.exporting.check import ExportCheck


class Form(StrEnum):
    """What a model can be written as."""

    hf = "hf"
    gguf = "gguf"
    ollama = "ollama"


@main.command()
def export(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="A run or RUN:STAGE, a transformers folder, a GGUF file, nano-base, a hub id."
        ),
    ],
    to: Annotated[
        Form, typer.Option(help="A folder for transformers; a file for llama.cpp; that with a Modelfile for Ollama.")
    ] = Form.gguf,
    out: Annotated[
        Path | None,
        typer.Option(parser=parse_folder, metavar="PATH", help="The folder or file; exports/... where not given."),
    ] = None,
    encoding: Annotated[
        str | None,
        typer.Option(
            "--type",
            metavar="TYPE",
            help="f32, f16, bf16; gguf, ollama: q8_0, q5_0, q4_0, too. Else f32, or a folder's as it is.",
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="gguf, ollama: compare it with the model in llama.cpp. What differs is kept as PATH.unchecked.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write a model for transformers, llama.cpp or Ollama.

    Exit code 1: what was checked differs beyond its bounds.
    """
    from dunwu.exporting.options import check_options

    check_options(model, to.value, out, encoding, check=check)  # now: torch takes seconds to load
    keep_freed_memory()
    from rich.console import Console

    from dunwu.monitoring.console import ConsoleProgress

    progress = ConsoleProgress(Console(stderr=True, highlight=False))
    progress.show_activity("loading PyTorch")
    from dunwu.commands.export import ExportDiffers
    from dunwu.commands.export import export as write

    try:
        exported = write(model, to.value, out, encoding=encoding, check=check, monitor=progress)
    except ExportDiffers as differs:
        _print(differs.exported, as_json)
        raise
    _print(exported, as_json)


def _print(exported: Exported, as_json: bool) -> None:
    if as_json:
        print_json(asdict(exported) | {"path": str(exported.path)})
        return
    if exported.check is not None:
        print_rows(f"{exported.path.name} in {exported.check.runtime}", _format(exported.check))
    typer.echo(exported.path)


def _format(found: ExportCheck) -> Iterator[tuple[str, str]]:
    """Yield label and text of a check."""
    cut = f"cut at {found.new_tokens} tokens"
    yield "greedy answers that are equal", f"{found.equal_answers} of {found.questions}, {cut}"
    for question, our, their in found.different:
        yield "  asked", _shorten(question)
        yield "  here", _shorten(_from_first_difference(our, their))
        yield "  there", _shorten(_from_first_difference(their, our))
    largest, mean = found.largest_difference, found.mean_difference
    yield "log-probabilities of first tokens", f"differ by {largest:.2g} at most, {mean:.2g} on average"
    yield "texts cut alike as questions", f"{found.equal_asked:,} of {found.texts:,}"
    yield "texts cut alike as they stand", f"{found.equal_bare:,} of {found.texts:,}"
    for reason, count in found.explained.items():
        yield "  otherwise", f"{count:,} {reason}"
    for text in found.unexplained:
        yield "  otherwise, unexplained", _shorten(repr(text))
    yield "verdict", "differs: " + "; ".join(found.problems) if found.problems else "good"


def _from_first_difference(text: str, other: str) -> str:
    """Return a text from a little before where it leaves another one."""
    place = next((at for at, (one, two) in enumerate(zip(text, other, strict=False)) if one != two), len(other))
    return text[max(0, place - 20) :]


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else f"{line[:60]} ..."
