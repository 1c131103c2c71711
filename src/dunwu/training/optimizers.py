"""AdamW, or Muon for the hidden matrices with AdamW for the rest, behind one face."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from dunwu.config.schema import OptimizerSpec
from dunwu.models.adapters import is_adapter_weight
from dunwu.models.rounding import unround
from dunwu.training.muon import StackedMuon

MASTER = "master"


class Optimizer:
    """Updates the trainable parameters of a model.

    Weights of less than single precision have a single-precision master copy that is updated in their place: at RL's
    learning rates a step is far smaller than the spacing of bfloat16 numbers, and would be lost; see ``unround``.
    Their gradients are summed over microbatches in single precision too.

    Weight decay falls on matrices alone. The order of the parameters is the model's own, so two runs agree bit for bit.

    Args:
        model: its parameters that take gradients are updated.
        spec: the recipe's.
        lr_factor: an adapter's learning rate, as a multiple of that of weights which learn themselves.
    """

    def __init__(self, model: Any, spec: OptimizerSpec, *, lr_factor: float = 1.0) -> None:
        self._spec = spec
        self._parameters: dict[str, Tensor] = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self._masters = {
            name: unround(p.detach(), number)
            for number, (name, p) in enumerate(self._parameters.items())
            if p.dtype != torch.float32
        }
        for name in self._masters:
            self._parameters[name].grad_dtype = torch.float32
        hidden = _hidden_matrices(model, self._parameters) if spec.name == "muon" else []
        rest = [name for name in self._parameters if name not in hidden]
        self._owner: dict[str, torch.optim.Optimizer] = {}
        self._peaks: list[tuple[torch.optim.Optimizer, float]] = []
        if hidden:
            weights = [self._tensor_of(name) for name in hidden]
            muon = StackedMuon if weights[0].device.type == "cpu" else torch.optim.Muon
            self._adopt(muon(weights, lr=spec.muon_lr, weight_decay=spec.weight_decay), hidden, spec.muon_lr)
        adapter = [name for name in rest if is_adapter_weight(name)]
        for names, lr in ((adapter, spec.lr * lr_factor), ([n for n in rest if n not in adapter], spec.lr)):
            if names:
                self._adopt(self._build_adamw(names, lr), names, lr)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self._parameters.values():
            parameter.grad = None

    def list_gradients(self) -> list[Tensor]:
        """List the gradients so far, in the order of the parameters."""
        return [p.grad for p in self._parameters.values() if p.grad is not None]

    def compute_grad_norm(self) -> Tensor:
        """Compute the Euclidean norm of the whole gradient; not finite where any part is not."""
        return get_total_norm(self.list_gradients())

    def step(self, grad_norm: Tensor, lr_share: float) -> None:
        """Make one update at ``lr_share`` of the peak learning rates; the gradient is clipped to the recipe's norm."""
        clip_grads_with_norm_(self._parameters.values(), self._spec.max_grad_norm, grad_norm)
        for name, master in self._masters.items():
            master.grad = self._parameters[name].grad
        for optimizer, peak in self._peaks:
            for group in optimizer.param_groups:
                group["lr"] = peak * lr_share
            optimizer.step()
        with torch.no_grad():
            for name, master in self._masters.items():
                master.grad = None
                self._parameters[name].copy_(master)

    def export_state(self) -> dict[str, Tensor]:
        """Return everything beside the weights: ``parameter/quantity`` -> tensor."""
        state = {f"{name}/{MASTER}": master for name, master in self._masters.items()}
        for name, optimizer in self._owner.items():
            state |= {f"{name}/{key}": value for key, value in optimizer.state[self._tensor_of(name)].items()}
        return state

    def load(self, state: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> None:
        """Take back what ``export_state`` gave, bit for bit.

        Args:
            state: by ``parameter/quantity``.
            weights: as they were saved. Ranks have no masters, because their weights are: they may go on here.
        """
        for name, master in self._masters.items():
            if f"{name}/{MASTER}" not in state:
                master.copy_(weights[name])
        for place, value in state.items():
            name, key = place.rsplit("/", 1)
            updated = self._tensor_of(name)
            if key == MASTER:
                updated.detach().copy_(value)
            else:
                self._owner[name].state[updated][key] = value.to(updated.device)

    def _tensor_of(self, name: str) -> Tensor:
        """Return the tensor that an optimizer works on: the master where there is one."""
        return self._masters.get(name, self._parameters[name])

    def _build_adamw(self, names: list[str], lr: float) -> torch.optim.Optimizer:
        spec = self._spec
        matrices = [self._tensor_of(name) for name in names if self._parameters[name].ndim >= 2]
        vectors = [self._tensor_of(name) for name in names if self._parameters[name].ndim < 2]
        groups: list[dict[str, Any]] = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
        return torch.optim.AdamW(groups, lr=lr, betas=spec.betas, weight_decay=spec.weight_decay, fused=True)

    def _adopt(self, optimizer: torch.optim.Optimizer, names: list[str], peak: float) -> None:
        self._peaks.append((optimizer, peak))
        self._owner |= dict.fromkeys(names, optimizer)


def _hidden_matrices(model: Any, parameters: Mapping[str, Tensor]) -> list[str]:
    """Find matrices between the embeddings (tokens, positions) and the head.

    They are what Muon is for (K. Jordan et al., 2024).
    """
    tables = [module for module in model.modules() if isinstance(module, torch.nn.Embedding)]
    ends = {id(module.weight) for module in (*tables, model.get_output_embeddings())}
    return [name for name, p in parameters.items() if p.ndim == 2 and id(p) not in ends]
