"""Area ``models``: a model that is measured, wherever it lies."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from dunwu.commands.evaluate import EvaluationRequest, build_recipe
from dunwu.config.packaged import NANO_BASE, find_packaged
from dunwu.config.schema import EvalStage
from dunwu.errors import UserError
from dunwu.monitoring.progress import Silent
from tests.cases.running import Case


def check(case: Case) -> bool | None:
    """Whether the kind's own check finds what the case expects; None for other kinds."""
    decide = KINDS.get(case["kind"])
    return None if decide is None else decide(case)


def named(case: Case) -> bool:
    """A model in a folder of this name, or several in such folders, can be measured, each under a name of its own."""
    found = case["input"]
    folders = found["folders"] if "folders" in found else [found["folder"]]
    model = find_packaged(NANO_BASE)
    assert model is not None
    with tempfile.TemporaryDirectory() as root:
        for folder in folders:
            shutil.copytree(model, Path(root) / folder)
        asked = EvaluationRequest(
            models=[str(Path(root) / folder) for folder in folders], benchmarks=["countdown"], files=[]
        )
        try:
            recipe = build_recipe(asked, (), Silent())
        except UserError:
            return False
    (stage,) = recipe.stages.values()
    assert isinstance(stage, EvalStage)
    return len(stage.named) == len(folders)


KINDS: Mapping[str, Callable[[Case], bool]] = {"F6": named}
