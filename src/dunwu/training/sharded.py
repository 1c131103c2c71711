"""A model in shards: each rank holds a part of every parameter, of its gradient and of what the optimizer keeps.

Torch's FSDP2 (``fully_shard``) gathers a layer's weights before the layer is computed, frees them behind it, and adds
up the gradients so that each rank keeps its part. Gradients are added and not averaged: every loss is divided by the
denominators of the whole step already. The number of passes is the same on every rank, or they would wait for ever.

A rank updates its shards in single precision. Weights of a shorter type are rounded when they are gathered, so what
``optimizers`` calls masters are the shards themselves; see ``rounding.unround`` for where they begin.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor

from dunwu.algorithms.dealing import deal_buckets
from dunwu.config.schema import AdapterSpec
from dunwu.models.module_calls import METHOD, add_method
from dunwu.models.policy import Policy
from dunwu.models.rounding import unround
from dunwu.models.weights import WeightUpdate
from dunwu.training.learned_weights import SHARDS, AdapterWeights, AllWeights, LearnedWeights
from dunwu.training.tensor_files import save_shards, save_tensors

PartT = TypeVar("PartT")


class ShardedRanks:
    """See ``rank_group.RankGroup``: the processes of torch's process group, one of which this is.

    All weights are sharded where all learn. An adapter is small, so every rank holds it whole, beside the frozen base.

    Args:
        mesh: of one dimension, all ranks.
    """

    checks_parts = False

    def __init__(self, mesh: DeviceMesh) -> None:
        self._mesh = mesh

    def choose_weights(self, policy: Policy, adapter: AdapterSpec | None, seed: int) -> LearnedWeights:
        """See ``RankGroup``."""
        if adapter is None:
            return ShardedWeights(policy, self._mesh)
        return CopiedAdapter(policy, adapter, seed, writes=self.is_first())

    def gather(self, own: PartT) -> list[PartT]:
        """See ``RankGroup``."""
        found: list[Any] = [None] * self._mesh.size()
        distributed.all_gather_object(found, own, group=self._mesh.get_group())
        return found

    def share_buckets(self, lengths: Sequence[int], budget: int) -> list[list[int]]:
        """See ``RankGroup``."""
        return deal_buckets(lengths, range(len(lengths)), budget, self._mesh.size())[self._mesh.get_rank()]

    def even_out(self, buckets: list[list[int]]) -> list[list[int]]:
        """See ``RankGroup``."""
        return buckets + [[] for _ in range(max(self.gather(len(buckets))) - len(buckets))]

    def sum_gradients(self, gradients: Sequence[Tensor]) -> None:
        """See ``RankGroup``. Those of shards are added up already."""
        whole = [gradient for gradient in gradients if not isinstance(gradient, DTensor)]
        if whole:
            summed = torch.cat([gradient.flatten() for gradient in whole])
            distributed.all_reduce(summed, group=self._mesh.get_group())
            for gradient, part in zip(whole, torch.split(summed, [each.numel() for each in whole]), strict=True):
                gradient.copy_(part.view_as(gradient))

    def own_part(self, tensor: Tensor) -> Tensor:
        """See ``RankGroup``."""
        return tensor.to_local() if isinstance(tensor, DTensor) else tensor

    def whole(self, tensor: Tensor) -> Tensor:
        """See ``RankGroup``."""
        return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor

    def save_tensors(self, tensors: Mapping[str, Tensor], path: Path) -> None:
        """See ``RankGroup``."""
        if any(isinstance(tensor, DTensor) for tensor in tensors.values()):
            save_shards(tensors, path, rank=self._mesh.get_rank(), ranks=self._mesh.size())
        elif self.is_first():
            save_tensors(tensors, path)

    def is_first(self) -> bool:
        """See ``RankGroup``."""
        return self._mesh.get_rank() == 0


class ShardedWeights(AllWeights):
    """See ``LearnedWeights``: all weights learn, and lie in shards.

    Args:
        policy: its model is sharded in place.
        mesh: of one dimension, all ranks.
    """

    def __init__(self, policy: Policy, mesh: DeviceMesh) -> None:
        super().__init__(policy)
        self._mesh, self._dtype = mesh, policy.model.dtype
        self._skeleton = _copy_without_weights(policy.model)
        for number, parameter in enumerate(policy.model.parameters()):
            parameter.data = unround(parameter.detach(), number)
        shard(policy.model, mesh, self._dtype)

    def copy_model(self) -> Any:
        """See ``LearnedWeights``."""
        model = _copy_without_weights(self._skeleton).eval().requires_grad_(False)
        shard(model, self._mesh, self._dtype)
        model.to_empty(device=self._mesh.device_type)  # the buffers too
        with torch.no_grad():
            for buffer, known in zip(model.buffers(), self._skeleton.buffers(), strict=True):
                buffer.copy_(known)
            for parameter, own in zip(model.parameters(), self.model.parameters(), strict=True):
                parameter.copy_(own)
        return model

    def export(self, version: int) -> WeightUpdate:
        """See ``LearnedWeights``. The first rank has them, whole and on the CPU; the others describe nothing."""
        return WeightUpdate.in_memory(version, self._gather().items())

    def save(self, folder: Path) -> None:
        """See ``LearnedWeights``. Every rank writes a file of its own."""
        weights = dict(self.model.named_parameters())
        save_shards(weights, folder / SHARDS, rank=self._mesh.get_rank(), ranks=self._mesh.size())

    def save_model(self, folder: Path) -> None:
        """See ``LearnedWeights``. The first rank writes, without a second copy of tied weights."""
        if whole := self._gather():
            self._skeleton.save_pretrained(folder, state_dict=whole)
            self._policy.tokenizer.save_pretrained(folder)

    def _gather(self) -> dict[str, Tensor]:
        """Gather the weights on the first rank, one at a time."""
        found = {}
        for name, parameter in self.model.named_parameters():
            whole = parameter.detach().full_tensor()
            if self._mesh.get_rank() == 0:
                found[name] = whole.to("cpu", self._dtype)
        return found


class CopiedAdapter(AdapterWeights):
    """See ``LearnedWeights``: an adapter that every rank holds whole; one of them writes it.

    Args:
        policy: see ``AdapterWeights``.
        spec: see ``AdapterWeights``.
        seed: see ``AdapterWeights``.
        writes: whether this rank does.
    """

    def __init__(self, policy: Policy, spec: AdapterSpec, seed: int, *, writes: bool) -> None:
        super().__init__(policy, spec, seed)
        self._writes = writes

    def save(self, folder: Path) -> None:
        """See ``LearnedWeights``."""
        if self._writes:
            super().save(folder)

    def save_model(self, folder: Path) -> None:
        """See ``LearnedWeights``."""
        if self._writes:
            super().save_model(folder)


def shard(model: Any, mesh: DeviceMesh, dtype: torch.dtype) -> None:
    """Shard a model in place: each layer by itself, and what lies around them together.

    Args:
        model: of transformers, in single precision.
        mesh: of one dimension, all ranks.
        dtype: in which it computes.
    """
    precision = MixedPrecisionPolicy()
    if dtype != torch.float32:
        # What goes into a layer stays as it is: fused layers take single precision.
        precision = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32, cast_forward_inputs=False)
    names = set(model._no_split_modules or ())
    for module in (*(part for part in model.modules() if type(part).__name__ in names), model):
        add_method(module)
        # The root's are freed too, else they would be found whole, and old, behind a pass without gradients.
        fully_shard(module, mesh=mesh, reshard_after_forward=True, mp_policy=precision)
        module.set_gradient_divide_factor(1.0)
        module.set_force_sum_reduction_for_comms(True)  # gloo knows no other way to leave sums as they are
        register_fsdp_forward_method(module, METHOD)


def _copy_without_weights(model: Any) -> Any:
    """Copy a model with its buffers; its parameters have shapes and no numbers."""
    empty = {
        id(parameter): torch.nn.Parameter(torch.empty_like(parameter, device="meta"), parameter.requires_grad)
        for parameter in model.parameters()
    }
    return copy.deepcopy(model, empty)
