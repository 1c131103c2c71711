"""Weights that change under an engine."""

from __future__ import annotations

import torch

from dunwu.models.policy import Policy
from dunwu.models.weights import WeightUpdate


def change_weights(policy: Policy, version: int) -> WeightUpdate:
    """Change a policy's weights, by draws that hang on the version, and describe them."""
    torch.manual_seed(version)
    with torch.no_grad():
        for parameter in policy.model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return WeightUpdate.in_memory(version, ((name, p.detach()) for name, p in policy.model.named_parameters()))
