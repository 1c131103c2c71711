"""What a name on the command line stands for: a model of transformers, the one that a run made, one behind a server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dunwu.analysis.stage_roles import makes_reward_model
from dunwu.config.packaged import MODEL_NAMES, PACKAGED_MODELS
from dunwu.config.schema import ServerSpec, is_server, parse_server
from dunwu.errors import UserError, did_you_mean
from dunwu.models.export import find_trained_template
from dunwu.models.gguf.header import read_header
from dunwu.models.gguf.source import find_gguf
from dunwu.models.places import HUB_ID
from dunwu.models.shape import find_shape
from dunwu.runs import RunReader

NANO, CHAT, PLAIN = "nano", "chat", "r1-zero"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """``source`` is what a recipe calls the model; ``stage`` the fields of the run's stage that made it, if one did."""

    source: str
    stage: dict[str, Any] | None = None

    @property
    def template(self) -> str | None:
        """How it is asked: as it was trained; as its chat template says; else as a base is. None behind a server."""
        if is_server(self.source):
            return None
        if self.stage is not None:
            return str(self.stage.get("prompt", {}).get("template", NANO))
        if self.source in PACKAGED_MODELS:
            return NANO
        if (file := find_gguf(self.source)) is not None:
            return CHAT if read_header(file).chat_template else PLAIN
        folder = Path(self.source)
        if folder.is_absolute() and (trained := find_trained_template(folder)) is not None:
            return trained
        from dunwu.models.load import load_tokenizer  # transformers takes long to import, and most sources need none

        return CHAT if getattr(load_tokenizer(self.source), "chat_template", None) else PLAIN

    @property
    def stop(self) -> tuple[str, ...]:
        """Texts that ended its answers when it learned from rewards, beside the end of sequence."""
        return tuple((self.stage or {}).get("rollout", {}).get("stop", ()))

    @property
    def positions(self) -> int | None:
        """How many tokens it can read and write, where that is known."""
        shape = None if is_server(self.source) else find_shape(self.source)
        return shape.max_positions or None if shape else None


def source_of(text: str, *, scores: bool = False) -> Source:
    """Find the model that a text stands for.

    Args:
        text: a packaged name, a transformers folder, a GGUF file, a run directory or RUN:STAGE, a hub id, or
            ``http://host:port/v1#name``.
        scores: of a run, its last reward model is meant, not its last model that writes.

    Raises:
        UserError: it is nothing of these, or a run without such a model.
    """
    if is_server(text):
        return _server(text)
    if text in MODEL_NAMES:
        return Source(source=text)
    place, run, stage = Path(text).expanduser(), *_split(text)
    if (place / "manifest.json").is_file():
        return _made(place, None, scores)
    if stage and (run / "manifest.json").is_file():
        return _made(run, stage, scores)
    if (place / "config.json").is_file():
        return Source(source=str(place.resolve()))
    if find_gguf(str(place.absolute())) is not None:
        return Source(source=str(place.resolve()))
    if place.exists():
        raise UserError(
            "is neither a model of transformers nor a run: it has no config.json and no manifest.json", file=place
        )
    hub = HUB_ID.fullmatch(text) and "/" in text and not Path(text.partition("/")[0]).exists()
    if not hub:
        known, hint = ", ".join(MODEL_NAMES), did_you_mean(text, MODEL_NAMES)
        text = f"no model: neither {known}, a folder, a GGUF file, a run, a hub id, nor a server{hint}"
        raise UserError(text, file=str(place))
    return Source(source=text)


def _server(text: str) -> Source:
    try:
        found = parse_server(text, ServerSpec())
    except ValidationError:
        raise UserError("is no address of a server", file=text) from None
    if not found.model:
        raise UserError(f"says no model: write {text.rstrip('#')}#NAME, as the server calls it", file=text)
    return Source(source=text)


def _split(text: str) -> tuple[Path, str]:
    run, _, stage = text.rpartition(":")
    return Path(run).expanduser(), stage if run else ""


def _made(directory: Path, wanted: str | None, scores: bool) -> Source:
    run = RunReader(directory.resolve())
    stages = {name: run.recipe["stages"].get(name, {}) for name in run.stages}
    there = {
        name: stage
        for name, stage in stages.items()
        if makes_reward_model(stage) == scores and (run.stage(name).model / "config.json").is_file()
    }
    if not there:
        raise UserError("has no model: no finished stage of this run makes one", file=directory)
    if wanted is not None and wanted not in there:
        text = f"no finished stage {wanted!r:.60} with a model; there are {', '.join(there)}"
        raise UserError(text + did_you_mean(wanted, there), file=directory)
    name = wanted or list(there)[-1]
    return Source(source=str(run.stage(name).model), stage=there[name])
