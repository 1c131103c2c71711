"""A model and its tokenizer, as everything that reads or trains one takes them."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any, Final

import torch

from dunwu.machine import Dtype

TYPES: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A model with its tokenizer.

    ``eos_ids`` end a completion; ``pad_id`` fills rows and is never read. ``notes`` say what the user should know,
    though nothing is wrong.
    """

    model: Any
    tokenizer: Any
    eos_ids: tuple[int, ...]
    pad_id: int
    notes: tuple[str, ...] = ()

    def cast(self, dtype: Dtype) -> Policy:
        """Return the policy with weights of another type: a copy, but where they have it already."""
        kind = TYPES[dtype]
        if self.model.dtype == kind:
            return self
        model = copy.deepcopy(self.model)
        for parameter in model.parameters():  # not the buffers: rotary frequencies stay exact
            parameter.data = parameter.data.to(kind)
        return replace(self, model=model)
