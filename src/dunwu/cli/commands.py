"""The commands that run recipes, or say what would run. What they do is imported when they are called."""

from __future__ import annotations

import shlex
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn, TypedDict

import typer

from dunwu.cli.application import (
    MOST_SAMPLES,
    AsJson,
    Overrides,
    RecipeName,
    folder_name,
    let_waiting_threads_sleep,
    main,
)
from dunwu.cli.exits import WRONG_INPUT
from dunwu.cli.printing import busy, print_json, print_plan
from dunwu.errors import Fault, Interrupted, UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dunwu.config.schema import DataSpec, Stage, TaskSpec
    from dunwu.planning import Plan
    from dunwu.planning.preflight import Look, Probe
    from dunwu.planning.preview import Preview


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
        Path | None, typer.Option(parser=folder_name, metavar="PATH", help="Run directory; runs/NAME where not given.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the run in the directory stopped.")] = False,
    log: Annotated[Log, typer.Option(help="What is printed: for people, next to nothing, or a JSON object a line.")] = (
        Log.rich
    ),
    track: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Also tell tensorboard, wandb or trackio. Repeatable.")
    ] = None,
) -> None:
    """Run a recipe: one stage or the whole pipeline."""
    let_waiting_threads_sleep()
    from dunwu.config.packaged import recipe_file
    from dunwu.monitoring.json_lines import MODES

    file, progress = recipe_file(recipe), MODES[log.value]()
    with closing(progress):
        progress.doing("checking the recipe")
        from dunwu.config.loader import load_recipe
        from dunwu.planning import make_plan

        loaded = load_recipe(file, overrides or ())
        folder = out or Path("runs") / loaded.name
        planned = make_plan(loaded, file=file, overrides=overrides or (), out=folder, **_probes(loaded.seed))
        _refuse(planned, folder if resume else None)

    from dunwu.analysis.next_steps import find_program
    from dunwu.pipeline.run import run_recipe

    try:
        run_recipe(loaded, file, folder, resume, progress=progress, track=track or ())
    except Interrupted as error:
        settings = [part for text in overrides or () for part in ("--set", text)]
        settings += [part for name in track or () for part in ("--track", name)]
        settings += ["--log", log.value] if log is not Log.rich else []
        again = shlex.join([find_program(), "run", recipe, *settings, "--out", str(folder), "--resume"])
        raise Interrupted(f"{error}; resume with: {again}") from error


