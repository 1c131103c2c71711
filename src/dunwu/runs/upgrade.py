"""Runs of earlier versions, read as if this version had made them.

    version 1    recipes, metrics, timings and the states of checkpoints with the names of before; held-out answers
                 without task, finish, log-probability, policy version, score and its parts; no ``schema_version`` in
                 manifest.json
    version 2    today

What has changed its name is translated here, when it is read; stored files stay as they are, and a run that goes on
may hold both names in one file. Columns of answers are put together in ``runs/answer_tables.py``, which asks each file
what it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from dunwu.config.schema.renames import upgrade_recipe
from dunwu.errors import UserError

SCHEMA_VERSION: Final = 2
"""Version of the layout of a run directory, ``schema_version`` in manifest.json."""

RENAMED_METRICS: Final[Mapping[str, str]] = {
    "sampler_gap_max": "logprob_difference_max",
    "sampler_gap_mean": "logprob_difference_mean",
    "similar": "curriculum",
}
"""Old name -> new name, in metrics.jsonl."""
RENAMED_TIMINGS: Final[Mapping[str, str]] = {"anchor": "logprobs"}
"""Old name -> new name, in timings.jsonl."""
RENAMED_STATE: Final[Mapping[str, str]] = {"similar": "curriculum"}
"""Old name -> new name, in a checkpoint's state.json."""

REHASHED: Final[Mapping[str, str]] = {
    "f0ea9adbde8b80567f32312c8351b74c25d01ff5e2666d8d1e4f44474a493c61": (
        "c02e6e56754a2b9421bde2c9b2ae6b121c74f414eb58785a9324e2c716fdbf1e"
    ),
    "78088305259cd4388e502a36df770a20394a2004dd590b1a23e488783b99a73d": (
        "0b0fa01021ad66ac4dcac927d217bf289d91b3b464aaba9059f10e803cc11e5f"
    ),
}
"""Old -> new hash of the models that come with Dunwu, nano-base and nano-world.

The weights are the same. Their cards counted before, and have been written anew since.
"""

__all__ = ["SCHEMA_VERSION", "upgrade_manifest", "upgrade_recipe", "upgrade_state"]


def upgrade_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a checkpoint of any version keeps beside the trainer's files, with the names of today."""
    return {RENAMED_STATE.get(name, name): value for name, value in state.items()}


def upgrade_manifest(manifest: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return a manifest of any version up to this one as this version writes it.

    Args:
        manifest: What manifest.json holds.
        path: The file.

    Raises:
        UserError: A newer version of Dunwu made the run, or the version is no number.
    """
    version = manifest.get("schema_version", 1)
    if type(version) is not int or version < 1:
        raise UserError("is missing or damaged: restore the file from a copy", file=path, field="schema_version")
    if version > SCHEMA_VERSION:
        raise UserError(
            f"is {version}, and this version of Dunwu reads up to {SCHEMA_VERSION}: install the one that made this run",
            file=path,
            field="schema_version",
        )
    kept = {name: value for name, value in manifest.items() if name not in ("schema", "schema_version")}
    for inputs in kept.get("inputs", {}).values():
        inputs.update({source: REHASHED[known] for source, known in inputs.items() if known in REHASHED})
    return {"schema_version": SCHEMA_VERSION, **kept}
