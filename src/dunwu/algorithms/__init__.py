"""Reinforcement learning as pure functions: advantages, losses, KL, filters, batching. Each cites its paper.

B x T a microbatch of B sequences of T tokens; G completions of one prompt. Slot t describes token t.
"""

from dunwu.algorithms.algorithm import Algorithm, LossOutput, build
from dunwu.algorithms.batching import Microbatch, TrainStep, cut
from dunwu.algorithms.filters import informative
from dunwu.algorithms.samples import to_samples

__all__ = ["Algorithm", "LossOutput", "Microbatch", "TrainStep", "build", "cut", "informative", "to_samples"]
