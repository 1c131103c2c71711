"""What rewriters and judges need: a function of the user's, or a model behind an endpoint, and not both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dunwu.config.issues import Issue
from dunwu.config.schema import PairJudgeSpec, RewriteSpec, Strict, TruthJudgeSpec

PLACEHOLDERS: Mapping[type, tuple[str, ...]] = {
    RewriteSpec: ("{answer}",),
    PairJudgeSpec: ("{first}", "{second}"),
    TruthJudgeSpec: ("{gold}", "{answer}"),
}
"""What an instruction must hold."""


def is_changed(table: Strict, field: str) -> bool:
    """Return whether a field has another value than where nobody writes it.

    A recipe.json writes every default out, and means nothing by it.
    """
    return bool(getattr(table, field) != type(table).model_fields[field].default)


def check_helper(spec: RewriteSpec | PairJudgeSpec | TruthJudgeSpec, place: str) -> Iterator[Issue]:
    """Check that a rewriter or judge has what its ``by`` needs, and nothing that another one needs."""
    for kind, field, value in (("custom", "file", spec.file), ("endpoint", "endpoint", spec.endpoint)):
        if spec.by == kind and value is None:
            yield Issue(f"{place}.{field}", f"is missing: by = {kind} needs it")
        if spec.by != kind and value is not None:
            yield Issue(f"{place}.{field}", f"is for by = {kind}, and by is {spec.by}")
    for kind, field in (("custom", "function"), ("endpoint", "instruction")):
        if spec.by != kind and is_changed(spec, field):
            yield Issue(f"{place}.{field}", f"is for by = {kind}, and by is {spec.by}")
    for placeholder in PLACEHOLDERS[type(spec)] if spec.instruction is not None else ():
        if placeholder not in (spec.instruction or ""):
            yield Issue(f"{place}.instruction", f"has no {placeholder}: the model would never see it")
