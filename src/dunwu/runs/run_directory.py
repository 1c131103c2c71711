"""A run directory: begun once, resumed any number of times, read by anybody."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from dunwu.config.schema.renames import upgrade_recipe
from dunwu.errors import UserError, nearest
from dunwu.runs.atomic import atomic_remove, atomic_write, make_directory, recover
from dunwu.runs.file_signature import mark
from dunwu.runs.lock import DirectoryLock
from dunwu.runs.recipe_changes import changes, is_free
from dunwu.runs.regular_files import regular
from dunwu.runs.run_state import RunState, forget_end, going_on, read_state, record_end
from dunwu.runs.stage_directory import StageDirectory, StageReader, Writing, checked_name

SCHEMA = 1
"""Version of manifest.json, and with it of the whole layout."""

SHOWN = 10
"""Runs that are named, at most, where a folder of runs is taken for one."""


class RunReader:
    """Reads a run directory, finished or not, also while another process writes it.

    Raises:
        UserError: the folder holds no run, a damaged one, or one of a layout that this version does not know.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        path = directory / "manifest.json"
        if not path.is_file():
            raise _no_run(directory)
        self.manifest = _read_json(path)
        if self.manifest.get("schema") != SCHEMA:
            found = self.manifest.get("schema")
            raise UserError(f"is {found}; this version of Dunwu reads {SCHEMA}", file=path, field="schema")
        _require(path, self.manifest, {"seed": int, "versions": dict, "stages": dict})
        self.recipe = upgrade_recipe(_read_json(directory / "recipe.json"))
        _require(directory / "recipe.json", self.recipe, {"name": str, "stages": dict})
        _require(directory / "recipe.json", self.recipe["stages"], dict.fromkeys(self.recipe["stages"], dict))

    @property
    def seed(self) -> int:
        """The run's seed."""
        return int(self.manifest["seed"])

    @property
    def stages(self) -> dict[str, str]:
        """``running`` or ``done`` for each stage that has begun, in that order; one whose folder is gone has not."""
        stages: dict[str, str] = self.manifest["stages"]
        return {name: status for name, status in stages.items() if (self.directory / "stages" / name).is_dir()}

    @property
    def state(self) -> RunState:
        """Whether it is being made or done, or how it ended before that."""
        done = all(self.stages.get(name) == "done" for name in self.recipe["stages"])
        return read_state(self.directory, done=done)

    def steps(self, name: str) -> int | None:
        """Updates that a stage makes in all; None where it makes none, or has not counted its data yet."""
        known = self.recipe["stages"].get(name, {}).get("steps") or self.manifest.get("steps", {}).get(name)
        return known if isinstance(known, int) else None

    @property
    def planned_seconds(self) -> dict[str, float | None]:
        """What each stage was planned to take, to be set beside its pace; empty or None where that is not known."""
        planned: dict[str, float | None] = self.manifest.get("planned_seconds", {})
        return planned

    @property
    def dates(self) -> tuple[float, float]:
        """When it began and when it was last written to, in seconds since 1970; by the times of its files where no
        process has said so."""
        times = _read_times(self.directory)
        files = [self.directory / "manifest.json", *(self.directory / "stages").glob("*/*.jsonl")]
        written = [file.stat().st_mtime for file in files if file.exists()]
        began = times.get("began", self._created)
        return began, times.get("ended") or max(written, default=began)

    @property
    def seconds(self) -> float | None:
        """What its processes have worked so far, but for the one that is at it; None where none has said so."""
        return _read_times(self.directory).get("seconds")

    @property
    def _created(self) -> float:
        """The time of the file that no later process writes."""
        file = self.directory / "recipe.toml"
        return file.stat().st_mtime if file.exists() else (self.directory / "manifest.json").stat().st_mtime

    def read_recipe_text(self) -> str:
        """The recipe as it was given, recipe.toml. Raises UserError where it is gone."""
        path = self.directory / "recipe.toml"
        try:
            return regular(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"cannot be read: {error}", file=path) from error

    def stage(self, name: str) -> StageReader:
        """One stage that has begun."""
        return StageReader(self.directory / "stages" / checked_name(name))

    @property
    def mark(self) -> str:
        """Another text where the run's stages, its summary or its state have changed."""
        files = " ".join(mark(self.directory / name) for name in ("manifest.json", "summary.json"))
        return f"{files} {self.state.kind}"

    def read_summary(self) -> dict[str, Any] | None:
        """summary.json; None where the run has not ended."""
        path = self.directory / "summary.json"
        return _read_json(path) if path.exists() else None


