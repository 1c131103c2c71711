"""Guides by name, for whoever decodes under one."""

from __future__ import annotations

from dunwu.api.model_sources import source_of
from dunwu.config.schema import JudgeSpec, ModelSpec
from dunwu.errors import UserError
from dunwu.execution.executor import open_executor
from dunwu.pipeline.judges.reward_model import open_reward_model
from dunwu.serve.guides import RULES, Guide, RewardModelGuide, RuleGuide

LONGEST = 1024
"""Tokens of the sequences that a reward model is tried with."""


def open_guide(text: str) -> Guide:
    """Open what guides the answers of a server or a conversation.

    Args:
        text: ``rules``, or see ``open_reward_guide``.

    Raises:
        UserError: It is no guide, or cannot be used.
    """
    return RuleGuide(RULES) if text == "rules" else open_reward_guide(text)


def open_reward_guide(text: str, *, counts: bool = False) -> RewardModelGuide:
    """Open a reward model that a run made, as a guide.

    It scores by probabilities, whatever it learned from: their order is that of its scores, and votes count as much.

    Args:
        text: A run or RUN:STAGE.
        counts: See ``RewardModelGuide``.

    Raises:
        UserError: It is none, or cannot be used.
    """
    found = source_of(text, scores=True)
    if found.stage is None:
        raise UserError("is no run that made a reward model: nothing says what it reads", file=text, field="--guide")
    part = JudgeSpec.model_validate(
        {
            "name": "guide",
            "from": found.source,
            "input": found.stage["input"],
            "output": "probability",
            "prompt": {"template": found.template},
        }
    )
    model = open_reward_model(part, found.source, LONGEST, open_executor(ModelSpec(), lambda _: None))
    return RewardModelGuide(model, counts=counts)
