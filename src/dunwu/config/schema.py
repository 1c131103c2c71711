"""The recipe, field by field. Validated once, frozen, imports no torch.

A recipe is TOML: a name, a seed, and stages in the order in which they run. Numbers of the paper are cited in the
recipes themselves; the defaults here are R1-Zero's where the paper gives them (R1: arXiv 2501.12948v2, section 2).
What one field alone decides is checked here; what fields decide together, in ``dunwu.config.checks``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

Language = Literal["en", "zh"]
Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
TopP = Annotated[float, Field(gt=0.0, le=1.0)]


def _sampling(temperature: float) -> float:
    """Below a thousandth, logits over temperature overflow."""
    if 0 < temperature < 1e-3:
        raise PydanticCustomError("temperature", "must be 0 or at least 0.001")
    return temperature


Temperature = Annotated[float, Field(ge=0.0), AfterValidator(_sampling)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
"""Becomes a folder's name and a part of ``--set``: letters, digits, - and _."""


class Strict(BaseModel):
    """Unknown fields are errors; nothing changes after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TaskSpec(Strict):
    """One source of problems."""

    task: str
    """A generator (countdown, game24, ...), a data set (gsm8k, math, aime, amc, cmath, humaneval), ``file``, or ``gym``
    (a set of reasoning-gym)."""
    set: str | None = None
    """For ``gym``: which set."""
    called: Name | None = None
    """For what is read from a file: its name in the curves and in ``reward.tasks``; None: ``task``."""
    weight: Annotated[float, Field(gt=0)] = 1.0
    """Share of the draws, relative to the other tasks of the list."""
    levels: tuple[int, ...] = ()
    """Difficulty levels to draw from, evenly; empty: the generator's lowest, or every level of a file."""
    languages: tuple[Language, ...] = ("en",)
    """Wordings to draw from, evenly; generators only."""
    path: Path | None = None
    """JSONL, Parquet or a ``datasets`` folder, relative to the recipe's file; data sets and ``file`` only."""
    fields: dict[str, str] = {}
    """For ``file``: which column is ``problem``, ``answer`` (programs need none) and, where there are such, ``level``,
    ``tests`` (lists: an expression's target and numbers, a choice's options, a program's tests) and ``entry`` (the
    function they call, or LiveCodeBench's metadata)."""
    kind: Literal["math", "choice", "expression", "code"] = "math"
    """For ``file``: the verifier that grades the answers."""
    held_out: Share = 0.1
    """Share of the problems, by hash, that training never draws. 0 where evaluation has a file of its own."""
    max_bad_rows: Share = 0.01
    """Malformed rows are quarantined with file and line; above this share the run stops."""

    @property
    def name(self) -> str:
        """What its problems call it (``Problem.task``)."""
        return self.called or (f"gym-{self.set}" if self.task == "gym" else self.task)

    @property
    def needs_sandbox(self) -> bool:
        """Whether answers are programs, or graded by programs that are not ours."""
        return self.task in ("humaneval", "gym", "functions") or (self.task == "file" and self.kind == "code")


class PromptSpec(Strict):
    """How a problem becomes tokens."""

    template: str = "r1-zero"
    """``r1-zero`` (the paper's table 1), ``nano`` (its one-line form), ``chat`` (the tokenizer's own), or a text that
    contains {prompt}."""
    max_tokens: Positive = 1024
    """Longer prompts are left out, and counted."""


class RolloutSpec(Strict):
    """What one rollout generates (R1-Zero: 512 questions, 16 completions each, T=1)."""

    questions: Positive = 512
    group_size: Annotated[int, Field(gt=1)] = 16
    temperature: Temperature = 1.0
    top_p: TopP = 1.0
    max_new_tokens: Positive = 32768
    longer_from: dict[int, Positive] = {}
    """Context-length schedule: from this update on, this many new tokens (R1-Zero: 65,536 from step 8,200)."""
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    similar: Share = 0.0
    """Up to this share of the questions are variations, by the tasks' generators, of problems that the policy half
    solved in the rollout before; the others come from the tasks as ever."""
    similar_bounds: tuple[Share, Share] = (0.25, 0.75)
    """A problem is half solved where the accuracy of its group lies strictly between these."""
    slots: Positive = 256
    """Completions that decode at once; halved by itself when memory runs out."""


