"""What every table of a recipe is made of: strict models, and numbers with bounds."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

Language = Literal["en", "zh"]

Positive = Annotated[int, Field(gt=0)]

Share = Annotated[float, Field(ge=0.0, le=1.0)]

TopP = Annotated[float, Field(gt=0.0, le=1.0)]


def _sampling(temperature: float) -> float:
    """Below a thousandth, logits over temperature overflow."""
    if 0 < temperature < 1e-3:
        raise PydanticCustomError("temperature", "must be 0 or at least 0.001")
    return temperature


Temperature = Annotated[float, Field(ge=0.0), AfterValidator(_sampling)]

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=100)]
"""Becomes a folder's name and a part of ``--set``: letters, digits, - and _."""


class Strict(BaseModel):
    """Unknown fields are errors; nothing changes after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)
