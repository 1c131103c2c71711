"""How the stages of a recipe feed each other."""

from __future__ import annotations

from collections.abc import Iterator

from dunwu.config.schema import DataStage, EvalStage, PretrainStage, Recipe, RLStage, Stage


def models_of(stage: Stage) -> tuple[str, ...]:
    """The models that a stage begins from, in the order of its fields."""
    match stage:
        case PretrainStage():
            return ()
        case EvalStage():
            return (*stage.models, *(judge.from_ for judge in stage.judges))
        case RLStage():
            value = (stage.value.from_,) if stage.value and stage.value.from_ else ()
            return (stage.from_, *(part.from_ for part in stage.reward.models), *value)
        case _:
            return (stage.from_,)


def feeds(stage: Stage) -> tuple[str, ...]:
    """The models and data that a stage begins from, each once; of a base its corpus."""
    data: tuple[str, ...] = ()
    if isinstance(stage, DataStage):
        data = stage.data
    elif isinstance(stage, PretrainStage):
        data = (stage.corpus,)
    return tuple(dict.fromkeys((*models_of(stage), *data)))


def graph(recipe: Recipe) -> Iterator[str]:
    """A line a stage: its name, its kind, what it begins from."""
    names = max(map(len, recipe.stages))
    kinds = max(len(stage.kind) for stage in recipe.stages.values())
    for name, stage in recipe.stages.items():
        yield f"{name:<{names}} ◀──{f' {stage.kind} ':─^{kinds + 2}}── {' + '.join(feeds(stage))}"
