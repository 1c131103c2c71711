"""A recipe as a whole: data, hardware, stages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from dunwu.config.schema.base import Language, Name, Seed, Share, Strict
from dunwu.config.schema.stage import Stage

ExecutorName = Literal["inline", "processes", "ray"]
"""Who executes the stages of a recipe."""


class DataSpec(Strict):
    """Conversations in a file (JSON, CSV or Parquet), or made by a task of the nano world."""

    path: Path | None = None
    """The file, JSON lines or an array, CSV or Parquet, relative to the recipe's file."""
    task: Literal["talk", "requests"] | None = None
    """A task of the nano world that makes the conversations, in place of a file."""
    count: Annotated[int, Field(gt=0, le=10**7)] = 1000
    """Conversations that the task makes."""
    languages: Annotated[tuple[Language, ...], Field(min_length=1)] = ("en",)
    """Languages of a task's conversations, in turn."""
    quality: Share = 1.0
    """How helpful and safe a task's conversations are, from rude and harmful to as good as can be; pairs and verdicts
    have answers of all sorts."""
    seed: Seed = 0
    """Seed of the conversations that a task makes."""
    held_out: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the task's questions, by hash, that are left out."""
    fields: dict[str, str] = {}
    """Names of columns that are called otherwise than here. Asked: ``messages`` (a list of ``role`` and ``content``) or
    ``prompt``. Answered, where the last message is not the answer: ``response``, with ``good`` for verdicts; ``chosen``
    and ``rejected`` for pairs, with ``judgements`` where there are such. Beside these ``category`` and ``language``."""
    max_bad_rows: Share = 0.01
    """Malformed rows are left out and listed with their lines; above this share the run stops."""


class HardwareSpec(Strict):
    """What ``dunwu plan`` reckons with; training uses what the machine has."""

    device: Literal["cpu", "a100", "h100", "h800", "h200"] = "cpu"
    """What the plan computes with: speed and memory of one such device."""
    count: Annotated[int, Field(gt=0, le=10**6)] = 1
    """How many such devices there are."""
    dollars_per_hour: Annotated[float, Field(ge=0, le=1e6)] | None = None
    """Price of one device; without it neither plan nor ledger names dollars."""
    watts: Annotated[float, Field(gt=0, le=1e6)] | None = None
    """Power of one device at work, for the ledger's energy; else what its maker says (a CPU: 65 W, ours)."""
    length_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """How long completions are on average, as a share of their limit; for the plan's hours only."""


class DecontaminationSpec(Strict):
    """What is done with training texts that share words with a benchmark of the recipe (R1: any 10-gram)."""

    words: Annotated[int, Field(ge=3, le=1000)] = 10
    """So many words in a row, in both texts, are a match."""
    boilerplate: Share = 0.02
    """Words that more than this share of a benchmark's problems have in common are its wording, and no match (ours)."""
    matches: Literal["refuse", "drop", "keep"] = "refuse"
    """Stop and name them, leave them out of training, or train on them all the same."""


class Recipe(Strict):
    """A run: named stages, in order.

    A file may also hold ``[tasks.NAME]`` tables: wherever a stage wants a task, it may give such a name instead.
    """

    name: Name
    """The run's name; its folder is runs/NAME unless ``--out`` says otherwise."""
    seed: Seed = 0
    """All randomness follows from it: the same recipe and seed write the same metrics and rollouts."""
    executor: ExecutorName = "inline"
    """Who executes the stages: this process alone (``inline``), with ``processes`` of this machine that generate
    (``workers``), or with actors of a ``ray`` cluster. The samples are the same."""
    cluster: str = "local"
    """For ``ray``: HOST:PORT of a cluster's head, ``auto`` for the cluster that this machine is in, ``local`` for one
    of this machine alone that ends with the run."""
    hardware: HardwareSpec = HardwareSpec()
    """The machine for which ``dunwu plan`` estimates hours, memory and dollars."""
    data: dict[Name, DataSpec] = {}
    """Conversations to learn from, by name."""
    decontamination: DecontaminationSpec = DecontaminationSpec()
    """What happens to training texts that a benchmark of the recipe knows too."""
    stages: Annotated[dict[Name, Stage], Field(min_length=1)]
    """The stages in the order in which they run, ``[stages.NAME]`` each; ``kind`` says what each does."""
