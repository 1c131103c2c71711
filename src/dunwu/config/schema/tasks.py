"""What is asked, how it becomes a prompt, and what a rollout generates."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from dunwu.config.references import Names
from dunwu.config.schema.base import (
    MOST,
    Count,
    Language,
    Name,
    Questions,
    Samples,
    Share,
    Strict,
    Temperature,
    Tokens,
    TopP,
)
from dunwu.machine import Dtype
from dunwu.registry import DATA_SETS, tasks, verifiers
from dunwu.user_code import is_reference, split_reference

COLUMNS = ("problem", "answer", "level", "subject", "tests", "entry")
"""What a column of a file can be (``TaskSpec.fields``)."""
NEEDED_COLUMNS = {
    "math": ("problem", "answer"),
    "choice": ("problem", "answer"),
    "expression": ("problem", "answer", "tests"),
    "code": ("problem", "tests"),
}
"""Columns that a file must have, by the verifiers of ours that can grade its rows (``TaskSpec.kind``)."""
CUSTOM_COLUMNS = ("problem", "answer")
"""The same for a verifier of the user's."""


class TaskSpec(Strict):
    """One source of problems."""

    task: Annotated[str, Names(tasks)]
    """A generator (countdown, game24, ...), a data set in its published form (gsm8k, math, aime, amc, cmath, humaneval,
    mbpp, gpqa, livecodebench, codeforces, ifeval, safety, alpaca, arena), ``file``, ``gym`` (a set of
    reasoning-gym), or a function of your own: a registered name, ``module:function`` or ``file.py:function``."""
    set: str | None = None
    """For ``gym``: which set of reasoning-gym."""
    display_name: Name | None = None
    """For what is read from a file, or a function of your own: its name in the curves and in ``reward.tasks``; None:
    ``task``, or the function's name."""
    weight: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    """Share of the draws, relative to the other tasks of the list."""
    levels: tuple[Annotated[int, Field(ge=-MOST, le=MOST)], ...] = ()
    """Difficulty levels to draw from, evenly; empty: the generator's lowest, or every level of a file."""
    languages: tuple[Language, ...] = ("en",)
    """Languages of the problems, drawn evenly; generators only."""
    path: Path | None = None
    """JSON (lines or an array), CSV, Parquet, a ``datasets`` folder, relative to the recipe; sets and ``file`` only."""
    hub: Annotated[str, Field(min_length=1)] | None = None
    """In the place of ``path``: a name that ``datasets`` loads, such as openai/gsm8k, or a folder; takes the extra
    ``data``."""
    hub_config: str | None = None
    """Which configuration of ``hub`` (of openai/gsm8k: main); None: the only one, or its default."""
    split: str | None = None
    """Which split of ``hub``; None: the only one."""
    fields: dict[str, str] = {}
    """For ``file``, where columns have other names: which one is ``problem``, ``answer`` (programs need none) and,
    where there are such, ``level``, ``subject``, ``tests`` (lists: an expression's target and numbers, a program's
    tests, a choice's options, which are put below a question that does not hold them) and ``entry`` (the function they
    call, or LiveCodeBench's metadata).
    """
    kind: Annotated[str, Names(verifiers, ())] = "math"
    """For ``file`` and a function of your own: the verifier that grades the answers, unless the function names one:
    ``math``, ``choice``, ``expression``, ``code``, or one of your own."""
    held_out: Share = 0.1
    """Share of the problems, by hash, that training never draws. 0 where evaluation has a file of its own."""
    max_bad_rows: Share = 0.01
    """Malformed rows are quarantined with file and line; above this share the run stops."""

    @property
    def name(self) -> str:
        """What its problems call it (``Problem.task``)."""
        if self.display_name is not None:
            return self.display_name
        if self.task == "gym":
            return f"gym-{self.set}"
        return split_reference(self.task)[1] if is_reference(self.task) else self.task

    @property
    def needed_columns(self) -> tuple[str, ...]:
        """What a file must have a column for."""
        return NEEDED_COLUMNS.get(self.kind, CUSTOM_COLUMNS)

    @property
    def columns(self) -> dict[str, str]:
        """Which column of a file is what."""
        return self.fields or {name: name for name in self.needed_columns}

    @property
    def is_custom(self) -> bool:
        """Whether it is the user's: a reference, or a name that was registered."""
        return self.task not in tasks.builtin

    @property
    def reads_file(self) -> bool:
        """Whether its problems are read, from a file or by ``datasets``; else they are generated."""
        return self.task in DATA_SETS or (self.is_custom and (self.path is not None or self.hub is not None))

    @property
    def has_levels(self) -> bool:
        """Whether it generates problems at levels of difficulty."""
        return not self.reads_file and self.task != "gym"

    @property
    def needs_sandbox(self) -> bool:
        """Whether answers are programs, or graded by programs that are not ours."""
        programs = ("humaneval", "mbpp", "livecodebench", "codeforces", "gym", "functions")
        return self.task in programs or ((self.task == "file" or self.is_custom) and self.kind == "code")


class PromptSpec(Strict):
    """How a problem becomes tokens."""

    template: str = "r1-zero"
    """``r1-zero`` (the paper's table 1), ``nano`` (its one-line form), ``chat`` (the tokenizer's own), or a text that
    contains {prompt}."""
    max_tokens: Tokens = 1024
    """Longer prompts are left out, and counted."""


class RolloutSpec(Strict):
    """What one rollout generates (R1-Zero: 512 questions, 16 completions each, T=1)."""

    questions: Questions = 512
    """Problems drawn for one rollout; each is answered ``group_size`` times (R1-Zero: 512)."""
    group_size: Annotated[int, Field(gt=1, le=2**16)] = 16
    """Completions of each problem, whose rewards are compared with each other (G of GRPO; R1-Zero: 16)."""
    temperature: Temperature = 1.0
    """Sampling temperature while training (R1-Zero: 1); 0 would make all completions of a group equal."""
    top_p: TopP = 1.0
    """Nucleus sampling: draw from the smallest set of tokens with this probability; 1 keeps all of them."""
    max_new_tokens: Tokens = 32768
    """Longest completion, in tokens; longer ones are cut off (R1-Zero: 32,768)."""
    length_schedule: dict[Count, Tokens] = {}
    """Context-length schedule: from this update on, this many new tokens (R1-Zero: 65,536 from step 8,200)."""
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Texts that end a completion, beside the tokenizer's own end of sequence."""
    curriculum: Share = 0.0
    """Up to this share of the questions are variations, by the tasks' generators, of problems that the policy half
    solved in the rollout before; the others come from the tasks as ever."""
    curriculum_bounds: tuple[Share, Share] = (0.25, 0.75)
    """A problem is half solved where the accuracy of its group lies strictly between these."""
    max_sequences: Samples = 256
    """Completions that decode at once; halved by itself when memory runs out."""
    max_staleness: Annotated[int, Field(ge=0, le=64)] = 0
    """Rollouts by which the weights that generate lag behind: rollout k is written by those that k - s rollouts made,
    so it can be made beside the updates, where ``executor`` is not ``inline``. 0: as R1 did."""
    dtype: Dtype | None = None
    """Type of the weights that generate; None: ``model.dtype``. Another one needs ``algorithm.old_logprobs`` =
    ``sampler`` or an ``importance_cap``, since sampler and trainer then round otherwise."""
