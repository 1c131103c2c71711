"""Algorithms, optimizers, and how updates are cut, held and kept."""

from __future__ import annotations

from typing import Annotated, Final, Literal, get_args

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from dunwu.config.references import Names
from dunwu.config.schema.base import Count, LearningRate, Positive, Share, Strict, Tokens, Weighting
from dunwu.kernels.builds import multiplies_bfloat16
from dunwu.machine import AskedDtype, Dtype
from dunwu.registry import advantages, engines, losses

LOSS: Final = ("logprobs_BT", "old_logprobs_BT", "mask_BT", "advantages_BT", "clip")
"""Arguments of a loss, see ``algorithms.losses.Loss``."""

Level = Literal["token", "sequence", "geometric"]


class CorrectionSpec(Strict):
    """What corrects for samples that another policy wrote: a foreign engine, or weights that are some updates old.

    Of each token or completion, w = pi_old / pi_sampler; ``algorithms/importance.py`` cites where it comes from.
    """

    level: Level = "token"
    """What has one weight: each token, or a whole completion, with the product of its tokens' (``sequence``) or their
    geometric mean (``geometric``)."""
    cap: Weighting = 2.0
    """Truncated importance sampling: each loss is multiplied by min(w, cap). 0: by 1, so that only masks correct, and
    without masks nothing does."""
    mask_low: Share = 0.0
    """What has a smaller w loses its loss, and still counts in the mean; 0: no such bound. IcePop: 0.5."""
    mask_high: Weighting = 0.0
    """What has a larger w loses its loss, and still counts in the mean; 0: no such bound. IcePop: 5, with a ``cap`` as
    large."""
    mask_level: Level | None = None
    """The level of the w that masks go by, such as whole completions beside weights of tokens; None: ``level``."""

    @property
    def has_masks(self) -> bool:
        """Whether anything can lose its loss."""
        return self.mask_low > 0 or self.mask_high > 0


class AlgorithmSpec(Strict):
    """GRPO and its relatives, by what differs between them; ``algorithms/`` cites each."""

    advantage: Annotated[str, Names(advantages, ("rewards",))] = "group-std"
    """``group-std``: (r-mean)/std (GRPO), ``group-mean``: r-mean (Dr. GRPO), ``leave-one-out``: r-mean of the others
    (RLOO), ``gae``: of a value network (PPO; see ``value``); or one of your own."""
    loss: Annotated[str, Names(losses, LOSS)] = "grpo"
    """Clipped ratio of each token (``grpo``, arXiv 2402.03300), of whole sequences (``gspo``, arXiv 2507.18071), or a
    clipped weight that keeps every token's gradient (``cispo``, arXiv 2506.13585); or one of your own."""
    clip_low: Annotated[float, Field(gt=0)] = 0.2
    """How far a ratio of new to old probability may fall below 1 before it stops counting."""
    clip_high: Annotated[float, Field(gt=0)] = 0.2
    """Ratios are clipped to [1-clip_low, 1+clip_high]; R1's RL stage: 10 for both."""
    aggregate: Literal["sequence", "token", "constant"] = "sequence"
    """Mean over a sequence's tokens then over sequences (DeepSeekMath), over all tokens (DAPO), or sum over a constant
    (Dr. GRPO)."""
    kl_coefficient: Weighting = 0.001
    """Weight of the KL term (beta); 0 leaves it out, and needs no reference model."""
    kl_estimator: Literal["k1", "k2", "k3"] = "k3"
    """How the distance to the reference is estimated from samples: k1 = -log r, k2 = (log r)^2 / 2, k3 = r - 1 - log r,
    with r = pi_ref / pi (k3: GRPO's)."""
    kl_in: Literal["loss", "reward"] = "loss"
    """Where the KL term is charged: as a term of the loss (GRPO), or taken off each token's reward (PPO)."""
    kl_correction: bool | None = None
    """Weigh the KL term in the loss by the importance ratio of the policy to the one that drew the tokens, so that its
    gradient is unbiased (DeepSeek-V3.2); None: where a rollout makes several updates or samples are replayed."""
    old_logprobs: Literal["sampler", "trainer"] = "trainer"
    """Pi_old: what the engine reported, or a forward pass of the trainer before the first update."""
    importance_cap: Weighting = 0.0
    """Truncated importance correction of sampler against trainer, weight min(pi_old/pi_sampler, cap); 0: off. The same
    as ``correction`` = { cap = ... }, and older."""
    correction: CorrectionSpec | None = None
    """Correction for samples that another policy wrote; None: by itself, which is ``importance_cap``, or else a ``cap``
    of 2 on tokens where the engine is not ours, or ``rollout.max_staleness`` above 0."""
    logprob_difference_warning: Annotated[float, Field(ge=0)] = 0.05
    """Mean absolute difference of the engine's and the trainer's log-probabilities under the same weights, in nats a
    token, above which a run warns. It also warns above 1e-4 where that is 20 times the first rollout's, which is
    rounding alone. 0: never."""
    logprob_difference_stop: Annotated[float, Field(ge=0)] = 0.2
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

    def settle_correction(self, foreign_samples: bool) -> CorrectionSpec | None:
        """Return what corrects for the sampler, or None where nothing does. No one else decides it.

        Args:
            foreign_samples: whether another policy than the trainer's writes them; then they are corrected by
                themselves.
        """
        chosen = self.correction
        if chosen is None and (self.importance_cap or foreign_samples):
            chosen = CorrectionSpec(cap=self.importance_cap) if self.importance_cap else CorrectionSpec()
        corrects = chosen is not None and (chosen.cap > 0 or chosen.has_masks)
        return chosen if corrects and self.old_logprobs == "trainer" else None


