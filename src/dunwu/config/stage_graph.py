"""How the stages of a recipe feed each other."""

from __future__ import annotations

from collections.abc import Iterator

from dunwu.config.schema import Recipe, StageSpec
from dunwu.user_code import shorten_reference


def list_feeds(stage: StageSpec) -> tuple[str, ...]:
    """List the models and data that a stage begins from, each once; of a base its corpus."""
    inputs = stage.inputs
    corpus = () if inputs.corpus is None else (inputs.corpus,)
    return tuple(dict.fromkeys((*(model.source for model in inputs.models), *inputs.data, *corpus)))


def draw_graph(recipe: Recipe) -> Iterator[str]:
    """Yield a line a stage: its name, its kind, what it begins from."""
    kinds = {name: shorten_reference(stage.kind) for name, stage in recipe.stages.items()}
    names, width = max(map(len, kinds)), max(map(len, kinds.values()))
    for name, stage in recipe.stages.items():
        yield f"{name:<{names}} ◀──{f' {kinds[name]} ':─^{width + 2}}── {' + '.join(list_feeds(stage))}"
