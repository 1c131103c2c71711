"""What is measured on held-out problems."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from dunwu.config.schema.base import Count, Name, Questions, Samples, Strict, Temperature, Tokens, TopP
from dunwu.config.schema.tasks import TaskSpec


class EvaluationSet(Strict):
    """A held-out measurement."""

    name: Name
    """The set's name in tables, curves and file names."""
    task: TaskSpec
    """Where its problems come from. Only problems that no training task draws are taken (``held_out``)."""
    problems: Questions = 500
    """Number of held-out problems."""
    samples: Samples = 16
    """Answers drawn to each problem: pass@1 is their mean, cons@k the majority of k of them."""
    instruction: Annotated[str, Field(min_length=1)] | None = None
    """What follows every question, after an empty line: how to answer. Neither a problem's name nor its side of the
    split depends on it."""
    judges: tuple[Name, ...] = ()
    """Of an evaluation stage's ``judges``, those that are asked about this set."""


class TextSet(Strict):
    """Ordinary text, of which the perplexity is measured: what a model that learns by rewards may forget."""

    name: Name
    """Its name in tables and file names, beside those of the sets of problems."""
    path: Path | None = None
    """The text, relative to the recipe: a ``.txt`` or ``.md`` file, whose passages stand between empty lines, or rows
    with a column ``text`` (JSON, CSV, Parquet). None: English prose that comes with Dunwu."""
    passages: Questions = 500
    """Passages that are read, from the first on; a text that has fewer is read whole."""


class EvaluationSpec(Strict):
    """When and how accuracy is measured."""

    sets: tuple[EvaluationSet, ...] = ()
    """Measured before the first and after the last update: base against trained."""
    texts: tuple[TextSet, ...] = ()
    """Texts of which the perplexity is measured whenever the first set is."""
    measures: tuple[str, ...] = ()
    """Parts of ``reward.custom`` that are measured too, beside accuracy and format, and decide nothing. ``accuracy``
    may stand among them. The first one is what the report's headline is about; none: accuracy."""
    every: Count = 0
    """Also measure the first set, and the texts, every so many updates; 0: never."""
    during_problems: Questions = 128
    """Problems of the first set that are measured on the way (``every``)."""
    during_samples: Samples = 1
    """Answers to each of these."""
    temperature: Temperature = 1.0
    """Sampling temperature of evaluations; 0 takes the likeliest token each time."""
    top_p: TopP = 1.0
    """Nucleus sampling of evaluations: the share of probability that is drawn from."""
    max_new_tokens: Tokens | None = None
    """Longest answer, in tokens; else the rollout's limit."""
