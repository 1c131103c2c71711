"""A model that learns, with its optimizer: updated, saved and loaded as one. Every trainer holds one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from dunwu.config.schema import AdapterSpec, OptimizerSpec
from dunwu.errors import Fault
from dunwu.models import packing
from dunwu.models.policy import Policy
from dunwu.models.weights import WeightUpdate
from dunwu.training.finite import ComputedPart, find_problem
from dunwu.training.optimizers import Optimizer
from dunwu.training.rank_group import ONE_RANK, RankGroup
from dunwu.training.schedule import compute_lr_share
from dunwu.training.tensor_files import load_tensors

FILE = "trainer.json"
OPTIMIZER = "optimizer"
"""Under which the optimizer's state lies in a checkpoint."""


class Learner:
    """Weights, optimizer and the number of updates.

    Args:
        policy: updated in place; computed by prefix trees from here on, and without dropout.
        optimizer: what updates the weights, and its schedule.
        total_steps: updates in the whole stage, for the schedule.
        gradient_checkpointing: activations are made again instead of kept.
        adapter: what learns in the place of the weights; None: all of them.
        seed: of an adapter's first weights.
        ranks: who holds the model, and learns from a step together.
    """

    def __init__(
        self,
        policy: Policy,
        optimizer: OptimizerSpec,
        total_steps: int,
        gradient_checkpointing: bool,
        adapter: AdapterSpec | None = None,
        seed: int = 0,
        ranks: RankGroup = ONE_RANK,
    ) -> None:
        packing.enable(policy.model)
        self.weights = ranks.choose_weights(policy, adapter, seed)
        self.model = self.weights.model
        self.version = 0
        self._ranks = ranks
        self._parts: list[ComputedPart] = []
        self._spec, self._total_steps = optimizer, total_steps
        self._lr_factor = adapter.lr_factor if adapter else 1.0
        self._optimizer = Optimizer(self.model, optimizer, lr_factor=self._lr_factor)
        _prepare(self.model, gradient_checkpointing)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        self._optimizer.zero_grad()
        self._parts = []

    def backward(self, loss: Tensor, place: str) -> None:
        """Add the gradient of a part of the step's loss; ``place`` says which part.

        Raises:
            Fault: the loss, or the gradient so far, is not finite; the weights are untouched. Several ranks say so in
                ``check_step``.
        """
        loss.backward()  # type: ignore[no-untyped-call]
        norm = get_total_norm([self._ranks.own_part(gradient) for gradient in self._optimizer.list_gradients()])
        self._parts.append(ComputedPart(place=place, loss=loss.detach(), grad_norm=norm))
        if self._ranks.checks_parts:
            self.check_step()

    def check_step(self) -> None:
        """Refuse a step before it changes anything, on every rank if on one. All ranks call it.

        Raises:
            Fault: a loss or a gradient is not finite; the weights are untouched.
        """
        problem = find_problem(self._ranks.gather([part.to_report() for part in self._parts]))
        self._parts = []
        if problem:
            self.zero_grad()
            what, place = problem
            text = f"the {what} in update {self.version + 1}, {place}"
            raise Fault(f"{text}; the weights are as they were before this update")

    def optim_step(self, at: int) -> dict[str, float]:
        """Make one update from the gradients, at place ``at`` of the schedule.

        Returns:
            The gradient's norm and the learning rate, of an adapter where there is one.

        Raises:
            Fault: the last one of the stage leaves weights that are no numbers.
        """
        self._ranks.sum_gradients(self._optimizer.list_gradients())
        grad_norm = self._optimizer.compute_grad_norm()
        share = compute_lr_share(self._spec, at, self._total_steps)
        self._optimizer.step(grad_norm, share)
        self.version += 1
        if at + 1 == self._total_steps:  # until then the next update's loss tells
            self._check_weights()
        return {"grad_norm": float(self._ranks.whole(grad_norm)), "lr": self._spec.lr * self._lr_factor * share}

    def _check_weights(self) -> None:
        learned = self.weights.list_learned(self.model)
        own = [name for name, weight in learned.items() if not torch.isfinite(self._ranks.own_part(weight)).all()]
        if broken := [name for names in self._ranks.gather(own) for name in names]:
            raise Fault(f"update {self.version} made {broken[0]} infinite or no number: lower optimizer.lr")

    def export_weights(self) -> WeightUpdate:
        """Describe the weights as they are, for engines; of several ranks the first one has them."""
        return self.weights.export(self.version)

    def save(self, folder: Path) -> None:
        """Write everything from which the next update follows; the same state gives the same bytes."""
        self.weights.save(folder)
        self._ranks.save_tensors(self._optimizer.export_state(), folder / OPTIMIZER)
        if self._ranks.is_first():
            (folder / FILE).write_text(json.dumps({"policy_version": self.version}) + "\n", encoding="utf-8")

    def save_model(self, folder: Path) -> None:
        """Write the model alone, an ordinary transformers folder."""
        self.weights.save_model(folder)

    def load(self, folder: Path) -> None:
        """Go on where ``save`` was called; bit for bit, if as many ranks go on."""
        saved = self.weights.load(folder)
        state = load_tensors(folder / OPTIMIZER, self.weights.list_learned(self.model))
        self._optimizer.load(state, saved)
        self.version = read_version(folder)


def read_version(folder: Path) -> int:
    """Return the number of updates behind a checkpoint."""
    version: int = json.loads((folder / FILE).read_text(encoding="utf-8"))["policy_version"]
    return version


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
