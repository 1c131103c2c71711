"""What is measured on held-out problems."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dunwu.config.schema.base import Count, Name, Questions, Samples, Strict, Temperature, Tokens, TopP
from dunwu.config.schema.tasks import TaskSpec


class EvaluationSet(Strict):
    """A held-out measurement."""

    name: Name
    task: TaskSpec
    problems: Questions = 500
    samples: Samples = 16
    instruction: Annotated[str, Field(min_length=1)] | None = None
    """What follows every question, after an empty line: how to answer. Neither a problem's name nor its side of the
    split depends on it."""
    judges: tuple[Name, ...] = ()
    """Of an evaluation stage's ``judges``, those that are asked about this set."""


class EvaluationSpec(Strict):
    """When and how accuracy is measured."""

    sets: tuple[EvaluationSet, ...] = ()
    """Measured before the first and after the last update: base against trained."""
    measures: tuple[str, ...] = ()
    """Parts of ``reward.own`` that are measured too, beside accuracy and format, and decide nothing; ``accuracy`` may
    stand among them. The first one is what the report's headline is about; none: accuracy."""
    every: Count = 0
    """Also measure the first set every so many updates; 0: never."""
    during_problems: Questions = 128
    during_samples: Samples = 1
    temperature: Temperature = 1.0
    top_p: TopP = 1.0
    max_new_tokens: Tokens | None = None
    """None: the rollout's."""
