"""What chooses between replies, or their beginnings: parts of the reward that rules give, and reward models.

A guide knows the question and what was written, and nothing of the right answer. So the part ``accuracy`` is none: who
can ask the task's own verifier has no choice to make.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Final, Protocol

import numpy as np

from dunwu.config.schema import RewardSpec
from dunwu.errors import Fault, UserError, did_you_mean
from dunwu.models.templates import count_positions
from dunwu.pipeline.judges.reward_model import RewardModel
from dunwu.serve.records import Finish
from dunwu.tasks.datasets.rows import detect_language
from dunwu.types import Completion, Message, Problem
from dunwu.verifiers import Verdict
from dunwu.verifiers.components import COMPONENTS, Graded

PARTS: Final = tuple(name for name in COMPONENTS if name != "accuracy")
"""Parts of the reward that need no right answer."""
UNKNOWN: Final = Verdict(True, "nobody knows")
"""``logic`` and ``steps`` pay right answers only: here for what is written, as if it was right."""
REWARDS: Final = RewardSpec()
RULES: Final = {"logic": 1.0, "format": 1.0}
"""The guide of rules: arithmetic that is right step by step, and the format."""
NO_TOKENS: Final = np.empty(0, np.int32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A reply, or its beginning.

    Attributes:
        text: all of it, with its tags.
        reasoning: the chain of thought so far.
        answer: what follows it so far; None: nothing yet.
        finish: why it ended; None: it goes on.
    """

    text: str
    reasoning: str
    answer: str | None
    finish: Finish | None


class Guide(Protocol):
    """Says what drafts are worth; any thread may ask."""

    def score(self, messages: Sequence[Message], drafts: Sequence[Draft]) -> list[float]:
        """Return a number for each draft of an answer to a conversation, in their order; more is better.

        Args:
            messages: the conversation.
            drafts: what was written.
        """


class RuleGuide:
    """A weighted sum of parts of the reward.

    ``format`` is whole for a draft that goes on: it may still be kept to.

    Args:
        weights: of the parts, by name.
        rewards: how the parts are computed: the format's rule, the languages.

    Raises:
        UserError: a name is no part, or one that needs the right answer.
    """

    def __init__(self, weights: Mapping[str, float], rewards: RewardSpec = REWARDS) -> None:
        for name in weights:
            if name not in PARTS:
                text = f"{name!r:.60} is no part of the reward that needs no right answer; there are {', '.join(PARTS)}"
                raise UserError(text + did_you_mean(name, PARTS), field="guide")
        self._weights, self._rewards = dict(weights), rewards

    def score(self, messages: Sequence[Message], drafts: Sequence[Draft]) -> list[float]:
        """See ``Guide``."""
        return [self._score(messages, draft) for draft in drafts]

    def _score(self, messages: Sequence[Message], draft: Draft) -> float:
        problem = Problem(
            id="guided",
            task="guided",
            kind="open",
            level=1,
            language=detect_language(messages[-1].content),
            messages=tuple(messages),
            gold="",
        )
        completion = Completion(
            token_ids=NO_TOKENS,
            logprobs=NO_TOKENS.astype(np.float32),
            text=draft.text,
            finish="length" if draft.finish == "length" else "stop",
            version_spans=(),
        )
        graded = Graded(self._rewards, problem, completion, UNKNOWN)
        return sum(
            weight * (1.0 if name == "format" and draft.finish is None else COMPONENTS[name](graded))
            for name, weight in self._weights.items()
        )


class RewardModelGuide:
    """A reward model that reads every draft.

    Args:
        model: what scores.
        counts: ``take_lengths`` will be asked; a server would keep the lengths for as long as it runs.
    """

    def __init__(self, model: RewardModel, *, counts: bool) -> None:
        self._model, self._counts, self._lock = model, counts, Lock()
        self._positions, self._lengths = count_positions(model.model), list[int]()

    def score(self, messages: Sequence[Message], drafts: Sequence[Draft]) -> list[float]:
        """See ``Guide``.

        Raises:
            UserError: the model's template refuses the conversation, or its positions are too few.
            Fault: the model gave what is no number, by which nobody can choose.
        """
        with self._lock:
            scores = self._model.score("the conversation", messages, [draft.text for draft in drafts])
            lengths = self._model.take_cost().lengths
            self._lengths += lengths if self._counts else ()
        longest = max(lengths, default=0)
        if longest > self._positions:
            text = f"the conversation with its answer has {longest:,} tokens"
            raise UserError(f"{text}, and the guide has {self._positions:,} positions", field="messages")
        if not all(map(math.isfinite, scores)):
            raise Fault("the reward model that guides gave a score that is no number")
        return scores

    def take_lengths(self) -> list[int]:
        """Return the tokens of each text that was read since this was last asked."""
        with self._lock:
            lengths, self._lengths = self._lengths, []
        return lengths


def to_weight(score: float) -> float:
    """Return how much the vote of a reply counts that a guide scored so: its score, and nothing below 0."""
    return max(0.0, score)
