"""The diagnosis of a stage as a part of a page: every flag with its figure, and remedies for the red ones."""

from __future__ import annotations

from collections.abc import Sequence

from dunwu.analysis.diagnosis import Flag, Limits, TrainingHistory, describe_coverage, diagnose, is_too_short
from dunwu.observatory.figures import Told, place_of
from dunwu.observatory.report import page

METHOD = (
    "Rules of thumb over windows of rollouts, with thresholds of ours: a red flag is a reason to look, and none is no "
    "proof. docs/reference/measures.md has them."
)


def diagnosis_section(told: Told) -> str:
    """Lay out what is healthy and what is not.

    Args:
        told: a stage with what it has written so far.

    Returns:
        A section of HTML; nothing for stages without rewards, and where there is too little to go by.
    """
    flags = flags_of(told)
    if not flags:
        return ""
    red = sum(flag.red for flag in flags)
    verdict = f"{red} of {len(flags)} flags are red." if red else f"Healthy: none of {len(flags)} flags is red."
    if is_too_short(flags):
        verdict = f"Too short to judge: {describe_coverage(flags)}."
    rows = [[page.text(flag.name), _verdict(flag), page.text(flag.figure)] for flag in flags]
    heads = ["", "", "figure"]
    if red:
        heads, rows = [*heads, "remedy"], [[*row, _remedy(flag)] for row, flag in zip(rows, flags, strict=True)]
    table = page.table("What was looked at, over the last rollouts", heads, rows, words=range(1, len(heads)))
    return (
        f'<section><h3>Is it healthy?</h3><p class="verdict">{verdict}</p>{table}'
        f'<p class="note">{page.text(METHOD)}</p></section>'
    )


def diagnosis_lines(stages: Sequence[Told]) -> str:
    """Say of each stage with rewards, in a line or two, whether it is healthy.

    Args:
        stages: of a run, as far as they have come.

    Returns:
        A section of HTML; nothing where there is too little to go by.
    """
    lines = []
    for told in stages:
        if flags := flags_of(told):
            red = [f"<p>{_verdict(flag)}, {page.text(flag.line)}</p>" for flag in flags if flag.red]
            healthy = "too short to judge" if is_too_short(flags) else '<span class="right">healthy</span>'
            shown = "".join(red) or f"<p>{healthy}; {describe_coverage(flags)}</p>"
            lines.append(f"<dt>{page.text(told.name)}</dt><dd>{shown}</dd>")
    return f'<h2>Is it healthy?</h2><dl class="moments">{"".join(lines)}</dl>' if lines else ""


def flags_of(told: Told) -> list[Flag]:
    """Diagnose a stage from what it has written so far; no flags for stages without rewards."""
    recipe = told.run.recipe["stages"].get(told.name, {})
    if recipe.get("kind") != "rl":
        return []
    evaluations = next(iter(told.by_set.values()), [])
    held_out = [(place_of(evaluation, told.last_step), evaluation.results) for evaluation in evaluations]
    return diagnose(TrainingHistory(rows=told.metrics, held_out=held_out, limits=Limits.read(recipe)))


def _verdict(flag: Flag) -> str:
    return '<span class="wrong">red flag</span>' if flag.red else '<span class="right">healthy</span>'


def _remedy(flag: Flag) -> str:
    return page.text(flag.remedy) if flag.red else ""
