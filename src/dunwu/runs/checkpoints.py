"""Checkpoints: folders that appear whole, carry the hash of every file, and are never the last to go."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dunwu.errors import Fault
from dunwu.runs.atomic import atomic_directory, atomic_remove
from dunwu.runs.records import Checkpoint
from dunwu.runs.upgrade import upgrade_state

SCHEMA = 1
"""Version of MANIFEST.json."""

logger = logging.getLogger(__name__)


def format_step(step: int) -> str:
    """Return the name under which a step's files lie, such as ``step-000016``."""
    return f"step-{step:06d}"


def parse_step(name: str) -> int:
    """Return the step in a name that :func:`format_step` made, whatever its suffix."""
    return int(name.removeprefix("step-").partition(".")[0])


def is_step(name: str) -> bool:
    """Return whether :func:`format_step` made this name; a suffix such as ``.parquet`` counts as part of it."""
    return re.fullmatch(r"step-[0-9]+", name) is not None


def is_due(step: int, every: int, updates_per_rollout: int) -> bool:
    """Return whether something is done after a rollout.

    Args:
        step: Updates done when it has been learned from.
        every: Updates from one time to the next.
        updates_per_rollout: Updates of each rollout.

    Returns:
        Whether a multiple of ``every`` lies in the updates of that rollout.
    """
    return step // every > (step - updates_per_rollout) // every


def save(folder: Path, step: int, write: Callable[[Path], None], state: Mapping[str, Any]) -> None:
    """Save a checkpoint with the hash of every file.

    Args:
        folder: The stage's folder of checkpoints.
        step: Updates done.
        write: Puts the trainer's files into an empty folder.
        state: What is kept beside them as JSON.

    Raises:
        Fault: The file system refuses; older checkpoints are untouched.
    """

    def write_with_manifest(path: Path) -> None:
        write(path)
        (path / "state.json").write_text(json.dumps(state, indent=2, sort_keys=True, allow_nan=False))
        manifest = {"schema": SCHEMA, "step": step, "files": _hash_files(path)}
        (path / "MANIFEST.json").write_text(json.dumps(manifest, indent=2, sort_keys=True))

    atomic_directory(folder / format_step(step), write_with_manifest)


def find_newest(folder: Path) -> Checkpoint | None:
    """Return the newest checkpoint that agrees with its manifest; None where there is none at all.

    Damaged ones are passed over with a warning that says what is wrong.

    Raises:
        Fault: Every one is damaged.
    """
    damaged = []
    for path in reversed(_steps(folder)):
        damage = _find_damage(path)
        if damage is None:
            state = upgrade_state(json.loads((path / "state.json").read_text()))
            return Checkpoint(path=path, step=parse_step(path.name), state=state)
        damaged.append(f"{path.name}: {damage}")
        logger.warning("checkpoint %s is damaged and passed over: %s", path, damage)
    if damaged:
        raise Fault(
            f"{folder}: no checkpoint is whole ({'; '.join(damaged)}): restore one from a copy, "
            "or remove this folder to begin the stage again"
        )
    return None


def find_newest_step(folder: Path) -> int:
    """Return the step of the newest checkpoint, whole or not; 0 where there is none."""
    steps = _steps(folder)
    return parse_step(steps[-1].name) if steps else 0


def prune(folder: Path, keep: int) -> None:
    """Remove all but the newest ``keep`` checkpoints (at least one)."""
    for path in _steps(folder)[: -max(keep, 1)]:
        atomic_remove(path)


def cut(folder: Path, last_step: int) -> None:
    """Remove the checkpoints past ``last_step``."""
    for path in _steps(folder):
        if parse_step(path.name) > last_step:
            atomic_remove(path)


def _steps(folder: Path) -> list[Path]:
    return sorted(
        (path for path in folder.glob("step-*") if is_step(path.name)), key=lambda path: parse_step(path.name)
    )


def _hash_files(path: Path) -> dict[str, dict[str, str | int]]:
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return {file.relative_to(path).as_posix(): {"sha256": _sha256(file), "size": file.stat().st_size} for file in files}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _find_damage(path: Path) -> str | None:
    """Return what is wrong with a checkpoint; None where nothing is. Sizes are compared first: they cost nothing."""
    try:
        manifest = json.loads((path / "MANIFEST.json").read_text())
        schema, step, expected = manifest["schema"], manifest["step"], dict(manifest["files"])
        fingerprints = {
            name: (int(fingerprint["size"]), fingerprint["sha256"]) for name, fingerprint in expected.items()
        }
    except (OSError, ValueError, KeyError, TypeError):
        return "MANIFEST.json is missing or unreadable"
    if schema != SCHEMA:
        return f"MANIFEST.json has schema {schema}, this version of Dunwu reads {SCHEMA}"
    if step != parse_step(path.name):
        return f"MANIFEST.json speaks of step {step}"
    for name, (size, sha256) in fingerprints.items():
        file = path / name
        if not file.is_file():
            return f"{name} is missing"
        if file.stat().st_size != size:
            return f"{name} has {file.stat().st_size} bytes instead of {size}"
        if _sha256(file) != sha256:
            return f"{name} has another sha256 than MANIFEST.json says"
    return None
