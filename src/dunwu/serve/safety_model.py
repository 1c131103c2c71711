"""A reward model as the safety model of a policy: how dangerous a reply is, from 0 to 1."""

from __future__ import annotations

from threading import Lock
from typing import Any, Final

import numpy as np

from dunwu.config.schema import ModelSpec, PromptSpec
from dunwu.errors import UserError
from dunwu.execution.executor import open_executor
from dunwu.models.templates import Template, count_positions
from dunwu.pipeline.judges.reward_model import RewardModel
from dunwu.serve.review.decision import Score
from dunwu.types import Completion, Message, Problem, Prompt, RolloutGroup

LONGEST: Final = 256
"""Tokens at which its batches are compared with single sequences when it is opened."""
TOKENS_PER_PASS: Final = 8192
NO_TOKENS: Final = np.empty(0, dtype=np.int32)
NO_LOGPROBS: Final = np.empty(0, dtype=np.float32)


def open_safety_model(source: str, template: str, *, stage: dict[str, Any] | None = None) -> Score:
    """Open a reward model that learned from verdicts whether a reply is safe.

    Args:
        source: A folder of transformers.
        template: The one that it was trained with.
        stage: The fields of the run's stage that made it, if one did.

    Returns:
        A score: the probability that the reply is not safe. It reads a question with a reply; an empty reply is one,
        too, and was in no training data.

    Raises:
        UserError: It cannot be used, or compares answers and so gives no probability.
    """
    if stage is not None and stage.get("learn_from", "verdicts") != "verdicts":
        raise UserError("compares answers: a safety model is one that learned from verdicts", file=source)
    executor = open_executor(ModelSpec(), lambda _: None)
    scorer = executor.open_scorer(source, longest=LONGEST)
    spec = PromptSpec(template=template, max_tokens=count_positions(scorer.model))
    model = RewardModel(
        scorer, Template(spec, scorer.tokenizer), read=str, probability=True, tokens_per_pass=TOKENS_PER_PASS
    )
    lock = Lock()

    def score(question: str, text: str) -> float:
        with lock:
            (safe,) = model(_make_group(question, text))
        return 1.0 - safe

    return score


def _make_group(question: str, text: str) -> RolloutGroup:
    """Make what reward models read: a question, and one answer to it."""
    messages = (Message(role="user", content=question),)
    problem = Problem(id="review", task="review", kind="open", level=0, language="", messages=messages, gold="")
    completion = Completion(token_ids=NO_TOKENS, logprobs=NO_LOGPROBS, text=text, finish="stop")
    return RolloutGroup(prompt=Prompt(problem=problem, token_ids=NO_TOKENS), completions=(completion,))
