"""Stages whose models answer questions, field by field: rejection sampling, cold start, evaluation."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from dunwu.config.schema.base import Positive, Questions, Samples, Share, Strict, Temperature, Tokens, TopP
from dunwu.config.schema.evaluation import EvaluationSet, TextSet
from dunwu.config.schema.helpers import EndpointSpec, RewriteSpec, ServerSpec, TruthJudgeSpec
from dunwu.config.schema.inputs import (
    AGREE,
    REWRITE,
    ModelInput,
    PromptPlace,
    StageInputs,
    custom_inputs,
    helper_inputs,
    judge_inputs,
)
from dunwu.config.schema.rewards import CustomFunction, GradingSpec, JudgeSpec
from dunwu.config.schema.sources import display_names
from dunwu.config.schema.stage import StageSpec
from dunwu.config.schema.tasks import PromptSpec, TaskSpec
from dunwu.types import Sampling


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


class AnsweringStage(StageSpec):
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

    @property
    def rules(self) -> GradingSpec:
        """See ``StageSpec.rules``."""
        return self.grading

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
    """The model that answers: an earlier stage, ``nano-base`` (shipped), a folder, a GGUF file, or a hub id."""
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
        """See ``StageSpec.completions``."""
        return self.questions * self.samples

    @property
    def conversations(self) -> int:
        """See ``StageSpec.conversations``."""
        return self.questions * self.keep

    @property
    def inputs(self) -> StageInputs:
        """See ``StageSpec.inputs``."""
        prompt = PromptPlace("prompt", self.prompt)
        return StageInputs(
            models=(ModelInput(field="from", source=self.from_, prompt=prompt),),
            tasks={f"tasks.{place}": task for place, task in enumerate(self.tasks)},
        )


class RejectStage(SamplingStage):
    """Rejection sampling (R1, arXiv 2501.12948v2, section 3.2.3)."""

    judge: TruthJudgeSpec | None = None
    """Who decides where rules cannot tell whether an answer is right; None: rules alone."""

    @property
    def inputs(self) -> StageInputs:
        """See ``StageSpec.inputs``."""
        return replace(super().inputs, **helper_inputs(self.judge, "judge", AGREE))


class ColdStartStage(SamplingStage):
    """The first conversations to learn from (R1, arXiv 2501.12948v2, on cold start).

    They are sampled from R1-Zero, kept where right and readable, rewritten, and reviewed by people. What a rewriting
    makes wrong is left out.
    """

    rewrite: RewriteSpec = RewriteSpec()
    """Who rewrites the kept answers."""
    rewritten: GradingSpec = GradingSpec(format_rule="think-summary")
    """How rewritten answers are read and graded."""
    review: bool = False
    """Stop with a file review.jsonl, in which people accept, refuse or edit each answer; go on when all are decided."""

    @property
    def inputs(self) -> StageInputs:
        """See ``StageSpec.inputs``."""
        return replace(super().inputs, **helper_inputs(self.rewrite, "rewrite", REWRITE))


class EvalStage(AnsweringStage):
    """Models beside each other on held-out problems."""

    models: Annotated[tuple[str, ...], Field(min_length=1)]
    """Earlier stages, ``nano-base``, folders, GGUF files, hub ids or servers (``http://host:port/v1#name``); each is
    called by the last part of its name, with what stands before it where another has the same."""
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
    texts: tuple[TextSet, ...] = ()
    """Texts of which every model's perplexity is measured; models behind servers cannot be."""
    temperature: Temperature = 0.6
    """Sampling temperature (R1, section 3: 0.6); 0 takes the likeliest token each time."""
    top_p: TopP = 0.95
    """Nucleus sampling: the share of probability that is drawn from (R1, section 3: 0.95)."""

    @property
    def completions(self) -> int:
        """See ``StageSpec.completions``."""
        return sum(chosen.problems * chosen.samples for chosen in self.sets)

    @property
    def named(self) -> dict[str, str]:
        """The models by their display names."""
        return dict(zip(display_names(self.models), self.models, strict=True))

    @property
    def inputs(self) -> StageInputs:
        """See ``StageSpec.inputs``."""
        prompt = PromptPlace("prompt", self.prompt)
        models = [
            ModelInput(field=f"models.{place}", source=source, prompt=prompt, may_be_served=True)
            for place, source in enumerate(self.models)
        ]
        return StageInputs(
            models=(*models, *judge_inputs(self.judges, "judges")),
            sets={f"sets.{place}": chosen for place, chosen in enumerate(self.sets)},
            texts={f"texts.{place}": chosen for place, chosen in enumerate(self.texts)},
            functions=tuple(custom_inputs(self.custom, "custom")),
        )
