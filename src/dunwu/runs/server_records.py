"""How the models behind servers of an evaluation stage were asked: DIR/stages/NAME/servers.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dunwu.errors import UserError
from dunwu.runs.atomic import atomic_write
from dunwu.runs.regular_files import require_regular

FILE = "servers.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerRecord:
    """How a model behind a server was asked.

    Attributes:
        sent: Fields of a request that say how to sample.
        refused: Fields that the server did not take, each with its words.
        says: What the server calls its model and itself.
    """

    sent: Mapping[str, Any]
    refused: Mapping[str, str]
    says: Mapping[str, str]


def write_server_record(stage: Path, model: str, record: ServerRecord) -> None:
    """Keep the record of one model in the folder of its stage.

    Args:
        stage: DIR/stages/NAME.
        model: The model's name in the recipe.
        record: What replaces an earlier record of that model.
    """
    found = {name: asdict(one) for name, one in (read_server_records(stage) | {model: record}).items()}
    atomic_write(stage / FILE, (json.dumps(found, indent=2, ensure_ascii=False) + "\n").encode())


def read_server_records(stage: Path) -> dict[str, ServerRecord]:
    """Return the record of each model that was asked.

    Raises:
        UserError: The file is damaged.
    """
    path = stage / FILE
    if not path.is_file():
        return {}
    try:
        found = json.loads(require_regular(path).read_bytes())
        return {str(name): _to_record(fields) for name, fields in found.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(f"does not say how servers were asked: {error}", file=path) from error


def _to_record(found: Mapping[str, Any]) -> ServerRecord:
    return ServerRecord(**{name: dict(found[name]) for name in ("sent", "refused", "says")})
