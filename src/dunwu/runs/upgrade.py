"""Runs of earlier versions, read as if this version had made them.

    version 1    recipes with the field names of before; held-out answers without task, finish, log-probability, policy
                 version, score and its parts; no ``schema_version`` in manifest.json
    version 2    today

What has changed its name is translated here, when it is read; stored files stay as they are, and a run that goes on
may hold files of both. Columns of answers are put together in ``runs/tables.py``, which asks each file what it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from dunwu.config.schema.renames import upgrade_recipe
from dunwu.errors import UserError

SCHEMA_VERSION: Final = 2
"""Version of the layout of a run directory, ``schema_version`` in manifest.json."""

__all__ = ["SCHEMA_VERSION", "upgrade_manifest", "upgrade_recipe"]


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
    return {"schema_version": SCHEMA_VERSION, **kept}
