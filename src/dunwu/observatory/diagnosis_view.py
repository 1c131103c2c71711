"""The diagnosis of a stage: every flag with its figure, and remedies for the red ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dunwu.analysis.diagnosis import Flag, describe_coverage, is_too_short
from dunwu.analysis.stage_data import StageData
from dunwu.observatory.views import Cell, Table

METHOD = (
    "Rules of thumb over windows of rollouts, with thresholds of ours: a red flag is a reason to look, and none is no "
    "proof. docs/reference/measures.md has them."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagnosisView:
    """What is healthy in a stage and what is not: a sentence, every flag, and how it was looked for."""

    verdict: str
    flags: Table
    method: str = METHOD


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthView:
    """A stage in a line: its red flags, or how many rules had enough to go by."""

    stage: str
    alarms: Sequence[str]
    coverage: str
    is_too_short: bool


def make_diagnosis_view(data: StageData) -> DiagnosisView | None:
    """Lay out the flags of a stage; None for stages without rewards, and where there is too little to go by."""
    flags = data.diagnose()
    if not flags:
        return None
    red = sum(flag.red for flag in flags)
    verdict = f"{red} of {len(flags)} flags are red." if red else f"Healthy: none of {len(flags)} flags is red."
    if is_too_short(flags):
        verdict = f"Too short to judge: {describe_coverage(flags)}."
    header = ["", "", "figure", *(["remedy"] if red else [])]
    rows = [_make_row(flag, with_remedy=bool(red)) for flag in flags]
    caption = "What was looked at, over the last rollouts"
    return DiagnosisView(verdict=verdict, flags=Table(caption=caption, header=header, rows=rows, words=(1, 2, 3)))


def make_health_views(stages: Sequence[StageData]) -> list[HealthView]:
    """Say of each stage in a line whether it is healthy, where there is enough to go by."""
    diagnosed = [(data.name, data.diagnose()) for data in stages]
    return [
        HealthView(
            stage=name,
            alarms=[flag.line for flag in flags if flag.red],
            coverage=describe_coverage(flags),
            is_too_short=is_too_short(flags),
        )
        for name, flags in diagnosed
        if flags
    ]


def _make_row(flag: Flag, *, with_remedy: bool) -> list[Cell | str]:
    state = Cell(text="red flag", tone="wrong") if flag.red else Cell(text="healthy", tone="right")
    return [flag.name, state, flag.figure, *([flag.remedy if flag.red else ""] if with_remedy else [])]
