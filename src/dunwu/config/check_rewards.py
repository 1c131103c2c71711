"""What the weights of a reward decide together: names, times that never come, and tasks that nothing pays."""

from __future__ import annotations

from collections.abc import Iterator

from dunwu.config.issues import Issue
from dunwu.config.schema import REWARD_PARTS, RewardSpec, RLStage, Weight
from dunwu.errors import did_you_mean

QUALITY = ("logic", "steps", "novelty")
"""Parts whose weights are shares of ``quality``."""
PENALTIES = ("truncation", "repetition")
"""Parts that are never above 0."""
METRICS = frozenset(
    {
        *("step", "reward", "length", "length_right", "length_wrong", "truncated", "reflections", "uniform_groups"),
        *("responses", "verifier_failed", "tokens", "prompts_too_long", "updates", "curriculum", "replayed"),
        *("entropy", "kl", "clip_low", "clip_high", "ratio_mean", "ratio_max", "importance_mean", "importance_max"),
        *("correction_mean", "correction_max", "correction_clipped", "correction_masked"),
        *("correction_masked_sequences", "correction_sample_size", "staleness_mean", "staleness_max"),
        *("policy_loss", "grad_norm", "lr", "logprob_difference_mean", "logprob_difference_max"),
        *("value", "value_loss", "value_squared_error", "value_grad_norm", "value_lr"),
        *("similar", "sampler_gap_mean", "sampler_gap_max"),  # as earlier versions called them
    }
)
"""Names of a rollout's other metrics: a part of the reward that had one would take its place."""
LANGUAGES = "zh ja ko ru uk bg ar fa ur en de fr es it pt nl sv pl cs tr id vi".split()  # noqa: SIM905  -- one line
"""What ``dunwu.verifiers.language`` can tell."""


def check_reward(stage: RLStage) -> Iterator[Issue]:
    """Everything that is wrong with a stage's reward, its fields as seen from the stage."""
    yield from _names(stage)
    yield from _times(stage)
    yield from _shares(stage.reward)
    yield from _unpaid(stage)


def _names(stage: RLStage) -> Iterator[Issue]:
    reward = stage.reward
    for index, language in enumerate(reward.languages):
        if language not in LANGUAGES:
            text = f"no language is called {language!r}; there are {', '.join(LANGUAGES)}"
            yield Issue(f"reward.languages.{index}", text)
    places = [f"custom.{i}" for i in range(len(reward.custom))] + [f"models.{i}" for i in range(len(reward.models))]
    named = [part.name for part in reward.added]
    for index, (place, name) in enumerate(zip(places, named, strict=True)):
        if name in REWARD_PARTS or name in named[:index]:
            yield Issue(f"reward.{place}.name", f"{name!r} is the name of another part")
        elif name in METRICS:
            yield Issue(f"reward.{place}.name", f"{name!r} is the name of a metric: choose another")
    tasks, parts = [task.name for task in stage.tasks], [*REWARD_PARTS, *named]
    for task, table in reward.tasks.items():
        if task not in tasks:
            hint = did_you_mean(task, tasks) or f"; there are {', '.join(dict.fromkeys(tasks))}"
            hint += " (a set of reasoning-gym is called gym-SET)" if task == "gym" else ""
            yield Issue(f"reward.tasks.{task}", f"no task of this stage has this name{hint}")
        for part in sorted(table.keys() - set(parts)):
            hint = did_you_mean(part, parts)
            yield Issue(f"reward.tasks.{task}.{part}", f"no part of the reward has this name{hint}")


def _times(stage: RLStage) -> Iterator[Issue]:
    """Check that every weight counts at some rollout's start, where it is read."""
    every = stage.updates_per_rollout
    for place, weight in _weights(stage.reward):
        first = -(-weight.from_ // every) * every
        if weight.until is not None and weight.until <= weight.from_:
            yield Issue(f"{place}.until", f"{weight.until} is not after from = {weight.from_}")
        elif first >= stage.steps:
            text = f"never comes: of {stage.steps} steps the last rollout starts at update {stage.steps - every}"
            yield Issue(f"{place}.from", f"{weight.from_} {text}")
        elif weight.until is not None and weight.until <= first:
            text = f"no rollout starts from update {weight.from_} to before {weight.until}: one starts every {every}"
            yield Issue(f"{place}.until", text)


def _weights(reward: RewardSpec) -> Iterator[tuple[str, Weight]]:
    """Yield every weight of the table, with its place."""
    for name in REWARD_PARTS:
        yield f"reward.{name}", getattr(reward, name)
    for index, part in enumerate(reward.custom):
        yield f"reward.custom.{index}.weight", part.weight
    for index, model in enumerate(reward.models):
        yield f"reward.models.{index}.weight", model.weight
    for task, table in reward.tasks.items():
        for name, weight in table.items():
            yield f"reward.tasks.{task}.{name}", weight


def _shares(reward: RewardSpec) -> Iterator[Issue]:
    """Shares of what weighs nothing."""
    text = "counts for nothing: quality, of which it is a share, is 0"
    written = reward.model_fields_set
    if not reward.quality.weight and not any("quality" in table for table in reward.tasks.values()):
        for name in QUALITY:
            # A recipe.json writes every default out: it means nothing by them.
            is_default = "quality" in written and getattr(reward, name) == RewardSpec.model_fields[name].default
            if name in written and not is_default:
                yield Issue(f"reward.{name}", text)
    for task, table in reward.tasks.items():
        if not table.get("quality", reward.quality).weight:
            yield from (Issue(f"reward.tasks.{task}.{name}", text) for name in QUALITY if name in table)


def _unpaid(stage: RLStage) -> Iterator[Issue]:
    """Tasks for which nothing is ever rewarded, and a quality that never is."""
    reward = stage.reward
    free = "format_rule = none" if reward.format_rule == "none" else "format = 0"
    for place, tasks, table in _tables(stage):
        shares = [table[name].weight for name in QUALITY]
        if table["quality"].weight and not any(shares):
            yield Issue(f"{place}.quality", "pays nothing: logic, steps and novelty are all 0")
        unpaid = {"quality", *QUALITY, *PENALTIES} | ({"format"} if reward.format_rule == "none" else set())
        paid = [table[name].weight for name in table.keys() - unpaid]
        if not any(paid) and not (table["quality"].weight and any(shares)):
            whose = f" for {', '.join(tasks)}" if reward.tasks else ""
            yield Issue(place, f"accuracy = 0 and {free}: nothing is rewarded{whose}")


def _tables(stage: RLStage) -> Iterator[tuple[str, list[str], dict[str, Weight]]]:
    """Place, tasks and weights: of the tasks without a table of their own, then of each that has one."""
    reward, tasks = stage.reward, list(dict.fromkeys(task.name for task in stage.tasks))
    if others := [task for task in tasks if task not in reward.tasks]:
        yield "reward", others, reward.weights(others[0])
    for task in tasks:
        if task in reward.tasks:
            yield f"reward.tasks.{task}", [task], reward.weights(task)
