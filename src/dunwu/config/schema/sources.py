"""Where models come from that a stage measures, and what they are called."""

from __future__ import annotations

import re
from pathlib import Path

from dunwu.config.schema.helpers import ServedModel, ServerSpec

SERVER = ("http://", "https://")
UNTOLD = re.compile(r"[^A-Za-z0-9_.+-]+")
"""What no file's name may hold."""


def is_server(source: str) -> bool:
    """Whether a model is asked for behind a server: ``http://host:port/v1#name``, with the name that it has there."""
    return source.startswith(SERVER)


def served(source: str, server: ServerSpec) -> ServedModel:
    """The model behind a server. Raises pydantic's ValidationError where the address is none."""
    url, _, name = source.partition("#")
    return ServedModel(url=url, model=name, **server.model_dump())


def told_as(source: str) -> str:
    """What a model is called in results: a server's by the last part of its name, a run's by run and stage, any other
    by the last part of its folder or hub id."""
    if is_server(source):
        return UNTOLD.sub("-", source.partition("#")[2].rstrip("/").rpartition("/")[2]).strip("-")
    path = Path(source)
    if path.name == "model" and path.parent.parent.name == "stages":
        return f"{path.parents[2].name}-{path.parent.name}"
    return path.name
