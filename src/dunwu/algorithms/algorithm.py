"""An algorithm is how advantages are made and what loss they go into; whoever calls it knows no names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dunwu import registry
from dunwu.algorithms.aggregation import Aggregate, average_by_sequence, average_by_token, divide_by_constant
from dunwu.algorithms.batching import Microbatch, TrainStep
from dunwu.algorithms.group_baselines import GAE, GroupAdvantage
from dunwu.algorithms.importance import correct_for_sampler, measure_correction
from dunwu.algorithms.kl import ESTIMATORS, correct_for_old_policy
from dunwu.algorithms.losses import Clip, Loss, Objective
from dunwu.config.schema import AlgorithmSpec, CorrectionSpec, RLStage, ValueSpec
from dunwu.errors import UserError
from dunwu.metrics import Max, Mean, Metric


@dataclass(frozen=True, slots=True, kw_only=True)
class LossOutput:
    """This microbatch's part of the step's loss (parts add up), and metrics that know how to reduce."""

    loss: Float[Tensor, ""]
    metrics: Mapping[str, Metric]


LossFunction = Callable[[Float[Tensor, "B T"], Float[Tensor, "B T"], Microbatch, TrainStep], LossOutput]


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithm:
    """What a recipe asks for.

    Either ``advantage`` compares the completions of a group (``rewards_G -> advantages_G``) or ``value`` says how a
    value network is asked. ``loss(logprobs_BT, entropy_BT, microbatch, step)`` is what the trainer minimises.
    """

    spec: AlgorithmSpec
    value: ValueSpec | None
    advantage: GroupAdvantage | None
    loss: LossFunction


def build(
    spec: AlgorithmSpec,
    value: ValueSpec | None = None,
    *,
    max_new_tokens: int,
    correct_kl: bool = False,
    foreign_samples: bool = False,
) -> Algorithm:
    """Build the algorithm that a recipe describes. The only place that reads the names in it.

    Args:
        spec: the recipe's.
        value: how a value network is asked, for ``spec.advantage`` = gae.
        max_new_tokens: the first rollout's budget: Dr. GRPO's constant, which must not move with the context length,
            because that would move the learning rate.
        correct_kl: weigh the KL term in the loss by the importance ratio (``kl.correct_for_old_policy``).
        foreign_samples: whether another policy than the trainer's writes them: then they are corrected by themselves.

    Raises:
        UserError: a name leads to nothing.
    """
    assert (spec.advantage == GAE) == (value is not None), "gae and a value network come together"
    aggregates = {
        "sequence": average_by_sequence,
        "token": average_by_token,
        "constant": divide_by_constant(max_new_tokens),
    }
    return Algorithm(
        spec=spec,
        value=value,
        advantage=None if value else registry.advantages.load(spec.advantage),
        loss=_policy_loss(spec, aggregates[spec.aggregate], correct_kl, spec.settle_correction(foreign_samples)),
    )


def build_for_stage(stage: RLStage) -> Algorithm:
    """Build the algorithm of a stage, the same for whoever asks: the pipeline, a loop, each rank of a trainer.

    Args:
        stage: the recipe's.

    Raises:
        UserError: a name leads to nothing.
    """
    return build(
        stage.algorithm,
        stage.value,
        max_new_tokens=stage.rollout.max_new_tokens,
        correct_kl=stage.corrects_kl,
        foreign_samples=stage.has_foreign_samples,
    )


def _policy_loss(
    spec: AlgorithmSpec, aggregate: Aggregate, correct_kl: bool, settled: CorrectionSpec | None
) -> LossFunction:
    """Make aggregate(-weight x objective + beta x KL) as one function.

    Equation 3 of DeepSeekMath (arXiv 2402.03300), with the recipe's choice in each place. A token that the correction
    masks loses its KL term, too; the correction's weight is the KL term's only where that is corrected.
    """
    objective_of: Loss = registry.losses.load(spec.loss)
    kl_of = ESTIMATORS[spec.kl_estimator]
    clip, beta = Clip(low=spec.clip_low, high=spec.clip_high), spec.kl_coefficient

    def loss(
        logprobs_BT: Float[Tensor, "B T"], entropy_BT: Float[Tensor, "B T"], batch: Microbatch, step: TrainStep
    ) -> LossOutput:
        mask_BT = batch.loss_mask
        old_BT = logprobs_BT.detach() if batch.old_logprobs is None else batch.old_logprobs
        with registry.losses.blame(spec.loss, "algorithm.loss"):
            objective = objective_of(logprobs_BT, old_BT, mask_BT, batch.advantages, clip)
        _check_objective(objective, logprobs_BT, spec)
        token_loss_BT, correction = -objective.values, None
        if settled is not None:
            correction = correct_for_sampler(old_BT, batch.sampler_logprobs, mask_BT, settled)
            token_loss_BT = token_loss_BT * correction.weights
        policy_loss = total = aggregate(token_loss_BT, mask_BT, step)
        if batch.ref_logprobs is not None and spec.kl_in == "loss":
            kl_BT = kl_of(logprobs_BT, batch.ref_logprobs)
            if correct_kl:
                kl_BT = correct_for_old_policy(spec.kl_estimator, logprobs_BT, batch.ref_logprobs, old_BT, mask_BT)
            counts_BT = None if correction is None else correction.weights if correct_kl else correction.kept
            total = policy_loss + beta * aggregate(kl_BT if counts_BT is None else kl_BT * counts_BT, mask_BT, step)
        with torch.no_grad():
            metrics = _metrics(spec, objective, logprobs_BT, old_BT, entropy_BT, policy_loss, batch, step)
            # Runs with an importance_cap keep the metrics that they began with.
            if correction is not None and not spec.importance_cap:
                metrics |= measure_correction(correction, mask_BT)
        return LossOutput(loss=total, metrics=metrics)

    return loss


def _check_objective(objective: object, logprobs_BT: Float[Tensor, "B T"], spec: AlgorithmSpec) -> None:
    """Raise UserError where a loss of the user's gives something else than one number a token, with a gradient."""
    wanted, problem = list(logprobs_BT.shape), None
    if not isinstance(objective, Objective):
        problem = f"{type(objective).__name__}, not an Objective"
    elif not isinstance(objective.values, Tensor) or list(objective.values.shape) != wanted:
        problem = f"values = {_describe(objective.values)}, not a tensor of {wanted}"
    elif logprobs_BT.requires_grad and not objective.values.requires_grad:
        problem = "values without a gradient: they must be made from logprobs_BT"
    else:
        for name in ("ratio", "clipped_low", "clipped_high"):
            found = getattr(objective, name)
            if found is not None and (not isinstance(found, Tensor) or list(found.shape) != wanted):
                problem = f"{name} = {_describe(found)}, not a tensor of {wanted}, or None"
    if problem is not None:
        raise UserError(f"{spec.loss} gives {problem}", field="algorithm.loss")


