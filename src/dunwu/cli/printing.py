"""What commands print: JSON, or rows of label and text."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from textwrap import fill
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from dunwu.commands.sandbox_check import SandboxCheck
    from dunwu.config.fields import Field
    from dunwu.planning import Plan
    from dunwu.serve.decoding_curves import DecodingPoint

ERASE_LINE = "\r\x1b[K"


@contextmanager
def show_activity(what: str) -> Iterator[None]:
    """Show what goes on, on stderr where that is a terminal, until the block ends."""
    shown = sys.stderr.isatty()
    if shown:
        typer.echo(f"{what} ...", nl=False, err=True)
    try:
        yield
    finally:
        if shown:
            typer.echo(ERASE_LINE, nl=False, err=True)


def print_json(value: object) -> None:
    """Print an object as JSON, on one line."""
    typer.echo(json.dumps(value, ensure_ascii=False))


def print_plan(planned: Plan) -> None:
    """Print a plan: the graph, a table for each stage, the sums and what they assume."""
    from dunwu.planning.stage_rows import list_stage_rows

    for line in planned.graph:
        typer.echo(line)
    for stage in planned.stages:
        print_rows(f"{planned.recipe} / {stage.name}", list_stage_rows(stage))
    for line in planned.totals:
        typer.echo(line)
    for line in planned.assumptions:
        _print_line(f"assumed: {line}")
    for line in planned.lacks:
        _print_line(f"on this machine: {line}")


def _print_line(text: str) -> None:
    """Print a line, on a terminal broken between words."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else len(text)
    typer.echo(fill(text, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False))


def print_rows(title: str, rows: Iterable[tuple[str, ...]]) -> None:
    """Print rows as a table on a terminal, as plain lines in a pipe."""
    if not sys.stdout.isatty():
        typer.echo(title)
        for row in rows:
            typer.echo("  " + ": ".join(row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", show_header=False)
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)


def print_fields(fields: Sequence[Field]) -> None:
    """Print fields with type, default and meaning; where the first is the table of all others, as its heading."""
    from dunwu.config.fields import REQUIRED

    first, *rest = fields
    inside = f"{first.path}."
    table = bool(rest) and all(field.path.startswith(inside) for field in rest)
    if table:
        typer.echo(f"{first.path}: {first.description}")
    for field in rest if table else fields:
        default = f"default {field.default}" if field.default not in ("", REQUIRED) else field.default
        name = field.path.removeprefix(inside) if table else field.path
        typer.echo(f"\n{name} ({'; '.join(filter(None, [field.type, default]))})")
        typer.echo(fill(field.description, 78, initial_indent="  ", subsequent_indent="  "))


def format_bench(result: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield label and text of a workload: ours and each peer, in the same unit, then what else was measured."""
    rest = dict(result)
    unit, peers, unmeasured = rest.pop("unit"), rest.pop("peers"), rest.pop("not_measured", {})
    ratio, floor_share = rest.pop("ratio"), rest.pop("floor_share")
    for name, value in {"dunwu": rest.pop("ours"), **peers}.items():
        yield name, f"{value:,.1f} {unit}" if isinstance(value, float) else f"{value:,} {unit}"
    for peer, reason in unmeasured.items():
        yield peer, f"not measured: {reason}"
    if ratio is not None:
        yield "dunwu over the best peer", f"{ratio:.2f}"
    if floor_share is not None:
        yield "share of the machine's floor", f"{floor_share:.0%}"
    for side, peak in rest.pop("peak_memory_mib", {}).items():
        yield f"peak memory, {side}", "not known" if peak is None else f"{peak:,.0f} MiB"
    rest.pop("examples", None)  # pages of them; --json has them
    for name, value in rest.items():
        yield name.replace("_", " "), f"{value:,.4g}" if isinstance(value, float) else str(value)


def format_predictions(results: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield a row for each published time: its name, and beside it the prediction, interval and error."""
    rest = dict(results)
    yield "constants", ", ".join(f"{name} {value:g}" for name, value in rest.pop("constants").items())
    for part, seconds in rest.pop("fitted").items():
        yield f"fitted, {part}", "{published:.1f} s, simulated {simulated:.1f}".format(**seconds)
    for name, row in rest.items():
        text = "{published:.1f} {unit}, predicted {predicted:.1f} ({low:.1f} to {high:.1f}): {error:+.0%}"
        early = "; first 200 steps {early:.1f}: {early_error:+.0%}" if row["early"] is not None else ""
        yield name, (text + early).format(**row)


def format_decoding(points: Sequence[DecodingPoint]) -> Iterator[tuple[str, str]]:
    """Yield label and text of each way to answer: right answers, tokens, and what a guide took."""
    for point in points:
        right = "{value:.1%} ({low:.1%} to {high:.1%})".format(**asdict(point.accuracy))
        text = f"{right}, {point.tokens:,.0f} tokens"
        if point.guidance_share is not None:
            text += f", {point.guidance_share:.0%} of them guidance"
        if point.read:
            text += f", {point.read:,.0f} read"
        yield f"{point.method} {point.setting}".strip(), text


def format_sandbox(found: SandboxCheck) -> Iterator[tuple[str, str]]:
    """Yield label and text of a check of the sandbox."""
    yield "tier", str(found.tier)
    yield "attacks tried", str(found.attacks)
    yield "attacks through", ", ".join(found.breached) or "none"
    yield "tricks tried", f"{found.tricks}, each in three shapes"
    yield "faked verdicts", ", ".join(found.faked) or "none"
    yield "a trivial program", f"{found.median_ms:.1f} ms"
