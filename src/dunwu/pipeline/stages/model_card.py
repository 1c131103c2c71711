"""A finished model's folder: weights, then what others need to ask it, then a card that says what it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dunwu.analysis.labels import describe_quantity, format_interval, format_number, is_breakdown
from dunwu.config.schema import AdapterSpec, DataStage, RewardModelStage, RewardSpec, RLStage, StageSpec, display_names
from dunwu.config.stage_kind import kind_of
from dunwu.config.toml import write_toml
from dunwu.models.export import CARD, write_chat_template, write_generation_config
from dunwu.pipeline.context import StageContext
from dunwu.runs import BASE, TRAINED
from dunwu.version import __version__

Save = Callable[[Path], None]


def complete_model(stage: StageSpec, context: StageContext, save: Save) -> Save:
    """Extend what writes a stage's model to the whole folder; the same stage and seed give the same bytes.

    Args:
        stage: The recipe's.
        context: The run's; its evaluations of the stage must be there.
        save: Writes weights, config and tokenizer.
    """

    def write(folder: Path) -> None:
        save(folder)
        write_chat_template(folder, stage.template)
        if kind_of(stage).makes == "policy":
            write_generation_config(folder, stage.evaluation_sampling)
        (folder / CARD).write_text(write_card(stage, context), encoding="utf-8")

    return write


def write_card(stage: StageSpec, context: StageContext) -> str:
    """Write a model card: what it is, how to ask it, data, scores, limits and the recipe.

    No path and no time stands in it: the same recipe and seed write the same card anywhere, but for the type of the
    weights where ``model.dtype`` is auto.
    """
    lines = [
        *("---", "library_name: transformers", "tags: [dunwu]", "---", f"# {context.recipe} / {context.name}", ""),
        f"{_made(stage)}, made with Dunwu {__version__} by the recipe below with seed {context.seed}.",
        f"Its weights were in {stage.model.dtype}.",
        *("", "## How to ask it", ""),
        *_asking(stage),
        *("", "## Data", ""),
        *_data(stage),
        *("", "## Scores", ""),
        *_scores(context),
        *("", "## Limits", ""),
        *_limits(stage),
        *("", "## Recipe", "", "```toml"),
        write_toml({"name": context.recipe, "seed": context.seed, "stages": {context.name: _written(stage)}}).rstrip(),
        *("```", ""),
    ]
    return "\n".join(lines)


def describe_weights(stage: RLStage | DataStage) -> str:
    """Describe which weights learn and their type, to follow what learns; empty for all of them in float32."""
    return _describe_adapter(stage.adapter) + ("" if stage.model.dtype == "float32" else f" in {stage.model.dtype}")


def _describe_adapter(adapter: AdapterSpec | None) -> str:
    return "" if adapter is None else f" with LoRA of rank {adapter.rank}"


def _made(stage: StageSpec) -> str:
    sources = [model.source for model in stage.inputs.models[:1]]
    adapter = _describe_adapter(stage.adapter) if isinstance(stage, RLStage | DataStage) else ""
    return kind_of(stage).result.format(*display_names(sources)) + adapter


def _asking(stage: StageSpec) -> Iterator[str]:
    if kind_of(stage).makes == "scorer":
        yield "It gives one number for a question with its answer (`AutoModelForSequenceClassification`)."
        if isinstance(stage, RewardModelStage):
            yield f"It reads {'all of the answer' if stage.input == 'all' else 'what follows the reasoning'}."
        return
    yield f"The tokenizer's chat template is the one that it was trained with: `{json.dumps(stage.template)}`."
    yield "generation_config.json says how its answers were drawn when it was measured, and which tokens end one."


def _data(stage: StageSpec) -> Iterator[str]:
    inputs = stage.inputs
    for task in inputs.tasks.values():
        source = task.hub or (task.path.name if task.path else "generated")
        levels = f", levels {', '.join(map(str, task.levels))}" if task.levels else ""
        kept = f"{task.held_out:.0%} of its problems were never drawn"
        yield f"- {task.name} ({source}, {', '.join(task.languages)}{levels}); {kept}"
    if inputs.corpus is not None:
        yield f"- the generated corpus {inputs.corpus}, {stage.amount}"
    yield from (f"- {name}, {stage.amount}" for name in inputs.data)


def _scores(context: StageContext) -> Iterator[str]:
    evaluations = [found for name in (BASE, TRAINED) for found in context.store.read_evaluations(name, rows=False)]
    if not evaluations:
        yield "This stage measured nothing."
        return
    models = list(dict.fromkeys(found.checkpoint for found in evaluations))
    results = {(found.set, found.checkpoint): found.results for found in evaluations}
    yield "On held-out problems; in brackets 95 % intervals."
    yield ""
    yield f"| set | quantity | {' | '.join(models)} |"
    yield "|---|---|" + "---|" * len(models)
    for chosen in dict.fromkeys(found.set for found in evaluations):
        shown = [results.get((chosen, model), {}) for model in models]
        for name in dict.fromkeys(name for one in shown for name in one if not is_breakdown(name)):
            cells = [
                f"{format_number(name, one[name].value)} ({format_interval(name, one[name])})" if name in one else ""
                for one in shown
            ]
            yield f"| {chosen} | {describe_quantity(name).label} | {' | '.join(cells)} |"


def _limits(stage: StageSpec) -> Iterator[str]:
    yield "- Nothing is known of it beyond the scores above: other tasks and languages were not measured."
    if stage.lengths:
        yield f"- In training {stage.lengths}."
    if isinstance(stage.rules, RewardSpec) and not stage.rules.models:
        yield "- Only rules rewarded it: nothing taught it to be helpful elsewhere, or harmless."
    yield "- What its base model may and may not be used for holds for it too."


def _written(stage: StageSpec) -> dict[str, Any]:
    tree: dict[str, Any] = _portable(
        stage.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude_none=True)
    )
    return tree


def _portable(value: Any) -> Any:
    """With the names of files and folders in the place of their absolute paths, which differ between machines."""
    if isinstance(value, dict):
        return {name: _portable(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_portable(entry) for entry in value]
    return Path(value).name if isinstance(value, str) and value.startswith("/") else value
