"""The commands and their arguments. What they do is imported when they are called."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from contextlib import closing
from dataclasses import asdict
from enum import StrEnum
from glob import escape, glob
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict

import typer

from dunwu import __version__
from dunwu.cli.exits import DONE, WRONG_INPUT, CommandLine, ExitCodes
from dunwu.cli.printing import bench_rows, busy, print_json, print_plan, print_rows, sandbox_rows
from dunwu.cli.quiet import stops_kill
from dunwu.errors import Fault, Interrupted, UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dunwu.config.plan import Plan
    from dunwu.config.plan.obstacles import Look, Probe
    from dunwu.config.plan.preview import Preview
    from dunwu.config.schema import DataSpec, Stage, TaskSpec


main = CommandLine(
    name="dunwu",
    help="Grow reasoning in language models the way DeepSeek-R1 did.",
    cls=ExitCodes,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

sandbox = typer.Typer(help="Where a model's programs run.", no_args_is_help=True)
main.add_typer(sandbox, name="sandbox")


def complete_recipe(incomplete: str) -> list[str]:
    """Names of recipes that come with Dunwu, and TOML files and folders that begin so."""
    from dunwu.config.packaged import packaged_recipes

    names = [name for name in packaged_recipes() if name.startswith(incomplete)]
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
RESUMABLE = ("run", "eval", "reproduce")
"""Commands that go on where they were stopped, with exit code 3."""
MOST_SAMPLES = 65_536
"""Of a problem; a slip of the keys would fill the memory before anything is told."""
MOST_CHAINS = 1_000_000
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


class Bench(StrEnum):
    """What can be measured."""

    rollout = "rollout"
    step = "step"
    sft = "sft"
    rewards = "rewards"
    verify = "verify"
    sandbox = "sandbox"
    watch = "watch"
    eval = "eval"


class Log(StrEnum):
    """What a run prints."""

    rich = "rich"
    quiet = "quiet"
    json = "json"


def _folder(text: str) -> Path:
    if not text:
        raise typer.BadParameter("the name is empty")
    return Path(text)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"dunwu {__version__}")
        raise typer.Exit(DONE)


@main.callback()
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print version.")
    ] = False,
) -> None:
    """Grow reasoning in language models the way DeepSeek-R1 did."""
    if context.invoked_subcommand not in RESUMABLE:
        stops_kill()


def _let_waiting_threads_sleep() -> None:
    """To be called before torch is loaded, which reads it. Threads that spin while they wait for each other starve
    beside a busy process: on two cores the engine made 1,000 tokens/s so, and 10,500 with waiting threads asleep."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@main.command()