class Weight(Strict):
    """What a part of the reward weighs, update by update. In a recipe a number alone is the weight throughout."""

    weight: Annotated[float, Field(ge=0)]
    from_: Annotated[int, Field(alias="from", ge=0)] = 0
    """The first update that counts the part."""
    until: Positive | None = None
    """The first that no longer does."""
    ramp: Annotated[int, Field(ge=0)] = 0
    """Updates over which it grows from nothing, in a straight line."""

    def at(self, update: int) -> float:
        """Of the rollout that starts after so many updates."""
        if update < self.from_ or (self.until is not None and update >= self.until):
            return 0.0
        return self.weight * min(1.0, (update - self.from_ + 1) / (self.ramp + 1))


def _as_table(value: object) -> object:
    return {"weight": value} if isinstance(value, (int, float)) and not isinstance(value, bool) else value


Weighted = Annotated[Weight, BeforeValidator(_as_table)]
NOTHING, WHOLE = Weight(weight=0.0), Weight(weight=1.0)


class OwnPart(Strict):
    """A part of the reward that the user wrote: a function of a file, ``score(problem, completion) -> float``."""

    name: Name
    """Of the part, in ``Score.parts``, in the curves and in ``reward.tasks``."""
    file: Path
    """Python, relative to the recipe's file; it runs in a process of its own, with the user's rights."""
    function: str = "score"
    weight: Weighted = WHOLE
    timeout_seconds: Annotated[float, Field(gt=0, le=3600)] = 1.0


class JudgeSpec(Strict):
    """A reward model that is asked what answers are worth (R1, arXiv 2501.12948v2, section 3.1)."""

    name: Name
    """Of what it gives: in ``Score.parts``, in the curves, in ``reward.tasks``, among an evaluation's results."""
    from_: str = Field(alias="from")
    """An earlier stage of kind ``reward_model``, a folder, or a hub id."""
    reads: Literal["summary", "all"]
    """As it was trained: what follows the reasoning, or everything."""
    gives: Literal["score", "probability"] = "score"
    """Its score as it is, or the sigmoid of it, which for verdicts is the probability of a good answer."""
    prompt: PromptSpec = PromptSpec()
    """The template that it was trained with."""
    tokens_per_pass: Positive = 16384


class ModelPart(JudgeSpec):
    """A part of the reward that a reward model gives."""

    weight: Weighted = WHOLE


class CodeSpec(Strict):
    """What a program may use for one test (see ``dunwu.sandbox.Limits``)."""

    seconds: Annotated[float, Field(gt=0, le=3600)] = 4.0
    """Of processor time; by the clock three times as much."""
    memory_mib: Positive = 512
    output_mib: Positive = 4
    allow_unsafe_sandbox: bool = False
    """Run model-written code although this machine can only limit its resources."""


class GradingSpec(Strict):
    """How answers are read and graded."""

    format_rule: Literal["think-answer", "think-summary", "none"] = "think-answer"
    """Reasoning, then the answer, each in its tags and nothing else (R1-Zero); reasoning in its tags, then a summary,
    with the answer in its tags where there is one (R1)."""
    answer_in: Literal["answer-tag", "boxed", "last-line"] = "answer-tag"
    """Where the answer is looked for."""
    workers: Annotated[int, Field(ge=1)] = 1
    """Processes that run math-verify, and programs at the same time; each can be killed."""
    timeout_seconds: Annotated[float, Field(gt=0, le=3600)] = 1.0
    """For one comparison of two mathematical answers."""
    code: CodeSpec = CodeSpec()


class RewardSpec(GradingSpec):
    """Rule rewards and their weights. R1-Zero: accuracy and format, equal; R1 adds language consistency. The others are
    not R1's; quality and its three parts pay for right answers only."""

    accuracy: Weighted = WHOLE
    format: Weighted = WHOLE
    language: Weighted = NOTHING
    """Share of the words of the reasoning that are of the problem's language (R1, section 3.2.1)."""
    quality: Weighted = NOTHING
    """Of ``logic``, ``steps`` and ``novelty`` together."""
    logic: Weighted = Weight(weight=0.6)
    """Share of the chain's own arithmetic statements that are true; within ``quality``."""
    steps: Weighted = Weight(weight=0.3)
    """1 / number of steps; within ``quality``."""
    novelty: Weighted = Weight(weight=0.1)
    """Share of the group's other chains that take another method; within ``quality``."""
    truncation: Weighted = NOTHING
    """-1 where the length limit cut the completion off."""
    repetition: Weighted = NOTHING
    """Minus the share of repeated runs of 40 words."""
    own: tuple[OwnPart, ...] = ()
    models: tuple[ModelPart, ...] = ()
    """Asked only in rollouts in which they weigh something."""
    tasks: dict[str, dict[str, Weighted]] = {}
    """Other weights for single tasks: ``[reward.tasks.TASK]``, part = weight."""
    languages: tuple[str, ...] = ()
    """Languages that may turn up in the reasoning; needed for those of one script (en, fr), which takes py3langid."""

    @property
    def added(self) -> tuple[OwnPart | ModelPart, ...]:
        """The parts that the recipe adds to the rules."""
        return *self.own, *self.models


