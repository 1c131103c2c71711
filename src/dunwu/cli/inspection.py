"""The commands that look at runs, files and this machine. What they do is imported when they are called."""

from __future__ import annotations

import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dunwu.cli.application import MOST_SAMPLES, AsJson, main, parse_folder
from dunwu.cli.printing import (
    format_bench,
    format_decoding,
    format_predictions,
    format_sandbox,
    print_json,
    print_rows,
    show_activity,
)
from dunwu.errors import Fault, UserError
from dunwu.machine import Dtype, keep_freed_memory

sandbox = typer.Typer(help="Where a model's programs run.", no_args_is_help=True)
main.add_typer(sandbox, name="sandbox")
MOST_CHAINS = 1_000_000


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
    serve = "serve"
    prefix = "prefix"
    cache = "cache"
    grammar = "grammar"
    risk = "risk"
    simulator = "simulator"


SIZED = (Bench.rollout, Bench.step, Bench.sft, Bench.eval)
"""What can be measured with models of several sizes."""
TYPED = (Bench.rollout, Bench.step)
"""What can be measured with weights of either type."""


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
    """Find training texts that a benchmark contains, too.

    A text is named that shares ten words in a row with a benchmark, or is nearly one of its texts.
    """
    from dunwu.commands.contamination import find_contamination, format_contamination

    def report_line(line: str) -> None:
        if not sys.stderr.isatty():  # a terminal shows what goes on
            typer.echo(line, err=True)

    with show_activity("comparing the texts"):
        found = find_contamination(train, bench or (), data or (), report_line)
    if as_json:
        print_json(found)
    else:
        print_rows(f"{train}: {found['texts']:,} texts", format_contamination(found))


