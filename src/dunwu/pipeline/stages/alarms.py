"""Says during a stage what has gone wrong with it, each red flag once, and at its end how it stands."""

from __future__ import annotations

from collections.abc import Mapping

from dunwu.analysis.diagnosis import Flag, Limits, TrainingHistory, describe_coverage, diagnose, is_too_short
from dunwu.config.schema import RLStage
from dunwu.runs import BASE, TRAINED, StageReader
from dunwu.runs.checkpoints import parse_step
from dunwu.types import Estimate


class Alarms:
    """Follows a stage from wherever it stands.

    Args:
        stage: the recipe's, for the bounds.
        store: where its rollouts and evaluations are written down.
    """

    def __init__(self, stage: RLStage, store: StageReader) -> None:
        self._limits, self._store = Limits.read(stage.model_dump(mode="json", by_alias=True)), store
        self._set = next((chosen.name for chosen in stage.evaluation.sets), None)
        self._rows: list[Mapping[str, float]] = list(store.read_metrics())
        self._raised = set[str]()

    def check(self, step: int, metrics: Mapping[str, float]) -> list[str]:
        """Take a rollout's numbers in.

        Args:
            step: updates done.
            metrics: as they are stored.

        Returns:
            A line for each flag that is red for the first time.
        """
        self._rows.append({"step": float(step), **metrics})
        red = [flag for flag in self._flags() if flag.red and flag.name not in self._raised]
        self._raised |= {flag.name for flag in red}
        return [f"red flag, {flag.line}" for flag in red]

    def summarize(self) -> str:
        """Say how the stage stands in one line, or nothing where it was too short to tell."""
        flags = self._flags()
        red = [flag.name for flag in flags if flag.red]
        if not flags:
            return ""
        verdict = f"healthy ({', '.join(flag.name for flag in flags)})"
        if is_too_short(flags):
            verdict = f"too short to judge ({describe_coverage(flags)})"
        if red:
            verdict = f"{len(red)} of {len(flags)} flags red: {', '.join(red)}; the report has figures and remedies"
        return f"diagnosis: {verdict}{self._nothing_right()}"

    def _nothing_right(self) -> str:
        """Said where rollouts were graded as right or wrong and no answer ever was right."""
        graded = [row["accuracy"] for row in self._rows if "accuracy" in row]
        if not graded or any(graded):
            return ""
        earned = any(row.get("reward") for row in self._rows)
        return f"; no answer was right: {'only the other parts of the reward teach' if earned else 'nothing teaches'}"

    def _flags(self) -> list[Flag]:
        return diagnose(TrainingHistory(rows=self._rows, held_out=self._held_out(), limits=self._limits))

    def _held_out(self) -> list[tuple[float, Mapping[str, Estimate]]]:
        found = self._store.read_results(self._set) if self._set else {}
        last = self._rows[-1]["step"] if self._rows else 0.0
        ends = {BASE: 0.0, TRAINED: last}
        return [(ends[name] if name in ends else float(parse_step(name)), results) for name, results in found.items()]
