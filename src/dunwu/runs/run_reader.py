"""Reading a run directory. The layout stands in docs/reference/run-directory.md."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dunwu.errors import UserError, nearest
from dunwu.runs.file_signature import file_signature
from dunwu.runs.regular_files import require_regular
from dunwu.runs.run_state import RunState, read_state
from dunwu.runs.stage_reader import StageReader, require_name
from dunwu.runs.upgrade import upgrade_manifest, upgrade_recipe

SHOWN = 10
"""Runs that are named, at most, where a folder of runs is taken for one."""


REGISTERED = "registered"
"""In the manifest: names of the recipe that only the Python process knew which made the run."""


class RunReader:
    """Reads a run directory, finished or not, also while another process writes it.

    Args:
        directory: The run directory.

    Attributes:
        directory: The same.
        manifest: manifest.json: versions, seed, machine, the state of each stage.
        recipe: recipe.json, with the field names of today.

    Raises:
        UserError: The folder holds no run, a damaged one, or one that a newer version of Dunwu made.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        path = directory / "manifest.json"
        if not path.is_file():
            raise _explain_no_run(directory)
        self.manifest = upgrade_manifest(_read_json(path), path)
        _require(path, self.manifest, {"seed": int, "versions": dict, "stages": dict})
        recipe = _read_json(directory / "recipe.json")
        _require(directory / "recipe.json", recipe, {"name": str, "stages": dict})
        _require(directory / "recipe.json", recipe["stages"], dict.fromkeys(recipe["stages"], dict))
        self.recipe: dict[str, Any] = upgrade_recipe(recipe)

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

    def count_steps(self, name: str) -> int | None:
        """Return the updates that a stage makes in all; None where it makes none, or has not counted its data yet."""
        known = self.recipe["stages"].get(name, {}).get("steps") or self.manifest.get("steps", {}).get(name)
        return known if isinstance(known, int) else None

    @property
    def planned_seconds(self) -> dict[str, float | None]:
        """What each stage was planned to take; empty or None where that is not known."""
        planned: dict[str, float | None] = self.manifest.get("planned_seconds", {})
        return planned

    @property
    def dates(self) -> tuple[float, float]:
        """When it began and when it was last written to, in seconds since 1970.

        Where no process has said so, the times of its files are taken.
        """
        times = read_times(self.directory)
        files = [self.directory / "manifest.json", *(self.directory / "stages").glob("*/*.jsonl")]
        written = [file.stat().st_mtime for file in files if file.exists()]
        began = times.get("began", self.created)
        return began, times.get("ended") or max(written, default=began)

    @property
    def seconds(self) -> float | None:
        """What its processes have worked so far, without one that is at it; None where none has said so."""
        return read_times(self.directory).get("seconds")

    @property
    def created(self) -> float:
        """The time of the file that no later process writes, in seconds since 1970."""
        file = self.directory / "recipe.toml"
        return file.stat().st_mtime if file.exists() else (self.directory / "manifest.json").stat().st_mtime

    def read_recipe_text(self) -> str:
        """Return the recipe as it was given, recipe.toml.

        Raises:
            UserError: It is gone.
        """
        path = self.directory / "recipe.toml"
        try:
            return require_regular(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"cannot be read: {error}", file=path) from error

    def stage(self, name: str) -> StageReader:
        """Return the reader of one stage."""
        return StageReader(self.directory / "stages" / require_name(name))

    @property
    def change_token(self) -> str:
        """Another text where the run's stages, its summary or its state have changed."""
        files = " ".join(file_signature(self.directory / name) for name in ("manifest.json", "summary.json"))
        return f"{files} {self.state.kind}"

    def read_summary(self) -> dict[str, Any] | None:
        """Return summary.json; None where the run has not ended."""
        path = self.directory / "summary.json"
        return _read_json(path) if path.exists() else None


def read_times(directory: Path) -> dict[str, float]:
    """Return timings.json: ``began``, ``ended``, ``seconds``, ``peak_bytes``; empty where it is damaged or missing."""
    try:
        times = json.loads(require_regular(directory / "timings.json").read_text())
        return {name: float(value) for name, value in times.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _explain_no_run(directory: Path) -> UserError:
    """Return the error that says what is there in the place of a run, and which run may have been meant."""
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


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(require_regular(path).read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"cannot be read: {error}", file=path) from error
    if not isinstance(content, dict):
        raise UserError("is not a JSON object", file=path)
    return content


def _require(path: Path, content: Mapping[str, Any], kinds: Mapping[str, type]) -> None:
    """Raise UserError where the file lacks a field, or holds something else in it."""
    for field, kind in kinds.items():
        if not isinstance(content.get(field), kind):
            raise UserError("is missing or damaged: restore the file from a copy", file=path, field=field)
