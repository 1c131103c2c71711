"""How answers are graded and what the parts of a reward weigh."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from dunwu.config.schema.base import Count, Name, Positive, Strict, Weighting
from dunwu.config.schema.tasks import PromptSpec


class Weight(Strict):
    """What a part of the reward weighs, update by update. In a recipe a number alone is the weight throughout."""

    weight: Weighting
    """What the part's value is multiplied by in the sum."""
    from_: Annotated[Count, Field(alias="from")] = 0
    """The first update that counts the part."""
    until: Positive | None = None
    """The first that no longer does."""
    ramp: Count = 0
    """Updates over which it grows from nothing, in a straight line."""

    def at(self, update: int) -> float:
        """Of the rollout that starts after so many updates."""
        if update < self.from_ or (self.until is not None and update >= self.until):
            return 0.0
        return self.weight * min(1.0, (update - self.from_ + 1) / (self.ramp + 1))


def _as_table(value: object) -> object:
    return {"weight": value} if isinstance(value, (int, float)) and not isinstance(value, bool) else value


Weighted = Annotated[Weight, BeforeValidator(_as_table)]

NOTHING, WHOLE = Weight(weight=0.0), Weight(weight=1.0)


class CustomFunction(Strict):
    """What the user wrote to say what an answer is worth: a function ``score(problem, text) -> float``."""

    name: Name
    """Of what it gives: in ``Score.parts``, in the curves, in ``reward.tasks``, among an evaluation's results."""
    file: Path | None = None
    """Python, relative to the recipe's file; it runs in a process of its own, with the user's rights."""
    function: str = "score"
    """Name of the function in ``file``; ``file.py:function`` says both. Without a file a registered reward, or
    ``module:function``: it runs in the run's own process."""
    timeout_seconds: Annotated[float, Field(gt=0, le=3600)] = 1.0
    """For one completion: seconds of processor time, and of sleep."""


class CustomReward(CustomFunction):
    """A part of the reward that a function of the user's gives."""

    weight: Weighted = WHOLE
    """Weight of the part: a number, or a table with ``from``, ``until`` and ``ramp``."""


class JudgeSpec(Strict):
    """A reward model that is asked what answers are worth (R1, arXiv 2501.12948v2, section 3.1)."""

    name: Name
    """Name of what it gives in tables, in the curves and in ``reward.tasks``."""
    from_: str = Field(alias="from")
    """An earlier stage of kind ``reward_model``, a folder, or a hub id."""
    input: Literal["summary", "all"]
    """What it reads, as it was trained: what follows the reasoning, or everything."""
    output: Literal["score", "probability"] = "score"
    """Its score as it is, or the sigmoid of it: for verdicts, the probability of a good answer."""
    prompt: PromptSpec = PromptSpec()
    """The template that it was trained with."""
    tokens_per_pass: Positive = 16384
    """Tokens that the reward model reads in one forward pass, padding included."""


class ModelReward(JudgeSpec):
    """A part of the reward that a reward model gives."""

    weight: Weighted = WHOLE
    """Weight of the part: a number, or a table with ``from``, ``until`` and ``ramp``."""


class CodeSpec(Strict):
    """What a program may use for one test (see ``dunwu.sandbox.Limits``)."""

    seconds: Annotated[float, Field(gt=0, le=3600)] = 4.0
    """Processor time that a test may use, in seconds; by the clock three times as much, more on a busy machine."""
    memory_mib: Annotated[int, Field(gt=0, le=2**20)] = 512
    """Memory that a test may use, in MiB."""
    output_mib: Annotated[int, Field(gt=0, le=1024)] = 4
    """What a test may print, in MiB."""
    allow_unsafe_sandbox: bool = False
    """Run model-written code although this machine can only limit its resources."""


AnswerIn = Literal["answer-tag", "boxed", "last-line", "summary"]
"""Where an answer stands."""


class GradingSpec(Strict):
    """How answers are read and graded."""

    format_rule: Literal["think-answer", "think-summary", "none"] = "think-answer"
    """Reasoning, then the answer, each in its tags and nothing else (R1-Zero); reasoning in its tags, then a summary,
    with the answer in its tags where there is one (R1)."""
    answer_in: AnswerIn = "answer-tag"
    """Where the answer is looked for; ``last-line``: in the answer tag where the text ends with one; ``summary``: it is
    all that follows the reasoning."""
    workers: Annotated[int, Field(ge=1, le=1024)] = 1
    """Processes that compare formulas, and programs at the same time; each can be killed."""
    timeout_seconds: Annotated[float, Field(gt=0, le=3600)] = 1.0
    """Processor time that one comparison of two mathematical answers may take, in seconds."""
    code: CodeSpec = CodeSpec()
    """Limits of programs that are run to be graded."""


class RewardSpec(GradingSpec):
    """Rule rewards and their weights.

    R1-Zero: accuracy and format, equal; R1 adds language consistency. The others are not R1's; quality and its three
    parts pay for right answers only.
    """

    accuracy: Weighted = WHOLE
    """1 for a right answer, else 0 (R1, section 2.2)."""
    format: Weighted = WHOLE
    """1 where the completion keeps to ``format_rule``, else 0 (R1, section 2.2)."""
    language: Weighted = NOTHING
    """Share of the words of the reasoning that are of the problem's language (R1, section 3.2.1)."""
    quality: Weighted = NOTHING
    """Quality of the reasoning: ``logic``, ``steps`` and ``novelty`` together, for right answers only."""
    logic: Weighted = Weight(weight=0.6)
    """Share of the chain's own arithmetic statements that are true; within ``quality``."""
    steps: Weighted = Weight(weight=0.3)
    """1 / number of steps; within ``quality``."""
    novelty: Weighted = Weight(weight=0.1)
    """Share of the group's other chains that take another method; within ``quality``."""
    truncation: Weighted = NOTHING
    """-1 where the length limit cut the completion off."""
    repetition: Weighted = NOTHING
    """Minus the share of repeated runs of 40 words."""
    custom: tuple[CustomReward, ...] = ()
    """Functions of yours that add parts to the reward: ``[[stages.NAME.reward.custom]]``."""
    models: tuple[ModelReward, ...] = ()
    """Reward models that add parts: ``[[stages.NAME.reward.models]]``; asked only where they weigh something."""
    tasks: dict[str, dict[str, Weighted]] = {}
    """Other weights for single tasks: ``[reward.tasks.TASK]``, part = weight."""
    languages: tuple[str, ...] = ()
    """Languages that may turn up in the reasoning; needed for those of one script (en, fr), which takes py3langid."""

    @property
    def added(self) -> tuple[CustomReward | ModelReward, ...]:
        """The parts that the recipe adds to the rules."""
        return *self.custom, *self.models

    def weights(self, task: str) -> dict[str, Weight]:
        """Every part's for a task, its own table before the common one."""
        common: dict[str, Weight] = {name: getattr(self, name) for name in REWARD_PARTS}
        common |= {part.name: part.weight for part in self.added}
        if self.format_rule == "none":
            common["format"] = NOTHING
        return common | self.tasks.get(task, {})


REWARD_PARTS = tuple(name for name, field in RewardSpec.model_fields.items() if field.annotation is Weight)
"""Names of the weights; those of own parts come beside them."""
