"""What every table of a recipe is made of: strict models, and numbers with bounds."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

Language = Literal["en", "zh"]

MOST = 10**9
"""Of anything that is counted. More is a typing error, and would end in no memory or not at all."""

Count = Annotated[int, Field(ge=0, le=MOST)]

Positive = Annotated[int, Field(gt=0, le=MOST)]

Tokens = Annotated[int, Field(gt=0, le=2**24)]
"""In one text."""

Questions = Annotated[int, Field(gt=0, le=10**6)]
"""Or texts that are in memory at the same time."""

Samples = Annotated[int, Field(gt=0, le=2**16)]
"""Of one problem, or of anything that is made side by side."""

Seed = Annotated[int, Field(ge=0, lt=2**63)]

Weighting = Annotated[float, Field(ge=0, le=1e6)]
"""What something counts beside others."""

Share = Annotated[float, Field(ge=0.0, le=1.0)]

TopP = Annotated[float, Field(gt=0.0, le=1.0)]


def _sampling(temperature: float) -> float:
    """Below a thousandth, logits over temperature overflow."""
    if 0 < temperature < 1e-3:
        raise PydanticCustomError("temperature", "must be 0 or at least 0.001")
    return temperature


Temperature = Annotated[float, Field(ge=0.0, le=100.0), AfterValidator(_sampling)]
"""At a hundred all tokens are alike."""

LearningRate = Annotated[float, Field(gt=0, le=10.0)]
"""The largest that anything converges with lie below one."""

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=100)]
"""Becomes a folder's name and a part of ``--set``: letters, digits, - and _."""


class Strict(BaseModel):
    """Unknown fields are errors; nothing changes after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)
