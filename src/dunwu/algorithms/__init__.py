"""Reinforcement learning as pure functions: advantages, losses, KL, filters, batching. Each cites its paper.

B x T a microbatch of B sequences of T tokens; G completions of one prompt. Slot t describes token t.
"""

from dunwu.algorithms.advantages import assign_advantages
from dunwu.algorithms.algorithm import Algorithm, LossOutput, build, build_for_stage
from dunwu.algorithms.batching import Microbatch, TrainStep, cut_minibatches
from dunwu.algorithms.filters import keep_informative
from dunwu.algorithms.samples import compute_rewards, to_samples

__all__ = [
    "Algorithm",
    "LossOutput",
    "Microbatch",
    "TrainStep",
    "assign_advantages",
    "build",
    "build_for_stage",
    "compute_rewards",
    "cut_minibatches",
    "keep_informative",
    "to_samples",
]
