"""The kinds of stages, field by field."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Literal

from pydantic import Field

from dunwu.config.schema.base import (
    Count,
    LearningRate,
    Name,
    Positive,
    Questions,
    Samples,
    Share,
    Strict,
    Temperature,
    Tokens,
    TopP,
    Weighting,
)
from dunwu.config.schema.evaluation import EvaluationSet, EvaluationSpec
from dunwu.config.schema.helpers import EndpointSpec, PairJudgeSpec, RewriteSpec, ServerSpec, TruthJudgeSpec
from dunwu.config.schema.learning import (
    AlgorithmSpec,
    CheckpointSpec,
    ModelSpec,
    OptimizerSpec,
    PassSpec,
    ReplaySpec,
    SupervisedOptimizerSpec,
    TransformerSpec,
    UpdateSpec,
    ValueSpec,
)
from dunwu.config.schema.rewards import CustomFunction, GradingSpec, JudgeSpec, RewardSpec
from dunwu.config.schema.sources import display_names
from dunwu.config.schema.tasks import PromptSpec, RolloutSpec, TaskSpec
from dunwu.types import Sampling


class RLStage(Strict):
    """Reinforcement learning from rule rewards."""

    kind: Literal["rl"]
    """Reinforcement learning: sample groups of answers, grade them, raise what was better than its group."""
    from_: str = Field(alias="from")
    """The model to begin from: an earlier stage, ``nano-base`` (shipped), a folder, or a hub id."""
    steps: Positive
    """Updates of the policy (the paper's "training steps"), a multiple of minibatches x epochs."""
    reference_every: Count = 400
    """Updates after which the policy becomes the reference, a multiple of minibatches x epochs; 0: never."""
    tasks: Annotated[tuple[TaskSpec, ...], Field(min_length=1)]
    """Where the problems come from; several are mixed by their weights."""
    prompt: PromptSpec = PromptSpec()
    """How a problem becomes a prompt."""
    rollout: RolloutSpec = RolloutSpec()
    """What is generated before each round of updates."""
    reward: RewardSpec = RewardSpec()
    """How completions are graded and what each part weighs."""
    algorithm: AlgorithmSpec = AlgorithmSpec()
    """Advantages, loss, clipping, KL."""
    value: ValueSpec | None = None
    """PPO's value network; for ``algorithm.advantage`` = gae, and only for that."""
    replay: ReplaySpec | None = None
    """Learn from earlier rollouts again; None: from fresh ones alone."""
    optimizer: OptimizerSpec = OptimizerSpec()
    """The policy's optimizer and its schedule."""
    update: UpdateSpec = UpdateSpec()
    """How one rollout is cut into optimizer steps and forward passes."""
    evaluation: EvaluationSpec = EvaluationSpec()
    """What is measured on held-out problems, and when."""
    model: ModelSpec = ModelSpec()
    """Type and place of the weights."""
    checkpoint: CheckpointSpec = CheckpointSpec()
    """How often the state is saved, and how much of it is kept."""

    @property
    def updates_per_rollout(self) -> int:
        """Optimizer steps made from one rollout."""
        return self.update.minibatches * self.update.epochs

    @property
    def computes_old_logprobs(self) -> bool:
        """Whether old log-probabilities take a forward pass of their own: the first update's gives them otherwise."""
        algorithm = self.algorithm
        kl_in_reward = algorithm.kl_in == "reward" and algorithm.kl_coefficient > 0
        needed = self.updates_per_rollout > 1 or self.replay is not None or kl_in_reward
        return algorithm.old_logprobs == "trainer" and needed

    @property
    def corrects_kl(self) -> bool:
        """Whether the KL term is weighed by the importance ratio: by itself where the policy that learns is not the one
        that drew the tokens."""
        chosen = self.algorithm.kl_correction
        return (self.updates_per_rollout > 1 or self.replay is not None) if chosen is None else chosen

    @property
    def rollouts(self) -> int:
        """Rollouts in the whole stage."""
        return self.steps // self.updates_per_rollout

    @property
    def evaluation_sampling(self) -> Sampling:
        """How evaluations sample."""
        spec = self.evaluation
        return Sampling(
            temperature=spec.temperature,
            top_p=spec.top_p,
            max_new_tokens=spec.max_new_tokens or self.rollout.max_new_tokens,
            stop=self.rollout.stop,
        )

    def new_tokens_at(self, update: int) -> int:
        """Limit on new tokens of the rollout that starts at this update (``length_schedule``)."""
        reached = [length for start, length in self.rollout.length_schedule.items() if start <= update]
        return max([self.rollout.max_new_tokens, *reached])

    @property
    def longest_sequence(self) -> int:
        """Tokens of prompt and completion at most, over the whole stage and its evaluations."""
        written = max(self.new_tokens_at(self.steps), self.evaluation_sampling.max_new_tokens)
        return self.prompt.max_tokens + written


class PretrainStage(Strict):
    """A small base model from a generated corpus: corpus, tokenizer and weights, from nothing."""

    kind: Literal["pretrain"]
    """Pre-training: a small model from nothing, on a generated corpus."""
    corpus: str
    """Name of the corpus generator."""
    tokens: Annotated[int, Field(gt=0, le=10**15)]
    """Tokens to learn from, at most, padding included: batches are full up to the next document."""
    sequence_length: Tokens = 512
    """A batch holds at most ``sequence_length x batch_sequences`` tokens; longer documents are left out."""
    batch_sequences: Questions = 16
    """Sequences of full length in one update."""
    transformer: TransformerSpec
    """Shape of the model that is made."""
    optimizer: OptimizerSpec = OptimizerSpec(name="muon", lr=3e-3)
    """The optimizer and its schedule."""
    model: ModelSpec = ModelSpec()
    """Type and place of the weights."""
    checkpoint: CheckpointSpec = CheckpointSpec(every=500)
    """How often the state is saved, and how much of it is kept."""

    @property
    def steps(self) -> int:
        """Optimizer steps."""
        return -(-self.tokens // (self.batch_sequences * self.sequence_length))


class DataStage(Strict):
    """A model that learns from texts, in epochs."""

    from_: str = Field(alias="from")
    """The model to begin from: an earlier stage, ``nano-base`` (shipped), a folder, or a hub id."""
    data: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Sources by name: the recipe's ``data`` and, of conversations, earlier stages that made some."""
    epochs: Positive
    """Passes over the data."""
    batch: Questions
    """Texts an update; the last update of an epoch may have fewer."""
    max_tokens: Tokens
    """Longer texts are left out, and counted."""
    prompt: PromptSpec = PromptSpec()
    """How the question of a text becomes a prompt."""
    update: PassSpec = PassSpec()
    """How an update is cut into forward passes."""
    model: ModelSpec = ModelSpec()
    """Type and place of the weights."""
    checkpoint: CheckpointSpec = CheckpointSpec()
    """How often the state is saved, and how much of it is kept."""


class SupervisedStage(DataStage):
    """Supervised training on conversations, the assistant's part alone."""

    epochs: Positive = 2
    """Passes over the data (R1: 2 to 3)."""
    batch: Questions = 128
    """Conversations an update (R1: 128); the last update of an epoch may have fewer."""
    max_tokens: Tokens = 32768
    """Longest conversation, in tokens; longer ones are left out, and counted."""
    optimizer: SupervisedOptimizerSpec = SupervisedOptimizerSpec()
    """The optimizer and its schedule."""


class SFTStage(SupervisedStage):
    """Supervised training (R1, arXiv 2501.12948v2: 2 to 3 epochs, cosine from 5e-5 to a tenth, batches of 128)."""

    kind: Literal["sft"]
    """Supervised fine-tuning on conversations."""


class DistilOptimizerSpec(SupervisedOptimizerSpec):
    """The paper's for its smallest student; larger ones take less."""

    lr: LearningRate = 1e-4
    """Peak learning rate of AdamW (R1's smallest student: 1e-4)."""


class DistilStage(SupervisedStage):
    """A smaller model taught by a larger one's answers: supervised training alone (R1, arXiv 2501.12948v2: 2 to 3
    epochs, cosine to a tenth, batches of 64)."""

    kind: Literal["distil"]
    """Distillation: supervised fine-tuning of a smaller model on a larger one's answers."""
    batch: Questions = 64
    """Conversations an update (R1's students: 64)."""
    optimizer: SupervisedOptimizerSpec = DistilOptimizerSpec()
    """The optimizer and its schedule."""


class AnswerFilterSpec(Strict):
    """What a right answer must be beside right, to be learnt from. Thresholds are ours: the paper gives none."""

    format: bool = True
    """Whether it must keep to the format rule."""
    language: Share = 0.9
    """At least this share of the reasoning's words is of the question's language; 0: any."""
    repetition: Share = 0.2
    """At most this share of its runs of 40 words stood there before; 1: any."""
    paragraph: Positive = 2000
    """Longest paragraph that the reasoning may have, in characters."""
    code_blocks: bool = False
    """Whether the reasoning may hold fenced code."""


class AnsweringStage(Strict):
    """Models that answer questions, and rules that grade the answers."""

    prompt: PromptSpec = PromptSpec()
    """How a problem becomes a prompt."""
    temperature: Temperature
    """Sampling temperature; 0 takes the likeliest token each time."""
    top_p: TopP
    """Nucleus sampling: the share of probability that is drawn from."""
    max_new_tokens: Tokens = 32768
    """Longest answer, in tokens; longer ones are cut off."""
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Texts that end an answer, beside the tokenizer's own end of sequence."""
    max_sequences: Samples = 256
    """Completions that decode at once, at most."""
    grading: GradingSpec = GradingSpec()
    """How answers are read and graded."""
    model: ModelSpec = ModelSpec()
    """Type and place of the weights."""

    @property
    @abstractmethod
    def completions(self) -> int:
        """Answers of each model."""

    @property
    def sampling(self) -> Sampling:
        """How the models write."""
        return Sampling(
            temperature=self.temperature, top_p=self.top_p, max_new_tokens=self.max_new_tokens, stop=self.stop
        )

    @property
    def longest_sequence(self) -> int:
        """Tokens of prompt and completion at most."""
        return self.prompt.max_tokens + self.max_new_tokens


class SamplingStage(AnsweringStage):
    """Several answers to each question, of which right and readable ones are kept as conversations."""

    from_: str = Field(alias="from")
    """The model that answers: an earlier stage, ``nano-base`` (shipped), a folder, or a hub id."""
    tasks: Annotated[tuple[TaskSpec, ...], Field(min_length=1)]
    """Where the questions come from: training problems of these tasks."""
    questions: Annotated[int, Field(gt=0, le=10**7)]
    """Training problems that are asked."""
    samples: Samples = 16
    """Answers to each question."""
    keep: Samples = 1
    """Different answers to a question that are kept at most, the first ones drawn."""
    chunk: Questions = 64
    """Questions that are asked at once; what is done of them is kept on a stop."""
    temperature: Temperature = 1.0
    """Sampling temperature."""
    top_p: TopP = 1.0
    """Nucleus sampling: the share of probability that is drawn from."""
    answer_filter: AnswerFilterSpec = AnswerFilterSpec()
    """What a right answer must be beside right, to be kept."""

    @property
    def completions(self) -> int:
        return self.questions * self.samples


class RejectStage(SamplingStage):
    """Rejection sampling (R1, arXiv 2501.12948v2, section 3.2.3)."""

    kind: Literal["reject"]
    """Rejection sampling: several answers to each question, of which right and readable ones are kept."""
    judge: TruthJudgeSpec | None = None
    """Who decides where rules cannot tell whether an answer is right; None: rules alone."""


class ColdStartStage(SamplingStage):
    """The first conversations to learn from: sampled from R1-Zero, kept where right and readable, rewritten, and looked
    through by people (R1, arXiv 2501.12948v2, on cold start). What a rewriting makes wrong is left out."""

    kind: Literal["cold_start"]
    """The first conversations to learn from: sampled, kept where right, rewritten into R1's format."""
    rewrite: RewriteSpec = RewriteSpec()
    """Who rewrites the kept answers."""
    rewritten: GradingSpec = GradingSpec(format_rule="think-summary")
    """How rewritten answers are read and graded."""
    review: bool = False
    """Stop with a file review.jsonl, in which people accept, refuse or edit each answer; go on when all are decided."""


class RewardModelOptimizerSpec(OptimizerSpec):
    """The paper's for reward models."""

    lr: LearningRate = 6e-6
    """Peak learning rate of AdamW (R1, section 3.1: 6e-6)."""


class RewardModelStage(DataStage):
    """A reward model on the same transformer with a head of one number (R1, arXiv 2501.12948v2, section 3.1: batches of
    256, learning rate 6e-6, one epoch, 8,192 tokens at most)."""

    kind: Literal["reward_model"]
    """A reward model: learns from pairs or verdicts what an answer is worth."""
    learn_from: Literal["pairs", "verdicts"]
    """Which of two answers is better (columns ``chosen``, ``rejected``; the paper's helpfulness), or whether one is
    good (``response``, ``good``; its safety)."""
    input: Literal["summary", "all"]
    """What follows the reasoning (helpfulness), or everything (safety)."""
    judge: PairJudgeSpec | None = None
    """Who judges pairs without a column ``judgements``; else the answer called chosen is the better one."""
    margin: Weighting = 1.0
    """Pairs that were judged (``judgements``: differences of scores, chosen minus rejected) are kept where the mean is
    more than this."""
    balance_lengths: bool = True
    """Pairs are dropped until the better answer is as often the longer one as the shorter one."""
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share of the questions, by hash, that accuracy and calibration are measured on."""
    epochs: Positive = 1
    """Passes over the data (R1: 1)."""
    batch: Questions = 256
    """Pairs or verdicts an update (R1: 256)."""
    max_tokens: Tokens = 8192
    """Longest text, question and answer together, in tokens; longer ones are left out, and counted."""
    optimizer: RewardModelOptimizerSpec = RewardModelOptimizerSpec()
    """The optimizer and its schedule."""


class EvalStage(AnsweringStage):
    """Models beside each other on held-out problems."""

    kind: Literal["eval"]
    """Evaluation: models beside each other on the same held-out problems."""
    models: Annotated[tuple[str, ...], Field(min_length=1)]
    """Earlier stages, ``nano-base``, folders, hub ids or servers (``http://host:port/v1#name``); each is called by the
    last part of its name, with what stands before it where another has the same."""
    server: ServerSpec = ServerSpec()
    """How models behind servers are asked. They apply a chat template of their own."""
    long_prompts: Literal["refuse", "cut"] = "refuse"
    """What is done about prompts of more than ``prompt.max_tokens``: nothing is measured, or their beginnings go."""
    judges: tuple[JudgeSpec, ...] = ()
    """Reward models that no policy was trained against, if the result is to mean something. The first one of a set
    compares its answers with the references of alpaca and arena."""
    custom: tuple[CustomFunction, ...] = ()
    """Functions of the user's that are asked about every answer, beside accuracy and format; they decide nothing."""
    benchmark_judge: EndpointSpec | None = None
    """A model behind a server that judges in place of ``judges`` for alpaca, arena and safety, asked about every
    answer."""
    sets: Annotated[tuple[EvaluationSet, ...], Field(min_length=1)]
    """The problems that every model answers."""
    temperature: Temperature = 0.6
    """Sampling temperature (R1, section 3: 0.6); 0 takes the likeliest token each time."""
    top_p: TopP = 0.95
    """Nucleus sampling: the share of probability that is drawn from (R1, section 3: 0.95)."""

    @property
    def completions(self) -> int:
        return sum(chosen.problems * chosen.samples for chosen in self.sets)

    @property
    def named(self) -> dict[str, str]:
        """The models by the names under which they are told."""
        return dict(zip(display_names(self.models), self.models, strict=True))


Stage = Annotated[
    RLStage | SFTStage | DistilStage | RejectStage | ColdStartStage | RewardModelStage | EvalStage | PretrainStage,
    Field(discriminator="kind"),
]