class OptimizerSpec(Strict):
    """The optimizer and its schedule."""

    name: Literal["adamw", "muon"] = "adamw"
    """AdamW for all weights, or Muon for the hidden matrices and AdamW for the rest."""
    lr: LearningRate = 3e-6
    """Peak learning rate of AdamW."""
    muon_lr: LearningRate = 0.02
    """Peak learning rate of Muon's matrices; for ``muon`` only."""
    betas: tuple[float, float] = (0.9, 0.95)
    """AdamW's decay rates of the first and the second moment."""
    weight_decay: Annotated[float, Field(ge=0, le=100.0)] = 0.0
    """Decoupled weight decay, per unit of the learning rate."""
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    """Gradients longer than this norm are scaled down to it."""
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """How the learning rate goes on after the warm-up: as it is, or down to ``final_lr_share`` in a line or a
    cosine."""
    warmup_steps: Count = 0
    """Updates over which the learning rate rises in a line from near 0."""
    final_lr_share: Share = 0.1
    """For linear and cosine: the last learning rate as a share of ``lr``."""


class AdapterSpec(Strict):
    """LoRA (Hu et al., arXiv 2106.09685): B A of low rank learns beside every linear layer, whose weights stay.

    Embeddings and the head of a language model stay too. AdamW updates A and B.
    """

    rank: Annotated[int, Field(ge=1, le=64)]
    """Rows of A and columns of B. Rank 1 was enough for policy gradients in "LoRA Without Regret" (Thinking Machines,
    2025)."""
    alpha: Annotated[int, Field(gt=0, le=2**16)] = 32
    """B A is scaled by alpha / rank, so that one learning rate suits about every rank (same source, which has 32)."""
    lr_factor: Annotated[float, Field(gt=0, le=1000)] = 10.0
    """The learning rate, as a multiple of ``optimizer.lr``, which stays that of training all weights. The same source
    found 10 for supervised training and reinforcement learning alike, and about 15 below 100 updates."""


class ValueSpec(Strict):
    """PPO's value network (Schulman et al., arXiv 1707.06347), as large as the policy."""

    from_: str | None = Field(alias="from", default=None)
    """As for the stage, or a reward model; None: the model that the stage begins from. The head is new where there is
    none."""
    lam: Annotated[float, Field(alias="lambda", ge=0, le=1)] = 1.0
    """Lambda of generalised advantage estimation. In the paper 0.95 is clearly worse than 1 on long chains."""
    discount: Annotated[float, Field(alias="gamma", gt=0, le=1)] = 1.0
    """Discount of later rewards (gamma); 1 counts them in full."""
    clip: Annotated[float, Field(gt=0)] | None = 0.2
    """What moves a value further than this from what it was before the rollout, in units of the reward, gains nothing;
    None: no such clip."""
    whiten: bool = True
    """Advantages are brought to mean 0 and deviation 1 over the tokens of a rollout."""
    optimizer: OptimizerSpec = OptimizerSpec(lr=1e-5)
    """The value network's own optimizer."""


