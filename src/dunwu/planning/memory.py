"""Memory, estimated from the model's shape. Formulas stand in the docstrings; nothing here is measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import NamedTuple

from dunwu.config.schema import AdapterSpec, AnsweringStage, DataStage, HardwareSpec, PretrainStage, RLStage
from dunwu.models.flops import KEPT_LOGITS_BYTES
from dunwu.models.shape import ModelShape
from dunwu.planning.sharing import PromptTokens, count_microbatch_tokens

GIB = 2**30
BYTES = {"float32": 4, "bfloat16": 2}
PROCESS = GIB // 2
"""Python with torch and transformers on a CPU, before it holds a model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes over all devices, all that may lie there at the same time: an engine keeps its cache between rollouts.

    Attributes:
        comparison: What a model is compared with when it is opened.
        process: Python and its libraries, on a CPU.
    """

    weights: int
    comparison: int = 0
    gradients: int = 0
    optimizer: int = 0
    reference: int = 0
    critic: int = 0
    reward_models: int = 0
    engine: int = 0
    kv_cache: int = 0
    logits: int = 0
    activations: int = 0
    process: int = 0

    @property
    def gib(self) -> float:
        """All parts together, in GiB."""
        return sum(self.parts_gib().values())

    def parts_gib(self) -> dict[str, float]:
        """Each part in GiB."""
        return {part.name: getattr(self, part.name) / GIB for part in fields(self)}


def estimate_rl_memory(
    stage: RLStage,
    shape: ModelShape,
    prompt: PromptTokens,
    completion: int,
    hardware: HardwareSpec,
    *,
    engines: int = 1,
    judges: Iterable[ModelShape] = (),
) -> Memory:
    """Estimate the memory of an RL stage whose longest answer has ``completion`` tokens.

    With N parameters of b bytes, of which L learn, and the recipe's fields by name. L is N, or A, the numbers of an
    adapter, which come to the weights:

        weights              N b, and A b
        gradients            4 L
        optimizer            8 L (two fp32 moments; Muon keeps one); in bfloat16 4 L more (fp32 weights)
        reference            N b, where kl_coefficient > 0; with an adapter A b, where it moves, for the base is there
        critic               as weights, gradients and optimizer, where there is a value network
        reward_models        N b of each of the ``judges``
        engine               N b (of ``rollout.dtype``) for each of the ``engines``, which have their own copies; with
                             the kernels a tied output once more, packed
        kv_cache             max_sequences x context x kv_values x b, for whole prompts and answers; b is 4 on a CPU
        logits               3 x logprob_chunk x vocabulary x 4 (logits, softmax, gradient, in fp32); with the kernels
                             1 x (each overwrites the one before), the output, packed, and whole chunks that are
                             kept from forward to backward, ``KEPT_LOGITS_BYTES`` at most; in bfloat16 the output
                             twice, and a chunk rounded
        activations          see ``_activations``; on a GPU for tokens_per_microbatch tokens (at least one sequence), on
                             a CPU for those of them that are left when common beginnings are computed once
        process              on a CPU ``PROCESS``; on a GPU it is not in the device's memory

    On a CPU the fused layers keep less.
    """
    size, context = BYTES[stage.model.dtype], prompt.whole + completion
    generates = BYTES[stage.rollout.dtype or stage.model.dtype]
    on_cpu = hardware.device == "cpu"
    tokens = count_microbatch_tokens(stage, prompt, completion) if on_cpu else _longest_microbatch(stage, context)
    learning = _learning(shape, size, stage.adapter)
    reference = learning.gradients // BYTES["float32"] * size if stage.reference_every or not stage.adapter else 0
    return Memory(
        weights=learning.weights,
        gradients=learning.gradients,
        optimizer=learning.optimizer,
        reference=reference if stage.algorithm.kl_coefficient > 0 else 0,
        critic=sum(learning) if stage.value else 0,
        reward_models=sum(judge.parameters for judge in judges) * size,
        engine=_engine(shape, generates, hardware) * engines,
        kv_cache=stage.rollout.max_sequences * context * shape.kv_values * (BYTES["float32"] if on_cpu else generates),
        logits=_logits(stage, shape, hardware, tokens),
        activations=_activations(
            shape, tokens, size, checkpointing=stage.update.gradient_checkpointing, fused=_is_fused(hardware)
        ),
        process=PROCESS if on_cpu else 0,
    )


def _longest_microbatch(stage: RLStage, context: int) -> int:
    return max(stage.update.tokens_per_microbatch, context)


def _logits(stage: RLStage | DataStage, shape: ModelShape, hardware: HardwareSpec, tokens: int) -> int:
    row = shape.vocabulary * BYTES["float32"]
    chunk = stage.update.logprob_chunk * row
    if not _is_fused(hardware):
        return 3 * chunk
    kept = min(tokens * row, KEPT_LOGITS_BYTES) if chunk <= KEPT_LOGITS_BYTES else 0
    rounded = chunk if stage.model.dtype == "bfloat16" else 0
    return chunk + rounded + kept + shape.hidden * row


def _engine(shape: ModelShape, size: int, hardware: HardwareSpec) -> int:
    twice = shape.has_tied_output and _is_fused(hardware)
    return (shape.parameters + (shape.vocabulary * shape.hidden if twice else 0)) * size


def _is_fused(hardware: HardwareSpec) -> bool:
    """Tell whether a model of the Llama family has fused layers there, which the kernels make; they are taken as built.

    To look for them takes torch, which a plan does without.
    """
    return hardware.device == "cpu"


def estimate_pretrain_memory(stage: PretrainStage, shape: ModelShape, hardware: HardwareSpec) -> Memory:
    """Memory of pre-training: as ``rl_memory``, without reference, engine and cache, and with the logits of a batch."""
    size = BYTES[stage.model.dtype]
    tokens = stage.batch_sequences * stage.sequence_length
    return Memory(
        **_learning(shape, size)._asdict(),
        logits=3 * tokens * shape.vocabulary * 4,
        activations=_activations(shape, tokens, size, checkpointing=False),
        process=PROCESS if hardware.device == "cpu" else 0,
    )


def estimate_supervised_memory(stage: DataStage, shape: ModelShape, hardware: HardwareSpec) -> Memory:
    """Memory of supervised training: as ``rl_memory``, without reference, engine and cache."""
    size = BYTES[stage.model.dtype]
    checkpointing, fused = stage.update.gradient_checkpointing, _is_fused(hardware)
    return Memory(
        **_learning(shape, size, stage.adapter)._asdict(),
        logits=_logits(stage, shape, hardware, stage.update.tokens_per_microbatch),
        activations=_activations(
            shape, stage.update.tokens_per_microbatch, size, checkpointing=checkpointing, fused=fused
        ),
        process=PROCESS if hardware.device == "cpu" else 0,
    )


def estimate_eval_memory(
    stage: AnsweringStage,
    shape: ModelShape,
    hardware: HardwareSpec,
    *,
    engines: int = 1,
    judges: Iterable[ModelShape] = (),
) -> Memory:
    """Estimate the memory of an evaluation or of rejection sampling: weights and cache.

    Args:
        stage: The recipe's.
        shape: The model that answers.
        hardware: The recipe's.
        engines: Engines side by side; each has weights of its own, as ``estimate_rl_memory`` counts them.
        judges: Reward models that are asked.
    """
    size = BYTES[stage.model.dtype]
    weights = shape.parameters * size
    rows, on_cpu = min(stage.max_sequences, stage.completions), hardware.device == "cpu"
    # In bfloat16 the fused layers are compared with a copy in float32 when the model is opened.
    copied = shape.parameters * BYTES["float32"] if on_cpu and stage.model.dtype == "bfloat16" else 0
    return Memory(
        weights=weights,
        comparison=copied,
        reward_models=sum(judge.parameters for judge in judges) * size,
        engine=_engine(shape, size, hardware) * engines,
        kv_cache=rows * stage.longest_sequence * shape.kv_values * (BYTES["float32"] if on_cpu else size),
        logits=rows * shape.vocabulary * 4,
        process=PROCESS if on_cpu else 0,
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
    single = BYTES["float32"]
    masters = 0 if size == single else single
    return _Learning((shape.parameters + added) * size, learned * single, learned * (2 * single + masters))


def _activations(shape: ModelShape, tokens: int, size: int, *, checkpointing: bool, fused: bool = False) -> int:
    """Count the bytes that are kept for the backward pass.

    A layer of transformers keeps for each token about 6 hidden-sized values (two residuals, two norms, two outputs), 2
    attention-sized, its keys and values, and 4 MLP-sized (gate, up, activation, product). A fused layer
    (``models.fused_layers``) keeps 2 hidden-sized values, 2 attention-sized, its keys and values, and 2 MLP-sized; what
    it makes again in the backward, for one layer at a time, is a layer of transformers, and its matrices of queries,
    keys, values, gate and up joined. Only those are in the weights' type. With checkpointing: one hidden-sized value
    for each layer, and one layer whole.
    """
    keys = shape.kv_values // shape.layers
    whole = 6 * shape.hidden + 2 * shape.attention + keys + 4 * shape.intermediate
    if not fused:
        return tokens * (shape.layers * shape.hidden + whole if checkpointing else shape.layers * whole) * size
    kept = 2 * shape.hidden + 2 * shape.attention + keys + 2 * shape.intermediate
    joined = shape.hidden * (shape.attention + keys + 2 * shape.intermediate)
    layers = shape.layers * shape.hidden + kept if checkpointing else shape.layers * kept
    return tokens * (layers + whole) * BYTES["float32"] + joined * size
