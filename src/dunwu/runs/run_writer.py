"""Writing a run directory: begun once, resumed any number of times, by one process at a time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from dunwu.errors import UserError
from dunwu.machine import read_peak_memory
from dunwu.runs.atomic import atomic_remove, atomic_write, make_directory, recover
from dunwu.runs.lock import DirectoryLock
from dunwu.runs.recipe_changes import find_changes, is_free
from dunwu.runs.run_reader import RunReader, read_times
from dunwu.runs.run_state import forget_end, format_resume_command, record_end
from dunwu.runs.stage_reader import StageReader, require_name
from dunwu.runs.stage_writer import StageWriter, Writing
from dunwu.runs.upgrade import SCHEMA_VERSION


class RunWriter(RunReader):
    """The one process that writes a run directory; a context manager that holds its lock."""

    def __init__(self, directory: Path, lock: DirectoryLock) -> None:
        self._lock, self._was_done = lock, False
        super().__init__(directory)

    @classmethod
    def create(
        cls,
        directory: Path,
        *,
        recipe_text: str,
        recipe_json: Mapping[str, Any],
        seed: int,
        versions: Mapping[str, str],
        take_lock: Callable[[Path], DirectoryLock] = DirectoryLock,
    ) -> Self:
        """Begin a run in a new or empty directory.

        Args:
            directory: Made where it is missing.
            recipe_text: The recipe as given (recipe.toml).
            recipe_json: The recipe as validated, overrides applied: ``recipe.model_dump(mode="json", by_alias=True)``.
            seed: The run's seed.
            versions: Package name to version.
            take_lock: Takes the lock of a directory.

        Raises:
            UserError: The directory holds a run or other files, or another process uses it.
        """
        _require_free(directory)
        make_directory(directory)
        lock = take_lock(directory)
        try:
            _require_free(directory)  # again: between look and lock another process may have begun
            recover(directory)
            atomic_remove(directory / "timings.json")
            atomic_write(directory / "recipe.toml", recipe_text.encode())
            _write_json(directory / "recipe.json", recipe_json)
            manifest = {"schema_version": SCHEMA_VERSION, "seed": seed, "versions": dict(sorted(versions.items()))}
            _write_json(directory / "manifest.json", manifest | {"stages": {}})  # last: it makes the folder a run
            return cls(directory, lock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def resume(
        cls,
        directory: Path,
        recipe_json: Mapping[str, Any],
        take_lock: Callable[[Path], DirectoryLock] = DirectoryLock,
    ) -> Self:
        """Take up a run where it stopped, after removing what a kill left half-written.

        ``steps`` of a stage may have grown; a finished stage is then open again. Stages that have not begun may be any.
        A stage whose folder was removed begins again.

        Args:
            directory: The run directory, perhaps made by an earlier version.
            recipe_json: As for :meth:`create`.
            take_lock: Takes the lock of a directory.

        Raises:
            UserError: There is no run, another process uses it, or the recipe changed in a field that matters (named).
        """
        if not (directory / "manifest.json").is_file():
            raise UserError("there is no run to resume: leave --resume out to begin one", file=directory)
        lock = take_lock(directory)
        try:
            recover(directory)
            run = cls(directory, lock)
            run._adopt(json.loads(json.dumps(recipe_json)))  # tuples become lists, as in the file
            if json.loads((directory / "manifest.json").read_text()) != run.manifest:  # an earlier version began it
                _write_json(directory / "manifest.json", run.manifest)
            forget_end(directory)
            run._was_done = run.state.kind == "done"
            return run
        except BaseException:
            lock.release()
            raise

    def stage(self, name: str, *, keep: int = 2, writing: Writing = nullcontext) -> StageWriter:
        """Return the writer of a stage; its first use marks the stage as running.

        Args:
            name: The stage's name.
            keep: How many checkpoints stay.
            writing: Opened while checkpoints and models are written.
        """
        path = self.directory / "stages" / require_name(name)
        if name not in self.stages:
            make_directory(path)
            self.manifest.get("inputs", {}).pop(name, None)
            self._set_status(name, "running")
        return StageWriter(path, keep=keep, on_finish=lambda: self._set_status(name, "done"), writing=writing)

    def reader(self, name: str) -> StageReader:
        """Return the reader of a stage, begun or not."""
        return super().stage(name)

    def check_inputs(self, name: str, inputs: Mapping[str, str]) -> None:
        """Keep the hashes of what a stage begins from; compare what is there with them later.

        Args:
            name: The stage.
            inputs: What it begins from, and the hash of each as it is now.

        Raises:
            UserError: Something else is there than what the stage began from.
        """
        kept = self.manifest.setdefault("inputs", {}).setdefault(name, dict(inputs))
        for what, now in inputs.items():
            if kept.get(what, now) != now:
                raise UserError(
                    f"{what} is not what stage {name!r} began from: put it back, or remove this folder to make the "
                    "stage again",
                    file=self.directory / "stages" / name,
                )
        _write_json(self.directory / "manifest.json", self.manifest)

    def note(self, key: str, value: object) -> None:
        """Put a fact about how the run was made into manifest.json; a mapping is added to what is there."""
        value = {**self.manifest.get(key, {}), **value} if isinstance(value, Mapping) else value
        if self.manifest.get(key) != value:
            self.manifest[key] = value
            _write_json(self.directory / "manifest.json", self.manifest)

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Write summary.json: ``seed``, ``seconds``, ``results``."""
        _write_json(self.directory / "summary.json", summary)

    def add_seconds(self, seconds: float) -> float:
        """Add what a process has worked to timings.json.

        It also says when the first began, when this one ended, and the most memory that any of them took.
        A process that found the run done and timed adds nothing. A damaged file counts as nothing: no run is worth less
        for not knowing how long it took.

        Args:
            seconds: What this process has worked.

        Returns:
            The sum over all processes so far.
        """
        now, before = time.time(), read_times(self.directory)
        if self._was_done and "ended" in before:
            return before.get("seconds", 0.0)
        total = seconds + before.get("seconds", 0.0)
        began = before.get("began", min(now - seconds, self.created))
        peak = max(float(read_peak_memory()), before.get("peak_bytes", 0.0))
        times = {"seconds": total, "began": began, "ended": now, "peak_bytes": peak}
        _write_json(self.directory / "timings.json", times)
        return total

    def withdraw(self) -> None:
        """Remove a run in which no stage has recorded anything, so that it can begin again under the same name.

        A run with a row, an evaluation or a checkpoint stays as it is.
        """
        stages = self.directory / "stages"
        if any(path.is_file() for path in stages.rglob("*")):
            return
        for name in ("manifest.json", "timings.json", "stages", "recipe.json", "recipe.toml"):  # the first makes a run
            atomic_remove(self.directory / name)

    def record_end(self, error: BaseException) -> None:
        """Keep why the process gives the run up, unless the run was withdrawn."""
        if (self.directory / "manifest.json").exists():
            record_end(self.directory, error)

    def close(self) -> None:
        """Give the lock back."""
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.record_end(error)
        self.close()

    def _set_status(self, name: str, status: str) -> None:
        self.manifest["stages"][name] = status
        _write_json(self.directory / "manifest.json", self.manifest)

    def _adopt(self, recipe: Mapping[str, Any]) -> None:
        """Take the recipe of a resumed run, or refuse it."""
        grown = []
        for field, before, after in find_changes(self.recipe, recipe):
            match field.split(".", 2):
                case ["stages", name, "steps"] if isinstance(after, int) and after > before:
                    grown.append(name)
                case ["stages", _, rest] if is_free(rest):
                    continue
                case ["stages", name, *_] if name not in self.stages:
                    continue
                case ["executor" | "cluster"]:
                    continue
                case ["data", *_]:  # what they hold is among the inputs of the stages that use them
                    continue
                case [first, *rest]:
                    folder = self.directory / first / rest[0] if first == "stages" and rest else None
                    again = f" remove {folder} to make that stage again," if folder else ""
                    grew = "the run was prolonged, and " if rest[-1:] == ["steps"] else ""
                    raise UserError(
                        f"changed from {before!r:.200} to {after!r:.200} since the run began "
                        f"({grew}only `steps` may grow): `{format_resume_command(self.directory)}` goes on as it is; "
                        f"or put it back,{again} or name another --out",
                        file=self.directory / "recipe.json",
                        field=field,
                    )
        self._reopen(grown)
        if recipe != self.recipe:
            _write_json(self.directory / "recipe.json", recipe)
            self.recipe = dict(recipe)

    def _reopen(self, grown: list[str]) -> None:
        """Mark finished stages as running again, since their ``steps`` have grown."""
        order = list(self.stages)
        for name in grown:
            if name in order[:-1]:
                raise UserError(
                    f"cannot grow: stage {order[-1]!r} has already begun from its result",
                    file=self.directory / "recipe.json",
                    field=f"stages.{name}.steps",
                )
            if self.stages.get(name) == "done":
                self._set_status(name, "running")


def _require_free(directory: Path) -> None:
    if (directory / "manifest.json").exists():
        raise UserError(
            "holds a run already: continue it with --resume, or name another folder with --out", file=directory
        )
    if directory.exists() and not directory.is_dir():
        raise UserError("is a file; a run needs a folder", file=directory)
    # What is left of a run that was killed before its manifest was written, or while it was withdrawn.
    begun = {"lock", "recipe.toml", "recipe.json", "timings.json"}
    left = [path for path in directory.glob("*") if path.name not in begun and ".tmp-" not in path.name]
    foreign = [path.name for path in left if path.is_file() or any(inner.is_file() for inner in path.rglob("*"))]
    if foreign:
        raise UserError(f"is not empty and holds no run ({sorted(foreign)[0]}, ...): name a new folder", file=directory)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    atomic_write(path, (json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())