class ReplaySpec(Strict):
    """Samples of earlier rollouts, learned from once more."""

    rollouts: Positive
    """How many of the newest rollouts are kept."""
    share: Annotated[float, Field(gt=0, le=4)] = 0.5
    """Replayed samples in an update, as a share of the fresh ones."""


class PassSpec(Strict):
    """How forward and backward passes are cut; never changes the result."""

    tokens_per_microbatch: Positive = 8192
    """Most tokens in one forward and backward pass, padding included: what memory for activations goes by."""
    logprob_chunk: Positive = 1024
    """Tokens whose logits exist at once: what memory for logits goes by."""
    gradient_checkpointing: bool = False
    """Keep only each layer's input and compute the rest again in the backward pass: less memory, a third more time."""


class UpdateSpec(PassSpec):
    """What is done with one rollout (R1-Zero: 8,192 outputs in 16 minibatches, one epoch)."""

    minibatches: Positive = 16
    """questions x group_size must divide by it. The split is random and breaks groups; advantages come before it."""
    epochs: Positive = 1
    """How often each rollout is learned from."""


def _settle_dtype(dtype: object) -> object:
    """Replace ``auto`` when a recipe is read, so that a run keeps its type wherever it goes on."""
    if dtype == "auto":
        return "bfloat16" if multiplies_bfloat16() else "float32"
    if dtype not in get_args(Dtype):
        raise PydanticCustomError("dtype", "must be 'auto', 'float32' or 'bfloat16'")
    return dtype


class ModelSpec(Strict):
    """How weights are held."""

    dtype: Annotated[Dtype, BeforeValidator(_settle_dtype, json_schema_input_type=AskedDtype)] = "float32"
    """Type of the weights in memory; ``auto``: bfloat16 where the CPU's kernels multiply it faster (AVX-512 BF16), else
    float32, also beside a GPU: there name the type. With bfloat16 the optimizer keeps float32 copies, and gradients are
    summed in float32; on a CPU with kernels only the factors of products are rounded. The copies begin anywhere in what
    rounds to the weights, so that weights follow small updates from the first."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the stage runs; ``auto`` takes CUDA where there is a device."""
    threads: Annotated[int, Field(ge=0, le=1024)] = 0
    """CPU threads; 0: every core."""
    engine: Annotated[str, Names(engines, ())] = "builtin"
    """What generates with the weights: ``builtin``, ``vllm`` (in an environment of its own), or one of yours."""


class WorkersSpec(Strict):
    """Where a stage works, when the recipe's ``executor`` is not ``inline``."""

    rollout: Annotated[int, Field(gt=0, le=1024)] = 1
    """Workers that generate, each with an engine of its own; ``max_sequences`` is shared among them."""
    rollout_threads: Annotated[int, Field(ge=0, le=1024)] = 0
    """CPU threads of each of them; 0: those of ``model.threads``, shared among them."""
    training: Annotated[int, Field(gt=0, le=1024)] = 1
    """Ranks that train, each a process with a shard of the model (FSDP2); 1: the process of the run trains."""


class CheckpointSpec(Strict):
    """What is kept."""

    every: Positive = 50
    """Updates between checkpoints; in reinforcement learning rounded up to whole rollouts."""
    keep: Positive = 2
    """Newest checkpoints that are kept; older ones are deleted."""


class TransformerSpec(Strict):
    """Shape of a model made from scratch (Qwen-like)."""

    hidden_size: Annotated[int, Field(gt=0, le=2**16)]
    """Width of the residual stream."""
    layers: Annotated[int, Field(gt=0, le=1024)]
    """Transformer blocks."""
    heads: Annotated[int, Field(gt=0, le=1024)]
    """Query heads of each attention layer; must divide ``hidden_size``."""
    kv_heads: Annotated[int, Field(gt=0, le=1024)]
    """Key and value heads, each shared by several query heads; must divide ``heads``."""
    intermediate_size: Annotated[int, Field(gt=0, le=2**18)]
    """Width of the gated MLP inside each block."""
    max_positions: Tokens = 1024
    """Longest sequence that the model can read and write, in tokens."""
