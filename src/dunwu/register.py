"""Decorators that add to what a recipe can name: ``@dunwu.register.loss("mine")``.

A name counts from then on in this process. An installed package offers its names for good by entry points
(``dunwu.losses``, ``dunwu.tasks``, ...), and a recipe may name any ``file.py:function`` without a word of this.
"""

from dunwu.registry import advantages, engines, losses, rewards, stages, tasks, verifiers

loss = losses.register
advantage = advantages.register
task = tasks.register
verifier = verifiers.register
reward = rewards.register
engine = engines.register
stage = stages.register

__all__ = ["advantage", "engine", "loss", "reward", "stage", "task", "verifier"]
