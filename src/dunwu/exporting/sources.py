"""What is known of a model before it is written for another program."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from dunwu.api.model_sources import CHAT, Source, source_of
from dunwu.api.policy import Policy
from dunwu.config.model_folder import READ, check_folder
from dunwu.config.packaged import PACKAGED_MODELS
from dunwu.errors import UserError
from dunwu.models.export import CARD, GENERATION_CONFIG, find_trained_template, make_chat_template
from dunwu.models.load import list_ends, load_tokenizer
from dunwu.models.places import resolve
from dunwu.models.templates import NAMED

THINK, END_THINK = "<think>", "</think>"


@dataclass(frozen=True, kw_only=True)
class ExportedModel:
    """A model that is written for another program.

    Attributes:
        name: As the user named it.
        source: Where it lies, and the stage that made it.
        folder: Of transformers: config, weights, tokenizer.
    """

    name: str
    source: Source
    folder: Path

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer of transformers."""
        return load_tokenizer(str(self.folder))

    @cached_property
    def config(self) -> dict[str, Any]:
        """The config as this version of transformers says it."""
        from transformers import AutoConfig

        found: dict[str, Any] = AutoConfig.from_pretrained(self.folder, trust_remote_code=False).to_dict()
        return found

    @cached_property
    def generation(self) -> Mapping[str, Any]:
        """How its answers are drawn, and what ends one; empty where the folder does not say it."""
        file = self.folder / GENERATION_CONFIG
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        return found

    @cached_property
    def trained_template(self) -> str | None:
        """The text around a question that it was trained with; None: it has a chat template of its own, or none."""
        if self.source.stage is None and self.source.source not in PACKAGED_MODELS:
            found = find_trained_template(self.folder)
        else:
            found = None if self.source.template == CHAT else self.source.template
        return None if found is None else NAMED.get(found, found)

    @cached_property
    def chat_template(self) -> str | None:
        """Its chat template; None where it has none, as plain base models."""
        if self.trained_template is not None:
            return make_chat_template(self.tokenizer, self.trained_template)
        found = getattr(self.tokenizer, "chat_template", None)
        if isinstance(found, dict):
            raise UserError("has several chat templates, and none of them is the usual one", file=self.folder)
        return found

    @cached_property
    def ends(self) -> tuple[int, ...]:
        """The tokens that end an answer, the end of sequence first."""
        if self.tokenizer.eos_token_id is None:
            raise UserError("the tokenizer has no eos_token: answers could never end", file=self.folder)
        found = self.generation.get("eos_token_id")
        configured = found if isinstance(found, list) else [] if found is None else [found]
        return list_ends(self.tokenizer, configured)

    @cached_property
    def thinks(self) -> bool:
        """Whether it reasons between think tags: its template, its vocabulary or what it was rewarded for says so."""
        reward = (self.source.stage or {}).get("reward", {}).get("format_rule", "think-answer")
        rewarded = (self.source.stage or {}).get("kind") == "rl" and reward != "none"
        words = any(THINK in text for text in self.tokenizer.get_vocab())
        return rewarded or words or THINK in (self.chat_template or "")

    @property
    def policy(self) -> Policy:
        """The model as it answers here, in float32."""
        return Policy(self.source, dtype="float32")


def open_model(name: str) -> ExportedModel:
    """Find a model that shall be written for another program.

    Args:
        name: See ``dunwu.load``; none behind a server.

    Returns:
        The model, of which nothing is loaded yet.

    Raises:
        UserError: It is no model, or one that a hub does not give.
    """
    source = source_of(name)
    place = Path(resolve(source.source))
    if not place.is_dir():
        place = _fetch(source.source)
    for file in sorted(place.iterdir()):
        if file.is_symlink() and not file.exists() and (file.suffix in READ or file.name == CARD):
            raise UserError("is a symbolic link to nothing", file=file)
    return ExportedModel(name=name, source=source, folder=place)


def check_finite(name: str, weight: Tensor, folder: Path) -> None:
    """Make sure that a weight can be computed with: no program answers with one that is infinite, or no number.

    Args:
        name: What the weight is called.
        weight: Its numbers.
        folder: Where it lies, for the error.

    Raises:
        UserError: It cannot.
    """
    if not weight.float().isfinite().all():
        raise UserError(
            f"has {name} with numbers that are not finite: training failed, or the file is damaged", file=folder
        )


def _fetch(name: str) -> Path:
    """Return the folder in which the cache of a hub keeps a model."""
    from huggingface_hub import snapshot_download

    try:
        place = Path(snapshot_download(name, allow_patterns=[f"*{suffix}" for suffix in READ]))
    except Exception as error:  # without a network, without such a model, without the rights to it
        raise UserError(f"cannot be fetched: {error!s:.200}", file=name) from error
    check_folder(place)
    return place
