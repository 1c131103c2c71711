"""A kind of stage as one object: whoever needs to know what a kind can do asks it, and nobody asks which kind it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar, get_args

from dunwu.config.issues import Issue
from dunwu.config.schema import StageSpec, TaskSpec, find_kind
from dunwu.errors import UserError

S = TypeVar("S", bound=StageSpec)
Makes = Literal["policy", "scorer", "data", "results"]


@dataclass(slots=True, kw_only=True)
class Upstream:
    """What a stage can build on: what stages before it have made, and what the whole recipe trains on.

    Attributes:
        trained: Every task that any stage of the recipe trains on.
        data: Names of texts: the recipe's, and of stages that made some.
        corpora: Names of models, and the generated corpus that each has read.
        policies: Names of stages that ended in a model that writes.
        scorers: Stages that ended in a reward model.
    """

    trained: Sequence[TaskSpec]
    data: list[str]
    corpora: dict[str, str]
    policies: list[str] = field(default_factory=list)
    scorers: dict[str, StageSpec] = field(default_factory=dict)

    def add(self, name: str, stage: StageSpec, makes: Makes) -> None:
        """Note what a stage makes, for the stages after it."""
        inputs = stage.inputs
        if makes == "scorer":
            self.scorers[name] = stage
        elif makes == "data":
            self.data.append(name)
        elif makes == "policy":
            self.policies.append(name)
            corpus = inputs.corpus or self.corpora.get(inputs.models[0].source if inputs.models else "")
            if corpus is not None:
                self.corpora[name] = corpus


def find_nothing(stage: StageSpec, upstream: Upstream) -> Iterable[Issue]:
    """Check nothing beyond the fields themselves."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StageKind(Generic[S]):
    """A kind of stage: the fields that a recipe gives it, what it makes, and how it is checked, planned and run.

    Importing the module of one must be light: a plan needs it, and no plan needs torch. ``run`` imports what is heavy.

    Attributes:
        schema: The stage's fields.
        summary: What it does, in a line.
        makes: What is there when it is done: a policy or a scorer in ``model/``, data in ``data.jsonl``, or results.
        run: Does the work: ``run(stage, context)`` with a ``pipeline.context.StageContext``. After a stop it is called
            again, and goes on where its own files say.
        result: What the model is that it makes, with a pair of braces for the one that it began from.
        check: Says what is wrong between fields, as fields of the stage.
        plan: Says what it will cost: ``plan(stage, context)`` with a ``planning.PlanContext`` gives a
            ``planning.StagePlan``; None: nothing is estimated.
        defaults: Defaults that differ from the schema's, for kinds that share one.
    """

    schema: type[S]
    summary: str
    makes: Makes
    run: Callable[[S, Any], None]
    result: str = "{} after a stage of another kind"
    check: Callable[[S, Upstream], Iterable[Issue]] = find_nothing
    plan: Callable[[S, Any], Any] | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check what no type checker has looked at.

        Raises:
            UserError: A field holds something else.
        """
        is_schema = isinstance(self.schema, type) and issubclass(self.schema, StageSpec)
        for name, is_right, wanted in (
            ("schema", is_schema, "a class that derives from StageSpec"),
            ("summary", isinstance(self.summary, str), "a text"),
            ("makes", self.makes in get_args(Makes), f"one of {', '.join(get_args(Makes))}"),
            ("run", callable(self.run), "a function (stage, context)"),
            ("result", _takes_one_name(self.result), "a text with at most one pair of braces, {}"),
            ("check", callable(self.check), "a function (stage, upstream)"),
            ("plan", self.plan is None or callable(self.plan), "a function (stage, context), or None"),
            ("defaults", isinstance(self.defaults, Mapping), "a dict"),
        ):
            if not is_right:
                raise UserError(f"a StageKind has {name} = {getattr(self, name)!r:.60}, not {wanted}")


def _takes_one_name(text: object) -> bool:
    """Tell whether a text takes one name at most."""
    try:
        return isinstance(text, str) and isinstance(text.format("a model"), str)
    except (IndexError, KeyError, ValueError, AttributeError):
        return False


def kind_of(stage: StageSpec) -> StageKind[Any]:
    """Return the kind of a stage."""
    kind: StageKind[Any] = find_kind(stage.kind)
    return kind