@main.command()
def plan(recipe: RecipeName, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Say what a recipe would do: batches, memory, hours, dollars. Finds errors before a model is loaded."""
    from dunwu.config.loader import load_recipe
    from dunwu.config.packaged import recipe_file
    from dunwu.planning import make_plan, nothing_planned
    from dunwu.planning.preview import GLANCE

    try:
        file = recipe_file(recipe)
        loaded = load_recipe(file, overrides or ())
        out = Path("runs") / loaded.name
        with busy("looking at models and data"):
            planned = make_plan(loaded, file=file, overrides=overrides or (), out=out, **_probes(loaded.seed, GLANCE))
    except UserError as error:
        if as_json:
            print_json(nothing_planned(error))
        _end_with(error.each)
    if as_json:
        print_json(planned.as_json())
    elif not planned.problems:
        print_plan(planned)
    if planned.problems:
        _end_with(planned.problems)


def _end_with(problems: Sequence[UserError]) -> NoReturn:
    """Tell every problem, a line each, and end."""
    for problem in problems:
        typer.echo(f"error: {problem}", err=True)
    raise typer.Exit(WRONG_INPUT)


@main.command("eval")
def evaluate(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...",
            help="A transformers folder, nano-base, a run or RUN:STAGE, a hub id, http://.../v1#NAME.",
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
    problems: Annotated[int | None, typer.Option(min=1, help="Of each benchmark, at most; else all.")] = None,
    temperature: Annotated[float | None, typer.Option(help="0.6 where not given; 0: greedy.")] = None,
    top_p: Annotated[float | None, typer.Option(help="0.95 where not given.")] = None,
    max_new_tokens: Annotated[int | None, typer.Option(min=1, help="32768 where not given, or what fits.")] = None,
    template: Annotated[str | None, typer.Option(help="chat, r1-zero, nano, or a text with {prompt}.")] = None,
    judge: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Of alpaca, arena and safety: a reward model, or a server's.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same files.")] = 0,
    overrides: Overrides = None,
    out: Annotated[
        Path | None,
        typer.Option(parser=folder_name, metavar="PATH", help="Run directory; runs/eval-... where not given."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the run in the directory stopped.")] = False,
    as_json: AsJson = False,
) -> None:
    """Measure models on benchmarks: pass@1, pass@k, cons@k, with intervals."""
    let_waiting_threads_sleep()
    from rich.console import Console

    from dunwu.monitoring.console import Progress

    progress = Progress(Console(stderr=True, highlight=False) if as_json else None)
    progress.doing("loading PyTorch")
    from dunwu.commands.evaluate import Asked, as_toml, recipe_of
    from dunwu.pipeline.run import run_recipe
    from dunwu.planning import make_plan
    from dunwu.runs import RunReader

    asked = Asked(
        models=models,
        benches=bench or (),
        data=data or (),
        fields=fields or (),
        samples=samples,
        problems=problems,
        temperature=temperature,
        top_p=top_p,
        max_new_tokens=max_new_tokens,
        template=template,
        judge=judge,
        seed=seed,
    )
    with closing(progress):
        progress.doing("looking at models and benchmarks")
        recipe = recipe_of(asked, overrides or (), progress)
        folder = out or Path("runs") / recipe.name
        _refuse(make_plan(recipe, overrides=overrides or (), out=folder, **_probes(seed)))
    try:
        run_recipe(recipe, None, folder, resume, progress=progress, text=as_toml(recipe))
    except (Interrupted, Fault) as error:
        again = shlex.join(["--out", str(folder), "--resume"])
        raise type(error)(f"{error}; the same command with {again} goes on") from error
    if as_json:
        print_json(RunReader(folder).read_summary())


@main.command()
def reproduce(
    recipe: RecipeName,
    overrides: Overrides = None,
    seeds: Annotated[str, typer.Option(metavar="N,...", help="Two or more.")] = "1,2,3",
    out: Annotated[
        Path | None, typer.Option(parser=folder_name, metavar="PATH", help="Folder of the runs; runs/NAME-seeds else.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the runs that are there.")] = False,
) -> None:
    """Run a recipe under several seeds, with intervals."""
    let_waiting_threads_sleep()
    from dunwu.config.loader import load_recipe
    from dunwu.config.packaged import recipe_file
    from dunwu.planning import make_plan

    try:
        numbers = [int(seed) for seed in seeds.split(",")]
    except ValueError:
        raise UserError(f"{seeds!r} is no list of whole numbers", field="--seeds") from None
    file = recipe_file(recipe)
    loaded = load_recipe(file, overrides or ())
    folder = out or Path("runs") / f"{loaded.name}-seeds"
    with busy("checking the recipe"):
        _refuse(make_plan(loaded, file=file, overrides=overrides or (), out=folder, **_probes(loaded.seed)))

    from dunwu.commands.reproduce import reproduce as run_seeds

    try:
        typer.echo(run_seeds(file, folder, numbers, overrides or (), resume))
    except Interrupted as error:
        raise Interrupted(f"{error}; the same command with --resume goes on") from error


class Probes(TypedDict):
    """What looks at a recipe's problems and conversations before anything runs."""

    probe: Probe
    look: Look
    preview: Preview


def _probes(seed: int, generated: int | None = None) -> Probes:
    """Open tasks and files of conversations as the run will: unknown names, levels that do not exist and unreadable
    rows show here.

    Of an endless task at most ``generated`` held-out problems are drawn; None: as many as are wanted.
    """
    from dunwu import tasks
    from dunwu.tasks.datasets.conversations import look

    def open_task(spec: TaskSpec, held_out: int) -> None:
        task = tasks.build(spec, seed)
        wanted = held_out if task.size is not None or generated is None else min(held_out, generated)
        _ = task.held_out(wanted) if wanted else task.problem(0)

    def preview_template(folder: Path, name: str, stage: Stage, files: Sequence[DataSpec]) -> Mapping[str, str]:
        from dunwu.commands.template_preview import preview  # it takes seconds to import, and most recipes need none

        return preview(folder, name, stage, files)

    return {"probe": open_task, "look": look, "preview": preview_template}


def _refuse(planned: Plan, resumed: Path | None = None) -> None:
    """Raises what stands in the way as one error. A run that is ``resumed`` may have been begun with other --set: its
    own recipe has them."""
    if planned.problems:
        first, more = planned.problems[0], len(planned.problems) - 1
        message = first.message + (f" (and {more} more; dunwu plan lists them)" if more else "")
        if resumed and (resumed / "recipe.json").is_file():
            from dunwu.runs import going_on

            message += f"; the run that is there goes on with: {going_on(resumed)}"
        raise UserError(message, file=first.file, field=first.field)