def _describe(value: object) -> str:
    return f"a tensor of {list(value.shape)}" if isinstance(value, Tensor) else f"{value!r:.40}"


def _metrics(
    spec: AlgorithmSpec,
    objective: Objective,
    logprobs_BT: Float[Tensor, "B T"],
    old_BT: Float[Tensor, "B T"],
    entropy_BT: Float[Tensor, "B T"],
    policy_loss: Float[Tensor, ""],
    batch: Microbatch,
    step: TrainStep,
) -> dict[str, Metric]:
    """Sum up what a microbatch says of the step: means over loss tokens, and maxima.

    ``kl`` is k3, unweighted, whatever the loss uses, so that runs compare. ``importance`` is trainer over sampler. It
    is left out where the sampler's own log-probabilities are taken for the old.
    """
    mask_BT = batch.loss_mask
    nowhere_BT = torch.zeros_like(mask_BT)
    ratio_BT = torch.exp((logprobs_BT - old_BT) * mask_BT) if objective.ratio is None else objective.ratio
    sums = {
        "clip_low": nowhere_BT if objective.clipped_low is None else objective.clipped_low,
        "clip_high": nowhere_BT if objective.clipped_high is None else objective.clipped_high,
        "entropy": entropy_BT,
        "ratio_mean": ratio_BT,
    }
    if batch.ref_logprobs is not None:
        sums["kl"] = ESTIMATORS["k3"](logprobs_BT, batch.ref_logprobs)
    maxima = {"ratio_max": ratio_BT}
    if spec.old_logprobs == "trainer":
        importance_BT = torch.exp((old_BT - batch.sampler_logprobs) * mask_BT)
        sums["importance_mean"] = maxima["importance_max"] = importance_BT
    # One transfer from the device for all numbers.
    numbers = torch.stack(
        [(values_BT * mask_BT).sum().float() for values_BT in sums.values()]
        + [(values_BT * mask_BT).max().float() for values_BT in maxima.values()]
        + [mask_BT.sum().float(), policy_loss.float()]
    ).tolist()
    tokens, policy_loss_part = numbers[-2:]
    metrics: dict[str, Metric] = {
        name: Mean(total, tokens) for name, total in zip(sums, numbers[: len(sums)], strict=True)
    }
    metrics |= {name: Max(value) for name, value in zip(maxima, numbers[len(sums) : -2], strict=True)}
    # The parts of a step's loss add up; their weights add up to one.
    metrics["policy_loss"] = Mean(policy_loss_part, tokens / step.num_loss_tokens)
    return metrics
