"""A model that learns, with its optimizer: updated, saved and loaded as one. Every trainer holds one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from dunwu.config.schema import AdapterSpec, OptimizerSpec
from dunwu.errors import Fault
from dunwu.models import packing
from dunwu.models.policy import Policy
from dunwu.models.weights import WeightUpdate
from dunwu.training.learned_weights import choose_weights, save_tensors
from dunwu.training.optimizers import Optimizer
from dunwu.training.schedule import compute_lr_share


class Learner:
    """Weights, optimizer and the number of updates.

    Args:
        policy: updated in place; computed by prefix trees from here on, and without dropout.
        optimizer: what updates the weights, and its schedule.
        total_steps: updates in the whole stage, for the schedule.
        gradient_checkpointing: activations are made again instead of kept.
        adapter: what learns in the place of the weights; None: all of them.
        seed: of an adapter's first weights.
    """

    def __init__(
        self,
        policy: Policy,
        optimizer: OptimizerSpec,
        total_steps: int,
        gradient_checkpointing: bool,
        adapter: AdapterSpec | None = None,
        seed: int = 0,
    ) -> None:
        packing.enable(policy.model)
        self.weights = choose_weights(policy, adapter, seed)
        self.model = self.weights.model
        self.version = 0
        self._spec, self._total_steps = optimizer, total_steps
        self._lr_factor = adapter.lr_factor if adapter else 1.0
        self._optimizer = Optimizer(self.model, optimizer, lr_factor=self._lr_factor)
        _prepare(self.model, gradient_checkpointing)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        self._optimizer.zero_grad()

    def backward(self, loss: Tensor, place: str) -> None:
        """Add the gradient of a part of the step's loss; ``place`` says which part.

        Raises:
            Fault: the loss, or the gradient so far, is not finite; the weights are untouched.
        """
        loss.backward()  # type: ignore[no-untyped-call]
        for what, value in (("loss", loss), ("gradient", self._optimizer.compute_grad_norm())):
            if not torch.isfinite(value):
                self.zero_grad()
                text = f"the {what} is {value.item()} in update {self.version + 1}, {place}"
                raise Fault(f"{text}; the weights are as they were before this update")

    def optim_step(self, at: int) -> dict[str, float]:
        """Make one update from the gradients, at place ``at`` of the schedule.

        Returns:
            The gradient's norm and the learning rate, of an adapter where there is one.

        Raises:
            Fault: the last one of the stage leaves weights that are no numbers.
        """
        grad_norm = self._optimizer.compute_grad_norm()
        share = compute_lr_share(self._spec, at, self._total_steps)
        self._optimizer.step(grad_norm, share)
        self.version += 1
        if at + 1 == self._total_steps:  # until then the next update's loss tells
            self._check_weights()
        return {"grad_norm": float(grad_norm), "lr": self._spec.lr * self._lr_factor * share}

    def _check_weights(self) -> None:
        broken = [
            name for name, weight in self.weights.list_learned(self.model).items() if not torch.isfinite(weight).all()
        ]
        if broken:
            raise Fault(f"update {self.version} made {broken[0]} infinite or no number: lower optimizer.lr")

    def export_weights(self) -> WeightUpdate:
        """Describe the weights as they are, for engines of this process."""
        return self.weights.export(self.version)

    def save(self, folder: Path) -> None:
        """Write everything from which the next update follows; the same state gives the same bytes."""
        self.weights.save(folder)
        save_tensors(self._optimizer.export_state(), folder / "optimizer.safetensors")
        (folder / "trainer.json").write_text(json.dumps({"policy_version": self.version}) + "\n", encoding="utf-8")

    def save_model(self, folder: Path) -> None:
        """Write the model alone, an ordinary transformers folder."""
        self.weights.save_model(folder)

    def load(self, folder: Path) -> None:
        """Go on bit for bit where ``save`` was called."""
        self.weights.load(folder)
        self._optimizer.load(load_file(folder / "optimizer.safetensors"))
        self.version = json.loads((folder / "trainer.json").read_text(encoding="utf-8"))["policy_version"]


def _prepare(model: Any, gradient_checkpointing: bool) -> None:
    """Remove dropout, so that a token has one probability; transformers checkpoints in training mode only."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if hasattr(module, "attention_dropout"):
            module.attention_dropout = 0.0
    model.train(gradient_checkpointing)
    if gradient_checkpointing:
        # transformers renamed it in 5.24, and warns of the old name.
        enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
        enable()