@main.command()
def report(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A run directory.")],
    figures: Annotated[
        bool, typer.Option("--figures", help="Write every figure as SVG and PNG, too, in the folder figures beside it.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(parser=parse_folder, metavar="FILE", help="DIR/report.html where not given."),
    ] = None,
) -> None:
    """Write the report of a run as one HTML file.

    Prints its path.
    """
    from dunwu.commands.report import report as write_report

    with show_activity("reading the run"):
        path = write_report(directory, out)
    typer.echo(path)
    if figures:
        from dunwu.observatory.report.figure_files import write_figures

        folder = path.parent / "figures"
        with show_activity("drawing the figures"):
            written = write_figures(directory, folder)
        typer.echo(f"{folder}: {len(written):,} files")


@main.command()
def watch(
    directories: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Run directories, or folders of them.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0: any that is free.")] = 8765,
    browser: Annotated[bool, typer.Option("--open/--no-open", help="Open a browser.")] = True,
) -> None:
    """Watch runs in a browser, on this machine alone.

    Ctrl-C ends it.
    """
    from dunwu.observatory.web.server import serve

    def announce(address: str) -> None:
        typer.echo(f"watching at {address}; Ctrl-C ends it")
        if browser:
            import webbrowser

            webbrowser.open(address)

    serve(directories, port, announce)


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
    """Test whether reflection causes right answers.

    Chains are cut before their first word of reflection, continued without and with it, and compared.
    """
    keep_freed_memory()
    from rich.console import Console

    from dunwu.analysis.aha_sentences import tabulate_effect
    from dunwu.monitoring.console import ConsoleProgress

    progress = ConsoleProgress(Console(stderr=True, highlight=False))
    progress.show_activity("loading PyTorch")
    from dunwu.commands.ablate import ablate as cut_and_compare

    found = asdict(cut_and_compare(directory, stage, chains, samples, progress))
    if as_json:
        print_json(found)
    else:
        print_rows("without and with reflection", tabulate_effect(found))


@main.command()
def compare_decoding(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A run directory.")],
    guide: Annotated[
        str | None, typer.Option(metavar="RUN", help="A run that made a reward model; without one, rules guide.")
    ] = None,
    problems: Annotated[int, typer.Option(min=2, max=MOST_CHAINS, help="Held-out problems, at most.")] = 300,
    samples: Annotated[int, typer.Option(min=2, max=MOST_SAMPLES, help="Of each, which votes choose from.")] = 64,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same files.")] = 0,
    chosen: Annotated[
        str | None, typer.Option("--on", metavar="NAME", help="The evaluation set; else the first.")
    ] = None,
    out: Annotated[
        Path, typer.Option(parser=parse_folder, metavar="PATH", help="Where the figure and its numbers go.")
    ] = Path("decoding"),
    as_json: AsJson = False,
) -> None:
    """Compare ways to answer at equal tokens.

    They are greedy, votes, best of n and guided search.
    Both the model that the run began with and the trained one answer.
    """
    keep_freed_memory()
    from rich.console import Console

    from dunwu.monitoring.console import ConsoleProgress

    progress = ConsoleProgress(Console(stderr=True, highlight=False))
    progress.show_activity("loading PyTorch")
    from dunwu.commands.compare_decoding import compare_decoding as measure

    found = measure(
        directory,
        guide,
        problems=problems,
        samples=samples,
        seed=seed,
        chosen=chosen,
        out=out,
        progress=progress,
    )
    progress.close()
    if as_json:
        print_json([asdict(one) for one in found])
        return
    for one in found:
        print_rows(one.model, format_decoding(one.points))


@main.command()
def bench(
    name: Annotated[
        Bench,
        typer.Argument(
            metavar="NAME",
            show_choices=False,
            help="rollout, step, sft, rewards, verify, sandbox, watch, eval, serve, prefix, cache, grammar, risk "
            "or simulator.",
        ),
    ],
    against: Annotated[
        str,
        typer.Option(
            metavar="PEER,...",
            help="rollout: hf, hf-static, vllm, llamacpp; step: trl; each also with -bf16 appended; "
            "sft: trl, trl-grouped; verify: math-verify; eval: lm_eval; "
            "serve: transformers, llamacpp.",
        ),
    ] = "",
    size: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="rollout, step, sft, eval: a model of random weights, 1M, 10M, 50M, 135M or 600M; else the nano base.",
        ),
    ] = None,
    dtype: Annotated[
        Dtype | None,
        typer.Option(
            metavar="TYPE", help="rollout, step: of our weights, float32 or bfloat16.", show_default="float32"
        ),
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="verify: golds (JSON Lines, answer), to count wrong verdicts; risk, cache: a run."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure a part beside its peers, in the same run."""
    from importlib import import_module

    if data and name not in (Bench.verify, Bench.risk, Bench.cache):
        raise UserError(f"bench {name.value} takes no files", field="--data")
    if size is not None and name not in SIZED:
        raise UserError(f"bench {name.value} takes no size; {', '.join(SIZED)} do", field="--size")
    if dtype is not None and name not in TYPED:
        raise UserError(f"bench {name.value} takes no type; {' and '.join(TYPED)} do", field="--dtype")
    given = {"data": data, "size": size, "dtype": dtype}
    options = {key: value for key, value in given.items() if value is not None}
    peers = tuple(peer.strip() for peer in against.split(",") if peer.strip())
    typer.echo(f"measuring {name.value}{f' beside {against}' if peers else ''}; this takes minutes ...", err=True)
    results = import_module(f"dunwu.bench.{name.value}").measure(peers, **options)
    if as_json:
        print_json(results)
        return
    if name is Bench.simulator:
        print_rows(name.value, format_predictions(results))
        return
    for workload, result in results.items():
        print_rows(f"{name.value} / {workload}", format_bench(result))


@sandbox.command("check")
def sandbox_check(as_json: AsJson = False) -> None:
    """Try to break out of the sandbox, and say what got out."""
    from dunwu.commands.sandbox_check import check_sandbox
    from dunwu.sandbox import Unavailable

    try:
        with show_activity("trying attacks and tricks"):
            found = check_sandbox()
    except Unavailable as error:
        raise Fault(f"no safe sandbox on this machine: {error}") from error
    if as_json:
        print_json(asdict(found))
    else:
        print_rows("sandbox", format_sandbox(found))
    if found.breached or found.faked:
        raise Fault(f"{len(found.breached)} attacks and {len(found.faked)} tricks got through")
