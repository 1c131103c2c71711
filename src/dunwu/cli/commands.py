"""The commands that run recipes, or say what would run. What they do is imported when they are called."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from dunwu.cli.application import MOST_SAMPLES, AsJson, Overrides, RecipeName, main, parse_folder
from dunwu.cli.exits import WRONG_INPUT
from dunwu.cli.printing import print_json, print_plan, show_activity
from dunwu.errors import Interrupted, UserError
from dunwu.machine import keep_freed_memory

if TYPE_CHECKING:
    from collections.abc import Sequence


class Log(StrEnum):
    """What a run prints."""

    rich = "rich"
    quiet = "quiet"
    json = "json"


@main.command()
def run(
    recipe: RecipeName,
    overrides: Overrides = None,
    out: Annotated[
        Path | None, typer.Option(parser=parse_folder, metavar="PATH", help="Run directory; runs/NAME where not given.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the run in the directory stopped.")] = False,
    cluster: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Work on a Ray cluster: HOST:PORT of its head, auto, or local."),
    ] = None,
    log: Annotated[
        Log, typer.Option(help="What is printed: rows for people, a few lines, or a JSON object a line.")
    ] = (Log.rich),
    track: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Report to tensorboard, wandb or trackio, too. Repeatable.")
    ] = None,
) -> None:
    """Run a recipe: one stage or the whole pipeline."""
    keep_freed_memory()
    from dunwu.commands.run import run as run_recipe

    run_recipe(
        recipe, overrides=overrides or (), out=out, resume=resume, cluster=cluster, log=log.value, track=track or ()
    )


@main.command()
def plan(recipe: RecipeName, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Say what a recipe would do: memory, hours, dollars.

    Errors in a recipe show here, before a model is loaded.
    """
    from dunwu.commands.plan import plan as plan_recipe
    from dunwu.planning import report_no_plan

    try:
        with show_activity("looking at models and data"):
            planned = plan_recipe(recipe, overrides or ())
    except UserError as error:
        if as_json:
            print_json(report_no_plan(error))
        _end_with(error.each)
    if as_json:
        print_json(planned.as_json())
    elif not planned.problems:
        print_plan(planned)
    if planned.problems:
        _end_with(planned.problems)


def _end_with(problems: Sequence[UserError]) -> NoReturn:
    """Print every problem, a line each, and end."""
    for problem in problems:
        typer.echo(f"error: {problem}", err=True)
    raise typer.Exit(WRONG_INPUT)


@main.command("eval")
def evaluate(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...",
            help="A transformers folder, a GGUF file, nano-base, a run or RUN:STAGE, a hub id, http://.../v1#NAME.",
        ),
    ],
    bench: Annotated[
        list[str] | None, typer.Option("--bench", metavar="NAME", help="A benchmark or a generated task. Repeatable.")
    ] = None,
    data: Annotated[
        list[Path] | None, typer.Option("--data", metavar="FILE", help="Its file. One for each benchmark, in order.")
    ] = None,
    fields: Annotated[
        list[str] | None,
        typer.Option("--field", metavar="NAME=COLUMN", help="Columns of your own file: problem=question. Repeatable."),
    ] = None,
    samples: Annotated[
        int | None, typer.Option("-k", min=1, max=MOST_SAMPLES, help="Samples of each problem; else the benchmark's.")
    ] = None,
    problems: Annotated[int | None, typer.Option(min=1, help="Problems of each benchmark, at most; else all.")] = None,
    temperature: Annotated[float | None, typer.Option(help="0.6 where not given; 0: greedy.")] = None,
    top_p: Annotated[float | None, typer.Option(help="0.95 where not given.")] = None,
    max_new_tokens: Annotated[int | None, typer.Option(min=1, help="32768 where not given, or what fits.")] = None,
    template: Annotated[str | None, typer.Option(help="chat, r1-zero, nano, or a text with {prompt}.")] = None,
    judge: Annotated[
        str | None, typer.Option(metavar="MODEL", help="For alpaca, arena and safety: a reward model, or a server's.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same files.")] = 0,
    overrides: Overrides = None,
    out: Annotated[
        Path | None,
        typer.Option(parser=parse_folder, metavar="PATH", help="Run directory; runs/eval-... where not given."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the run in the directory stopped.")] = False,
    as_json: AsJson = False,
) -> None:
    """Measure models on benchmarks, with intervals.

    The measures are pass@1, pass@k and cons@k.
    """
    keep_freed_memory()
    from rich.console import Console

    from dunwu.monitoring.console import ConsoleProgress

    monitor = ConsoleProgress(Console(stderr=True, highlight=False) if as_json else None)
    monitor.show_activity("loading PyTorch")
    from dunwu.commands.evaluate import evaluate as measure

    run = measure(
        models,
        bench or (),
        path=data or (),
        fields=fields or (),
        samples=samples,
        problems=problems,
        temperature=temperature,
        top_p=top_p,
        max_new_tokens=max_new_tokens,
        template=template,
        judge=judge,
        seed=seed,
        overrides=overrides or (),
        out=out,
        resume=resume,
        monitor=monitor,
    )
    if as_json:
        print_json(run.read_summary())


@main.command()
def reproduce(
    recipe: RecipeName,
    overrides: Overrides = None,
    seeds: Annotated[str, typer.Option(metavar="N,...", help="Two or more.")] = "1,2,3",
    out: Annotated[
        Path | None, typer.Option(parser=parse_folder, metavar="PATH", help="Folder of the runs; runs/NAME-seeds else.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the runs that are there.")] = False,
) -> None:
    """Run a recipe under several seeds, with intervals."""
    keep_freed_memory()
    from dunwu.commands.reproduce import reproduce as run_seeds
    from dunwu.config.packaged import find_recipe_file

    try:
        numbers = [int(seed) for seed in seeds.split(",")]
    except ValueError:
        raise UserError(f"{seeds!r} is no list of whole numbers", field="--seeds") from None
    try:
        file = find_recipe_file(recipe)
        typer.echo(run_seeds(file, seeds=numbers, overrides=overrides or (), out=out, resume=resume))
    except Interrupted as error:
        raise Interrupted(f"{error}; the same command with --resume goes on") from error


@main.command()
def compare(
    variants: Annotated[
        list[str],
        typer.Argument(metavar="NAME=PATH...", help="Two or more; PATH is a run, or a folder of runs."),
    ],
    out: Annotated[Path, typer.Option(parser=parse_folder, metavar="PATH", help="Where page and figures go.")] = Path(
        "runs/compared"
    ),
) -> None:
    """Compare variants of a recipe, each over its seeds."""
    from dunwu.commands.compare import compare as compare_folders

    folders: dict[str, Path] = {}
    for text in variants:
        name, sign, path = text.partition("=")
        if not sign or not name or not path or name in folders:
            raise UserError(f"{text!r:.80}: write NAME=PATH, each name once", field="VARIANT")
        folders[name] = parse_folder(path)
    typer.echo(compare_folders(folders, out))
