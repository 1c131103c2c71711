"""Algorithms, optimizers, and how updates are cut, held and kept."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dunwu.config.schema.base import Count, Positive, Share, Strict, Tokens, Weighting


class AlgorithmSpec(Strict):
    """GRPO and its relatives, by what differs between them; ``algorithms/`` cites each."""

    advantage: Literal["group-std", "group-mean", "leave-one-out", "gae"] = "group-std"
    """(r-mean)/std (GRPO), r-mean (Dr. GRPO), r-mean of the others (RLOO), of a value network (PPO; see ``value``)."""
    loss: Literal["grpo", "gspo", "cispo"] = "grpo"
    clip_low: Annotated[float, Field(gt=0)] = 0.2
    clip_high: Annotated[float, Field(gt=0)] = 0.2
    """Ratios are clipped to [1-clip_low, 1+clip_high]; R1's RL stage: 10 for both."""
    aggregate: Literal["sequence", "token", "constant"] = "sequence"
    """Mean over a sequence's tokens then over sequences (DeepSeekMath), over all tokens (DAPO), or sum over a constant
    (Dr. GRPO)."""
    kl_coefficient: Weighting = 0.001
    """Beta; 0 costs no reference pass."""
    kl_estimator: Literal["k1", "k2", "k3"] = "k3"
    kl_in: Literal["loss", "reward"] = "loss"
    kl_correction: bool | None = None
    """Weigh the KL term in the loss by the importance ratio of the policy to the one that drew the tokens, so that its
    gradient is unbiased (DeepSeek-V3.2); None: where a rollout makes several updates or samples are replayed."""
    old_logprobs: Literal["sampler", "trainer"] = "trainer"
    """Pi_old: what the engine reported, or a forward pass of the trainer before the first update."""
    importance_cap: Weighting = 0.0
    """Truncated importance correction of sampler against trainer, weight min(pi_old/pi_sampler, cap); 0: off."""
    sampler_gap_warning: Annotated[float, Field(ge=0)] = 0.05
    """Mean absolute difference of the engine's and the trainer's log-probabilities under the same weights, in nats a
    token, above which a run warns. It also warns above 1e-4 where that is 20 times the first rollout's, which is
    rounding alone. 0: never."""
    sampler_gap_stop: Annotated[float, Field(ge=0)] = 0.2
    """The same, above which the run stops before it learns; 0: never."""
    drop_uniform_groups: bool = False
    """Groups whose rewards are all equal leave the batch (DAPO's filter); they carry no gradient but count in the
    mean."""
    refill: Annotated[int, Field(ge=0, le=1000)] = 0
    """Dynamic sampling (DAPO, section 3.2): up to this many further rollouts to replace dropped groups."""
    overlong: Literal["keep", "mask"] = "keep"
    """Truncated completions keep their reward, or carry no loss (DAPO, section 3.4)."""
    overlong_buffer: Count = 0
    """DAPO's soft punishment: the last so many tokens before the cap cost up to 1 reward; 0: off."""


class OptimizerSpec(Strict):
    """The optimizer and its schedule."""

    name: Literal["adamw", "muon"] = "adamw"
    """``muon``: Muon for the hidden matrices, AdamW for the rest."""
    lr: Annotated[float, Field(gt=0)] = 3e-6
    muon_lr: Annotated[float, Field(gt=0)] = 0.02
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    warmup_steps: Count = 0
    final_lr_share: Share = 0.1
    """For linear and cosine: the last learning rate as a share of ``lr``."""


class SupervisedOptimizerSpec(OptimizerSpec):
    """The paper's for supervised training: cosine from 5e-5 to a tenth."""

    lr: Annotated[float, Field(gt=0)] = 5e-5
    schedule: Literal["constant", "linear", "cosine"] = "cosine"


class ValueSpec(Strict):
    """PPO's value network (Schulman et al., arXiv 1707.06347), as large as the policy."""

    from_: str | None = Field(alias="from", default=None)
    """As for the stage, or a reward model; None: the model that the stage begins from. The head is new where there is
    none."""
    lam: Annotated[float, Field(alias="lambda", ge=0, le=1)] = 1.0
    """Of generalised advantage estimation. In the paper 0.95 is clearly worse on long chains than 1."""
    discount: Annotated[float, Field(alias="gamma", gt=0, le=1)] = 1.0
    clip: Annotated[float, Field(gt=0)] | None = 0.2
    """What moves a value further than this from what it was before the rollout, in units of the reward, gains nothing;
    None: no such clip."""
    whiten: bool = True
    """Advantages are brought to mean 0 and deviation 1 over the tokens of a rollout."""
    optimizer: OptimizerSpec = OptimizerSpec(lr=1e-5)


class ReplaySpec(Strict):
    """Samples of earlier rollouts, learned from once more."""

    rollouts: Positive
    """How many of the last ones are kept."""
    share: Annotated[float, Field(gt=0, le=4)] = 0.5
    """Replayed samples in an update, as a share of the fresh ones."""


class PassSpec(Strict):
    """How forward and backward passes are cut; never changes the result."""

    tokens_per_microbatch: Positive = 16384
    """A pass holds at most so many tokens, padding included."""
    logprob_chunk: Positive = 1024
    """Tokens whose logits exist at once."""
    gradient_checkpointing: bool = False


class UpdateSpec(PassSpec):
    """What is done with one rollout (R1-Zero: 8,192 outputs in 16 minibatches, one epoch)."""

    minibatches: Positive = 16
    """questions x group_size must divide by it. The split is random and breaks groups; advantages come before it."""
    epochs: Positive = 1


class ModelSpec(Strict):
    """How weights are held."""

    dtype: Literal["float32", "bfloat16"] = "float32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: Annotated[int, Field(ge=0, le=1024)] = 0
    """CPU threads; 0: every core."""


class CheckpointSpec(Strict):
    """What is kept."""

    every: Positive = 50
    """Updates between checkpoints; in reinforcement learning rounded up to whole rollouts."""
    keep: Positive = 2


class TransformerSpec(Strict):
    """Shape of a model made from scratch (Qwen-like)."""

    hidden_size: Annotated[int, Field(gt=0, le=2**16)]
    layers: Annotated[int, Field(gt=0, le=1024)]
    heads: Annotated[int, Field(gt=0, le=1024)]
    kv_heads: Annotated[int, Field(gt=0, le=1024)]
    intermediate_size: Annotated[int, Field(gt=0, le=2**18)]
    max_positions: Tokens = 1024
