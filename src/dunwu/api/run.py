"""A run directory as an object: what it measured, as dataclasses and Arrow tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dunwu.errors import UserError, did_you_mean
from dunwu.runs import RunReader, StageReader
from dunwu.types import Estimate

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a finished run says of itself, ``summary.json``.

    Attributes:
        seed: The recipe's.
        seconds: Time that all processes of the run worked, in seconds.
        results: Held-out results of the last stage that measured any: first by checkpoint or model (``base``,
            ``trained``, and ``base/SET`` beyond the first set), then by quantity (``pass@1``).
    """

    seed: int
    seconds: float
    results: Mapping[str, Mapping[str, Estimate]]


class Run:
    """A run directory, finished or not. Reading it changes nothing, and a run that goes on may be read meanwhile.

    Args:
        directory: The folder that ``dunwu run`` or ``dunwu.run`` made.

    Attributes:
        directory: The same.

    Raises:
        UserError: The folder holds no run.
    """

    def __init__(self, directory: Path | str) -> None:
        self.directory = Path(directory)
        self._reader = RunReader(self.directory)

    @property
    def recipe(self) -> Mapping[str, Any]:
        """The recipe as it ran, overrides applied, as nested tables."""
        return self._reader.recipe

    @property
    def stages(self) -> dict[str, str]:
        """The stages that have begun, in order, and the state of each: ``running`` or ``done``."""
        return self._reader.stages

    @property
    def summary(self) -> Summary | None:
        """What the run came to; None before it has ended."""
        found = self._reader.read_summary()
        if found is None:
            return None
        results = {
            name: {quantity: Estimate(**value) for quantity, value in quantities.items()}
            for name, quantities in found["results"].items()
        }
        return Summary(seed=found["seed"], seconds=found["seconds"], results=results)

    def read_summary(self) -> dict[str, Any] | None:
        """Return ``summary.json`` as it is; None before the run has ended."""
        return self._reader.read_summary()

    def metrics(self, stage: str | None = None) -> pa.Table:
        """Return the numbers of a stage, one row a rollout or update, one column a metric.

        Args:
            stage: Its name; None: the last stage that recorded any.

        Returns:
            A table that begins with the column ``step``, the updates done. A metric that a row lacks is null.

        Raises:
            UserError: No such stage, or a damaged file.
        """
        return self._stage(stage, "metrics", lambda found: bool(found.read_metrics())).read_metrics_table()

    def answers(self, stage: str | None = None, *, step: int | None = None) -> pa.Table:
        """Return what the policy wrote in training, one row a completion, with its score and its parts.

        Args:
            stage: Its name; None: the last stage that stored rollouts.
            step: One rollout, by the updates done when it had been learned from; None: all.

        Raises:
            UserError: No such stage or rollout, or a damaged file.
        """
        found = self._stage(stage, "rollouts", lambda one: bool(one.list_rollout_steps()))
        if step is not None and step not in (steps := found.list_rollout_steps()):
            raise UserError(f"no rollout of step {step}; there are {steps[0]} to {steps[-1]}", file=found.path)
        return found.read_rollout_table(step)

    def held_out_answers(self, stage: str | None = None) -> pa.Table:
        """Return the answers to held-out problems, one row an answer, with the columns ``checkpoint`` and ``set``.

        Args:
            stage: Its name; None: the last stage that was measured.

        Raises:
            UserError: No such stage, or a damaged file.
        """
        found = self._stage(stage, "evaluations", lambda one: bool(one.read_evaluations(rows=False)))
        return found.read_held_out_table()

    def results(self, stage: str | None = None) -> pa.Table:
        """Return what was measured on held-out problems, with 95 % intervals.

        Args:
            stage: Its name; None: the last stage that was measured.

        Returns:
            One row a quantity: ``checkpoint``, ``set``, ``quantity``, ``value``, ``low``, ``high``.

        Raises:
            UserError: No such stage, or a damaged file.
        """
        found = self._stage(stage, "evaluations", lambda one: bool(one.read_evaluations(rows=False)))
        return _table(
            [
                {
                    "checkpoint": evaluation.checkpoint,
                    "set": evaluation.set,
                    "quantity": quantity,
                    "value": estimate.value,
                    "low": estimate.low,
                    "high": estimate.high,
                }
                for evaluation in found.read_evaluations(rows=False)
                for quantity, estimate in evaluation.results.items()
            ]
        )

    def model(self, stage: str | None = None) -> Path:
        """Return the folder of the model that a stage made, an ordinary transformers folder.

        Args:
            stage: Its name; None: the last stage that made one.

        Raises:
            UserError: No such stage, or it has made no model yet.
        """
        return self._stage(stage, "a model", lambda one: (one.model / "config.json").is_file()).model

    def describe(self, stage: str | None = None) -> str:
        """Say what happened in a stage: whether reflection rose, and whether the training was healthy.

        Args:
            stage: Its name; None: the last stage that stored rollouts.

        Returns:
            A line on reflection, then a line for each rule of the diagnosis that had enough to go by. What is damaged
            is left out, and said.

        Raises:
            UserError: No such stage, or it stored no rollouts.
        """
        from dunwu.analysis.aha_sentences import describe_search
        from dunwu.analysis.stage_data import StageData

        found = self._stage(stage, "rollouts", lambda one: bool(one.list_rollout_steps()))
        data = StageData.read(self._reader, found.name)
        flags = [f"{'red flag' if flag.red else 'healthy'}: {flag.line}" for flag in data.diagnose()]
        return "\n".join([describe_search(data.moment_search), *flags, *data.unreadable, *data.damage])

    def _stage(self, name: str | None, what: str, has: Callable[[StageReader], bool]) -> StageReader:
        """Find a stage by its name; None: the last one that ``has`` what is asked for."""
        if name is None:
            found = [one for one in map(self._reader.stage, self.stages) if has(one)]
            if not found:
                raise UserError(f"no stage has stored {what} yet", file=self.directory)
            return found[-1]
        if name not in self.stages:
            known = ", ".join(self.stages) or "none yet"
            text = f"no stage {name!r:.60}; there are {known}{did_you_mean(name, self.stages)}"
            raise UserError(text, file=self.directory)
        stage = self._reader.stage(name)
        if not has(stage):
            raise UserError(f"stage {name!r} has not stored {what}", file=self.directory)
        return stage

    def _repr_html_(self) -> str:
        from dunwu.observatory.notebook import render_run

        return render_run(self._reader)

    def __repr__(self) -> str:
        stages = ", ".join(f"{name} {state}" for name, state in self.stages.items()) or "not begun"
        return f"Run({str(self.directory)!r}: {stages})"


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    import pyarrow as pa

    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table({name: [row.get(name) for row in rows] for name in names})
