"""Guides by name, for whoever decodes under one."""

from __future__ import annotations

from dunwu.api.model_sources import source_of
from dunwu.config.schema import JudgeSpec, ModelSpec
from dunwu.errors import UserError
from dunwu.execution.executor import open_executor
from dunwu.pipeline.judges.reward_model import open_reward_model
from dunwu.serve.guides import RewardModelGuide

LONGEST = 1024
"""Tokens of the sequences that a reward model is tried with."""


def open_reward_guide(text: str) -> RewardModelGuide:
    """Open a reward model that a run made, as a guide.

    Args:
        text: A run or RUN:STAGE.

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
            "output": "probability" if found.stage["learn_from"] == "verdicts" else "score",
            "prompt": {"template": found.template},
        }
    )
    return RewardModelGuide(open_reward_model(part, found.source, LONGEST, open_executor(ModelSpec(), lambda _: None)))
