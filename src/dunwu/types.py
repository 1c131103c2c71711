"""The records that pass between the rooms: read this page first, it is the map of the whole.

One rollout of GRPO makes them in this order, each in the room on the right:

    Problem           a question, and what a rule needs to check an answer                tasks
    Prompt            as the model reads it             token_ids i32[P]                  models
    GenerationRequest a prompt and G seeds                                                pipeline
    Completion        what the policy wrote             token_ids i32[C], logprobs f32[C] rollout
    RolloutGroup      the G completions of a prompt                                       rollout
    Score             what one completion is worth                                        verifiers
    ScoredGroup       a group and its G scores                                            rollout
    GradedSample      prompt and completion in one row  token_ids i32[L], reward          algorithms
    SampleLogprobs    what the trainer makes of a row   old, reference, values f32[L]     training
    TrainSample       everything that the loss needs    advantages f32[L]                 algorithms
    TrainStep         one optimizer step in microbatches, the first torch                 algorithms.batching
    StepResult        what a step did                                                     training

Supervised stages make a TokenizedExample of an Example; reward models learn from a Preference or a LabelledResponse.

Dimensions: G completions in a group, P prompt tokens, C completion tokens, L = P + C. A microbatch is B sequences of T
tokens, padded on the right.

Alignment: slot t of an array describes token t, so ``logprobs[t]`` is the log-probability of ``token_ids[t]`` given the
tokens before it. Only ``dunwu.models`` shifts. A prompt of 2 tokens and a completion of 3:

    token_ids          7   8 | 100  101    2          2 ends the sequence
    loss_mask          .   . |   x    x    x
    sampler_logprobs   0   0 | -.7 -1.2  -.1
    advantages         0   0 |  .5   .5   .5

Policies: three never share a name. ``sampler_logprobs`` come from what generated, ``old_logprobs`` from the trainer
before the first update on the rollout, ``ref_logprobs`` from the reference of the KL term.

Everything here is frozen numpy, so it can be pickled, compared and stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # numpy and jaxtyping are a third of what `dunwu plan` would import
    import numpy as np
    from jaxtyping import Bool, Float32, Int32

Finish = Literal["stop", "length"]
Role = Literal["system", "user", "assistant"]
Status = Literal["graded", "truncated", "verifier_failed"]
REASONING_FIELDS = ("reasoning_content", "reasoning", "thinking", "reasoning_details")
"""What a chat message calls reasoning that stands apart from its content: DeepSeek, Qwen and llama.cpp; vLLM and
OpenRouter; gpt-oss and Ollama; OpenRouter, in parts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A function that an assistant calls; ``arguments`` are a JSON object, as text."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn of a conversation.

    Attributes:
        role: who speaks; ``tool`` is what a function gave back.
        content: the text.
        calls: of an assistant's turn: functions that it called behind the text.
        call_id: of a tool's turn: the call that it answers.
    """

    role: Role | Literal["tool"]
    content: str
    calls: tuple[ToolCall, ...] = ()
    call_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A question whose answer a rule can check.

    Attributes:
        id: unique, and stable over runs.
        task: the source, for the curves.
        kind: of the answer; it chooses the verifier.
        level: how hard the source says it is.
        language: of the question.
        messages: the question, as a conversation.
        gold: a correct answer. It scores 1 against itself, but for programs, whose tests alone decide.
        tests: facts that the verifier checks against beside the gold: for ``expression`` the target, then the numbers;
            for ``choice`` the options.
        subject: what the question is about, for breakdowns; "" where the source says nothing of it.
    """

    id: str
    task: str
    kind: str
    level: int
    language: str
    messages: tuple[Message, ...]
    gold: str
    tests: tuple[str, ...] = ()
    subject: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A problem as the model reads it.

    Attributes:
        problem: what is asked.
        token_ids: the template applied and tokenized, special tokens included.
        opening: the end of it that is the answer's already: a think tag that the template opens, or "".
    """

    problem: Problem
    token_ids: Int32[np.ndarray, " P"] = field(repr=False)
    opening: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How completions are drawn.

    Attributes:
        temperature: 0 takes the likeliest token.
        top_p: the share of the probability that is drawn from.
        max_new_tokens: counts everything that is generated.
        stop: strings that end a completion and stay in its text. End-of-sequence tokens end it, too, and stay in
            ``token_ids`` only.
        banned: tokens that are never drawn.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    max_new_tokens: int = 256
    stop: tuple[str, ...] = ()
    banned: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequest:
    """A prompt and one seed for each completion wanted: len(seeds) = G.

    The same (prompt, seed, sampling, weights) gives the same completion whatever else is in the batch.
    """

    prompt: Prompt
    seeds: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionSpan:
    """Tokens of a completion that one version of the policy wrote: from ``start`` up to, not including, ``end``."""

    version: int
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What the policy wrote.

    Attributes:
        token_ids: with the end-of-sequence token at the end, where that is what ended it.
        logprobs: under softmax(logits / temperature), before top-p; at temperature 1 where the temperature is 0.
        text: without the end-of-sequence token. In a group, and wherever it is graded, it begins with its prompt's
            ``opening``, so that it is the whole answer.
        finish: ``length`` where it was cut off.
        version_spans: which version of the policy wrote which tokens, in order and without holes. There is one, unless
            the engine got new weights on the way; none where a server or a person wrote it, and no policy of this run.
    """

    token_ids: Int32[np.ndarray, " C"] = field(repr=False)
    logprobs: Float32[np.ndarray, " C"] = field(repr=False)
    text: str
    finish: Finish
    version_spans: tuple[VersionSpan, ...] = ()

    @property
    def policy_version(self) -> int:
        """The oldest version that wrote a part of it; 0 where no policy of this run did."""
        return min((span.version for span in self.version_spans), default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutGroup:
    """The G completions of one prompt, in the order of the request's seeds."""

    prompt: Prompt
    completions: tuple[Completion, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A grade, with what it was made of.

    Attributes:
        value: the reward.
        parts: its components before weighing, each under its verifier's own name, e.g. ``accuracy``, ``format``.
        status: ``verifier_failed`` is no grade: ``value`` is 0 and must not be used; the completion leaves its group.
        extracted: the answer that was graded, None where none was found.
        reason: why, in a few words.
    """

    value: float
    parts: Mapping[str, float]
    status: Status
    extracted: str | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredGroup:
    """A rollout group with one score for each completion."""

    group: RolloutGroup
    scores: tuple[Score, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GradedSample:
    """One graded completion as the trainer reads it: prompt and completion in one row of L tokens.

    Attributes:
        token_ids: the prompt's, then the completion's.
        loss_mask: true on completion tokens that carry loss.
        sampler_logprobs: the engine's; 0 where there is no loss.
        group_id: its group's place in the rollout.
        member: its place among the group's graded completions.
        reward: the completion's, with costs for its length.
        policy_version: the one that wrote it.
    """

    token_ids: Int32[np.ndarray, " L"]
    loss_mask: Bool[np.ndarray, " L"]
    sampler_logprobs: Float32[np.ndarray, " L"]
    group_id: int
    member: int
    reward: float
    policy_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleLogprobs:
    """What the trainer's networks make of one sample before the first update on it; 0 where there is no loss.

    Attributes:
        old_logprobs: the policy's; None where the update's own forward pass gives them (one update per rollout, so the
            ratio is 1).
        ref_logprobs: the reference's; None where the KL weight is 0.
        old_values: what a value network expects before each token; None without one.
    """

    old_logprobs: Float32[np.ndarray, " L"] | None
    ref_logprobs: Float32[np.ndarray, " L"] | None
    old_values: Float32[np.ndarray, " L"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSample:
    """One completion with everything that its loss needs.

    Attributes:
        sample: the row.
        logprobs: old and reference policy, and values.
        advantages: how much better each token went than expected; 0 where there is no loss.
        returns: what a value network should have expected; None without one.
        kept_advantages: what a replay buffer keeps. With a group as the baseline they are those before the KL penalty,
            which is charged anew each time.
    """

    sample: GradedSample
    logprobs: SampleLogprobs
    advantages: Float32[np.ndarray, " L"]
    returns: Float32[np.ndarray, " L"] | None
    kept_advantages: Float32[np.ndarray, " L"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """One optimizer step: the version of the policy after it, and its reduced metrics."""

    policy_version: int
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A conversation to learn from, in which the assistant has the last word.

    ``category`` is the source for reports: the task's name, or whatever a file says.
    """

    id: str
    category: str
    language: str
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizedExample:
    """An example as the trainer reads it.

    ``loss_mask`` is true on what the assistant wrote and on the ends of turns.
    """

    token_ids: Int32[np.ndarray, " L"]
    loss_mask: Bool[np.ndarray, " L"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """Two answers to the same conversation, of which ``chosen`` is better.

    ``question`` is what was asked, whatever the wording: what is held out goes by it.
    """

    id: str
    category: str
    language: str
    messages: tuple[Message, ...]
    question: str
    chosen: str
    rejected: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledResponse:
    """An answer to a conversation, and whether it is as it should be. ``question`` is as a preference's."""

    id: str
    category: str
    language: str
    messages: tuple[Message, ...]
    question: str
    response: str
    good: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A measured quantity with its 95 % interval."""

    value: float
    low: float
    high: float
