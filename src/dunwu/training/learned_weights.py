"""What of a model learns: all of its weights, or an adapter beside them."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from dunwu.config.schema import AdapterSpec
from dunwu.errors import UserError
from dunwu.models.adapters import (
    FOLDER,
    EffectiveWeights,
    add_adapter,
    copy_adapted,
    list_learned,
    load_adapter,
    save_adapter,
)
from dunwu.models.load import save_policy
from dunwu.models.policy import Policy
from dunwu.models.weights import WeightUpdate
from dunwu.training.tensor_files import has_tensors, lay_out, load_tensors

SHARDS = "weights"
"""Under which several ranks write their weights; one writes a model's folder."""


class LearnedWeights(Protocol):
    """What a trainer knows of the weights that it updates.

    Attributes:
        model: What is computed with and updated in place.
    """

    model: Any

    def list_learned(self, model: Any) -> dict[str, Tensor]:
        """Return those parameters of ``model`` that learn in this one, by name."""

    def begin_reference(self) -> Any:
        """Return a model that computes what this one does now, and stays so until it is refreshed."""

    def copy_model(self) -> Any:
        """Return a model that computes what this one does now, whatever it learns later."""

    def export(self, version: int) -> WeightUpdate:
        """Describe the weights as engines take them, under transformers' names."""

    def save(self, folder: Path) -> None:
        """Write for a checkpoint what ``load`` takes back bit for bit."""

    def load(self, folder: Path) -> Mapping[str, Tensor]:
        """Take back what ``save`` wrote.

        Returns:
            The weights as they were saved, by name, maybe more precise than the model's.
        """

    def save_model(self, folder: Path) -> None:
        """Write the model alone, an ordinary transformers folder."""


def choose_weights(policy: Policy, adapter: AdapterSpec | None, seed: int) -> LearnedWeights:
    """Choose what of a policy learns.

    Args:
        policy: a model of transformers; with an adapter its weights are frozen.
        adapter: the recipe's; None: all weights learn.
        seed: of an adapter's first weights.

    Raises:
        UserError: see ``models.adapters.add_adapter``.
    """
    return AllWeights(policy) if adapter is None else AdapterWeights(policy, adapter, seed)


class AllWeights:
    """See ``LearnedWeights``."""

    def __init__(self, policy: Policy) -> None:
        self.model = policy.model
        self._policy, self._kind = policy, type(policy.model)

    def list_learned(self, model: Any) -> dict[str, Tensor]:
        """See ``LearnedWeights``."""
        return dict(model.named_parameters())

    def begin_reference(self) -> Any:
        """See ``LearnedWeights``."""
        return self.copy_model()

    def copy_model(self) -> Any:
        """See ``LearnedWeights``."""
        return copy.deepcopy(self.model).eval().requires_grad_(False)

    def export(self, version: int) -> WeightUpdate:
        """See ``LearnedWeights``."""
        return WeightUpdate.in_memory(version, ((name, p.detach()) for name, p in self.model.named_parameters()))

    def save(self, folder: Path) -> None:
        """See ``LearnedWeights``."""
        self.save_model(folder / "model")

    def load(self, folder: Path) -> Mapping[str, Tensor]:
        """See ``LearnedWeights``. Whatever the number of ranks was that saved them."""
        own = dict(self.model.named_parameters())
        if has_tensors(folder / SHARDS):
            saved = load_tensors(folder / SHARDS, own)
        else:
            model = self._kind.from_pretrained(folder / "model", dtype=self.model.dtype)
            saved = {name: lay_out(weight.detach(), own[name]) for name, weight in model.named_parameters()}
        copy_weights(self.model, saved)
        return saved

    def save_model(self, folder: Path) -> None:
        """See ``LearnedWeights``."""
        save_policy(self._policy, folder)


class AdapterWeights:
    """See ``LearnedWeights``: an adapter over a base that never changes, and a new head where there is one."""

    def __init__(self, policy: Policy, spec: AdapterSpec, seed: int) -> None:
        self.model = add_adapter(policy.model, spec, seed)
        self._policy = policy
        self._names = frozenset(list_learned(self.model))

    def list_learned(self, model: Any) -> dict[str, Tensor]:
        """See ``LearnedWeights``."""
        return {name: parameter for name, parameter in model.named_parameters() if name in self._names}

    def begin_reference(self) -> Any:
        """See ``LearnedWeights``. The base is one: B is zero at first."""
        return self._policy.model

    def copy_model(self) -> Any:
        """See ``LearnedWeights``."""
        return copy_adapted(self.model).eval().requires_grad_(False)

    def export(self, version: int) -> WeightUpdate:
        """See ``LearnedWeights``."""
        return self._effective.describe(version)

    def save(self, folder: Path) -> None:
        """See ``LearnedWeights``. The base is named, not copied."""
        save_adapter(self.model, folder / FOLDER, self._base["source"])
        (folder / FOLDER / "base.json").write_text(json.dumps(self._base) + "\n", encoding="utf-8")

    def load(self, folder: Path) -> Mapping[str, Tensor]:
        """See ``LearnedWeights``.

        Raises:
            UserError: the checkpoint's adapter belongs to another base.
        """
        known = json.loads((folder / FOLDER / "base.json").read_text(encoding="utf-8"))
        if known["sha256"] != self._base["sha256"]:
            text = f"{self._base['source']} is not what the adapter in {folder} was trained on, {known['source']}"
            raise UserError(f"{text}: put it back, or remove the checkpoints to begin again", field="from")
        load_adapter(self.model, folder / FOLDER)
        return self.list_learned(self.model)

    def save_model(self, folder: Path) -> None:
        """See ``LearnedWeights``. The adapter is merged, and lies beside the model too."""
        model = self._policy.model
        merged = dict(self._effective.describe(0).read())
        model.save_pretrained(folder, state_dict={**model.state_dict(), **merged})
        self._policy.tokenizer.save_pretrained(folder)
        save_adapter(self.model, folder / FOLDER, self._base["source"])

    @property
    def _effective(self) -> EffectiveWeights:
        return EffectiveWeights(self._policy.model, self.model)

    @cached_property
    def _base(self) -> dict[str, str]:
        """Name the base, a folder by its last part, since the rest is this machine's; and hash its weights."""
        config = self._policy.model.config
        source = str(config._name_or_path or config.model_type)
        name = Path(source).name if Path(source).is_absolute() else source
        digest = hashlib.sha256()
        for key, parameter in self._policy.model.named_parameters():
            if key not in self._names:
                digest.update(f"{key} {parameter.dtype} {list(parameter.shape)}\n".encode())
                digest.update(parameter.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
        return {"source": name, "sha256": digest.hexdigest()}


@torch.no_grad()
def copy_weights(model: Any, weights: Mapping[str, Tensor]) -> None:
    """Copy ``weights`` into parameters of the model, by name."""
    for name, parameter in model.named_parameters():
        if name in weights:
            parameter.copy_(weights[name])
