"""Time, estimated from the model's shape. Formulas stand in the docstrings; nothing here is measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from dunwu.config.schema import AnsweringStage, DataStage, EvalStage, HardwareSpec, PretrainStage, RLStage
from dunwu.kernels.builds import multiplies_bfloat16
from dunwu.machine import Dtype
from dunwu.models.flops import count_forward_flops, count_training_passes
from dunwu.models.shape import ModelShape
from dunwu.planning.accelerators import ACCELERATORS
from dunwu.planning.batches import Batches
from dunwu.planning.sharing import PromptTokens, count_forward_tokens, count_training_tokens

TRAIN_SHARE, DECODE_SHARE = 0.20, 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """Arithmetic that one device is assumed to reach, in FLOP/s, and its memory in GiB (None: the machine's)."""

    train: float
    decode: float
    memory_gib: float | None
    basis: str


def _gpu(name: str) -> Device:
    peak, _, memory_gib = ACCELERATORS[name]
    basis = f"{TRAIN_SHARE:.0%} of {peak / 1e12:g} TFLOP/s (bf16) in training, {DECODE_SHARE:.0%} in decoding: assumed"
    return Device(train=TRAIN_SHARE * peak, decode=DECODE_SHARE * peak, memory_gib=memory_gib, basis=basis)


class _Seen(NamedTuple):
    """What two cores reached with a model of so many weights, in FLOP/s."""

    weights: float
    train: float
    decode: float


SEEN: dict[Dtype, tuple[_Seen, _Seen]] = {
    "float32": (_Seen(1e6, 68e9, 35e9), _Seen(135e6, 150e9, 100e9)),
    "bfloat16": (_Seen(1e6, 88e9, 45e9), _Seen(135e6, 400e9, 290e9)),
}
"""By type, of a small model and of a large one: whole rollouts and updates, each with all that is no product. In
bfloat16 the large one is SmolLM2's demo; of the small one only a whole step is known, 1.29 times as fast."""
DEVICES = {
    "cpu": Device(
        train=SEEN["float32"][0].train,
        decode=SEEN["float32"][0].decode,
        memory_gib=None,
        basis="68 GFLOP/s in training and 35 in decoding with 1 M weights, 150 and 100 from 135 M on, between them "
        "by the logarithm: seen on two cores, fp32; with bf16 where the processor multiplies it 88 and 45, 400 and 290",
    ),
    **{name: _gpu(name) for name in ("a100", "h100", "h800", "h200")},
}


def find_device(hardware: HardwareSpec, shape: ModelShape, dtype: Dtype) -> Device:
    """Return what a model's arithmetic runs on: on a CPU larger products run faster, and bfloat16 where it has that."""
    device = DEVICES[hardware.device]
    if hardware.device != "cpu":
        return device
    small, large = SEEN[dtype if multiplies_bfloat16() else "float32"]
    place = math.log(shape.active / small.weights) / math.log(large.weights / small.weights)
    share = min(1.0, max(0.0, place))
    train, decode = (low + share * (high - low) for low, high in zip(small[1:], large[1:], strict=True))
    return replace(device, train=train, decode=decode)


def estimate_rl_hours(
    stage: RLStage, shape: ModelShape, prompt: PromptTokens, counts: Batches, hardware: HardwareSpec
) -> float:
    """Estimate the device hours of an RL stage.

    Completions reach ``hardware.length_share`` of their limit: an upper bound where that is 1.

    Forward pass of a token at position t: 2 x active + 4 x layers x attention x t FLOPs; t is on average half of the
    sequence. Generating: the group's prompt once, each new token once; on a CPU, what all prompts begin with once a
    rollout. Training: passes over prompt and completion, 3 for each epoch (2 with an adapter, and 1 more with
    checkpointing), 1 for old log-probabilities where they take a pass of their own
    (``RLStage.computes_old_logprobs``), 1 for a reference where kl_coefficient > 0. A prompt is computed once where
    answers to it are in one microbatch (``sharing``). A value network costs as much again as the policy's passes (one
    for the values of the old network), and what is replayed costs passes but is not generated. Groups without gradient
    (``drop_uniform_groups``) are counted as if they had one: nobody knows how many there will be.
    """
    trains, share = find_device(hardware, shape, stage.model.dtype), hardware.length_share
    generates = find_device(hardware, shape, stage.rollout.dtype or stage.model.dtype)
    learning = stage.update.epochs * count_training_passes(stage)
    forward = stage.computes_old_logprobs + (stage.algorithm.kl_coefficient > 0)
    if stage.value:
        learning, forward = 2 * learning, forward + 1
    replayed = 1.0 + (stage.replay.share if stage.replay else 0.0)
    asked = prompt.own if hardware.device == "cpu" else prompt.whole
    seconds = 0.0
    for phase in counts.contexts:
        written = share * phase.max_new_tokens
        flops = phase.rollouts * count_forward_flops(shape, prompt.whole + written)
        generated = counts.completions_per_rollout * written + counts.questions * asked + prompt.whole - asked
        learnt = learning * count_training_tokens(stage, prompt, written)
        learnt += forward * count_forward_tokens(stage, prompt, written)
        seconds += generated * flops / generates.decode + replayed * learnt * flops / trains.train
    longest = stage.evaluation.max_new_tokens or stage.rollout.max_new_tokens
    evaluated = share * counts.evaluation_tokens_at_most + asked * counts.evaluation_prompts
    return (seconds + evaluated * count_forward_flops(shape, prompt.whole + share * longest) / generates.decode) / 3600


LOOKS = 1000
"""Rollouts of a phase at which the weights of reward models are looked at; they change seldom."""


def estimate_judge_hours(
    stage: RLStage, judges: Mapping[str, ModelShape], counts: Batches, hardware: HardwareSpec
) -> float:
    """Estimate the device hours of an RL stage's reward models.

    Each reads the completions of the tasks for which it weighs something just then.

    Args:
        stage: The recipe's.
        judges: The reward models by the names of their parts.
        counts: Rollouts and their lengths.
        hardware: The recipe's.
    """
    shares = sum(task.weight for task in stage.tasks)
    hours = 0.0
    for phase in counts.contexts:
        length = stage.prompt.max_tokens + hardware.length_share * phase.max_new_tokens
        stride = -(-phase.rollouts // LOOKS)
        for rollout in range(phase.first_rollout, phase.first_rollout + phase.rollouts, stride):
            update, alike = (
                rollout * stage.updates_per_rollout,
                min(stride, phase.first_rollout + phase.rollouts - rollout),
            )
            for name, shape in judges.items():
                asked = sum(task.weight for task in stage.tasks if stage.reward.weights(task.name)[name].at(update))
                texts = alike * asked / shares * counts.completions_per_rollout
                hours += _reading_hours(shape, texts, length, find_device(hardware, shape, stage.model.dtype))
    return hours


def estimate_eval_judge_hours(stage: EvalStage, judges: Mapping[str, ModelShape], hardware: HardwareSpec) -> float:
    """Device hours of an evaluation's judges, by their names, for the answers of all models."""
    length = stage.prompt.max_tokens + hardware.length_share * stage.max_new_tokens
    return sum(
        _reading_hours(
            judges[name],
            len(stage.models) * chosen.problems * chosen.samples,
            length,
            find_device(hardware, judges[name], stage.model.dtype),
        )
        for chosen in stage.sets
        for name in chosen.judges
        if name in judges
    )


def _reading_hours(shape: ModelShape, texts: float, length: float, device: Device) -> float:
    """Of one forward pass over so many texts of a length in tokens."""
    return texts * length * count_forward_flops(shape, length) / device.train / 3600


def estimate_pretrain_hours(stage: PretrainStage, shape: ModelShape, hardware: HardwareSpec) -> float:
    """Estimate the device hours of pre-training: three forward passes' worth for each token."""
    device = find_device(hardware, shape, stage.model.dtype)
    return 3 * stage.tokens * count_forward_flops(shape, stage.sequence_length) / device.train / 3600


def estimate_supervised_hours(stage: DataStage, shape: ModelShape, tokens: float, hardware: HardwareSpec) -> float:
    """Estimate the device hours of supervised training.

    A token takes three forward passes' worth (two with an adapter, and one more with checkpointing), as if every
    conversation had ``max_tokens`` or a thousand tokens, whichever is less.

    Args:
        stage: The recipe's.
        shape: The model.
        tokens: Of an epoch.
        hardware: The recipe's.
    """
    passes = stage.epochs * count_training_passes(stage)
    flops = count_forward_flops(shape, min(stage.max_tokens, 1000))
    return passes * tokens * flops / find_device(hardware, shape, stage.model.dtype).train / 3600


def estimate_eval_hours(stage: AnsweringStage, shape: ModelShape, hardware: HardwareSpec) -> float:
    """Estimate the device hours of one model's answers; each reaches ``hardware.length_share`` of its limit."""
    length = hardware.length_share * stage.max_new_tokens
    flops = count_forward_flops(shape, stage.prompt.max_tokens + length)
    return stage.completions * length * flops / find_device(hardware, shape, stage.model.dtype).decode / 3600
