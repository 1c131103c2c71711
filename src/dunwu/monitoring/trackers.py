"""A run's numbers for the trackers that people already have: TensorBoard, W&B, trackio, each an extra.

Every number is called STAGE/NAME and stands at the stage's own step. A resumed run goes on in the same place; steps
that it makes again are written again. A tracker that fails is told of once and left: no run ends because of one.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from dunwu.errors import NotInstalled, UserError
from dunwu.runs import RunReader


class Tracker(Protocol):
    """Where numbers go."""

    def numbers(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        """Finite numbers by their names."""

    def close(self) -> None:
        """Whatever is still to be written."""


class TensorBoard:
    """Event files in DIR/trackers/tensorboard; ``tensorboard --logdir`` shows them."""

    def __init__(self, run: RunReader) -> None:
        module = importlib.import_module("tensorboard.summary")
        self._writer: Any = module.Writer(str(run.directory / "trackers" / "tensorboard"))

    def numbers(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(f"{stage}/{name}", value, step)
        self._writer.flush()

    def close(self) -> None:
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

    def numbers(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        if stage not in self._axes:  # W&B's own step only grows; a stage begins at 0
            self._run.define_metric(f"{stage}/step")
            self._run.define_metric(f"{stage}/*", step_metric=f"{stage}/step")
            self._axes.add(stage)
        self._run.log({f"{stage}/step": step} | {f"{stage}/{name}": value for name, value in values.items()})

    def close(self) -> None:
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

    def numbers(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        self._run.log({f"{stage}/{name}": value for name, value in values.items()}, step=step)

    def close(self) -> None:
        self._run.finish()


TRACKERS: Mapping[str, Callable[[RunReader], Tracker]] = {
    "tensorboard": TensorBoard,
    "wandb": WandB,
    "trackio": Trackio,
}
"""By the names that ``dunwu run --track`` takes, which are those of their packages and extras."""


class Trackers:
    """Several trackers as one.

    Args:
        names: of ``TRACKERS``.
        run: whose numbers they get.
        tell: is given a line when one of them fails.

    Raises:
        UserError: an unknown name, or a package that is not installed.
    """

    def __init__(self, names: Sequence[str], run: RunReader, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._open: dict[str, Tracker] = {}
        for name in dict.fromkeys(names):
            begin = _maker(name)
            try:
                self._open[name] = begin(run)
            except Exception as error:
                self._tell(f"{name} cannot begin and gets no numbers: {type(error).__name__}: {error}")

    def numbers(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        """To every one of them; what is not finite is left out."""
        finite = {name: float(value) for name, value in values.items() if math.isfinite(value)}
        self._each(lambda tracker: tracker.numbers(stage, step, finite))

    def close(self) -> None:
        """Ends them all."""
        self._each(lambda tracker: tracker.close())
        self._open.clear()

    def _each(self, do: Callable[[Tracker], None]) -> None:
        for name, tracker in self._pairs():
            try:
                do(tracker)
            except Exception as error:
                self._tell(f"{name} failed and gets no more numbers: {type(error).__name__}: {error}")
                del self._open[name]

    def _pairs(self) -> Iterable[tuple[str, Tracker]]:
        return list(self._open.items())


def _maker(name: str) -> Callable[[RunReader], Tracker]:
    """Raises UserError where there is no such tracker, or its package is not installed."""
    if name not in TRACKERS:
        raise UserError(f"no tracker is called {name!r:.40}; there are {', '.join(TRACKERS)}", field="--track")
    if importlib.util.find_spec(name) is None:
        raise NotInstalled(name, name, field="--track")
    return TRACKERS[name]


def _identity(run: RunReader) -> str:
    """The same for every process of a run, another for every other run: its folder and what it was begun with."""
    text = f"{run.directory.resolve()} {run.seed} {(run.directory / 'recipe.toml').stat().st_ino}"
    return hashlib.blake2b(text.encode(), digest_size=5).hexdigest()