REWARD_PARTS = tuple(name for name, field in RewardSpec.model_fields.items() if field.annotation is Weight)
"""Names of the weights; those of own parts come beside them."""


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
    kl_coefficient: Annotated[float, Field(ge=0)] = 0.001
    """Beta; 0 costs no reference pass."""
    kl_estimator: Literal["k1", "k2", "k3"] = "k3"
    kl_in: Literal["loss", "reward"] = "loss"
    old_logprobs: Literal["sampler", "trainer"] = "trainer"
    """Pi_old: what the engine reported, or a forward pass of the trainer before the first update."""
    importance_cap: Annotated[float, Field(ge=0)] = 0.0
    """Truncated importance correction of sampler against trainer, weight min(pi_old/pi_sampler, cap); 0: off."""
    drop_uniform_groups: bool = False
    """Groups whose rewards are all equal leave the batch (DAPO's filter); they carry no gradient but count in the
    mean."""
    refill: Annotated[int, Field(ge=0)] = 0
    """Dynamic sampling (DAPO, section 3.2): up to this many further rollouts to replace dropped groups."""
    overlong: Literal["keep", "mask"] = "keep"
    """Truncated completions keep their reward, or carry no loss (DAPO, section 3.4)."""
    overlong_buffer: Annotated[int, Field(ge=0)] = 0
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
    warmup_steps: Annotated[int, Field(ge=0)] = 0
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
    """An update may move a value by so much; None: as far as it likes."""
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


class EvaluationSet(Strict):
    """A held-out measurement."""

    name: Name
    task: TaskSpec
    problems: Positive = 500
    samples: Positive = 16
    judges: tuple[Name, ...] = ()
    """Of an evaluation stage's ``judges``, those that are asked about this set."""


class EvaluationSpec(Strict):
    """When and how accuracy is measured."""

    sets: tuple[EvaluationSet, ...] = ()
    """Measured before the first and after the last update: base against trained."""
    every: Annotated[int, Field(ge=0)] = 0
    """Also measure the first set every so many updates; 0: never."""
    during_problems: Positive = 128
    during_samples: Positive = 1
    temperature: Temperature = 1.0
    top_p: TopP = 1.0
    max_new_tokens: Positive | None = None
    """None: the rollout's."""


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


class RLStage(Strict):
    """Reinforcement learning from rule rewards."""

    kind: Literal["rl"]
    from_: str = Field(alias="from")
    """An earlier stage, ``nano-base`` (shipped), a folder, or a hub id."""
    steps: Positive
    """Updates of the policy (the paper's "training steps"), a multiple of minibatches x epochs."""
    reference_every: Annotated[int, Field(ge=0)] = 400
    """Updates after which the policy becomes the reference, a multiple of minibatches x epochs; 0: never."""
    tasks: Annotated[tuple[TaskSpec, ...], Field(min_length=1)]
    prompt: PromptSpec = PromptSpec()
    rollout: RolloutSpec = RolloutSpec()
    reward: RewardSpec = RewardSpec()
    algorithm: AlgorithmSpec = AlgorithmSpec()
    value: ValueSpec | None = None
    """PPO's; for ``algorithm.advantage`` = gae and only for that."""
    replay: ReplaySpec | None = None
    optimizer: OptimizerSpec = OptimizerSpec()
    update: UpdateSpec = UpdateSpec()
    evaluation: EvaluationSpec = EvaluationSpec()
    model: ModelSpec = ModelSpec()
    checkpoint: CheckpointSpec = CheckpointSpec()

    @property
    def updates_per_rollout(self) -> int:
        """Optimizer steps made from one rollout."""
        return self.update.minibatches * self.update.epochs

    @property
    def rollouts(self) -> int:
        """Rollouts in the whole stage."""
        return self.steps // self.updates_per_rollout

    def new_tokens_at(self, update: int) -> int:
        """Limit on new tokens of the rollout that starts at this update (``longer_from``)."""
        reached = [length for start, length in self.rollout.longer_from.items() if start <= update]
        return max([self.rollout.max_new_tokens, *reached])


