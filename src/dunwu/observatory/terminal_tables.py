"""Tables and texts side by side for the terminal. What a model wrote is shown as text, never as markup."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from dunwu.analysis import comparison_table, costs
from dunwu.analysis.labels import describe_quantity, format_interval, format_number, format_p_value, sanitize
from dunwu.analysis.paper_costs import describe_paper_costs
from dunwu.analysis.reasoning import reflection
from dunwu.analysis.results import (
    EvaluationsBySet,
    find_base_and_trained,
    find_last_evaluations,
    group_outcomes,
    is_model_comparison,
    read_paired_tests,
    reads_text,
)
from dunwu.errors import counted
from dunwu.runs import BASE, TRAINED, AnswerRow, PairedTest, RunReader
from dunwu.types import Estimate

SHOWN_CHARACTERS = 3000
MOST_PAIRS = 12
CHOSEN_FROM = 50
"""Typical pairs among which one in English is looked for."""


def summarize_run(run: RunReader, width: int) -> Iterator[RenderableType]:
    """Show how a run ended: what it cost, base against trained, a problem that training mended, paired tests.

    Args:
        run: A run that is done.
        width: Columns of the terminal.

    Yields:
        Tables and texts in their order; empty texts stand between them.
    """
    lines = list(costs.read_costs(run))
    if len(run.stages) > 1 and lines:
        yield Text("")
        yield tabulate_costs(lines)
        if costs.is_comparable_to_paper(run):
            yield Text(describe_paper_costs(), style="dim")
    if found := find_last_evaluations(run):
        stage, by_set = found
        yield Text("")
        models = is_model_comparison(run, stage)
        yield tabulate_models(comparison_table.compare_models(by_set), width) if models else tabulate_results(by_set)
        if pair := choose_pair(by_set):
            yield Text("")
            yield lay_out_pair(*pair)
        if models:
            yield from describe_pairs(read_paired_tests(run, by_set))


def describe_pairs(pairs: Sequence[PairedTest]) -> Iterator[Text]:
    """Write each paired test as a line, the better model first; of many only how many there are."""
    if len(pairs) > MOST_PAIRS:
        yield Text(f"{len(pairs):,} paired tests of these models stand in the report.", style="dim")
        return
    for pair in pairs:
        better, other, more = pair.model, pair.against, pair.difference
        if more.value < 0:  # the better one comes first, in whatever order they were named
            better, other, more = other, better, Estimate(value=-more.value, low=-more.high, high=-more.low)
        value, low, high = (f"{100 * bound:+.1f}" for bound in astuple(more))
        text = f"{better} against {other} on {pair.set}: {value} points ({low} to {high}), "
        yield Text(f"{sanitize(text)}p {format_p_value(pair.p)}; the same {counted(pair.problems, 'problem')}")


def tabulate_results(by_set: EvaluationsBySet) -> RenderableType:
    """Tabulate base against trained, or models side by side, with 95 % intervals; a table for each set."""
    tables: list[RenderableType] = []
    for set_name, evaluations in by_set.items():
        shown = find_base_and_trained(evaluations) or evaluations
        problems = max((evaluation.problems for evaluation in shown), default=0)
        what = "ordinary text" if reads_text(shown[0]) else f"{problems:,} held-out problems"
        title = Text(f"{sanitize(set_name)}: {what}", style="bold")
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
        table.add_column("")
        for evaluation in shown:
            table.add_column(sanitize(evaluation.checkpoint), justify="right")
        for name in dict.fromkeys(name for evaluation in shown for name in evaluation.results):
            cells = [_make_cell(name, evaluation.results.get(name)) for evaluation in shown]
            table.add_row(Text(sanitize(describe_quantity(name).label)), *cells)
        tables.append(table)
    return Group(*tables, Text("In brackets: 95 % intervals.", style="dim"))


def tabulate_models(shown: comparison_table.ComparisonTable, width: int) -> RenderableType:
    """Tabulate models side by side, a row a benchmark.

    Args:
        shown: The comparison.
        width: Columns of the terminal.

    Returns:
        As many tables as it takes so that no number is cut.
    """
    labels, names = [sanitize(row.label) for row in shown.rows], [sanitize(model) for model in shown.models]
    room = width - max(map(len, labels))
    cell = max(len(row.format_cell(model)) for row in shown.rows for model in shown.models)
    cell = max(cell, min(max(map(len, names)), room // len(names) - 1))
    fitting = max(1, room // (cell + 1))
    tables = []
    for start in range(0, len(shown.models), fitting):
        models = shown.models[start : start + fitting]
        table = Table(box=SIMPLE_HEAD, padding=0, show_edge=False)
        table.add_column("", no_wrap=True)
        for model in models:  # names go over lines instead
            name = sanitize(model) if len(sanitize(model)) <= cell else sanitize(model).replace("-", "-\n")
            table.add_column(name, justify="right", width=cell, overflow="fold")
        for label, row in zip(labels, shown.rows, strict=True):
            table.add_row(Text(label), *(Text(row.format_cell(model)) for model in models))
        tables.append(table)
    return Group(Text(shown.title, style="bold"), *tables, Text(shown.note, style="dim"))


def tabulate_costs(lines: list[costs.CostLine]) -> RenderableType:
    """Tabulate what each module of each stage cost."""
    title = Text("What it cost; FLOPs as estimated from the model's shape", style="bold")
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 0, 0, 1), show_edge=False)
    table.add_column("", no_wrap=True)
    for head in costs.COLUMNS:
        table.add_column(head, justify="right")
    for line in (*lines, costs.sum_costs(lines)):
        table.add_row(Text(sanitize(f"{line.stage} {line.module}".strip())), *costs.format_costs(line))
    return table


def lay_out_pair(before: AnswerRow, after: AnswerRow) -> RenderableType:
    """Put the answers of base and trained model to a held-out problem side by side, words of reflection marked."""
    heading = Text.assemble(
        ("A held-out problem: ", "bold"), sanitize(before.prompt.strip()), f"\nA right answer: {sanitize(before.gold)}"
    )
    answers = Table.grid(expand=True)
    for _ in range(2):
        answers.add_column(ratio=1)
    answers.add_row(_make_panel(BASE, before), _make_panel(TRAINED, after))
    return Group(heading, answers)


def choose_pair(by_set: EvaluationsBySet) -> tuple[AnswerRow, AnswerRow] | None:
    """Choose a typical pair of the first set, of a kind that training mended where there is one; English ones first."""
    pair = find_base_and_trained(next(iter(by_set.values())))
    found = group_outcomes(*pair, examples=CHOSEN_FROM) if pair else []
    if not found:
        return None
    return min(found[0].examples, key=lambda rows: rows[0].language != "en")


def _make_cell(name: str, estimate: Estimate | None) -> Text:
    if estimate is None:
        return Text("-")
    return Text.assemble(
        (format_number(name, estimate.value, estimate), "bold"), (f" [{format_interval(name, estimate)}]", "dim")
    )


def _make_panel(checkpoint: str, row: AnswerRow) -> Panel:
    shown = sanitize(row.completion.strip())
    more = len(shown) - SHOWN_CHARACTERS
    text = Text(
        shown if more <= 0 else f"{shown[:SHOWN_CHARACTERS]}\n... and {more:,} characters more", overflow="fold"
    )
    for start, end in reflection.find_reflections(text.plain):
        text.stylize("bold yellow", start, end)
    verdicts = {True: ("right", "green"), False: ("wrong", "red"), None: ("open question", "none")}
    verdict, colour = verdicts[row.right]
    title = Text(f"{checkpoint}: {verdict}, reflects {counted(row.reflections or 0, 'time')}")
    return Panel(text, title=title, border_style=colour)
