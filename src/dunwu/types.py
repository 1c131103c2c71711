"""The records that pass between the rooms, in the order in which a GRPO step makes them.

    Mixture    -> Problem
    template   -> Prompt(problem, token_ids i32[P])
    Engine     -> Completion(token_ids i32[C], logprobs f32[C], text, finish, version_spans)
    collect    -> RolloutGroup(prompt, completions[G])
    Verifier   -> Score(value, parts, status, extracted, reason)
               -> ScoredGroup(group, scores[G])
    to_samples -> GradedSample(token_ids i32[L], loss_mask bool[L], sampler_logprobs f32[L], reward, ...)
    Trainer    -> SampleLogprobs(old_logprobs f32[L] | None, ref_logprobs f32[L] | None, old_values f32[L] | None)
    advantages -> TrainSample(sample, logprobs, advantages f32[L], returns f32[L] | None)
    batching   -> TrainStep(microbatches, num_loss_tokens, num_sequences)

and supervised training: Example -> TokenizedExample(token_ids i32[L], loss_mask bool[L]).

Dimensions: G completions in a group, P prompt tokens, C completion tokens, L = P + C; a microbatch is B sequences of
T tokens, padded on the right. Slot t of an array describes token t: ``logprobs[t]`` is the log-probability of
``token_ids[t]`` given the tokens before it. Only ``dunwu.models`` shifts.

Three policies never share a name: ``sampler_logprobs`` come from what generated, ``old_logprobs`` from the trainer
before the first update on this rollout, ``ref_logprobs`` from the reference of the KL term.

Everything here is numpy and frozen; torch begins at the microbatch (``dunwu.algorithms.batching``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A question whose answer a rule can check.

    ``gold`` is a correct answer and scores 1 against itself, but for programs, whose tests alone decide. ``tests`` are
    the facts that the verifier of this ``kind`` checks against beside the gold: for ``expression`` the target, then the
    numbers; for ``choice`` the options.
    ``id`` is unique and stable over runs; ``task`` and ``level`` name the source for the curves, ``subject`` what the
    question is about, for breakdowns ("" where the source says nothing of it).
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
    """A problem as the model reads it: the template applied, tokenized, special tokens included.

    ``opening`` is the end of it that is the answer's already: a think tag that the template opens, or "".
    """

    problem: Problem
    token_ids: Int32[np.ndarray, " P"]
    opening: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How completions are drawn. ``stop`` strings end a completion and stay in its text; end-of-sequence tokens end it
    and stay in ``token_ids`` only. ``max_new_tokens`` counts everything that is generated. ``banned`` tokens are never
    drawn."""

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
    """What the policy wrote. ``logprobs`` are under softmax(logits / temperature), before top-p; greedy's are at 1.

    ``token_ids`` end with the end-of-sequence token where ``finish`` is "stop" by token. ``text`` leaves it out. In a
    group, and wherever it is graded, ``text`` begins with its prompt's ``opening``, so that it is the whole answer.

    ``version_spans`` say which version of the policy wrote which tokens, in order and without holes: one span, unless
    the engine got new weights on the way; none where a server or a person wrote it, and no policy of this run.
    """

    token_ids: Int32[np.ndarray, " C"]
    logprobs: Float32[np.ndarray, " C"]
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

    ``value`` is the reward; ``parts`` its unweighted components (each verifier's own name, e.g. ``accuracy``,
    ``format``). ``extracted`` is the answer that was graded, None where none was found. ``status`` ``verifier_failed``
    is no grade: ``value`` is 0 and must not be used; the completion leaves its group.
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

    ``loss_mask`` is true on completion tokens that carry loss; ``sampler_logprobs`` are 0 elsewhere. ``reward`` is the
    completion's, with costs for its length. ``group_id`` is its group's place in the rollout, ``member`` its own among
    the group's graded completions. ``policy_version`` is the one that wrote it.
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

    ``old_logprobs`` is None where the update's own forward pass gives them (one update per rollout, so the ratio is 1),
    ``ref_logprobs`` where the KL weight is 0, ``old_values`` where there is no value network.
    """

    old_logprobs: Float32[np.ndarray, " L"] | None
    ref_logprobs: Float32[np.ndarray, " L"] | None
    old_values: Float32[np.ndarray, " L"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSample:
    """One completion with everything that its loss needs.

    ``advantages`` are 0 where there is no loss. ``returns`` are what a value network should have expected; None without
    one. ``kept_advantages`` are those that a replay buffer keeps: before the KL penalty, which is charged each time
    anew, where a group is the baseline.
    """

    sample: GradedSample
    logprobs: SampleLogprobs
    advantages: Float32[np.ndarray, " L"]
    returns: Float32[np.ndarray, " L"] | None
    kept_advantages: Float32[np.ndarray, " L"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A conversation to learn from, in which the assistant has the last word. ``category`` is the source for reports:
    the task's name, or whatever a file says."""

    id: str
    category: str
    language: str
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """Two answers to the same conversation, of which one is better."""

    id: str
    category: str
    language: str
    messages: tuple[Message, ...]
    question: str
    """What was asked, whatever the wording: what is held out goes by it."""
    chosen: str
    rejected: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledResponse:
    """An answer to a conversation, and whether it is as it should be."""

    id: str
    category: str
    language: str
    messages: tuple[Message, ...]
    question: str
    """As a preference's."""
    response: str
    good: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizedExample:
    """An example as the trainer sees it; ``loss_mask`` is true on what the assistant wrote and on the ends of turns."""

    token_ids: Int32[np.ndarray, " L"]
    loss_mask: Bool[np.ndarray, " L"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """One optimizer step: the version of the policy after it, and its reduced metrics."""

    policy_version: int
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A measured quantity with its 95 % interval."""

    value: float
    low: float
    high: float