class TransformerSpec(Strict):
    """Shape of a model made from scratch (Qwen-like)."""

    hidden_size: Positive
    layers: Positive
    heads: Positive
    kv_heads: Positive
    intermediate_size: Positive
    max_positions: Positive = 1024


class PretrainStage(Strict):
    """A small base model from a generated corpus: corpus, tokenizer and weights, from nothing."""

    kind: Literal["pretrain"]
    corpus: str
    """Name of the corpus generator."""
    tokens: Positive
    """At most, padding included: batches are full up to the next document."""
    sequence_length: Positive = 512
    """A batch holds at most ``sequence_length x batch_sequences`` tokens; longer documents are left out."""
    batch_sequences: Positive = 16
    transformer: TransformerSpec
    optimizer: OptimizerSpec = OptimizerSpec(name="muon", lr=3e-3)
    model: ModelSpec = ModelSpec()
    checkpoint: CheckpointSpec = CheckpointSpec(every=500)

    @property
    def steps(self) -> int:
        """Optimizer steps."""
        return -(-self.tokens // (self.batch_sequences * self.sequence_length))


class SupervisedStage(Strict):
    """Supervised training on conversations, the assistant's part alone."""

    from_: str = Field(alias="from")
    """As for reinforcement learning."""
    data: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Sources by name: earlier stages that made conversations, and the recipe's ``data``."""
    epochs: Positive = 2
    batch: Positive = 128
    """Conversations an update; the last update of an epoch may have fewer."""
    max_tokens: Positive = 32768
    """Longer conversations are left out, and counted."""
    prompt: PromptSpec = PromptSpec()
    optimizer: SupervisedOptimizerSpec = SupervisedOptimizerSpec()
    update: PassSpec = PassSpec()
    model: ModelSpec = ModelSpec()
    checkpoint: CheckpointSpec = CheckpointSpec()


class SFTStage(SupervisedStage):
    """Supervised training (R1, arXiv 2501.12948v2: 2 to 3 epochs, cosine from 5e-5 to a tenth, batches of 128)."""

    kind: Literal["sft"]


class DistilOptimizerSpec(SupervisedOptimizerSpec):
    """The paper's for its smallest student; larger ones take less."""

    lr: Annotated[float, Field(gt=0)] = 1e-4


class DistilStage(SupervisedStage):
    """A smaller model taught by a larger one's answers: supervised training alone (R1, arXiv 2501.12948v2: 2 to 3
    epochs, cosine to a tenth, batches of 64)."""

    kind: Literal["distil"]
    batch: Positive = 64
    optimizer: SupervisedOptimizerSpec = DistilOptimizerSpec()


class ReadableSpec(Strict):
    """What a right answer must be beside right, to be learnt from. Thresholds are ours: the paper gives none."""

    format: bool = True
    """It keeps to the format rule."""
    language: Share = 0.9
    """At least this share of the reasoning's words is of the question's language; 0: any."""
    repetition: Share = 0.2
    """At most this share of its runs of 40 words stood there before; 1: any."""
    paragraph: Positive = 2000
    """Characters of the longest paragraph of the reasoning."""
    code_blocks: bool = False
    """Whether the reasoning may hold fenced code."""


class SamplingStage(Strict):
    """Several answers to each question, of which right and readable ones are kept as conversations."""

    from_: str = Field(alias="from")
    """As for reinforcement learning."""
    tasks: Annotated[tuple[TaskSpec, ...], Field(min_length=1)]
    """Whose training questions are asked."""
    questions: Positive
    samples: Annotated[int, Field(ge=1)] = 16
    """Answers to each question."""
    keep: Positive = 1
    """Different answers to a question that are kept at most, the first ones drawn."""
    chunk: Positive = 64
    """Questions that are asked at once; what is done of them is kept on a stop."""
    prompt: PromptSpec = PromptSpec()
    temperature: Temperature = 1.0
    top_p: TopP = 1.0
    max_new_tokens: Positive = 32768
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    slots: Positive = 256
    grading: GradingSpec = GradingSpec()
    readable: ReadableSpec = ReadableSpec()
    model: ModelSpec = ModelSpec()


class EndpointSpec(Strict):
    """A model behind an OpenAI-compatible server."""

    url: Annotated[str, Field(pattern=r"^https?://\S+$")]
    """Up to the version: http://127.0.0.1:8000/v1."""
    model: str
    """As the server calls it."""
    key_variable: str | None = None
    """The environment variable that holds the key, where the server wants one; the key itself stands in no recipe."""
    temperature: Temperature = 0.6
    max_tokens: Positive = 8192
    timeout_seconds: Annotated[float, Field(gt=0, le=3600)] = 120.0


class HelperSpec(Strict):
    """Who does what no rule can: a function of the user's, or a model behind an endpoint."""

    file: Path | None = None
    """For ``own``: Python, relative to the recipe's file, run with the user's rights."""
    endpoint: EndpointSpec | None = None
    instruction: str | None = None
    """What the endpoint's model is told, with gaps in braces; None: ours."""


class TruthJudgeSpec(HelperSpec):
    """Says whether an answer agrees with the known one, where rules cannot tell; gaps: question, gold, answer."""

    by: Literal["own", "endpoint"]
    function: str = "judge"
    """``judge(question, gold, answer) -> bool``."""
    tasks: tuple[str, ...] = ()
    """Whose answers it judges in the place of rules; empty: all of them."""


class RejectStage(SamplingStage):
    """Rejection sampling (R1, arXiv 2501.12948v2, section 3.2.3)."""

    kind: Literal["reject"]
    judge: TruthJudgeSpec | None = None


class RewriteSpec(HelperSpec):
    """Who brings kept answers into R1's format, a chain in the first person, then a summary; gaps: question, answer."""

    by: Literal["rules", "own", "endpoint"] = "rules"
    function: str = "rewrite"
    """``rewrite(problem, text) -> str``."""


class ColdStartStage(SamplingStage):
    """The first conversations to learn from: sampled from R1-Zero, kept where right and readable, rewritten, and looked
    through by people (R1, arXiv 2501.12948v2, on cold start). What a rewriting makes wrong is left out."""

    kind: Literal["cold_start"]
    rewrite: RewriteSpec = RewriteSpec()
    rewritten: GradingSpec = GradingSpec(format_rule="think-summary")
    """How rewritten answers are read and graded."""
    review: bool = False
    """Stop with a file review.jsonl, in which people accept, refuse or edit each answer; go on when all are decided."""


class PairJudgeSpec(HelperSpec):
    """Who says which of two answers is better, where a file does not: asked several times in random order; gaps:
    question, first, second."""

    by: Literal["own", "endpoint"]
    function: str = "judge"
    """``judge(question, first, second) -> (score, score)``."""
    judgements: Positive = 4


class RewardModelOptimizerSpec(OptimizerSpec):
    """The paper's for reward models."""

    lr: Annotated[float, Field(gt=0)] = 6e-6


class RewardModelStage(Strict):
    """A reward model on the same transformer with a head of one number (R1, arXiv 2501.12948v2, section 3.1: batches of
    256, learning rate 6e-6, one epoch, 8,192 tokens at most)."""

    kind: Literal["reward_model"]
    from_: str = Field(alias="from")
    """As for reinforcement learning."""
    data: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Sources by name, from the recipe's ``data``."""
    learns: Literal["pairs", "verdicts"]
    """Which of two answers is better (columns ``chosen``, ``rejected``; the paper's helpfulness), or whether one is
    good (``response``, ``good``; its safety)."""
    reads: Literal["summary", "all"]
    """What follows the reasoning (helpfulness), or everything (safety)."""
    judge: PairJudgeSpec | None = None
    """For pairs without a column ``judgements``; None: there the answer called chosen is the better one."""
    margin: Annotated[float, Field(ge=0)] = 1.0
    """Pairs that were judged (``judgements``: differences of scores, chosen minus rejected) are kept where the mean is
    more than this."""
    balance_lengths: bool = True
    """Pairs are dropped until the better answer is as often the longer one as the shorter one."""
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share of the questions, by hash, that accuracy and calibration are measured on."""
    epochs: Positive = 1
    batch: Positive = 256
    max_tokens: Positive = 8192
    """Longer texts are left out, and counted."""
    prompt: PromptSpec = PromptSpec()
    optimizer: RewardModelOptimizerSpec = RewardModelOptimizerSpec()
    update: PassSpec = PassSpec()
    model: ModelSpec = ModelSpec()
    checkpoint: CheckpointSpec = CheckpointSpec()


class EvalStage(Strict):
    """Models beside each other on held-out problems."""

    kind: Literal["eval"]
    models: Annotated[tuple[str, ...], Field(min_length=1)]
    """Earlier stages, ``nano-base``, folders or hub ids; each is told by the last part of its name."""
    judges: tuple[JudgeSpec, ...] = ()
    """Reward models that no policy was trained against, if the result is to mean something."""
    sets: Annotated[tuple[EvaluationSet, ...], Field(min_length=1)]
    prompt: PromptSpec = PromptSpec()
    temperature: Temperature = 0.6
    top_p: TopP = 0.95
    """The paper's, as is the temperature (R1, section 3)."""
    max_new_tokens: Positive = 32768
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    slots: Positive = 256
    grading: GradingSpec = GradingSpec()
    model: ModelSpec = ModelSpec()

    @property
    def named(self) -> dict[str, str]:
        """The models by the names under which they are told."""
        return {Path(model).name: model for model in self.models}


Stage = Annotated[
    RLStage | SFTStage | DistilStage | RejectStage | ColdStartStage | RewardModelStage | EvalStage | PretrainStage,
    Field(discriminator="kind"),
]


class DataSpec(Strict):
    """Conversations in a file, JSON lines or Parquet, or made by a task of the nano world."""

    path: Path | None = None
    """Relative to the recipe's file."""
    task: Literal["talk", "requests"] | None = None
    """In the place of a file."""
    count: Positive = 1000
    """Conversations that the task makes."""
    languages: Annotated[tuple[Language, ...], Field(min_length=1)] = ("en",)
    """In turn; tasks only."""
    quality: Share = 1.0
    """How helpful and safe a task's conversations are, from rude and harmful to as good as can be; pairs and verdicts
    have answers of all sorts."""
    seed: Annotated[int, Field(ge=0)] = 0
    held_out: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the task's questions, by hash, that are left out."""
    fields: dict[str, str] = {}
    """Names of columns that are called otherwise than here. Asked: ``messages`` (a list of ``role`` and ``content``) or
    ``prompt``. Answered, where the last message is not the answer: ``response``, with ``good`` for verdicts; ``chosen``
    and ``rejected`` for pairs, with ``judgements`` where there are such. Beside these ``category`` and ``language``."""
    max_bad_rows: Share = 0.01
    """Malformed rows are left out and told with their lines; above this share the run stops."""


class HardwareSpec(Strict):
    """What ``dunwu plan`` reckons with; training uses what the machine has."""

    device: Literal["cpu", "a100", "h100", "h800", "h200"] = "cpu"
    count: Positive = 1
    dollars_per_hour: Annotated[float, Field(ge=0)] | None = None
    """Price of one device; None: neither plan nor ledger names dollars."""
    watts: Annotated[float, Field(gt=0)] | None = None
    """Of one device at work, for the ledger's energy; None: what its maker says (a CPU: 65 W, ours)."""
    length_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Of their limit that completions reach on average, for the plan's hours alone."""


class DecontaminationSpec(Strict):
    """What is done with training texts that share words with a benchmark of the recipe (R1: any 10-gram)."""

    words: Annotated[int, Field(ge=3)] = 10
    """In a row."""
    boilerplate: Share = 0.02
    """What more than this share of a benchmark's problems have in common is the wording of its task. Ours."""
    matches: Literal["refuse", "drop", "keep"] = "refuse"


class Recipe(Strict):
    """A run: named stages, in order.

    A file may also hold ``[tasks.NAME]`` tables: wherever a stage wants a task, it may give such a name instead.
    """

    name: Name
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    hardware: HardwareSpec = HardwareSpec()
    data: dict[Name, DataSpec] = {}
    """Conversations to learn from, by name."""
    decontamination: DecontaminationSpec = DecontaminationSpec()
    stages: Annotated[dict[Name, Stage], Field(min_length=1)]
