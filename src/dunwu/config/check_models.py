"""Where the models of a stage come from, how they are asked, and that judges are asked as they were trained."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from dunwu.config.issues import Issue
from dunwu.config.packaged import MODEL_NAMES
from dunwu.config.schema import JudgeSpec, ModelInput, RewardModelStage, ServerSpec, is_server, parse_server
from dunwu.config.stage_kind import Upstream
from dunwu.errors import did_you_mean

TEMPLATES = ("r1-zero", "nano", "chat")
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def check_model(model: ModelInput, upstream: Upstream) -> Iterator[Issue]:
    """Check that a model is an earlier stage, a packaged one, a path (absolute by now), a hub id, or a server."""
    source, field = model.source, model.field
    if model.may_be_served and is_server(source):
        yield from _check_server(source, field)
    elif Path(source).is_absolute() or HUB_ID.fullmatch(source):
        return
    elif model.role == "scorer":
        if source not in upstream.scorers:
            known = ", ".join(upstream.scorers) or "none"
            text = f"no earlier stage called {source!r} makes a reward model (known here: {known})"
            yield Issue(field, text + did_you_mean(source, upstream.scorers))
    else:
        names = [*upstream.policies, *(upstream.scorers if model.role == "either" else ()), *MODEL_NAMES]
        if source not in names:
            hint = (
                did_you_mean(source, names)
                or "; write ./NAME for a folder, NAME.gguf for a file, OWNER/NAME for a hub id"
            )
            text = f"no earlier stage or packaged model is called {source!r} (known here: {', '.join(names)})"
            yield Issue(field, text + hint)


def _check_server(source: str, field: str) -> Iterator[Issue]:
    """Check the address of a server, and that the name that the model has there follows it."""
    try:
        named = bool(parse_server(source, ServerSpec()).model)
    except ValidationError:
        yield Issue(field, f"{source!r} is no address of a server")
    else:
        if not named:
            yield Issue(field, f"{source!r} says no model: write {source.rstrip('#')}#NAME, as the server calls it")


def check_template(template: str, field: str) -> Iterator[Issue]:
    """Check that a template is a known one, or a text with a place for the question."""
    if template not in TEMPLATES and "{prompt}" not in template:
        text = f"{template!r} is none of {', '.join(TEMPLATES)} and contains no {{prompt}}"
        yield Issue(field, text + did_you_mean(template, TEMPLATES))


def check_judges(judges: Sequence[JudgeSpec], field: str, upstream: Upstream) -> Iterator[Issue]:
    """Check that reward models are asked as they were trained."""
    for index, judge in enumerate(judges):
        place, trained = f"{field}.{index}", upstream.scorers.get(judge.from_)
        if not isinstance(trained, RewardModelStage):
            continue
        if judge.input != trained.input:
            yield Issue(f"{place}.input", f"{judge.input}, but {judge.from_} was trained on {trained.input}")
        if judge.prompt.template != trained.prompt.template:
            text = f"{judge.prompt.template!r}, but {judge.from_} was trained with {trained.prompt.template!r}"
            yield Issue(f"{place}.prompt.template", text)