def _no_run(directory: Path) -> UserError:
    """What is there in the place of a run, and which run may have been meant."""
    if directory.is_dir():
        text = "is no run directory: it holds no manifest.json"
        below = sorted(str(path.parent) for path in directory.glob("*/manifest.json"))
        more = f" and {len(below) - SHOWN} more" if len(below) > SHOWN else ""
        return UserError(text + (f"; runs below it: {', '.join(below[:SHOWN])}{more}" if below else ""), file=directory)
    if directory.exists():
        return UserError("is no run directory, but a file", file=directory)
    runs = [path.parent for path in directory.parent.glob("*/manifest.json")]
    runs += [path.parents[1] for path in directory.parent.glob("*/*/manifest.json")]  # folders of runs
    meant = nearest(directory.name, [path.name for path in runs])
    hint = f"; did you mean {directory.with_name(meant)}?" if meant else ""
    return UserError(f"no such folder{hint}", file=directory)


class Run(RunReader):
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
    ) -> Self:
        """Begins a run in a new or empty directory.

        Args:
            directory: made where it is missing.
            recipe_text: the recipe as given (recipe.toml).
            recipe_json: the recipe as validated, overrides applied: ``recipe.model_dump(mode="json", by_alias=True)``.
            seed: the run's seed.
            versions: package name to version.

        Raises:
            UserError: the directory holds a run or other files, or another process uses it.
        """
        _check_free(directory)
        make_directory(directory)
        lock = DirectoryLock(directory)
        try:
            _check_free(directory)  # again: between look and lock another process may have begun
            recover(directory)
            atomic_remove(directory / "timings.json")
            atomic_write(directory / "recipe.toml", recipe_text.encode())
            _write_json(directory / "recipe.json", recipe_json)
            manifest = {"schema": SCHEMA, "seed": seed, "versions": dict(sorted(versions.items())), "stages": {}}
            _write_json(directory / "manifest.json", manifest)  # last: it makes the folder a run
            return cls(directory, lock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def resume(cls, directory: Path, recipe_json: Mapping[str, Any]) -> Self:
        """Takes up a run where it stopped, after removing what a kill left half-written.

        ``steps`` of a stage may have grown; a finished stage is then open again. Stages that have not begun may be any.
        A stage whose folder was removed begins again.

        Raises:
            UserError: there is no run, another process uses it, or the recipe changed in a field that matters (named).
        """
        if not (directory / "manifest.json").is_file():
            raise UserError("there is no run to resume: leave --resume out to begin one", file=directory)
        lock = DirectoryLock(directory)
        try:
            recover(directory)
            run = cls(directory, lock)
            run._adopt(json.loads(json.dumps(recipe_json)))  # tuples become lists, as in the file
            forget_end(directory)
            run._was_done = run.state.kind == "done"
            return run
        except BaseException:
            lock.release()
            raise

    def stage(self, name: str, *, keep: int = 2, writing: Writing = nullcontext) -> StageDirectory:
        """A stage to write, keeping ``keep`` checkpoints; its first use marks it as running. ``writing`` is open while
        checkpoints and models are written."""
        path = self.directory / "stages" / checked_name(name)
        if name not in self.stages:
            make_directory(path)
            self.manifest.get("inputs", {}).pop(name, None)
            self._mark(name, "running")
        return StageDirectory(path, keep=keep, mark_done=lambda: self._mark(name, "done"), writing=writing)

    def reader(self, name: str) -> StageReader:
        """A stage to read, begun or not."""
        return super().stage(name)

    def check_inputs(self, name: str, inputs: Mapping[str, str]) -> None:
        """Keeps the hashes of what a stage begins from; later, holds what is there against them.

        Raises:
            UserError: something else is there than what the stage began from.
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
        """Puts a fact about how the run was made into manifest.json; a mapping is added to what is there."""
        value = {**self.manifest.get(key, {}), **value} if isinstance(value, Mapping) else value
        if self.manifest.get(key) != value:
            self.manifest[key] = value
            _write_json(self.directory / "manifest.json", self.manifest)

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Writes summary.json: seed, seconds, results (DESIGN: the face)."""
        _write_json(self.directory / "summary.json", summary)

    def add_seconds(self, seconds: float) -> float:
        """Adds what a process has worked to timings.json, beside when the first began and this one ended; the sum over
        all processes so far. One that found the run done and timed adds nothing.

        A damaged file counts as nothing: no run is worth less for not knowing how long it took.
        """
        now, before = time.time(), _read_times(self.directory)
        if self._was_done and "ended" in before:
            return before.get("seconds", 0.0)
        total = seconds + before.get("seconds", 0.0)
        began = before.get("began", min(now - seconds, self._created))
        times = {"seconds": total, "began": began, "ended": now}
        _write_json(self.directory / "timings.json", times)
        return total

    def withdraw(self) -> None:
        """Removes a run in which no stage has recorded anything, so that it can begin again under the same name.

        A run with a row, an evaluation or a checkpoint stays as it is.
        """
        stages = self.directory / "stages"
        if any(path.is_file() for path in stages.rglob("*")):
            return
        for name in ("manifest.json", "timings.json", "stages", "recipe.json", "recipe.toml"):  # the first makes a run
            atomic_remove(self.directory / name)

    def record_end(self, error: BaseException) -> None:
        """Keep why the process gives the run up, unless it was withdrawn; see ``state.record_end``."""
        if (self.directory / "manifest.json").exists():
            record_end(self.directory, error)

    def close(self) -> None:
        """Gives the lock back."""
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.record_end(error)
        self.close()

    def _mark(self, name: str, status: str) -> None:
        self.manifest["stages"][name] = status
        _write_json(self.directory / "manifest.json", self.manifest)

    def _adopt(self, recipe: Mapping[str, Any]) -> None:
        """Takes the recipe of a resumed run, or refuses it."""
        grown = []
        for field, before, after in changes(self.recipe, recipe):
            match field.split(".", 2):
                case ["stages", name, "steps"] if isinstance(after, int) and after > before:
                    grown.append(name)
                case ["stages", _, rest] if is_free(rest):
                    continue
                case ["stages", name, *_] if name not in self.stages:
                    continue
                case ["data", *_]:  # what they hold is among the inputs of the stages that use them
                    continue
                case [first, *rest]:
                    folder = self.directory / first / rest[0] if first == "stages" and rest else None
                    again = f" remove {folder} to make that stage again," if folder else ""
                    grew = "the run was prolonged, and " if rest[-1:] == ["steps"] else ""
                    raise UserError(
                        f"changed from {before!r} to {after!r} since the run began ({grew}only `steps` may grow): "
                        f"`{going_on(self.directory)}` goes on as it is; or put it back,{again} or name another --out",
                        file=self.directory / "recipe.json",
                        field=field,
                    )
        order = list(self.stages)
        for name in grown:
            if name in order[:-1]:
                raise UserError(
                    f"cannot grow: stage {order[-1]!r} has already begun from its result",
                    file=self.directory / "recipe.json",
                    field=f"stages.{name}.steps",
                )
            if self.stages.get(name) == "done":
                self._mark(name, "running")
        if recipe != self.recipe:
            _write_json(self.directory / "recipe.json", recipe)
            self.recipe = dict(recipe)


def _check_free(directory: Path) -> None:
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


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(regular(path).read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"cannot be read: {error}", file=path) from error
    if not isinstance(content, dict):
        raise UserError("is not a JSON object", file=path)
    return content


def _read_times(directory: Path) -> dict[str, float]:
    """timings.json; empty where it is damaged or not there."""
    try:
        times = json.loads(regular(directory / "timings.json").read_text())
        return {name: float(value) for name, value in times.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _require(path: Path, content: Mapping[str, Any], kinds: Mapping[str, type]) -> None:
    """Raises UserError where the file lacks a field, or holds something else in it."""
    for field, kind in kinds.items():
        if not isinstance(content.get(field), kind):
            raise UserError("is missing or damaged: restore the file from a copy", file=path, field=field)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    atomic_write(path, (json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())
