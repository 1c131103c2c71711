"""What a stage takes from elsewhere: models, data, problems, and functions of the user's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from dunwu.config.schema.evaluation import EvaluationSet, TextSet
from dunwu.config.schema.helpers import EndpointSpec, PairJudgeSpec, RewriteSpec, TruthJudgeSpec
from dunwu.config.schema.rewards import CustomFunction, JudgeSpec
from dunwu.config.schema.tasks import PromptSpec, TaskSpec

SCORE: Final = ("problem", "text")
REWRITE: Final = ("problem", "text")
COMPARE: Final = ("question", "first", "second")
AGREE: Final = ("question", "gold", "answer")
"""Arguments of each function that a user may write."""
Layout = Literal["conversations", "pairs", "verdicts"]


class PromptPlace(NamedTuple):
    """A template, and the field in which it stands."""

    field: str
    spec: PromptSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInput:
    """A model that a stage begins from.

    Attributes:
        field: Where the stage names it, ``from`` or ``reward.models.0.from``.
        source: An earlier stage, ``nano-base``, a folder, a GGUF file, or a hub id.
        prompt: How it is asked; None: by nobody.
        role: Whether it writes, or reads as a reward model does; a value network may begin from either.
        may_be_served: Whether the source may be a server.
    """

    field: str
    source: str
    prompt: PromptPlace | None = None
    role: Literal["policy", "scorer", "either"] = "policy"
    may_be_served: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionInput:
    """A function of the user's: the field that names it, its file and name, and what it is called with.

    Without a file the name is that of a registered reward, or a reference.
    """

    field: str
    file: Path | None
    name: str
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageInputs:
    """Everything that a stage takes, whatever its kind.

    Attributes:
        models: Those that it begins from and asks, the one that it changes first.
        data: Sources of texts by name: the recipe's ``data``, and earlier stages that made some.
        layout: What the texts are read as.
        corpus: A corpus that is generated.
        tasks: Whose training problems it draws, by field.
        sets: Held-out problems that it measures on, by field.
        texts: Texts of which it measures the perplexity, by field.
        functions: Functions of the user's.
        endpoints: Models behind servers that help, by field.
    """

    models: tuple[ModelInput, ...] = ()
    data: tuple[str, ...] = ()
    layout: Layout = "conversations"
    corpus: str | None = None
    tasks: Mapping[str, TaskSpec] = field(default_factory=dict)
    sets: Mapping[str, EvaluationSet] = field(default_factory=dict)
    texts: Mapping[str, TextSet] = field(default_factory=dict)
    functions: tuple[FunctionInput, ...] = ()
    endpoints: Mapping[str, EndpointSpec] = field(default_factory=dict)

    @property
    def every_task(self) -> tuple[TaskSpec, ...]:
        """List the tasks of training, then those of the sets."""
        return (*self.tasks.values(), *(chosen.task for chosen in self.sets.values()))


def judge_inputs(judges: Iterable[JudgeSpec], place: str) -> Iterator[ModelInput]:
    """Yield the reward models of a list that stands at ``place``."""
    for number, judge in enumerate(judges):
        prompt = PromptPlace(f"{place}.{number}.prompt", judge.prompt)
        yield ModelInput(field=f"{place}.{number}.from", source=judge.from_, prompt=prompt, role="scorer")


def custom_inputs(functions: Iterable[CustomFunction], place: str) -> Iterator[FunctionInput]:
    """Yield the functions of a list that stands at ``place``."""
    for number, spec in enumerate(functions):
        yield FunctionInput(field=f"{place}.{number}", file=spec.file, name=spec.function, arguments=SCORE)


def helper_inputs(
    spec: RewriteSpec | TruthJudgeSpec | PairJudgeSpec | None, place: str, arguments: tuple[str, ...]
) -> dict[str, Any]:
    """Return what a rewriter or judge adds to a stage's inputs: its function, or its endpoint."""
    found: dict[str, Any] = {}
    if spec is not None and spec.file is not None:
        function = FunctionInput(field=place, file=spec.file, name=spec.function, arguments=arguments)
        found["functions"] = (function,)
    if spec is not None and spec.endpoint is not None:
        found["endpoints"] = {f"{place}.endpoint": spec.endpoint}
    return found
