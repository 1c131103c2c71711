"""A run's numbers for the trackers that people already have: TensorBoard, W&B, trackio, each an extra.

Every number is called STAGE/NAME and stands at the stage's own step. A resumed run goes on in the same place; steps
that it makes again are written again. A tracker that fails is named once and left: no run ends because of one.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from dunwu.errors import NotInstalled, UserError
from dunwu.monitoring.progress import Silent
from dunwu.runs import BASE, RunReader
from dunwu.types import Estimate


class Tracker(Protocol):
    """Takes the numbers of a run."""

    def write(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        """Take numbers.

        Args:
            stage: the recipe's name of it.
            step: updates done.
            values: finite, by name.
        """

    def close(self) -> None:
        """Write whatever is left."""


class TensorBoard:
    """Event files in DIR/trackers/tensorboard; ``tensorboard --logdir`` shows them."""

    def __init__(self, run: RunReader) -> None:
        module = importlib.import_module("tensorboard.summary")
        self._writer: Any = module.Writer(str(run.directory / "trackers" / "tensorboard"))

    def write(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        """See ``Tracker``."""
        for name, value in values.items():
            self._writer.add_scalar(f"{stage}/{name}", value, step)
        self._writer.flush()

    def close(self) -> None:
        """See ``Tracker``."""
        self._writer.close()


class WandB:
    """W&B's own settings decide where it goes (WANDB_MODE=offline: DIR/trackers/wandb, for ``wandb sync``)."""

    def __init__(self, run: RunReader) -> None:
        folder = run.directory / "trackers"
        folder.mkdir(exist_ok=True)
        self._run: Any = importlib.import_module("wandb").init(
            project="dunwu",
            name=f"{run.recipe['name']}-{run.directory.name}",
            id=_identity(run),
            resume="allow",
            dir=str(folder),
            config=run.recipe,
        )
        self._axes: set[str] = set()

    def write(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        """See ``Tracker``."""
        if stage not in self._axes:  # W&B's own step only grows; a stage begins at 0
            self._run.define_metric(f"{stage}/step")
            self._run.define_metric(f"{stage}/*", step_metric=f"{stage}/step")
            self._axes.add(stage)
        self._run.log({f"{stage}/step": step} | {f"{stage}/{name}": value for name, value in values.items()})

    def close(self) -> None:
        """See ``Tracker``."""
        self._run.finish()
        importlib.import_module("wandb").teardown()  # only the end of W&B's own process says that all is written


class Trackio:
    """trackio's local database; ``trackio show`` opens it."""

    def __init__(self, run: RunReader) -> None:
        module = importlib.import_module("trackio")
        self._run: Any = module.init(
            project="dunwu",
            name=f"{run.recipe['name']}-{_identity(run)}",
            config=dict(run.recipe),
            resume="allow",
            embed=False,
        )

    def write(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        """See ``Tracker``."""
        self._run.log({f"{stage}/{name}": value for name, value in values.items()}, step=step)

    def close(self) -> None:
        """See ``Tracker``."""
        self._run.finish()


TRACKERS: Mapping[str, Callable[[RunReader], Tracker]] = {
    "tensorboard": TensorBoard,
    "wandb": WandB,
    "trackio": Trackio,
}
"""By the names that ``dunwu run --track`` takes, which are those of their packages and extras."""


class Trackers(Silent):
    """Gives the numbers of steps and evaluations to several trackers.

    Args:
        names: of ``TRACKERS``.
        run: whose numbers they get.
        message: takes a line when one of them fails.

    Raises:
        UserError: an unknown name, or a package that is not installed.
    """

    def __init__(self, names: Sequence[str], run: RunReader, message: Callable[[str], None]) -> None:
        self._message = message
        self._stage, self._step = "", 0
        self._open: dict[str, Tracker] = {}
        for name in dict.fromkeys(names):
            tracker = _find_tracker(name)
            try:
                self._open[name] = tracker(run)
            except Exception as error:
                self._message(f"{name} cannot begin and gets no numbers: {type(error).__name__}: {error}")

    def start_stage(self, name: str, description: str, *, step: int = 0) -> None:
        """Give the numbers to this stage from here on."""
        self._stage, self._step = name, step

    def log_step(self, step: int, total_steps: int, metrics: Mapping[str, float], timings: Mapping[str, float]) -> None:
        """Give them the numbers of a step."""
        self._step = step
        self._write(step, {**metrics, **timings})

    def log_evaluation(self, checkpoint: str, set_name: str, results: Mapping[str, Estimate]) -> None:
        """Give them an evaluation's: the base's at 0, others' where the stage is."""
        values = {f"{set_name}/{name}": estimate.value for name, estimate in results.items()}
        self._write(0 if checkpoint == BASE else self._step, values)

    def close(self) -> None:
        """End them all."""
        self._each(lambda tracker: tracker.close())
        self._open.clear()

    def _write(self, step: int, values: Mapping[str, float]) -> None:
        """Give finite numbers to every one of them."""
        finite = {name: float(value) for name, value in values.items() if math.isfinite(value)}
        self._each(lambda tracker: tracker.write(self._stage, step, finite))

    def _each(self, do: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._open.items()):
            try:
                do(tracker)
            except Exception as error:
                self._message(f"{name} failed and gets no more numbers: {type(error).__name__}: {error}")
                del self._open[name]


def _find_tracker(name: str) -> Callable[[RunReader], Tracker]:
    """Find a tracker by its name. Raises UserError where there is none, or its package is not installed."""
    if name not in TRACKERS:
        raise UserError(f"no tracker is called {name!r:.40}; there are {', '.join(TRACKERS)}", field="--track")
    if importlib.util.find_spec(name) is None:
        raise NotInstalled(name, name, field="--track")
    return TRACKERS[name]


def _identity(run: RunReader) -> str:
    """Name a run: the same for each of its processes, another for every other run."""
    text = f"{run.directory.resolve()} {run.seed} {(run.directory / 'recipe.toml').stat().st_ino}"
    return hashlib.blake2b(text.encode(), digest_size=5).hexdigest()
