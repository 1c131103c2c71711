"""Memory and time, estimated from the model's shape. Formulas stand in the docstrings; nothing here is measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import NamedTuple

from dunwu.config.schema import AdapterSpec, AnsweringStage, DataStage, EvalStage, HardwareSpec, PretrainStage, RLStage
from dunwu.models.flops import count_forward_flops, count_training_passes
from dunwu.models.shape import ModelShape
from dunwu.planning.batches import Batches

GIB = 2**30
BYTES = {"float32": 4, "bfloat16": 2}
TRAIN_SHARE, DECODE_SHARE = 0.20, 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """Arithmetic that one device is assumed to reach, in FLOP/s, and its memory in GiB (None: the machine's)."""

    train: float
    decode: float
    memory_gib: float | None
    basis: str


def _gpu(peak: float, memory_gib: float) -> Device:
    basis = f"{TRAIN_SHARE:.0%} of {peak / 1e12:g} TFLOP/s (bf16) in training, {DECODE_SHARE:.0%} in decoding: assumed"
    return Device(train=TRAIN_SHARE * peak, decode=DECODE_SHARE * peak, memory_gib=memory_gib, basis=basis)


DEVICES = {
    "cpu": Device(
        train=68e9,
        decode=35e9,
        memory_gib=None,
        basis="68 GFLOP/s in training, 35 in decoding: seen on two Zen 4 cores with a 1 M-weight model, fp32",
    ),
    "a100": _gpu(312e12, 80),
    "h100": _gpu(989e12, 80),
    "h800": _gpu(989e12, 80),
    "h200": _gpu(989e12, 141),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes over all devices. The sum is an upper bound: cache and activations need not live at the same time."""

    weights: int
    gradients: int = 0
    optimizer: int = 0
    reference: int = 0
    critic: int = 0
    reward_models: int = 0
    engine: int = 0
    kv_cache: int = 0
    logits: int = 0
    activations: int = 0

    @property
    def gib(self) -> float:
        """The sum in GiB."""
        return sum(self.parts_gib().values())

    def parts_gib(self) -> dict[str, float]:
        """Each part in GiB."""
        return {part.name: getattr(self, part.name) / GIB for part in fields(self)}


def estimate_rl_memory(
    stage: RLStage, shape: ModelShape, context: int, engines: int = 1, judges: Iterable[ModelShape] = ()
) -> Memory:
    """Memory of an RL stage whose longest sequence, prompt and completion, has ``context`` tokens.

    With N parameters of b bytes, of which L learn, and the recipe's fields by name. L is N, or A, the numbers of an
    adapter, which come to the weights:

        weights              N b, and A b
        gradients            L b
        optimizer            8 L (two fp32 moments; Muon keeps one); in bfloat16 8 L more (fp32 weights, gradients)
        reference            N b, where kl_coefficient > 0; with an adapter A b, where it moves, for the base is there
        critic               as weights, gradients and optimizer, where there is a value network
        reward_models        N b of each of the ``judges``
        engine               N b, for each of the ``engines``, which have their own copies
        kv_cache             max_sequences x context x kv_values x b
        logits               3 x logprob_chunk x vocabulary x 4 (logits, softmax, gradient, in fp32)
        activations          see ``_activations``, for tokens_per_microbatch tokens (at least one sequence)
    """
    size = BYTES[stage.model.dtype]
    tokens = max(stage.update.tokens_per_microbatch, context)
    learning = _learning(shape, size, stage.adapter)
    reference = learning.gradients if stage.reference_every or not stage.adapter else 0
    return Memory(
        weights=learning.weights,
        gradients=learning.gradients,
        optimizer=learning.optimizer,
        reference=reference if stage.algorithm.kl_coefficient > 0 else 0,
        critic=sum(learning) if stage.value else 0,
        reward_models=sum(judge.parameters for judge in judges) * size,
        engine=shape.parameters * size * engines,
        kv_cache=stage.rollout.max_sequences * context * shape.kv_values * size,
        logits=3 * stage.update.logprob_chunk * shape.vocabulary * 4,
        activations=_activations(shape, tokens, size, checkpointing=stage.update.gradient_checkpointing),
    )


def estimate_pretrain_memory(stage: PretrainStage, shape: ModelShape) -> Memory:
    """Memory of pre-training: as ``rl_memory``, without reference, engine and cache, and with the logits of a batch."""
    size = BYTES[stage.model.dtype]
    tokens = stage.batch_sequences * stage.sequence_length
    return Memory(
        **_learning(shape, size)._asdict(),
        logits=3 * tokens * shape.vocabulary * 4,
        activations=_activations(shape, tokens, size, checkpointing=False),
    )


def estimate_supervised_memory(stage: DataStage, shape: ModelShape) -> Memory:
    """Memory of supervised training: as ``rl_memory``, without reference, engine and cache."""
    size = BYTES[stage.model.dtype]
    checkpointing = stage.update.gradient_checkpointing
    return Memory(
        **_learning(shape, size, stage.adapter)._asdict(),
        logits=3 * stage.update.logprob_chunk * shape.vocabulary * 4,
        activations=_activations(shape, stage.update.tokens_per_microbatch, size, checkpointing=checkpointing),
    )


def estimate_eval_memory(
    stage: AnsweringStage, shape: ModelShape, engines: int = 1, judges: Iterable[ModelShape] = ()
) -> Memory:
    """Estimate the memory of an evaluation or of rejection sampling: weights and cache.

    Args:
        stage: The recipe's.
        shape: The model that answers.
        engines: Engines side by side; each has weights of its own.
        judges: Reward models that are asked.
    """
    size = BYTES[stage.model.dtype]
    weights = shape.parameters * size
    context = stage.prompt.max_tokens + stage.max_new_tokens
    return Memory(
        weights=weights,
        reward_models=sum(judge.parameters for judge in judges) * size,
        engine=weights * engines,
        kv_cache=stage.max_sequences * context * shape.kv_values * size,
        logits=stage.max_sequences * shape.vocabulary * 4,
    )


class _Learning(NamedTuple):
    """Bytes of a model that learns."""

    weights: int
    gradients: int
    optimizer: int


def _learning(shape: ModelShape, size: int, adapter: AdapterSpec | None = None) -> _Learning:
    """Count the bytes of a model whose weights have ``size`` bytes; see ``estimate_rl_memory``."""
    added = shape.count_adapter(adapter.rank) if adapter else 0
    learned = added if adapter else shape.parameters
    moments = 8 if size == BYTES["float32"] else 16
    return _Learning((shape.parameters + added) * size, learned * size, learned * moments)


def _activations(shape: ModelShape, tokens: int, size: int, *, checkpointing: bool) -> int:
    """Bytes kept for the backward pass.

    A layer keeps for each token about 6 hidden-sized values (two residuals, two norms, two outputs), 2 attention-sized,
    its keys and values, and 4 MLP-sized (gate, up, activation, product). With checkpointing: one hidden-sized value for
    each layer, and one layer whole.
    """
    layer = 6 * shape.hidden + 2 * shape.attention + shape.kv_values // shape.layers + 4 * shape.intermediate
    kept = shape.layers * shape.hidden + layer if checkpointing else shape.layers * layer
    return tokens * kept * size


def estimate_rl_hours(stage: RLStage, shape: ModelShape, counts: Batches, hardware: HardwareSpec) -> float:
    """Estimate the device hours of an RL stage.

    Prompts reach their limit and completions ``hardware.length_share`` of theirs: an upper bound where that is 1.

    Forward pass of a token at position t: 2 x active + 4 x layers x attention x t FLOPs; t is on average half of the
    sequence. Generating: the group's prompt once, each new token once. Training: passes over prompt and completion,
    3 for each epoch (2 with an adapter, and 1 more with checkpointing), 1 for old log-probabilities where they take a
    pass of their own (``RLStage.computes_old_logprobs``), 1 for a reference where kl_coefficient > 0. A value network
    costs as much again as the policy's passes (one for the values of the old network), and what is replayed costs
    passes but is not generated.
    """
    device, prompt, share = DEVICES[hardware.device], stage.prompt.max_tokens, hardware.length_share
    learning = stage.update.epochs * count_training_passes(stage)
    passes = learning + stage.computes_old_logprobs + (stage.algorithm.kl_coefficient > 0)
    if stage.value:
        passes += 1 + learning
    replayed = 1.0 + (stage.replay.share if stage.replay else 0.0)
    seconds = 0.0
    for phase in counts.contexts:
        completions = phase.rollouts * counts.completions_per_rollout
        length = prompt + share * phase.max_new_tokens
        generated = completions * share * phase.max_new_tokens + phase.rollouts * counts.questions * prompt
        flops = count_forward_flops(shape, length)
        seconds += generated * flops / device.decode + passes * replayed * completions * length * flops / device.train
    longest = stage.evaluation.max_new_tokens or stage.rollout.max_new_tokens
    evaluated = count_forward_flops(shape, prompt + share * longest) * share * counts.evaluation_tokens_at_most
    return (seconds + evaluated / device.decode) / 3600


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
                hours += _reading_hours(shape, texts, length, hardware)
    return hours


def estimate_eval_judge_hours(stage: EvalStage, judges: Mapping[str, ModelShape], hardware: HardwareSpec) -> float:
    """Device hours of an evaluation's judges, by their names, for the answers of all models."""
    length = stage.prompt.max_tokens + hardware.length_share * stage.max_new_tokens
    return sum(
        _reading_hours(judges[name], len(stage.models) * chosen.problems * chosen.samples, length, hardware)
        for chosen in stage.sets
        for name in chosen.judges
        if name in judges
    )


def _reading_hours(shape: ModelShape, texts: float, length: float, hardware: HardwareSpec) -> float:
    """Of one forward pass over so many texts of a length in tokens."""
    return texts * length * count_forward_flops(shape, length) / DEVICES[hardware.device].train / 3600


def estimate_pretrain_hours(stage: PretrainStage, shape: ModelShape, hardware: HardwareSpec) -> float:
    """Estimate the device hours of pre-training: three forward passes' worth for each token."""
    return 3 * stage.tokens * count_forward_flops(shape, stage.sequence_length) / DEVICES[hardware.device].train / 3600


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
    return passes * tokens * flops / DEVICES[hardware.device].train / 3600


def estimate_eval_hours(stage: AnsweringStage, shape: ModelShape, hardware: HardwareSpec) -> float:
    """Estimate the device hours of one model's answers; each reaches ``hardware.length_share`` of its limit."""
    length = hardware.length_share * stage.max_new_tokens
    flops = count_forward_flops(shape, stage.prompt.max_tokens + length)
    return stage.completions * length * flops / DEVICES[hardware.device].decode / 3600
