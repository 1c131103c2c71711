"""Where models come from that a stage measures, and what they are called."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from dunwu.config.schema.helpers import ServedModel, ServerSpec

SERVER = ("http://", "https://")
UNNAMED = re.compile(r"[^\w.+-]+")
"""What no model's name holds: it names files."""
RESERVED = re.compile(r"base|trained|step-\d+")
"""Evaluations of a stage's own model."""
LONGEST_NAME = 80
"""Characters, of up to three bytes each."""


def is_server(source: str) -> bool:
    """Whether a model is asked for behind a server: ``http://host:port/v1#name``, with the name that it has there."""
    return source.startswith(SERVER)


def parse_server(source: str, server: ServerSpec) -> ServedModel:
    """Return the model behind a server.

    Raises:
        pydantic.ValidationError: The address is none.
    """
    url, _, name = source.partition("#")
    return ServedModel(url=url, model=name, **server.model_dump())


def display_names(sources: Sequence[str]) -> list[str]:
    """Return what models are called in results.

    Each has the last part of its folder, hub id or name behind a server; a run's model has run and stage. Where that is
    another's name too, or reserved, the parts before it stand before it, as many as it takes. Two sources that no part
    tells apart are numbered. The same source twice has the same name twice.
    """
    distinct = list(dict.fromkeys(sources))
    parts = [_parts(source) for source in distinct]
    used = [1] * len(distinct)
    while True:
        names = ["-".join(part[-count:]) for part, count in zip(parts, used, strict=True)]
        times = Counter(names)
        unclear = [place for place, name in enumerate(names) if times[name] > 1 or RESERVED.fullmatch(name)]
        longer = [place for place in unclear if used[place] < len(parts[place])]
        if not longer:
            break
        for place in longer:
            used[place] += 1
    by_source = dict(zip(distinct, _numbered(names), strict=True))
    return [by_source[source] for source in sources]


def _parts(source: str) -> list[str]:
    """Return the parts of a source's name, from the farthest to the nearest; at least one."""
    if is_server(source):
        url, _, model = source.partition("#")
        parts = [url.partition("://")[2].rstrip("/").removesuffix("/v1"), *model.split("/")]
    else:
        parts = list(Path(source).parts)
        if parts[-1:] == ["model"] and parts[-3:-2] == ["stages"]:
            *parts, run, _, stage, _ = parts
            parts.append(f"{run}-{stage}")
    return [name for part in parts if (name := UNNAMED.sub("-", part).strip("-.+"))] or ["model"]


def _numbered(names: Sequence[str]) -> list[str]:
    found: list[str] = []
    for name in (name[:LONGEST_NAME] for name in names):
        number = 1
        while (called := name if number == 1 else f"{name}-{number}") in found:
            number += 1
        found.append(called)
    return found
