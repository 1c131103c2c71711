"""How the stages of a recipe feed each other."""

from __future__ import annotations

from collections.abc import Iterator

from dunwu.config.schema import (
    EvalStage,
    PretrainStage,
    Recipe,
    RewardModelStage,
    RLStage,
    Stage,
    SupervisedStage,
)


def feeds(stage: Stage) -> tuple[str, ...]:
    """The models and data that a stage begins from, each once, in the order of its fields."""
    match stage:
        case PretrainStage():
            found: tuple[str, ...] = (stage.corpus,)
        case EvalStage():
            found = (*stage.models, *(judge.from_ for judge in stage.judges))
        case SupervisedStage() | RewardModelStage():
            found = (stage.from_, *stage.data)
        case RLStage():
            value = (stage.value.from_,) if stage.value and stage.value.from_ else ()
            found = (stage.from_, *(part.from_ for part in stage.reward.models), *value)
        case _:
            found = (stage.from_,)
    return tuple(dict.fromkeys(found))


def graph(recipe: Recipe) -> Iterator[str]:
    """A line a stage: what it begins from, its kind, its name."""
    left = {name: " + ".join(feeds(stage)) for name, stage in recipe.stages.items()}
    width = min(40, max(map(len, left.values())))
    kinds = max(len(stage.kind) for stage in recipe.stages.values())
    for name, stage in recipe.stages.items():
        yield f"{left[name]:>{width}} ──{f' {stage.kind} ':─^{kinds + 2}}──▶ {name}"
