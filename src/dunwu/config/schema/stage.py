"""What every stage of a recipe has, and how the table of one is read by its kind."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import (
    BaseModel,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from dunwu.config.references import Names
from dunwu.config.schema.base import Strict
from dunwu.config.schema.inputs import StageInputs
from dunwu.config.schema.learning import ModelSpec, WorkersSpec
from dunwu.config.schema.rewards import GradingSpec
from dunwu.errors import UserError
from dunwu.registry import stages
from dunwu.types import Sampling


class StageSpec(Strict):
    """A stage of a recipe. Every kind of stage has its own fields, in a class that derives from this one."""

    kind: Annotated[str, Names(stages)]
    """What the stage does: the name of a kind, or the reference of one of your own."""
    model: ModelSpec = ModelSpec()
    """Type and place of the weights."""
    workers: WorkersSpec = WorkersSpec()
    """What of the stage works elsewhere, and how much of it; see ``executor``."""

    @property
    def inputs(self) -> StageInputs:
        """What it takes from elsewhere."""
        return StageInputs()

    @property
    def rules(self) -> GradingSpec | None:
        """How answers are read and graded; None: nothing is answered."""
        return None

    @property
    def kept_checkpoints(self) -> int:
        """How many of its newest checkpoints are kept."""
        return 1

    @property
    def template(self) -> str:
        """The template that the model knows which it makes."""
        return "chat"

    @property
    def evaluation_sampling(self) -> Sampling | None:
        """How the answers of its model were drawn when it was measured; None: it was not."""
        return None

    @property
    def amount(self) -> str:
        """How much of each of its sources it learns from, in a few words."""
        return ""

    @property
    def lengths(self) -> str:
        """How long what it learnt from was at most, as a sentence without its end; empty: not known."""
        return ""

    @property
    def longest_sequence(self) -> int:
        """Tokens of prompt and completion at most; 0 where nothing is written."""
        return 0

    @property
    def conversations(self) -> int | None:
        """Conversations that it makes at most; None: not known before it runs."""
        return None


def find_kind(name: str) -> Any:
    """Load the kind of a stage, see ``config.stage_kind``.

    Raises:
        UserError: There is none of this name, its file cannot be imported, or it is something else.
    """
    found = stages.load(name)
    is_schema = isinstance(schema := getattr(found, "schema", None), type) and issubclass(schema, StageSpec)
    if not is_schema or not all(hasattr(found, part) for part in ("makes", "check", "plan", "run", "defaults")):
        raise UserError(f"{name} is {type(found).__name__}, not a StageKind")
    return found


def _read_by_kind(value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    """Read a table as its kind wants it. What it does not say of an inner table comes from the table's own default."""
    if isinstance(value, StageSpec) or not isinstance(value, dict):
        return value if isinstance(value, StageSpec) else handler(value)
    name = value.get("kind")
    if not isinstance(name, str):
        wrong = "string_type" if "kind" in value else "missing"
        raise ValidationError.from_exception_data("Stage", [InitErrorDetails(type=wrong, loc=("kind",), input=name)])
    try:
        kind = find_kind(name)
    except UserError as error:
        raise _refuse_kind(name, error) from None
    table = _fill(value, kind.schema, kind.defaults)
    if info.mode == "json":
        stage = kind.schema.model_validate_json(json.dumps(table), strict=True)
    else:
        stage = kind.schema.model_validate(table)
    try:
        with stages.blame(name, "kind"):
            inputs = stage.inputs
        if not isinstance(inputs, StageInputs):
            raise UserError(f"the inputs of {name} are {inputs!r:.40}, no StageInputs")
    except UserError as error:
        raise _refuse_kind(name, error) from None
    return stage


def _refuse_kind(name: str, error: UserError) -> ValidationError:
    """Make an error of the field ``kind`` of what is wrong with a kind."""
    wrong = PydanticCustomError("wrong_kind", "{problem}", {"problem": error.message if error.field else str(error)})
    details = InitErrorDetails(type=wrong, loc=("kind",), input=name)
    return ValidationError.from_exception_data("Stage", [details])


def _fill(given: Mapping[str, Any], model: type[BaseModel], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Fill optional fields of a table that are not given, and those of the tables within it.

    Args:
        given: The table as the recipe has it.
        model: What it is read as.
        defaults: Where they are not the model's own.
    """
    optional = {info.alias or name for name, info in model.model_fields.items() if not info.is_required()}
    table = {name: value for name, value in defaults.items() if name in optional} | dict(given)
    for name, info in model.model_fields.items():
        key, inner = info.alias or name, _model_of(info.annotation)
        if inner and isinstance(given.get(key, defaults.get(key)), Mapping):
            own = info.default.model_dump(by_alias=True, exclude_unset=True) if isinstance(info.default, inner) else {}
            table[key] = _fill(given.get(key, {}), inner, own | defaults.get(key, {}))
    return table


def _model_of(annotation: Any) -> type[BaseModel] | None:
    """Return the model of a field that holds one table, or none."""
    parts = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    return next((part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)), None)


Stage = Annotated[SerializeAsAny[StageSpec], WrapValidator(_read_by_kind)]