def run(
    recipe: RecipeName,
    overrides: Overrides = None,
    out: Annotated[
        Path | None, typer.Option(parser=_folder, metavar="PATH", help="Run directory; runs/NAME where not given.")
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
    _let_waiting_threads_sleep()
    from dunwu.config.packaged import recipe_file
    from dunwu.observatory.logs import MODES

    file, progress = recipe_file(recipe), MODES[log.value]()
    with closing(progress):
        progress.doing("checking the recipe")
        from dunwu.config.loader import load_recipe
        from dunwu.config.plan import make_plan

        loaded = load_recipe(file, overrides or ())
        folder = out or Path("runs") / loaded.name
        _refuse(make_plan(loaded, file=file, overrides=overrides or (), out=folder, **_probes(loaded.seed)))

    from dunwu.pipeline.run import run_recipe

    try:
        run_recipe(loaded, file, folder, resume, progress=progress, track=track or ())
    except Interrupted as error:
        settings = [part for text in overrides or () for part in ("--set", text)]
        settings += [part for name in track or () for part in ("--track", name)]
        settings += ["--log", log.value] if log is not Log.rich else []
        program = "dunwu" if shutil.which("dunwu") else str(Path(sys.executable).with_name("dunwu"))
        again = shlex.join([program, "run", recipe, *settings, "--out", str(folder), "--resume"])
        raise Interrupted(f"{error}; resume with: {again}") from error


@main.command()
def plan(recipe: RecipeName, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Say what a recipe would do: batches, memory, hours, dollars. Finds errors before a model is loaded."""
    from dunwu.config.loader import load_recipe
    from dunwu.config.packaged import recipe_file
    from dunwu.config.plan import make_plan, nothing_planned

    try:
        file = recipe_file(recipe)
        loaded = load_recipe(file, overrides or ())
        out = Path("runs") / loaded.name
        with busy("looking at models and data"):
            planned = make_plan(loaded, file=file, overrides=overrides or (), out=out, **_probes(loaded.seed, GLANCE))
    except UserError as error:
        if as_json:
            print_json(nothing_planned(error))
        raise
    if as_json:
        print_json(planned.as_json())
    else:
        print_plan(planned)
    if planned.problems:
        for problem in planned.problems:
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
        Path | None, typer.Option(parser=_folder, metavar="PATH", help="Run directory; runs/eval-... where not given.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the run in the directory stopped.")] = False,
    as_json: AsJson = False,
) -> None:
    """Measure models on benchmarks: pass@1, pass@k, cons@k, with intervals."""
    _let_waiting_threads_sleep()
    from rich.console import Console

    from dunwu.observatory.terminal import Progress

    progress = Progress(Console(stderr=True, highlight=False) if as_json else None)
    progress.doing("loading PyTorch")
    from dunwu.config.plan import make_plan
    from dunwu.pipeline.benchmarking import Asked, as_toml, recipe_of
    from dunwu.pipeline.run import run_recipe
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
def contamination(
    train: Annotated[Path, typer.Option("--train", metavar="FILE", help="JSON lines, CSV or Parquet to learn from.")],
    bench: Annotated[
        list[str] | None,
        typer.Option("--bench", metavar="NAME", help="A benchmark that is read from a file. Repeatable."),
    ] = None,
    data: Annotated[
        list[Path] | None, typer.Option("--data", metavar="FILE", help="Its file. One for each benchmark, in order.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say which training texts share ten words with a benchmark, or are nearly one of its texts."""
    from dunwu.pipeline.contaminating import contamination as look_for
    from dunwu.pipeline.contaminating import lines

    with busy("comparing the texts"):
        found = look_for(train, bench or (), data or ())
    if as_json:
        print_json(found)
    else:
        print_rows(f"{train}: {found['texts']:,} texts", lines(found))


@main.command()
def report(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A run directory.")],
    figures: Annotated[
        bool, typer.Option("--figures", help="Also every figure as SVG and PNG, in the folder figures beside it.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(parser=_folder, metavar="FILE", help="Where to; DIR/report.html where not given.")
    ] = None,
) -> None:
    """Write the report of a run as one HTML file, and print its path."""
    from dunwu.observatory.report import write_report

    try:
        with busy("reading the run"):
            path = write_report(directory, out)
    except Fault as error:
        raise error if out else Fault(f"{error}; --out FILE writes it elsewhere") from error
    typer.echo(path)
    if figures:
        from dunwu.observatory.export import write_figures

        folder = path.parent / "figures"
        with busy("drawing the figures"):
            written = write_figures(directory, folder)
        typer.echo(f"{folder}: {len(written):,} files")


@main.command()
def watch(
    directories: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="Run directories, or folders that hold such.")
    ],
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8765,
    browser: Annotated[bool, typer.Option("--open/--no-open", help="Open a browser.")] = True,
) -> None:
    """Watch runs in a browser, on this machine alone; Ctrl-C ends it."""
    from dunwu.observatory.web.server import serve

    def tell(address: str) -> None:
        typer.echo(f"watching at {address}; Ctrl-C ends it")
        if browser:
            import webbrowser

            webbrowser.open(address)

    serve(directories, port, tell)


@main.command()
def ablate(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A run directory.")],
    stage: Annotated[
        str | None, typer.Option(metavar="NAME", help="A finished stage of reinforcement learning; else the first.")
    ] = None,
    chains: Annotated[int, typer.Option(min=2, max=MOST_CHAINS, help="Chains that are cut, at most.")] = 200,
    samples: Annotated[
        int, typer.Option(min=1, max=MOST_SAMPLES, help="Continuations of each, without and with.")
    ] = 16,
    as_json: AsJson = False,
) -> None:
    """Cut chains before their first word of reflection; go on without and with it; compare."""
    _let_waiting_threads_sleep()
    from rich.console import Console

    from dunwu.observatory.aha.telling import effect_rows
    from dunwu.observatory.terminal import Progress

    progress = Progress(Console(stderr=True, highlight=False))
    progress.doing("loading PyTorch")
    from dunwu.pipeline.ablating import ablate as cut_and_compare

    found = asdict(cut_and_compare(directory, stage, chains, samples, progress))
    if as_json:
        print_json(found)
    else:
        print_rows("without and with reflection", effect_rows(found))


@main.command()
def reproduce(
    recipe: RecipeName,
    overrides: Overrides = None,
    seeds: Annotated[str, typer.Option(metavar="N,...", help="Two or more.")] = "1,2,3",
    out: Annotated[
        Path | None, typer.Option(parser=_folder, metavar="PATH", help="Folder of the runs; runs/NAME-seeds else.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the runs that are there.")] = False,
) -> None:
    """Run a recipe under several seeds, with intervals."""
    _let_waiting_threads_sleep()
    from dunwu.config.loader import load_recipe
    from dunwu.config.packaged import recipe_file
    from dunwu.config.plan import make_plan

    try:
        numbers = [int(seed) for seed in seeds.split(",")]
    except ValueError:
        raise UserError(f"{seeds!r} is no list of whole numbers", field="--seeds") from None
    file = recipe_file(recipe)
    loaded = load_recipe(file, overrides or ())
    folder = out or Path("runs") / f"{loaded.name}-seeds"
    with busy("checking the recipe"):
        _refuse(make_plan(loaded, file=file, overrides=overrides or (), out=folder, **_probes(loaded.seed)))

    from dunwu.pipeline.reproduce import reproduce as run_seeds

    try:
        typer.echo(run_seeds(file, folder, numbers, overrides or (), resume))
    except Interrupted as error:
        raise Interrupted(f"{error}; the same command with --resume goes on") from error


@main.command()
def bench(
    name: Annotated[
        Bench, typer.Argument(metavar="NAME", help="rollout, step, sft, rewards, verify, sandbox, watch or eval.")
    ],
    against: Annotated[
        str,
        typer.Option(
            metavar="PEER,...",
            help="rollout: hf, hf-static, vllm; step: trl; sft: trl, trl-grouped; verify: math-verify; eval: lm_eval.",
        ),
    ] = "",
    data: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="verify: golds (JSON Lines, answer); count wrong verdicts on them instead."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure a part beside its peers, in the same run."""
    from importlib import import_module

    if data and name is not Bench.verify:
        raise UserError(f"bench {name.value} takes no golds", field="--data")
    peers = tuple(peer.strip() for peer in against.split(",") if peer.strip())
    typer.echo(f"measuring {name.value}{f' beside {against}' if peers else ''}; this takes minutes ...", err=True)
    results = import_module(f"dunwu.bench.{name.value}").measure(peers, *([data] if data else []))
    if as_json:
        print_json(results)
        return
    for workload, result in results.items():
        print_rows(f"{name.value} / {workload}", bench_rows(result))


@sandbox.command("check")
def sandbox_check(as_json: AsJson = False) -> None:
    """Try to break out of the sandbox; say what got out."""
    from dunwu.bench.sandbox import check
    from dunwu.sandbox import Unavailable

    try:
        with busy("trying attacks and tricks"):
            found = check()
    except Unavailable as error:
        raise Fault(f"no safe sandbox on this machine: {error}") from error
    if as_json:
        print_json(found)
    else:
        print_rows("sandbox", sandbox_rows(found))
    if found["breached"] or found["faked"]:
        raise Fault(f"{len(found['breached'])} attacks and {len(found['faked'])} tricks got through")


class Probes(TypedDict):
    """What looks at a recipe's problems and conversations before anything runs."""

    probe: Probe
    look: Look
    preview: Preview


GLANCE = 5
"""Held-out problems of a generated task that ``plan`` draws of each set; ``run`` draws them all before it begins."""


def _probes(seed: int, generated: int | None = None) -> Probes:
    """Open tasks and files of conversations as the run will: unknown names, levels that do not exist and unreadable
    rows show here.

    Of an endless task at most ``generated`` held-out problems are drawn; None: as many as are wanted.
    """
    from dunwu import tasks
    from dunwu.tasks.conversations import look

    def open_task(spec: TaskSpec, held_out: int) -> None:
        task = tasks.build(spec, seed)
        wanted = held_out if task.size is not None or generated is None else min(held_out, generated)
        _ = task.held_out(wanted) if wanted else task.problem(0)

    def preview_template(folder: Path, stage: Stage, files: Sequence[DataSpec]) -> Mapping[str, str]:
        from dunwu.pipeline.preview import preview  # it takes seconds to import, and most recipes need none

        return preview(folder, stage, files)

    return {"probe": open_task, "look": look, "preview": preview_template}


def _refuse(planned: Plan) -> None:
    """Raises what stands in the way as one error."""
    if planned.problems:
        first, more = planned.problems[0], len(planned.problems) - 1
        message = first.message + (f" (and {more} more; dunwu plan lists them)" if more else "")
        raise UserError(message, file=first.file, field=first.field)
