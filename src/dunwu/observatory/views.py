"""Records that several pages show: tables, answers, figures. ``templates/macros.html`` turns them into HTML."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from dunwu.analysis.comparison_table import ComparisonTable
from dunwu.analysis.costs import COLUMNS, CostLine, format_costs, sum_costs
from dunwu.analysis.glosses import gloss
from dunwu.analysis.labels import describe_quantity, format_interval, format_number, label_set
from dunwu.analysis.reasoning.highlights import HighlightedText, highlight
from dunwu.analysis.results import find_base_and_trained, reads_text
from dunwu.analysis.stage_data import StageData
from dunwu.observatory.charts import Chart
from dunwu.observatory.figures import LEVEL_TITLES, plot_levels
from dunwu.runs import BASE, TRAINED, AnswerRow, Evaluation
from dunwu.types import Estimate

NOTHING = "–"
"""A cell without a value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A cell of a table that is more than its text: ``detail`` stands below it, small; ``tone`` is its colour."""

    text: str
    bold: bool = False
    detail: str = ""
    tone: Literal["", "right", "wrong"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table with its heads. ``words``: columns of text, which begin at the left and may wrap; others hold numbers."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell | str]]
    words: Collection[int] = ()
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A prompt, and in English what it asks where it is a generated Chinese one."""

    prompt: str
    gloss: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerBox:
    """One completion with its verdict; ``right`` is None where no answer is right."""

    heading: str
    right: bool | None
    note: str
    shown: HighlightedText


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerPair:
    """Two answers to the same question, side by side."""

    question: Question
    gold: str
    boxes: tuple[AnswerBox, AnswerBox]


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureGroup:
    """Charts side by side, each with data."""

    charts: Sequence[Chart]
    title: str = ""
    note: str = ""


def make_figure_group(charts: Iterable[Chart], title: str = "", note: str = "") -> FigureGroup:
    """Group charts.

    Args:
        charts: The charts; those without data are left out.
        title: What the group is called where it is folded away.
        note: How the figures are read.

    Returns:
        The record.
    """
    return FigureGroup(charts=[chart for chart in charts if chart.visible_series], title=title, note=note)


def make_question(prompt: str) -> Question:
    """Make the record of a prompt."""
    return Question(prompt=prompt, gloss=gloss(prompt))


def make_answer_box(heading: str, text: str, *, right: bool | None, note: str) -> AnswerBox:
    """Make the record of a completion.

    Args:
        heading: Whose it is.
        text: The completion.
        right: What the rule said; None where no answer is right.
        note: What else there is to say of it, in a few words.

    Returns:
        The record, with what the text shows highlighted.
    """
    return AnswerBox(heading=heading, right=right, note=note, shown=highlight(text.strip()))


def make_answer_pair(names: tuple[str, str], rows: tuple[AnswerRow, AnswerRow]) -> AnswerPair:
    """Put two answers to the same held-out problem side by side.

    Args:
        names: By whom each is.
        rows: The answers.

    Returns:
        The record.
    """
    first, second = (
        make_answer_box(
            name, row.completion, right=row.right, note=f"{row.tokens:,} tokens, {row.reflections} words of reflection"
        )
        for name, row in zip(names, rows, strict=True)
    )
    return AnswerPair(question=make_question(rows[0].prompt), gold=rows[0].gold, boxes=(first, second))


def make_result_cell(name: str, estimate: Estimate | None) -> Cell | str:
    """Make a cell of a result with its interval below it."""
    if estimate is None:
        return NOTHING
    return Cell(text=format_number(name, estimate.value, estimate), bold=True, detail=format_interval(name, estimate))


def make_evaluation_table(set_name: str, evaluations: Sequence[Evaluation]) -> Table:
    """Tabulate the results on one set.

    Args:
        set_name: The set.
        evaluations: Its evaluations.

    Returns:
        Base against trained where both are there; otherwise whatever there is, a column each.
    """
    shown = find_base_and_trained(evaluations) or evaluations
    names = dict.fromkeys(name for evaluation in shown for name in evaluation.results)
    rows = [
        [
            describe_quantity(name).label,
            *(make_result_cell(name, evaluation.results.get(name)) for evaluation in shown),
        ]
        for name in names
    ]
    sizes = [f"{evaluation.problems:,} problems, {evaluation.samples} samples each" for evaluation in shown]
    alike = len(set(sizes)) == 1
    unseen = any(e.checkpoint in (BASE, TRAINED) for e in shown)  # of other people's models nobody knows
    caption = sizes[0] if alike else "In brackets the number of problems x samples of each"
    caption += f"{',' if alike else '; problems'} that training never drew" if unseen else ""
    heads = [e.checkpoint if alike else f"{e.checkpoint} ({e.problems:,} x {e.samples})" for e in shown]
    text = reads_text(shown[0])
    return Table(
        title=set_name.capitalize() if text else label_set(set_name).capitalize(),
        caption="Ordinary text; 95 % intervals over passages" if text else f"{caption}; 95 % intervals over problems",
        header=["", *heads],
        rows=rows,
    )


def make_models_table(compared: ComparisonTable) -> Table:
    """Make the record of a comparison: a row for each benchmark, a column for each model."""
    rows = [[row.label, *(row.format_cell(model) for model in compared.models)] for row in compared.rows]
    return Table(caption=f"{compared.title}. {compared.note}", header=["", *compared.models], rows=rows)


def make_cost_table(costs: Sequence[CostLine], caption: str = "") -> Table:
    """Tabulate what the modules of a run cost, with their sum in the last row."""
    rows = [[line.stage, line.module, *format_costs(line)] for line in (*costs, sum_costs(list(costs)))]
    return Table(caption=caption, header=["stage", "module", *COLUMNS], rows=rows, words=(1,))


def make_level_groups(data: StageData) -> list[FigureGroup]:
    """Group the figures of a stage level by level."""
    return [make_figure_group(plot_levels(data, verdict), title) for title, verdict in LEVEL_TITLES.items()]
