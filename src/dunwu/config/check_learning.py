"""What the fields of algorithms and optimizers decide together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dunwu.config.check_helpers import is_changed
from dunwu.config.issues import Issue
from dunwu.config.schema import AdapterSpec, OptimizerSpec, RLStage


def check_algorithm(stage: RLStage) -> Iterator[Issue]:
    """Check advantages, loss and KL term, the value network, and what is replayed."""
    algorithm = stage.algorithm
    if algorithm.kl_in == "reward" and algorithm.kl_coefficient == 0:
        yield Issue("algorithm.kl_in", "reward has no effect with kl_coefficient = 0")
    if algorithm.kl_correction and (algorithm.kl_in == "reward" or algorithm.kl_coefficient == 0):
        why = "kl_coefficient = 0" if algorithm.kl_coefficient == 0 else "kl_in = reward"
        yield Issue("algorithm.kl_correction", f"true has no effect with {why}")
    in_loss = algorithm.kl_in == "loss" and algorithm.kl_coefficient > 0
    if in_loss and algorithm.kl_estimator == "k1" and not stage.corrects_kl:
        text = "k1 in the loss has a gradient of mean zero and holds nothing; use k2 or k3, or kl_in = reward"
        yield Issue("algorithm.kl_estimator", f"{text}, or kl_correction = true")
    if (algorithm.advantage == "gae") != (stage.value is not None):
        missing = "needs a value network: say [stages.NAME.value]" if stage.value is None else "uses no value network"
        yield Issue("algorithm.advantage" if stage.value is None else "value", f"{algorithm.advantage} {missing}")
    if algorithm.advantage == "gae" and algorithm.drop_uniform_groups:
        text = "true hides from the value network what is always right and what never is; gae needs no such filter"
        yield Issue("algorithm.drop_uniform_groups", text)
    if stage.value is not None:
        for issue in check_optimizer(stage.value.optimizer, stage.steps):
            yield Issue(f"value.{issue.field}", issue.message)
    yield from _check_correction(stage)
    corrected = stage.correction or algorithm.old_logprobs == "sampler"
    if stage.rollout.dtype not in (None, stage.model.dtype) and not corrected:
        text = f"{stage.rollout.dtype} rounds otherwise than model.dtype = {stage.model.dtype}: set"
        yield Issue("rollout.dtype", f"{text} algorithm.old_logprobs = sampler, or algorithm.importance_cap = 2")
    warning, stop = algorithm.logprob_difference_warning, algorithm.logprob_difference_stop
    if is_changed(algorithm, "logprob_difference_warning") and 0 < stop < warning:
        yield Issue("algorithm.logprob_difference_warning", f"{warning:g} is above logprob_difference_stop = {stop:g}")
    if algorithm.refill and not algorithm.drop_uniform_groups:
        text = f"{algorithm.refill} further rollouts would replace nothing: drop_uniform_groups is false"
        yield Issue("algorithm.refill", text)
    if algorithm.overlong_buffer >= stage.rollout.max_new_tokens:
        text = f"{algorithm.overlong_buffer} tokens are not fewer than max_new_tokens = {stage.rollout.max_new_tokens}"
        yield Issue("algorithm.overlong_buffer", text)


def _check_correction(stage: RLStage) -> Iterator[Issue]:
    """Check what corrects for samples that another policy wrote."""
    algorithm, chosen = stage.algorithm, stage.algorithm.correction
    nothing = "corrects nothing where old_logprobs = sampler; use old_logprobs = trainer"
    if stage.replay is not None and not (stage.correction or algorithm.importance_cap):
        text = "what an older policy wrote needs a correction: set algorithm.importance_cap, 2 for one"
        yield Issue("replay", text)
    if algorithm.importance_cap > 0 and algorithm.old_logprobs == "sampler":
        yield Issue("algorithm.importance_cap", f"{algorithm.importance_cap:g} {nothing}")
    if chosen is None:
        return
    if algorithm.importance_cap > 0:
        yield Issue("algorithm.correction", "takes the place of importance_cap: leave that out, and set correction.cap")
    if algorithm.old_logprobs == "sampler" and (chosen.cap > 0 or chosen.has_masks):
        yield Issue("algorithm.correction", nothing)
    for name, bound in (("cap", chosen.cap), ("mask_high", chosen.mask_high)):
        if 0 < bound < 1:
            text = f"{bound:g} is below 1, the weight of what needs no correction; 0: no bound"
            yield Issue(f"algorithm.correction.{name}", text)
    if chosen.mask_level and not chosen.has_masks:
        text = f"{chosen.mask_level} masks nothing without mask_low or mask_high"
        yield Issue("algorithm.correction.mask_level", text)


def check_adapter(adapter: AdapterSpec | None, optimizers: Mapping[str, OptimizerSpec]) -> Iterator[Issue]:
    """Check that what updates an adapter is made for it.

    Args:
        adapter: None: all weights learn.
        optimizers: by their fields.
    """
    for field, optimizer in optimizers.items():
        if adapter and optimizer.name == "muon":
            text = "muon is for whole matrices, and the two of an adapter are factors of one: use adamw"
            yield Issue(f"{field}.name", text)


def check_betas(optimizer: OptimizerSpec) -> Iterator[Issue]:
    """Check that both decay rates are rates."""
    if not all(0 <= beta < 1 for beta in optimizer.betas):
        yield Issue("optimizer.betas", f"{list(optimizer.betas)} must lie in [0, 1)")


def check_optimizer(optimizer: OptimizerSpec, steps: int) -> Iterator[Issue]:
    """Check an optimizer that makes so many updates."""
    yield from check_betas(optimizer)
    if optimizer.warmup_steps >= steps:
        yield Issue("optimizer.warmup_steps", f"{optimizer.warmup_steps} are not fewer than the {steps} steps")
