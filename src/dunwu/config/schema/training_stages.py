"""Stages that train on texts, field by field: pre-training, supervised training, reward models."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from dunwu.config.schema.base import Name, Positive, Questions, Tokens, Weighting
from dunwu.config.schema.helpers import PairJudgeSpec
from dunwu.config.schema.inputs import COMPARE, ModelInput, PromptPlace, StageInputs, helper_inputs
from dunwu.config.schema.learning import AdapterSpec, CheckpointSpec, OptimizerSpec, PassSpec, TransformerSpec
from dunwu.config.schema.stage import StageSpec
from dunwu.config.schema.tasks import PromptSpec


class PretrainStage(StageSpec):
    """A small base model from a generated corpus: corpus, tokenizer and weights, from nothing."""

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
    checkpoint: CheckpointSpec = CheckpointSpec(every=500)
    """How often the state is saved, and how much of it is kept."""

    @property
    def steps(self) -> int:
        """Optimizer steps."""
        return -(-self.tokens // (self.batch_sequences * self.sequence_length))

    @property
    def inputs(self) -> StageInputs:
        """See ``StageSpec.inputs``."""
        return StageInputs(corpus=self.corpus)

    @property
    def template(self) -> str:
        """See ``StageSpec.template``."""
        return "nano"  # in which a corpus is written

    @property
    def amount(self) -> str:
        """See ``StageSpec.amount``."""
        return f"{self.tokens:,} tokens at most"

    @property
    def kept_checkpoints(self) -> int:
        """See ``StageSpec.kept_checkpoints``."""
        return self.checkpoint.keep


class DataStage(StageSpec):
    """A model that learns from texts, in epochs."""

    from_: str = Field(alias="from")
    """The model to begin from: an earlier stage, ``nano-base`` (shipped), a folder, a GGUF file, or a hub id."""
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
    adapter: AdapterSpec | None = None
    """LoRA in the place of all weights; a reward model's head learns whole all the same. None: all weights learn."""
    update: PassSpec = PassSpec()
    """How an update is cut into forward passes."""
    checkpoint: CheckpointSpec = CheckpointSpec()
    """How often the state is saved, and how much of it is kept."""

    @property
    def held_out_share(self) -> float:
        """Share of the texts that it does not learn from."""
        return 0.0

    @property
    def inputs(self) -> StageInputs:
        """See ``StageSpec.inputs``."""
        prompt = PromptPlace("prompt", self.prompt)
        return StageInputs(models=(ModelInput(field="from", source=self.from_, prompt=prompt),), data=self.data)

    @property
    def template(self) -> str:
        """See ``StageSpec.template``."""
        return self.prompt.template

    @property
    def amount(self) -> str:
        """See ``StageSpec.amount``."""
        return f"{self.epochs} epochs"

    @property
    def lengths(self) -> str:
        """See ``StageSpec.lengths``."""
        return f"texts had at most {self.max_tokens:,} tokens"

    @property
    def kept_checkpoints(self) -> int:
        """See ``StageSpec.kept_checkpoints``."""
        return self.checkpoint.keep


class SFTStage(DataStage):
    """Supervised training on conversations, the assistant's part alone.

    R1 (arXiv 2501.12948v2): 2 to 3 epochs, cosine from 5e-5 to a tenth, batches of 128.
    """

    epochs: Positive = 2
    """Passes over the data (R1: 2 to 3)."""
    batch: Questions = 128
    """Conversations an update; the last update of an epoch may have fewer (R1: 128, its students: 64)."""
    max_tokens: Tokens = 32768
    """Longest conversation, in tokens; longer ones are left out, and counted."""
    optimizer: OptimizerSpec = OptimizerSpec(lr=5e-5, schedule="cosine")
    """The optimizer and its schedule (R1: a cosine down to a tenth, from 5e-5, for its smallest student from 1e-4)."""


class RewardModelStage(DataStage):
    """A reward model on the same transformer with a head of one number.

    R1 (arXiv 2501.12948v2, section 3.1): batches of 256, learning rate 6e-6, one epoch, 8,192 tokens at most.
    """

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
    optimizer: OptimizerSpec = OptimizerSpec(lr=6e-6)
    """The optimizer and its schedule (R1, section 3.1: 6e-6)."""

    @property
    def held_out_share(self) -> float:
        """See ``StageSpec.held_out_share``."""
        return self.held_out

    @property
    def inputs(self) -> StageInputs:
        """See ``StageSpec.inputs``."""
        return replace(super().inputs, layout=self.learn_from, **helper_inputs(self.judge, "judge", COMPARE))
